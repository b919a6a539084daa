"""The pages of tasks other than classification, with the fields that fine-tuning writes for each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertwright.inference.predictor import Predictor
from bertwright.objectives.config import OBJECTIVES
from bertwright.reports.account import use_section
from bertwright.reports.answered import marked, right_answers
from bertwright.reports.content import Code, Drawings, Examples, Table
from bertwright.reports.page import write_report
from bertwright.reports.reading import RunFiles, read_run
from bertwright.reports.tagged import tagged_example, tagged_sections
from bertwright.reports.valued import valued_sections
from bertwright.reports.wording import TASKS

Ask = Callable[[Path], Any]


@pytest.fixture
def of_task(tmp_path: Path, folder_of: Any, results_of: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """(task, rows, metric) -> a run folder with these predictions and nothing else but its results."""

    def write(task: str, rows: list[dict[str, Any]], *, metric: str = "f1") -> Path:
        folder = folder_of(tmp_path / task).lines("predictions/validation.jsonl", rows)
        path: Path = folder.json("results.json", results_of([], task=task, metric=metric, values={metric: 0.7})).path
        return path

    return write


def sentence(tags: list[str], said: list[str], *, loss: float = 1.0, words: list[str] | None = None) -> dict[str, Any]:
    words = words or [f"w{place}" for place in range(len(tags))]
    return {"row": 0, "place": "valid.txt, line 3", "words": words, "text": "", "tags": tags, "prediction": {"words": words, "tags": said}, "loss": loss}


def test_entities_are_counted_by_type_and_marked_by_what_became_of_them(of_task: Callable[..., Path], tmp_path: Path, ask: Ask) -> None:
    right = sentence(["B-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"], loss=0.1)
    wrong = sentence(["B-PER", "O", "B-LOC"], ["B-ORG", "O", "B-LOC"], loss=3.0, words=["<b>", "of", "Rome"])
    run = of_task("tag", [right, wrong])
    table = next(block for block in tagged_sections(read_run(run), "validation", tmp_path)[0].blocks if isinstance(block, Table))
    assert [[cell.text for cell in row][1:] for row in table.cells] == [
        ["LOC", "1.000", "1.000", "1.000", "1", "1"],
        ["ORG", "0.000", "0.000", "0.000", "0", "1"],
        ["PER", "0.667", "1.000", "0.500", "2", "1"],
    ]
    example = tagged_example(wrong)
    assert example.badge == "1 missed, 1 wrong"
    assert [(mark.text, mark.tone, mark.note) for line in example.lines for mark in line.marks if mark.tone] == [
        ("<b>", "missed", "PER"),
        ("Rome", "right", "LOC"),
        ("<b>", "wrong", "ORG"),
        ("Rome", "right", "LOC"),
    ]
    page = ask(write_report(run, examples=0))
    assert page.named("b") == []
    assert page.text.index("1 missed, 1 wrong") < page.text.index("w0 w1")


def test_chinese_words_stand_without_spaces(of_task: Callable[..., Path]) -> None:
    row = sentence(["B-ORG", "I-ORG", "O"], ["O", "O", "O"], words=["北", "大", "好"])
    assert "".join(mark.text for mark in tagged_example(row).lines[0].marks) == "北大好"


def test_numbers_are_drawn_and_the_furthest_off_come_first(of_task: Callable[..., Path], tmp_path: Path) -> None:
    rows = [{"row": n, "text": f"text {n}", "label": float(n % 6), "prediction": {"value": n % 6 + (2.0 if n == 7 else 0.1)}, "loss": 0.0} for n in range(30)]
    sections = valued_sections(read_run(of_task("regress", rows, metric="spearman")), "validation", tmp_path)
    examples = next(block for block in sections[1].blocks if isinstance(block, Examples)).examples
    assert examples[0].lines[0].marks[0].text == "text 7"
    assert examples[0].badge == "off by 2"
    assert (tmp_path / "scatter.png").exists()
    assert any(isinstance(block, Drawings) for block in sections[0].blocks)


def test_embedded_pairs_are_judged_by_their_order(of_task: Callable[..., Path], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = []
    for number in range(20):
        base = random.normal(size=8)
        other = base * number + random.normal(size=8) * (20 - number) if number != 19 else -base
        rows.append({"row": number, "texts": [f"one {number}", "other"], "score": number / 4, "prediction": {"vectors": [base.tolist(), other.tolist()]}})
    sections = valued_sections(read_run(of_task("embed", rows, metric="spearman")), "validation", tmp_path)
    first = next(block for block in sections[1].blocks if isinstance(block, Examples)).examples[0]
    assert first.lines[0].marks[0].text == "one 19"
    assert first.badge == "rank 0%, should be 100%"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([{"text": "a", "start": 3}], [("a", 3)]),
        ({"text": ["a", "b"], "answer_start": [3, 5]}, [("a", 3), ("b", 5)]),
        ([["a", 3]], [("a", 3)]),
        ("a", [("a", None)]),
        ([], []),
        (None, []),
    ],
)
def test_right_answers_are_read_however_they_are_written(given: Any, found: list[tuple[str, int | None]]) -> None:
    assert right_answers({"answers": given}) == found


def test_a_context_is_cut_to_what_is_marked_and_overlaps_show_both() -> None:
    text = "x" * 1000 + " spans nine nations " + "y" * 1000
    marks = marked(text, [(1001, 1011, "wrong"), (1007, 1019, "right")])
    assert [(mark.text, mark.tone) for mark in marks if mark.tone] == [("spans ", "wrong"), ("nine", "both"), (" nations", "right")]
    assert marks[0].text == "… "
    assert marks[-1].text == " …"
    assert sum(len(mark.text) for mark in marks) < 500
    assert [mark.tone for mark in marked("short", [])] == [""]


@pytest.mark.parametrize("task", [*TASKS, None])
def test_every_task_tells_how_to_use_its_model(task: str | None, tmp_path: Path) -> None:
    run = RunFiles(path=tmp_path / "a run", kind="finetune", results={"task": task} if task else {})
    codes = {block.language: block.text for block in use_section(run).blocks if isinstance(block, Code)}
    for language, text in codes.items():
        if language != "Command line":
            compile(text, "page", "exec")
    ours = codes["Python"]
    assert f'bertwright.load("{tmp_path}/a run")' in ours
    assert hasattr(Predictor, ours.split(").", 1)[1].split("(")[0])
    theirs = codes.get("sentence-transformers" if task == "embed" else "transformers")
    assert (theirs is None) == (task == "generate")
    assert theirs is None or f'"{tmp_path}/a run/checkpoints/step-000000"' in theirs
    assert theirs is None or '"question-answering"' not in theirs, "transformers 5 has no such pipeline"
    assert f"bertwright predict '{tmp_path}/a run' " in codes["Command line"]
    assert ("\\t" in codes["Command line"]) == (task in ("answer", "choice")), "a question and its context have a tab between"


PRETRAINED = {
    **dict.fromkeys(("mlm+nsp", "mlm", "mlm+sop", "distill"), ".fill_mask("),
    **dict.fromkeys(("clm", "span_corruption", "prefix_lm", "denoising"), ".generate("),
    **{"rtd": ".encode(", "contrastive": ".embed("},
}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_pre_training_tells_how_to_use_its_model(objective: str, tmp_path: Path) -> None:
    def codes(**terms: float) -> dict[str, str]:
        run = RunFiles(path=tmp_path, kind="pretrain", config={"objective": objective}, records=({"kind": "train", "loss": 1.0, **terms},))
        return {block.language: block.text for block in use_section(run).blocks if isinstance(block, Code)}

    found = codes(mlm_loss=1.0)
    assert f'bertwright.load("{tmp_path}"){PRETRAINED[objective]}' in found["Python"]
    masks, command = PRETRAINED[objective] == ".fill_mask(", "finetune" if objective == "rtd" else "predict"
    assert [("[MASK]" in text) for text in found.values()] == [masks] * len(found)
    assert found["Command line"].startswith(f"bertwright {command} {tmp_path} ")
    assert not any("CLASS" in text for text in found.values())
    if objective == "distill":
        assert ".encode(" in codes(relations_loss=1.0)["Python"], "from relations alone no head is learnt"


def test_questions_choices_and_texts_have_their_pages(of_task: Callable[..., Path], ask: Ask) -> None:
    question = {
        "row": 0,
        "question": "How many <b>?",
        "context": "It spans nine nations & more.",
        "answers": [],
        "prediction": {"answer": "nine", "start": 9, "end": 13, "score": 0.5, "no_answer": 0.2},
        "loss": 2.0,
    }
    page = ask(write_report(of_task("answer", [question]), examples=0))
    for said in ("How many <b>?", "no answer", "probability 50.0%", "wrong"):
        assert said in page.text
    choice = {"row": 0, "text": "She", "choices": ["sings", "<i>"], "label": 1, "prediction": {"choice": 0, "text": "sings", "probabilities": [0.9, 0.1]}}
    page = ask(write_report(of_task("choice", [{**choice, "loss": 2.3}]), examples=0))
    assert "90.0%" in page.text
    assert page.named("i") == []
    written = {"row": 0, "source": "a long text", "target": "short", "prediction": {"text": "short"}, "loss": 0.1}
    page = ask(write_report(of_task("generate", [written], metric="rouge1"), examples=0))
    assert "as the target" in page.text
    assert "ROUGE-1, validation" in page.text
