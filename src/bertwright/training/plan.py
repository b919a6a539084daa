"""A config and shards made into a plan: every default resolved, every contradiction found before anything is built."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertwright.architecture import Absolute, Architecture
from bertwright.checkpoints.huggingface import read_architecture, read_config
from bertwright.checkpoints.resolve import Resolved, find_checkpoint
from bertwright.data.samples import Source, Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import SampleStream
from bertwright.errors import InputError
from bertwright.families import Config, family_of, preset
from bertwright.models.positions import with_positions
from bertwright.models.resizing import NewRows
from bertwright.models.starts import knows_neighbours
from bertwright.models.taken import can_take
from bertwright.objectives.objective import Objective
from bertwright.objectives.registry import objective
from bertwright.objectives.suitable import misfit
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.companions import Beside, find_companion
from bertwright.training.config import PretrainConfig
from bertwright.training.cooling import Cooling, as_before
from bertwright.training.curriculum import Curriculum, curriculum, in_stages, mixed_texts, stages_of, streams_of
from bertwright.training.depth import check_frozen
from bertwright.training.devices import Device
from bertwright.training.room import rows_that_fit
from bertwright.training.schedule import Budget, Schedule
from bertwright.training.text_ids import text_ids
from bertwright.training.texts import Text, texts_beside
from bertwright.training.vocabulary import new_rows

DEFAULT_MINUTES = 10.0
# Peak rates of Muon and AdamW that won the sweep at 4x256; wider models take them times
# 256 / width, narrower ones times its root (2x128 to 8x512: docs/speed-log.md).
REFERENCE_WIDTH, MUON_RATE, ADAMW_RATE = 256, 0.006, 3e-3
# AdamW alone above this rate washes the neighbours out of the first layers.
ADAMW_ALONE_RATE = 5e-4
# Share of these rates that trained weights take: at the whole of them they would first forget (Gururangan et al. 2020 go on at a fifth of RoBERTa's peak).
CONTINUED = 0.1
# Tokens of one pass: what keeps a device busy without holding more activations than it needs.
PASS_TOKENS = {"cpu": 16_384, "cuda": 65_536}
# Held-out samples of an evaluation on the way: a masked loss within about 0.05 at 128 tokens a sample.
EVAL_SAMPLES = 256


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a run is made from. `config` has no None left that the run depends on, `given` is as the user gave it; `begun`: the
    checkpoint whose weights it begins with; `model_config`: the model's config.json; `source` cuts the samples of its own text, `texts` are
    all that are trained on, and `read` puts them in their order; `beside`: the objective's second model; `rows`: entries that the
    checkpoint's vocabulary lacks.
    """

    config: PretrainConfig
    given: PretrainConfig
    begun: Resolved | None
    shards: TokenShards
    vocabulary: Vocabulary
    model_config: Config
    architecture: Architecture
    objective: Objective
    source: Source
    texts: tuple[Text, ...]
    shares: tuple[float, ...]
    read: Curriculum
    evaluations: int
    beside: Beside | None = None
    rows: NewRows | None = None
    cooling: Cooling | None = None
    schedule: Schedule | None = None
    also_evaluated: tuple[Text, ...] = ()

    @property
    def budget(self) -> Budget:
        return self.read.budget if self.cooling is None else self.cooling.budget(self.read.budget)

    def data(self) -> dict[str, Any]:
        """What identifies the text that a run is bound to."""
        text = {"tokenizer_hash": self.shards.tokenizer_hash, "train_tokens": self.shards.train.num_tokens, "train_documents": self.shards.train.num_documents}
        mixed = {"mixture": {text.name: text.shards.train.num_tokens for text in self.texts}} if len(self.texts) > 1 else {}
        return text | mixed | (self.beside.data() if self.beside else {})


