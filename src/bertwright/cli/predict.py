"""`bertwright predict`: a checkpoint at what it was trained for; texts from the command line, files or standard input, or a table's rows."""

import json as json_format
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

from cyclopts import Parameter

from bertwright.cli.answering import Answer, Answering
from bertwright.cli.counting import counting
from bertwright.cli.options import Flag
from bertwright.cli.writing import GenerationFlags, harmless, stream
from bertwright.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from bertwright.data.labelled.unlabelled import RowsToPredict
    from bertwright.data.table_writing import TableWriter
    from bertwright.inference.predictor import Predictor

TOP_K = 5  # candidates shown for a mask
FIRST = 64  # texts answered first of a pipe; then twice as many each time


@dataclass(frozen=True, kw_only=True)
class TableFlags:
    """Rows of a table in, the same rows with columns added out.

    Parameters
    ----------
    table
        File whose rows are predicted: .csv, .tsv, .jsonl, .json, .parquet, CoNLL columns, SQuAD or lines of text.
    out
        File to write in place of standard output: .csv, .tsv, .jsonl or .parquet.
    text_column
        Column of the text, of a pair's first text, or of the words, question or source.
    pair_column
        Column of a pair's second text, or of the context.
    glue
        Name of a GLUE task, which says the columns.
    header
        Whether the first line of a .csv or .tsv names the columns.
    drop_bad_rows
        Leave rows without a text out, counted, in place of an error.
    probabilities
        Also a column for the probability of each label.
    """

    table: str | None = None
    out: Path | None = None
    text_column: str | None = None
    pair_column: str | None = None
    glue: str | None = None
    header: bool | None = None
    drop_bad_rows: Flag = False
    probabilities: Flag = False


def predict(
    checkpoint: str,
    texts: Annotated[list[str] | None, Parameter(name="TEXT")] = None,
    /,
    *,
    file: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    top_k: int | None = None,
    mask: float | None = None,
    seed: int = 0,
    max_seq_length: int | None = None,
    bf16: Flag = False,
    tables: Annotated[TableFlags, Parameter(name="*", group="Tables")] = TableFlags(),  # frozen, and cyclopts reads the defaults from it
    generation: Annotated[GenerationFlags, Parameter(name="*", group="Writing text")] = GenerationFlags(),  # noqa: B008  # frozen, and cyclopts reads the defaults from it
    json: Flag = False,
) -> None:
    """Do what the checkpoint was trained for: classes, numbers, entities, answers, choices, vectors, masks filled, text written.

    Texts come from the command line, from files (--file, one text a line), or from standard input (- or a pipe, one text a line); what has several parts, such
    as a pair of texts, a question and its context or a text and its choices, has tabs between them. A table's rows (--table) come back with columns added.
    A masked language model gives the best candidates of each [MASK]. A language model of one stack, such as GPT-2, goes on with the text; one of two, such as
    BART or T5, answers it.

    Args:
        checkpoint: run folder, checkpoint folder, Hugging Face folder or hub name.
        texts: texts, for a masked language model with one [MASK] or more; - reads standard input.
        file: files to read, one text a line; blank lines are passed over.
        top_k: candidates to show for each mask, 5 unless given; labels to show of a text, 1 unless given; writing with --do_sample: likeliest tokens to draw
            from, 50 unless given, 0 for all.
        mask: share of the pieces to mask at random, for texts without a [MASK]: 0.15 shows input, filled and original.
        seed: draws the random masks, or the text with --do_sample; the same seed gives the same.
        max_seq_length: tokens a row of a fine-tuned checkpoint, in place of its own; longer texts lose their end, which is said, or are read in windows.
        bf16: compute in bfloat16: about twice as fast where the processor knows it, probabilities differ in the third decimal place.
        tables: everything about tables.
        generation: everything about writing.
        json: one JSON object a line on standard output.
    """
    out, table = tables.out, tables.table
    problems = [f"--{name} is for a table: give --table FILE" for name in ("text_column", "pair_column", "glue", "header") if getattr(tables, name) is not None]
    problems += ["--drop_bad_rows is for a table: give --table FILE"] if tables.drop_bad_rows else []
    if table is None and problems:
        raise InputError(*problems)
    if table is not None and (texts or file):
        raise InputError("--table and texts are both given: predict one after the other")
    if out is not None and out.resolve() in [path.resolve() for path in (*map(Path, [table] if table else []), *(file or []))]:
        raise InputError(f"--out {out} is the file that is read: give another file")
    source = _texts(list(texts or []), list(file or [])) if table is None else None
    with ExitStack() as open_files:
        writer = _writer(out, open_files)
        predictor = _load(checkpoint, bf16=bf16)
        asked = _Asked(predictor, checkpoint, top_k=top_k, mask=mask, seed=seed, options=generation.options(), max_seq_length=max_seq_length)
        if source is not None and writer is None and not json and asked.writes_live():
            _write_live(asked, source)
            return
        answering = asked.answering(probabilities=tables.probabilities)
        shown = sys.stderr.isatty() and (writer is not None or not sys.stdout.isatty())
        passed = open_files.enter_context(counting("rows" if table else "texts", shown=shown))
        if source is not None:
            _answer_texts(answering, source, writer, as_json=json, passed=passed)
        else:
            _answer_table(answering, tables, writer, passed=passed)
        if answering.truncated:
            print(f"texts longer than a row, which lost their end: {answering.truncated:,} (--max_seq_length takes more where the model can)", file=sys.stderr)


