"""What a pre-training will take, on paper: hours, memory, disk and money, before anything is bought or started."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import torch

from bertwright.analysis.operations import row_operations, row_tokens
from bertwright.analysis.parameters import count_parameters
from bertwright.architecture import MLM, Architecture, HeadKind
from bertwright.checkpoints.meta import without_values
from bertwright.errors import InputError
from bertwright.objectives.masking_config import MaskingConfig
from bertwright.training.cards import CARDS, card_of
from bertwright.training.devices import device_of_this_process
from bertwright.training.estimate import TRIED_TOKENS, matrix_rate
from bertwright.training.made_up import PREDICT, MadeUpRun, made_up_run
from bertwright.training.memory import Line
from bertwright.training.optimizers import COEFFICIENTS
from bertwright.training.parameters import rule_of
from bertwright.training.plan import PASS_TOKENS

HERE = "here"
# The share of the rate of matrix products that training reaches, Muon's among them: of a GPU's peak assumed, of a CPU's own rate measured (benchmarks/scale.py:
# 0.7 to 0.8 from 4x256 to 8x512, 0.4 at 2x128). And how fast gradients leave a device, in bytes a second, assumed.
GPU_SHARE, HERE_SHARE, LINK = 0.4, 0.7, 200e9
# Rows of the pass whose memory is rehearsed.
REHEARSED = 8
# On disk: a token's id (2 bytes below 65,536 entries, else 4) and whether a word begins there; a sentence's place, for about so many tokens.
SENTENCE_TOKENS, PLACE = 20, 8
# Checkpoints: the latest, the best and the one that is being written. Each holds weights and what the optimizer remembers, one number a weight for Muon and
# two for AdamW.
CHECKPOINTS = 3


@dataclass(frozen=True, kw_only=True)
class Costs:
    """seconds: in all, and of an update by part; bytes: memory of each device, disk of shards and checkpoints; rate: assumed operations per second of a device;
    price: None where none was given.
    """

    title: str
    parameters: int
    tokens: float
    updates: float
    operations: float
    rate: float
    assumed: str
    products: float
    optimizer: float
    exchange: float
    memory: int
    micro_batch_size: int
    room: int | None
    shards: int
    checkpoints: int
    price: float | None

    @property
    def update_seconds(self) -> float:
        return self.products + self.optimizer + self.exchange

    @property
    def seconds(self) -> float:
        return self.updates * self.update_seconds

    @property
    def cost(self) -> float:
        """In the price's money; 0 where there is none."""
        return self.seconds / 3600 * (self.price or 0.0)

    def as_json(self) -> dict[str, object]:
        """Every field, and what follows from them; seconds, bytes, operations."""
        return {**dataclasses.asdict(self), "update_seconds": self.update_seconds, "seconds": self.seconds, "hours": self.seconds / 3600, "cost": self.cost}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be costed. tokens: read in training; corpus: tokens of the text, None for as many; device: a card's name, or `HERE` for this machine as it is
    measured now; share: of the device's peak, None for what is usual; link: bytes a second; price: of a device and hour.
    """

    model: str
    tokens: float
    device: str
    count: int = 1
    corpus: float | None = None
    objective: str | None = None
    batch_size: int = 256
    micro_batch_size: int | None = None
    max_seq_length: int = 128
    optimizer: Literal["muon", "adamw"] = "muon"
    vocab_size: int | None = None
    share: float | None = None
    link: float = LINK
    price: float | None = None

    def problems(self) -> list[str]:
        """One line for each value that cannot stand."""
        positive = {"tokens": self.tokens, "count": self.count, "batch_size": self.batch_size, "link": self.link}
        optional = {"corpus_tokens": self.corpus, "micro_batch_size": self.micro_batch_size}
        positive |= {name: value for name, value in optional.items() if value is not None}
        found = [f"{name} is {value:g}: it must be above 0" for name, value in positive.items() if not value > 0]
        if self.count > 0 and self.batch_size % self.count:
            found.append(f"batch_size {self.batch_size} is not divisible by {self.count} devices: take a multiple of {self.count}")
        if self.objective == PREDICT:
            found.append("objective predict trains nothing: name another, such as mlm, or leave it out")
        if self.share is not None and not 0 < self.share <= 1:
            found.append(f"share is {self.share:g}: it must lie in (0, 1]")
        if self.price is not None and self.price < 0:
            found.append(f"price_per_hour is {self.price:g}: it must be 0 or more")
        if self.device != HERE and self.device.lower() not in CARDS:
            found.append(f"device {self.device} is not known: take one of {', '.join(CARDS)}, or {HERE} for this machine")
        return found


def costs(wanted: Wanted) -> Costs:
    """An update's seconds are those of its products at the assumed rate, divided among the devices; of Muon's, which every device does for itself; and of the
    exchange of its gradients. Raises InputError with one line for each thing wrong.
    """
    if problems := wanted.problems():
        raise InputError(*problems)
    length, on_gpu = wanted.max_seq_length, wanted.device != HERE
    half = on_gpu or device_of_this_process(bf16=None, fp16=False).dtype == torch.bfloat16
    run = made_up_run(
        wanted.model,
        objective=wanted.objective,
        length=length,
        bf16=half,
        optimizer=wanted.optimizer,
        vocab_size=wanted.vocab_size,
        kept=False if on_gpu else None,
    )
    architecture = run.subject.architecture
    with without_values():
        trained = run.build()
    parameters, rows = count_parameters(trained), wanted.batch_size // wanted.count
    in_muon = [tuple(matrix.shape) for name, matrix in trained.named_parameters() if rule_of(name, matrix, optimizer=wanted.optimizer) == "muon"]
    each = sum(_row_operations(*model, length=length) for model in run.models)
    share = wanted.share or (GPU_SHARE if on_gpu else HERE_SHARE)
    rate = share * _peak(wanted, run.subject.architecture)
    micro, memory, room = _passes(wanted, run, rows)
    width = 2 if architecture.vocab_size <= 1 << 16 else 4
    return Costs(
        title=f"{wanted.model}, {run.name}, {wanted.optimizer}, {wanted.batch_size} rows of {length} tokens an update, {wanted.count} x {wanted.device}",
        parameters=parameters,
        tokens=wanted.tokens,
        updates=wanted.tokens / (wanted.batch_size * row_tokens(architecture, length=length)),
        operations=each / row_tokens(architecture, length=length),
        rate=rate,
        assumed=_assumed(wanted, share=share, peak=rate / share),
        products=rows * each / rate,
        optimizer=sum(_orthogonalised(shape) for shape in in_muon) / rate,
        exchange=0.0 if wanted.count == 1 else 2 * (wanted.count - 1) / wanted.count * 4 * parameters / wanted.link,
        memory=memory,
        micro_batch_size=micro,
        room=room,
        shards=int((wanted.corpus or wanted.tokens) * (width + 1 + PLACE / SENTENCE_TOKENS)),
        checkpoints=CHECKPOINTS * (12 * parameters - 4 * sum(map(math.prod, in_muon))),
        price=None if wanted.price is None else wanted.price * wanted.count,
    )


def _assumed(wanted: Wanted, *, share: float, peak: float) -> str:
    measured = "" if wanted.device != HERE else " (measured now)"
    exchanged = f", gradients at {wanted.link / 1e9:g} GB/s" if wanted.count > 1 else ""
    return f"{share:.0%} of {peak / 1e12:,.3g} Tflop/s a device{measured}{exchanged}"


def _peak(wanted: Wanted, architecture: Architecture) -> float:
    """Operations per second of one device: its maker's figure, or what this machine does now."""
    if wanted.device != HERE:
        return card_of(wanted.device).teraflops * 1e12
    device = device_of_this_process(bf16=None, fp16=False)
    return matrix_rate(architecture, device, tokens=TRIED_TOKENS, scored=0, seconds=0.1)


