"""Which task labelled data and saved folders are for, and which keys it has a use for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertwright.architecture import CHOICE, CLASSIFY, LM, MLM, SPAN, TAG, HeadKind
from bertwright.checkpoints.sentence_transformers import SentenceFolder
from bertwright.data.labelled.examples import (
    Answer,
    ChoiceExample,
    EmbedExample,
    LabelledData,
    QuestionExample,
    TagExample,
    TaskName,
    TextExample,
    WriteExample,
)
from bertwright.errors import InputError
from bertwright.tasks.answering import Answering
from bertwright.tasks.choice import Choice
from bertwright.tasks.classification import Classification
from bertwright.tasks.embedding import Embedding
from bertwright.tasks.registry import OPTIONS, Start, TaskOptions, label_names, task_for, task_of, write_beside
from bertwright.tasks.regression import Regression
from bertwright.tasks.tagging import Tagging
from bertwright.tasks.task import Task
from bertwright.tasks.writing import Writing

LABELS = ("bad", "fine", "good")
TAGS = ("B-PER", "I-PER", "O")
QUESTION = QuestionExample(id="1", question="who", context="anna smith", answers=(Answer(text="anna", start=0),))
UNANSWERED = QuestionExample(id="2", question="where", context="anna smith", answers=())
DATA: dict[TaskName, LabelledData] = {
    "classify": LabelledData(name="t", task="classify", labels=LABELS, examples=[TextExample(text="a", label=name) for name in ("bad", "bad", "fine", "good")]),
    "regress": LabelledData(name="t", task="regress", examples=[TextExample(text="a", label=1.5)]),
    "tag": LabelledData(name="t", task="tag", labels=TAGS, examples=[TagExample(words=("anna", "left"), tags=("B-PER", "O"))]),
    "answer": LabelledData(name="t", task="answer", examples=[QUESTION]),
    "choice": LabelledData(name="t", task="choice", examples=[ChoiceExample(text="who", choices=("anna", "bob"), label=1)]),
    "embed": LabelledData(name="t", task="embed", examples=[EmbedExample(texts=("anna", "smith"))]),
    "generate": LabelledData(name="t", task="generate", examples=[WriteExample(source="who", target="anna")]),
}
KINDS: dict[TaskName, type[Any]] = {
    **{"classify": Classification, "regress": Regression, "tag": Tagging, "answer": Answering, "choice": Choice, "embed": Embedding, "generate": Writing}
}
HEADS: dict[TaskName, tuple[HeadKind, ...]] = {
    **{"classify": (CLASSIFY,), "regress": (CLASSIFY,), "tag": (TAG,), "answer": (SPAN,), "choice": (CHOICE,), "embed": (), "generate": (LM,)}
}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64, "architectures": ["GPT2LMHeadModel"]}


@pytest.fixture
def saved(tiny: Callable[..., Any], tokenizer_of: Callable[[str], Any], tmp_path: Path) -> Callable[..., Path]:
    """(task, **keys of config.json) -> a folder with the heads of a task."""

    def of(task: TaskName, **keys: Any) -> Path:
        if task != "generate":
            made: Path = tiny("bert", HEADS[task], **keys).folder
            return made
        tokenizer = tokenizer_of("roberta")
        tokenizer.save(tmp_path / "gpt2", max_length=64)
        config = {**GPT2, "vocab_size": tokenizer.vocab_size, "bos_token_id": tokenizer.cls_id, "eos_token_id": tokenizer.sep_id, **keys}
        (tmp_path / "gpt2" / "config.json").write_text(json.dumps(config))
        return tmp_path / "gpt2"

    return of


def asked(folder: Path, data: LabelledData, **options: Any) -> Task:
    return task_for(data, TaskOptions(**options), Start.of(folder), max_length=32)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "generate"])
def test_data_and_what_is_saved_of_it_are_for_the_same_task(name: TaskName, saved: Callable[..., Path], tmp_path: Path, tiny: Callable[..., Any]) -> None:
    task = asked(saved(name), DATA[name])
    assert (type(task), task.name) == (KINDS[name], name)
    folder = tiny("bert", HEADS[name], **task.config).folder
    write_beside(task, Start.of(folder), folder, max_length=32)
    served = task_of(folder)
    assert (type(served), served.name if served else None) == (KINDS[name], name)
    assert served is not None
    assert dict(served.config) == dict(task.config)
    assert served.metric == task.metric


def test_a_decoder_writes(saved: Callable[..., Path]) -> None:
    folder = saved("generate")
    assert type(asked(folder, DATA["generate"])) is Writing
    assert type(task_of(folder)) is Writing


def test_a_folder_of_pre_training_serves_no_task(tiny: Callable[..., Any]) -> None:
    assert task_of(tiny("bert", (MLM,)).folder) is None


@pytest.mark.parametrize("several", [False, True])
def test_several_labels_stay_several(several: bool, saved: Callable[..., Path], tiny: Callable[..., Any]) -> None:
    examples = [TextExample(text="a", label=("bad", "good") if several else "bad")]
    data = LabelledData(name="t", task="classify", labels=LABELS, several=several, examples=examples)
    task = asked(saved("classify"), data)
    assert task == Classification(labels=LABELS, several=several)
    assert task_of(tiny("bert", (CLASSIFY,), **task.config).folder) == task


@pytest.mark.parametrize("labels", [(), ("bad",)])
def test_one_label_that_rows_have_or_not_is_refused_before_the_training(labels: tuple[str, ...], saved: Callable[..., Path]) -> None:
    examples = [TextExample(text="a", label=labels), TextExample(text="b", label=())]
    data = LabelledData(name="t.csv", task="classify", labels=labels, several=True, examples=examples)
    with pytest.raises(InputError, match=f"rows may have several labels, and t.csv has {len(labels)} to learn: give rows of two or more"):
        asked(saved("classify"), data)


def test_one_output_is_a_number(saved: Callable[..., Path]) -> None:
    """As transformers reads num_labels 1, whether or not a folder says its problem type."""
    assert task_of(saved("classify", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})) == Regression()
    assert label_names({"num_labels": 1}) == ("LABEL_0",)


def test_labels_are_in_the_order_of_their_ids(saved: Callable[..., Path]) -> None:
    names = {str(number): f"name {number}" for number in (10, 2, 0, 11, 1, 9, 3, 8, 4, 7, 5, 6)}
    expected = tuple(f"name {number}" for number in range(12))
    assert task_of(saved("classify", id2label=names)) == Classification(labels=expected)
    assert task_of(saved("tag", id2label=names)) == Tagging(labels=expected)
    assert label_names({}) == ("LABEL_0", "LABEL_1")


def test_a_folder_says_whether_no_answer_is_an_answer(saved: Callable[..., Path]) -> None:
    with_none = LabelledData(name="t", task="answer", examples=[QUESTION, UNANSWERED])
    assert asked(saved("answer"), with_none) == Answering(no_answer=True)
    assert asked(saved("answer"), DATA["answer"]) == Answering(no_answer=False)
    assert task_of(saved("answer", **Answering(no_answer=True).config)) == Answering(no_answer=True)
    assert task_of(saved("answer")) == Answering(no_answer=False)


def test_options_reach_the_task_that_has_a_use_for_them(saved: Callable[..., Path]) -> None:
    task = asked(saved("classify"), DATA["classify"], label_smoothing=0.1, class_weights="balanced", r_drop=0.5, metric="f1_macro")
    assert task == Classification(labels=LABELS, smoothing=0.1, weights=(4 / 6, 4 / 3, 4 / 3), r_drop=0.5, metric="f1_macro")
    tagging = asked(saved("tag"), DATA["tag"], label_smoothing=0.1, class_weights="balanced", doc_stride=4)
    assert isinstance(tagging, Tagging)
    assert (tagging.stride, tagging.smoothing, tagging.weights is None) == (4, 0.1, False)
    assert asked(saved("answer"), DATA["answer"], doc_stride=5) == Answering(stride=5, no_answer=False)
    embedding = asked(saved("embed"), DATA["embed"], pooling="max")
    assert isinstance(embedding, Embedding)
    assert embedding.pooling == "max"


def test_several_labels_are_weighed_by_their_negatives(saved: Callable[..., Path]) -> None:
    examples = [TextExample(text="a", label=label) for label in (("bad", "good"), ("bad",), (), ("good", "bad"))]
    data = LabelledData(name="t", task="classify", labels=("bad", "good"), several=True, examples=examples)
    assert asked(saved("classify"), data, class_weights="balanced") == Classification(labels=("bad", "good"), several=True, weights=(1 / 3, 2 / 2))


@pytest.mark.parametrize("name", [name for name in KINDS if name != "generate"])
def test_each_option_without_a_use_is_refused(name: TaskName, saved: Callable[..., Path]) -> None:
    given = {"label_smoothing": 0.1, "class_weights": "balanced", "r_drop": 0.5, "pooling": "max", "doc_stride": 4}
    useless = [key for key in given if key not in OPTIONS[name]]
    with pytest.raises(InputError) as refused:
        asked(saved(name), DATA[name], **given)
    assert refused.value.problems == tuple(f"{key} is {given[key]}, and task {name} has no use for it: leave it out" for key in useless)


def test_a_start_that_lacks_a_head_is_refused_beside_the_options(saved: Callable[..., Path]) -> None:
    with pytest.raises(InputError) as refused:
        asked(saved("generate"), DATA["choice"], r_drop=0.5)
    first, second = refused.value.problems
    assert first.startswith("r_drop is 0.5")
    assert "task choice needs a choice head" in second
    assert "gpt2" in second


def test_a_folder_of_sentence_transformers_embeds(saved: Callable[..., Path]) -> None:
    folder = saved("embed")
    assert task_of(folder) is None
    task = asked(folder, DATA["embed"], pooling="cls")
    assert isinstance(task, Embedding)
    write_beside(task, Start.of(folder), folder, max_length=32)
    served = task_of(folder)
    assert isinstance(served, Embedding)
    assert task.folder(max_length=32) == SentenceFolder(pooling="cls", normalised=task.normalised, max_length=32) == served.folder(max_length=32)