def make_plan(shards: TokenShards, config: PretrainConfig, device: Device) -> Plan:
    """Resolves every default. Raises InputError with one line for each thing wrong."""
    config, cooling = as_before(config)
    problems = config.problems()
    if config.fp16 and device.device.type == "cpu":
        problems.append("fp16 needs a GPU: leave it out")
    tokenizer = Tokenizer.load(shards.tokenizer_folder)
    vocabulary = Vocabulary.of(tokenizer)
    architecture, source, trained_for, begun, beside, rows = None, None, None, None, None, None
    model_config: dict[str, Any] = {}
    also_evaluated: list[Text] = []
    texts, shares, stages, streams = [Text("", shards)], [1.0], [(config.max_seq_length, 1.0)], list[SampleStream]()
    try:
        config, stages = in_stages(config), stages_of(config)
    except InputError as error:
        problems += error.problems
    try:
        texts, shares = mixed_texts(shards, config) if config.mix else (texts, shares)
    except InputError as error:
        problems += error.problems
    try:
        also_evaluated = texts_beside("also_evaluate", config.also_evaluate, shards, extended=True, verify=config.verify)
    except InputError as error:
        problems += error.problems
    try:
        trained_for = objective(config, vocabulary)
    except InputError as error:
        problems += error.problems
    try:
        begun = find_checkpoint(config.init_from) if config.init_from else None
        rows, other = new_rows(shards, tokenizer, begun.folder, name=str(config.init_from)) if begun else (None, [])
        model_config, architecture = _model(shards, tokenizer, config, begun, grows=rows is not None, dropout=trained_for.dropout if trained_for else 0.0)
        if lacking := _fits(architecture, shards, tokenizer, config, trained_for):
            problems += lacking
        elif trained_for:
            check_frozen(architecture, trained_for.heads, config.freeze_layers, embeddings=config.freeze_embeddings)
            beside, found = find_companion(trained_for, architecture, tokenizer, begun=begun, length=config.max_seq_length)
            problems += found
        problems += other if architecture.vocab_size >= tokenizer.vocab_size else []  # a model too small for the tokenizer is told of already
    except InputError as error:
        problems += error.problems
    try:
        if trained_for is not None and config.max_seq_length >= 8:
            source = trained_for.source(shards.train, vocabulary, length=config.max_seq_length, seed=config.seed)
            own = None if config.stages else source
            streams = streams_of(trained_for, texts, shares, stages, vocabulary, seed=config.seed, own=own)
    except InputError as error:
        problems += error.problems
    if shards.train.num_tokens == 0:
        problems.append(f"{shards.folder}: the training split is empty: prepare more text, or a smaller --validation_fraction")
    if problems or architecture is None or source is None or trained_for is None:
        raise InputError(*dict.fromkeys(problems))
    if (taught := beside is not None and beside.is_frozen and can_take(architecture, beside.architecture)) is False and config.start == "teacher":
        raise InputError("start teacher needs objective distill and a teacher of the model's width, whose layers do not share weights: leave it out")
    resolved = _resolve(config, architecture, device, taught=taught)
    if not trained_for.decomposes:
        resolved = _one_pass(resolved, config, device)
    elif config.micro_batch_size is None and not (beside is not None and beside.is_frozen):
        most, length = resolved.micro_batch_size or 1, config.max_seq_length
        fitting = rows_that_fit(architecture, trained_for, vocabulary, resolved, device, rows=most, length=length)
        resolved = dataclasses.replace(resolved, micro_batch_size=fitting)
    if resolved.batch_size is not None and resolved.batch_size % device.world_size:
        raise InputError(f"batch_size {resolved.batch_size} is not divisible by {device.world_size} processes: take a multiple of {device.world_size}")
    read = curriculum(resolved, stages, streams, processes=device.world_size)
    whole = read if cooling is None else _whole_run(cooling.before, trained_for, texts, shares, vocabulary)
    evaluations = 4 if read.budget.unit == "seconds" and read.budget.amount < 300 else 10
    return Plan(
        config=resolved,
        given=config,
        begun=begun,
        shards=shards,
        vocabulary=vocabulary,
        model_config=model_config,
        architecture=architecture,
        objective=trained_for if whole.samples is None else trained_for.over(whole.samples),
        source=source,
        texts=tuple(texts),
        shares=tuple(shares),
        read=read,
        evaluations=evaluations,
        beside=beside,
        rows=rows,
        cooling=cooling,
        schedule=None if cooling is None else cooling.schedule(whole.budget),
        also_evaluated=tuple(also_evaluated),
    )


