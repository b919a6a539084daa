"""Pre-training: a plan, a run folder, a model, the loop."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertwright.architecture import LM, MLM
from bertwright.checkpoints.generation import write_said
from bertwright.checkpoints.huggingface import empty_model, load_model
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.checkpoints.sentence_transformers import SentenceFolder, write_sentence_folder
from bertwright.data.cooccurrence import word_vectors
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.models.positions import interpolated
from bertwright.models.resizing import grown
from bertwright.models.stack import recompute_activations
from bertwright.models.starts import start_at_frequencies, start_at_neighbours, start_at_words
from bertwright.models.taken import start_at_teacher
from bertwright.tasks.passes import give_free_memory_back
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.announce import plan_values
from bertwright.training.compiling import compile_blocks
from bertwright.training.config import PretrainConfig, PretrainResult
from bertwright.training.curriculum import main_folder
from bertwright.training.depth import freeze
from bertwright.training.devices import Device, device_of_this_process
from bertwright.training.events import Event, Observer, Watchers
from bertwright.training.filled import FilledSentences
from bertwright.training.loop import Loop
from bertwright.training.measuring import measured_by
from bertwright.training.out_folder import refuse_other_folders
from bertwright.training.parameters import query_factors
from bertwright.training.plan import Plan, make_plan
from bertwright.training.pretrained_card import model_card
from bertwright.training.profiling import Profile
from bertwright.training.resuming import Identity, agreed_resume_point
from bertwright.training.schedule import Progress
from bertwright.training.signals import caught_signals
from bertwright.training.state import CheckpointWriter, TrainState, read_checkpoint
from bertwright.training.step import Updater
from bertwright.training.text_ids import said_of_generation
from bertwright.training.watching import begin, saving, watched
from bertwright.training.written import WrittenTexts

LOOKED_AT = 1_000_000  # tokens of the text that say whether its words are marked


def pretrain(shards: str | Path | None = None, *, out: str | Path, config: PretrainConfig | None = None, observers: Sequence[Observer] = ()) -> PretrainResult:
    """Pre-trains a model on prepared shards, from scratch or on from a checkpoint.

    shards: folder that `prepare` wrote; may be left out where `mix` names all texts. out: run folder, which is continued when it holds a run of the same
    config. Under torchrun every process calls this. Raises InputError with one line for each thing wrong, NonFiniteError, Interrupted (saved).
    """
    config = config or PretrainConfig()
    out = Path(out)
    opened = _open(shards, config)
    refuse_other_folders(out)
    device = device_of_this_process(bf16=config.bf16, fp16=config.fp16)
    plan = make_plan(opened, config, device)
    if device.leads:
        Watchers(observers)(Event("plan", 0, plan_values(plan, device)))
    if config.dry_run:
        return PretrainResult(out, out, {})
    if not device.leads:
        return _train(plan, RunFolder(out), device, ())
    with RunFolder.open(out, write=True) as run:
        return _train(plan, run, device, observers)


def _open(shards: str | Path | None, config: PretrainConfig) -> TokenShards:
    try:
        return TokenShards.open(main_folder(None if shards is None else str(shards), config), verify=config.verify)
    except InputError as error:
        raise InputError(*config.problems(), *error.problems) from None


def _train(plan: Plan, run: RunFolder, device: Device, observers: Sequence[Observer]) -> PretrainResult:
    config, data, notes = plan.config, plan.data(), list[str]()
    with caught_signals() as signals, watched(run, device, observers, tensorboard=config.tensorboard) as tell:
        identity = Identity(config=config, given=plan.given, data=data, architecture=plan.architecture, model=config.model)
        checkpoint = agreed_resume_point(identity, run, device, notes)
        begun = time.monotonic()
        model = _new_model(plan, notes, skip_weights=checkpoint is not None, leads=device.leads)
        freeze(model, config.freeze_layers, embeddings=config.freeze_embeddings)
        trained = _with_companion(plan, model, notes, skip_weights=checkpoint is not None).to(device.device)
        if config.gradient_checkpointing:
            recompute_activations(trained)
        factors = query_factors(trained)
        updater = Updater.of(
            trained,
            plan.objective,
            config,
            device,
            factor_of=lambda name: factors.get(name, 1.0),
            average=config.ema_decay,
            average_last=config.average_last,
        )
        if config.torch_compile:
            notes.append(compile_blocks(trained, rows=config.micro_batch_size or 1, length=config.max_seq_length))
        spent = device.largest(torch.tensor(time.monotonic() - begun, dtype=torch.float64, device=device.device)).item()  # rates must be alike everywhere
        state = read_checkpoint(checkpoint, updater) if checkpoint else _first_state(plan, updater, spent=spent)
        if device.leads:
            _observe(plan, run, model, trained, tell)
        loop = Loop(
            updater=updater,
            stream=plan.read.stream,
            course=plan.read.course,
            schedule=plan.schedule,
            config=config,
            budget=plan.budget,
            device=device,
            signals=signals,
            evaluations=plan.evaluations,
            evaluate=measured_by(plan, trained, notes),
            measure_first=plan.begun is not None and checkpoint is None,
            save=_saving(plan, run, device, updater, model, tell, data=data),
            tell=tell,
        )
        if device.leads:
            begin(run, config.as_dict(), state, checkpoint, notes, tell, finished=loop.finished(state))
        device.wait()
        if not loop.finished(state):
            state = loop.run(state)
        tell(Event("done", state.progress.step, {**state.metrics, "seconds": state.progress.seconds}))
        return PretrainResult(run.path, run.read_best() or run.read_latest() or run.path, dict(state.metrics))


def _observe(plan: Plan, run: RunFolder, model: Model, trained: nn.Module, tell: Watchers) -> None:
    """Adds who looks at what the model can do, and at what takes the time."""
    if MLM in plan.objective.heads:
        tell.add(FilledSentences(run, model, Tokenizer.load(plan.shards.tokenizer_folder), plan.shards.validation))
    if "clm" in plan.objective.terms:
        tell.add(WrittenTexts(run, model, Tokenizer.load(plan.shards.tokenizer_folder), plan.shards.validation))
    if plan.config.profile:
        tell.add(Profile(run, trained, tell))


def _first_state(plan: Plan, updater: Updater, *, spent: float) -> TrainState:
    """Nothing is done yet but what `spent` the first seconds: making the weights, compiling; of a cool-down, what the checkpoint holds that it goes on from,
    with nothing judged."""
    return TrainState(read_checkpoint(plan.cooling.checkpoint, updater).progress if plan.cooling else Progress(seconds=spent))


def _saving(
    plan: Plan, run: RunFolder, device: Device, updater: Updater, model: Model, tell: Observer, *, data: dict[str, Any]
) -> Callable[[TrainState, bool], None]:
    """What writes a checkpoint, on the process that leads, while the others wait. data: what the run is bound to."""
    config = plan.config
    tokenizer, family = Tokenizer.load(plan.shards.tokenizer_folder), plan.model_config.get("model_type", "")

    def card(name: str, state: TrainState) -> str:
        told: dict[str, Any] = {"data": data, "progress": state.progress, "metrics": state.metrics}
        return model_card(plan.architecture, config, family=family, name=name, use=_use(plan), **told)

    said = said_of_generation(plan.architecture, plan.model_config, plan.begun.folder if plan.begun else None)

    def beside(folder: Path) -> None:
        write_said(folder, said=said)
        if plan.objective.vectors is not None:
            how = SentenceFolder(pooling=plan.objective.vectors, normalised=False, max_length=config.max_seq_length)
            write_sentence_folder(folder, how, size=plan.architecture.hidden_size)

    writer = CheckpointWriter(model, updater, tokenizer, plan.model_config, data, card, beside=beside)
    return saving(writer, run, device, tell, keep=config.save_total_limit)


def _use(plan: Plan) -> str:
    """What the trained model is for, in the words of its card."""
    if MLM in plan.objective.heads:
        return "fill"
    return "embed" if plan.objective.vectors else "generate" if LM in plan.objective.heads else "encode"


def _with_companion(plan: Plan, model: Model, notes: list[str], *, skip_weights: bool) -> nn.Module:
    """The model with what its objective puts beside it."""
    if plan.beside is None:
        return plan.objective.together(model, None)
    companion = plan.beside.build(skip_weights=skip_weights, rows=plan.rows)
    if not skip_weights:
        name, shape = plan.beside.companion.name, f"{plan.beside.architecture.last.num_layers} layers x {plan.beside.architecture.hidden_size}"
        notes.append(f"{name}: {shape}, " + (f"weights of {plan.beside.folder}" if plan.beside.folder else "new"))
        if not plan.beside.folder:
            start_at_frequencies(companion, _counts(plan))
        if plan.config.start == "teacher":
            notes.append("begun with {} of {} tensors of the teacher".format(*start_at_teacher(model, companion)))
    return plan.objective.together(model, companion)


def _counts(plan: Plan) -> torch.Tensor:
    """How often each entry of the vocabulary occurs in the training text."""
    counts = torch.zeros(plan.architecture.vocab_size, dtype=torch.int64)
    counts[: plan.shards.vocab_size] = torch.from_numpy(plan.shards.train.token_counts.copy())
    return counts


def _with_rows(plan: Plan, state: dict[str, torch.Tensor], notes: list[str]) -> dict[str, torch.Tensor]:
    """A checkpoint's state with rows for the entries that the shards' tokenizer adds to its own."""
    if plan.rows is None:
        return state
    notes.append(f"{len(plan.rows.replaced):,} new entries of the vocabulary: each begins as the mean of the pieces that it replaces")
    return grown(state, plan.rows, size=plan.architecture.vocab_size)


def _new_model(plan: Plan, notes: list[str], *, skip_weights: bool, leads: bool) -> Model:
    """The model before its first step; new weights as they come where others take their place: a checkpoint's, or those of the process that leads."""
    config = plan.config
    torch.manual_seed(config.seed)
    if not skip_weights and config.mask_unit != "token" and plan.shards.train.word_starts[:LOOKED_AT].all():
        notes.append(f"mask_unit {config.mask_unit}: every token is a word here, so single tokens are masked: prepare Chinese text with --segmenter rjieba")
    if plan.begun and not skip_weights:
        notes.append(plan.begun.said)
        loaded = load_model(plan.begun.folder, heads=plan.objective.heads, dtype=torch.float32, verify=True)
        if loaded.created:
            notes.append(f"{config.init_from} has no {' and no '.join(loaded.created)} head: made new")
        if config.extend_positions:
            notes.append(f"positions stretched from {loaded.model.architecture.max_length} to {config.extend_positions}")
        begun = empty_model(plan.architecture, loaded.model.head_kinds)
        begun.load_state_dict(interpolated(_with_rows(plan, loaded.model.state_dict(), notes), plan.architecture), assign=True)
        if MLM in loaded.created:
            start_at_frequencies(begun, _counts(plan))
        return begun.train()
    model = Model(plan.architecture, plan.objective.heads)
    if config.start == "neighbours" and leads and not skip_weights:
        taken = start_at_neighbours(model)
        vectors = word_vectors(plan.shards.train.tokens, vocab_size=plan.shards.vocab_size, size=plan.architecture.embedding_size - taken)
        start_at_words(model, torch.from_numpy(vectors), taken=taken)
        give_free_memory_back()  # what counting took would stand beside what training takes
        if MLM in plan.objective.heads:
            start_at_frequencies(model, _counts(plan))
    return model.train()
