"""Memory foretold: by count, against tensors that are really there, and what the command says."""

import gc
from itertools import pairwise
from typing import Any

import pytest
import torch

from bertwright.training.made_up import PREDICT, MadeUpRun, made_up_run
from bertwright.training.memory import Overhead, forecast, overhead_of, with_overhead
from bertwright.training.rehearsal import Held, Memory, Setting, TrainingRehearsal

RUNS = [("bert", "mlm+nsp"), ("electra", "rtd"), ("albert", "mlm+sop"), ("t5", "span_corruption"), ("bart", "denoising"), ("gpt2", "clm")]
OTHERS = [("roberta", "mlm"), ("distilbert", "mlm"), ("nezha", "mlm"), ("roformer", "mlm"), ("gpt", "clm"), ("modernbert", "mlm"), ("bert", "contrastive")]


def tiny(family: str, objective: str, **keys: Any) -> MadeUpRun:
    given: dict[str, Any] = {"length": 64, "bf16": False, "optimizer": "muon", "vocab_size": 400, **keys}
    return made_up_run(f"{family}-tiny", objective=objective, **given)


def really_held(run: MadeUpRun, *, rows: int, length: int) -> Memory:
    """The same updates, with numbers, counted by the same counter: tensors that torch really makes."""
    batch = run.batch(rows=rows, length=length)
    gc.collect()
    with Held() as held:
        rehearsed = TrainingRehearsal(run.build, run.setting, held)
        assert run.objective is not None
        return rehearsed.memory(run.objective, batch)


@pytest.mark.parametrize(("family", "objective"), RUNS)
@pytest.mark.parametrize("keys", [{}, {"optimizer": "adamw", "gradient_checkpointing": True}])
def test_what_is_foretold_is_what_tensors_hold(family: str, objective: str, keys: dict[str, Any]) -> None:
    run = tiny(family, objective, **keys)
    (foretold,) = run.memories([(4, 64)])
    real = really_held(run, rows=4, length=64)
    lasting = ("parameters", "copies", "gradients", "optimizer")
    assert [getattr(foretold, name) for name in lasting] == [getattr(real, name) for name in lasting]
    assert foretold.total == pytest.approx(real.total, rel=0.02)
    assert 0 < foretold.small == pytest.approx(real.small, rel=0.05)
    assert foretold.activations.keys() == real.activations.keys()
    for part, size in real.activations.items():
        assert foretold.activations[part] == pytest.approx(size, rel=0.05, abs=4096)


@pytest.mark.parametrize(("family", "objective"), OTHERS)
def test_every_family_is_foretold(family: str, objective: str) -> None:
    few, more = tiny(family, objective).memories([(2, 64), (4, 64)])
    assert few.parameters == more.parameters
    assert sum(more.activations.values()) > sum(few.activations.values()) > 0


def test_parameters_gradients_and_moments_are_those_of_the_count() -> None:
    run = tiny("bert", "mlm", bf16=True, optimizer="adamw")
    model = run.build()
    count = sum(parameter.numel() for parameter in model.parameters())
    (found,) = run.memories([(2, 64)])
    assert found.parameters == 4 * count
    assert found.gradients == found.parameters + found.copies
    assert found.optimizer == pytest.approx(8 * count, abs=64)
    assert 0 < found.copies < 2 * count  # tables stay in float32


def test_recomputing_keeps_less_and_kept_probabilities_grow_with_the_square() -> None:
    plain, again = (sum(tiny("bert", "mlm", gradient_checkpointing=given).memories([(8, 64)])[0].activations.values()) for given in (False, True))
    assert again < 0.5 * plain
    attention = {}
    for kept in (False, True):
        found = tiny("bert", "mlm", kept=kept).memories([(4, 64), (4, 128), (4, 256)])
        attention[kept] = [memory.activations["attention"] for memory in found]
    straight, bent = ([sizes[place + 1] - 2 * sizes[place] for place in (0, 1)] for sizes in (attention[False], attention[True]))
    # Of kept probabilities, rows x heads x length^2 values a layer: twice the length makes four times as many. The fused kernel's mask has one head's.
    heads, layers = 2, 2
    assert bent[0] - straight[0] == pytest.approx(4 * layers * 4 * (heads - 1) * 2 * 64**2, rel=0.1)
    assert bent[1] - straight[1] == pytest.approx(4 * layers * 4 * (heads - 1) * 2 * 128**2, rel=0.1)


