"""From what the label column holds to the names of the labels, in the order of their ids."""

import re
from collections.abc import Mapping, Sequence

from bertwright.data.labelled.bad_rows import listed, many_rows, named_places
from bertwright.data.places import Place
from bertwright.errors import InputError

Raw = str | int | float | bool
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

PADDED = re.compile(r"0\d+")
TRUTHS = ("True", "False", "TRUE", "FALSE")


def number_of(raw: Raw) -> float | None:
    """The number that a value is or spells; None for words and for true and false."""
    if isinstance(raw, str):
        return float(raw) if NUMBER.fullmatch(raw) else None
    return None if isinstance(raw, bool) else float(raw)


def plain_name(raw: Raw) -> str:
    """A value as a label's name: 1, 1.0 and "1" are one label, so are true and "True"; "01234" is another than "1234"."""
    number = number_of(raw)
    if number is None:
        return str(raw).lower() if isinstance(raw, bool) or raw in TRUTHS else str(raw)
    if isinstance(raw, str) and PADDED.fullmatch(raw):
        return raw
    return str(int(number)) if number.is_integer() else repr(number)


def flag_of(value: object) -> bool | None:
    """What 0 and 1, or false and true, say; None for anything else."""
    text = str(value).strip().lower()
    number = {"true": 1.0, "false": 0.0}.get(text, number_of(text))
    return bool(number) if number in (0, 1) else None


def split_names(text: str | None) -> tuple[str, ...]:
    """ "sadness,joy" as names."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()


def name_labels(
    raws: Mapping[Raw, Place], *, file: str, given: Sequence[str] = (), class_names: Sequence[str] = (), strict: bool = True
) -> tuple[tuple[str, ...], dict[Raw, str], str]:
    """(names in the order of their ids, name of each value, how the order came about in words).

    raws: the values that occur, each with a place where it does. given: names that the user gives to numbers, or the order of words; class_names: a data set's.
    strict: refuse names for numbers of which it is not plain whether they are counted from 0 or 1.
    Numbers ascend, words are sorted. Raises InputError for numbers among words, and for names that do not fit.
    """
    if doubled := sorted({name for name in given if list(given).count(name) > 1}):
        raise InputError(f"--label_names gives {', '.join(doubled)} twice: name each label once")
    words = [raw for raw in raws if number_of(raw) is None]
    if class_names:
        return _of_data_set(raws, class_names, file)
    if words and len(words) < len(raws):
        number = next(raw for raw in raws if raw not in words)
        raise InputError(
            f"{file}: labels are words ({words[0]!r}, {raws[words[0]].unit} {raws[words[0]].number:,}) and numbers "
            f"({number!r}, {raws[number].unit} {raws[number].number:,}): write all of them one way, or pass another --label_column"
        )
    if words:
        plain = {raw: plain_name(raw) for raw in raws}
        if given:
            if unknown := sorted(set(plain.values()) - set(given)):
                raise InputError(f"{file}: labels {', '.join(map(repr, unknown))} are not among --label_names {','.join(given)}: name every label")
            return tuple(given), plain, "in the order of --label_names"
        return tuple(sorted(set(plain.values()))), plain, "sorted"
    plain = {raw: plain_name(raw) for raw in raws}
    ascending = sorted(set(plain.values()), key=lambda name: (float(name), name))
    if not given:
        return tuple(ascending), plain, "numbers, ascending"
    return _named_numbers(plain, ascending, given, file, strict=strict)


def _named_numbers(
    plain: Mapping[Raw, str], ascending: list[str], given: Sequence[str], file: str, *, strict: bool
) -> tuple[tuple[str, ...], dict[Raw, str], str]:
    numbers = {int(name) for name in ascending if name.isdecimal()}
    if len(numbers) == len(ascending) and not {0, len(given)} <= numbers and max(numbers, default=0) <= len(given):
        first = 1 if len(given) in numbers else 0
        if len(numbers) < len(given) and first == 0 and 0 not in numbers and strict:
            raise InputError(
                f"{file}: the labels are {', '.join(ascending)}, and --label_names gives {len(given)} names: neither 0 nor {len(given)} occurs, so that "
                "it is not plain whether they are counted from 0 or 1: write the names into the file"
            )
        return tuple(given), {raw: given[int(name) - first] for raw, name in plain.items()}, f"named by --label_names, {first} = {given[0]}"
    if len(ascending) != len(given):
        raise InputError(f"{file}: the labels are {', '.join(ascending)}, and --label_names gives {len(given)} names: give one for each, in this order")
    names = dict(zip(ascending, given, strict=True))
    return tuple(given), {raw: names[name] for raw, name in plain.items()}, "named by --label_names"


def _of_data_set(raws: Mapping[Raw, Place], class_names: Sequence[str], file: str) -> tuple[tuple[str, ...], dict[Raw, str], str]:
    found: dict[Raw, str] = {raw: class_names[int(raw)] for raw in raws if not isinstance(raw, str) and 0 <= raw < len(class_names)}
    if strange := [raw for raw in raws if raw not in found]:
        raise InputError(f"{file}: label {strange[0]!r} is none of the data set's {len(class_names)} names: mend the data set")
    return tuple(class_names), found, "as the data set names them"


def known_labels(
    raws: Mapping[Raw, list[Place]], names: Sequence[str], *, file: str, trained: str = "", values: Mapping[str, str] | None = None
) -> dict[Raw, str]:
    """The names of values in a further file, among those that training saw. values: what they stood for there; without them numbers are ids of words.

    Raises InputError naming each label that training never saw, with its rows.
    """
    found: dict[Raw, str] = {}
    ids = not values and not any(number_of(name) is not None for name in names)
    for raw in raws:
        name = plain_name(raw)
        if values and name in values:
            found[raw] = values[name]
        elif name in names:
            found[raw] = name
        elif ids and name.isdecimal() and int(name) < len(names):
            found[raw] = names[int(name)]
    if unseen := [raw for raw in raws if raw not in found]:
        raise InputError(
            *(
                f"{file}: label {plain_name(raw)!r} ({many_rows(len(raws[raw]))}: {named_places(raws[raw])}) was never seen in training, "
                f"which had {listed(names)}: add rows of it to {trained or 'the training file'}, or take these out"
                for raw in unseen
            )
        )
    return found
