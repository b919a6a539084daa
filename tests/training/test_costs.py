"""A plan's figures against the formulas written out, and against what this machine's own code makes of them."""

import pytest

from bertwright.errors import InputError
from bertwright.training.costs import Wanted, costs


def test_an_updates_time_is_that_of_its_parts() -> None:
    found = costs(Wanted(model="bert-base", tokens=10e9, device="h200", count=8, batch_size=256, share=0.5, link=100e9, objective="mlm", price=3.0))
    blocks = 12 * (4 * 768**2 + 2 * 768 * 3072)
    head = 0.15 * (768**2 + 768 * 30522)
    operations = 6 * (blocks + head) + 12 * 12 * 128 * 768
    assert found.operations == pytest.approx(operations)
    assert found.updates == pytest.approx(10e9 / (256 * 128))
    rate = 0.5 * 989e12
    assert found.products == pytest.approx(256 * 128 / 8 * operations / rate)
    square, wide = 4 * 768**3 + 2 * 768**3, 4 * 768**2 * 3072 + 2 * 768**3
    # Attention has four square matrices a block, the feed-forward two wide ones, and the head one square; the optimizer goes over each three times.
    assert found.optimizer == pytest.approx(3 * ((12 * 4 + 1) * square + 24 * wide) / rate)
    assert found.exchange == pytest.approx(2 * 7 / 8 * 4 * found.parameters / 100e9)
    assert found.seconds == pytest.approx(found.updates * (found.products + found.optimizer + found.exchange))
    assert found.cost == pytest.approx(found.seconds / 3600 * 8 * 3.0)


def test_one_device_exchanges_nothing_and_adamw_has_no_matrices_of_its_own() -> None:
    found = costs(Wanted(model="bert-tiny", tokens=1e6, device="h100", batch_size=32, optimizer="adamw"))
    assert (found.exchange, found.optimizer, found.price, found.cost) == (0.0, 0.0, None, 0.0)
    assert found.checkpoints == 3 * 12 * found.parameters


def test_a_model_that_is_trained_along_is_counted() -> None:
    found = costs(Wanted(model="electra-small", objective="rtd", tokens=1e6, device="h100", optimizer="adamw"))
    alone = costs(Wanted(model="electra-small", objective="mlm", tokens=1e6, device="h100", optimizer="adamw"))
    # The generator has the same depth and a quarter of the width (Clark et al. 2020, table 6); embeddings are shared.
    blocks = 12 * (4 * 64**2 + 2 * 64 * 256)
    assert 6 * blocks < found.operations - alone.operations < 18 * blocks
    assert blocks < found.parameters - alone.parameters < 2 * blocks


def test_passes_are_cut_to_what_a_card_holds() -> None:
    small = costs(Wanted(model="bert-base", tokens=1e6, device="t4", batch_size=2048, max_seq_length=512))
    large = costs(Wanted(model="bert-base", tokens=1e6, device="h200", batch_size=2048, max_seq_length=512))
    assert small.micro_batch_size < large.micro_batch_size
    assert small.room is not None
    assert small.memory <= small.room


def test_this_machine_is_measured() -> None:
    found = costs(Wanted(model="bert-tiny", tokens=1e6, device="here", batch_size=32))
    assert found.room is None
    assert "measured now" in found.assumed
    assert 0 < found.seconds < 3600


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        costs(Wanted(model="bert-base", tokens=0, device="abacus", count=3, batch_size=256, micro_batch_size=0, objective="predict", share=1.5, price=-1))
    said = "\n".join(caught.value.problems)
    for word in (
        "tokens is 0",
        "micro_batch_size is 0",
        "predict trains nothing",
        "device abacus is not known",
        "not divisible by 3 devices",
        "share is 1.5",
        "price_per_hour is -1",
    ):
        assert word in said
