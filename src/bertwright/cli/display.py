"""What a training looks like while it runs: a live display on a terminal, plain lines everywhere else."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bertwright.readable import metric

if TYPE_CHECKING:
    from bertwright.training.events import Event

Values = Mapping[str, float | int | str]

PLAIN_SECONDS = 10.0  # plain lines come no closer together than this; metrics.jsonl has every step
SHOWN_EVALUATIONS = 6
SHOWN_METRICS = 5  # of an evaluation, in one line; metrics.jsonl has all
REFRESHES = 4  # a second
BAR_WIDTH = 50

# Heading and format of each metric of pre-training.
PRETRAINING = {
    "eval_mlm_loss": ("validation loss", ".3f"),
    "chance_loss": ("chance", ".2f"),
    "unigram_entropy": ("word frequencies", ".2f"),
    "eval_mlm_accuracy": ("accuracy", ".1%"),
    "eval_nsp_accuracy": ("next sentence", ".1%"),
    "eval_sop_accuracy": ("order", ".1%"),
    "eval_rtd_accuracy": ("replaced told", ".1%"),
}
# The parts of a training loss that has several, each with its weight in the sum.
TERMS = {
    "mlm_loss": "masked",
    "nsp_loss": "next sentence",
    "sop_loss": "sentence order",
    "rtd_loss": "replaced tokens",
    "soft_loss": "teacher's words",
    "cosine_loss": "teacher's states",
    "relations_loss": "teacher's relations",
}
# What is told beside the masked loss, in one line.
BESIDE = {"eval_nsp_accuracy": "next sentence", "eval_sop_accuracy": "sentence order", "eval_rtd_accuracy": "replaced tokens told"}

# The held-out loss of each objective of models that write.
WRITING = ("eval_clm_loss", "eval_span_corruption_loss", "eval_prefix_lm_loss", "eval_denoising_loss")


@contextmanager
def training_display(stream: TextIO | None = None, *, live: bool | None = None) -> Iterator["Callable[[Event], None]"]:
    """An observer of training events that shows them on `stream` (standard output): live on a terminal, else line by line."""
    stream = stream or sys.stdout
    if live is None:
        live = stream.isatty()
    if not live:
        yield PlainLines(stream)
        return
    console = Console(file=stream)
    panel = LivePanel(console)
    with Live(panel, console=console, refresh_per_second=REFRESHES, transient=False):
        yield panel


class PlainLines:
    """One line for each thing that happened, for files, pipes and nohup."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.last_shown = float("-inf")
        self.plan: Values = {}

    def __call__(self, event: "Event") -> None:
        if event.kind == "plan":
            self.plan = event.values
        if event.kind == "train":
            now = time.monotonic()
            if now - self.last_shown < PLAIN_SECONDS:
                return
            self.last_shown = now
        for line in plain_lines(event, plan=self.plan):
            print(line, file=self.stream, flush=True)


def plain_lines(event: "Event", *, plan: Values | None = None) -> list[str]:
    """The lines that say what an event says, in a run of this plan; none for a moment that passes."""
    values, step = event.values, f"step {event.step:>6}"
    if event.kind == "train":
        parts = [_epoch(values, plan or {}), f"loss {values['loss']:.3f}{_terms(values)}", _accuracy(values), _rate(values), _left(values)]
        return ["   ".join([step, *(part for part in parts if part)])]
    if event.kind == "evaluate":
        return [f"{step}   validation: {evaluation_summary(values)}"]
    if event.kind == "save":
        return [f"{step}   saved {values['folder']}" + (", the best so far" if values.get("best") else "")]
    if event.kind == "plan":
        return plan_lines(values)
    if event.kind == "note":
        return [str(values["text"])]
    if event.kind == "result":
        return [f"{values['split']:<12} {evaluation_summary(values)}"]
    return [f"trained for {duration(float(values['seconds']))}"] if event.kind == "done" and "seconds" in values else []


