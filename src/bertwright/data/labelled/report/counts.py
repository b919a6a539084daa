"""The data report: what labelled rows hold, before anything is trained on them, and a warning for each thing that would spoil it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bertwright.data.labelled.content import is_in_characters, key_of, label_of, labels_of, lengths_in_words, texts_of
from bertwright.data.labelled.examples import LabelledData, LabelledSplits, TaskName, TextExample, WriteExample
from bertwright.data.labelled.report.lines import report_lines
from bertwright.data.labelled.report.warnings import report_warnings
from bertwright.text.tokenizer import Tokenizer

QUANTILES = (("min", 0.0), ("p5", 0.05), ("p25", 0.25), ("median", 0.5), ("p75", 0.75), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
AT_ONCE = 4096  # texts tokenized together
SHOWN = 10  # texts with two labels that are spelt out

Quantiles = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Quantiles of the lengths of a split's rows, and of those by label for training. tokens: as the model reads a row, special ones included."""

    splits: Mapping[str, Quantiles]
    labels: Mapping[str, Quantiles]


@dataclass(frozen=True, kw_only=True)
class TwoLabels:
    """A text that stands in several rows with different labels: its beginning, and each row's label and place."""

    text: str
    labels: tuple[str, ...]
    places: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What data.json holds. Splits are "train", "validation" and "test"; every mapping by split has those that there are.

    label_counts: rows by split and label; of tags, entities by type; of numbers none. unit: what `words` counts, words, or characters of Chinese.
    truncated: rows, their targets included, longer than max_length tokens (which lose their end, or for tag and answer become several windows). duplicates:
    rows that repeat an earlier one's texts exactly. two_labels: how many texts carry different labels; conflicts: the first of them. overlaps: rows of
    validation and of test whose texts stand in the training rows, and of test in the validation rows. one_split_only: labels that occur in one split alone.
    absent: labels that a split lacks.
    """

    task: TaskName
    names: Mapping[str, str]
    rows: Mapping[str, int]
    label_counts: Mapping[str, Mapping[str, int]]
    unit: str
    words: Lengths
    tokens: Lengths
    max_length: int
    truncated: Mapping[str, int]
    duplicates: Mapping[str, int]
    two_labels: int
    conflicts: tuple[TwoLabels, ...]
    overlaps: Mapping[str, int]
    one_split_only: Mapping[str, tuple[str, ...]]
    absent: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, Mapping[str, int]]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object of data.json. Its warnings name files and labels alone, without folders and rows' texts, since they are published with a model."""
        return {**asdict(self), "warnings": report_warnings(asdict(self), quoting=False)}

    def lines(self, width: int = 100) -> list[str]:
        """The report for the screen, at most `width` columns wide, warnings last."""
        return report_lines(asdict(self), width=width)


def data_report(splits: LabelledSplits, tokenizer: Tokenizer, *, max_length: int) -> DataReport:
    """Counts and measures all rows; the texts are tokenized once.

    max_length: tokens that a row may have, special ones included.
    """
    parts = {"train": splits.train, "validation": splits.validation, **({"test": splits.test} if splits.test is not None else {})}
    unit = "characters" if is_in_characters(splits.train.examples) else "words"
    words = {name: lengths_in_words(part.examples, unit=unit) for name, part in parts.items()}
    tokens = {name: _token_lengths(part.examples, tokenizer) for name, part in parts.items()}
    keys = {name: [key_of(example) for example in part.examples] for name, part in parts.items()}
    counts = {name: _label_counts(part, splits.train.labels) for name, part in parts.items()}
    conflicts = _conflicts(parts, keys)
    names = tuple(dict.fromkeys(label for each in counts.values() for label in each))
    present = {label: [name for name in parts if counts[name].get(label)] for label in names}
    report = DataReport(
        task=splits.train.task,
        names={name: part.name for name, part in parts.items()},
        rows={name: len(part.examples) for name, part in parts.items()},
        label_counts=counts,
        unit=unit,
        words=_lengths(words, splits.train),
        tokens=_lengths(tokens, splits.train),
        max_length=max_length,
        truncated={name: _longer(part.examples, tokens[name], tokenizer, max_length=max_length) for name, part in parts.items()},
        duplicates={name: len(each) - len(set(each)) for name, each in keys.items()},
        two_labels=len(conflicts),
        conflicts=tuple(conflicts[:SHOWN]),
        overlaps=_overlaps(keys),
        one_split_only={name: tuple(label for label in names if present[label] == [name]) for name in parts},
        absent={name: tuple(label for label in names if name not in present[label]) for name in parts},
        left_out={name: dict(part.left_out) for name, part in parts.items()},
    )
    return DataReport(**{**vars(report), "warnings": tuple(report_warnings(asdict(report), quoting=True))})


