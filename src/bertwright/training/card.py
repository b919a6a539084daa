"""The model card of a fine-tuned checkpoint: README.md, as the Hugging Face hub reads it; and how any checkpoint is used."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertwright.readable import metric as number


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is said of a task: the hub's word for it, what the model does, its limits, and the calls that use it, here and with another library.

    ours: what follows `bertwright.load(".")`. theirs: with "." as the checkpoint's folder, and CLASS as its Hugging Face class.
    """

    pipeline: str
    does: str
    ours: str
    theirs: str
    limit: str

    @property
    def package(self) -> str:
        return "sentence_transformers" if self.theirs.startswith("SentenceTransformer") else "transformers"

    def our_code(self, folder: str = ".") -> str:
        """Python that uses the run or checkpoint in `folder`."""
        return f"import bertwright\n\nprint(bertwright.load({json.dumps(folder, ensure_ascii=False)}){self.ours})"

    def their_code(self, folder: str = ".", *, name: str) -> str:
        """Python that uses the checkpoint in `folder` with the other library. name: of its Hugging Face class."""
        theirs = self.theirs.replace("CLASS", name).replace('"."', json.dumps(folder, ensure_ascii=False))
        return f"from {self.package} import {re.split('[(.]', theirs)[0]}\n\nprint({theirs})"


_TASKS: Mapping[str, Served] = {
    "fill": Served(
        pipeline="fill-mask",
        does="fills in what is masked in a text",
        ours='.fill_mask("some text with a [MASK] in it").filled',
        theirs='pipeline("fill-mask", model=".")("some text with a [MASK] in it")',
        limit="What it fills in is likely, not true.",
    ),
    "classify": Served(
        pipeline="text-classification",
        does="gives a text one of {count} labels: {labels}",
        ours='.classify("some text").label',
        theirs='pipeline("text-classification", model=".")("some text")',
        limit="It gives one of its labels to any text, also to one that none of them fits; its probabilities are no better calibrated than the table says.",
    ),
    "regress": Served(
        pipeline="text-classification",
        does="gives a text, or a pair of texts, a number",
        ours='.regress("some text").value',
        theirs='pipeline("text-classification", model=".", function_to_apply="none")("some text")',
        limit="Its numbers mean what the labels of its data meant, and nothing bounds them.",
    ),
    "tag": Served(
        pipeline="token-classification",
        does="marks spans of a text as {labels}",
        ours='.tag("some text").entities',
        theirs='pipeline("token-classification", model=".", aggregation_strategy="simple")("some text")',
        limit="It knows no other kinds of span than these, and none within another.",
    ),
    "answer": Served(
        pipeline="question-answering",
        does="finds the answer to a question in a given text",
        ours='.answer("a question?", "a text that answers it").text',
        theirs='AutoModelForQuestionAnswering.from_pretrained(".")',
        limit="Every answer is a piece of the text it is given: it neither counts nor concludes, and the text may be wrong.",
    ),
    "choice": Served(
        pipeline="multiple-choice",
        does="chooses one of several continuations or answers",
        ours='.choose("a text", ["one choice", "another"]).text',
        theirs='AutoModelForMultipleChoice.from_pretrained(".")',
        limit="It chooses among what it is given, also where nothing of it is right.",
    ),
    "embed": Served(
        pipeline="sentence-similarity",
        does="turns texts into vectors whose cosine says how alike they are",
        ours='.embed(["some text", "another"])',
        theirs='SentenceTransformer(".").encode(["some text", "another"])',
        limit="What counts as alike is what its pairs had in common.",
    ),
    "encode": Served(
        pipeline="feature-extraction",
        does="turns texts into vectors, one for each token",
        ours='.encode("some text").token_vectors',
        theirs='CLASS.from_pretrained(".")',
        limit="Its vectors are a start for training on labelled texts, and no answer by themselves.",
    ),
    "generate": Served(
        pipeline="text-generation",
        does="writes a text for a text",
        ours='.generate("some text")[0].text',
        theirs='CLASS.from_pretrained(".")',
        limit="It writes what is likely, not what is true.",
    ),
}
# Of texts that may have several labels, or none.
_SEVERAL = Served(
    pipeline="text-classification",
    does="gives a text any of {count} labels, several of them or none: {labels}",
    ours='.classify("some text").labels',
    theirs='pipeline("text-classification", model=".", top_k=None)("some text")',
    limit="It decides on each label by itself, at a probability of a half; these probabilities are no better calibrated than the table says.",
)
# The hub's names of metrics that it knows; any other goes there under ours.
_HUB_METRICS = {
    "mcc": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
    "f1_macro": "f1",
    "f1_micro": "f1",
    "f1_weighted": "f1",
    "precision_macro": "precision",
    "recall_macro": "recall",
}
_GLUE = "nyu-mll/glue"
# What a training is told apart by; each is shown where it was given or chosen.
_SETTINGS = (
    *("num_train_epochs", "max_steps", "max_minutes", "max_tokens", "batch_size", "learning_rate", "lr_scheduler_type", "warmup_steps", "optimizer"),
    *("weight_decay", "hidden_dropout_prob", "attention_probs_dropout_prob", "max_seq_length", "doc_stride", "pooling", "label_smoothing", "class_weights"),
    *("freeze_layers", "layer_learning_rate_decay", "ema_decay", "r_drop", "adversarial", "bf16", "fp16", "seed"),
)
_CELLS = 40  # labels that a card lists; beyond it says how many there are