def plan_lines(values: Values) -> list[str]:
    """What is about to happen, one line for each thing a user may want to change or expect."""
    rows = {
        "model": f"{values['model']}: {_count(values['parameters'])} parameters",
        **_learnt_from(values),
        **{name: values[name] for name in ("mixture", "stages", "ramp") if name in values},
        "batch": f"{values['batch_size']} samples a step, {values['micro_batch_size']} at once",
        "optimizer": values["optimizer"],
        "start": values["start"],
        "device": values["device"],
        "budget": f"{values['budget']}: about {values['steps']:,} steps, {float(values['epochs']):.1f} epochs, {duration(float(values['expected_seconds']))}",
        "memory": f"about {_count(float(values['memory_bytes']))}B",
    }
    return [f"{name:<12} {row}" for name, row in rows.items()]


def _learnt_from(values: Values) -> dict[str, str]:
    if "objective" in values:
        return {"text": f"{values['train_tokens']:,} tokens, {values['samples_per_epoch']:,} samples an epoch, for {values['objective']}"}
    labels = f", {values['labels']} labels" if values["labels"] else ""
    held = "".join(f", {values[f'{split}_rows']:,} {use}" for split, use in (("validation", "to validate"), ("test", "to test")) if values.get(f"{split}_rows"))
    rows = f"{values['rows']:,} rows of {values['tokens_per_epoch']:,} tokens{held}"
    return {"task": f"{values['task']}{labels}; the best checkpoint by {values['metric']}", "data": rows}


class LivePanel:
    """A progress bar, the latest numbers, and the last evaluations beside chance."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._begin({})

    def _begin(self, plan: Values) -> None:
        self.plan = plan
        self.step, self.best = 0, 0
        self.train: Values = {}
        self.evaluations: list[tuple[int, Values]] = []
        self.saved = ""

    def __call__(self, event: "Event") -> None:
        if event.kind == "plan":  # several runs may follow each other
            self._begin(event.values)
        if event.kind == "train":
            self.step, self.train = event.step, event.values
        elif event.kind == "evaluate":
            self.evaluations = [*self.evaluations, (event.step, event.values)][-SHOWN_EVALUATIONS:]
        elif event.kind == "save":
            self.saved = f"saved {event.values['folder']}"
            self.best = event.step if event.values.get("best") else self.best
        else:
            for line in plain_lines(event, plan=self.plan):
                self.console.print(line, markup=False, highlight=False)

    def __rich__(self) -> Group:
        parts: list[ProgressBar | Text | Table] = [] if self.train else [Text("the first steps ...", style="dim")]
        if self.train:
            fraction = float(self.train.get("fraction", 0.0))
            bar = Table.grid(padding=(0, 2, 0, 0))
            bar.add_row(ProgressBar(total=1.0, completed=fraction, width=BAR_WIDTH), Text(f"{fraction:.0%}"), Text(_left(self.train)))
            loss = f"loss {self.train['loss']:.3f}{_terms(self.train)}"
            words = [f"step {self.step}", _epoch(self.train, self.plan), loss, _accuracy(self.train), _rate(self.train)]
            parts += [bar, Text("   ".join(word for word in words if word), style="bold")]
        if self.evaluations:
            parts.append(_evaluations(self.evaluations, best=self.best, width=self.console.width))
        if self.saved:
            parts.append(Text(self.saved, style="dim"))
        return Group(*parts)


def evaluation_summary(values: Values) -> str:
    """Validation in one line: the masked loss, or a writing model's, beside what chance and word frequencies alone would give; or a task's first metrics."""
    written = next((key for key in WRITING if key in values), None)
    if "eval_mlm_loss" not in values and written is None:
        return "   ".join(f"{name} {metric(value)}" for name, value in list(_metrics(values).values())[:SHOWN_METRICS])
    beside = [f"{name} {values[key]:.2f}" for key, name in (("chance_loss", "chance"), ("unigram_entropy", "word frequencies alone")) if key in values]
    key = "eval_mlm_loss" if written is None else written
    parts = [f"{'masked loss' if written is None else 'loss'} {values[key]:.3f}" + (f" ({', '.join(beside)})" if beside else "")]
    if (accuracy := key.replace("_loss", "_accuracy")) in values:
        parts.append(f"accuracy {values[accuracy]:.1%}")
    if written is not None and "eval_perplexity" in values:
        parts.append(f"perplexity {values['eval_perplexity']:.1f}")
    parts += [f"{name} {values[key]:.1%}" for key, name in BESIDE.items() if key in values]
    return "   ".join([*parts, *(f"{name} {loss:.3f}" for name, loss in _of_other_texts(values, key).items())])


def _of_other_texts(values: Values, key: str) -> dict[str, float]:
    """The same loss of each text that is measured too, by its name: eval_general_mlm_loss beside eval_mlm_loss."""
    ending = key.removeprefix("eval")
    return {name.removeprefix("eval_").removesuffix(ending): float(value) for name, value in values.items() if name.endswith(ending) and name != key}


def duration(seconds: float) -> str:
    """Seconds as a person writes them: 0:42, 3:05, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _evaluations(evaluations: list[tuple[int, Values]], *, best: int, width: int) -> Table:
    """The last evaluations, with as many metrics as there is room for; the best one is marked."""
    newest = evaluations[-1][1]
    found = {key: shown for key, shown in PRETRAINING.items() if any(key in values for _, values in evaluations)}
    columns: Mapping[str, tuple[str, str | None]] = found if "eval_mlm_loss" in found else _columns(newest, width=width)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("step", justify="right", no_wrap=True)
    for heading, _ in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for step, values in evaluations:
        cells = [(metric(float(values[key])) if form is None else format(values[key], form)) if key in values else "-" for key, (_, form) in columns.items()]
        table.add_row(f"{'* ' if step == best else ''}{step}", *cells)
    return table


