"""`bertwright evaluate`: what a checkpoint makes of text, beside what chance would."""

import json as json_format
import math
import sys

from bertwright.cli.options import Flag


def evaluate(
    checkpoint: str,
    text: list[str],
    /,
    *,
    max_seq_length: int | None = None,
    mlm_probability: float = 0.15,
    eval_samples: int | None = None,
    batch_size: int = 32,
    json: Flag = False,
) -> None:
    """Measure a checkpoint on text: masked loss, accuracy and perplexity beside chance, and next-sentence accuracy.

    The masks are drawn from a fixed seed, so that the numbers of two checkpoints compare.

    Args:
        checkpoint: run folder, checkpoint folder, any Hugging Face folder or hub name.
        text: files, folders or globs of text, or - for standard input; or one folder that `bertwright prepare` wrote, whose held-out part is used.
        max_seq_length: tokens a row; by default 128, or the model's positions where they are fewer.
        mlm_probability: share of the tokens that are masked.
        eval_samples: read no more than so many rows.
        batch_size: rows at once; changes speed and memory only.
        json: one JSON object on standard output.
    """
    from bertwright.api import evaluate as measure
    from bertwright.checkpoints.resolve import find_checkpoint

    found = find_checkpoint(checkpoint)
    print(found.said, file=sys.stderr)
    metrics = measure(found.folder, *text, max_seq_length=max_seq_length, mlm_probability=mlm_probability, eval_samples=eval_samples, batch_size=batch_size)
    if json:
        print(json_format.dumps({"checkpoint": str(found.folder), "text": text, **metrics}))
    else:
        print("\n".join(lines(metrics)))


def lines(metrics: dict[str, float]) -> list[str]:
    """The metrics as a reader wants them, each with its unit and what to hold it against."""
    shown = [
        f"masked loss       {metrics['masked_loss']:.4f} nats   (chance {metrics['chance_loss']:.2f}, word frequencies alone {metrics['unigram_entropy']:.2f})",
        f"masked accuracy   {metrics['masked_accuracy']:.2%}",
        f"perplexity        {metrics['perplexity']:.2f}   (chance {math.exp(metrics['chance_loss']):.0f})",
    ]
    if "nsp_accuracy" in metrics:
        shown += [f"next sentence     {metrics['nsp_accuracy']:.2%} right, loss {metrics['nsp_loss']:.4f} nats   (chance 50%, {math.log(2):.4f})"]
    return [*shown, f"measured on       {metrics['masked_tokens']:,.0f} masked tokens in {metrics['samples']:,.0f} rows"]