def _passes(wanted: Wanted, run: MadeUpRun, rows: int) -> tuple[int, int, int | None]:
    """Rows of a pass, bytes that it holds, and bytes that the device has."""
    line = Line.of(run, rows=min(REHEARSED, rows), length=wanted.max_seq_length, gpu=wanted.device != HERE)
    room = None if wanted.device == HERE else int(card_of(wanted.device).gigabytes * 10**9)
    usual = PASS_TOKENS["cpu" if room is None else "cuda"] // wanted.max_seq_length
    micro = wanted.micro_batch_size or max(1, min(rows, usual, usual if room is None else line.most(room)))
    return micro, line.at(micro), room


def _row_operations(architecture: Architecture, heads: tuple[HeadKind, ...], *, length: int) -> float:
    """Of one row, forward and backward; a reader's head sees what is masked, a writer's all."""
    counted = row_operations(architecture, heads, length=length, scored=MaskingConfig().mlm_probability if MLM in heads else 1.0).values()
    return sum(part.forward + part.backward for part in counted)


def _orthogonalised(shape: tuple[int, ...]) -> float:
    """Operations of Muon's iterations over a matrix: its Gram matrix, that one's square, and the product with both."""
    short, long = sorted(shape)
    return len(COEFFICIENTS) * (4.0 * short**2 * long + 2.0 * short**3)
