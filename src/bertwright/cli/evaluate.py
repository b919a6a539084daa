"""`bertwright evaluate`: what a checkpoint makes of labelled rows or of text, beside what reading nothing, or chance, would."""

import json as json_format
import math
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bertwright.cli.counting import counting
from bertwright.cli.options import Flag
from bertwright.errors import InputError
from bertwright.readable import metric

if TYPE_CHECKING:
    from bertwright.evaluation.files import Evaluated
    from bertwright.inference.predictor import Predictor

ROWS_AT_ONCE = 1024
# What is measured of a model that writes, by its objective, in the words of the output.
WRITING = {"clm": "next-token", "span_corruption": "gap", "prefix_lm": "next-token", "denoising": "restoring"}


@dataclass(frozen=True, kw_only=True)
class LabelledFlags:
    """How a labelled file is read. None means: found by the usual names.

    Parameters
    ----------
    rows
        File for every row with its label, prediction, probabilities and loss: .csv, .tsv, .jsonl or .parquet.
    text_column
        Column of the text, of a pair's first text, or of the words, question or source.
    pair_column
        Column of a pair's second text, or of the context or target.
    label_column
        Column of the label, number, tags, or answers.
    several_labels
        Rows may have several labels, separated by this character, or a list in JSON.
    glue
        Name of a GLUE task, which says the columns.
    header
        Whether the first line of a .csv or .tsv names the columns.
    drop_bad_rows
        Leave rows without a text or label out, counted, in place of an error.
    """

    rows: Path | None = None
    text_column: str | None = None
    pair_column: str | None = None
    label_column: str | None = None
    several_labels: str | None = None
    glue: str | None = None
    header: bool | None = None
    drop_bad_rows: Flag = False

    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {name: value for name, value in vars(self).items() if value != getattr(LabelledFlags, name)}


@dataclass(frozen=True, kw_only=True)
class MaskedFlags:
    """How text is measured.

    Parameters
    ----------
    objective
        What to measure, such as prefix_lm; by default what the model was trained for.
    mlm_probability
        Share of the tokens that are masked, 0.15 unless given.
    eval_samples
        Read no more than so many rows.
    batch_size
        Rows at once, 32 unless given; changes speed and memory only.
    """

    objective: str | None = None
    mlm_probability: float | None = None
    eval_samples: int | None = None
    batch_size: int | None = None

    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {name: value for name, value in vars(self).items() if value is not None}


def evaluate(
    checkpoint: str,
    data: list[str],
    /,
    *,
    max_seq_length: int | None = None,
    bf16: Flag = False,
    labelled: Annotated[LabelledFlags, Parameter(name="*", group="Labelled rows")] = LabelledFlags(),  # frozen, and cyclopts reads the defaults from it
    masked: Annotated[MaskedFlags, Parameter(name="*", group="Text")] = MaskedFlags(),  # as above
    json: Flag = False,
) -> None:
    """Measure a checkpoint: a fine-tuned one on labelled rows, one of pre-training on text.

    Labelled rows give the metrics of the task, each with its 95% interval (bootstrap over rows), and what the commonest answer reaches.
    Text gives masked loss, accuracy and perplexity beside chance, and next-sentence accuracy; of a model that writes, those of the tokens that it predicts. The
    masks are drawn from a fixed seed, so that the numbers of two checkpoints compare.

    Args:
        checkpoint: run folder, checkpoint folder, any Hugging Face folder or hub name.
        data: a labelled file of any kind that finetune reads; or files, folders or globs of text, or - for standard input, or one folder that `bertwright
            prepare` wrote, whose held-out part is used.
        max_seq_length: tokens a row; by default those of the fine-tuning; of text 128, or the model's positions where they are fewer.
        bf16: compute in bfloat16: about twice as fast where the processor knows it, numbers differ a little.
        labelled: everything about labelled rows.
        masked: everything about text.
        json: one JSON object on standard output.
    """
    from bertwright.api import evaluate as measure
    from bertwright.checkpoints.resolve import find_checkpoint
    from bertwright.evaluation.chosen import measures_text
    from bertwright.inference.predictor import load
    from bertwright.tasks.registry import task_of

    found = find_checkpoint(checkpoint)
    print(found.said, file=sys.stderr)
    if not measures_text(task_of(found.folder), data, asked=masked.objective is not None):
        if problems := [f"--{name} is for text, and {checkpoint} is measured on labelled rows: leave it out" for name in masked.given()]:
            raise InputError(*problems)
        _evaluate_rows(load(found.folder, bf16=bf16), data, labelled, max_seq_length=max_seq_length, as_json=json)
        return
    if problems := [f"--{name} is for labelled rows, and {checkpoint} was fine-tuned for no task: leave it out" for name in labelled.given()]:
        raise InputError(*problems)
    metrics = measure(found.folder, *data, max_seq_length=max_seq_length, bf16=bf16, **masked.given())
    if json:
        print(json_format.dumps({"checkpoint": str(found.folder), "text": data, **metrics}))
    else:
        print("\n".join(lines(metrics)))