def _load(checkpoint: str, *, bf16: bool) -> "Predictor":
    from bertwright.checkpoints.resolve import find_checkpoint
    from bertwright.inference.predictor import load

    resolved = find_checkpoint(checkpoint)
    print(resolved.said, file=sys.stderr)
    return load(resolved.folder, bf16=bf16)


class _Asked:
    """What the command line asks of a checkpoint. Raises InputError for options that it has no use for."""

    def __init__(
        self,
        predictor: "Predictor",
        checkpoint: str,
        *,
        top_k: int | None,
        mask: float | None,
        seed: int,
        options: dict[str, Any],
        max_seq_length: int | None,
    ) -> None:
        from bertwright.architecture import LM, MLM

        self.predictor, self.top_k, self.mask, self.seed, self.options, self.length = predictor, top_k, mask, seed, options, max_seq_length
        heads = predictor.heads
        self.kind: Literal["writes", "fills", "task"] = "writes" if LM in heads else "fills" if MLM in heads and predictor.task is None else "task"
        if self.kind == "task" and predictor.task is None:
            raise CheckpointError(f"{checkpoint} can neither fill masks nor write text: {predictor.ability}")
        does = {"writes": "writes text", "fills": "fills masks", "task": predictor.ability.removeprefix("it ")}[self.kind]
        if self.kind != "fills":
            _refuse({"mask": mask}, f"is for masked language models, and {checkpoint} {does}")
        if self.kind != "writes":
            _refuse(options, f"is for writing text, and {checkpoint} {does}")
        if self.kind != "task":
            _refuse({"max_seq_length": max_seq_length}, f"is for fine-tuned checkpoints, and {checkpoint} {does}")
        self.writer = predictor.writer(seed=seed, top_k=top_k, **options) if self.kind == "writes" else None

    def writes_live(self) -> bool:
        """Whether a text can be shown while it is written."""
        return self.writer is not None and self.writer.streams and sys.stdout.isatty()

    def answering(self, *, probabilities: bool) -> Answering:
        from bertwright.cli.answering import Filling, TaskAnswers, WritingOn

        if self.writer is not None:
            return WritingOn(self.writer)
        if self.kind == "fills":
            return Filling(self.predictor, top_k=TOP_K if self.top_k is None else self.top_k, rate=self.mask, seed=self.seed)
        shown = 1 if self.top_k is None else self.top_k
        if shown < 1:
            raise InputError(f"top_k is {shown}: give at least 1")
        return TaskAnswers(self.predictor.reader(max_seq_length=self.length), shown=shown, probabilities=probabilities)


def _refuse(given: dict[str, Any], why: str) -> None:
    """Raises InputError for each option that has a value and no use."""
    if problems := [f"--{name} {why}: leave it out" for name, value in given.items() if value is not None]:
        raise InputError(*problems)


def _write_live(asked: _Asked, source: Iterator[tuple[str, str]]) -> None:
    writer = asked.writer
    written = 0
    for place, text in source:
        if writer is None:
            break
        if problems := [f"{place}{problem}" for problem in writer.problems(text)]:
            raise InputError(*problems)
        stream(writer, text)
        written += 1
    _refuse_nothing(written)


def _refuse_nothing(count: int) -> None:
    if not count:
        raise InputError("there was no text, only blank lines or nothing: give one text a line")


def _answer_texts(
    answering: Answering, source: Iterator[tuple[str, str]], writer: "TableWriter | None", *, as_json: bool, passed: Callable[[int], None]
) -> None:
    answered, size = 0, min(FIRST, answering.at_once)
    while batch := list(islice(source, size)):
        found = _answers([(place, answering.example, text) for place, text in batch], answering, passed)
        if writer is not None:
            writer.write([{"text": text, **answer.cells} for (_, text), answer in zip(batch, found, strict=True)])
        else:
            _show(found, as_json=as_json)
        answered += len(batch)
        size = min(2 * size, answering.at_once)
    _refuse_nothing(answered)


