"""Text in, text out: what a checkpoint says is followed as transformers follows it, and pieces of a stream add up to the whole."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers, trainers

from bertwright.architecture import LM
from bertwright.checkpoints.generation import read_settings
from bertwright.checkpoints.huggingface import read_architecture, save_model
from bertwright.errors import CheckpointError, InputError
from bertwright.inference.predictor import Predictor, load
from bertwright.models import Model
from bertwright.models.generation_settings import Generation
from bertwright.tasks import writer as module
from bertwright.tasks.writer import settled
from bertwright.text.tokenizer import Tokenizer

LINES = [
    "the lamp is on the table and the cat sleeps beside it",
    "a café by the river, naïve songs, 北京 in summer",
    "twice two is four, don't you think? yes.",
] * 4
ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
GPT2 = {"model_type": "gpt2", "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 48}
BART = {
    **{"model_type": "bart", "d_model": 24, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 3, "decoder_attention_heads": 2},
    **{"encoder_ffn_dim": 32, "decoder_ffn_dim": 48, "max_position_embeddings": 48, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    **{"decoder_start_token_id": 2, "is_encoder_decoder": True},
}
# What bart-large-cnn says, with lengths for a small model.
SUMMARIES = {
    **{"num_beams": 4, "length_penalty": 2.0, "max_length": 24, "min_length": 8, "no_repeat_ngram_size": 3, "early_stopping": True},
    **{"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2},
}
WORDS = ["river", "stone", "un", "##able", "##ly", ".", ",", "we", "are", "##s"]

Make = Callable[..., Path]


def write_bytes_bpe(folder: Path, special: list[str]) -> None:
    """vocab.json and merges.txt of a small byte-level BPE, in which every byte is a piece."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=sorted(alphabet), show_progress=False))
    backend.model.save(str(folder))


def write_checkpoint(folder: Path, config: dict[str, Any], *, seed: int = 0, **files: Any) -> Path:
    """A random model of a config beside the tokenizer that lies in the folder already; `files`: JSON files, by their stems."""
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = Tokenizer.load(folder)
    tokenizer.save(folder)
    config = config | {"vocab_size": tokenizer.vocab_size}
    torch.manual_seed(seed)
    model = Model(read_architecture(folder, config=config), (LM,))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.35))
            if parameter.ndim == 1 and not name.endswith("bias"):
                parameter.add_(1)
    save_model(model, folder, config=config)
    for stem, content in files.items():
        (folder / f"{stem}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """(name, **files) -> a checkpoint of a tiny GPT-2, BART, or GPT-2 with BERT's WordPiece ("words")."""

    def write(name: str, *, seed: int = 0, config: dict[str, Any] | None = None, **files: Any) -> Path:
        folder = tmp_path_factory.mktemp(name)
        if name == "words":
            (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n", encoding="utf-8")
            return write_checkpoint(folder, GPT2 | {"eos_token_id": 3} | (config or {}), seed=seed, **files)
        write_bytes_bpe(folder, ["<|endoftext|>"] if name == "gpt2" else ROBERTA_TOKENS)
        given = GPT2 | {"bos_token_id": 0, "eos_token_id": 0} if name == "gpt2" else BART
        return write_checkpoint(folder, given | (config or {}), seed=seed, **files)

    return write


@pytest.fixture(scope="session")
def predictors(make: Make) -> dict[str, Predictor]:
    return {name: load(make(name), device="cpu") for name in ("gpt2", "bart", "words")}


@pytest.fixture(scope="module")
def transformers() -> Any:
    found = pytest.importorskip("transformers")
    found.utils.logging.disable_progress_bar()
    found.utils.logging.set_verbosity_error()
    return found


TEXTS = ["the lamp", "a café by the river, naïve songs", "two"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_a_checkpoint_says_is_done_as_transformers_does_it(transformers: Any, make: Make, seed: int) -> None:
    for name, kind, said in (
        ("bart", "AutoModelForSeq2SeqLM", SUMMARIES),
        ("gpt2", "AutoModelForCausalLM", {"eos_token_id": [0, 40, 50], "num_beams": 2, "max_length": 40}),
    ):
        folder = make(name, seed=seed, generation_config=said)
        theirs = getattr(transformers, kind).from_pretrained(folder)
        tokenizer, ours = transformers.AutoTokenizer.from_pretrained(folder), load(folder, device="cpu")
        for text, found in zip(TEXTS, ours.generate(TEXTS), strict=True):
            given = tokenizer(text, return_tensors="pt")
            (expected,) = theirs.generate(**given, pad_token_id=1).tolist()
            expected = expected[1 if name == "bart" else given["input_ids"].shape[1] :]
            assert list(found.sequences[0].ids) == expected
            assert found.text == tokenizer.decode(expected, skip_special_tokens=True)


def test_a_checkpoint_without_a_file_of_its_own_speaks_in_config_json(make: Make) -> None:
    folder = make("bart", config={"num_beams": 3, "length_penalty": 0.5, "no_repeat_ngram_size": 3})
    found = load(folder, device="cpu").generation
    assert found == Generation(num_beams=3, length_penalty=0.5, no_repeat_ngram_size=3, eos_token_id=2, bos_token_id=0, decoder_start_token_id=2)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5], "num_beams": None, "transformers_version": "5"}), encoding="utf-8")
    assert load(folder, device="cpu").generation == Generation(eos_token_id=(2, 5), bos_token_id=0, decoder_start_token_id=2)