def _evaluate_rows(predictor: "Predictor", data: list[str], labelled: LabelledFlags, *, max_seq_length: int | None, as_json: bool) -> None:
    from bertwright.api import evaluate_labelled
    from bertwright.data.table_writing import TableWriter

    columns = labelled.given()
    out: Path | None = columns.pop("rows", None)
    if out is not None and out.resolve() in [Path(name).resolve() for name in data]:
        raise InputError(f"--rows {out} is the labelled file itself: give another file")
    # Opened first, so that a place that cannot be written is told before the work.
    with nullcontext() if out is None else TableWriter(out) as writer:
        with counting("rows", shown=sys.stderr.isatty()) as passed:
            found = evaluate_labelled(predictor, *data, max_seq_length=max_seq_length, passed=passed, **columns)
        for line in _notes(found):
            print(line, file=sys.stderr)
        # Shown before the rows are written, which may not fit into their kind of table.
        print(json_format.dumps({"checkpoint": str(predictor.checkpoint), "file": data[0], **found.to_json()}) if as_json else "\n".join(labelled_lines(found)))
        if writer is not None:
            rows = found.rows()
            while batch := list(islice(rows, ROWS_AT_ONCE)):
                writer.write(batch)
    if writer is not None:
        print(f"{writer.rows:,} rows in {writer.path}", file=sys.stderr)


def _notes(found: "Evaluated") -> list[str]:
    from bertwright.data.labelled.bad_rows import many_rows

    notes = [f"left out: {many_rows(count)} {reason}" for reason, count in found.data.left_out.items()]
    if found.measured.truncated:
        notes.append(f"texts longer than a row, which lost their end: {found.measured.truncated:,}")
    return [*found.data.said, *notes, *found.measured.said]


def labelled_lines(found: "Evaluated") -> list[str]:
    """The metrics of labelled rows, one a line, with interval and baseline."""
    from bertwright.data.labelled.bad_rows import many_rows

    measured = found.measured
    width = max(len(name) for name in measured.metrics)
    shown = [f"{found.task.name}, {many_rows(len(found.data.examples))} of {found.data.name}"]
    for name, value in measured.metrics.items():
        low, high = measured.intervals.get(name, (math.nan, math.nan))
        between = " " * 20 if math.isnan(low) else f"{f'{metric(low)} to {metric(high)}':<20}"
        blind = metric(measured.baseline[name]) if name in measured.baseline else ""
        shown.append(f"{name:<{width}}  {metric(value):>8}   {between} {blind:>8}".rstrip())
    heading = f"{'':<{width}}  {'':>8}   {'95% interval':<20} {'reading nothing':>8}"
    return [shown[0], heading.rstrip(), *shown[1:]]


def lines(metrics: dict[str, float]) -> list[str]:
    """The metrics as a reader wants them, each with its unit and what to hold it against."""
    name = next((name for name in WRITING if f"{name}_loss" in metrics), "masked")
    if f"{name}_loss" not in metrics:  # nothing is told of single tokens, nor is what to hold such losses against
        told = {key: value for key, value in metrics.items() if key not in ("chance_loss", "unigram_entropy", "samples")}
        return [*(f"{key.replace('_', ' '):<23}{value:.4f}" for key, value in told.items()), f"{'measured on':<23}{metrics['samples']:,.0f} rows"]
    words, counted = WRITING.get(name, "masked"), metrics["masked_tokens" if name == "masked" else "predicted_tokens"]
    beside = f"(chance {metrics['chance_loss']:.2f}, word frequencies alone {metrics['unigram_entropy']:.2f})"
    width = max(15, len(f"{words} accuracy"))
    shown = [
        f"{f'{words} loss':<{width}}   {metrics[f'{name}_loss']:.4f} nats   {beside}",
        f"{f'{words} accuracy':<{width}}   {metrics[f'{name}_accuracy']:.2%}",
        f"{'perplexity':<{width}}   {metrics['perplexity']:.2f}   (chance {math.exp(metrics['chance_loss']):.0f})",
    ]
    if "nsp_accuracy" in metrics:
        shown += [f"next sentence     {metrics['nsp_accuracy']:.2%} right, loss {metrics['nsp_loss']:.4f} nats   (chance 50%, {math.log(2):.4f})"]
    if "sop_accuracy" in metrics:
        shown += [f"sentence order    {metrics['sop_accuracy']:.2%} right, loss {metrics['sop_loss']:.4f} nats   (chance 50%, {math.log(2):.4f})"]
    if "rtd_accuracy" in metrics:
        shown += [f"replaced tokens   {metrics['rtd_accuracy']:.2%} of all told right, loss {metrics['rtd_loss']:.4f} nats   (masks are the generator's)"]
    return [*shown, f"{'measured on':<{width}}   {counted:,.0f} {'masked' if name == 'masked' else 'predicted'} tokens in {metrics['samples']:,.0f} rows"]