def test_a_pass_without_training_holds_its_weights_and_little_more() -> None:
    few, more = tiny("bert", PREDICT).memories([(2, 64), (8, 64)])
    assert few.parameters == 4 * sum(parameter.numel() for parameter in tiny("bert", PREDICT).build().parameters())
    assert more.workspace == pytest.approx(4 * few.workspace, rel=0.05)
    assert more.activations == {}


def test_what_fits_on_a_card_fits_and_one_row_more_does_not() -> None:
    found = forecast("bert-mini", objective="mlm", rows=8, length=128, bf16=True, optimizer="adamw", card="4GB", vocab_size=2000)
    assert found.largest is not None
    held = [with_overhead(memory, found.overhead) for memory in _passes(found.largest, found.largest + found.largest // 25)]
    assert held[0] <= 4 * 10**9 * 1.002
    assert held[1] > 4 * 10**9
    assert forecast("bert-mini", objective="mlm", rows=8, length=128, bf16=True, optimizer="adamw", card="0.5GB", vocab_size=2000).largest == 0


def _passes(*rows: int) -> list[Memory]:
    run = made_up_run("bert-mini", objective="mlm", length=128, bf16=True, optimizer="adamw", vocab_size=2000, kept=False)
    return run.memories([(count, 128) for count in rows])


def test_parts_add_up_and_growth_stands_at_its_place() -> None:
    found = forecast("bert-tiny", rows=8, length=64, bf16=False, optimizer="muon", vocab_size=400)
    assert sum(found.parts().values()) == found.total
    assert found.growth["64 tokens"][found.rows.index(8)] == pytest.approx(found.total, rel=0.001)
    assert {"32 tokens", "128 tokens", "64 tokens, bfloat16"} <= found.growth.keys()
    assert found.kinds()["reserved"] + found.kinds()["context"] == found.total > found.kinds()["reserved"] >= found.kinds()["allocated"]
    assert with_overhead(Memory(parameters=10, workspace=10, small=4), Overhead(5, share=0.5, share_of_small=0.25)) == 31
    assert found.overhead == overhead_of(Setting(), gpu=False)


@pytest.mark.parametrize("objective", ["mlm", "mlm+nsp", "mlm+sop", "clm"])
@pytest.mark.parametrize("length", [64, 512])
def test_made_up_rows_are_as_long_as_they_are_asked_to_be(objective: str, length: int) -> None:
    batch = tiny({"clm": "gpt2", "mlm+sop": "albert"}.get(objective, "bert"), objective, length=512).batch(rows=16, length=length)
    assert batch.input_ids.shape == (16, length)
    assert batch.tokens > 0.8 * batch.input_ids.numel()


def test_kept_probabilities_grow_with_the_square_of_the_length_and_fused_attention_with_the_length() -> None:
    found = forecast("bert-tiny", rows=64, length=256, bf16=False, optimizer="adamw", vocab_size=400, card="h100")
    assert found.lengths == (64, 128, 256, 512)
    steps = {name: [after - before for before, after in pairwise(sizes)] for name, sizes in found.by_length.items()}
    (_, half, whole), (_, kept_half, kept_whole) = steps["fused attention"], steps["attention that keeps its probabilities"]
    assert whole == pytest.approx(2 * half, rel=0.1), "128 to 256, and 256 to 512 tokens"
    assert kept_whole > 2.5 * kept_half


def test_a_setting_is_the_callers() -> None:
    assert tiny("bert", "mlm").setting == Setting(optimizer="muon")
    assert tiny("bert", "mlm", bf16=True).setting.dtype == torch.bfloat16
