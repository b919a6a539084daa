"""What measures a pre-training on the way: held-out text of its own shards, and of the others that it is to be held against."""

from collections.abc import Callable

from torch import nn

from bertwright.data.shards import TokenShards
from bertwright.evaluation.pretraining import PREDICT_TOKENS, HeldOut, chance, evaluate, held_out_text
from bertwright.training.plan import Plan

# Rows of a pass. The logits of an evaluation stand beside what training holds, and a CPU is as fast with few.
ROWS, FEW_ROWS = 32, 8


def measured_by(plan: Plan, model: nn.Module, notes: list[str]) -> Callable[[], dict[str, float]]:
    """The numbers of the held-out text as eval_<name>, beside chance where tokens are predicted, and those of each other text as eval_<text>_<name>.

    Gives none where the run's own held-out text has nothing to predict; what cannot be measured is added to the notes.
    """
    own = _held_out(plan, plan.shards)
    notes.append("the held-out text has nothing to predict: training goes on without evaluation" if own is None else own.note)
    others = _others(plan, notes) if own is not None else {}
    tokens = own is not None and any(term in PREDICT_TOKENS for term in own.objective.terms)
    baseline = chance(plan.vocabulary.size, plan.shards.train) if tokens else {}

    def measure() -> dict[str, float]:
        if own is None:
            return {}
        found = _numbers(plan, model, own, "eval") | baseline
        for name, held in others.items():
            found |= _numbers(plan, model, held, f"eval_{name}")
        return found

    return measure


def _held_out(plan: Plan, shards: TokenShards) -> HeldOut | None:
    return held_out_text(plan.objective, shards.validation, plan.vocabulary, length=plan.config.max_seq_length, samples=plan.config.eval_samples)


def _others(plan: Plan, notes: list[str]) -> dict[str, HeldOut]:
    found = dict[str, HeldOut]()
    for text in plan.also_evaluated:
        held = _held_out(plan, text.shards)
        if held is None:
            notes.append(f"also_evaluate {text.shards.folder}: its held-out part has nothing to predict, so it is not measured")
            continue
        notes.append(f"{text.name}: {held.note}" if held.note else "")
        found[text.name] = held
    return found


def _numbers(plan: Plan, model: nn.Module, held: HeldOut, prefix: str) -> dict[str, float]:
    few = held.objective.decomposes and next(model.parameters()).device.type == "cpu"
    found = evaluate(model, held.objective, held.stream, samples=plan.config.eval_samples, batch_size=FEW_ROWS if few else ROWS)
    return {f"{prefix}_{name}": value for name, value in found.items() if name != "samples" and not name.endswith("_count")}