def test_special_tokens_that_no_file_names_are_the_tokenizers(make: Make) -> None:
    folder = make("gpt2", config={"bos_token_id": None, "eos_token_id": None})
    found = load(folder, device="cpu").generation
    assert (found.eos_token_id, found.bos_token_id) == (0, 0)


def test_a_negative_id_says_that_there_is_no_such_token(make: Make) -> None:
    folder = make("bart", config={"forced_bos_token_id": -1, "eos_token_id": 2}, generation_config={"forced_eos_token_id": -1, "eos_token_id": [-1, 5]})
    found = load(folder, device="cpu").generation
    assert (found.forced_bos_token_id, found.forced_eos_token_id, found.eos_token_id) == (None, None, (5,))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": -1, "decoder_start_token_id": [-1]}), encoding="utf-8")
    found = load(folder, device="cpu").generation
    assert (found.eos_token_id, found.decoder_start_token_id) == (2, 2)
    gpt2 = make("gpt2", config={"eos_token_id": -1, "bos_token_id": -1})
    assert load(gpt2, device="cpu").generation == load(make("gpt2", config={"eos_token_id": None, "bos_token_id": None}), device="cpu").generation


def test_every_wrong_value_of_a_checkpoint_is_named(make: Make) -> None:
    folder = make("gpt2", generation_config={"num_beams": "4", "bad_words_ids": [[3]], "typical_p": 1.0, "suppress_tokens": [], "diversity_penalty": 0.5})
    predictor = load(folder, device="cpu")
    with pytest.raises(CheckpointError) as caught:
        predictor.generate("the lamp")
    path = folder / "generation_config.json"
    assert caught.value.problems == (
        f"{path}: bad_words_ids [[3]] is not supported: take the key out of the file",
        f"{path}: diversity_penalty 0.5 is not supported: take the key out of the file",
        f"{path}: num_beams is '4': it must be a whole number of at least 1",
    )
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 9999}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="eos_token_id 9999 lies outside the vocabulary"):
        read_settings(folder, predictor.model.architecture, predictor.tokenizer)


OPTIONS: list[dict[str, Any]] = [{}, {"num_beams": 3, "num_return_sequences": 2}, {"do_sample": True, "num_return_sequences": 2, "seed": 3}]