def _answers(asked: Sequence[tuple[str, Callable[[str], Any], str]], answering: Answering, passed: Callable[[int], None]) -> list[Answer]:
    """The answers to texts. Raises InputError naming the place of each that cannot have one."""
    examples, problems = [], []
    for place, example, text in asked:
        try:
            examples.append(example(text))
        except InputError as error:
            problems += [f"{place}{_quoted(text)} {problem}" for problem in error.problems]
    if problems:
        raise InputError(*problems)
    try:
        return answering.answers(examples, passed=passed)
    except CheckpointError:  # no text's fault
        raise
    except InputError as error:
        found = [f"{place}{problem}" for (place, _, _), one in zip(asked, examples, strict=True) for problem in answering.problems(one)]
        raise InputError(*(found or error.problems)) from None


def _quoted(text: str) -> str:
    from bertwright.readable import quote

    return quote(text)


def _show(answers: Sequence[Answer], *, as_json: bool) -> None:
    guard = harmless if sys.stdout.isatty() and not as_json else str
    for answer in answers:
        print(json_format.dumps(answer.json, ensure_ascii=False) if as_json else guard("\n".join(answer.lines)))
    sys.stdout.flush()


def _answer_table(answering: Answering, tables: TableFlags, writer: "TableWriter | None", *, passed: Callable[[int], None]) -> None:
    from bertwright.data.labelled.bad_rows import many_rows
    from bertwright.data.labelled.config import DataConfig
    from bertwright.data.labelled.unlabelled import read_to_predict
    from bertwright.data.table_writing import json_line

    config = DataConfig(
        text_column=tables.text_column, pair_column=tables.pair_column, glue=tables.glue, header=tables.header, drop_bad_rows=tables.drop_bad_rows
    )
    read = read_to_predict(tables.table or "", task=answering.task, config=config, known=answering.known)
    names: dict[str, str] = {}
    answered = 0
    while batch := list(islice(read.rows, answering.at_once)):
        found = answering.answers([example for _, example in batch], passed=passed)
        names = names or _free_names(read, found[0])
        rows = [
            {**{column: row.get(column) for column in read.columns}, **{names[name]: value for name, value in answer.cells.items()}}
            for (row, _), answer in zip(batch, found, strict=True)
        ]
        if writer is not None:
            writer.write(rows)
        else:
            sys.stdout.writelines(json_line(row) + "\n" for row in rows)
            sys.stdout.flush()
        answered += len(batch)
    for reason, count in read.left_out.items():
        print(f"left out: {many_rows(count)} {reason}", file=sys.stderr)
    if not answered:
        raise InputError(f"{read.name}: no rows in it: give a file with a row for each text")


def _free_names(read: "RowsToPredict", first: Answer) -> dict[str, str]:
    """What the added columns are called: their own names, with a number where the table has one of that name, which is said."""
    names = {}
    for name in first.cells:
        free = next(one for one in (name, *(f"{name}_{number}" for number in range(2, 10**6))) if one not in read.columns)
        if free != name:
            print(f"{read.name} has a column {name!r} already: the new one is {free!r}", file=sys.stderr)
        names[name] = free
    return names


def _writer(out: Path | None, open_files: ExitStack) -> "TableWriter | None":
    if out is None:
        return None
    from bertwright.data.table_writing import TableWriter

    writer = TableWriter(out)
    open_files.callback(_say_where, writer)
    return open_files.enter_context(writer)


def _say_where(writer: "TableWriter") -> None:
    """After the file is closed, whole or not."""
    where = f"in {writer.partial}, which is a part" if writer.partial else f"in {writer.path}"
    if writer.rows:
        print(f"{writer.rows:,} rows {where}", file=sys.stderr)


def _texts(texts: list[str], files: list[Path]) -> Iterator[tuple[str, str]]:
    """(place, text) of everything asked for; the place is empty for a text typed on the command line. Raises InputError before anything is read."""
    if not texts and not files:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError('predict needs a text: bertwright predict CHECKPOINT "Paris is the [MASK] of France." (or --file FILE, or - for standard input)')
        texts = ["-"]
    problems = [f"--file {path}: there is no such file" for path in files if not path.exists()]
    problems += [f"--file {path}: is a folder; give a text file" for path in files if path.is_dir()]
    if problems:
        raise InputError(*problems)
    return _read(texts, files)


def _read(texts: list[str], files: list[Path]) -> Iterator[tuple[str, str]]:
    for text in texts:
        if text == "-":
            yield from _lines("standard input", sys.stdin.buffer)
        else:
            yield "", text
    for path in files:
        with path.open("rb") as file:
            yield from _lines(str(path), file)


def _lines(name: str, file: BinaryIO) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{name}, line {number}: not UTF-8 at byte {error.start} of the line: convert the file to UTF-8") from None
        if text:
            yield f"{name}, line {number}: ", text
