"""Which columns of a table hold what: by the names people usually give them, or by the names a user says."""

from collections.abc import Mapping, Sequence

from bertwright.data.labelled.config import DataConfig
from bertwright.data.labelled.usual_columns import EVERY, IDS, LABELS, LIKE_VALUES, PAIRS, SCORES, TEXTS
from bertwright.errors import InputError

Roles = Mapping[str, str]


def plain(name: str) -> str:
    """A column's name as it is compared: "Gold Label", "gold-label" and "gold_label" are one."""
    return name.strip().strip('"').lower().replace(" ", "_").replace("-", "_")


def is_usual(name: str, *, plainly: bool = False) -> bool:
    """Whether columns are often called so; `plainly`: and what stands in them is not."""
    return plain(name) in EVERY and not (plainly and plain(name) in LIKE_VALUES)


def is_identifier(name: str) -> bool:
    """Whether a column tells rows, users, products apart by its name: user_id, reviewerID, asin."""
    bare = name.strip()
    return plain(name) in (*IDS, "asin") or bare.endswith(("_id", "-id", " id", "ID", "Id"))


def find(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column that has the first of these names that there is."""
    by_plain = {plain(column): column for column in reversed(columns)}
    return next((by_plain[name] for name in names if name in by_plain), None)


def find_pair(columns: Sequence[str]) -> tuple[str, str] | None:
    """The two columns of a usual pair of texts."""
    by_plain = {plain(column): column for column in reversed(columns)}
    return next(((by_plain[first], by_plain[second]) for first, second in PAIRS if first in by_plain and second in by_plain), None)


def named_column(columns: Sequence[str], name: str, *, option: str, file: str) -> str:
    """The column a user named, or numbered from 0. Raises InputError with those found."""
    if name in columns:
        return name
    if (column := find(columns, (plain(name),))) is not None:
        return column
    if name.isdecimal() and int(name) < len(columns):
        return columns[int(name)]
    raise InputError(f"{file}: no column {name!r}, found {', '.join(columns) or 'none'}: pass --{option} with one of these")


def named_roles(columns: Sequence[str], config: DataConfig, file: str, *, trained: Roles) -> dict[str, str]:
    """The columns that the user named, by role. Raises InputError with a line for each that is not there.

    trained: the columns by role as training had them, for a file whose own first line does not name them.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    for role in ("text", "pair", "label"):
        if (name := getattr(config, f"{role}_column")) is None:
            continue
        try:
            found[role] = named_column(columns, name, option=f"{role}_column", file=file)
        except InputError as error:
            if role in trained and not set(columns) - set(map(str, range(len(columns)))):
                continue
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return found


def text_roles(columns: Sequence[str], named: Roles) -> dict[str, str]:
    """text, pair and label of a table of texts, as far as usual names tell them."""
    roles = dict(named)
    free = [column for column in columns if column not in roles.values()]
    if "label" not in roles and (label := find(free, LABELS) or find(free, SCORES)) is not None:
        roles["label"] = label
        free.remove(label)
    if "text" not in roles:
        pair = find_pair(free) if "pair" not in roles else None
        if pair is not None:
            roles["text"], roles["pair"] = pair
        elif (text := find(free, TEXTS)) is not None:
            roles["text"] = text
    return roles


def missing_column(what: str, file: str, columns: Sequence[str], option: str) -> InputError:
    """The error for a table in which nothing looks like a text, or a label."""
    return InputError(f"{file}: no column for {what}, found {', '.join(columns) or 'none'}: pass --{option} with one of these")
