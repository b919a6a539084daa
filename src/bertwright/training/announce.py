"""What is said before the first step: the model, the data, and what the run will take."""

import torch

from bertwright.models import Model
from bertwright.training.devices import Device
from bertwright.training.estimate import EFFICIENCY, bytes_needed, matrix_rate, operations_per_token
from bertwright.training.events import Value
from bertwright.training.plan import Plan


def plan_values(plan: Plan, device: Device) -> dict[str, Value]:
    """The plan by name: sizes, recipe, budget, and the steps, memory (bytes) and time (seconds) it is expected to take."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in Model(plan.architecture, plan.objective.heads).parameters())
    config, stack = plan.config, plan.architecture.last
    rate = f"{config.optimizer}, learning rate {config.learning_rate:.3g}" + (f", Muon {config.muon_learning_rate:.3g}" if config.optimizer == "muon" else "")
    step_tokens = (config.batch_size or 1) * config.max_seq_length
    unit_tokens = {"steps": step_tokens, "samples": config.max_seq_length, "tokens": 1}.get(plan.budget.unit, 0)
    tokens = plan.budget.amount * unit_tokens
    per_second = _tokens_per_second(plan, device)
    tokens = tokens or plan.budget.amount * per_second
    return {
        "model": f"{stack.num_layers} layers x {stack.block.hidden_size}, {stack.block.num_heads} heads, vocabulary {plan.architecture.vocab_size}",
        "parameters": parameters,
        "objective": config.objective,
        "train_tokens": plan.shards.train.num_tokens,
        "samples_per_epoch": plan.source.size(0),
        "batch_size": config.batch_size or 0,
        "micro_batch_size": config.micro_batch_size or 0,
        "optimizer": rate,
        "start": config.start or f"weights of {config.init_from}",
        "device": device.describe(),
        "budget": _counted(plan.budget.amount / 60, "minutes") if plan.budget.unit == "seconds" else _counted(plan.budget.amount, plan.budget.unit),
        "steps": max(1, round(tokens / step_tokens)),
        "epochs": tokens / max(1, plan.source.size(0) * config.max_seq_length),
        "memory_bytes": bytes_needed(
            plan.architecture,
            parameters=parameters,
            muon=config.optimizer == "muon",
            half=bool(config.bf16 or config.fp16),
            rows=config.micro_batch_size or 1,
            length=config.max_seq_length,
            scored=config.mlm_probability,
        ),
        "expected_seconds": tokens / per_second,
    }


def _tokens_per_second(plan: Plan, device: Device) -> float:
    operations = operations_per_token(plan.architecture, length=plan.config.max_seq_length, scored=plan.config.mlm_probability)
    rate = matrix_rate(device, hidden_size=plan.architecture.hidden_size)
    return EFFICIENCY * rate * device.world_size / operations


def _counted(amount: float, unit: str) -> str:
    return f"{amount:g} {unit.removesuffix('s') if amount == 1 else unit}"