def _whole_run(before: PretrainConfig, trained_for: Objective, texts: list[Text], shares: list[float], vocabulary: Vocabulary) -> Curriculum:
    """The run that a cool-down goes on from, to its own end: what moves with its progress goes on as it would have."""
    stages = stages_of(before)
    return curriculum(before, stages, streams_of(trained_for, texts, shares, stages, vocabulary, seed=before.seed), processes=1)


def _model(
    shards: TokenShards, tokenizer: Tokenizer, config: PretrainConfig, begun: Resolved | None, *, grows: bool, dropout: float
) -> tuple[dict[str, Any], Architecture]:
    """The model's config.json and what it describes, with the padding, the run's dropout and its positions."""
    if begun or config.model.endswith(".json"):
        path = begun.folder if begun else Path(config.model)
        described = read_config(path)
        if not begun:
            described = {"vocab_size": shards.vocab_size, **text_ids(described, Vocabulary.of(tokenizer)), **described}
        found = read_architecture(path, config=described)
    else:
        described = preset(config.model, vocab_size=shards.vocab_size, **({"pad_token_id": tokenizer.pad_id} if tokenizer.has("pad") else {}))
        described |= text_ids(described, Vocabulary.of(tokenizer))
        found = family_of(described).architecture(described)
    if grows:
        found = dataclasses.replace(found, vocab_size=max(found.vocab_size, tokenizer.vocab_size))
    if config.extend_positions:
        found = _extended(found, config.extend_positions)
    # No dropout while a text is seen few times: a config's own rates are for fine-tuning.
    found = found.with_dropout(_rate(config.hidden_dropout_prob, dropout), attention=_rate(config.attention_probs_dropout_prob, dropout))
    family = family_of(described)
    # A table of positions that begins after the pad id's row keeps the id that it was learnt with: another would move every position.
    pad_id = found.pad_id if (begun and _counts_padding(found)) or not tokenizer.has("pad") else tokenizer.pad_id
    # Through the family's own keys, so that a checkpoint says what was trained: not every family drops out at every place.
    described = {**described, **family.config(dataclasses.replace(found, pad_id=pad_id))}
    return described, family.architecture(described)


def _rate(given: float | None, usual: float) -> float:
    """A dropout rate of the run; none where it cannot stand, which the config's own problems say and the model's would repeat."""
    return usual if given is None else given if 0 <= given < 1 else 0.0


def _counts_padding(architecture: Architecture) -> bool:
    """Whether places hang on which id is padding."""
    return any(isinstance(stack.positions, Absolute) and stack.positions.skip_padding for stack in architecture.stacks.values())


def _extended(architecture: Architecture, length: int) -> Architecture:
    """With so many places. Raises InputError where the model needs no more."""
    limit = architecture.max_length
    if limit is None:
        raise InputError(f"extend_positions {length} is not needed: this model has no learned absolute positions and places rows of any length; leave it out")
    if length <= limit:
        raise InputError(f"extend_positions is {length}: the model has {limit} positions already; give more, or leave it out")
    return with_positions(architecture, length)


