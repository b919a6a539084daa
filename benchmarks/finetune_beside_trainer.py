"""Fine-tuning with transformers.Trainer as its documentation shows it, to hold bertwright's numbers against: one JSON line for each seed.

    python benchmarks/finetune_beside_trainer.py --rival emotion --data ../shared/data --weights FOLDER [--epochs 3 --batch_size 32 --learning_rate 5e-5
        --seeds 0,1,2] [--train FILE --validation FILE --test FILE]

Rows are read by bertwright, so that both sides see the same; everything after that is transformers': AutoTokenizer with truncation=True,
DataCollatorWithPadding (or the collator of the task's page), AutoModelFor..., weight decay 0.01, an evaluation after each epoch. Nothing is saved while it
trains, which spares it time. `--quick` leaves that documentation in two points and says so in its line. The metrics are bertwright's own, so that a
difference is never one of definitions. `seconds` run from the call of train(), evaluations included; `prepare_seconds` are the tokenisation and the loading
of the weights before it. Tagging and questions follow the task pages too: the first piece of a word is labelled, a word that was cut off counts as O;
questions are read in windows of 384 tokens that share 128, the best span has at most 30 tokens.
"""

import argparse
import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IGNORED = -100
SPEEDS = ("runtime", "samples_per_second", "steps_per_second", "epoch")  # what the Trainer puts among its metrics
WINDOW, STRIDE, BEST, ANSWER_TOKENS = 384, 128, 20, 30  # of the course's chapter on question answering


@dataclass(frozen=True)
class Case:
    """Where a data set lies, how bertwright is told to read it, and the metric it is judged by."""

    folder: str
    metric: str
    config: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "emotion": Case("emotion", "accuracy"),
    "sst2": Case("glue/SST-2", "accuracy", {"glue": "sst2"}),
    "cola": Case("glue/CoLA", "mcc", {"glue": "cola"}),
    "mrpc": Case("glue/MRPC", "f1", {"glue": "mrpc"}),
    "rte": Case("glue/RTE", "accuracy", {"glue": "rte"}),
    "stsb": Case("glue/STS-B", "spearman", {"glue": "stsb"}),
    "conll2003": Case("conll2003", "f1", {"task": "tag"}),
    "squad": Case("squad", "f1", {"task": "answer"}),
    "chnsenticorp": Case("chnsenticorp", "accuracy"),
    "resume-ner": Case("resume-ner", "f1", {"task": "tag"}),
}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a task hands to the Trainer. splits: by name, rows as the collator takes them; read: gives the metrics of a split's outputs."""

    model: Any
    collator: Any
    splits: Mapping[str, list[dict[str, Any]]]
    read: Mapping[str, Callable[[Any], dict[str, float]]]


def main() -> None:
    options = _options()
    from bertwright.data.labelled.config import DataConfig
    from bertwright.data.labelled.reading import read_splits

    case = CASES[options.rival]
    files = {name: str(path) for name in ("validation", "test") if (path := getattr(options, name))}
    splits = read_splits(str(options.train or options.data / case.folder), DataConfig(**{**case.config, **files}))
    for seed in options.seeds:
        called = {"epochs": options.epochs, "batch_size": options.batch_size, "learning_rate": options.learning_rate}
        found = train_with_trainer(options.weights, splits, **called, seed=seed, quick=options.quick)
        line = {"rival": "transformers.Trainer", "name": options.rival, "seed": seed, "metric": case.metric, **summary(found, case.metric), **found}
        print(json.dumps(line), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rival", required=True, choices=CASES, help="the data set to train on")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[1] / "../shared/data", help="folder of the data sets")
    parser.add_argument("--weights", required=True, help="a Hugging Face model folder to start from")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0], help="0,1,2")
    parser.add_argument("--quick", action="store_true", help="in bfloat16 and batches of like length, to have its metrics sooner; not for comparing times")
    for name in ("train", "validation", "test"):
        parser.add_argument(f"--{name}", type=Path, help="a file in place of the data set's own")
    return parser.parse_args()


def summary(found: Mapping[str, Any], metric: str) -> dict[str, float]:
    """The metric after the last epoch and after the best one, with the seconds until then."""
    best = max(found["evaluations"], key=lambda each: each["metrics"][metric])
    last = found["evaluations"][-1]
    return {"last": last["metrics"][metric], "best": best["metrics"][metric], "seconds_to_best": best["seconds"]}


