"""`bertwright predict`: fill the masks of texts, or write on; texts from the command line, from files or from standard input."""

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

from cyclopts import Parameter

from bertwright.cli.options import Flag
from bertwright.cli.writing import GenerationFlags, show, stream
from bertwright.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from bertwright.inference.predictor import Predictor
    from bertwright.inference.results import Candidate, FilledText
    from bertwright.tasks.writer import Writer

Answer = Callable[[list[tuple[str, str]]], None]

AT_ONCE = 64  # texts read before the first is answered: enough to batch by length, few enough to answer a slow pipe soon
TOP_K = 5  # candidates shown for a mask


def predict(
    checkpoint: str,
    texts: Annotated[list[str] | None, Parameter(name="TEXT")] = None,
    /,
    *,
    file: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    top_k: int | None = None,
    mask: float | None = None,
    seed: int = 0,
    generation: Annotated[GenerationFlags, Parameter(name="*", group="Writing text")] = GenerationFlags(),  # noqa: B008  # frozen, and cyclopts reads the defaults from it
    json: Flag = False,
) -> None:
    """Fill the [MASK]s of a text, or write on: whichever the checkpoint was trained for.

    A masked language model gives the best candidates of each [MASK], with their probabilities, and the text filled. A language model of one stack, such as
    GPT-2, goes on with the text; one of two, such as BART or T5, answers it.
    Texts come from the command line, from files (--file, one text a line), or from standard input (- or a pipe, one text a line).

    Args:
        checkpoint: run folder, checkpoint folder, Hugging Face folder or hub name.
        texts: texts, for a masked language model with one [MASK] or more; - reads standard input.
        file: files to read, one text a line; blank lines are passed over.
        top_k: candidates to show for each mask, 5 unless given; writing with --do_sample: likeliest tokens to draw from, 50 unless given, 0 for all.
        mask: share of the pieces to mask at random, for texts without a [MASK]: 0.15 shows input, filled and original.
        seed: draws the random masks, or the text with --do_sample; the same seed gives the same.
        generation: everything else.
        json: one JSON object a line on standard output.
    """
    source = _texts(list(texts or []), list(file or []))
    answer, at_once = _answering(checkpoint, top_k=top_k, mask=mask, seed=seed, options=generation.options(), as_json=json)
    answered = 0
    while batch := list(islice(source, at_once)):
        answer(batch)
        answered += len(batch)
    if not answered:
        raise InputError("there was no text, only blank lines or nothing: give one text a line")


def _answering(checkpoint: str, *, top_k: int | None, mask: float | None, seed: int, options: dict[str, Any], as_json: bool) -> tuple[Answer, int]:
    """What shows a checkpoint's answers to some texts, and how many texts it should get at once. Raises InputError for options that it has no use for."""
    from bertwright.architecture import LM, MLM
    from bertwright.checkpoints.resolve import find_checkpoint
    from bertwright.inference.predictor import load

    resolved = find_checkpoint(checkpoint)
    print(resolved.said, file=sys.stderr)
    predictor = load(resolved.folder)
    if LM in predictor.heads:
        _refuse({"mask": mask}, f"is for masked language models, and {checkpoint} writes text")
        writer = predictor.writer(seed=seed, top_k=top_k, **options)
        live = writer.streams and not as_json and sys.stdout.isatty()
        return partial(_write, writer, live=live, as_json=as_json), 1 if live else AT_ONCE
    if MLM in predictor.heads:
        _refuse(options, f"is for writing text, and {checkpoint} fills masks")
        return partial(_fill_and_show, predictor, top_k=TOP_K if top_k is None else top_k, mask=mask, seed=seed, as_json=as_json), AT_ONCE
    raise CheckpointError(f"{checkpoint} can neither fill masks nor write text: {predictor.ability}")


def _refuse(given: dict[str, Any], why: str) -> None:
    """Raises InputError for each option that has a value and no use."""
    if problems := [f"--{name} {why}: leave it out" for name, value in given.items() if value is not None]:
        raise InputError(*problems)


def _write(writer: "Writer", batch: list[tuple[str, str]], *, live: bool, as_json: bool) -> None:
    if problems := [f"{place}{problem}" for place, text in batch for problem in writer.problems(text)]:
        raise InputError(*problems)
    if live:
        for _, text in batch:
            stream(writer, text)
    else:
        show(writer.write([text for _, text in batch]), as_json=as_json)


def _fill_and_show(predictor: "Predictor", batch: list[tuple[str, str]], *, top_k: int, mask: float | None, seed: int, as_json: bool) -> None:
    for filled in _fill(predictor, batch, top_k=top_k, mask=mask, seed=seed):
        print(_as_json(filled) if as_json else "\n".join(lines(filled)), flush=True)


def lines(filled: "FilledText") -> list[str]:
    """What a reader sees: the text, the candidates (one line for each mask where there are several), the text filled, and the original where known."""
    shown = [filled.text]
    if len(filled.masks) == 1 and not filled.answers:
        shown += [f"  {candidate.probability:6.1%}  {candidate.token}" for candidate in filled.masks[0]]
    else:
        shown += [f"  {number:>3}  {_on_one_line(candidates)}{was}" for number, (candidates, was) in enumerate(_with_answers(filled), start=1)]
    shown.append(f"filled:   {filled.filled}")
    if filled.original is not None:
        shown += [f"original: {filled.original}", f"{filled.right} of {len(filled.answers)} masks filled as in the original"]
    return [*shown, ""]


def _on_one_line(candidates: "tuple[Candidate, ...]") -> str:
    return "  ".join(f"{candidate.token} {candidate.probability:.1%}" for candidate in candidates)


def _with_answers(filled: "FilledText") -> "list[tuple[tuple[Candidate, ...], str]]":
    was = [f"   (was {answer})" for answer in filled.answers] or [""] * len(filled.masks)
    return list(zip(filled.masks, was, strict=True))


def _as_json(filled: "FilledText") -> str:
    return json.dumps(filled.to_json(), ensure_ascii=False)


def _fill(predictor: "Predictor", batch: list[tuple[str, str]], *, top_k: int, mask: float | None, seed: int) -> "Iterator[FilledText]":
    if mask is not None:
        for place, text in batch:
            try:
                yield predictor.mask_randomly(text, rate=mask, seed=seed, top_k=top_k)
            except CheckpointError:  # no text's fault
                raise
            except InputError as error:
                raise _at(place, error) from error
        return
    try:
        yield from predictor.fill_masks([text for _, text in batch], top_k=top_k)
    except CheckpointError:
        raise
    except InputError:
        problems: list[str] = []
        for place, text in batch:
            try:
                predictor.fill_mask(text, top_k=top_k)
            except InputError as error:
                problems += _at(place, error).problems
        raise InputError(*problems) from None


def _at(place: str, error: InputError) -> InputError:
    return InputError(*(f"{place}{problem}" for problem in error.problems))


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
        with path.open("rb") as stream:
            yield from _lines(str(path), stream)


def _lines(name: str, stream: BinaryIO) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(stream, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{name}, line {number}: not UTF-8 at byte {error.start} of the line: convert the file to UTF-8") from None
        if text:
            yield f"{name}, line {number}: ", text
