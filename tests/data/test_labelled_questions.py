"""Questions: SQuAD's two versions and flat rows; answers found where they stand, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import Answer
from bertwright.data.labelled.reading import read_labelled, read_splits
from bertwright.data.labelled.rows.questions import locate
from bertwright.errors import InputError

CONTEXT = "Anna met Bob in Rome. Later Anna met Carl in Rome."


def squad(questions: list[dict[str, Any]], *, version: str = "1.1", contexts: int = 2) -> str:
    """A file of SQuAD with the questions in each of several paragraphs."""
    paragraphs = [
        {
            "context": f"{CONTEXT} Paragraph {number}.",
            "qas": [{**question, "id": f"{question.get('id', index)}/{number}"} for index, question in enumerate(questions)],
        }
        for number in range(contexts)
    ]
    return json.dumps({"version": version, "data": [{"title": "A", "paragraphs": paragraphs}]})


def question(text: str, start: int, **more: Any) -> dict[str, Any]:
    return {"question": f"Who is {text}?", "answers": [{"text": text, "answer_start": start}], **more}


def test_version_1(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(squad([question("Anna", 0), question("Rome", 45)], contexts=5))
    splits = read_splits(str(tmp_path / "a.json"), DataConfig())
    assert splits.train.task == "answer"
    assert (len(splits.train.examples), len(splits.validation.examples)) == (8, 2)
    assert not {example.context for example in splits.train.examples} & {example.context for example in splits.validation.examples}
    first = splits.train.examples[0]
    assert (first.question, first.answers, str(first.place)) == ("Who is Anna?", (Answer(text="Anna", start=0),), f"{tmp_path}/a.json, question 1")


def test_version_2_has_questions_without_an_answer(tmp_path: Path) -> None:
    impossible = {"question": "Who is Dora?", "answers": [], "is_impossible": True, "plausible_answers": [{"text": "Anna", "answer_start": 0}]}
    (tmp_path / "a.json").write_text(squad([question("Anna", 0, is_impossible=False), impossible], version="v2.0"))
    splits = read_splits(str(tmp_path / "a.json"), DataConfig())
    assert {example.question: example.answers for example in splits.train.examples} == {"Who is Anna?": (Answer(text="Anna", start=0),), "Who is Dora?": ()}
    assert any("2 questions have no answer in their context" in line for line in splits.said)


ROWS: dict[str, dict[str, Any]] = {
    "as Hugging Face has it": {"id": "q", "title": "T", "answers": {"text": ["Rome", "Anna"], "answer_start": [16, 0]}},
    "a list of answers": {"answers": [{"text": "Rome", "answer_start": 16}, {"text": "Anna", "answer_start": 0}]},
    "texts alone": {"answers": ["Rome", "Anna"]},
}


@pytest.mark.parametrize("case", ROWS)
def test_flat_rows(tmp_path: Path, case: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "Where?", "context": CONTEXT, **ROWS[case]}) + "\n")
    (example,) = read_labelled(str(tmp_path / "a.jsonl"), task="answer", config=DataConfig()).examples
    assert example.answers == (Answer(text="Rome", start=16), Answer(text="Anna", start=0))


def test_a_table_with_the_answer_in_two_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'question,context,answer,answer_start\nWhere?,"{CONTEXT}",Rome,45\nWho?,"{CONTEXT}",Bob,\n')
    data = read_labelled(str(tmp_path / "a.csv"), task="answer", config=DataConfig())
    assert [example.answers for example in data.examples] == [(Answer(text="Rome", start=45),), (Answer(text="Bob", start=9),)]


@pytest.mark.parametrize(
    ("text", "start", "found"),
    [
        ("Rome", 16, (16, False)),
        ("Rome", 18, (16, True)),
        ("Rome", 44, (45, True)),
        ("Rome", 900, (45, True)),
        ("Rome", -3, (16, True)),
        ("Rome", None, (16, False)),
        (" Carl ", 36, (36, False)),
        ("Carl!", 37, None),
        ("  Carl  ", 36, (37, True)),
        ("", 3, None),
    ],
)
def test_the_nearest_place_of_an_answer_is_taken(text: str, start: int | None, found: tuple[int, bool] | None) -> None:
    located = locate(CONTEXT, text, start)
    assert (None if located is None else (located[0].start, located[1])) == found
    if located:
        answer = located[0]
        assert CONTEXT[answer.start : answer.start + len(answer.text)] == answer.text


def test_moved_answers_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(squad([question("Rome", 40), question("Anna", 0)]))
    splits = read_splits(str(tmp_path / "a.json"), DataConfig())
    assert any("2 answers stand elsewhere in their context" in line for line in splits.said)


def test_characters_that_a_tokenizer_drops_do_not_move_answers(tmp_path: Path) -> None:
    context = "A soft\u00adhyphen, a zero\u200bwidth space, a bell \x07 and Rome."
    row = {"question": "Where?", "context": context, "answers": [{"text": "Rome", "answer_start": context.index("Rome")}]}
    for escaped in (True, False):
        (tmp_path / "a.jsonl").write_text(json.dumps(row, ensure_ascii=escaped) + "\n")
        (example,) = read_labelled(str(tmp_path / "a.jsonl"), task="answer", config=DataConfig()).examples
        assert example.answers == (Answer(text="Rome", start=context.index("Rome")),)


REFUSED: dict[str, tuple[str, str]] = {
    "an answer that is not there": (
        squad([question("Anna", 0), question("Dora", 3)]),
        r"2 rows whose answer is not in the context \(questions 2 and 4\): mend the answer",
    ),
    "no answers": (squad([question("Anna", 0), {"question": "Who?"}]), r"2 rows without answers \(questions 2 and 4\)"),
    "a blank question": (squad([question("Anna", 0), {"question": " ", "answers": []}]), r"2 rows without a question"),
    "an id twice": (
        squad([question("Anna", 0, id="q"), question("Rome", 16, id="q")]),
        r"2 rows with the id of an earlier question \(questions 2 and 4\): give each its own",
    ),
    "an article without paragraphs": (json.dumps({"data": [{"paragraphs": []}, {"title": "x"}]}), r"after question 0 an article lacks 'paragraphs'"),
    "cut off": (squad([question("Anna", 0)])[:-9], r"a\.json, row 1: is not JSON or is cut off"),
    "answers of another kind": (squad([question("Anna", 0), {"question": "Who?", "answers": 7}]), r"question 2: column 'answers' holds a int \(7\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    text, message = REFUSED[case]
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_splits(str(tmp_path / "a.json"), DataConfig(task="answer"))


def test_questions_without_ids_in_several_parts_are_told_apart(tmp_path: Path) -> None:
    for part in range(2):
        rows = [{"question": f"Who {part}{n}?", "context": f"Anna ate {part}{n}.", "answers": ["Anna"]} for n in range(4)]
        (tmp_path / f"train-{part}-of-2.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = read_splits(str(tmp_path), DataConfig())
    assert len({example.id for example in (*splits.train.examples, *splits.validation.examples)}) == 8


def test_bad_questions_are_left_out_where_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(squad([question("Anna", 0), question("Dora", 3)]))
    splits = read_splits(str(tmp_path / "a.json"), DataConfig(drop_bad_rows=True))
    assert splits.train.left_out == {"whose answer is not in the context": 2}


def test_a_file_longer_than_a_row_of_json_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bertwright.data import readers, tables

    monkeypatch.setattr(readers, "CHUNK", 100)
    monkeypatch.setattr(tables, "LONGEST_ROW", 300)
    (tmp_path / "a.json").write_text(squad([question("Anna", 0)], contexts=20))
    assert len(read_labelled(str(tmp_path / "a.json"), task="answer", config=DataConfig()).examples) == 20