def train_with_trainer(weights: str, splits: Any, *, epochs: float, batch_size: int, learning_rate: float, seed: int, quick: bool = False) -> dict[str, Any]:
    """Fine-tunes with transformers.Trainer and evaluates after each epoch.

    splits: LabelledSplits; quick: in bfloat16, by length. Returns prepare_seconds, seconds, evaluations ([{epoch, seconds, metrics}] on the validation
    rows), test (metrics of the last weights), peak_memory_bytes of the process, and what it was called with.
    """
    import torch
    import transformers

    transformers.set_seed(seed)  # the new head is drawn here; the Trainer seeds again for the rest
    started = time.perf_counter()
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights)
    prepared = PREPARE[splits.train.task](weights, tokenizer, splits)
    prepare_seconds = time.perf_counter() - started
    evaluations: list[dict[str, Any]] = []

    class Clock(transformers.TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **rest: Any) -> None:
            found = {key: value for name, value in metrics.items() if (key := name.removeprefix("eval_")) not in SPEEDS}
            evaluations.append({"epoch": state.epoch, "seconds": time.perf_counter() - started, "metrics": found})
            print(f"  epoch {state.epoch:g}, {evaluations[-1]['seconds']:.0f} s: {found}", file=sys.stderr)

    class InOrder(transformers.Trainer):
        def _get_eval_sampler(self, eval_dataset: Any) -> Any:
            # With batches of like length the Trainer puts the measured rows in another order too, away from their labels.
            return torch.utils.data.SequentialSampler(eval_dataset)

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):  # where the Trainer logs, so that JSON alone is printed
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            learning_rate=learning_rate,
            per_device_train_batch_size=batch_size,
            per_device_eval_batch_size=batch_size,
            num_train_epochs=epochs,
            weight_decay=0.01,
            eval_strategy="epoch",
            save_strategy="no",
            seed=seed,
            bf16=quick,
            use_cpu=quick and not torch.cuda.is_available(),  # bf16 asks for it
            train_sampling_strategy="group_by_length" if quick else "random",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = InOrder(
            model=prepared.model,
            args=arguments,
            train_dataset=prepared.splits["train"],
            eval_dataset=prepared.splits["validation"],
            processing_class=tokenizer,
            data_collator=prepared.collator,
            compute_metrics=lambda outputs: prepared.read["validation"](outputs.predictions),
            callbacks=[Clock()],
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        trainer.compute_metrics = None  # those are the validation rows', not the test rows'
        test = prepared.read["test"](trainer.predict(prepared.splits["test"]).predictions) if "test" in prepared.splits else None
    called = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "weights": str(weights), "quick": quick}
    return {**called, "prepare_seconds": prepare_seconds, "seconds": seconds, "evaluations": evaluations, "test": test, "peak_memory_bytes": peak}


def _parts(splits: Any) -> dict[str, Any]:
    return {name: data for name in ("train", "validation", "test") if (data := getattr(splits, name)) is not None}


def _softmax(scores: Any) -> Any:
    import numpy as np

    powers = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _names(labels: Sequence[str]) -> dict[str, Any]:
    return {"num_labels": len(labels), "id2label": dict(enumerate(labels)), "label2id": {name: number for number, name in enumerate(labels)}}


def prepare_texts(weights: str, tokenizer: Any, splits: Any) -> Prepared:
    """Sequence classification and regression, texts or pairs (transformers' page "Text classification")."""
    import transformers

    from bertwright.metrics.classification import classification_metrics
    from bertwright.metrics.regression import regression_metrics

    regress, names = splits.train.task == "regress", splits.train.labels
    numbers = {name: number for number, name in enumerate(names)}

    def rows(data: Any) -> list[dict[str, Any]]:
        pairs = [each.pair for each in data.examples]
        encoded = tokenizer([each.text for each in data.examples], pairs if pairs[0] is not None else None, truncation=True)
        labels = [float(each.label) if regress else numbers[each.label] for each in data.examples]
        return [{**{key: values[row] for key, values in encoded.items()}, "labels": label} for row, label in enumerate(labels)]

    made = {name: rows(data) for name, data in _parts(splits).items()}
    truth = {name: [row["labels"] for row in part] for name, part in made.items()}

    def read(name: str) -> Callable[[Any], dict[str, float]]:
        if regress:
            return lambda scores: regression_metrics(truth[name], scores[:, 0])
        return lambda scores: classification_metrics(truth[name], _softmax(scores), names=names)

    head = {"num_labels": 1, "problem_type": "regression"} if regress else _names(names)
    return Prepared(
        model=transformers.AutoModelForSequenceClassification.from_pretrained(weights, **head),
        collator=transformers.DataCollatorWithPadding(tokenizer=tokenizer),
        splits=made,
        read={name: read(name) for name in made},
    )


