"""Why a model says what it says of a few chosen examples: which tokens its answer rests on, and where its layers look."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bertwright.analysis.attribution import Attribution, Target, attention_maps, hidden_words, integrated_gradients
from bertwright.checkpoints.huggingface import load_model
from bertwright.checkpoints.resolve import find_checkpoint
from bertwright.errors import BertwrightError
from bertwright.models import Model
from bertwright.models.output import Output
from bertwright.reports.classified import text_example
from bertwright.reports.content import Block, Example, Examples, Folded, Line, Map, Maps, Mark, Prose, Section, Table
from bertwright.reports.pictures import attention_png, attribution_png
from bertwright.reports.predicted import Row, labelled, loss_of
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import number
from bertwright.text.tokenizer import Encoding, Tokenizer

LONGEST = 128  # tokens explained: enough for a paragraph, and a minute of a base model on a laptop
MAPPED = 48  # tokens of an attention map: more would be too small to see
LAYERS = 6  # attention maps shown, spread over the depth
STRONGEST = 5  # tokens named with their numbers
TITLE = "What the answers rest on"


@dataclass(frozen=True, kw_only=True)
class _Case:
    row: Row
    right: bool
    targets: tuple[tuple[str, int], ...]  # what is explained, in words, and its logit


def explained_section(run: RunFiles, split: str, figures: Path, *, examples: int) -> list[Section]:
    """Attributions and attention of `examples` rows, half of them right and half hard; a line on why there are none where they cannot be had."""
    if run.task not in ("classify", "regress") or examples < 1:
        return []
    cases = _chosen(run, split, examples)
    if not cases:
        return []
    if not (run.path / "checkpoints").is_dir():
        return [Section(TITLE, [Prose("Not shown: the run folder has no checkpoints any more.")])]
    try:
        folder = find_checkpoint(str(run.path)).folder
        model, tokenizer = load_model(folder, dtype=torch.float32).model, Tokenizer.load(folder)
        shown = [_explain(case, run, model, tokenizer, figures=figures, place=place) for place, case in enumerate(cases, 1)]
    except BertwrightError as error:
        return [Section(TITLE, [Prose(f"Not shown: {error}")])]
    told = (
        "Integrated gradients (Sundararajan et al. 2017): what each token adds to the logit, against the same text with its words hidden. "
        "Blue, underlined: it speaks for the label; orange, dotted: against it. The stronger, the more; the parts add up to the whole."
    )
    return [Section(TITLE, [Prose(told), Examples(shown, wide=True)])]


def _chosen(run: RunFiles, split: str, count: int) -> list[_Case]:
    rows = run.predictions.get(split, ())
    if run.task == "regress":
        scored = sorted((row for row in rows if loss_of(row) is not None and row.get("text")), key=lambda row: loss_of(row) or 0.0)
        picked = [*scored[: -(-count // 2)], *reversed(scored[-(-count // 2) :][-(count // 2) :])] if len(scored) > count else scored
        half = -(-count // 2)
        return [_Case(row=row, right=place < half, targets=(("the number", 0),)) for place, row in enumerate(picked[:count])]
    found = labelled(rows, run.labels)
    if found is None:
        return []
    sure, hard = list[int](), list[int]()
    confidence, seen = found.probabilities.max(1), set[str]()
    for place in np.argsort(-confidence, kind="stable"):
        label = str(found.rows[place].get("label"))
        if found.right[place] and label not in seen and 3 <= len(str(found.rows[place].get("text", "")).split()) <= 40:
            seen.add(label)
            sure.append(int(place))
    losses = [loss_of(row) or 0.0 for row in found.rows]
    hard = [int(place) for place in np.argsort([-loss for loss in losses], kind="stable") if not found.right[place]]
    hard = hard[: max(count // 2, count - len(sure))]
    return [_case(found.rows[place], bool(found.right[place]), run.labels) for place in [*sure[: count - len(hard)], *hard]]


def _case(row: Row, right: bool, labels: Sequence[str]) -> _Case:
    prediction = row["prediction"]
    named = {name: place for place, name in enumerate(labels)}
    said = prediction.get("label") or max(prediction["probabilities"], key=prediction["probabilities"].get)
    given = row["label"] if isinstance(row["label"], list) else [str(row["label"])]
    others = [] if right else [name for name in given if name != said][:1]
    return _Case(row=row, right=right, targets=tuple((str(name), named[str(name)]) for name in [said, *others] if str(name) in named))


def _explain(case: _Case, run: RunFiles, model: Model, tokenizer: Tokenizer, *, figures: Path, place: int) -> Example:
    row, limit = case.row, min(LONGEST, int(run.config.get("max_seq_length") or LONGEST), model.architecture.max_length or LONGEST)
    encoding = tokenizer.encode(str(row["text"]), row.get("pair"), max_length=limit)
    pieces = _pieces(encoding, str(row["text"]), row.get("pair"))
    hidden = hidden_words(encoding, tokenizer)
    lines, facts, tables = list[Line](), list[str](), list[Block]()
    for name, output in case.targets:
        found = integrated_gradients(model, encoding, baseline=hidden, target=_logit(output))
        title = name if run.task == "regress" else f"for {name}"
        which = "" if name == case.targets[0][0] else "_label"
        attribution_png(figures / f"attribution_{place}{which}.png", [text for text, _ in pieces], found.scores, title=title)
        lines.append(Line(name=title, marks=_marks(pieces, found)))
        facts.append(_sum(title, found))
        tables.append(_strongest(title, pieces, found))
    base = text_example(row, run.labels, right=case.right) if run.task == "classify" else None
    shown = [line for line in base.lines if line.name not in ("text", "with")] if base else _numbers(row)
    if len(encoding.ids) == limit and limit == LONGEST:
        facts.append(f"only the first {LONGEST} tokens are read here")
    blocks: list[Block] = [Folded("Strongest tokens", tables)]
    blocks += _attention(model, encoding, [text for text, _ in pieces], figures / f"attention_{place}.png")
    badge = "right" if case.right else base.badge if base else "hard"
    return Example(lines=[*lines, *shown], badge=badge, good=case.right, facts=facts, bars=base.bars if base else (), blocks=blocks)


def _logit(place: int) -> Target:
    def of(output: Output) -> Tensor:
        if output.logits is None:
            raise BertwrightError("the checkpoint has no head whose answer could be explained")
        return output.logits[:, place]

    return of


def _numbers(row: Row) -> list[Line]:
    return [Line.plain("right", number(row.get("label"))), Line.plain("predicted", number(row["prediction"].get("value")))]


def _pieces(encoding: Encoding, text: str, pair: Any) -> list[tuple[str, str]]:
    """Each token as a reader knows it, and what stands between it and the one before."""
    pieces, before, side = list[tuple[str, str]](), 0, 0
    sources = (text, "" if pair is None else str(pair))
    for token, special, kind, (start, end) in zip(encoding.tokens, encoding.special_mask, encoding.type_ids, encoding.offsets, strict=True):
        if special or end <= start:
            pieces.append((token, " " if pieces else ""))
            side, before = (1, 0) if special and before and pair is not None else (side, before)
            continue
        source = sources[max(kind, side) if pair is not None else 0]
        start = start + len(source[start:end]) - len(source[start:end].lstrip())
        pieces.append((source[start:end] or token, source[before:start] if 0 < before <= start else " " if not before else ""))
        before = end
    return pieces


def _marks(pieces: Sequence[tuple[str, str]], found: Attribution) -> list[Mark]:
    strongest = max(map(abs, found.scores), default=0.0) or 1.0
    marks = list[Mark]()
    for (text, gap), score in zip(pieces, found.scores, strict=True):
        if gap:
            marks.append(Mark(text=gap))
        tone = "special" if score == 0 else "plus" if score > 0 else "minus"
        marks.append(Mark(text=text, tone=tone, weight=abs(score) / strongest, said=_signed(score)))
    return marks


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value, 3)}"


def _sum(title: str, found: Attribution) -> str:
    missed = "" if found.complete else f" (the parts miss it by {number(abs(found.gap), 2)})"
    return f"{title}: logit {found.score:.2f}, {found.baseline:.2f} with the words hidden{missed}"


def _strongest(title: str, pieces: Sequence[tuple[str, str]], found: Attribution) -> Table:
    order = sorted(range(len(pieces)), key=lambda place: -abs(found.scores[place]))[:STRONGEST]
    return Table(head=(f"token, {title}", "added to the logit"), rows=[[pieces[place][0], _signed(found.scores[place])] for place in order])


def _attention(model: Model, encoding: Encoding, tokens: Sequence[str], path: Path) -> list[Block]:
    if len(encoding.ids) > MAPPED:
        return [Prose(f"Attention maps are shown of texts of up to {MAPPED} tokens; this one has {len(encoding.ids)}.")]
    layers = attention_maps(model, encoding).numpy()
    kept = sorted({round(place) for place in np.linspace(0, len(layers) - 1, min(LAYERS, len(layers)))})
    titles = {f"layer {place + 1} of {len(layers)}": layers[place] for place in kept}
    attention_png(path, tokens, titles)
    maps = [Map(title=title, picture=_picture(weights), tokens=tokens) for title, weights in titles.items()]
    told = "Each row is a token that looks, each column one that is looked at, averaged over heads; brighter is more, in each map up to its own maximum."
    return [Folded("Attention", [Prose(told), Maps(maps)])]


def _picture(weights: NDArray[np.float32]) -> str:
    buffer = io.BytesIO()
    matplotlib.image.imsave(buffer, weights, cmap="cividis", vmin=0, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