@pytest.mark.parametrize("options", OPTIONS, ids=["greedy", "beams", "sampling"])
@pytest.mark.parametrize("name", ["gpt2", "bart", "words"])
def test_many_texts_get_what_each_gets_alone(predictors: dict[str, Predictor], monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]) -> None:
    predictor, texts = predictors[name], ["river", "we are stones, unably", "river stone river stone", "stone. " * 9, "we"]
    writer = predictor.writer(max_new_tokens=20, **options)
    alone = [writer.write([text])[0] for text in texts]
    for tokens in (8192, 100, 1):
        monkeypatch.setattr(module, "BATCH_TOKENS", tokens)
        together = predictor.generate(texts, max_new_tokens=20, **options)
        for one, other in zip(together, alone, strict=True):
            assert one.input == other.input
            assert [found.ids for found in one.sequences] == [found.ids for found in other.sequences]
    assert len({found.ids for one in together for found in one.sequences}) > 2


def test_a_long_text_does_not_cut_short_the_one_beside_it(predictors: dict[str, Predictor]) -> None:
    predictor = predictors["gpt2"]
    long = "two" + " is four," * 8
    read = len(predictor.tokenizer.encode(long).ids)
    assert 36 < read < 48
    found = predictor.generate([long, "two"], max_new_tokens=12, eos_token_id=[1])
    assert [len(one.sequences[0].ids) for one in found] == [48 - read, 12]


@pytest.mark.parametrize("name", ["gpt2", "bart", "words"])
def test_the_pieces_of_a_stream_are_the_text(predictors: dict[str, Predictor], name: str) -> None:
    predictor, many = predictors[name], 0
    for text, seed in itertools.product(("we are", "stone river. "), range(6)):
        options = {"max_new_tokens": 24, "do_sample": True, "seed": seed, "top_k": 0}
        pieces = list(predictor.stream(text, **options))
        assert "".join(pieces) == predictor.generate(text, **options)[0].text
        assert not any(piece.endswith("\ufffd") for piece in pieces[:-1])
        many = max(many, len(pieces))
    assert many > 5


def test_a_character_is_shown_when_all_its_bytes_are_there() -> None:
    def decoded() -> Iterator[str]:
        tokens = b""
        for byte in "né北京!".encode() + b"\xe5\x8c":
            tokens += bytes([byte])
            yield tokens.decode("utf-8", errors="replace")

    assert list(settled(decoded())) == ["n", "é", "北", "京", "!", "\ufffd"]


def test_a_text_that_changes_its_end_is_shown_when_it_has_settled() -> None:
    assert list(settled(["a", "a b", "a,", "a, b", "a, b c"])) == ["a", " b", ", b c"]


def test_a_continuation_is_joined_as_its_pieces_say(predictors: dict[str, Predictor]) -> None:
    predictor = predictors["words"]
    vocabulary = predictor.tokenizer.vocab
    writer = predictor.writer()
    prompt = writer._prompt("we are un")
    assert [vocabulary[token] for token in prompt] == ["[CLS]", "we", "are", "un"]  # the model goes on where the text ends, not behind [SEP]
    for pieces, joined in ((["##able", "##ly", "stone"], "ablely stone"), (["stone", "##s", "."], " stones."), (["[SEP]"], "")):
        new = [vocabulary.index(piece) for piece in pieces]
        assert writer.text_of(prompt, new, typed="we are un") == joined
    assert writer.text_of(writer._prompt("we are "), [vocabulary.index("stone")], typed="we are ") == "stone"


def test_a_model_of_two_stacks_answers_and_one_of_one_goes_on(predictors: dict[str, Predictor]) -> None:
    (found,) = predictors["gpt2"].generate("the lamp", max_new_tokens=6)
    assert found.continues
    assert found.full_texts == ("the lamp" + found.text,)
    (found,) = predictors["bart"].generate("the lamp", max_new_tokens=6, num_beams=2, num_return_sequences=2)
    assert found.full_texts == tuple(one.text for one in found.sequences)
    vocabulary = predictors["bart"].tokenizer.vocab
    for one in found.sequences:
        assert [vocabulary[token] for token in one.ids] == list(one.tokens)
        assert "</s>" not in one.text
    scores = [one.score for one in found.sequences]
    assert scores == sorted(scores, reverse=True)
    shown = found.to_json()
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) == {"input", "generated"}


