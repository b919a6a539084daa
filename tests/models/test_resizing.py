"""More rows: old ones stay, new ones are the means of what they replace, in every family, tied or not."""

import pytest
import torch

from bertwright.families import FAMILIES, family_of, preset
from bertwright.models import Model
from bertwright.models.resizing import EMBEDDINGS, OUTPUTS, NewRows, grown

SIZE, ROWS = 20, NewRows(18, ((5, 6, 7), (9,), ()))  # a model with two spare rows, of which the first entries take both


# BART's two stacks and its output share one table, whatever its config says.
@pytest.mark.parametrize(("family", "tied"), [(family.name, tied) for family in FAMILIES for tied in (True, False) if tied or family.name != "bart"])
def test_new_rows_are_the_means_of_what_they_replace(family: str, tied: bool) -> None:
    config = preset(f"{family}-tiny", vocab_size=SIZE, pad_token_id=0) | {"tie_word_embeddings": tied, "bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
    architecture = family_of(config).architecture(config)
    heads = tuple(head.kind for head in architecture.heads if head.kind in ("mlm", "lm"))
    torch.manual_seed(0)
    state = Model(architecture, heads).state_dict()
    for name, tensor in state.items():
        if name.endswith("bias"):
            tensor.normal_()
    larger = grown(state, ROWS, size=24)
    changed = {name for name in state if larger[name].shape != state[name].shape}
    assert EMBEDDINGS in changed
    assert changed <= {EMBEDDINGS, *OUTPUTS}
    assert changed == {name for name in state if SIZE in state[name].shape}, "a tensor with a row for each entry stays small"
    for name in changed:
        old, new = (table[name].squeeze(0) for table in (state, larger))  # a bias kept as a buffer is one row
        assert len(new) == 24
        assert torch.equal(new[:18], old[:18])
        for place, ids in enumerate(ROWS.replaced):
            expected = old[list(ids)].mean(0) if ids else old[:18].mean(0)
            torch.testing.assert_close(new[18 + place], expected)


def test_a_text_without_new_entries_is_scored_as_before() -> None:
    config = preset("bert-tiny", vocab_size=SIZE, pad_token_id=0)
    torch.manual_seed(0)
    model = Model(family_of(config).architecture(config), ("mlm",)).eval()
    wide = config | {"vocab_size": 24}
    larger = Model(family_of(wide).architecture(wide), ("mlm",)).eval()
    larger.load_state_dict(grown(model.state_dict(), ROWS, size=24))
    ids = torch.arange(2, 14)[None]
    with torch.no_grad():
        before, after = model(ids).prediction_logits, larger(ids).prediction_logits
    assert before is not None
    assert after is not None
    torch.testing.assert_close(after[..., :18], before[..., :18])