def prepare_tags(weights: str, tokenizer: Any, splits: Any) -> Prepared:
    """Token classification: the first piece of each word carries its tag (transformers' page "Token classification")."""
    import transformers

    from bertwright.metrics.entities import entity_metrics

    names = splits.train.labels
    numbers = {name: number for number, name in enumerate(names)}

    def encode(data: Any) -> tuple[list[dict[str, Any]], list[list[tuple[int, int]]]]:
        """The rows, and for each the places of first pieces with their words."""
        encoded = tokenizer([list(each.words) for each in data.examples], truncation=True, is_split_into_words=True)
        rows, places = [], []
        for row, example in enumerate(data.examples):
            words = encoded.word_ids(batch_index=row)
            first = [(place, word) for place, word in enumerate(words) if word is not None and (place == 0 or word != words[place - 1])]
            labels = [IGNORED] * len(words)
            for place, word in first:
                labels[place] = numbers[example.tags[word]]
            rows.append({**{key: values[row] for key, values in encoded.items()}, "labels": labels})
            places.append(first)
        return rows, places

    made = {name: encode(data) for name, data in _parts(splits).items()}

    def read(name: str) -> Callable[[Any], dict[str, float]]:
        gold = [each.tags for each in _parts(splits)[name].examples]

        def metrics(scores: Any) -> dict[str, float]:
            said = [["O"] * len(tags) for tags in gold]
            for tags, chosen, first in zip(said, scores.argmax(axis=-1), made[name][1], strict=True):
                for place, word in first:
                    tags[word] = names[chosen[place]]
            return entity_metrics(gold, said)

        return metrics

    return Prepared(
        model=transformers.AutoModelForTokenClassification.from_pretrained(weights, **_names(names)),
        collator=transformers.DataCollatorForTokenClassification(tokenizer=tokenizer),
        splits={name: rows for name, (rows, _) in made.items()},
        read={name: read(name) for name in made},
    )


def prepare_questions(weights: str, tokenizer: Any, splits: Any) -> Prepared:
    """Extractive question answering in overlapping windows (the course's chapter "Question answering")."""
    import transformers

    made = {name: _windows(tokenizer, data.examples) for name, data in _parts(splits).items()}
    return Prepared(
        model=transformers.AutoModelForQuestionAnswering.from_pretrained(weights),
        collator=transformers.DataCollatorWithPadding(tokenizer=tokenizer),
        splits={name: rows for name, (rows, _) in made.items()},
        read={name: _span_reader(_parts(splits)[name].examples, windows) for name, (_, windows) in made.items()},
    )


def _windows(tokenizer: Any, examples: Sequence[Any]) -> tuple[list[dict[str, Any]], list[tuple[int, list[tuple[int, int] | None]]]]:
    """The rows; and for each the number of its question, and the characters of each token of the context, None elsewhere."""
    encoded = tokenizer(
        [each.question.strip() for each in examples],
        [each.context for each in examples],
        max_length=WINDOW,
        truncation="only_second",
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    numbers, offsets = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
    rows, windows = [], []
    for row, number in enumerate(numbers):
        spans = [span if side == 1 else None for span, side in zip(offsets[row], encoded.sequence_ids(row), strict=True)]
        answer = examples[number].answers[0] if examples[number].answers else None
        start, end = (0, 0) if answer is None else _tokens_of(answer.start, answer.start + len(answer.text), spans)
        rows.append({**{key: values[row] for key, values in encoded.items()}, "start_positions": start, "end_positions": end})
        windows.append((number, spans))
    return rows, windows


def _tokens_of(start: int, end: int, spans: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    """First and last token of an answer; 0 and 0, the place of [CLS], where the window does not hold all of it."""
    inside = [(place, *span) for place, span in enumerate(spans) if span is not None]
    if not inside or inside[0][1] > start or inside[-1][2] < end:
        return 0, 0
    touched = [place for place, first, last in inside if first < end and last > start]
    return (touched[0], touched[-1]) if touched else (0, 0)


def _span_reader(examples: Sequence[Any], windows: Sequence[tuple[int, list[tuple[int, int] | None]]]) -> Callable[[Any], dict[str, float]]:
    import numpy as np

    from bertwright.metrics.answers import answer_metrics

    def metrics(scores: Any) -> dict[str, float]:
        best: list[tuple[float, str]] = [(-np.inf, "")] * len(examples)
        for (number, spans), starts, ends in zip(windows, scores[0], scores[1], strict=True):
            for first in np.argsort(-starts[: len(spans)])[:BEST]:
                for last in np.argsort(-ends[: len(spans)])[:BEST]:
                    one, other = spans[first], spans[last]
                    if one is None or other is None or not 0 <= last - first < ANSWER_TOKENS:
                        continue
                    score = float(starts[first] + ends[last])
                    if score > best[number][0]:
                        best[number] = (score, examples[number].context[one[0] : other[1]])
        return answer_metrics([text for _, text in best], [[answer.text for answer in each.answers] for each in examples])

    return metrics


PREPARE: Mapping[str, Callable[[str, Any, Any], Prepared]] = {
    "classify": prepare_texts,
    "regress": prepare_texts,
    "tag": prepare_tags,
    "answer": prepare_questions,
}


if __name__ == "__main__":
    main()