def test_an_empty_text_begins_with_the_token_for_that(predictors: dict[str, Predictor]) -> None:
    (found,) = predictors["gpt2"].generate("", max_new_tokens=4)
    assert len(found.sequences[0].ids) == 4
    with pytest.raises(InputError, match="the text is empty"):
        predictors["bart"].generate(" ")


def test_draws_follow_the_seed(predictors: dict[str, Predictor]) -> None:
    predictor, options = predictors["gpt2"], {"do_sample": True, "max_new_tokens": 8, "top_k": 0, "temperature": 2.0}
    texts = ["the lamp"] * 5
    found = [one.text for one in predictor.generate(texts, **options)]
    assert found == [one.text for one in predictor.generate(texts, **options)]
    assert len(set(found)) > 3
    assert found != [one.text for one in predictor.generate(texts, seed=1, **options)]
    assert predictor.generate(texts[:2], **options)[1].text == found[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_beam": 2}, "num_beam is not an option: did you mean num_beams?"),
        ({"colour": 2}, "colour is not an option: known are max_new_tokens"),
        ({"num_beams": 0}, "num_beams is 0"),
        ({"temperature": 0.7}, "temperature changes the draws, and nothing is drawn: give do_sample too"),
        ({"top_k": 5, "num_beams": 2}, "top_k changes the draws"),
        ({"length_penalty": 2.0}, "length_penalty orders beams, and there is one: give num_beams 2 or more"),
        ({"eos_token_id": [1, 5000]}, "eos_token_id 5000 lies outside the vocabulary"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_the_mend(predictors: dict[str, Predictor], options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        predictors["gpt2"].generate("the lamp", **options)
    (problem,) = caught.value.problems
    assert problem.startswith(said)


def test_options_overrule_the_checkpoint_in_its_other_way_of_counting(make: Make) -> None:
    predictor = load(make("gpt2", generation_config={"max_new_tokens": 3, "min_new_tokens": 2, "eos_token_id": 0}), device="cpu")
    assert len(predictor.generate("the lamp")[0].sequences[0].ids) <= 3
    writer = predictor.writer(max_length=30, min_length=30)
    assert (writer.settings.longest(10, None), writer.settings.shortest(10)) == (20, 20)


def test_every_text_that_is_too_long_is_named(predictors: dict[str, Predictor]) -> None:
    long = "the lamp is on the table and the cat sleeps beside it " * 5
    with pytest.raises(InputError, match="this model has 48 positions for old and new ones: give a text of fewer") as caught:
        predictors["gpt2"].generate([long, "the", long])
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="this model reads 48 at most: give it in shorter parts"):
        predictors["bart"].generate(long)
    with pytest.raises(InputError, match="max_length is 1: give max_new_tokens"):
        predictors["gpt2"].generate("the lamp", max_length=1)


def test_a_checkpoint_without_the_head_says_what_it_can_do(predictors: dict[str, Predictor]) -> None:
    bare = Predictor(model=Model(predictors["gpt2"].model.architecture), tokenizer=predictors["gpt2"].tokenizer, checkpoint=Path("bare"))
    with pytest.raises(CheckpointError, match=r"bare has no language-modelling head and cannot generate: it gives vectors.*load\('bare'\)\.encode"):
        bare.generate("the lamp")


def test_vectors_of_a_model_that_knows_no_padding(predictors: dict[str, Predictor]) -> None:
    assert predictors["gpt2"].encode("the lamp").token_vectors.shape[1] == 24
