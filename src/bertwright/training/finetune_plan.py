"""A checkpoint, labelled data and a config made into a plan: every default resolved, every contradiction found before anything is trained."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bertwright.architecture import Architecture, Dropout
from bertwright.checkpoints.meta import without_values
from bertwright.checkpoints.resolve import Resolved, find_checkpoint
from bertwright.checkpoints.sentence_transformers import read_sentence_folder
from bertwright.data.labelled.examples import LabelledData, LabelledSplits, TaskName
from bertwright.data.labelled.reading import read_splits
from bertwright.data.labelled.report import DataReport, data_report
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.families import Config, Family, family_of
from bertwright.models import Model
from bertwright.tasks.registry import Start, TaskOptions, task_for
from bertwright.tasks.task import Items, Reading, Task
from bertwright.training.adversarial import token_table
from bertwright.training.depth import freeze
from bertwright.training.devices import Device
from bertwright.training.finetune_config import FinetuneConfig
from bertwright.training.judging import metric_problems
from bertwright.training.labelled_source import LabelledItems
from bertwright.training.plan import PASS_TOKENS
from bertwright.training.schedule import Budget, budget_of
from bertwright.training.taught import TaughtItems, Teacher, find_teacher

# Peak rates of AdamW by width: Devlin et al. 2018 (appendix A.3) for 768 and 1024, Turc et al. 2019 (1908.08962) and Clark et al. 2020 (table 9) below.
RATES = ((256, 3e-4), (512, 1e-4), (768, 5e-5), (1024, 2e-5))
# Epochs by the number of training rows: few rows need more passes to be learnt at a small rate (Mosbach et al. 2021, section 6).
EPOCHS = ((500, 20.0), (2_500, 10.0), (10_000, 5.0))
MANY_ROWS_EPOCHS = 3.0
# Vectors are learnt at the rate of Reimers and Gurevych 2019, section 3; larger ones spoil those that a start has already.
VECTOR_RATE = 2e-5
# Rows a step: Devlin et al. 2018's 16 and 32, fewer where an epoch would otherwise be a handful of steps.
STEPS_AN_EPOCH, LEAST_ROWS, SMALL_BATCH, BATCH = 20, 4, 16, 32
# Tokens a row unless the model reads fewer: attention grows with its square.
LENGTHS: Mapping[TaskName, int] = {"answer": 384}
LENGTH = 512


@dataclass(frozen=True, kw_only=True)
class FinetunePlan:
    """All that a fine-tuning is made from; `config` has no None left that the run depends on, `given` is as the user gave it.

    kept: the config.json of what is saved, its labels the task's.
    """

    config: FinetuneConfig
    given: FinetuneConfig
    begun: Resolved
    start: Start
    splits: LabelledSplits
    report: DataReport
    task: Task
    kept: Config
    architecture: Architecture
    items: Items
    validation: Items
    source: LabelledItems
    budget: Budget
    teacher: Teacher | None = None

    @property
    def family(self) -> Family:
        return family_of(self.kept)

    @property
    def reading(self) -> Reading:
        return self.source.reading

    def data(self) -> dict[str, Any]:
        """What identifies the data that a run is bound to."""
        rows = {"train_rows": len(self.splits.train.examples), "data_hash": _hash(self.splits.train, self.splits.validation)}
        return rows if self.teacher is None else rows | self.teacher.data()

    @property
    def test_hash(self) -> str | None:
        """What identifies the rows that results hold for; they bind no training."""
        return None if self.splits.test is None else _hash(self.splits.test)


def make_finetune_plan(checkpoint: str, train: str, config: FinetuneConfig, device: Device) -> FinetunePlan:
    """Reads everything and resolves every default. Raises InputError with one line for each thing wrong."""
    problems = config.problems()
    if config.fp16 and device.device.type == "cpu":
        problems.append("fp16 needs a GPU: leave it out")
    begun = start = splits = None
    try:
        begun = find_checkpoint(checkpoint)
        start = Start.of(begun.folder)
    except InputError as error:
        problems += error.problems
    try:
        splits = read_splits(train, config)
    except InputError as error:
        problems += error.problems
    if splits is not None:
        problems += metric_problems(splits.train.task, config.metric)
    if problems or begun is None or start is None or splits is None:
        raise InputError(*dict.fromkeys(problems))
    if splits.train.task in ("classify", "regress"):
        start = start.padded()
    length = _length(config, start, splits.train.task)
    task = task_for(splits.train, _task_options(config, splits), start, max_length=length)
    # How the file's values were read, so that later files are read alike.
    own = {**task.config.get("bertwright", {}), "data": dict(splits.train.decisions)}
    teacher = _teacher(config, task, start, length=length)
    kept = {**start.config, **task.config, **_dropout_keys(start.config, config), "bertwright": own}
    architecture = family_of(kept).architecture(kept)
    _check_depth(config, architecture)
    resolved = dataclasses.replace(_resolve(config, architecture, splits, device), max_seq_length=length)
    items = task.items(splits.train.examples, start.tokenizer, max_length=length)
    resolved = _in_passes(resolved, task, items, device)
    source = LabelledItems(task, items.items, Reading.of(architecture), batch_size=resolved.batch_size or 1, seed=config.seed)
    source = source if teacher is None else TaughtItems.of(source, teacher)
    return FinetunePlan(
        config=resolved,
        given=config,
        begun=begun,
        start=start,
        splits=splits,
        report=data_report(splits, start.tokenizer, max_length=length),
        task=task,
        kept=kept,
        architecture=architecture,
        items=items,
        validation=task.items(splits.validation.examples, start.tokenizer, max_length=length),
        source=source,
        budget=budget_of(resolved, Stream(source, seed=config.seed).sample_at),
        teacher=teacher,
    )


def _teacher(config: FinetuneConfig, task: Task, start: Start, *, length: int) -> Teacher | None:
    if config.teacher is None:
        return None
    return find_teacher(config.teacher, task, start, length=length, weight=config.distill_weight, temperature=config.distill_temperature)


def _check_depth(config: FinetuneConfig, architecture: Architecture) -> None:
    """Raises InputError where more is to be frozen than there is, or what is to be moved against the model."""
    with without_values():
        model = Model(architecture)
    freeze(model, config.freeze_layers)
    if config.adversarial:
        token_table(model)


def _length(config: FinetuneConfig, start: Start, task: TaskName) -> int:
    """Tokens a row: as asked, else those that the start's vectors are made of, else the usual ones, within the model's positions."""
    limit = start.architecture.max_length
    if config.max_seq_length is not None and limit is not None and config.max_seq_length > limit:
        raise InputError(f"max_seq_length {config.max_seq_length} is longer than the model's {limit} positions: take {limit} or less")
    sentences = read_sentence_folder(start.folder) if task == "embed" else None
    usual = (sentences.max_length if sentences else None) or LENGTHS.get(task, LENGTH)
    return config.max_seq_length or min(usual, limit or usual)


def _task_options(config: FinetuneConfig, splits: LabelledSplits) -> TaskOptions:
    names = [field.name for field in dataclasses.fields(TaskOptions)]
    given = {name: getattr(config, name) for name in names}
    return TaskOptions(**{**given, "metric": config.metric or splits.metric})


def _dropout_keys(described: Config, config: FinetuneConfig) -> dict[str, Any]:
    """The keys of config.json that hold dropout rates, changed: as given; where a pre-training went without, the family's own; else as they are."""
    family, now = family_of(described), family_of(described).architecture(described)
    usual = family.architecture({key: value for key, value in described.items() if "drop" not in key})
    chosen = usual if now.last.block.dropout == Dropout() else now
    if config.hidden_dropout_prob is not None or config.attention_probs_dropout_prob is not None:
        rates = chosen.last.block.dropout
        hidden = rates.embeddings if config.hidden_dropout_prob is None else config.hidden_dropout_prob
        chosen = chosen.with_dropout(hidden, attention=rates.attention if config.attention_probs_dropout_prob is None else config.attention_probs_dropout_prob)
        # Heads that follow the hidden states' rate go on following it.
        heads = [dataclasses.replace(head, dropout=hidden) if head.dropout == rates.embeddings else head for head in chosen.heads]
        chosen = dataclasses.replace(chosen, heads=tuple(heads))
    return {key: value for key, value in family.config(chosen).items() if "drop" in key}


