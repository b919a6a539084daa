"""The model card of a fine-tuned checkpoint: a header that the hub reads, and what a reader needs to know."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData

from bertwright.training.card import finetuned_card, hub_name, start_name

RESULTS: dict[str, Any] = {
    "task": "classify",
    "metric": "f1_macro",
    "splits": {
        "validation": {"rows": 20, "metrics": {"accuracy": 0.9, "f1_macro": 0.85}, "intervals": {"accuracy": [0.8, 0.97]}, "baseline": {"accuracy": 0.35}},
        "test": {"rows": 10, "metrics": {"accuracy": 0.8, "f1_macro": float("nan")}, "intervals": {}, "baseline": {}},
    },
    "training": {"steps": 1200, "seconds": 90.0, "best_step": 800},
}
CONFIG: dict[str, Any] = {
    "checkpoint": "org/start",
    "train": "tweets.csv",
    "learning_rate": 5e-5,
    "batch_size": 32,
    "seed": 0,
    "ema_decay": 0.0,
    "max_seq_length": 128,
}
DATA: dict[str, Any] = {
    "rows": {"train": 100, "validation": 20},
    "label_counts": {"train": {"sad | low": 60, "glad": 40}},
    "warnings": ['3 texts stand with different labels, such as "my secret diary" at /home/anna/private/train.csv, line 5: look which is right'],
    "two_labels": 3,
    "conflicts": [{"text": "my secret diary", "labels": ["glad", "sad"], "places": ["/home/anna/private/train.csv, line 5"]}],
    "duplicates": {"train": 2, "validation": 0},
    "overlaps": {"validation": 4},
    "left_out": {"train": {"have no text": 1, "have no label": 1}, "validation": {}},
}


def card(**changes: Any) -> str:
    given = {"results": RESULTS, "config": CONFIG, "data": DATA, "labels": ["sad | low", "glad"], "family": "bert", "name": "BertForSequenceClassification"}
    return finetuned_card(**{**given, **changes})


def read(text: str) -> ModelCardData:
    """The header, as the hub's library understands it."""
    found = ModelCard(text).data
    assert isinstance(found, ModelCardData)
    return found


def test_the_hub_reads_its_header() -> None:
    header = read(card(base_model="org/start", language="en"))
    assert header.pipeline_tag == "text-classification"
    assert header.to_dict()["library_name"] == "transformers"
    assert header.tags == ["bert", "bertwright"]
    assert header.base_model == "org/start"
    assert header.language == "en"
    assert header.metrics == ["f1"]
    assert header.model_name == "start-tweets"
    found = {(one.dataset_split, one.metric_name): (one.metric_type, one.metric_value) for one in header.eval_results or []}
    assert found == {("validation", "accuracy"): ("accuracy", 0.9), ("validation", "f1_macro"): ("f1", 0.85), ("test", "accuracy"): ("accuracy", 0.8)}
    assert {one.dataset_name for one in header.eval_results or []} == {"tweets.csv"}
    assert (header.eval_results or [])[0].metric_name == "f1_macro", "what the checkpoint was chosen by is what the hub shows first"
    assert card().index("| f1_macro | 0.8500") < card().index("| accuracy | 0.9000")


@pytest.mark.parametrize("path", ["/home/anna/private/tweets.csv", "C:\\Users\\anna\\private\\tweets.csv", "../private/tweets.csv", "private/tweets.csv/"])
def test_a_card_that_is_published_says_no_path_and_quotes_no_row(path: str) -> None:
    text = card(config={**CONFIG, "train": path})
    assert "fine-tuned on tweets.csv" in text
    assert {one.dataset_name for one in read(text).eval_results or []} == {"tweets.csv"}
    for secret in ("anna", "private", "diary", "line 5"):
        assert secret not in text


def test_several_labels_are_told_as_such() -> None:
    text = card(several=True)
    assert "gives a text any of 2 labels, several of them or none: sad | low, glad." in text
    assert '.classify("some text").labels)' in text
    assert "one of 2 labels" not in text
    assert "one of 2 labels" in card()


def test_what_is_not_known_is_not_claimed() -> None:
    header = card().split("---")[1]
    assert "base_model" not in header
    assert "language" not in header
    assert "datasets" not in header


def test_a_glue_task_is_named_as_the_hub_has_it() -> None:
    header = read(card(config={**CONFIG, "glue": "sst2", "train": "train.tsv"}))
    assert header.datasets == ["nyu-mll/glue"]
    assert {(one.dataset_type, one.dataset_config) for one in header.eval_results or []} == {("nyu-mll/glue", "sst2")}


def test_results_stand_beside_the_baseline_with_their_intervals() -> None:
    text = card()
    assert "| accuracy | 0.9000 | 0.8000 to 0.9700 | 0.3500 |" in text
    assert "**validation**, 20 rows" in text
    assert "**test**, 10 rows" in text
    assert "which flatters it" not in text


def test_data_settings_and_limits_are_told() -> None:
    text = card()
    assert "Rows: 100 train, 20 validation." in text
    assert "| sad \\| low | 60 |" in text
    assert "- 3 texts stand with different labels.\n- 2 training rows repeat an earlier one word for word.\n- 4 validation rows stand" in text
    assert "- 2 train rows were left out" in text
    assert "| learning_rate | 5e-05 |" in text
    assert "| seed | 0 |" in text
    assert "ema_decay" not in text
    assert "1,200 steps in 1.5 minutes; the best checkpoint is that of step 800." in text
    assert "It reads 128 tokens at once; longer texts are cut there." in text


def test_a_training_that_goes_on_has_a_card_too() -> None:
    going = {"task": "classify", "metric": "accuracy", "step": 1200, "splits": {"validation": {"metrics": {"accuracy": 0.5}}}}
    text = card(results=going, data={})
    assert "**Saved in the middle of its training**, after step 1,200" in text
    assert "**validation**, at the last evaluation before it was saved" in text
    assert "The checkpoint was chosen" not in text
    assert "which flatters it" in text
    assert "Saved in the middle" not in card()
    assert read(card(results={**going, "splits": {"validation": {"metrics": {}}}})).eval_results is None


@pytest.mark.parametrize("task", ["classify", "regress", "tag", "answer", "choice", "embed", "generate"])
def test_every_task_has_a_card_whose_examples_are_python(task: str) -> None:
    text = card(results={**RESULTS, "task": task}, labels=["O", "B-PER", "I-PER"])
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "card", "exec")
    assert read(text).to_dict()["library_name"] == ("sentence-transformers" if task == "embed" else "transformers")


def test_tags_are_told_as_kinds() -> None:
    assert "marks spans of a text as PER, LOC." in card(results={**RESULTS, "task": "tag"}, labels=["O", "B-PER", "I-PER", "B-LOC"])


def test_only_the_hubs_cache_tells_a_name() -> None:
    assert hub_name(Path("/home/a/.cache/huggingface/hub/models--google--bert_x/snapshots/0a1b")) == "google/bert_x"
    assert hub_name(Path("/home/a/models/bert")) is None
    assert hub_name(Path("runs/models--a/checkpoints/step-1")) is None


def test_a_start_is_called_by_a_name_and_no_path() -> None:
    assert start_name(Path("/home/a/.cache/huggingface/hub/models--google--bert_x/snapshots/0a1b")) == "google/bert_x"
    assert start_name(Path("/home/anna/runs/py/checkpoints/step-000500")) == "py"
    assert start_name(Path("/home/anna/models/bert")) == "bert"
