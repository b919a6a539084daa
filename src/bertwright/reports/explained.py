"""Why a model says what it says of a few chosen examples: which tokens its answer rests on, and where its layers look."""

import base64
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.image
import numpy as np
import torch
from numpy.typing import NDArray

from bertwright.analysis.attribution import Attribution, attention_maps, hidden_words, integrated_gradients
from bertwright.checkpoints.huggingface import load_model
from bertwright.checkpoints.resolve import find_checkpoint
from bertwright.errors import BertwrightError
from bertwright.models import Model
from bertwright.reports.cases import Case, cases, sides
from bertwright.reports.content import Block, Example, Examples, Folded, Line, Map, Maps, Mark, Prose, Section, Table
from bertwright.reports.pictures import attention_png, attribution_png
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import number
from bertwright.text.tokenizer import Encoding, Tokenizer

MAPPED = 48  # tokens of an attention map: more would be too small to see
LAYERS = 6  # attention maps shown, spread over the depth
STRONGEST = 5  # tokens named with their numbers
TITLE = "What the answers rest on"


def explained_section(run: RunFiles, split: str, figures: Path, *, examples: int) -> list[Section]:
    """Attributions and attention of `examples` rows, half of them right and half hard; a line on why there are none where they cannot be had."""
    chosen = cases(run, split, examples)
    if not chosen:
        return []
    if not (run.path / "checkpoints").is_dir():
        return [Section(TITLE, [Prose("Not shown: the run folder has no checkpoints any more.")])]
    try:
        folder = find_checkpoint(str(run.path)).folder
        model, tokenizer = load_model(folder, dtype=torch.float32).model, Tokenizer.load(folder)
        limit = min(int(run.config.get("max_seq_length") or sys.maxsize), model.architecture.max_length or sys.maxsize)
        shown = [_explain(case, model, tokenizer, limit=limit, figures=figures, place=place) for place, case in enumerate(chosen, 1)]
    except BertwrightError as error:
        return [Section(TITLE, [Prose(f"Not shown: {error}")])]
    told = (
        "Integrated gradients (Sundararajan et al. 2017): what each token adds to the logit, against the same text with its words hidden. "
        "Blue, underlined: it speaks for the answer; orange, dotted: against it. The stronger, the more; the parts add up to the whole."
    )
    found = [example for example in shown if example is not None]
    return [Section(TITLE, [Prose(told), Examples(found, wide=True)])] if found else []


def _explain(case: Case, model: Model, tokenizer: Tokenizer, *, limit: int, figures: Path, place: int) -> Example | None:
    """The example with its attributions and attention; None where what it asks for was cut off."""
    longest = min(limit, case.longest)
    encoding = tokenizer.encode(case.text, case.pair, max_length=longest)
    pieces, hidden = _pieces(encoding, case.text, case.pair), hidden_words(encoding, tokenizer)
    texts = [text for text, _ in pieces]
    lines, facts, tables = list[Line](), list[str](), list[Block]()
    for number_asked, asked in enumerate(case.asked):
        target = asked.target(encoding)
        if target is None:
            continue
        found = integrated_gradients(model, encoding, baseline=hidden, target=target)
        attribution_png(figures / f"attribution_{place}{'_label' if number_asked else ''}.png", texts, found.scores, title=asked.title)
        lines.append(Line(name=asked.title, marks=_marks(pieces, found)))
        facts.append(_sum(asked.title, found))
        tables.append(_strongest(asked.title, texts, found))
    if not lines:
        return None
    if len(encoding.ids) == longest < limit:
        facts.append(f"at most {longest} tokens are read here")
    blocks = [Folded("Strongest tokens", tables), *_attention(model, encoding, texts, figures / f"attention_{place}.png")]
    shown = case.shown
    return Example(lines=[*lines, *shown.lines], badge=shown.badge, good=shown.good, facts=facts, bars=shown.bars, blocks=blocks)


def _pieces(encoding: Encoding, text: str, pair: str | None) -> list[tuple[str, str]]:
    """Each token as a reader knows it, and what stands between it and the one before."""
    pieces, before, own = list[tuple[str, str]](), 0, 0
    for token, special, side, (start, end) in zip(encoding.tokens, encoding.special_mask, sides(encoding), encoding.offsets, strict=True):
        before, own = (before, own) if side == own else (0, side)
        if special or end <= start:
            pieces.append((token, " " if pieces else ""))
            continue
        source = text if side == 0 or pair is None else pair
        start += len(source[start:end]) - len(source[start:end].lstrip())
        pieces.append((source[start:end] or token, source[before:start] if 0 < before <= start else "" if before else " "))
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
    return f"{title}: logit {number(found.score, 3)}, {number(found.baseline, 3)} with the words hidden{missed}"


def _strongest(title: str, tokens: Sequence[str], found: Attribution) -> Table:
    order = sorted(range(len(tokens)), key=lambda place: -abs(found.scores[place]))[:STRONGEST]
    return Table(head=(f"token, {title}", "added to the logit"), rows=[[tokens[place], _signed(found.scores[place])] for place in order])


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