def served(task: str, *, several: bool = False) -> Served:
    """What is said of a fine-tuning's task, or of "fill", a pre-training's; several: its texts may have several labels."""
    return _SEVERAL if several else _TASKS[task]


def hub_name(folder: Path) -> str | None:
    """The hub's name of a checkpoint that was downloaded into the hub's cache: models--OWNER--NAME/snapshots/COMMIT; None for any other folder."""
    cached = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not cached.startswith("models--"):
        return None
    return cached.removeprefix("models--").replace("--", "/")


def start_name(folder: Path) -> str:
    """What a card calls the checkpoint that a training began with: its name on the hub, of a run's checkpoint the run's, else the folder's; no path."""
    return hub_name(folder) or (folder.parent.parent if folder.parent.name == "checkpoints" else folder).name


def finetuned_card(
    *,
    results: Mapping[str, Any],
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    labels: Sequence[str],
    family: str,
    name: str,
    several: bool = False,
    base_model: str | None = None,
    language: str | None = None,
) -> str:
    """README.md of a fine-tuned checkpoint, its header as the Hugging Face hub reads it.

    results: as in results.json; of a training that still goes on, `task`, `metric`, `step` and the metrics of its last evaluation. config: every key, with
    `checkpoint` (see `start_name`) and `train`, of which the card says the file's name. data: as in data.json; the card quotes no row of it. labels: names in
    the order of their ids. several: a text may have several of them. family, name: Hugging Face's model type and class. base_model: the start's name on the
    hub, where it has one. language: an ISO 639 code, where it is known.
    """
    task = served(results["task"], several=several)
    config = {**config, "train": _file_name(config["train"])}
    kinds = list(dict.fromkeys(label.removeprefix("B-").removeprefix("I-") for label in labels if label != "O")) if results["task"] == "tag" else list(labels)
    shown = ", ".join(kinds[:_CELLS]) + (f" and {len(kinds) - _CELLS} more" if len(kinds) > _CELLS else "")
    header = _header(results, config, task, family=family, base_model=base_model, language=language)
    origin = base_model or config["checkpoint"]
    parts = [
        f"---\n{header}\n---",
        f"# {origin}, fine-tuned on {config['train']}",
        f"A model of the {family} family that {task.does.format(count=len(kinds), labels=_one_line(shown))}. "
        f"It began with the weights of `{origin}` and was fine-tuned by bertwright.",
        "" if _is_finished(results) else f"**Saved in the middle of its training**, after step {results['step']:,}: it may still get better, or worse.",
        "## Results",
        _results_table(results),
        "## Use",
        _use(task, name),
        "## Data",
        _data_lines(data, config),
        "## Training",
        _settings_table(config, results.get("training", {})),
        "## Limits",
        f"{task.limit} {_limits(results, config, data)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(results: Mapping[str, Any], config: Mapping[str, Any], task: Served, *, family: str, base_model: str | None, language: str | None) -> str:
    """YAML, written by the hub's own library, with the results as the hub's leaderboards read them."""
    from huggingface_hub import EvalResult, ModelCardData

    glue = config.get("glue")
    entries = [
        EvalResult(
            task_type=task.pipeline,
            dataset_type=_GLUE if glue else _slug(str(config["train"])),
            dataset_name=f"GLUE {glue}" if glue else str(config["train"]),
            dataset_config=glue,
            dataset_split=split,
            metric_type=_HUB_METRICS.get(metric, metric),
            metric_name=metric,
            metric_value=round(float(value), 6),
        )
        for split, found in results["splits"].items()
        for metric, value in _judged_first(found["metrics"], results["metric"]).items()
        if math.isfinite(value)
    ]
    card = ModelCardData(
        language=language,
        library_name="sentence-transformers" if results["task"] == "embed" else "transformers",
        pipeline_tag=task.pipeline,
        tags=[family, "bertwright"],
        base_model=base_model,
        datasets=[_GLUE] if glue else None,
        metrics=sorted({_HUB_METRICS.get(results["metric"], results["metric"])}),
        model_name=_slug(f"{Path(base_model or str(config['checkpoint'])).name}-{Path(str(config['train'])).stem}") if entries else None,
        eval_results=entries or None,
    )
    return str(card.to_yaml()).strip()


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-") or "data"


def _file_name(path: object) -> str:
    """The last part of a path of any system."""
    return re.split(r"[/\\]", str(path).rstrip("/\\"))[-1]


def _is_finished(results: Mapping[str, Any]) -> bool:
    return "training" in results


def _judged_first(metrics: Mapping[str, float], judged: str) -> dict[str, float]:
    return {name: metrics[name] for name in sorted(metrics, key=lambda name: name != judged)}


def _results_table(results: Mapping[str, Any]) -> str:
    lines = []
    for split, found in results["splits"].items():
        rows = f", {found['rows']:,} rows" if "rows" in found else ", at the last evaluation before it was saved"
        lines += [f"**{split}**{rows}", "", "| metric | value | 95% interval | without reading |", "|---|---|---|---|"]
        for metric, value in _judged_first(found["metrics"], results["metric"]).items():
            low, high = found.get("intervals", {}).get(metric, (None, None))
            between = "" if low is None else f"{number(low)} to {number(high)}"
            blind = found.get("baseline", {}).get(metric)
            lines.append(f"| {metric} | {number(value)} | {between} | {'' if blind is None else number(blind)} |")
        lines.append("")
    if _is_finished(results):
        lines.append(f"The checkpoint was chosen by `{results['metric']}` on the validation rows. Intervals are of the percentile bootstrap over rows;")
        lines.append("“without reading” is what the commonest answer of the training rows reaches.")
    return "\n".join(lines)


def _use(task: Served, name: str) -> str:
    theirs = f"or with {task.package.replace('_', '-')} (the class is `{name}`):"
    return f"```python\n{task.our_code()}\n```\n\n{theirs}\n\n```python\n{task.their_code(name=name)}\n```"


def _data_lines(data: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    lines = [f"Trained on `{config['train']}`."]
    rows = data.get("rows")
    if isinstance(rows, Mapping):
        lines.append("Rows: " + ", ".join(f"{count:,} {split}" for split, count in rows.items()) + ".")
    counts = data.get("label_counts")
    if isinstance(counts, Mapping) and isinstance(of_train := counts.get("train", counts), Mapping) and 0 < len(of_train) <= _CELLS:
        lines += ["", "| label | training rows |", "|---|---|", *(f"| {_cell(label)} | {count:,} |" for label, count in of_train.items()), ""]
    return "\n".join([*lines, *(f"- {each}" for each in _flaws(data))])


def _flaws(data: Mapping[str, Any]) -> list[str]:
    """What is wrong with the rows, in numbers: the warnings of data.json quote rows, and say where they stand."""
    found = []
    if count := data.get("two_labels"):
        found.append(f"{count:,} texts stand with different labels.")
    if count := data.get("duplicates", {}).get("train"):
        found.append(f"{count:,} training rows repeat an earlier one word for word.")
    for split in ("validation", "test"):
        if count := data.get("overlaps", {}).get(split):
            found.append(f"{count:,} {split} rows stand in the training rows too, so the results above look better than they are.")
    for split, reasons in data.get("left_out", {}).items():
        if count := sum(reasons.values()):
            found.append(f"{count:,} {split} rows were left out: nothing could be learnt from them.")
    return found


def _settings_table(config: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    off = (None, False, 0, 0.0, "")
    usual = {"layer_learning_rate_decay": 1.0}
    given = {key: config[key] for key in _SETTINGS if key in config and (config[key] not in off or key == "seed") and config[key] != usual.get(key)}
    lines = ["| setting | value |", "|---|---|", *(f"| {key} | {_cell(value)} |" for key, value in given.items())]
    if training:
        lines += ["", f"{training['steps']:,} steps in {training['seconds'] / 60:.1f} minutes; the best checkpoint is that of step {training['best_step']:,}."]
    return "\n".join([*lines, "", "Every other setting is in the run's `config.yaml`."])


def _limits(results: Mapping[str, Any], config: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """What holds for any model of this kind, with this one's numbers."""
    said = [
        "It was measured on rows of the same source as those it learned from; texts of another kind, time or language may fare worse.",
        "It has the prejudices of the text its start was pre-trained on, and of its labels.",
    ]
    if length := config.get("max_seq_length"):
        cut = "read in overlapping windows" if results["task"] in ("tag", "answer") else "cut there"
        said.insert(0, f"It reads {length} tokens at once; longer texts are {cut}.")
    if "test" not in results["splits"]:
        said.append("No test rows were set aside: the validation rows that the checkpoint was chosen by are also those reported, which flatters it.")
    return " ".join(said)


def _cell(value: object) -> str:
    return _one_line(value).replace("|", "\\|")


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
