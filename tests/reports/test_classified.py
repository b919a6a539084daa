"""The numbers of a classification's page, against what they count."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bertwright.reports.classified import classified_sections, hard_examples
from bertwright.reports.content import Bars, Confusion, Examples, Folded, Notes, Section, Table
from bertwright.reports.page import write_report
from bertwright.reports.predicted import labelled
from bertwright.reports.reading import read_run

LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")
Ask = Callable[[Path], Any]


def block_of(sections: list[Section], kind: type[Any]) -> Any:
    return next(block for section in sections for block in section.blocks if isinstance(block, kind))


def row(label: Any, probabilities: dict[str, float], *, loss: float | None = 1.0, text: str = "text") -> dict[str, Any]:
    said = max(probabilities, key=lambda name: probabilities[name])
    shown = {"labels": [name for name, value in probabilities.items() if value >= 0.5]} if isinstance(label, list) else {"label": said}
    return {"row": 0, "text": text, "label": label, "prediction": {**shown, "probabilities": probabilities}, "loss": loss}


@pytest.mark.usefixtures("without_pictures")
def test_the_confusion_matrix_counts_right_labels_by_rows(emotion: Path, tmp_path: Path) -> None:
    run = read_run(emotion)
    matrix = block_of(classified_sections(run, "test", tmp_path), Confusion)
    for right, label in enumerate(LABELS):
        for predicted, said in enumerate(LABELS):
            counted = sum(one["label"] == label and one["prediction"]["label"] == said for one in run.predictions["test"])
            assert matrix.counts[right][predicted] == counted
            assert matrix.shares[right][predicted] == pytest.approx(counted / 20)


def test_the_hardest_examples_come_by_loss_and_sure_errors_are_likely_label_errors() -> None:
    rows = [
        row("a", {"a": 0.02, "b": 0.98}, loss=3.9, text="sure and wrong"),
        row("a", {"a": 0.4, "b": 0.6}, loss=0.9, text="wrong"),
        row("b", {"a": 0.45, "b": 0.55}, loss=0.6, text="right"),
        row("a", {"a": 0.001, "b": 0.999}, loss=6.9, text="surest and wrong"),
    ]
    found = labelled(rows, ("a", "b"))
    assert found is not None
    shown = [example for block in hard_examples(found) if isinstance(block, Examples) for example in block.examples]
    assert [example.lines[0].marks[0].text for example in shown] == ["surest and wrong", "sure and wrong", "wrong", "right"]
    assert [example.badge for example in shown] == ["likely label error", "likely label error", "wrong", "right"]
    assert shown[0].bars == [("b", 0.999, "99.9%", "wrong"), ("a", 0.001, "0.1%", "right")]


def test_rows_of_several_labels_have_no_confusion_matrix_and_are_sure_of_decisions() -> None:
    rows = [
        row(["a"], {"a": 0.99, "b": 0.55, "c": 0.01}, loss=0.5),
        row([], {"a": 0.1, "b": 0.2, "c": 0.95}, loss=2.0),
        row(["a", "b"], {"a": 0.9, "b": 0.8, "c": 0.1}, loss=0.1),
    ]
    found = labelled(rows, ("a", "b", "c"))
    assert found is not None
    assert found.several
    assert found.right.tolist() == [False, False, True]
    shown = next(block for block in hard_examples(found) if isinstance(block, Examples)).examples
    assert [example.badge for example in shown] == ["likely label error", "wrong", "right"]
    assert "none" in [mark.text for line in shown[0].lines for mark in line.marks]


def test_a_label_that_training_never_saw_is_counted_and_left_out() -> None:
    found = labelled([row("a", {"a": 0.9, "b": 0.1}), row("new", {"a": 0.9, "b": 0.1}), row(None, {"a": 0.9, "b": 0.1})], ("a", "b"))
    assert found is not None
    assert (len(found.rows), found.strange) == (1, 1)
    assert labelled([{"row": 0, "label": "a"}], ("a",)) is None


@pytest.mark.usefixtures("without_pictures")
def test_a_left_out_label_is_said_on_the_page(emotion: Path, ask: Ask) -> None:
    file = emotion / "predictions" / "test.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"label": "joy", "prediction"', '"label": "elation", "prediction"', 1), encoding="utf-8")
    assert "1 row has a label that the model does not know" in ask(write_report(emotion, examples=0)).text


@pytest.mark.parametrize(
    ("labels", "count"),
    [(("only",), 5), (("yes", "no"), 2), (tuple(f"a rather long label name, number {place}" for place in range(50)), 200), (("财经", "体育"), 12)],
    ids=["one-label", "two-rows", "fifty-labels", "chinese"],
)
def test_any_number_of_labels_makes_a_page(labels: tuple[str, ...], count: int, tmp_path: Path, ask: Ask, run_of: Callable[..., Path]) -> None:
    page = ask(write_report(run_of(tmp_path / "run", labels, count=count), examples=0))
    for label in labels:
        assert label in page.text
    assert "Confusion matrix, validation" in page.texts


@pytest.mark.usefixtures("without_pictures")
def test_the_data_are_counted_in_a_table_and_only_what_no_warning_says_stands_below(emotion: Path) -> None:
    from bertwright.reports.dataset import data_sections

    run = read_run(emotion)
    alone = {"train": ["love"], "validation": [], "test": []}
    absent = {"train": [], "validation": ["love", "fear"], "test": ["love"]}
    data = {**run.data, "overlaps": {"validation": 2, "test": 0, "test_validation": 1}, "one_split_only": alone, "absent": absent}
    data |= {"rows": {**run.data["rows"], "test": 50}}
    blocks = data_sections(replace(run, data=data), emotion / "figures")[0].blocks
    warnings, found = (block.lines for block in blocks if isinstance(block, Notes))
    assert list(warnings) == run.data["warnings"]
    assert list(found) == ["fear: missing from validation"], "that only training has love is a warning of its own"
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in next(block for block in blocks if isinstance(block, Table)).cells}
    assert rows["also in training"] == ["–", f"2 ({2 / data['rows']['validation']:.1%})", "0"]
    assert rows["also in validation"] == ["–", "–", "1 (2.0%)"]
    assert rows["left out"] == ["2", "0", "0"]


@pytest.mark.usefixtures("without_pictures")
def test_the_label_frequencies_are_those_of_the_data_report(emotion: Path, ask: Ask) -> None:
    from bertwright.reports.dataset import data_sections

    run = read_run(emotion)
    bars = block_of(data_sections(run, emotion / "figures"), Bars)
    total = run.data["rows"]["train"]
    assert [bar.label for bar in bars.bars] == list(LABELS)
    assert bars.bars[0].texts[0] == f"403 ({403 / total:.1%})"
    assert max(share for bar in bars.bars for share in bar.shares) == 1


@pytest.mark.usefixtures("without_pictures")
def test_the_calibration_is_counted_in_bins(emotion: Path, tmp_path: Path) -> None:
    sections = {section.title: section for section in classified_sections(read_run(emotion), "test", tmp_path)}
    table = next(block for block in sections["Calibration"].blocks if isinstance(block, Folded)).blocks[0]
    assert isinstance(table, Table)
    assert sum(int(cells[1].text) for cells in table.cells) == 120
