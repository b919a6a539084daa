"""Fine-tuning: a plan, a run folder, a model with the task's head, the loop, and what the best checkpoint reaches."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bertwright.architecture import CLASSIFY, TAG, HeadKind
from bertwright.checkpoints.huggingface import SavableModel, empty_model, load_model
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.stream import Stream
from bertwright.errors import Interrupted
from bertwright.models.heads import build_heads
from bertwright.models.initialisation import initialise
from bertwright.models.stack import recompute_activations
from bertwright.objectives.together import Together
from bertwright.tasks.registry import declared_heads, label_names, write_beside
from bertwright.tasks.regression import Regression
from bertwright.tasks.running import run as run_task
from bertwright.training.adversarial import Adversary
from bertwright.training.announce import finetune_values
from bertwright.training.depth import freeze, layer_factor
from bertwright.training.devices import Device, device_of_this_process
from bertwright.training.events import Event, Observer, Watchers
from bertwright.training.finetune_config import FinetuneConfig, FinetuneResult
from bertwright.training.finetune_plan import FinetunePlan, make_finetune_plan
from bertwright.training.finetune_results import card_of, finish, finished_before
from bertwright.training.judging import judge, judged_first
from bertwright.training.loop import Loop
from bertwright.training.out_folder import refuse_other_folders
from bertwright.training.profiling import Profile
from bertwright.training.resuming import START, Identity, agreed_resume_point, weights_hash
from bertwright.training.signals import caught_signals
from bertwright.training.state import CheckpointWriter, TrainState, read_checkpoint
from bertwright.training.step import Updater
from bertwright.training.watching import begin, saving, watched


def finetune(
    checkpoint: str | Path, train: str | Path, *, out: str | Path, config: FinetuneConfig | None = None, observers: Sequence[Observer] = ()
) -> FinetuneResult:
    """Trains a checkpoint on labelled data, measures its best state on held-out rows, and leaves all of it in a run folder.

    out: run folder, which is continued when it holds a run of the same config. Under torchrun every process calls this.
    Raises InputError with one line for each thing wrong, NonFiniteError, Interrupted (saved).
    """
    config, out = config or FinetuneConfig(), Path(out)
    refuse_other_folders(out)
    device = device_of_this_process(bf16=config.bf16, fp16=config.fp16)
    plan = make_finetune_plan(str(checkpoint), str(train), config, device)
    refuse_other_folders(out, start=plan.begun.folder)
    if device.leads:
        _announce(plan, device, Watchers(observers))
    if config.dry_run:
        return FinetuneResult(out, out, {}, details={"config": plan.config.as_dict()})
    if not device.leads:
        return _train(plan, RunFolder(out), device, ())
    with RunFolder.open(out, write=True) as run:
        return _train(plan, run, device, observers)


def _announce(plan: FinetunePlan, device: Device, tell: Observer) -> None:
    encoded = [f"{name}: {line}" for name, items in (("train", plan.items), ("validation", plan.validation)) for line in items.said]
    for line in (plan.begun.said, *plan.splits.said, *encoded):
        tell(Event("note", 0, {"text": line}))
    tell(Event("note", 0, {"text": "\n".join(plan.report.lines())}))
    tell(Event("plan", 0, finetune_values(plan, device)))


def _train(plan: FinetunePlan, run: RunFolder, device: Device, observers: Sequence[Observer]) -> FinetuneResult:
    config, notes = plan.config, list[str]()
    with caught_signals() as signals, watched(run, device, observers, tensorboard=config.tensorboard) as tell:
        data = {**plan.data(), START: weights_hash(plan.begun.folder, plan.start.tokenizer.hash)}
        identity = Identity(config=config, given=plan.given, data=data, architecture=plan.architecture, model=str(plan.begun.folder))
        checkpoint = agreed_resume_point(identity, run, device, notes)
        model = _new_model(plan, notes, skip_weights=checkpoint is not None).to(device.device)
        freeze(model, config.freeze_layers)
        if config.gradient_checkpointing:
            recompute_activations(model)
        updater = Updater.of(
            model if plan.teacher is None else Together(model, {"teacher": plan.teacher.build().to(device.device)}),
            plan.source,
            config,
            device,
            factor_of=lambda name: layer_factor(name, plan.architecture, config.layer_learning_rate_decay),
            units=plan.task.units if isinstance(plan.task, Regression) else None,
            adversary=_adversary(config),
            average=config.ema_decay,
        )
        state = read_checkpoint(checkpoint, updater) if checkpoint else TrainState()
        if device.leads and config.profile:
            tell.add(Profile(run, model, tell))
        loop = Loop(
            updater=updater,
            stream=Stream(plan.source, seed=config.seed),
            config=config,
            budget=plan.budget,
            device=device,
            signals=signals,
            evaluations=1,
            evaluate=_evaluation(plan, model),
            save=_saving(plan, run, device, updater, model, tell, data=data),
            tell=tell,
            judge=partial(judge, plan.task.metric),
            patience=config.early_stopping_patience,
        )
        if device.leads:
            begin(run, _identified(plan), state, checkpoint, notes, tell, finished=loop.finished(state))
        device.wait()
        result = finished_before(run, plan) if loop.finished(state) else None
        if not loop.finished(state):
            state = loop.run(state)
        if result is None:
            result = finish(plan, run, state, device, tell) if device.leads else FinetuneResult(run.path, run.path, {})
        device.wait()
        tell(Event("done", state.progress.step, {**state.metrics, "seconds": state.progress.seconds}))
        if signals.pending:  # one that came after the last step: what would follow this run is not to begin
            raise Interrupted(signals.pending, f"stopped by signal {signals.pending}, with {run.path} finished: the same command goes on from there")
        return result


def _identified(plan: FinetunePlan) -> dict[str, Any]:
    return {"checkpoint": str(plan.begun.folder), "train": plan.splits.train.name, **plan.config.as_dict()}


def _adversary(config: FinetuneConfig) -> Adversary | None:
    if config.adversarial == "fgm":
        return Adversary.fgm(epsilon=config.adversarial_epsilon)
    if config.adversarial == "pgd":
        return Adversary.pgd(epsilon=config.adversarial_epsilon, alpha=config.adversarial_alpha, steps=config.adversarial_steps)
    return None


def _evaluation(plan: FinetunePlan, model: SavableModel) -> Callable[[], dict[str, float]]:
    """What measures the model on the validation rows, in the precision that it trains in."""
    examples, items = plan.splits.validation.examples, plan.validation.items

    def evaluate_now() -> dict[str, float]:
        outputs = run_task(plan.task, model, items, plan.reading)
        predictions = plan.task.predictions(examples, items, outputs)
        # A loss among all rows is not the one among a batch's.
        losses = [prediction.loss for prediction in predictions if prediction.loss is not None and plan.task.decomposes]
        found = judged_first(plan.task.metrics(examples, predictions), plan.task.metric)
        first = {"loss": sum(losses) / len(losses)} if losses else {}
        return {f"eval_{name}": value for name, value in {**first, **found}.items()}

    return evaluate_now


def _saving(
    plan: FinetunePlan, run: RunFolder, device: Device, updater: Updater, model: SavableModel, tell: Observer, *, data: dict[str, Any]
) -> Callable[[TrainState, bool], None]:
    """What writes a checkpoint, on the process that leads, while the others wait. data: what the run is bound to."""
    writer = CheckpointWriter(
        model=model,
        updater=updater,
        tokenizer=plan.start.tokenizer,
        kept=plan.kept,
        data=data,
        card=lambda name, state: card_of(plan, name=name, state=state),
        max_length=plan.config.max_seq_length,
        beside=lambda folder: write_beside(plan.task, plan.start, folder, max_length=plan.config.max_seq_length or 0),
    )
    return saving(writer, run, device, tell, keep=plan.config.save_total_limit)


def _new_model(plan: FinetunePlan, notes: list[str], *, skip_weights: bool) -> SavableModel:
    """The start's weights under the task's head, which is the start's own where it has one for these labels, else new; all as they come with skip_weights."""
    torch.manual_seed(plan.config.seed)
    wanted = plan.family.complete_heads(plan.task.heads)
    if skip_weights:
        return SavableModel(plan.architecture, wanted).train()
    kept = tuple(head for head in wanted if head not in (CLASSIFY, TAG) or _has_these_labels(plan, head))
    loaded = load_model(plan.begun.folder, heads=kept, dtype=torch.float32, verify=True)
    state = dict(loaded.model.state_dict())
    if new := [head for head in wanted if head not in kept]:
        heads = build_heads(plan.architecture, wanted)
        initialise(heads, plan.architecture)
        if isinstance(plan.task, Regression) and CLASSIFY in new:
            plan.task.begin(heads[CLASSIFY])
        state |= {f"heads.{name}": tensor for name, tensor in heads.state_dict().items() if name.split(".")[0] in new}
    if made := [head for head in wanted if head in (*new, *loaded.created)]:
        notes.append(f"the checkpoint has no {' and no '.join(made)} head for these labels: made new")
    model = empty_model(plan.architecture, wanted)
    model.load_state_dict(state, assign=True)
    return model.train()


def _has_these_labels(plan: FinetunePlan, head: HeadKind) -> bool:
    """Whether the checkpoint's head was trained for these very labels."""
    return head in declared_heads(plan.start.config) and label_names(plan.start.config) == label_names(plan.kept)
