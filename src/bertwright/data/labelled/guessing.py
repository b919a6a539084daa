"""Which task a table is for and which of its columns hold what, by the names people give them and, where these tell nothing, by what stands in them."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertwright.data.labelled.cells import parsed
from bertwright.data.labelled.columns import Roles, find, is_identifier, text_roles
from bertwright.data.labelled.examples import TaskName
from bertwright.data.labelled.labels import flag_of, number_of, split_names
from bertwright.data.labelled.rows.choices import choice_columns, choice_roles
from bertwright.data.labelled.rows.text_sets import embed_roles, write_roles
from bertwright.data.labelled.table import Table
from bertwright.data.labelled.usual_columns import ANSWERS, CONTEXTS, EMBED_PAIRS, QUESTIONS, TAGS, WORDS, WRITTEN
from bertwright.data.places import Place
from bertwright.errors import InputError

TEXT_LENGTH = 0.4  # of the longest column's mean length: a column of texts is not far shorter
NEEDED: Mapping[TaskName, Mapping[str, str]] = {
    "classify": {"text": "the text", "label": "the label"},
    "regress": {"text": "the text", "label": "the number"},
    "tag": {"text": "the words (tokens)", "label": "the tags"},
    "answer": {"text": "the question", "pair": "the context", "label": "the answers"},
    "choice": {"text": "the text", "choices": "the choices (choices, endings, or ending0, ending1 ...)", "label": "the label"},
    "embed": {"text": "the text"},
    "generate": {"text": "the source", "pair": "the target"},
}


def guess_task(columns: Sequence[str], sample: Sequence[Mapping[str, Any]], named: Roles) -> tuple[TaskName, str]:
    """The task that the columns look like, and the reason; "classify" stands for all that learns from texts and labels, whose values tell the rest."""
    words, tags = find(columns, WORDS), find(columns, TAGS)
    if words is not None and tags is not None and _one_each(sample, words, tags):
        return "tag", f"column {tags!r} holds a tag for each of the words in {words!r}"
    question, context, answers = find(columns, ("question",)), find(columns, CONTEXTS), find(columns, ANSWERS)
    if question and context and answers and not _yes_or_no(sample, answers) and not choice_columns(columns) and "label" not in named:
        return "answer", f"there are columns {question}, {context} and {answers}"
    if choices := choice_columns(columns):
        return "choice", f"there are choices in {', '.join(choices)}"
    embedded = next((pair for pair in EMBED_PAIRS if all(find(columns, (name,)) for name in pair)), None)
    if embedded is not None and "label" not in named:
        return "embed", f"there are columns {embedded[0]} and {embedded[1]}"
    label = find(columns, ("label", "labels", "class", "category"))
    pair = next(((first, second) for first, second in WRITTEN if find(columns, (first,)) and find(columns, (second,))), None)
    if pair is not None and label is None and not named and not _yes_or_no(sample, find(columns, pair[1:]) or ""):
        return "generate", f"there are columns {pair[0]} and {pair[1]}"
    return "classify", ""


def _yes_or_no(sample: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether answers are true and false, or 0 and 1, as BoolQ has them: labels, and no part of a text."""
    return {str(row.get(column)).lower() for row in sample} <= {"true", "false", "0", "1", "yes", "no"}


def unused_texts(table: Table, sample: Sequence[Mapping[str, Any]], roles: Roles) -> tuple[str, ...]:
    """What to say of columns that hold texts as the text's column does and are not read."""
    taken = {part for column in roles.values() for part in (column, *split_names(column))}
    long = TEXT_LENGTH * (_text_length([row.get(roles["text"]) for row in sample]) or 0.0)
    found = [
        column
        for column in table.columns
        if column not in taken and not is_identifier(column) and (length := _text_length([row.get(column) for row in sample])) is not None and length >= long
    ]
    second = "" if "pair" in roles else f": --pair_column {found[0]} reads it as the second text of each row" if found else ""
    return (f"WARNING: {table.name}: {', '.join(found)} hold{'s' if len(found) == 1 else ''} texts too, which are not read{second}",) if found else ()


def _one_each(sample: Sequence[Mapping[str, Any]], words: str, tags: str) -> bool:
    def count(value: Any) -> int | None:
        value = parsed(value, Place(words, "row", 0))
        return len(value.split()) if isinstance(value, str) else len(value) if isinstance(value, list) else None

    pairs = [(count(row.get(words)), count(row.get(tags))) for row in sample[:50]]
    return any(first is not None and first > 1 and first == second for first, second in pairs)


