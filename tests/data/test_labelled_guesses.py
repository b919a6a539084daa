"""What a table is taken for by what stands in it: its separator, its header, the column of the labels, lists in cells, classes or quantities."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.examples import LabelledSplits
from bertwright.data.labelled.reading import read_splits
from bertwright.data.labelled.unlabelled import read_to_predict
from bertwright.errors import InputError


def split(folder: Path, text: str, *, name: str = "a.csv", **options: Any) -> LabelledSplits:
    (folder / name).write_text(text)
    return read_splits(str(folder / name), DataConfig(**options))


def lines(names: str, *rows: Any, mark: str = ",") -> str:
    return (names + "\n" if names else "") + "".join(mark.join(map(str, row)) + "\n" for row in rows)


def test_a_label_that_could_be_several_columns_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lang, verdict could each be the label: pass --label_column with one of them$"):
        split(tmp_path, lines("remark,lang,verdict", *((f"some words {n}", "en" if n % 9 else "de", "xyz"[n % 3]) for n in range(30))))
    with pytest.raises(InputError, match=r"toxic, rude could each be the label: .*--label_column toxic,rude if a row may have several"):
        split(tmp_path, lines("remark,toxic,rude", *((f"some words {n}", n % 2, n % 3 // 2) for n in range(30))))
    text = lines("remark,toxic,rude", *((f"some words {n}", n % 2 == 0, n % 3 == 0) for n in range(30)))
    with pytest.raises(InputError, match=r"--label_column toxic,rude if a row may have several"):
        split(tmp_path, text)
    assert split(tmp_path, text, label_column="toxic,rude").train.examples[0].label == ("toxic", "rude")


@pytest.mark.parametrize("name", ["user_id", "reviewerID", "product id"])
def test_columns_of_identifiers_are_no_labels(tmp_path: Path, name: str) -> None:
    rows = [(f"some words {n}", n % 3, ("good", "bad")[n % 2]) for n in range(30)]
    assert split(tmp_path, lines(f"remark,{name},verdict", *rows)).train.columns["label"] == "verdict"
    with pytest.raises(InputError, match="no column for the label"):
        split(tmp_path, lines(f"remark,{name}", *(row[:2] for row in rows)), header=True)


@pytest.mark.parametrize("names", [",remark,verdict", "id,remark,verdict,,"])
def test_a_header_may_leave_names_out(tmp_path: Path, names: str) -> None:
    more = [""] * (names.count(",") - 2)
    splits = split(tmp_path, lines(names, *((n, f"some words {n}", "xy"[n % 2], *more) for n in range(20))))
    assert len(splits.train.examples) + len(splits.validation.examples) == 20
    assert splits.train.columns == {"label": "verdict", "text": "remark"}


def test_a_row_whose_text_is_a_usual_name_is_no_header(tmp_path: Path) -> None:
    rows = [("title", "a"), ("good day", "b"), ("bad day", "a"), ("worse day", "b"), ("fine day", "a"), ("end of it", "b")]
    splits = split(tmp_path, lines("", *rows), text_column="0", label_column="1")
    assert len(splits.train.examples) + len(splits.validation.examples) == 6
    assert split(tmp_path, lines("", *rows)).train.columns == {"text": "0", "label": "1"}


def test_a_header_that_is_read_as_a_row_is_said(tmp_path: Path) -> None:
    text = lines("text,label", *((f"some words {n}", "xy"[n % 2]) for n in range(20)))
    said = "the first line (text, label) is read as a row, since columns are named by number: pass --header if it names them"
    assert any(said in line for line in split(tmp_path, text, text_column="0", label_column="1").said)
    splits = split(tmp_path, text, text_column="0", label_column="1", header=True)
    assert (splits.train.labels, any(said in line for line in splits.said)) == (("x", "y"), False)


def test_a_blank_line_in_a_column_of_texts_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\none text\n\nanother text\n\n")
    with pytest.raises(InputError, match=r"1 row without a text \(line 3\)"):
        list(read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig()).rows)


LISTS: dict[str, tuple[str, Any]] = {
    "JSON": ('"[""a"", ""b""]"', ("a", "b")),
    "Python": ("\"['a', 'b']\"", ("a", "b")),
    "numbers": ('"[0, 1]"', ("0", "1")),
}


@pytest.mark.parametrize("case", LISTS)
def test_lists_in_cells_are_lists(tmp_path: Path, case: str) -> None:
    cell, expected = LISTS[case]
    other = '"[]"' if case == "numbers" else '"[""b""]"'
    splits = split(tmp_path, lines("text,labels", *((f"t {n}", (cell, other)[n % 2]) for n in range(12))))
    assert (splits.train.several, splits.train.labels) == (True, expected)
    assert expected in {example.label for example in splits.train.examples}


def test_words_and_tags_may_be_lists_in_cells(tmp_path: Path) -> None:
    rows = ((f"\"['EU', 'rejects', '{n}']\"", "\"['B-ORG', 'O', 'O']\"") for n in range(12))
    splits = split(tmp_path, lines("tokens,ner_tags", *rows))
    assert splits.train.task == "tag"
    assert (splits.train.examples[0].words[:2], splits.train.examples[0].tags) == (("EU", "rejects"), ("B-ORG", "O", "O"))
    with pytest.raises(InputError, match=r"line 2: \['EU' 'rejects'\] is a list without commas, as numpy prints it"):
        split(tmp_path, lines("tokens,ner_tags", ("\"['EU' 'rejects']\"", "\"['B-ORG' 'O']\""), ("b", "O")), task="tag")


def test_answers_may_be_records_in_cells(tmp_path: Path) -> None:
    rows = ((f"Who {n}?", f"Anna ate {n}.", "\"{'text': ['Anna'], 'answer_start': [0]}\"") for n in range(12))
    assert split(tmp_path, lines("question,context,answers", *rows)).train.examples[0].answers[0].text == "Anna"


@pytest.mark.parametrize("start", ["0", 0.0, " 0"])
def test_where_an_answer_stands_may_be_any_whole_number(tmp_path: Path, start: Any) -> None:
    rows = [{"question": f"who {n}", "context": "Anna ate", "answers": [{"text": "Anna", "answer_start": start}]} for n in range(8)]
    contexts = [{**row, "context": f"Anna ate {n}"} for n, row in enumerate(rows)]
    splits = split(tmp_path, "".join(json.dumps(row) + "\n" for row in contexts), name="a.jsonl")
    assert splits.train.examples[0].answers[0].start == 0
    wrong = [{**contexts[0], "answers": {"text": ["Anna"], "answer_start": ["here"]}}]
    with pytest.raises(InputError, match=r"line 1: answer_start is a str \(here\), not a number of characters"):
        split(tmp_path, json.dumps(wrong[0]) + "\n", name="a.jsonl")


@pytest.mark.parametrize("value", ["Infinity", '"1e999"'])
@pytest.mark.parametrize("options", [{}, {"task": "regress"}])
def test_numbers_without_end_are_refused(tmp_path: Path, value: str, options: dict[str, Any]) -> None:
    rows = "".join(f'{{"text": "t {n}", "score": {n / 7}}}\n' for n in range(9))
    with pytest.raises(InputError, match=r"line 10: column 'score' holds .*, which is no number to learn"):
        split(tmp_path, rows + f'{{"text": "t", "score": {value}}}\n', name="a.jsonl", **options)
    pairs = "".join(f'{{"sentence1": "t {n}", "sentence2": "u", "score": {value}}}\n' for n in range(9))
    with pytest.raises(InputError, match="not a number"):
        split(tmp_path, pairs, name="a.jsonl", task="embed")


@pytest.mark.parametrize("form", ["flat", "list", "feature"])
def test_class_names_in_parquet_are_read(tmp_path: Path, form: str) -> None:
    one = {"names": ["neg", "pos"], "_type": "ClassLabel"}
    feature = {"flat": one, "list": [one], "feature": {"feature": one, "_type": "Sequence"}}[form]
    values = [n % 2 if form == "flat" else [n % 2] for n in range(12)]
    table = pa.table({"text": [f"t {n}" for n in range(12)], "label": values})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"text": {"_type": "Value"}, "label": feature}}})})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_splits(str(tmp_path / "a.parquet"), DataConfig()).train.labels == ("neg", "pos")


def test_decimal_commas(tmp_path: Path) -> None:
    splits = split(tmp_path, lines("text;score", *((f"words, {n}", f"{n},5") for n in range(12)), mark=";"))
    assert splits.train.task == "regress"
    assert {example.label for example in (*splits.train.examples, *splits.validation.examples)} == {n + 0.5 for n in range(12)}
    assert any("0,5 is read as 0.5" in line for line in splits.said)
    pairs = split(tmp_path, lines("sentence1;sentence2;score", *((f"a {n}", "b", "0,5") for n in range(12)), mark=";"), task="embed")
    assert pairs.train.examples[0].score == 0.5


TASKS: dict[str, tuple[str, list[Any], str]] = {
    "150 intents of 1,000 rows": ("label", [n % 150 for n in range(1000)], "classify"),
    "150 intents from 1": ("label", [n % 150 + 1 for n in range(1000)], "classify"),
    "ages": ("label", [20 + n % 48 for n in range(200)], "regress"),
    "each number once": ("label", list(range(100)), "regress"),
    "prices": ("price", [100 * (n % 45) for n in range(200)], "regress"),
    "a score of 45": ("score", [n % 45 for n in range(200)], "regress"),
    "a rating of five": ("rating", [n % 5 + 1 for n in range(200)], "classify"),
    "half stars": ("rating", [n % 10 / 2 for n in range(200)], "regress"),
}


@pytest.mark.parametrize("case", TASKS)
def test_classes_and_quantities(tmp_path: Path, case: str) -> None:
    column, values, task = TASKS[case]
    assert split(tmp_path, lines(f"text,{column}", *((f"words {n}", value) for n, value in enumerate(values)))).train.task == task


def test_most_of_a_hundred_classes_are_enough(tmp_path: Path) -> None:
    drawn = random.Random(0)
    rows = [(f"words {n}", drawn.randrange(100)) for n in range(350)]
    assert split(tmp_path, lines("text,label", *rows)).train.task == "classify"


SEPARATORS: dict[str, tuple[str, str]] = {
    "a comma in every text, semicolons": ("", "well {n}, indeed;{y}\n"),
    "a comma in the header": ('text;label;"a,b"\n', "words {n};{y};1\n"),
    "tabs, commas in every line": ("text\tlabel\n", "words, {n}\t{y}\n"),
    "commas, semicolons in every text": ("", '"words; {n}",{y}\n'),
    "commas, spaces after them": ("text, label\n", "words {n}, {y}\n"),
    "bars": ("text|label\n", "words, {n}|{y}\n"),
    "commas, bars in every label": ("text,label\n", "words {n},{y}|z\n"),
}


@pytest.mark.parametrize("case", SEPARATORS)
def test_the_separator_is_the_one_that_gives_one_width(tmp_path: Path, case: str) -> None:
    header, row = SEPARATORS[case]
    splits = split(tmp_path, header + "".join(row.format(n=n, y="xy"[n % 2]) for n in range(12)), **({} if header else {"text_column": "0"}))
    assert splits.train.labels in (("x", "y"), ("x|z", "y|z"), (" x", " y"))


@pytest.mark.parametrize(("name", "mark"), [("a.tsv", ","), ("a.csv", "，")])
def test_another_separator_is_named_in_the_error(tmp_path: Path, name: str, mark: str) -> None:
    with pytest.raises(InputError, match=r"the first line looks like 2 columns with .* between them"):
        split(tmp_path, lines(f"text{mark}label", *((f"words {n}", n % 2) for n in range(12)), mark=mark), name=name)


HEADS = [
    *("article,highlights", "input,output", "src,tgt", "prompt,response", "instruction,output", "dialogue,summary", "原文,译文", "input_text,target_text"),
    *("pos,neg", "set0,set1", "sentence_0,sentence_1", "query,positive", "text,word_labels"),
]


@pytest.mark.parametrize("names", HEADS)
def test_columns_that_a_task_knows_make_a_header(tmp_path: Path, names: str) -> None:
    (tmp_path / "a.csv").write_text(lines(names, *((f"words {n}", f"others {n}") for n in range(12))))
    found = read_to_predict(str(tmp_path / "a.csv"), task="classify", config=DataConfig(text_column=names.split(",")[0]))
    assert found.columns == tuple(names.split(","))
    assert read_to_predict(str(tmp_path / "a.csv"), task="embed", config=DataConfig(text_column="0")).columns == ("0", "1")


def test_questions_with_lettered_columns_are_choices(tmp_path: Path) -> None:
    splits = split(tmp_path, lines("question,A,B,C,D,answer", *((f"what {n}?", "w", "x", "y", "z", "ABCD"[n % 4]) for n in range(12))))
    example = splits.train.examples[0]
    assert (splits.train.task, example.choices) == ("choice", ("w", "x", "y", "z"))
    assert example.label == (example.place.number - 2) % 4


def test_nine_choices_have_letters(tmp_path: Path) -> None:
    rows = [{"question": f"what {n}", "options": list("qwertyuio"), "answer": "I"} for n in range(8)]
    splits = split(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), name="a.jsonl")
    assert splits.train.examples[0].label == 8


def test_queries_with_positives_and_negatives_are_texts_to_embed(tmp_path: Path) -> None:
    splits = split(tmp_path, lines("query,positive,negative", *((f"what {n}", f"this {n}", f"that {n}") for n in range(12))))
    assert (splits.train.task, splits.train.examples[0].texts) == (
        "embed",
        tuple(f"{word} {splits.train.examples[0].place.number - 2}" for word in ("what", "this", "that")),
    )


ODD: dict[str, tuple[list[Any], dict[str, Any], tuple[str, ...], str]] = {
    "true in two ways": (["True", "false", "TRUE", "False"], {}, ("false", "true"), ""),
    "zeros before a number": (["01234", "1234"], {}, ("01234", "1234"), ""),
    "capitals": (["NEG", "neg", "pos"], {}, ("NEG", "neg", "pos"), "NEG and neg differ in capitals alone"),
    "marks": (["a", "a;b", "a;b;c"], {}, ("a", "a;b", "a;b;c"), "2 of 3 hold ';', such as 'a;b': pass --several_labels ';'"),
    "bars": (["a|b", "b|a"], {}, ("a|b", "b|a"), "pass --several_labels '|'"),
    "marks that are told": (["a", "a;b"], {"several_labels": ";"}, ("a", "b"), ""),
}


@pytest.mark.parametrize("case", ODD)
def test_labels_that_look_odd(tmp_path: Path, case: str) -> None:
    values, options, names, said = ODD[case]
    splits = split(tmp_path, lines("text,label", *((f"words {n}", value) for n, value in enumerate(values * 6))), **options)
    assert splits.train.labels == names
    assert any(said in line for line in splits.said) if said else not any("several_labels" in line or "capitals" in line for line in splits.said)


@pytest.mark.parametrize("options", [{"label_column": "a,a"}, {"label_column": "a", "label_names": "x,x"}])
def test_names_given_twice_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="twice"):
        split(tmp_path, lines("text,a", *((f"words {n}", n % 2) for n in range(12))), **options)


def test_rows_whose_text_is_no_text_can_be_left_out(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": 7 if n == 3 else f"words {n}", "label": n % 2}) + "\n" for n in range(12))
    with pytest.raises(InputError, match=r"line 4: column 'text' holds a int \(7\), not text: .*--drop_bad_rows"):
        split(tmp_path, rows, name="a.jsonl")
    assert split(tmp_path, rows, name="a.jsonl", drop_bad_rows=True).train.left_out == {"without a text": 1}


def test_texts_that_are_not_read_are_warned_of(tmp_path: Path) -> None:
    rows = [(f"title words {n}", f"these are words {n}", n % 2) for n in range(12)]
    assert any(line.startswith("WARNING: ") and "title holds texts too" in line for line in split(tmp_path, lines("title,text,label", *rows)).said)
    assert not any("WARNING" in line for line in split(tmp_path, lines("title,text,label", *rows), pair_column="title").said)


def test_questions_with_yes_and_no_are_pairs(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"question": f"is it {n}", "passage": f"it is {n}", "answer": n % 2 == 0}) + "\n" for n in range(12))
    splits = split(tmp_path, rows, name="a.jsonl")
    assert (splits.train.task, splits.train.columns) == ("classify", {"text": "question", "pair": "passage", "label": "answer"})
