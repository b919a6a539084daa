"""Operations from the architecture are those that torch counts while a model runs."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bertwright.analysis.operations import Operations, row_operations, row_tokens
from bertwright.architecture import Architecture, HeadKind
from bertwright.families import FAMILIES, Family, family_of, preset, preset_architecture
from bertwright.models import Model
from bertwright.training.estimate import operations_per_token

ROWS, LENGTH, VOCABULARY = 3, 12, 64
BERT_BASE = preset_architecture("bert-base", vocab_size=30522)


def tiny(family: Family) -> Architecture:
    config = preset(f"{family.name}-tiny", vocab_size=VOCABULARY, num_labels=5, pad_token_id=0)
    return family_of(config).architecture(config)


def counted(architecture: Architecture, heads: tuple[HeadKind, ...]) -> Operations:
    """What torch counts for one row; every output weighs in the backward pass."""
    torch.manual_seed(0)
    model = Model(architecture, heads).eval()
    ids = torch.randint(3, VOCABULARY, (ROWS, LENGTH))
    ids[:, -1] = architecture.eos_id or 3
    given = {"decoder_input_ids": ids} if len(architecture.stacks) > 1 else {}
    with FlopCounterMode(display=False) as forward:
        output = model(ids, **given)
    found = [output.last_hidden_state, output.pooler_output, output.prediction_logits, output.seq_relationship_logits, output.sop_logits, output.logits]
    found += [output.start_logits, output.end_logits]
    with FlopCounterMode(display=False) as backward:
        torch.stack([value.sum() for value in found if value is not None]).sum().backward()
    return Operations(forward.get_total_flops() / ROWS, backward.get_total_flops() / ROWS)


CASES = [
    pytest.param(family, heads, id=f"{family.name}-{'+'.join(heads) or 'base'}")
    for family in FAMILIES
    for heads in dict.fromkeys([(), *(family.complete_heads(entry) for entry in family.classes.values())])
]


@pytest.mark.parametrize(("family", "heads"), CASES)
def test_the_formula_counts_what_torch_counts(family: Family, heads: tuple[HeadKind, ...]) -> None:
    architecture = tiny(family)
    parts = row_operations(architecture, heads, length=LENGTH)
    total = sum(parts.values(), Operations())
    found = counted(architecture, heads)
    assert total.forward == found.forward
    assert total.backward == found.backward
    assert set(heads) <= parts.keys()


def test_bert_base_by_hand() -> None:
    """12 blocks of 12 x 768^2 weights and 512 tokens of attention, and, where asked, a head of 768 x (768 + 30522)."""
    parts = row_operations(BERT_BASE, ("mlm",), length=512, scored=0.25)
    assert parts["encoder"].forward == 512 * 12 * (2 * 12 * 768**2 + 4 * 512 * 768)
    assert parts["mlm"].forward == 128 * 2 * (768 * 768 + 768 * 30522)
    assert parts["mlm"].backward == 2 * parts["mlm"].forward
    assert parts["embeddings"] == Operations()


def test_longer_rows_cost_more_per_token() -> None:
    short, long = (row_operations(BERT_BASE, (), length=length)["encoder"] / length for length in (128, 512))
    assert long.forward - short.forward == 12 * 4 * 384 * 768


def test_a_training_is_estimated_by_the_same_count() -> None:
    weights, head = 12 * 12 * 768**2, 768 * (768 + 30522)
    assert operations_per_token(BERT_BASE, length=128, scored=0.15) == pytest.approx(6 * weights + 12 * 12 * 128 * 768 + 6 * 0.15 * head)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_training_of_any_family_is_estimated(family: Family) -> None:
    architecture = tiny(family)
    assert row_tokens(architecture, length=8) == 8 * len(architecture.stacks)
    assert operations_per_token(architecture, length=8, scored=0.15) > 0