def _fits(architecture: Architecture, shards: TokenShards, tokenizer: Tokenizer, config: PretrainConfig, trained_for: Objective | None) -> list[str]:
    vocabulary = Vocabulary.of(tokenizer)
    found = architecture.problems()
    limit = architecture.max_length
    if limit is not None and config.max_seq_length > limit:
        key = "stages goes to rows of" if config.stages else "max_seq_length"
        found.append(
            f"{key} {config.max_seq_length}{' tokens,' if config.stages else ' is'} longer than the model's {limit} positions: take {limit} or less, "
            f"or --extend_positions {config.max_seq_length}"
        )
    if architecture.vocab_size < tokenizer.vocab_size:  # more rows than entries are room that somebody left
        name, mend = (
            (config.init_from, "prepare the text again with --tokenizer " + str(config.init_from) + ", or leave --init_from out")
            if config.init_from
            else (config.model, f"set vocab_size to {tokenizer.vocab_size} in it, or take it out")
        )
        found.append(f"{shards.folder} was made with a tokenizer of {tokenizer.vocab_size} entries, {name} has {architecture.vocab_size}: {mend}")
    if trained_for is not None and (unfit := misfit(trained_for, architecture, vocabulary, name=config.objective)):
        found.append(unfit)
    elif trained_for is not None and architecture.last.segments < trained_for.segments:
        found.append(
            f"objective {config.objective} needs two token types, the model has {architecture.last.segments}: set type_vocab_size to 2, or take --objective mlm"
        )
    if _counts_padding(architecture) and architecture.pad_id != tokenizer.pad_id:
        found.append(
            f"{config.init_from} has pad_token_id {architecture.pad_id} and counts its positions by it, the tokenizer of {shards.folder} pads with "
            f"{tokenizer.pad_id}: prepare the text again with a tokenizer whose padding has the id {architecture.pad_id}, or leave --init_from out"
        )
    if trained_for is not None and trained_for.dropout and config.hidden_dropout_prob == 0:
        found.append(f"hidden_dropout_prob is 0, and objective {config.objective} lives by dropout: leave it out, or take {trained_for.dropout}")
    if config.start == "neighbours" and not knows_neighbours(architecture):
        found.append(
            "start neighbours needs an encoder with rotary positions, or with learned absolute ones and its norms behind the sublayers: take start random"
        )
    if config.start == "neighbours" and config.objective == "rtd":
        found.append("start neighbours lays out embeddings for one model, and the generator of objective rtd reads them too: take start random")
    return found


def _resolve(config: PretrainConfig, architecture: Architecture, device: Device, *, taught: bool) -> PretrainConfig:
    """Every None filled in, from the model's size and the hardware."""
    width = architecture.hidden_size
    narrower = REFERENCE_WIDTH / width
    scale = min(narrower, narrower**0.5) * (CONTINUED if config.init_from else 1.0)
    batch_size = config.batch_size or (32 if width <= 512 else 256)
    rows = max(1, PASS_TOKENS[device.device.type] // config.max_seq_length)
    adamw = ADAMW_RATE if config.optimizer == "muon" else ADAMW_ALONE_RATE
    budgeted = any(getattr(config, name) is not None for name in ("max_steps", "max_tokens", "num_train_epochs", "max_minutes"))
    return dataclasses.replace(
        config,
        batch_size=batch_size,
        micro_batch_size=min(config.micro_batch_size or rows, max(1, batch_size // device.world_size)),
        learning_rate=config.learning_rate or adamw * scale,
        muon_learning_rate=config.muon_learning_rate or MUON_RATE * scale,
        start=config.start or (None if config.init_from else "teacher" if taught else _new_start(config.objective, architecture)),
        hidden_dropout_prob=architecture.last.block.dropout.embeddings,
        attention_probs_dropout_prob=architecture.last.block.dropout.attention,
        bf16=str(device.dtype) == "torch.bfloat16",
        fp16=str(device.dtype) == "torch.float16",
        eval_samples=config.eval_samples or EVAL_SAMPLES,
        max_minutes=config.max_minutes if budgeted else DEFAULT_MINUTES,
    )


def _new_start(objective: str, architecture: Architecture) -> str:
    # Replaced tokens are found no sooner from neighbours (WikiText-2, 4x256: a loss of 0.392 after 100 steps, and of 0.389 after 114 from random ones).
    return "neighbours" if objective != "rtd" and knows_neighbours(architecture) else "random"


def _one_pass(resolved: PretrainConfig, given: PretrainConfig, device: Device) -> PretrainConfig:
    """The whole batch as one pass. Raises InputError where more are asked for, or a row has no other in its batch."""
    size, micro = resolved.batch_size or 1, given.micro_batch_size
    if size == 1:
        raise InputError(f"objective {given.objective} compares the rows of a batch with each other, and batch_size is 1: take 2 or more")
    if device.world_size > 1 or (micro is not None and micro < size):
        raise InputError(
            f"objective {given.objective} compares the rows of a batch with each other, so its loss is not the sum of smaller passes': "
            + ("run it without torchrun" if device.world_size > 1 else f"leave micro_batch_size out, or take batch_size {micro}")
        )
    return dataclasses.replace(resolved, micro_batch_size=size)
