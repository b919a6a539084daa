"""Tags: aligned with words whatever a tokenizer makes of them, scored as transformers scores, given as its pipeline gives them."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import TAG
from bertwright.data.labelled.examples import TagExample
from bertwright.data.places import Place
from bertwright.errors import InputError
from bertwright.tasks.alignment import align
from bertwright.tasks.predictions import Entity, Tagged
from bertwright.tasks.running import run
from bertwright.tasks.tagging import Tagging, balanced_tag_weights
from bertwright.tasks.words import words_of
from bertwright.text.tokenizer import Tokenizer

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
SENTENCES = (
    "anna/B-PER smith/I-PER works in rome/B-LOC",
    "the times of london/B-LOC",
    "bob/B-PER left paris/B-LOC on monday",
    "acme bought it for 12 euros",
    "she left new/B-LOC york/I-LOC in june",
    "jones/B-PER said so",
    "the capital of italy/B-LOC is rome/B-LOC",
    "who is anna/B-PER jones/I-PER",
    "smith/B-PER and bob/B-PER works there",
    "in may 1998",
)
TASK = Tagging(labels=LABELS)


def sentence(text: str) -> TagExample:
    words = [word.partition("/") for word in text.split()]
    return TagExample(words=tuple(word for word, _, _ in words), tags=tuple(tag or "O" for _, _, tag in words))


EXAMPLES = [sentence(text) for text in SENTENCES]


@pytest.fixture
def bert(tokenizer_of: Callable[[str], Tokenizer]) -> Tokenizer:
    return tokenizer_of("bert")


def shown(tokenizer: Tokenizer, example: TagExample, *, max_length: int = 128) -> list[tuple[str, list[str]]]:
    """The words of an example and the pieces that each window scores for them."""
    items = TASK.items([example], tokenizer, max_length=max_length).items
    return [
        (example.words[word], [tokenizer.vocab[item.rows[0].ids[place]]])
        for item in items
        for word, place in zip(item.kept.words, item.kept.places, strict=True)
    ]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_the_loss_is_that_of_transformers(family: str, tiny: Callable[..., Any], library: Any) -> None:
    made = tiny(family, (TAG,), num_labels=len(LABELS))
    batch = TASK.batch(TASK.items(EXAMPLES, made.tokenizer, max_length=64).items, numbers=np.arange(10), reading=made.reading)
    with torch.inference_mode():
        ours = TASK.losses(made.model, batch)["loss"].sum / batch.weights["loss"]
        model = library.AutoModelForTokenClassification.from_pretrained(made.folder).eval()
        theirs = model(input_ids=batch.input_ids, attention_mask=batch.mask.long(), labels=batch.targets["labels"]).loss
    assert batch.weights["loss"] == sum(len(example.words) for example in EXAMPLES)
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)


def test_smoothing_and_weights_are_those_of_torch(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (TAG,), num_labels=len(LABELS))
    task = Tagging(labels=LABELS, smoothing=0.1, weights=(0.5, 2.0, 3.0, 1.0, 4.0))
    batch = task.batch(task.items(EXAMPLES, made.tokenizer, max_length=64).items, numbers=np.arange(10), reading=made.reading)
    with torch.inference_mode():
        logits = made.model(batch.input_ids, batch.mask).logits.flatten(0, 1)
        labels = batch.targets["labels"].flatten()
        wanted = torch.nn.functional.cross_entropy(logits, labels, weight=torch.tensor(task.weights), label_smoothing=0.1)
        assert float(task.losses(made.model, batch)["loss"].sum) / batch.weights["loss"] == pytest.approx(float(wanted), abs=1e-5)


def test_balanced_weights_make_every_label_weigh_the_same() -> None:
    counts = np.array([sum(tag == label for example in EXAMPLES for tag in example.tags or ()) for label in LABELS])
    assert counts * balanced_tag_weights(LABELS, EXAMPLES) == pytest.approx(counts.sum() / len(LABELS))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_entities_are_those_of_transformers_pipeline(family: str, tiny: Callable[..., Any], library: Any) -> None:
    made = tiny(family, (TAG,), **TASK.config)
    pipeline = library.pipeline("token-classification", model=str(made.folder), aggregation_strategy="first", device="cpu")
    texts = [" ".join(example.words) for example in EXAMPLES] + ["bob jones bought acme for 12 euros on monday", "x"]
    examples = [words_of(text) for text in texts]
    items = TASK.items(examples, made.tokenizer, max_length=128).items
    found = TASK.predictions(examples, items, run(TASK, made.model, items, made.reading))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a byte-level tokenizer's words are a guess
        theirs = [pipeline(text) for text in texts]
    assert sum(map(len, theirs)) > 15  # enough to tell
    for ours, wanted, text in zip(found, theirs, texts, strict=True):
        assert [(each.label, each.start, each.end) for each in ours.entities] == [(each["entity_group"], each["start"], each["end"]) for each in wanted]
        assert [each.score for each in ours.entities] == pytest.approx([float(each["score"]) for each in wanted], abs=1e-5)
        assert all(each.text == text[each.start : each.end] for each in ours.entities)


def test_where_words_are_pieces_the_simple_pipeline_finds_the_same(tiny: Callable[..., Any], library: Any) -> None:
    made = tiny("bert", (TAG,), **TASK.config)
    text = "the capital of france is paris and anna works there since may 1998"
    example = words_of(text)
    items = TASK.items([example], made.tokenizer, max_length=128).items
    assert items[0].length == len(example.words) + 2
    (found,) = TASK.predictions([example], items, run(TASK, made.model, items, made.reading))
    theirs = library.pipeline("token-classification", model=str(made.folder), aggregation_strategy="simple", device="cpu")(text)
    assert [(each.label, each.start, each.end) for each in found.entities] == [(each["entity_group"], each["start"], each["end"]) for each in theirs]


def test_a_tiny_model_learns_ten_sentences(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (TAG,), num_labels=len(LABELS), initializer_range=0.1)
    items = TASK.items(EXAMPLES, made.tokenizer, max_length=64).items
    batch = TASK.batch(items, numbers=np.arange(10), reading=made.reading)
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        (TASK.losses(made.model, batch)["loss"].sum / batch.weights["loss"]).backward()
        optimizer.step()
    found = TASK.predictions(EXAMPLES, items, run(TASK, made.model, items, made.reading))
    assert [each.tags for each in found] == [example.tags for example in EXAMPLES]
    assert all(each.loss is not None and each.loss < 0.1 for each in found)
    assert found[0].entities[0] == Entity(label="PER", text="anna smith", start=0, end=10, score=found[0].entities[0].score)
    assert TASK.metrics(EXAMPLES, found)["f1"] == 1


def test_a_words_label_stands_at_its_first_piece(bert: Tokenizer) -> None:
    assert shown(bert, sentence("anna's rome 1998")) == [("anna's", ["anna"]), ("rome", ["r"]), ("1998", ["1998"])]


def test_byte_level_pieces_find_their_words_without_the_space(tokenizer_of: Callable[[str], Tokenizer]) -> None:
    example = sentence("the capital of\u00a0italy 北京 rome")
    found = dict(shown(tokenizer_of("roberta"), example))
    assert list(found) == ["the", "capital", "of", "italy", "北京", "rome"]
    assert found["capital"][0].startswith("Ġ")


def test_a_word_without_a_piece_shifts_nothing_and_is_counted(bert: Tokenizer) -> None:
    example = TagExample(words=("anna", "\u200b\u200e", "rome", "", "paris"), tags=("B-PER", "O", "B-LOC", "O", "B-LOC"))
    made = TASK.items([example], bert, max_length=64)
    assert [example.words[word] for word in made.items[0].kept.words] == ["anna", "rome", "paris"]
    assert made.items[0].target == [1, 3, 3]
    assert made.said == ("2 words without a piece in this vocabulary are taken for no part of an entity, unless one goes on around them",)


@pytest.mark.parametrize(
    ("labels", "tags"),
    [
        (("B-PER", "I-PER", "O"), ("B-PER", "I-PER", "I-PER", "O", "O")),  # in the midst of an entity
        (("B-PER", "B-PER", "O"), ("B-PER", "O", "B-PER", "O", "O")),
        (("O", "I-PER", "I-LOC"), ("O", "O", "B-PER", "O", "B-LOC")),  # nothing began these
    ],
)
def test_the_tags_of_words_without_pieces_keep_entities_whole(bert: Tokenizer, labels: tuple[str, ...], tags: tuple[str, ...]) -> None:
    example = TagExample(words=("anna", "\u200b", "rome", "\u200b", "paris"))
    items = TASK.items([example], bert, max_length=64).items
    output = np.full((items[0].length, len(LABELS)), -9, dtype=np.float32)
    for place, label in zip(items[0].kept.places, labels, strict=True):
        output[place, LABELS.index(label)] = 0
    (found,) = TASK.predictions([example], items, [output])
    assert found.tags == tags


def test_characters_that_share_a_piece_go_on_with_its_tag(bert: Tokenizer) -> None:
    words = tuple("北京1998大")
    example = TagExample(words=words, tags=("B-LOC", "I-LOC", "B-PER", "I-PER", "I-PER", "I-PER", "O"))
    made = TASK.items([example], bert, max_length=64)
    assert [words[word] for word in made.items[0].kept.words] == ["北", "京", "1", "大"]
    assert made.said == ("3 words have their piece in common with the word before them, and go on with its tag",)
    output = np.full((made.items[0].length, len(LABELS)), -9, dtype=np.float32)
    output[made.items[0].kept.places, made.items[0].target] = 0
    (found,) = TASK.predictions([example], made.items, [output])
    assert found.tags == example.tags
    assert [each.text for each in found.entities] == ["北京", "1998"]


def test_a_text_that_is_given_is_tokenized_as_it_stands(bert: Tokenizer) -> None:
    example = TagExample(words=("anna", "'s", "rome"), text="anna's  rome!", spans=((0, 4), (4, 6), (8, 12)))
    (item,) = TASK.items([example], bert, max_length=64).items
    assert item.rows[0].ids == bert.encode("anna's  rome!").ids
    assert [bert.vocab[item.rows[0].ids[place]] for place in item.kept.places] == ["anna", "'", "r"]


def test_each_word_of_a_long_text_counts_once_where_it_has_most_context(bert: Tokenizer) -> None:
    example = TagExample(words=("the",) * 50, tags=("O",) * 50)
    items = Tagging(labels=LABELS, stride=4).items([example], bert, max_length=22).items
    assert [len(item.rows[0].ids) for item in items] == [22, 22, 22]
    assert [word for item in items for word in item.kept.words] == list(range(50))
    for item in items:
        first = item.kept.words[0] - item.kept.places[0]  # the word at place 0 of the row
        for word, place in zip(item.kept.words, item.kept.places, strict=True):
            assert word - place == first
            assert min(place, 21 - place) >= 2 or word in (0, 49)
    outputs = [np.log(np.full((22, len(LABELS)), 0.1 * (number + 1), dtype=np.float32)) for number in range(3)]
    for output in outputs:
        output[:, 1] += 0.01
    (found,) = TASK.predictions([example], items, outputs)
    assert found.tags == ("B-PER",) * 50
    scores = [each.score for each in found.entities]
    assert scores == sorted(scores)
    assert len({round(score, 3) for score in scores}) == 3


def test_a_text_of_100_000_words_is_tagged_in_windows(bert: Tokenizer) -> None:
    example = TagExample(words=("paris", "acmes") * 50_000)
    began = time.perf_counter()
    made = TASK.items([example], bert, max_length=128)
    outputs = [np.zeros((item.length, len(LABELS)), dtype=np.float32) for item in made.items]
    (found,) = TASK.predictions([example], made.items, outputs)
    assert time.perf_counter() - began < 10
    assert found.tags == ("O",) * 100_000
    assert made.truncated == 0
    assert max(item.length for item in made.items) == 128


def test_what_cannot_be_is_refused_all_at_once(bert: Tokenizer) -> None:
    wrong = [
        TagExample(words=("a", "b"), tags=("O",), place=Place("train.txt", "line", 3)),
        TagExample(words=("a", "b"), tags=("O", "O"), text="a b", spans=((0, 1),)),
    ]
    with pytest.raises(InputError) as refused:
        TASK.items(wrong, bert, max_length=64)
    assert refused.value.problems == (
        "train.txt, line 3: 2 words and 1 tags: give one tag for each word",
        "example 2: 2 words and 1 spans: give one span for each word, or no text",
    )
    with pytest.raises(InputError, match="max_seq_length 2 has no room"):
        TASK.items(EXAMPLES, bert, max_length=2)


def test_a_tag_that_the_model_does_not_know_is_not_scored_but_wrong(bert: Tokenizer) -> None:
    example = sentence("anna/B-ORG rome/B-LOC")
    made = TASK.items([example], bert, max_length=64)
    assert made.items[0].target == [-100, 3]
    assert made.said == ("1 words have a tag that is none of the model's: they are not scored by the loss, and wrong by the metrics",)
    output = np.full((made.items[0].length, len(LABELS)), -9, dtype=np.float32)
    output[:, 3] = -0.5
    (found,) = TASK.predictions([example], made.items, [output])
    assert found.loss == 0.5
    assert TASK.metrics([example], [found])["recall"] == 0.5


def test_an_example_without_words_or_pieces_has_no_item_and_an_empty_prediction(bert: Tokenizer) -> None:
    examples = [TagExample(words=(), tags=()), TagExample(words=("\u200b",), tags=("O",)), EXAMPLES[0]]
    made = TASK.items(examples, bert, max_length=64)
    assert [item.example for item in made.items] == [2]
    found = TASK.predictions(examples, made.items, [np.zeros((made.items[0].length, len(LABELS)), dtype=np.float32)])
    assert [each.tags for each in found] == [(), ("O",), ("O",) * 5]


def test_a_batch_to_predict_has_no_targets(tiny: Callable[..., Any]) -> None:
    made = tiny("bert", (TAG,), num_labels=len(LABELS))
    items = TASK.items([TagExample(words=("anna", "left")), TagExample(words=("she",))], made.tokenizer, max_length=64).items
    batch = TASK.batch(items, numbers=np.arange(2), reading=made.reading)
    assert not batch.targets
    with torch.inference_mode():
        assert [output.shape for output in TASK.outputs(made.model, batch)] == [(7, 5), (5, 5)]


def test_pieces_are_aligned_with_words_by_characters() -> None:
    assert align([(0, 4), (5, 6)], [(0, 2), (2, 4), (5, 6)]) == ([0, 1], [0, 2], [])
    assert align([(0, 1), (1, 2), (2, 3)], [(0, 2), (2, 3)]) == ([0, 2], [0, 1], [1])
    assert align([(0, 2), (3, 5)], [(1, 2), (2, 2), (3, 5)]) == ([0, 1], [0, 2], [])
    assert align([(0, 2), (3, 5)], [(3, 5)]) == ([1], [0], [])
    assert align([(0, 2)], []) == ([], [], [])


def test_a_text_without_words_is_cut_into_words(bert: Tokenizer) -> None:
    examples = [TagExample(words=(), text="anna left rome, june 1998."), TagExample(words=("anna", "left"))]
    items = TASK.items(examples, bert, max_length=64).items
    outputs = [np.zeros((item.length, len(LABELS)), dtype=np.float32) for item in items]
    outputs[0][1, 1] = 1
    found = TASK.predictions(examples, items, outputs)
    assert [each.words for each in found] == [("anna", "left", "rome", ",", "june", "1998", "."), ("anna", "left")]
    assert found[0].entities[0].text == "anna"
    assert found[1].text == "anna left"


def test_tags_without_prefixes_are_measured_word_by_word() -> None:
    task = Tagging(labels=("NOUN", "VERB", "DET"))
    assert (task.metric, TASK.metric, Tagging(labels=("NOUN",), metric="f1_macro").metric) == ("accuracy", "f1", "f1_macro")
    examples = [TagExample(words=("a", "b", "c"), tags=("NOUN", "VERB", "VERB")), TagExample(words=("d",), tags=("NOUN",))]
    found = [Tagged(text="", words=(), tags=tags, entities=()) for tags in (("NOUN", "NOUN", "VERB"), ("NOUN",))]
    assert task.metrics(examples, found) == {"accuracy": 0.75, "f1_macro": pytest.approx((0.8 + 2 / 3) / 2)}