def _token_lengths(examples: Sequence[Any], tokenizer: Tokenizer) -> list[int]:
    """Tokens of each row, special ones included; of a row that becomes several sequences, those of the longest."""
    special = {False: len(tokenizer.encode("").ids), True: len(tokenizer.encode("", "").ids)}
    found: list[int] = []
    for start in range(0, len(examples), AT_ONCE):
        sequences = [texts_of(example) for example in examples[start : start + AT_ONCE]]
        flat = list(dict.fromkeys(text for each in sequences for texts in each for text in texts))
        lengths = dict(zip(flat, map(len, tokenizer.encode_ids(flat)), strict=True))
        found += [max(sum(lengths[text] for text in texts) + special[len(texts) > 1] for texts in each) for each in sequences]
    return found


def _longer(examples: Sequence[Any], lengths: Sequence[int], tokenizer: Tokenizer, *, max_length: int) -> int:
    """Rows longer than max_length tokens; where something is to be written, in their source or their target."""
    targets = [TextExample(text=example.target or "") for example in examples if isinstance(example, WriteExample)]
    longest = map(max, lengths, _token_lengths(targets, tokenizer)) if targets else lengths
    return sum(length > max_length for length in longest)


def _label_counts(data: LabelledData, names: Sequence[str]) -> dict[str, int]:
    found = Counter(label for example in data.examples for label in labels_of(example))
    order = [*(name for name in names if data.task == "classify"), *sorted(found)]
    return {label: found[label] for label in dict.fromkeys(order)}


def _lengths(lengths: Mapping[str, list[int]], train: LabelledData) -> Lengths:
    by_label: dict[str, list[int]] = {}
    if train.task == "classify":
        by_label = {label: [] for label in train.labels}
        for example, length in zip(train.examples, lengths["train"], strict=True):
            for label in labels_of(example):
                by_label[label].append(length)
    return Lengths(
        splits={name: _quantiles(each) for name, each in lengths.items()}, labels={label: _quantiles(each) for label, each in by_label.items() if each}
    )


def _quantiles(lengths: list[int]) -> dict[str, float]:
    ordered, last = sorted(lengths), len(lengths) - 1
    found = {name: float(ordered[round(share * last)]) for name, share in QUANTILES} if ordered else {}
    return {**found, "mean": round(sum(ordered) / len(ordered), 2)} if ordered else {}


def _overlaps(keys: Mapping[str, list[Any]]) -> dict[str, int]:
    train, validation = set(keys["train"]), set(keys["validation"])
    found = {"validation": sum(key in train for key in keys["validation"])}
    if "test" in keys:
        found |= {"test": sum(key in train for key in keys["test"]), "test_validation": sum(key in validation for key in keys["test"])}
    return found


def _conflicts(parts: Mapping[str, LabelledData], keys: Mapping[str, list[Any]]) -> list[TwoLabels]:
    """Texts of any split that stand with different labels."""
    if parts["train"].task == "generate":  # a source may well have several targets
        return []
    rows: dict[Any, list[Any]] = {}
    for name, part in parts.items():
        for key, example in zip(keys[name], part.examples, strict=True):
            rows.setdefault(key, []).append(example)
    found = []
    for examples in rows.values():
        labels = [label_of(example) for example in examples] if len(examples) > 1 else []
        if len(set(labels)) > 1:
            text = " | ".join(texts_of(examples[0])[0])
            found.append(TwoLabels(text=text[:200], labels=tuple(labels), places=tuple(str(example.place) for example in examples)))
    return found
