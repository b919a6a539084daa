"""`bertwright predict`: fill the masks of texts from the command line, from files or from standard input."""

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from cyclopts import Parameter

from bertwright.cli.options import Flag
from bertwright.errors import CheckpointError, InputError

if TYPE_CHECKING:
    from bertwright.inference.predictor import Predictor
    from bertwright.inference.results import Candidate, FilledText

AT_ONCE = 64  # texts read before the first is answered: enough to batch by length, few enough to answer a slow pipe soon


def predict(
    checkpoint: str,
    texts: Annotated[list[str] | None, Parameter(name="TEXT")] = None,
    /,
    *,
    file: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    top_k: int = 5,
    mask: float | None = None,
    seed: int = 0,
    json: Flag = False,
) -> None:
    """Fill the [MASK]s of a text: the best candidates of each, with their probabilities, and the text filled.

    Texts come from the command line, from files (--file, one text a line), or from standard input (- or a pipe, one text a line).

    Args:
        checkpoint: run folder, checkpoint folder, Hugging Face BERT folder or hub name.
        texts: texts with one [MASK] or more; - reads standard input.
        file: files to read, one text a line; blank lines are passed over.
        top_k: candidates to show for each mask.
        mask: share of the pieces to mask at random, for texts without a [MASK]: 0.15 shows input, filled and original.
        seed: draws the random masks; the same seed masks the same pieces.
        json: one JSON object a line on standard output.
    """
    source = _texts(list(texts or []), list(file or []))
    from bertwright.checkpoints.resolve import find_checkpoint
    from bertwright.inference.predictor import load

    resolved = find_checkpoint(checkpoint)
    print(resolved.said, file=sys.stderr)
    predictor = load(resolved.folder)
    answered = 0
    while batch := list(islice(source, AT_ONCE)):
        for filled in _fill(predictor, batch, top_k=top_k, mask=mask, seed=seed):
            print(_as_json(filled) if json else "\n".join(lines(filled)), flush=True)
        answered += len(batch)
    if not answered:
        raise InputError("there was no text to fill, only blank lines or nothing: give one text a line")


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
