"""`bertwright plan`: what a pre-training will take, on paper."""

import json as json_format
import re
from typing import TYPE_CHECKING, Literal

from bertwright.cli.options import Flag
from bertwright.errors import InputError

if TYPE_CHECKING:
    from bertwright.training.costs import Costs

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def plan(
    *,
    model: str,
    tokens: str,
    device: str,
    count: int = 1,
    corpus_tokens: str | None = None,
    objective: str | None = None,
    batch_size: int = 256,
    micro_batch_size: int | None = None,
    max_seq_length: int = 128,
    optimizer: Literal["muon", "adamw"] = "muon",
    vocab_size: int | None = None,
    share: float | None = None,
    link: float = 200.0,
    price_per_hour: float | None = None,
    json: Flag = False,
) -> None:
    """What a pre-training will take before it is started: hours, memory, disk and money.

    Operations are counted, memory is rehearsed by the code that trains; the share of the device's peak that is reached is an assumption, and is printed.

    Args:
        model: a preset, such as bert-base, or a config.json.
        tokens: tokens to read in training, such as 10B or 500M.
        device: a GPU, such as h200, or `here` for this machine, measured now.
        count: devices.
        corpus_tokens: tokens of the text, where it is read more than once; by default as many as are read.
        objective: what it is trained for; by default the first that the model can learn.
        batch_size: sequences per update, over all devices.
        micro_batch_size: sequences per device and pass; by default what the device holds.
        max_seq_length: tokens a row.
        optimizer: muon or adamw.
        vocab_size: entries of the vocabulary; by default those of the family's released models.
        share: of the device's peak that training reaches; by default 0.4 on a GPU (assumed) and 0.7 here (measured).
        link: gigabytes of gradients that leave a device in a second.
        price_per_hour: of one device.
        json: one JSON object on standard output.
    """
    counted = {name: _number(name, text) for name, text in (("tokens", tokens), ("corpus_tokens", corpus_tokens)) if text is not None}
    from bertwright.training.costs import Wanted, costs

    found = costs(
        Wanted(
            model=model,
            tokens=counted["tokens"],
            device=device,
            count=count,
            corpus=counted.get("corpus_tokens"),
            objective=objective,
            batch_size=batch_size,
            micro_batch_size=micro_batch_size,
            max_seq_length=max_seq_length,
            optimizer=optimizer,
            vocab_size=vocab_size,
            share=share,
            link=link * 1e9,
            price=price_per_hour,
        )
    )
    if json:
        print(json_format.dumps(found.as_json()))
    else:
        print("\n".join(_lines(found)))


def _number(name: str, text: str) -> float:
    """10B, 2.5M, 3e9 or 10_000. Raises InputError."""
    found = re.fullmatch(r"(\d[\d_,]*\.?\d*(?:e[+]?\d+)?)([kmbt]?)", text.strip().lower())
    if found is None:
        raise InputError(f"{name} is {text!r}: write a number such as 10B, 500M or 3e9")
    return float(found[1].replace(",", "").replace("_", "")) * UNITS[found[2]]


def _lines(found: "Costs") -> list[str]:
    step = found.update_seconds
    parts = {"products": found.products, "Muon": found.optimizer, "gradients between devices": found.exchange}
    shares = ", ".join(f"{name} {seconds / step:.1%}" for name, seconds in parts.items() if seconds)
    held = f"{found.memory / 1e9:,.1f} GB a device, {found.micro_batch_size:,} rows a pass"
    room = "" if found.room is None else f" of {found.room / 1e9:,.0f} GB" + (": it does not fit" if found.memory > found.room else "")
    lines = [
        found.title,
        f"model    {found.parameters:,} parameters, {found.operations / 1e9:,.3g} Gflop a token",
        f"assumed  {found.assumed}",
        f"time     {_hours(found.seconds)} for {found.tokens:,.0f} tokens in {found.updates:,.0f} updates, {found.tokens / found.seconds:,.0f} tokens/s",
        f"         an update takes {step:,.3g} s: {shares}",
        f"memory   {held}{room}",
        f"disk     {(found.shards + found.checkpoints) / 1e9:,.1f} GB: shards {found.shards / 1e9:,.1f}, three checkpoints {found.checkpoints / 1e9:,.1f}",
    ]
    if found.price is not None:
        lines.append(f"cost     {found.cost:,.2f} at {found.price:,.2f} an hour for all devices")
    return lines


def _hours(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} seconds"
    return f"{seconds / 60:,.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"
