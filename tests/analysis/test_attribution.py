"""Integrated gradients against what they must be: exact on a linear model, complete on a transformer, and by the paper's sum."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bertwright.analysis.attribution import attention_maps, hidden_words, integrated_gradients
from bertwright.errors import InputError
from bertwright.families import family_of, preset
from bertwright.models import Model
from bertwright.models.output import Output
from bertwright.text.tokenizer import Tokenizer

ENCODERS = ("bert-tiny", "roberta-tiny", "distilbert-tiny", "albert-tiny", "electra-tiny", "nezha-tiny", "roformer-tiny", "modernbert-tiny")


def logit(label: int) -> Callable[[Output], Tensor]:
    def of(output: Output) -> Tensor:
        assert output.logits is not None
        return output.logits[:, label]

    return of


def classifier(name: str, *, vocab_size: int) -> Model:
    """A model whose weights are large enough for its parts to bend the path between two texts."""
    torch.manual_seed(0)
    config = preset(name, vocab_size=vocab_size)
    family = family_of(config)
    model = Model(family.architecture(config), family.complete_heads(("classify",))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 3
    return model


@pytest.mark.parametrize("name", ENCODERS)
def test_the_parts_add_up_to_what_the_words_changed(name: str, tokenizer: Tokenizer) -> None:
    model, encoding = classifier(name, vocab_size=tokenizer.vocab_size), tokenizer.encode("ban bar der", "kin")
    hidden = hidden_words(encoding, tokenizer)
    found = integrated_gradients(model, encoding, baseline=hidden, target=logit(1))
    types = torch.tensor([encoding.type_ids]) if model.architecture.last.segments > 1 else None
    with torch.no_grad():
        whole = model(torch.tensor([encoding.ids]), None, types).logits[0, 1]
    assert found.score == pytest.approx(float(whole), abs=1e-4)
    assert abs(found.score - found.baseline) > 1e-3, "the words must change the score, or adding up proves nothing"
    assert found.complete
    assert found.gap == pytest.approx(0, abs=0.02 * max(abs(found.score - found.baseline), 0.25))


def test_special_tokens_stand_in_both_texts_and_get_nothing(tokenizer: Tokenizer) -> None:
    model, encoding = classifier("bert-tiny", vocab_size=tokenizer.vocab_size), tokenizer.encode("ban bar der")
    hidden = hidden_words(encoding, tokenizer)
    assert hidden == [tokenizer.cls_id, *[tokenizer.mask_id] * 3, tokenizer.sep_id]
    scores = integrated_gradients(model, encoding, baseline=hidden, target=logit(0)).scores
    assert scores[0] == scores[-1] == 0
    assert all(score != 0 for score in scores[1:-1])


def test_on_a_linear_score_each_token_gets_exactly_its_share(tokenizer: Tokenizer) -> None:
    """Of a score w.e summed over tokens, token i has w.(e_i - e'_i), whatever the path."""
    model, encoding = classifier("bert-tiny", vocab_size=tokenizer.vocab_size), tokenizer.encode("ban bar")
    weights, hidden = torch.randn(model.tokens.weight.shape[1]), hidden_words(encoding, tokenizer)
    seen: list[Tensor] = []

    def linear(output: Output) -> Tensor:
        return (seen[-1] @ weights).sum(-1)

    # What the stack was given, which is what the path's points are laid into.
    model.encoder.embed = _spy(model.encoder.embed, seen)
    found = integrated_gradients(model, encoding, baseline=hidden, target=linear)
    table = model.tokens.weight.detach()
    exact = (table[encoding.ids] - table[hidden]) @ weights
    assert found.scores == pytest.approx(exact.tolist(), abs=1e-5)
    assert found.points == 16, "a straight line needs no more points than the first"


def _spy(embed: Callable[..., Tensor], seen: list[Tensor]) -> Callable[..., Tensor]:
    def spied(tokens: Tensor, *rest: object) -> Tensor:
        seen.append(tokens)
        return embed(tokens, *rest)

    return spied


def test_it_is_the_integral_of_the_papers_equation(tokenizer: Tokenizer) -> None:
    """Against a Riemann sum of gradients taken one at a time through embeddings that really lie in the table."""
    model, encoding = classifier("bert-tiny", vocab_size=tokenizer.vocab_size), tokenizer.encode("ban bar der gan")
    hidden = hidden_words(encoding, tokenizer)
    found = integrated_gradients(model, encoding, baseline=hidden, target=logit(0))
    table, fresh = model.tokens.weight.detach().clone(), list(range(5, 5 + len(encoding.ids)))
    start, end = table[hidden], table[encoding.ids]
    total, steps = torch.zeros_like(start), 300
    for step in range(steps):
        with torch.no_grad():
            model.tokens.weight[fresh] = start + (step + 0.5) / steps * (end - start)
        model.zero_grad()
        model(torch.tensor([fresh]), None, torch.tensor([encoding.type_ids])).logits[0, 0].backward()
        assert model.tokens.weight.grad is not None
        total += model.tokens.weight.grad[fresh]
    exact = ((end - start) * total / steps).sum(-1)
    assert found.scores == pytest.approx(exact.tolist(), abs=2e-3 * float(exact.abs().max()) + 1e-4)


def test_the_model_is_left_as_it_was(tokenizer: Tokenizer) -> None:
    model, encoding = classifier("bert-tiny", vocab_size=tokenizer.vocab_size), tokenizer.encode("ban bar der")
    ids = torch.tensor([encoding.ids])
    before = model(ids).logits
    with pytest.raises(RuntimeError, match="no such score"):
        integrated_gradients(model, encoding, baseline=hidden_words(encoding, tokenizer), target=_fails)
    integrated_gradients(model, encoding, baseline=hidden_words(encoding, tokenizer), target=logit(0))
    assert torch.equal(model(ids).logits, before)
    assert all(parameter.grad is None for parameter in model.parameters())


def _fails(output: Output) -> Tensor:
    raise RuntimeError("no such score")


@pytest.mark.parametrize("name", ENCODERS)
def test_attention_maps_are_means_over_heads_and_each_row_sums_to_one(name: str, tokenizer: Tokenizer) -> None:
    model, encoding = classifier(name, vocab_size=tokenizer.vocab_size), tokenizer.encode("ban bar der")
    maps = attention_maps(model, encoding)
    length = len(encoding.ids)
    assert maps.shape == (model.architecture.last.depth, length, length)
    assert torch.allclose(maps.sum(-1), torch.ones(len(maps), length), atol=1e-5)
    states = model(torch.tensor([encoding.ids]), output_attentions=True).attentions
    assert torch.allclose(maps[1], states[1][0].mean(0), atol=1e-6)


def test_a_model_of_two_stacks_is_left_out_in_words(tokenizer: Tokenizer) -> None:
    config = preset("bart-tiny", vocab_size=tokenizer.vocab_size)
    model, encoding = Model(family_of(config).architecture(config), ("lm",)).eval(), tokenizer.encode("ban")
    for look in (lambda: attention_maps(model, encoding), lambda: integrated_gradients(model, encoding, baseline=encoding.ids, target=logit(0))):
        with pytest.raises(InputError, match="models of one stack"):
            look()


def test_a_baseline_of_another_length_is_refused(tokenizer: Tokenizer) -> None:
    model, encoding = classifier("bert-tiny", vocab_size=tokenizer.vocab_size), tokenizer.encode("ban bar")
    with pytest.raises(ValueError, match="the baseline has 1 ids, the text 4"):
        integrated_gradients(model, encoding, baseline=[0], target=logit(0))


@pytest.mark.parametrize(("tokens", "expected"), [(("[PAD]", "[UNK]", "[CLS]", "[SEP]"), "[PAD]"), (("[UNK]", "[CLS]", "[SEP]"), "[UNK]")])
def test_without_a_mask_token_padding_hides_words_else_the_unknown_token(tokens: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, processors

    vocabulary = {token: number for number, token in enumerate((*tokens, "ban", "bar"))}
    backend = Backend(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    backend.save(str(tmp_path / "tokenizer.json"))
    names = {"[PAD]": "pad_token", "[UNK]": "unk_token", "[CLS]": "cls_token", "[SEP]": "sep_token"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({names[token]: token for token in tokens}), encoding="utf-8")
    tokenizer = Tokenizer.load(tmp_path)
    encoding = tokenizer.encode("ban strange bar")
    hidden = [tokenizer.vocab[token] for token in hidden_words(encoding, tokenizer)]
    assert hidden == ["[CLS]", *[expected] * 3, "[SEP]"]
