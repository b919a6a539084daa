"""The Python side of the commands: the same names, the same keys, results as objects."""

import dataclasses
import difflib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bertwright.data.labelled.config import DataConfig
from bertwright.data.prepare import PrepareConfig
from bertwright.data.prepare import prepare as prepare_shards
from bertwright.data.prepare_config import SHORTEST_ROW
from bertwright.data.report import CorpusReport
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import Split, TokenShards
from bertwright.errors import InputError
from bertwright.evaluation.chosen import chosen_objective, measures_text, with_companion
from bertwright.evaluation.files import Evaluated, evaluate_file
from bertwright.evaluation.pretraining import as_masked, chance, held_out_text
from bertwright.evaluation.pretraining import evaluate as measure
from bertwright.inference.predictor import Predictor, load
from bertwright.inference.tokenizers import with_tokenizer
from bertwright.reports.page import write_report_if_possible
from bertwright.training.config import PretrainConfig, PretrainResult
from bertwright.training.devices import leads
from bertwright.training.events import Event, Observer, Watchers
from bertwright.training.finetune_config import FinetuneConfig, FinetuneResult
from bertwright.training.finetuning import finetune as train_on_labels
from bertwright.training.grid import Grid, combinations, configs_of, grid_of, lists_of_values
from bertwright.training.pretrain import pretrain as train
from bertwright.training.sweep import Comparison, sweep

__all__ = ["Predictor", "evaluate", "finetune", "load", "prepare", "pretrain"]

ROW = 128  # tokens of a row to measure on, unless told: those of pretrain's default

Config = TypeVar("Config", PrepareConfig, PretrainConfig, FinetuneConfig, DataConfig)


def prepare(*inputs: str | Path, out: str | Path, **options: Any) -> CorpusReport:
    """Turns raw text into shards in `out`; `options` are those of `bertwright prepare`. Raises InputError naming every mistake at once."""
    names = [str(name) for name in inputs]
    return prepare_shards(names, out=Path(out), config=with_tokenizer(names, _config(PrepareConfig, options)).config)


def pretrain(shards: str | Path | None = None, *, out: str | Path, observers: Sequence[Observer] = (), **options: Any) -> PretrainResult:
    """Pre-trains on prepared shards into the run folder `out`, or goes on with what is in it; `options` are those of `bertwright pretrain`.

    observers: called with every training event. Raises InputError naming every mistake at once, Interrupted after a signal, once saved.
    """
    return train(shards, out=out, config=_config(PretrainConfig, options), observers=observers)


def finetune(
    checkpoint: str | Path,
    train: str | Path,
    *,
    out: str | Path,
    seeds: int | None = None,
    observers: Sequence[Observer] = (),
    report: bool = True,
    **options: Any,
) -> FinetuneResult | Comparison:
    """Trains a checkpoint on labelled data into the run folder `out`, or goes on with what is in it; `options` are those of `bertwright finetune`.

    A list for any key, or `seeds`, trains once for each combination of values in folders of their own, and gives their comparison. observers: called with
    every training event. report: also write report.html and its figures. A dry run of several says how many there would be, checks each, and gives the first.
    Under torchrun every process calls this, and the leading one writes and tells. Raises InputError naming every mistake at once, Interrupted after a signal,
    once saved.
    """
    single, lists = lists_of_values(options, FinetuneConfig)
    config = _config(FinetuneConfig, single)
    grid = grid_of(lists, config, seeds=seeds)

    def train_one(folder: Path, values: Mapping[str, Any]) -> FinetuneResult:
        result = train_on_labels(checkpoint, train, out=folder, config=dataclasses.replace(config, **values), observers=observers)
        if report and result.metrics and leads():
            write_report_if_possible(result.run, tell=Watchers(observers))
        return result

    if not grid:
        return train_one(Path(out), {})
    if config.dry_run:
        return _dry_runs(partial(train_on_labels, checkpoint, train, out=out), config, grid, observers if leads() else ())
    comparison = sweep(train_one, out=out, grid=grid, observers=observers, leads=leads())
    if report and leads():
        write_report_if_possible(Path(out), tell=Watchers(observers))
    return comparison


def _dry_runs(plan_one: Callable[..., FinetuneResult], config: FinetuneConfig, grid: Grid, observers: Sequence[Observer]) -> FinetuneResult:
    """Plans a run of each combination of values; of one seed, which no plan depends on. Gives the first, or raises InputError naming what is wrong in any."""
    wide = ", ".join(f"{len(values)} of {key}" for key, values in grid.items())
    text = f"{len(combinations(grid))} runs in all ({wide}), each in a folder of its own; the first of them:"
    for observer in observers:
        observer(Event("note", 0, {"text": text}))
    planned: list[FinetuneResult] = []
    problems: list[str] = []
    for one in configs_of({key: values[:1] if key == "seed" else values for key, values in grid.items()}, config):
        try:
            planned.append(plan_one(config=one, observers=() if planned else observers))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return planned[0]