def _columns(values: Values, *, width: int) -> dict[str, tuple[str, str | None]]:
    """Heading and format, None for a metric's, of each that finds room beside the steps, in the task's own order."""
    room, columns = width - len("* 1000000  "), dict[str, tuple[str, str | None]]()
    for key, (name, _) in _metrics(values).items():
        room -= max(len(name), len("0.0000")) + 2
        if room < 0:
            break
        columns[key] = (name, None)
    return columns


def _metrics(values: Values) -> dict[str, tuple[str, float]]:
    """The plain name and the number of each metric: `eval_f1_macro` is f1 macro."""
    return {key: (key.removeprefix("eval_").replace("_", " "), float(value)) for key, value in values.items() if isinstance(value, int | float)}


def _count(number: float | int | str) -> str:
    """4,300,000 as 4.3 M."""
    number = float(number)
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g} "


def _terms(values: Values) -> str:
    named = [f"{name} {values[key]:.3f}" for key, name in TERMS.items() if key in values]
    return f" ({', '.join(named)})" if len(named) > 1 else ""


def _epoch(values: Values, plan: Values) -> str:
    """Which epoch of how many, where a run goes over labelled rows."""
    if "task" not in plan or "epoch" not in values:
        return ""
    epochs = max(1, math.ceil(float(plan["epochs"]) - 0.01))
    return f"epoch {min(int(values['epoch']) + 1, epochs)}/{epochs}"


def _accuracy(values: Values) -> str:
    return f"accuracy {values['accuracy']:.1%}" if "accuracy" in values else ""


def _rate(values: Values) -> str:
    return f"{values['tokens_per_second']:,.0f} tokens/s" if "tokens_per_second" in values else ""


def _left(values: Values) -> str:
    return f"{duration(float(values['seconds_left']))} left" if "seconds_left" in values else ""