def _resolve(config: FinetuneConfig, architecture: Architecture, splits: LabelledSplits, device: Device) -> FinetuneConfig:
    """Every None filled in, from the model's size, the data and the hardware."""
    rows, dropout = len(splits.train.examples), architecture.last.block.dropout
    usual = next((rate for width, rate in RATES if architecture.hidden_size <= width), RATES[-1][1])
    rate = config.learning_rate or (VECTOR_RATE if splits.train.task == "embed" else usual)
    budgeted = any(getattr(config, name) is not None for name in ("max_steps", "max_tokens", "num_train_epochs", "max_minutes"))
    batch_size = config.batch_size or -(-_batch_size(rows, splits.train.task) // device.world_size) * device.world_size
    if batch_size % device.world_size:
        raise InputError(f"batch_size {batch_size} is not divisible by {device.world_size} processes: take a multiple of {device.world_size}")
    return dataclasses.replace(
        config,
        task=splits.train.task,
        num_train_epochs=config.num_train_epochs if budgeted else next((epochs for limit, epochs in EPOCHS if rows < limit), MANY_ROWS_EPOCHS),
        batch_size=batch_size,
        learning_rate=rate,
        muon_learning_rate=config.muon_learning_rate or rate,
        hidden_dropout_prob=dropout.embeddings,
        attention_probs_dropout_prob=dropout.attention,
        bf16=str(device.dtype) == "torch.bfloat16",
        fp16=str(device.dtype) == "torch.float16",
    )


def _batch_size(rows: int, task: TaskName) -> int:
    """32, or 16 below 10,000 rows, and so few of a small data set that an epoch has about 20 steps; vectors learn from a batch's other rows, and have 32."""
    if task == "embed":
        return BATCH
    usual = SMALL_BATCH if rows < EPOCHS[-1][0] else BATCH
    while usual > LEAST_ROWS and rows < STEPS_AN_EPOCH * usual:
        usual //= 2
    return usual


def _in_passes(config: FinetuneConfig, task: Task, items: Items, device: Device) -> FinetuneConfig:
    """With the rows of a pass: as many as the device holds of the longest. Raises InputError where a batch must be one pass and cannot be."""
    share = (config.batch_size or 1) // device.world_size
    if not task.decomposes:
        if (config.micro_batch_size or share) < share or device.world_size > 1:
            raise InputError(
                f"the loss of task {task.name} compares the rows of a batch with each other, so a batch is one pass of one process: "
                + ("run it without torchrun" if device.world_size > 1 else f"leave micro_batch_size out, or take batch_size {config.micro_batch_size}")
            )
        return dataclasses.replace(config, micro_batch_size=share)
    longest = max(item.length * len(item.rows) for item in items.items)
    return dataclasses.replace(config, micro_batch_size=min(config.micro_batch_size or max(1, PASS_TOKENS[device.device.type] // longest), share))


def _hash(*parts: LabelledData) -> str:
    """SHA-256 of all rows of some data, without where they stand."""
    found = hashlib.sha256()
    for part in parts:
        for example in part.examples:
            found.update(repr([getattr(example, name) for name in example.__slots__ if name != "place"]).encode())
        found.update(repr(part.labels).encode())
    return found.hexdigest()
