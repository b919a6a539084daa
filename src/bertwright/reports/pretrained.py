"""The page of a pre-training: losses, rates, gradients, throughput, and the masks it filled, or the texts it wrote, as it learnt."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bertwright.evaluation.pretraining import saying_none
from bertwright.reports.account import cost_section, settings_sections, trouble, use_section
from bertwright.reports.content import Block, Cell, Drawings, Prose, Section, Table, Tile, Tiles
from bertwright.reports.curves import Curve, Panel, draw_panels, metric_panels, series
from bertwright.reports.forgotten import forgetting_panels, forgetting_table
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import number, share

FILLED_SHOWN = 8  # moments of the training at which filled masks are shown
# The term of each objective whose loss is that of a token: what is predicted, in words.
PREDICTED = {"mlm": "masked tokens", "clm": "next tokens", "span_corruption": "tokens of gaps", "prefix_lm": "next tokens", "denoising": "tokens restored"}
# Terms that decide between two answers: what is right of them, and their loss, in words.
DECIDED = {
    "rtd": ("replaced tokens told", "Replaced-token loss"),
    "nsp": ("next sentences right", "Next-sentence loss"),
    "sop": ("orders of sentences right", "Sentence-order loss"),
}


def pretrained_sections(run: RunFiles, figures: Path) -> list[Section]:
    """All sections of a pre-training run."""
    curves = draw_panels(_panels(run), figures=figures)
    sections = [Section("Result", [*trouble(run), *_result(run), *forgetting_table(run)])]
    if curves:
        sections.append(Section("Curves", [Drawings(curves)]))
    if run.samples:
        sections.append(Section("Texts it writes" if _predicted(run) == "clm" else "Masks it fills", _filled(run)))
    return [*sections, *cost_section(run, figures), *settings_sections(run), use_section(run)]


def _predicted(run: RunFiles) -> str | None:
    """The term that scores tokens; None of an objective that scores none, such as contrastive."""
    last = run.last("evaluate") or (run.trained[-1] if run.trained else {})
    return next((name for name in PREDICTED if f"eval_{name}_loss" in last or f"{name}_loss" in last), None)


def _loss_title(name: str | None) -> str:
    return "Loss" if name is None else "Masked-token loss" if name == "mlm" else f"Loss of {PREDICTED[name]}"


def _result(run: RunFiles) -> list[Block]:
    last, term = run.last("evaluate"), _predicted(run)
    trained, key = run.trained, f"eval_{term}_loss" if term else "eval_loss"
    notes = [_chances(last), "the generator's" if "eval_rtd_loss" in last else ""] if term else []
    tiles = [Tile(name=f"{_loss_title(term).lower()}, held out", value=number(last[key]), notes=notes)] if key in last else []
    told = [(f"eval_{term}_accuracy", f"{PREDICTED[term]} right", "")] if term else []
    told += [(f"eval_{decided}_accuracy", name, _guessed(run, decided)[1]) for decided, (name, _) in DECIDED.items()]
    tiles += [Tile(name=name, value=share(last[key]), notes=[note]) for key, name, note in told if isinstance(last.get(key), int | float)]
    if isinstance(last.get("eval_perplexity"), int | float):
        tiles.append(Tile(name="perplexity", value=number(last["eval_perplexity"])))
    if trained and isinstance(trained[-1].get("tokens"), int | float):
        tiles.append(Tile(name="tokens read", value=f"{trained[-1]['tokens']:,.0f}", notes=[f"{trained[-1].get('step', 0):,} steps"]))
    if not tiles and trained:
        tiles = [Tile(name="training loss", value=number(trained[-1].get("loss")))]
    return [Tiles(tiles)] if tiles else [Prose("Nothing was measured yet.")]


def _guessed(run: RunFiles, term: str) -> tuple[float, str]:
    """The loss of an answer that is always the same, and in words what share of them it gets right: of replaced tokens, "none"."""
    replaced = [value for _, value in series(run.trained, "replaced")]
    if term != "rtd" or not replaced:
        return math.log(2), "chance 50%"
    right, loss = saying_none(replaced)
    return loss, f"{share(right)} are not replaced"


def _chances(last: Mapping[str, Any]) -> str:
    known = [("chance", last.get("chance_loss")), ("word frequencies alone", last.get("unigram_entropy"))]
    return ", ".join(f"{name} {number(value, 3)}" for name, value in known if isinstance(value, int | float))


def _panels(run: RunFiles) -> list[Panel]:
    records, trained, last = run.records, run.trained, run.last("evaluate")
    term = _predicted(run)
    key = f"{term}_loss" if term else "loss"
    predicted = _pair(series(trained, key) or series(trained, "loss"), series(records, f"eval_{key}"))
    name = "masked_loss" if term == "mlm" else key
    known = (("chance", "chance_loss"), ("word frequencies alone", "unigram_entropy")) if term else ()  # both are of a token
    references = {name: float(last[key]) for name, key in known if key in last}
    best = min(series(records, "eval_loss"), key=lambda point: point[1], default=(None, None))[0]
    return [
        Panel(name=name, title=f"{_loss_title(term)} (nats)", curves=predicted, references=references, best=best),
        *(_decided(run, decided) for decided in DECIDED),
        *forgetting_panels(run),
        *metric_panels(records, first=f"{term}_accuracy" if term else None, best=best, most=3),
        *rate_panels(run),
    ]


def _decided(run: RunFiles, term: str) -> Panel:
    # A run's log has the loss of replaced tokens times its weight, which evaluations leave out.
    training = [] if term == "rtd" else series(run.trained, f"{term}_loss")
    title = DECIDED[term][1]
    curves = _pair(training, series(run.records, f"eval_{term}_loss"))
    references = {"always the same answer" if term == "rtd" else "chance": _guessed(run, term)[0]}
    return Panel(name=title.lower().replace("-", "_").replace(" ", "_"), title=f"{title} (nats)", curves=curves, references=references)


def _pair(training: list[tuple[float, float]], validation: list[tuple[float, float]]) -> list[Curve]:
    return [Curve(name="training", points=training, number=0, dotted=True), Curve(name="held out", points=validation, number=1)]


def rate_panels(run: RunFiles) -> list[Panel]:
    """Learning rate and gradient norm."""
    rate = Curve(name="learning rate", points=series(run.trained, "learning_rate"), number=2)
    norm = Curve(name="gradient norm", points=series(run.trained, "grad_norm"), number=3, dotted=True)
    return [
        Panel(name="learning_rate", title="Learning rate", curves=[rate]),
        Panel(name="gradient_norm", title="Gradient norm, before clipping", curves=[norm]),
    ]


def _filled(run: RunFiles) -> list[Block]:
    """Texts with masks, or beginnings, and what stood in or behind them at some steps: samples.jsonl, {"step", "text", "filled", "answers", "right"}, the last
    three optional."""
    head = ("step", "written" if _predicted(run) == "clm" else "filled")
    by_text: dict[str, dict[int, Mapping[str, Any]]] = {}
    for sample in run.samples:
        if isinstance(sample.get("step"), int | float) and sample.get("text"):
            by_text.setdefault(str(sample["text"]), {})[int(sample["step"])] = sample
    blocks: list[Block] = [Prose("The same held-out texts at several moments of the training.")]
    for text, moments in by_text.items():
        steps = sorted(moments)
        kept = [steps[round(place)] for place in np.linspace(0, len(steps) - 1, min(FILLED_SHOWN, len(steps)))]
        rows: list[list[str | Cell]] = [[f"{step:,}", _said(moments[step])] for step in dict.fromkeys(kept)]
        original = moments[steps[-1]].get("original")
        blocks.append(Table(head=head, rows=rows, words=frozenset({1}), caption=text + (f" — {original}" if original else "")))
    return blocks


def _said(sample: Mapping[str, Any]) -> str:
    filled = sample.get("filled", "")
    text = ", ".join(map(str, filled)) if isinstance(filled, list) else str(filled)
    right, masks = sample.get("right"), sample.get("masks")
    return f"{text} ({right} of {masks} right)" if isinstance(right, int) and isinstance(masks, int) else text