def roles_for(
    task: TaskName, columns: Sequence[str], sample: Sequence[Mapping[str, Any]], named: Roles, *, file: str, labelled: bool = True
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(the column for each role, what to say of those that were guessed by their content).

    Raises InputError naming each role that no column is found for, and the columns that there are.
    """
    said: tuple[str, ...] = ()
    free = [column for column in columns if column not in named.values()]
    if task in ("classify", "regress"):
        roles = text_roles(columns, named)
        if "text" not in roles or ("label" not in roles and labelled):
            roles, said = _by_content(columns, sample, roles, file=file, labelled=labelled)
    elif task == "tag":
        roles = _found(named, free, text=WORDS if labelled else (*WORDS, "text", "sentence"), label=TAGS)
    elif task == "answer":
        roles = _found(named, free, text=QUESTIONS, pair=CONTEXTS, label=ANSWERS)
    elif task == "choice":
        roles = choice_roles(columns, named)
    elif task == "embed":
        roles = embed_roles(list(columns), named)
        if "text" not in roles and not labelled:
            roles, said = _by_content(columns, sample, roles, file=file, labelled=False)
    else:
        roles = write_roles(list(columns), named)
        if "text" not in roles and not labelled and (source := find(free, (*(pair[0] for pair in WRITTEN), "text"))):
            roles["text"] = source
    optional = set() if labelled else {"label"} | ({"pair"} if task == "generate" else set())
    options = {"text": "text_column", "pair": "pair_column", "label": "label_column"}
    if missing := [role for role in NEEDED[task] if role not in roles and role not in optional]:
        found = ", ".join(columns) or "none"
        raise InputError(
            *(
                f"{file}: no column for {NEEDED[task][role]}, found {found}: "
                + (f"pass --{options[role]} with one of these" if role in options else "rename the column that has them")
                for role in missing
            )
        )
    return roles, said


def _found(named: Roles, free: Sequence[str], **usual: Sequence[str]) -> dict[str, str]:
    roles = dict(named)
    for role, names in usual.items():
        if role not in roles and (column := find([column for column in free if column not in roles.values()], names)) is not None:
            roles[role] = column
    return roles


def _by_content(
    columns: Sequence[str], sample: Sequence[Mapping[str, Any]], roles: dict[str, str], *, file: str, labelled: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The one column of few different values as the label, and the one or two of long different texts as the texts; nothing where that is not plain.

    Raises InputError naming the columns where several could be the label.
    """
    roles = dict(roles)
    free = [column for column in columns if column not in roles.values() and not is_identifier(column)]
    values = {column: [row.get(column) for row in sample] for column in free}
    guessed = []
    if "label" not in roles and labelled and (likely := [column for column in free if _is_like_labels(values[column])]):
        if len(likely) > 1:
            raise _several_labels(file, likely, values)
        roles["label"] = likely[0]
        guessed.append("label")
    if "text" not in roles:
        lengths = {column: length for column in free if column != roles.get("label") and (length := _text_length(values[column])) is not None}
        texts = [column for column, length in lengths.items() if length >= TEXT_LENGTH * max(lengths.values())]
        if not lengths and len(columns) == 1 and not labelled:
            texts = list(columns)
        if 1 <= len(texts) <= (1 if "pair" in roles else 2):
            roles |= dict(zip(("text", "pair"), texts, strict=False))
            guessed += ["text", "pair"][: len(texts)]
    found = ", ".join(f"{role} = {roles[role]}" for role in ("text", "pair", "label") if role in guessed)
    mends = " ".join(f"--{role}_column" for role in ("text", "pair", "label") if role in guessed)
    return roles, (f"{file}: columns told by what stands in them: {found}: {mends} name others",) if guessed else ()


def _several_labels(file: str, likely: Sequence[str], values: Mapping[str, Sequence[Any]]) -> InputError:
    """The error for columns of which each could be the label, or all of them together where each says yes or no."""
    flags = [column for column in likely if all(flag_of(value) is not None for value in values[column])]
    together = f", or --label_column {','.join(flags)} if a row may have several of these labels" if len(flags) > 1 else ""
    return InputError(f"{file}: {', '.join(likely)} could each be the label: pass --label_column with one of them{together}")


def _is_like_labels(values: Sequence[Any]) -> bool:
    """Whether few different values stand for many rows, or numbers with a fraction."""
    plain = [value.strip() if isinstance(value, str) else value for value in values]
    if not plain or any(value is None or value == "" or isinstance(value, list | dict) for value in plain):
        return False
    different = len(set(plain))
    if different < 2 or different * 2 <= len(plain):
        return different > 1
    numbers = [number_of(value) for value in plain]
    return all(number is not None for number in numbers) and any(number is not None and not number.is_integer() for number in numbers)


def _text_length(values: Sequence[Any]) -> float | None:
    """The mean length in characters of a column of texts: words, most of them different."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts or len(texts) * 2 < len(values) or len(set(texts)) * 2 < len(texts) or all(number_of(text.strip()) is not None for text in texts):
        return None
    worded = sum(" " in text.strip() or not text.isascii() for text in texts)
    return sum(map(len, texts)) / len(texts) if worded * 3 >= len(texts) else None
