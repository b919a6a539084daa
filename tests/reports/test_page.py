"""The page of a run: whole, self-contained, escaped, and decent when files are missing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertwright.errors import InputError
from bertwright.reports.content import Page, Prose, Section
from bertwright.reports.drawing import COLOURS, GRID, INK, MUTED
from bertwright.reports.page import render, write_comparison, write_report
from bertwright.reports.reading import read_run

PNG = b"\x89PNG\r\n\x1a\n"
SECTIONS = (
    "Result",
    "The data",
    "Label frequencies",
    "Text lengths",
    "Curves",
    "Confusion matrix, test",
    "Label by label, test",
    "Calibration, test",
    "Hardest examples, test",
    "Time and memory",
    "Settings",
    "Environment",
    "How to load it",
)
Ask = Callable[[Path], Any]
LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, run_of: Callable[..., Path]) -> Path:
    """The page of a run of six labels."""
    run = run_of(tmp_path_factory.mktemp("told") / "emotion", LABELS, count=120)
    shutil.copy(run / "predictions" / "validation.jsonl", run / "predictions" / "test.jsonl")
    return write_report(run, examples=0)


def test_a_fine_tuning_is_told_whole_in_one_file(told: Path, ask: Ask) -> None:
    page = ask(told)
    for section in SECTIONS:
        assert section in page.texts
    for said in ("0.8320", "95%: 0.812 to 0.870", "without reading: 0.337", "1 min 33 s", "1.1 GiB", "bert-mini", "sadness", "2.13.0", "bertwright.load("):
        assert said in page.text, said
    figures = {path.name for path in (told.parent / "figures").iterdir()}
    wanted = ("label_frequencies", "text_lengths", "loss", "eval_accuracy", "confusion_matrix", "confusion_matrix_normalised", "calibration", "throughput")
    assert {f"{name}.png" for name in wanted} <= figures
    assert all((told.parent / "figures" / name).read_bytes().startswith(PNG) for name in figures)


def test_every_figure_has_words_for_who_cannot_see_it(told: Path, ask: Ask) -> None:
    page = ask(told)
    drawn = [attributes for attributes in page.named("div") if attributes.get("role") == "img"]
    assert len(drawn) == len(page.named("svg")) >= 6
    assert all(len(str(attributes["aria-label"])) > 20 for attributes in drawn)
    assert all(attributes.get("aria-hidden") == "true" for attributes in page.named("svg"))


def test_it_needs_no_script_and_nothing_from_outside(told: Path, ask: Ask) -> None:
    page = ask(told)
    assert page.named("script") == []
    assert page.named("img") == []
    assert [attributes["href"] for attributes in page.named("link")] == ["data:,"]


def test_figures_take_the_colours_of_the_page(told: Path) -> None:
    """So that they can be read on a dark ground too: none of the light ground's colours stands in a figure."""
    html = told.read_text(encoding="utf-8")
    drawn = html[html.index("<svg") : html.rindex("</svg>")]
    assert "var(--c1)" in drawn
    assert [colour for colour in (*COLOURS.values(), INK, MUTED, GRID) if colour in drawn] == []


EVIL = "<script>alert('x')</script><img src=http://example.com/x.png onerror=alert(1)> & \"quoted\""


@pytest.mark.usefixtures("without_pictures")
def test_what_a_user_wrote_is_text_and_never_markup(emotion: Path, ask: Ask) -> None:
    for name in ("data.json", "results.json", "predictions/test.jsonl", "predictions/validation.jsonl"):
        file = emotion / name
        text = file.read_text(encoding="utf-8").replace("sadness", json.dumps(EVIL)[1:-1])
        file.write_text(text, encoding="utf-8")
    (emotion / "config.yaml").write_text(f"train: {json.dumps(EVIL)}\ncheckpoint: {json.dumps(EVIL)}\ntask: classify\n", encoding="utf-8")
    evil = emotion.rename(emotion.parent / "<script>alert(2)<b>")
    path = write_report(evil, examples=0)
    page = ask(path)
    assert page.named("script") == []
    assert page.named("b") == page.named("img") == []
    assert EVIL in page.text
    assert "<script>alert(2)<b>" in page.text


def test_escaping_is_on_for_every_template() -> None:
    assert "<i>" not in render(Page(title="<i>", subtitle="<i>", sections=[Section("<i>", [Prose("<i>")])])).replace("&lt;i&gt;", "")


@pytest.mark.parametrize("missing", ["results.json", "data.json", "predictions", "metrics.jsonl", "config.yaml"])
@pytest.mark.usefixtures("without_pictures")
def test_a_missing_file_is_said_and_the_rest_is_shown(emotion: Path, missing: str, ask: Ask) -> None:
    gone = emotion / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    page = ask(write_report(emotion, examples=0))
    assert "Result" in page.texts
    if missing != "config.yaml":
        assert f"{missing}{'/' if missing == 'predictions' else ''} is missing" in page.text


@pytest.mark.usefixtures("without_pictures")
def test_a_damaged_file_is_said_and_its_whole_lines_are_kept(emotion: Path, ask: Ask) -> None:
    (emotion / "results.json").write_text("{", encoding="utf-8")
    with (emotion / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 1, "ki')
    page = ask(write_report(emotion, examples=0))
    assert "results.json is no JSON" in page.text
    assert "1 of the lines of metrics.jsonl could not be read" in page.text
    assert "Loss" in page.texts


def test_a_text_with_line_separators_of_unicode_is_one_row(emotion: Path) -> None:
    file = emotion / "predictions" / "test.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"text": "', '"text": "one\u2028two\x85three '), encoding="utf-8")
    run = read_run(emotion)
    assert run.notes == ()
    assert [row["text"].startswith("one\u2028two\x85three ") for row in run.predictions["test"]] == [True] * 120


@pytest.mark.usefixtures("without_pictures")
def test_without_a_data_report_labels_and_lengths_come_from_the_predictions(emotion: Path, ask: Ask) -> None:
    (emotion / "data.json").unlink()
    page = ask(write_report(emotion, examples=0))
    assert "Label frequencies" in page.texts
    assert "Length in words" in page.texts


@pytest.mark.usefixtures("without_pictures")
def test_metrics_that_are_no_numbers_still_make_a_page(emotion: Path, ask: Ask) -> None:
    found = json.loads((emotion / "results.json").read_text(encoding="utf-8"))
    for split in found["splits"].values():
        split["metrics"]["mcc"] = None
        split["intervals"] = {"accuracy": [None, None]}
        split["baseline"] = {}
    (emotion / "results.json").write_text(json.dumps(found), encoding="utf-8")
    assert "0.8320" in ask(write_report(emotion, examples=0)).text


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"has neither metrics\.jsonl nor .* \(it holds notes\.txt\)"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        write_report(tmp_path / "none")
    with pytest.raises(InputError, match="is a file"):
        write_report(tmp_path / "notes.txt")
    with pytest.raises(InputError) as both:
        write_comparison([tmp_path, tmp_path / "none"], out=tmp_path / "page.html")
    assert len(both.value.problems) == 2


@pytest.mark.usefixtures("without_pictures")
def test_the_page_can_lie_elsewhere(emotion: Path, tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "pages").mkdir()
    path = write_report(emotion, out=tmp_path / "pages" / "emotion.html", examples=0)
    assert path == tmp_path / "pages" / "emotion.html"
    assert (tmp_path / "pages" / "figures" / "loss.png").exists()
    assert not (emotion / "report.html").exists()
    assert "Result" in ask(path).texts
