"""What a loaded checkpoint does at its task: one input or a list, in order, sorted by length inside; and what it says where it cannot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import CHOICE, CLASSIFY, MLM, POOLER, SPAN, TAG, HeadKind
from bertwright.checkpoints.huggingface import label_keys
from bertwright.checkpoints.sentence_transformers import SentenceFolder, write_sentence_folder
from bertwright.data.labelled.examples import TextExample
from bertwright.errors import CheckpointError, InputError
from bertwright.inference import reader
from bertwright.inference.predictor import Predictor, load
from bertwright.inference.reader import row_length

WORDS = ["paris", "is", "a", "city", "river", "where", "good", "bad", "."]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 24}
KINDS: dict[str, tuple[list[str], tuple[HeadKind, ...], dict[str, Any]]] = {
    "classify": (["sad", "glad", "angry"], (POOLER, CLASSIFY), {}),
    "regress": (["LABEL_0"], (POOLER, CLASSIFY), {"problem_type": "regression"}),
    "tag": (["O", "B-LOC", "I-LOC"], (TAG,), {}),
    "answer": ([], (SPAN,), {}),
    "choice": ([], (POOLER, CHOICE), {}),
    "embed": ([], (), {}),
    "masks": ([], (POOLER, MLM), {}),
}

Load = Callable[[str], Predictor]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, write_checkpoint: Callable[..., Path]) -> Load:
    made: dict[str, Predictor] = {}

    def load_kind(kind: str) -> Predictor:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            labels, heads, keys = KINDS[kind]
            (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n", encoding="utf-8")
            write_checkpoint(folder, {"model_type": "bert", **SIZES, **(label_keys(labels) if labels else {}), **keys}, heads)
            if kind == "embed":
                write_sentence_folder(folder, SentenceFolder(pooling="mean", normalised=True, max_length=12), size=16)
            made[kind] = load(folder, device="cpu")
        return made[kind]

    return load_kind


def test_a_text_a_pair_and_a_list_get_their_classes(checkpoint: Load) -> None:
    predictor = checkpoint("classify")
    alone, pair = predictor.classify("paris is a city"), predictor.classify(("paris", "a river"))
    assert sum(alone.probabilities.values()) == pytest.approx(1)
    assert alone.label == max(alone.probabilities, key=alone.probabilities.__getitem__)
    both = predictor.classify(["paris is a city", ("paris", "a river"), "good"])
    assert [one.probabilities for one in both[:2]] == [pytest.approx(alone.probabilities, abs=1e-6), pytest.approx(pair.probabilities, abs=1e-6)]
    assert predictor.classify([]) == []


def test_many_texts_keep_their_order_over_chunks(checkpoint: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = checkpoint("regress")
    texts = [" ".join(WORDS[(number * 7 + place) % len(WORDS)] for place in range(1 + number % 9)) for number in range(50)]
    alone = [predictor.regress(text).value for text in texts]
    monkeypatch.setattr(reader, "CHUNK", 8)
    assert [one.value for one in predictor.regress(texts)] == pytest.approx(alone, abs=1e-5)


def test_a_slow_source_is_answered_soon(checkpoint: Load) -> None:
    asked: list[int] = []

    def source() -> Any:
        for number in range(100):
            asked.append(number)
            yield TextExample(text="good")

    parts = checkpoint("classify").reader().stream(source(), first=4)
    assert len(next(parts).predictions) == 4
    assert len(asked) == 4
    assert [len(part.predictions) for part in parts] == [8, 16, 32, 40]


def test_a_text_is_cut_into_words_and_words_are_taken(checkpoint: Load) -> None:
    predictor = checkpoint("tag")
    found = predictor.tag("Paris is a city.")
    assert found.words == ("Paris", "is", "a", "city", ".")
    assert len(found.tags) == 5
    given = predictor.tag(("Paris", "is", "a", "city", "."))
    assert given.tags == found.tags
    several = predictor.tag(["Paris is a city.", ["Paris", "is"], ("a", "river")])
    assert [one.words for one in several] == [found.words, ("Paris", "is"), ("a", "river")]


def test_questions_and_choices(checkpoint: Load) -> None:
    context = "paris is a city . a river is good"
    found = checkpoint("answer").answer("where is paris", context)
    assert context[found.start : found.end] == found.text
    assert checkpoint("answer").answer([("where is paris", context)])[0].text == found.text
    chosen = checkpoint("choice").choose("paris is", ["a city", "a river", "bad"])
    assert sum(chosen.probabilities) == pytest.approx(1)
    assert chosen.text == ["a city", "a river", "bad"][chosen.choice]
    assert checkpoint("choice").choose([("paris is", ("a city", "bad")), ("good", ["a", "b", "c"])])[0].text in ("a city", "bad")


def test_texts_become_vectors(checkpoint: Load) -> None:
    predictor = checkpoint("embed")
    vectors = predictor.embed(["paris", "a good city .", "paris"])
    assert (vectors.shape, vectors.dtype) == ((3, 16), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(predictor.embed("paris"), vectors[0], atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    tokens = predictor.encode("a good city .").token_vectors
    np.testing.assert_allclose(predictor.embed("a good city .", pooling="cls"), tokens[0], atol=1e-5)
    np.testing.assert_allclose(checkpoint("masks").embed("paris", pooling="max"), checkpoint("masks").encode("paris").token_vectors.amax(0), atol=1e-5)
    assert predictor.embed([]).shape == (0, 16)


def test_a_checkpoint_of_another_kind_says_what_it_can_do(checkpoint: Load) -> None:
    for kind, ability in (("classify", "it classifies texts"), ("tag", "it tags words"), ("embed", "it embeds texts"), ("masks", "it fills masks")):
        with pytest.raises(CheckpointError, match=f"cannot answer questions: {ability}"):
            checkpoint(kind).answer("where", "paris")
    with pytest.raises(CheckpointError, match="cannot fill masks: it classifies texts"):
        checkpoint("classify").fill_mask("paris [MASK]")
    with pytest.raises(CheckpointError, match="was not trained to embed texts: give pooling, one of cls, mean, max; it classifies texts"):
        checkpoint("classify").embed("paris")
    with pytest.raises(CheckpointError, match="pooling is 'sum'"):
        checkpoint("masks").embed("paris", pooling="sum")  # type: ignore[arg-type]  # what a user may type
    with pytest.raises(CheckpointError, match="was fine-tuned for no task: it fills masks"):
        checkpoint("masks").reader()


def test_every_input_that_cannot_be_taken_is_named(checkpoint: Load) -> None:
    with pytest.raises(InputError) as caught:
        checkpoint("classify").classify(["good", " ", ("a", "b", "c"), 5])  # type: ignore[list-item]
    assert caught.value.problems == (
        "text 2 is empty: give some words",
        "text 3 is ('a', 'b', 'c'): give a text, or a pair of texts",
        "text 4 is 5: give a text, or a pair of texts",
    )
    keyed: Any = {"text": "good", "text_pair": "bad"}  # as transformers' pipeline takes a pair
    nothing: Any = None
    for wrong, said in (
        (lambda: checkpoint("classify").classify(keyed), "the text is {'text': 'good', .*: give a text, or a pair of texts"),
        (lambda: checkpoint("embed").embed(nothing), "the text is None: give a text"),
        (lambda: checkpoint("answer").answer([("where", " "), ("", "paris")]), r"^text 1's context is empty.*\ntext 2 is empty"),
        (lambda: checkpoint("answer").answer("where"), "needs a question and the context"),
        (lambda: checkpoint("choice").choose("where"), "needs a text and its choices"),
        (lambda: checkpoint("choice").choose("where", []), "give a text and a list of choices"),
        (lambda: checkpoint("tag").tag([[]]), "give a text, or its words"),
    ):
        with pytest.raises(InputError, match=said):
            wrong()


def test_a_text_that_loses_its_end_is_said(checkpoint: Load) -> None:
    with pytest.warns(UserWarning, match="1 of 2 texts is longer than 24 tokens and lost its end") as caught:
        cut, _ = checkpoint("classify").classify(["good " * 40, "bad"])
    with pytest.warns(UserWarning, match="1 of 1 texts is longer than 12 tokens") as of_vectors:
        checkpoint("embed").embed("good " * 40)
    assert [warned.filename for warned in (*caught, *of_vectors)] == [__file__] * 2
    assert cut.probabilities == pytest.approx(checkpoint("classify").classify("good " * 22).probabilities, abs=1e-6)


def test_a_row_is_as_long_as_the_folder_says(checkpoint: Load, tmp_path: Path) -> None:
    assert checkpoint("embed").row_length == 12
    predictor = checkpoint("classify")
    assert predictor.row_length == 24
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 10}', encoding="utf-8")
    assert row_length(tmp_path, predictor.model.architecture) == 10
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1e30}', encoding="utf-8")
    assert row_length(tmp_path, predictor.model.architecture) == 24
    with pytest.raises(InputError, match="max_seq_length is 25: this model reads from 3 to 24 tokens a row"):
        predictor.reader(max_seq_length=25)


def test_bfloat16_stays_inside(checkpoint: Load) -> None:
    plain = checkpoint("masks")
    half = load(plain.checkpoint, device="cpu", bf16=True)
    assert half.model.tokens.weight.dtype == torch.bfloat16
    vectors = half.embed("paris is a city", pooling="mean")
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, plain.embed("paris is a city", pooling="mean"), atol=0.1)
    assert half.encode("paris").token_vectors.dtype == torch.float32
    assert half.fill_mask("paris [MASK]").masks[0][0].probability == pytest.approx(plain.fill_mask("paris [MASK]").masks[0][0].probability, abs=0.1)
