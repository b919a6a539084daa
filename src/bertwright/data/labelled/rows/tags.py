"""Rows of words and their tags, whatever the scheme, as words with BIO tags."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bertwright.data.labelled.bad_rows import listed
from bertwright.data.labelled.cells import parsed
from bertwright.data.labelled.examples import TagExample
from bertwright.data.labelled.known import Made, TableReading
from bertwright.data.labelled.labels import Raw, known_labels, name_labels, split_names
from bertwright.data.labelled.rows.texts import values_of
from bertwright.data.labelled.schemes import OUTSIDE, PLAIN, Scheme, find_scheme, settle, split_tag, to_bio
from bertwright.data.places import Place
from bertwright.data.tables import kind_of
from bertwright.errors import InputError

Sentence = tuple[Place, tuple[str, ...], Sequence[Raw]]


def words_of(row: Mapping[str, Any], column: str, place: Place) -> tuple[str, ...]:
    """The words of a row: a list, or a text with spaces between them. Raises InputError for anything else."""
    value = parsed(row.get(column), place)
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        strange = next((word for word in value if not isinstance(word, str)), value) if isinstance(value, list) else value
        raise InputError(f"{place}: column {column!r} holds {kind_of(strange)}, not words: mend the row, or pass another --text_column")
    return tuple(value)


def make_tags(reading: TableReading) -> Made:
    """Sentences with BIO tags. Raises InputError for mixed schemes, and for a type that training never saw."""
    sentences = _sentences(reading)
    reading.settle()
    if not sentences:
        return reading.made([])
    by_word = reading.table.kind == "CoNLL columns"
    places: dict[Raw, Place] = {}
    for place, _, tags in sentences:
        for index, tag in enumerate(tags):
            if tag not in places:
                places[tag] = Place(place.name, place.unit, place.number + (index if by_word else 0))
    column = reading.roles["label"]
    class_names, known = reading.table.class_names.get(column, ()), reading.known
    if known is not None and known.values and not class_names:
        names = tuple(dict.fromkeys(known.values.values()))
        of = known_labels({raw: [place] for raw, place in places.items()}, names, file=reading.name, trained=known.trained, values=known.values)
        names = ()
    else:
        names, of, _ = name_labels(places, file=reading.name, given=split_names(reading.config.label_names), class_names=class_names, strict=known is None)
    scheme = find_scheme([(of[raw], place) for raw, place in places.items()], file=reading.name)
    examples = [
        TagExample(words=words, tags=to_bio([of[raw] for raw in tags], scheme, place=place, by_word=by_word), place=place) for place, words, tags in sentences
    ]
    return _named(reading, examples, scheme, settle(scheme, file=reading.name), {"values": values_of(of, names)} if names else {})


def _sentences(reading: TableReading) -> list[Sentence]:
    found: list[Sentence] = []
    word_column, tag_column = reading.roles["text"], reading.roles["label"]
    for place, row in reading.rows():
        words, tags = words_of(row, word_column, place), parsed(row.get(tag_column), place)
        if isinstance(tags, str):
            tags = tags.split()
        if not words:
            reading.bad.add("without words", place)
        elif tags is None:
            reading.bad.add("without tags", place)
        elif not isinstance(tags, list) or any(isinstance(tag, list | dict) for tag in tags):
            raise InputError(f"{place}: column {tag_column!r} holds {kind_of(tags)}, not a tag for each word: mend the row, or pass another --label_column")
        elif len(tags) != len(words):
            reading.bad.add("with another number of tags than words", place)
        elif any(tag is None or tag == "" for tag in tags):
            reading.bad.add("with a word that has no tag", place)
        else:
            found.append((place, words, tags))
    return found


def _named(reading: TableReading, examples: Sequence[TagExample], scheme: Scheme, said: str, decided: Mapping[str, Any]) -> Made:
    """The labels of a training file, or the check that a later file has no others."""
    first = dict.fromkeys(tag for example in examples for tag in example.tags or ())
    known = reading.known
    if known is not None and known.labels:
        _check_known(examples, first, reading)
        return reading.made(examples, labels=known.labels, scheme=scheme.name)
    if all(tag == OUTSIDE for tag in first):
        raise InputError(f"{reading.name}: every word has the tag O: there is nothing to learn")
    if scheme.name == PLAIN:
        if len(first) < 2:
            raise InputError(f"{reading.name}: every word has the tag {next(iter(first))!r}: there is nothing to learn")
        labels = tuple(sorted(map(str, first)))
        return reading.made(examples, said, f"labels: {listed(labels)} (sorted)", labels=labels, scheme=scheme.name, decided=decided)
    types = _types(reading, first)
    labels = (OUTSIDE, *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))
    return reading.made(examples, said, f"entities: {listed(types)}", labels=labels, scheme=scheme.name, decided=decided)


def _check_known(examples: Sequence[TagExample], tags: Iterable[str], reading: TableReading) -> None:
    """Raises InputError naming each type of entity, or tag without a prefix, that training never saw, with its rows."""
    assert reading.known is not None
    names = {_kind(label) for label in reading.known.labels} - {OUTSIDE}
    unseen = {tag for tag in tags if tag != OUTSIDE and _kind(tag) not in names}
    places: dict[Raw, list[Place]] = {}
    for example in examples if unseen else ():
        for tag in unseen.intersection(example.tags or ()):
            found = places.setdefault(_kind(tag), [])
            if example.place is not None and example.place not in found[-1:]:
                found.append(example.place)
    known_labels(places, tuple(sorted(names)), file=reading.name, trained=reading.known.trained)


def _kind(tag: str) -> str:
    parts = split_tag(tag)
    return parts[1] if parts else tag


def _types(reading: TableReading, tags: Iterable[str | None]) -> list[str]:
    """The types of entities: as a data set or the user orders them, else sorted."""
    ordered = [*reading.table.class_names.get(reading.roles["label"], ()), *split_names(reading.config.label_names)]
    found = {parts[1] for tag in tags if tag is not None and (parts := split_tag(tag))}
    listed_first = list(dict.fromkeys(parts[1] for tag in ordered if (parts := split_tag(tag))))
    return [*listed_first, *sorted(found - set(listed_first))]
