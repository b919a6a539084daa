"""A Predictor on a small model: what it returns is what the model says, and what it refuses it explains."""

import dataclasses
from pathlib import Path

import pytest
import torch

from bertwright.architecture import MLM, NSP, POOLER
from bertwright.checkpoints.huggingface import save_model
from bertwright.errors import CheckpointError, InputError
from bertwright.families import preset_architecture
from bertwright.families.bert import BERT
from bertwright.inference import predictor as module
from bertwright.inference.predictor import Predictor, load
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer

WORDS = ["paris", "is", "the", "capital", "of", "france", "a", "city", ".", "un", "##able", "##ly", "north", "we", "are", "not"]
MAX_LENGTH = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (path / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    Tokenizer.load(path / "vocab.txt").save(path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": MAX_LENGTH}
    config = {"model_type": "bert", "vocab_size": len(vocabulary), "hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.0, **sizes}
    model = Model(BERT.architecture(config), (POOLER, MLM, NSP))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)  # far enough from the start for answers to differ
    save_model(model, path, config=config)
    return path


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return load(folder, device="cpu")


def test_probabilities_are_the_models_softmax_at_the_mask(predictor: Predictor) -> None:
    filled = predictor.fill_mask("Paris is the [MASK] of France.", top_k=4)
    ids = torch.tensor([predictor.tokenizer.encode("Paris is the [MASK] of France.").ids])
    expected = predictor.model(ids).prediction_logits[0, ids[0].tolist().index(predictor.tokenizer.mask_id)].softmax(-1)
    (candidates,) = filled.masks
    assert len(candidates) == 4
    for candidate in candidates:
        assert candidate.probability == pytest.approx(expected[candidate.token_id].item(), rel=1e-5)
        assert predictor.tokenizer.vocab[candidate.token_id] == candidate.token
    assert [c.probability for c in candidates] == sorted((c.probability for c in candidates), reverse=True)
    assert filled.filled == filled.text.replace("[MASK]", candidates[0].text) or candidates[0].token.startswith("##")


def test_special_tokens_are_never_candidates(predictor: Predictor) -> None:
    (candidates,) = predictor.fill_mask("the [MASK]", top_k=len(WORDS)).masks
    assert {candidate.token for candidate in candidates} == set(WORDS)


def test_every_mask_of_a_text_is_filled_at_once(predictor: Predictor) -> None:
    filled = predictor.fill_mask("[MASK] is [MASK] city of [MASK]")
    assert len(filled.masks) == 3
    assert "[MASK]" not in filled.filled


def test_a_batch_gives_what_each_text_gives_alone(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the [MASK]", "Paris is the [MASK] of France, a [MASK] of the north.", "[MASK]", "we are [MASK] unable"]
    monkeypatch.setattr(module, "BATCH_TOKENS", 30)
    together = predictor.fill_masks(texts)
    for text, filled in zip(texts, together, strict=True):
        alone = predictor.fill_mask(text)
        assert filled.text == text
        assert filled.filled == alone.filled
        for ours, others in zip(filled.masks, alone.masks, strict=True):
            assert [c.token_id for c in ours] == [c.token_id for c in others]
            assert [c.probability for c in ours] == pytest.approx([c.probability for c in others], rel=1e-4)


def test_dropout_is_off(predictor: Predictor) -> None:
    assert predictor.fill_mask("the [MASK]") == predictor.fill_mask("the [MASK]")


def test_random_masks_show_input_filled_and_original(predictor: Predictor) -> None:
    text = "Paris is the capital of France, unable."
    filled = predictor.mask_randomly(text, rate=0.3, seed=1)
    assert filled.original == text
    assert filled.text.count("[MASK]") == len(filled.answers) == len(filled.masks) == round(0.3 * 9)
    assert set(filled.answers) <= set(WORDS)  # the comma is unknown to this vocabulary and never masked
    assert filled == predictor.mask_randomly(text, rate=0.3, seed=1)
    assert len({predictor.mask_randomly(text, rate=0.3, seed=seed).text for seed in range(8)}) > 1
    assert 0 <= filled.right <= len(filled.answers)


def test_the_last_piece_can_be_masked_and_a_low_rate_masks_one(predictor: Predictor) -> None:
    assert predictor.mask_randomly("paris", rate=0.01).text == "[MASK]"
    assert predictor.mask_randomly("paris is", rate=1.0).text == "[MASK] [MASK]"


def test_encode_gives_every_layer_and_attention(predictor: Predictor) -> None:
    found = predictor.encode("Paris is unable", "we are not")
    length = len(found.tokens)
    assert found.tokens[0] == "[CLS]"
    assert found.tokens.count("[SEP]") == 2
    assert found.type_ids == (0,) * 6 + (1,) * 4
    assert found.token_vectors.shape == (length, 16)
    assert torch.equal(found.cls_vector, found.token_vectors[0])
    assert found.pooled is not None
    assert found.pooled.shape == (16,)
    assert [state.shape for state in found.hidden_states] == [(length, 16)] * 4
    assert torch.equal(found.hidden_states[-1], found.token_vectors)
    assert [attention.shape for attention in found.attentions] == [(2, length, length)] * 3
    assert torch.allclose(found.attentions[0].sum(-1), torch.ones(2, length))
    assert not torch.equal(found.token_vectors, predictor.encode("we are not", "Paris is unable").token_vectors)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no mask here", r"--mask 0\.15"),
        ("a [mask]", r"no \[MASK\]"),
        ("", "empty"),
        (" \n", "empty"),
        ("[MASK] " + "the " * 40, r"43 tokens.*reads 24 at most.*shorter parts.*--extend_positions 43"),
    ],
)
def test_an_unusable_text_is_refused_with_the_mend(predictor: Predictor, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        predictor.fill_mask(text)


def test_every_unusable_text_of_a_batch_is_named(predictor: Predictor) -> None:
    with pytest.raises(InputError) as caught:
        predictor.fill_masks(["first", "fine [MASK]", "second"])
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("top_k", [0, -1, len(WORDS) + 1, 10_000])
def test_top_k_has_its_limits(predictor: Predictor, top_k: int) -> None:
    with pytest.raises(InputError, match=f"top_k is {top_k}: give at least 1 and at most the {len(WORDS)} entries"):
        predictor.fill_mask("[MASK]", top_k=top_k)


@pytest.mark.parametrize("rate", [0.0, -0.5, 1.5])
def test_a_mask_rate_has_its_limits(predictor: Predictor, rate: float) -> None:
    with pytest.raises(InputError, match="share of pieces"):
        predictor.mask_randomly("paris", rate=rate)


def test_nothing_to_mask_is_said(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="nothing to mask"):
        predictor.mask_randomly("zebra")


@pytest.mark.parametrize("method", ["fill_mask", "mask_randomly"])
def test_a_checkpoint_without_the_head_says_so(predictor: Predictor, folder: Path, method: str) -> None:
    bare = Predictor(model=Model(predictor.model.architecture, (POOLER,)), tokenizer=predictor.tokenizer, checkpoint=folder)
    with pytest.raises(CheckpointError, match="no masked-language head"):
        getattr(bare, method)("paris [MASK]")


def with_embeddings(folder: Path, *, vocab_size: int, out: Path) -> Path:
    """The checkpoint's tokenizer beside a new model of another vocabulary."""
    Tokenizer.load(folder).save(out)
    model = Model(dataclasses.replace(load(folder, device="cpu").model.architecture, vocab_size=vocab_size), (POOLER, MLM))
    with torch.no_grad():
        model.get_parameter("heads.mlm.bias")[5 + len(WORDS) :] = 50.0  # the padding would win every mask
    save_model(model, out, config={"model_type": "bert"})
    return out


def test_rows_that_pad_the_embeddings_are_never_candidates(folder: Path, tmp_path: Path) -> None:
    padded = load(with_embeddings(folder, vocab_size=64, out=tmp_path), device="cpu")
    (candidates,) = padded.fill_mask("the [MASK]", top_k=len(WORDS)).masks
    assert {candidate.token for candidate in candidates} == set(WORDS)


def test_a_tokenizer_larger_than_the_model_is_refused_with_both_sizes(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="tokenizer has 21 entries, its model embeds 12"):
        load(with_embeddings(folder, vocab_size=12, out=tmp_path), device="cpu")


def test_of_two_stacks_the_one_that_reads_gives_the_vectors(predictor: Predictor) -> None:
    model = Model(preset_architecture("bart-tiny", vocab_size=predictor.tokenizer.vocab_size)).eval()
    found = Predictor(model=model, tokenizer=predictor.tokenizer, checkpoint=Path()).encode("Paris is unable")
    with torch.no_grad():
        read = model.remember(torch.tensor([predictor.tokenizer.encode("Paris is unable").ids])).hidden
    assert torch.allclose(found.token_vectors, read[0], atol=1e-6)
    assert (len(found.hidden_states), len(found.attentions), found.pooled) == (3, 2, None)
