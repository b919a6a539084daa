"""Run folders as training leaves them, with texts and numbers of our own, and a page that can be asked what is in it."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from matplotlib.figure import Figure

from bertwright.architecture import HeadKind
from bertwright.checkpoints.files import write_manifest
from bertwright.checkpoints.huggingface import label_keys, save_model
from bertwright.families import family_of, preset
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer

LABELS = ("sadness", "joy", "love", "anger", "fear", "surprise")
STARTS = ("i feel", "today i am", "it makes me feel", "we were all so", "she said she felt")
FEELINGS = {
    "sadness": ("gloomy and alone", "empty since he left"),
    "joy": ("so happy i could dance", "cheerful about the news"),
    "love": ("tender towards my old dog", "so fond of these people"),
    "anger": ("furious at the noise", "bitter about the lie"),
    "fear": ("shaky before the exam", "terrified of the dark road"),
    "surprise": ("amazed at the gift", "stunned by how it ended"),
}
PROBABLE = 0.8


class Folder:
    """Writes the files of a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def json(self, name: str, content: Any) -> "Folder":
        (self.path / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return self

    def lines(self, name: str, rows: Sequence[Mapping[str, Any]]) -> "Folder":
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return self

    def config(self, **keys: Any) -> "Folder":
        (self.path / "config.yaml").write_text(yaml.safe_dump(keys, allow_unicode=True), encoding="utf-8")
        return self


def records(*, steps: int = 120, metric: str = "accuracy", seed: int = 0) -> list[dict[str, Any]]:
    random, found = np.random.default_rng(seed), list[dict[str, Any]]()
    for step in range(1, steps + 1):
        loss = 0.3 + 1.5 * math.exp(-step / 30) + 0.15 * float(random.standard_normal())
        rates = {"learning_rate": 5e-5 * (1 - step / steps), "grad_norm": 1 + float(random.exponential())}
        found.append(
            {"step": step, "kind": "train", "loss": loss, **rates, "tokens_per_second": 9000 + 500 * float(random.standard_normal()), "seconds": step / 2}
        )
        found[-1] |= {"tokens": step * 900, "samples": step * 32, "epoch": step * 3 // (steps + 1), "fraction": step / steps, "seconds_left": 0.0}
        if step % (steps // 3) == 0:
            value = 0.9 - 0.6 * math.exp(-step / 40)
            found.append({"step": step, "kind": "evaluate", "eval_loss": 0.25 + math.exp(-step / 40), f"eval_{metric}": value, "eval_f1_macro": value - 0.05})
    return found


def text_rows(labels: Sequence[str], *, count: int, seed: int = 0, texts: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Rows of predictions/validation.jsonl of a classification, a fifth of them wrong."""
    random, rows = np.random.default_rng(seed), list[dict[str, Any]]()
    for number in range(count):
        label = labels[number % len(labels)]
        endings = FEELINGS.get(label, ("like this", "like that"))
        text = texts[number] if number < len(texts) else f"{STARTS[number % len(STARTS)]} {endings[number // len(labels) % len(endings)]}"
        said = label if random.random() < PROBABLE or len(labels) == 1 else labels[int(random.integers(len(labels)))]
        sure = 1.0 if len(labels) == 1 else float(random.uniform(1 / len(labels) + 0.01, 0.999))
        rest = random.dirichlet(np.ones(max(len(labels) - 1, 1))) * (1 - sure)
        others = iter(np.minimum(rest, sure * 0.99).tolist())
        probabilities = {name: sure if name == said else next(others) for name in labels}
        loss = -math.log(max(probabilities[label], 1e-9))
        prediction = {"label": said, "probabilities": probabilities, "loss": loss}
        rows.append({"row": number, "place": f"dev.csv, line {number + 2}", "text": text, "pair": None, "label": label, "prediction": prediction, "loss": loss})
    return rows


def quantiles(middle: float) -> dict[str, float]:
    shares = {"min": 0.2, "p5": 0.4, "p25": 0.7, "median": 1.0, "p75": 1.4, "p95": 2.2, "p99": 3.0, "max": 4.0, "mean": 1.1}
    return {name: middle * share for name, share in shares.items()}


def data_report(labels: Sequence[str], *, task: str = "classify", unit: str = "words") -> dict[str, Any]:
    """data.json, as training writes it."""
    counts = {label: 400 // (place + 1) + 3 for place, label in enumerate(labels)}
    held_out = {label: value // 8 for label, value in counts.items()}
    lengths = {
        "splits": {"train": quantiles(18), "validation": quantiles(17)},
        "labels": {label: quantiles(12 + 2 * (n % 7)) for n, label in enumerate(labels)},
    }
    return {
        "task": task,
        "names": {"train": "train.csv", "validation": "dev.csv"},
        "rows": {"train": sum(counts.values()), "validation": sum(held_out.values())},
        "label_counts": {"train": counts, "validation": held_out},
        "unit": unit,
        "words": lengths,
        "tokens": lengths,
        "max_length": 128,
        "truncated": {"train": 3, "validation": 0},
        "duplicates": {"train": 5, "validation": 0},
        "two_labels": 1,
        "conflicts": [{"text": "i feel like this", "labels": list(labels[:2]), "places": ["train.csv, line 7", "train.csv, line 81"]}],
        "overlaps": {"validation": 2},
        "one_split_only": {"train": [], "validation": []},
        "absent": {"train": [], "validation": []},
        "left_out": {"train": {"no text": 2}, "validation": {}},
        "warnings": ["2 of the 120 validation rows stand in the training rows too, so their numbers will look better than they are"],
    }


def results(labels: Sequence[str], *, task: str = "classify", metric: str = "accuracy", values: Mapping[str, float] | None = None) -> dict[str, Any]:
    metrics = dict(values or {"accuracy": 0.842, "f1_macro": 0.801, "mcc": 0.78, "calibration_error": 0.043, "loss": 0.512})
    split = {
        "rows": 120,
        "metrics": metrics,
        "intervals": {name: [value - 0.03, value + 0.028] for name, value in metrics.items() if name != "loss"},
        "baseline": {name: value * 0.4 for name, value in metrics.items() if name != "loss"},
    }
    return {
        "task": task,
        "model": {"family": "bert", "layers": 6, "hidden_size": 384, "parameters": 22_713_600},
        "metric": metric,
        "labels": list(labels),
        "splits": {"validation": split, "test": {**split, "metrics": {name: value - 0.01 for name, value in metrics.items()}}},
        "training": {
            "seconds": 93.4,
            "steps": 120,
            "epochs": 3.0,
            "tokens": 108_000,
            "tokens_per_second": 9123.4,
            "peak_memory_bytes": 1_234_567_890,
            "best_step": 80,
            "best_epoch": 2.0,
        },
        "environment": {"python": "3.11.2", "torch": "2.13.0", "bertwright": "0.3.0", "device": "cpu", "precision": "bf16", "threads": 2},
    }


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """(run, labels, words, head, name) -> a checkpoint of a tiny model with that head, as the run's best."""

    def write(run: Path, labels: Sequence[str], *, words: Sequence[str], head: HeadKind = "classify", name: str = "bert-tiny") -> Path:
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(words)), *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
        folder = run / "checkpoints" / "step-000080"
        folder.mkdir(parents=True)
        (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
        Tokenizer.load(folder / "vocab.txt").save(folder)
        torch.manual_seed(0)
        config = {**preset(name, vocab_size=len(vocabulary)), **label_keys(list(labels))}
        family = family_of(config)
        model = Model(family.architecture(config), family.complete_heads((head,)))
        save_model(model, folder, config=config)
        write_manifest(folder, step=80, sequence=1, best=True)
        (run / "best").write_text("step-000080\n", encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Path]:
    """(folder, labels, count) -> the run folder of a classification, without test rows and without a checkpoint."""

    def write(path: Path, labels: Sequence[str], *, count: int = 60, texts: Sequence[str] = ()) -> Path:
        folder = Folder(path).config(checkpoint="bert-mini", train="data/train.csv", task="classify", learning_rate=5e-5, seed=0, max_seq_length=None)
        folder.lines("metrics.jsonl", records()).json("data.json", data_report(labels)).json("results.json", results(labels))
        return folder.lines("predictions/validation.jsonl", text_rows(labels, count=count, texts=texts)).path

    return write


@pytest.fixture
def emotion(tmp_path: Path, run_of: Callable[..., Path]) -> Path:
    """The run folder of a classification of six labels, with 120 rows of validation and of test, and without a checkpoint."""
    path = run_of(tmp_path / "emotion", LABELS, count=120)
    Folder(path).lines("predictions/test.jsonl", text_rows(LABELS, count=120, seed=1))
    return path


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes no PNG, which is most of a page's time, for tests of what the page says."""
    save = Figure.savefig

    def spared(self: Figure, path: Any, **options: Any) -> None:
        path.write_bytes(b"") if isinstance(path, Path) else save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", spared)


@pytest.fixture(scope="session")
def folder_of() -> type[Folder]:
    return Folder


@pytest.fixture(scope="session")
def metrics_of() -> Callable[..., list[dict[str, Any]]]:
    """(steps, metric, seed) -> lines of metrics.jsonl."""
    return records


@pytest.fixture(scope="session")
def results_of() -> Callable[..., dict[str, Any]]:
    """(labels, task, metric, values) -> results.json."""
    return results


class Asked(HTMLParser):
    """What a browser would find in a page."""

    VOID = frozenset({"meta", "link", "br", "img", "hr", "input"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip() and (not self.open or self.open[-1] != "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def ask() -> Callable[[Path], Asked]:
    """page -> what is in it, once it was seen to be one well-formed, self-contained file."""

    def read(path: Path) -> Asked:
        html = path.read_text(encoding="utf-8")
        page = Asked(html)
        assert page.wrong == []
        assert page.open == []
        references = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "xlink:href", "srcset") and value]
        assert [value for value in references if not value.startswith(("#", "data:"))] == []
        assert not re.search(r"url\((?!#)", html), "a style sheet or figure refers to something outside"
        assert "@import" not in html
        identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(identifiers) == len(set(identifiers))
        links = [value[1:] for value in references if value.startswith("#")]
        assert set(links) <= set(identifiers)
        assert page.named("html")[0]["lang"] == "en"
        return page

    return read
