"""What is said before the first step: the model, the data, and what the run will take."""

from typing import Any

from bertwright.analysis.parameters import count_parameters
from bertwright.architecture import LM, Architecture, HeadKind
from bertwright.checkpoints.huggingface import empty_model
from bertwright.training.devices import Device
from bertwright.training.estimate import EFFICIENCY, TRIED_TOKENS, bytes_needed, matrix_rate, operations_per_token
from bertwright.training.events import Value
from bertwright.training.finetune_plan import FinetunePlan
from bertwright.training.plan import Plan
from bertwright.training.settings import TrainingConfig


def plan_values(plan: Plan, device: Device) -> dict[str, Value]:
    """The plan by name: sizes, recipe, budget, and the steps, memory (bytes) and time (seconds) it is expected to take."""
    config, model = plan.config, _model_values(plan.architecture, plan.objective.heads)
    per_second = _tokens_per_second(plan, device)
    tokens = plan.read.tokens or plan.budget.amount * per_second
    steps = tokens / ((config.batch_size or 1) * config.max_seq_length) if plan.read.samples is None else plan.read.course.updates(plan.read.samples)
    return {
        **model,
        "model": f"{model['model']}{_said_beside(plan)}",
        "objective": config.objective,
        "train_tokens": plan.shards.train.num_tokens,
        "samples_per_epoch": plan.source.size(0),
        **_read_values(plan),
        **_recipe_values(config),
        "start": config.start or f"weights of {config.init_from}",
        "device": device.describe(),
        "budget": _counted(plan.budget.amount / 60, "minutes") if plan.budget.unit == "seconds" else _counted(plan.budget.amount, plan.budget.unit),
        "steps": max(1, round(steps)),
        "epochs": tokens / max(1, plan.source.size(0) * config.max_seq_length),
        "memory_bytes": _memory(config, plan.architecture, int(model["parameters"]), length=config.max_seq_length, scored=_most_scored(plan))
        + _memory_beside(plan),
        "expected_seconds": tokens / per_second,
    }


def _read_values(plan: Plan) -> dict[str, Value]:
    """How several texts are mixed, and how rows and updates grow, where they do."""
    config, found = plan.config, dict[str, Value]()
    if len(plan.texts) > 1:
        epochs = {} if plan.read.samples is None else plan.read.stream.epochs(int(plan.read.samples))
        told = [
            f"{text.name} {share:.3g}" + (f" ({epochs[text.name]:.2g} epochs)" if epochs else "") for text, share in zip(plan.texts, plan.shares, strict=True)
        ]
        found["mixture"] = ", ".join(told)
    if config.stages:
        found["stages"] = " ".join(config.stages)
    if config.batch_size_ramp:
        found["ramp"] = f"batches from {config.batch_size_ramp.partition(':')[0]} samples on, over {config.batch_size_ramp.partition(':')[2]} of the budget"
    return found


def _said_beside(plan: Plan) -> str:
    if plan.beside is None:
        return ""
    return f", beside a {plan.beside.companion.name} of {plan.beside.architecture.last.num_layers} layers x {plan.beside.architecture.hidden_size}"


def _memory_beside(plan: Plan) -> int:
    """Of the second model: as of any that is trained, or the weights of one that is read, in full and in the computed precision."""
    if plan.beside is None:
        return 0
    config, parameters = plan.config, int(_model_values(plan.beside.architecture, plan.beside.companion.heads)["parameters"])
    if plan.beside.is_frozen:
        return parameters * (6 if config.bf16 or config.fp16 else 4)
    return _memory(config, plan.beside.architecture, parameters, length=config.max_seq_length, scored=_most_scored(plan))


def _tokens_per_second(plan: Plan, device: Device) -> float:
    counted: dict[str, Any] = {"length": plan.config.max_seq_length, "scored": _most_scored(plan)}
    operations = operations_per_token(plan.architecture, **counted)
    if plan.beside is not None:  # a pass forward is a third of one forward and back
        operations += operations_per_token(plan.beside.architecture, **counted) / (3 if plan.beside.is_frozen else 1)
    rate = matrix_rate(plan.architecture, device, tokens=TRIED_TOKENS, scored=int(TRIED_TOKENS * _most_scored(plan)))
    return EFFICIENCY * rate * device.world_size / operations


def _most_scored(plan: Plan) -> float:
    """The largest share of the tokens that are predicted: all that a decoder writes."""
    return 1.0 if LM in plan.objective.heads else max(plan.config.mlm_probability, plan.config.mlm_probability_end or 0.0)


def _model_values(architecture: Architecture, heads: tuple[HeadKind, ...]) -> dict[str, int | str]:
    stack = architecture.last
    shape = f"{stack.num_layers} layers x {stack.block.hidden_size}, {stack.block.num_heads} heads, vocabulary {architecture.vocab_size}"
    return {"model": shape, "parameters": count_parameters(empty_model(architecture, heads))}


def _recipe_values(config: TrainingConfig) -> dict[str, Value]:
    muon = f", Muon {config.muon_learning_rate:.3g}" if config.optimizer == "muon" else ""
    return {
        "batch_size": config.batch_size or 0,
        "micro_batch_size": config.micro_batch_size or 0,
        "optimizer": f"{config.optimizer}, learning rate {config.learning_rate:.3g}{muon}",
    }


def _memory(config: TrainingConfig, architecture: Architecture, parameters: int, *, length: int, scored: float) -> int:
    return bytes_needed(
        architecture,
        parameters=parameters,
        muon=config.optimizer == "muon",
        half=bool(config.bf16 or config.fp16),
        rows=config.micro_batch_size or 1,
        length=length,
        scored=scored,
    )


def _counted(amount: float, unit: str) -> str:
    return f"{amount:g} {unit.removesuffix('s') if amount == 1 else unit}"


def finetune_values(plan: FinetunePlan, device: Device) -> dict[str, Value]:
    """The plan of a fine-tuning by name: as `plan_values`, with the task, its labels and rows in place of the objective and its text."""
    config, source, model = plan.config, plan.source, _model_values(plan.architecture, plan.family.complete_heads(plan.task.heads))
    rows, tokens = len(source.items), int(source.lengths.sum())
    epochs = {"samples": plan.budget.amount / rows, "steps": plan.budget.amount * (config.batch_size or 1) / rows, "tokens": plan.budget.amount / tokens}
    operations = operations_per_token(plan.architecture, length=max(1, tokens // rows), scored=0.0)
    per_second = EFFICIENCY * matrix_rate(plan.architecture, device, tokens=TRIED_TOKENS, scored=0) * device.world_size / operations
    passes = epochs.get(plan.budget.unit, plan.budget.amount * per_second / tokens)
    return {
        **model,
        "task": plan.task.name,
        "labels": len(plan.splits.train.labels),
        "metric": plan.task.metric,
        "rows": len(plan.splits.train.examples),
        "validation_rows": len(plan.splits.validation.examples),
        "test_rows": 0 if plan.splits.test is None else len(plan.splits.test.examples),
        "tokens_per_epoch": tokens,
        **_recipe_values(config),
        "start": f"weights of {plan.begun.folder}",
        "device": device.describe(),
        "budget": _counted(plan.budget.amount / 60, "minutes") if plan.budget.unit == "seconds" else f"{passes:.3g} epochs",
        "steps": max(1, round(passes * rows / (config.batch_size or 1))),
        "epochs": passes,
        "memory_bytes": _memory(config, plan.architecture, int(model["parameters"]), length=int(source.lengths.max()), scored=0.0),
        "expected_seconds": passes * tokens / per_second,
    }