def evaluate(
    checkpoint: str | Path,
    *inputs: str | Path,
    max_seq_length: int | None = None,
    objective: str | None = None,
    mlm_probability: float = 0.15,
    eval_samples: int | None = None,
    batch_size: int = 32,
    bf16: bool = False,
    **columns: Any,
) -> dict[str, float]:
    """Measures a checkpoint: a fine-tuned one on a labelled file, one of pre-training on text.

    Of a labelled file gives the task's metrics by name; columns: text_column, pair_column, label_column and the other keys that say how a file is read, as in
    `finetune`; max_seq_length: tokens a row, by default what the checkpoint was fine-tuned with. `evaluate_labelled` gives intervals and every row too.

    Of text (all of it), or of the held-out part of a shards folder, gives masked_loss and nsp_loss (nats), masked_accuracy, nsp_accuracy, perplexity,
    masked_tokens, samples, and to hold them against chance_loss (ln of the vocabulary) and unigram_entropy (of the shards' training part, or this text); masks
    are fixed by a seed. Of a model that writes, in place of the masked numbers, clm_loss, clm_accuracy and predicted_tokens, or those of the objective that it
    was trained for. objective: another one to measure it with. max_seq_length: by default 128, or the model's positions where they are fewer; eval_samples:
    rows to read at most; batch_size: rows at once. Next-sentence numbers are left out where the checkpoint has no such head, or the text no documents of two
    sentences.
    Raises InputError naming every number that cannot stand, and for text, files or shards that do not fit the checkpoint.
    """
    if not inputs:
        raise InputError("evaluate needs something to measure on: a labelled file, or text, or a folder that prepare wrote")
    predictor = load(checkpoint, bf16=bf16)
    if not measures_text(predictor.task, [str(name) for name in inputs], asked=objective is not None):
        return dict(evaluate_labelled(predictor, *inputs, max_seq_length=max_seq_length, **columns).measured.metrics)
    if columns:
        raise InputError(*(f"{name} is for labelled files, and {checkpoint} was fine-tuned for no task: {predictor.ability}" for name in columns))
    length = min(ROW, predictor.max_length) if max_seq_length is None else max_seq_length
    if problems := _number_problems(length, predictor.max_length, mlm_probability=mlm_probability, eval_samples=eval_samples, batch_size=batch_size):
        raise InputError(*problems)
    with tempfile.TemporaryDirectory(prefix="bertwright-evaluate-") as scratch:
        split, frequencies = _splits(predictor, [str(name) for name in inputs], scratch=Path(scratch), max_seq_length=length)
        vocabulary = Vocabulary.of(predictor.tokenizer)
        wanted = chosen_objective(predictor.model, predictor.checkpoint, vocabulary, mlm_probability=mlm_probability, name=objective)
        held = held_out_text(wanted, split, vocabulary, length=length, samples=eval_samples)
        if held is None:
            raise InputError("the text has nothing to predict: give more of it, or shards that hold some out (--validation_fraction)")
        module = with_companion(held.objective, predictor.model, predictor.checkpoint)
        found = as_masked(measure(module, held.objective, held.stream, samples=eval_samples, batch_size=batch_size))
        return found | chance(vocabulary.size, frequencies)


def evaluate_labelled(
    predictor: Predictor, *inputs: str | Path, max_seq_length: int | None = None, passed: Callable[[int], None] | None = None, **columns: Any
) -> Evaluated:
    """A fine-tuned checkpoint on one labelled file: metrics, their intervals, a baseline, and every row. passed: told how many rows a pass took."""
    if len(inputs) != 1:
        raise InputError(f"{len(inputs)} files are given, and {predictor.checkpoint} is measured on one labelled file: give one after the other")
    reader = predictor.reader(max_seq_length=max_seq_length)
    return evaluate_file(
        str(inputs[0]),
        task=reader.task,
        model=reader.model,
        tokenizer=reader.tokenizer,
        max_length=reader.max_length,
        config=_config(DataConfig, columns),
        passed=passed,
    )


def _number_problems(length: int, positions: int, *, mlm_probability: float, eval_samples: int | None, batch_size: int) -> list[str]:
    found = []
    if length < SHORTEST_ROW:
        found.append(f"max_seq_length is {length}: it must be at least {SHORTEST_ROW}")
    if length > positions:
        found.append(
            f"max_seq_length {length} is longer than the model's {positions} positions: take {positions} or less, "
            f"or train it on with `bertwright pretrain --extend_positions {length}`"
        )
    if not 0 < mlm_probability < 1:
        found.append(f"mlm_probability is {mlm_probability}: it must lie between 0 and 1, for example 0.15")
    rows = {"eval_samples": eval_samples, "batch_size": batch_size}
    return found + [f"{name} is {value}: it must be at least 1" for name, value in rows.items() if value is not None and value < 1]


def _splits(predictor: Predictor, inputs: list[str], *, scratch: Path, max_seq_length: int) -> tuple[Split, Split]:
    """What to measure on, the held-out part of shards or all of a text; and what to count frequencies in, the training part or that same text."""
    if len(inputs) == 1 and (Path(inputs[0]) / "shards.json").is_file():
        shards = TokenShards.open(inputs[0])
        if shards.tokenizer_hash != predictor.tokenizer.hash:
            raise InputError(
                f"{inputs[0]} was made with another tokenizer ({shards.vocab_size} entries) than {predictor.checkpoint} has "
                f"({predictor.tokenizer.vocab_size}): give the text itself, or prepare it again with --tokenizer {predictor.checkpoint}"
            )
        return shards.validation, shards.train
    config = PrepareConfig(tokenizer=str(predictor.checkpoint), validation_fraction=0.0, max_seq_length=max_seq_length)
    prepare_shards(inputs, out=scratch / "shards", config=config)
    everything = TokenShards.open(scratch / "shards").train
    return everything, everything


def _config(kind: type[Config], options: Mapping[str, Any]) -> Config:
    known = [field.name for field in dataclasses.fields(kind)]
    problems = []
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name} is not an option: " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"))
    config = kind(**{name: value for name, value in options.items() if name in known})
    if problems:
        raise InputError(*problems, *config.problems())
    return config
