"""The sections of question answering and multiple choice: the hardest questions, with their contexts marked."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from bertwright.reports.classified import facts_of
from bertwright.reports.content import Block, Example, Examples, Line, Mark, Prose, Section
from bertwright.reports.predicted import Row, hardest
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import shortened

HARDEST = 10
AROUND = 180  # characters of the context shown on either side of what is marked


def answered_sections(run: RunFiles, split: str) -> list[Section]:
    """The hardest questions; none where there are no predictions."""
    rows = [row for row in run.predictions.get(split, ()) if isinstance(row.get("context"), str)]
    found = hardest(rows, HARDEST)
    if not found:
        return []
    told = "The questions with the highest loss, highest first. In each context the right answer and the predicted one are marked."
    return [Section("Hardest questions", [Prose(told), Examples([question_example(row) for row in found])])]


def chosen_sections(run: RunFiles, split: str) -> list[Section]:
    """The hardest texts with their choices; none where there are no predictions."""
    rows = [row for row in run.predictions.get(split, ()) if isinstance(row.get("choices"), list)]
    found = hardest(rows, HARDEST)
    if not found:
        return []
    blocks: list[Block] = [Prose("The texts with the highest loss, highest first."), Examples([_choice(row) for row in found])]
    return [Section("Hardest choices", blocks)]


def right_answers(row: Row) -> list[tuple[str, int | None]]:
    """Text and beginning of each right answer, however the file writes them: objects, texts, or SQuAD's object of lists."""
    given = row.get("label", row.get("answers"))
    if isinstance(given, Mapping):
        starts = given.get("answer_start") or given.get("start") or []
        return [(str(text), start) for text, start in zip(given.get("text") or [], starts, strict=False)]
    found: list[tuple[str, int | None]] = []
    for one in given if isinstance(given, Sequence) and not isinstance(given, str) else [given] if given else []:
        if isinstance(one, Mapping):
            found.append((str(one.get("text", "")), one.get("start", one.get("answer_start"))))
        elif isinstance(one, list | tuple) and len(one) == 2:
            found.append((str(one[0]), int(one[1])))
        else:
            found.append((str(one), None))
    return found


def question_example(row: Row) -> Example:
    """A question with its context around the right and the predicted answer."""
    prediction, context = row.get("prediction") or {}, str(row["context"])
    right, said = right_answers(row), str(prediction.get("answer", prediction.get("text", "")))
    spans: list[tuple[int, int, str]] = []
    for text, start in right[:1]:
        at = context.find(text) if start is None else start
        if text and at >= 0:
            spans.append((at, at + len(text), "right"))
    start, end = prediction.get("start"), prediction.get("end")
    good = said in [text for text, _ in right] or (not right and not said)
    if isinstance(start, int) and isinstance(end, int) and (start, end) not in [span[:2] for span in spans]:
        spans.append((start, end, "right" if good else "wrong"))
    lines = [
        Line.plain("question", shortened(str(row.get("question", "")), 400)),
        Line(name="context", marks=marked(context, spans)),
        Line(name="right", marks=[Mark(text=" / ".join(dict.fromkeys(text for text, _ in right)) or "no answer", tone="right")]),
        Line(name="predicted", marks=[Mark(text=said or "no answer", tone="right" if good else "wrong")]),
    ]
    return Example(lines=lines, badge="right" if good else "wrong", good=good, facts=[*facts_of(row), *_score(prediction)])


def marked(text: str, spans: Sequence[tuple[int, int, str]]) -> list[Mark]:
    """The text with stretches marked, (start, end, tone); where they overlap, both tones show. What lies far from all of them is left out."""
    spans = [span for span in spans if 0 <= span[0] < span[1] <= len(text)]
    if not spans:
        return [Mark(text=shortened(text, 2 * AROUND))]
    first, last = max(min(start for start, _, _ in spans) - AROUND, 0), min(max(end for _, end, _ in spans) + AROUND, len(text))
    cuts = sorted({first, last, *(place for start, end, _ in spans for place in (start, end))})
    marks = [Mark(text="… ")] if first else []
    for start, end in pairwise(cuts):
        tones = [tone for low, high, tone in spans if low <= start and end <= high]
        tone = "" if not tones else "both" if len(set(tones)) > 1 else tones[0]
        piece = text[start:end]
        piece = piece if tone or len(piece) <= 2 * AROUND else f"{piece[:AROUND]} … {piece[-AROUND:]}"
        marks.append(Mark(text=piece, tone=tone, said={"right": "right answer", "wrong": "predicted answer", "both": "right and predicted"}.get(tone, "")))
    return [*marks, Mark(text=" …")] if last < len(text) else marks


def _choice(row: Row) -> Example:
    prediction = row.get("prediction") or {}
    chances = prediction.get("probabilities") or [0.0] * len(row["choices"])
    right, said = row.get("label"), prediction.get("choice")
    bars = [
        (shortened(str(text), 160), float(chance), f"{chance:.1%}", "right" if place == right else "wrong" if place == said else "")
        for place, (text, chance) in enumerate(zip(row["choices"], chances, strict=False))
    ]
    good = right == said

    lines = [Line.plain("text", shortened(str(row.get("text", "")), 800))]
    return Example(lines=lines, badge="right" if good else "wrong", good=good, facts=facts_of(row), bars=bars)


def _score(prediction: Mapping[str, Any]) -> list[str]:
    parts = [("probability", prediction.get("score")), ("of no answer", prediction.get("no_answer"))]
    return [f"{name} {value:.1%}" for name, value in parts if isinstance(value, int | float)]
