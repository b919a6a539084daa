"""Rows of texts to embed: pairs that belong together, pairs with a score, triplets; and rows of a source and its target."""

import math

from bertwright.data.labelled.cells import with_point
from bertwright.data.labelled.columns import Roles, find, find_pair
from bertwright.data.labelled.examples import EmbedExample, WriteExample
from bertwright.data.labelled.known import Made, TableReading
from bertwright.data.labelled.labels import number_of
from bertwright.data.labelled.rows.texts import all_texts, text_of
from bertwright.data.labelled.usual_columns import ANCHORS, EMBED_PAIRS, EMBED_SCORES, NEGATIVES, POSITIVES, WRITTEN
from bertwright.data.places import Place
from bertwright.data.tables import kind_of
from bertwright.errors import InputError


def embed_roles(columns: list[str], named: Roles) -> dict[str, str]:
    """text, pair, negative and label (a score), as far as usual names tell them."""
    roles = dict(named)
    free = [column for column in columns if column not in roles.values()]
    if "text" not in roles:
        pair = next((names for names in EMBED_PAIRS if all(find(free, (name,)) for name in names)), None)
        found = (find(free, pair[:1]), find(free, pair[1:])) if pair else find_pair(free) or (find(free, ANCHORS), find(free, POSITIVES))
        if found[0] is not None and found[1] is not None:
            roles["text"], roles["pair"] = found[0], found[1]
        elif (only := find(free, ("text", "sentence", "anchor", "content"))) is not None:
            roles["text"] = only
    free = [column for column in free if column not in roles.values()]
    if "pair" in roles and (negative := find(free, NEGATIVES)) is not None:
        roles["negative"] = negative
    elif "pair" in roles and "label" not in roles and (score := find(free, EMBED_SCORES)) is not None:
        roles["label"] = score
    return roles


def write_roles(columns: list[str], named: Roles) -> dict[str, str]:
    """text (the source) and pair (the target), as far as usual names tell them."""
    roles = {("pair" if role == "label" else role): column for role, column in named.items()}
    for source, target in WRITTEN:
        found = roles.get("text") or find(columns, (source,)), roles.get("pair") or find(columns, (target,))
        if found[0] is not None and found[1] is not None and found[0] != found[1]:
            return {**roles, "text": found[0], "pair": found[1]}
    return roles


def make_embeddings(reading: TableReading) -> Made:
    """Two or three texts a row, or two with a score. Raises InputError for a score that is no number."""
    columns = [reading.roles[role] for role in ("text", "pair", "negative") if role in reading.roles]
    score_column = reading.roles.get("label") if reading.labelled else None
    examples = []
    for place, row in reading.rows():
        texts = all_texts(reading, columns, place, row)
        if not texts:
            continue
        score = None
        if score_column is not None:
            score = _score(row.get(score_column), score_column, place, reading.table.separator)
            if score is None:
                reading.bad.add("without a score", place)
                continue
        examples.append(EmbedExample(texts=texts, score=score, place=place))
    return reading.made(examples)


def _score(value: object, column: str, place: Place, separator: str | None) -> float | None:
    if value is None or value == "" or value != value:
        return None
    if separator not in (None, ","):
        value = with_point(value)
    number = number_of(value.strip() if isinstance(value, str) else value) if isinstance(value, str | int | float) else None
    if number is None or math.isinf(number):
        raise InputError(f"{place}: column {column!r} holds {kind_of(value)}, not a number: mend the row, or pass another --label_column")
    return number


def make_written(reading: TableReading) -> Made:
    """A source and its target a row."""
    examples = []
    for place, row in reading.rows():
        source, target = (text_of(reading, reading.roles[role], place, row) for role in ("text", "pair"))
        if source is None or target is None:
            reading.bad.add("without a source" if source is None else "without a target", place)
        else:
            examples.append(WriteExample(source=source, target=target, place=place))
    return reading.made(examples)
