"""Greedy and beam search give transformers' tokens; the cache, padding and the other texts of a batch change nothing."""

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bertwright.architecture import Absolute, Architecture, Block, Bucketed, Head, Positions, Rotary, Stack
from bertwright.checkpoints.huggingface import load_model
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.models.generation import Continuation, Reader, generate, one_by_one
from bertwright.models.generation_settings import Generation

VOCAB = 41
ENDS = (2, 3, 4, 5, 6, 7)
KINDS = ("gpt2", "openai-gpt", "bart", "t5")
SEARCHES: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.7, "max_new_tokens": 20},
    {"no_repeat_ngram_size": 2, "max_new_tokens": 20},
    {"min_new_tokens": 6},
    {"eos_token_id": 2},
    *(
        {"num_beams": beams, "length_penalty": penalty, "early_stopping": early, "num_return_sequences": beams // 2}
        for beams, penalty, early in itertools.product((2, 4), (0.5, 1.0, 2.0), (False, True, "never"))
    ),
    {"num_beams": 4, "num_return_sequences": 4, "length_penalty": -0.5},
    {"num_beams": 4, "num_return_sequences": 4, "no_repeat_ngram_size": 3, "min_new_tokens": 4, "repetition_penalty": 1.3, "eos_token_id": (2, 5)},
    {"num_beams": 3, "forced_bos_token_id": 4, "forced_eos_token_id": 2, "early_stopping": True},
]


@pytest.fixture(scope="module")
def transformers() -> Any:
    module = pytest.importorskip("transformers")
    module.utils.logging.disable_progress_bar()
    module.utils.logging.set_verbosity_error()
    return module


def varied(model: Any) -> Any:
    """Weights so large that tokens differ and texts end at different lengths; norms and biases near their start, lest one token wins everywhere."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 else 0.35))
            if parameter.ndim == 1 and not name.endswith("bias"):
                parameter.add_(1)
    return model


def reference(transformers: Any, kind: str, *, seed: int) -> Any:
    """A tiny model of transformers."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "gpt2": {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 64, "bos_token_id": 1},
        "openai-gpt": {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 64},
        "bart": {
            **{"d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 3, "decoder_attention_heads": 2},
            **{"encoder_ffn_dim": 32, "decoder_ffn_dim": 48, "max_position_embeddings": 64},
        },
        "t5": {"d_model": 24, "d_kv": 6, "d_ff": 32, "num_layers": 2, "num_heads": 3, "decoder_start_token_id": 0, "pad_token_id": 0},
    }
    names = {"gpt2": "GPT2", "openai-gpt": "OpenAIGPT", "bart": "Bart", "t5": "T5"}
    config = getattr(transformers, names[kind] + "Config")(vocab_size=VOCAB, eos_token_id=2, **sizes[kind])
    ending = "LMHeadModel" if kind in KINDS[:2] else "ForConditionalGeneration"
    model = getattr(transformers, names[kind] + ending)(config).eval()
    return varied(model)


def texts(kind: str, *, seed: int) -> tuple[Tensor, Tensor]:
    """Three texts of different lengths with their mask, padded on the side that the kind of model wants."""
    ids = torch.randint(3, VOCAB, (3, 9), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    if kind in KINDS[:2]:
        mask[1, :4] = mask[2, :7] = 0
    else:
        mask[1, 5:] = mask[2, 2:] = 0
    return ids.masked_fill(mask == 0, 0), mask


def until_the_end(tokens: list[int], stops: tuple[int, ...]) -> list[int]:
    """transformers' tokens without the filling behind the end."""
    return tokens[: next((place for place, token in enumerate(tokens) if token in stops), len(tokens)) + 1]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_greedy_and_beam_search_give_the_tokens_of_transformers(transformers: Any, tmp_path: Path, kind: str, seed: int) -> None:
    theirs = reference(transformers, kind, seed=seed)
    theirs.save_pretrained(tmp_path)
    ours, (ids, mask) = load_model(tmp_path).model, texts(kind, seed=seed)
    first, lengths, varieties = (9 if kind in KINDS[:2] else 1), set(), set()
    for search in SEARCHES:
        asked: dict[str, Any] = {"max_new_tokens": 12, "eos_token_id": ENDS, "forced_eos_token_id": theirs.generation_config.forced_eos_token_id, **search}
        lists = {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}
        # transformers takes padding for tokens that came before when it looks for repeated ones: only the first text has none.
        rows = slice(0, 1 if "no_repeat_ngram_size" in search else 3)
        expected = theirs.generate(ids[rows], attention_mask=mask[rows], pad_token_id=0, return_dict_in_generate=True, output_scores=True, **lists)
        settings = Generation(**asked)
        found = [one for text in generate(ours, ids[rows], mask[rows], settings=settings) for one in text]
        wanted = [until_the_end(row, settings.stop_ids) for row in expected.sequences[:, first:].tolist()]
        assert [list(one.ids) for one in found] == wanted, search
        if settings.num_beams > 1:
            assert torch.tensor([one.score for one in found]).allclose(expected.sequences_scores, atol=1e-4)
        lengths |= {len(one.ids) for one in found}
        varieties.add(tuple(one.ids for one in found))
    assert len(lengths) > 3  # otherwise nothing ended before its time
    assert len(varieties) > 7  # otherwise the settings change nothing


def stack(positions: Positions, *, causal: bool = True, cross: bool = False) -> Stack:
    block = Block(hidden_size=16, num_heads=4, intermediate_size=24, norm_first=True)
    return Stack(block=block, num_layers=2, positions=positions, causal=causal, cross_attention=cross, final_norm=True)


def random_model(architecture: Architecture, *, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    model: Model = varied(Model(architecture, ("lm",)).eval())
    return model


def one_stack(positions: Positions = Absolute(max_length=32)) -> Model:  # noqa: B008  # frozen
    head = Head(kind="lm", bias=False)
    return random_model(Architecture(vocab_size=VOCAB, pad_id=None, embedding_size=16, decoder=stack(positions), heads=(head,), tied=False))


def two_stacks() -> Model:
    near = Bucketed(num_buckets=8, max_distance=12)
    stacks = {"encoder": stack(near, causal=False), "decoder": stack(near, cross=True)}
    return random_model(Architecture(vocab_size=VOCAB, pad_id=0, embedding_size=16, heads=(Head(kind="lm"),), tied=False, decoder_start_id=0, **stacks))


ROTARY = Rotary(base=10000.0, max_length=64)
MODELS = {"absolute": one_stack, "rotary": lambda: one_stack(ROTARY), "two stacks": two_stacks}
SETTINGS = {
    "greedy": Generation(max_new_tokens=12),
    "beams": Generation(max_new_tokens=12, num_beams=3, num_return_sequences=2, early_stopping=True),
    "sampling": Generation(max_new_tokens=12, do_sample=True, num_return_sequences=3, top_k=0),
}


def prompts(model: Model, *lengths: int) -> tuple[Tensor, Tensor]:
    ids = torch.randint(8, VOCAB, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(5))
    places, real = torch.arange(max(lengths)), torch.tensor(lengths)[:, None]
    mask = places < real if model.encoder is not None else places >= max(lengths) - real
    return ids.masked_fill(~mask, 1), mask.long()


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_cache_gives_the_logits_of_reading_everything_anew(make: Callable[[], Model]) -> None:
    model = make()
    ids, _ = prompts(model, 6, 6)
    reader = Reader(model, ids, None, start_id=0)
    logits = reader.begin()
    with torch.inference_mode():
        for _ in range(8):
            read = reader.history
            whole = model(read) if model.encoder is None else model(ids, decoder_input_ids=read)
            assert torch.allclose(logits, whole.prediction_logits[:, -1], atol=1e-4)
            logits = reader(logits.argmax(-1, keepdim=True))
    assert len(set(reader.history.flatten().tolist())) > 5


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_text_gets_in_a_batch_what_it_gets_alone(make: Callable[[], Model], settings: Generation) -> None:
    model = make()
    lengths = (9, 2, 5, 7)
    ids, mask = prompts(model, *lengths)
    seeds = list(range(100, 112))
    endless = generate(model, ids, mask, settings=settings, row_seeds=seeds)
    settings = dataclasses.replace(settings, eos_token_id=(endless[1][0].ids[4], endless[3][0].ids[-1]))
    together = generate(model, ids, mask, settings=settings, row_seeds=seeds)
    for row, length in enumerate(lengths):
        own = ids[row : row + 1, :length] if model.encoder is not None else ids[row : row + 1, 9 - length :]
        (alone,) = generate(model, own, settings=settings, row_seeds=seeds[3 * row : 3 * row + 3])
        assert [one.ids for one in together[row]] == [one.ids for one in alone]
        for one, other in zip(together[row], alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
    assert len({len(one.ids) for text in together for one in text}) > 1  # some left the batch before others


def test_positions_decide_where_a_padded_text_stands() -> None:
    """The comparison above would mean nothing if this model did not care."""
    model = one_stack()
    ids, _ = prompts(model, 6)
    here = model(ids).prediction_logits
    there = model(ids, position_ids=torch.arange(1, 7)[None]).prediction_logits
    assert not torch.allclose(here, there, atol=1e-2)


def tokens(model: Model, *, length: int = 4, **asked: Any) -> tuple[int, ...]:
    (((only),),) = generate(model, prompts(model, length)[0], settings=Generation(**asked))
    return only.ids


def test_generation_stops_at_the_last_position() -> None:
    model = one_stack(Absolute(max_length=16))
    assert len(tokens(model, length=10, max_new_tokens=50)) == 6
    assert tokens(model, length=10, max_new_tokens=50, forced_eos_token_id=7)[-1] == 7
    assert [len(one.ids) for one in generate(model, prompts(model, 15)[0], settings=Generation(num_beams=2, num_return_sequences=2))[0]] == [1, 1]
    with pytest.raises(InputError, match="16 tokens leave no room for a new one within the model's 16 positions"):
        tokens(model, length=16, max_new_tokens=5)


def test_lengths_are_those_asked_for() -> None:
    model = one_stack()
    plain = tokens(model, max_new_tokens=10)
    assert len(plain) == 10
    stop = plain[3]
    end = plain.index(stop) + 1
    assert tokens(model, max_new_tokens=10, eos_token_id=stop) == plain[:end]
    assert tokens(model, max_new_tokens=10, eos_token_id=(40, stop)) == plain[:end]
    assert stop not in tokens(model, max_new_tokens=10, eos_token_id=stop, min_new_tokens=9)[:9]
    assert stop not in tokens(model, max_new_tokens=10, eos_token_id=stop, min_length=13)[:9]
    assert len(tokens(model, max_length=9)) == 5
    assert len(tokens(model, max_length=9, max_new_tokens=7)) == 7
    assert len(tokens(one_stack(ROTARY))) == 50
    with pytest.raises(InputError, match="no room for a new one within max_length 4"):
        tokens(model, max_length=4)


def test_the_first_and_the_last_token_can_be_forced() -> None:
    model = two_stacks()
    found = tokens(model, max_new_tokens=6, forced_bos_token_id=7, forced_eos_token_id=(9,), eos_token_id=9, min_new_tokens=6)
    assert (found[0], found[-1], len(found)) == (7, 9, 6)


def test_tokens_come_one_by_one_as_they_come_together() -> None:
    for model, settings in itertools.product((one_stack(), two_stacks()), (SETTINGS["greedy"], Generation(do_sample=True, max_new_tokens=9))):
        ids, _ = prompts(model, 5)
        stream = one_by_one(model, ids, settings=settings)
        first = next(stream)
        assert generate(model, ids, settings=settings) == [[Continuation(ids=(first, *stream))]]
    with pytest.raises(InputError, match="one by one"):
        next(one_by_one(one_stack(), ids, settings=SETTINGS["beams"]))


def test_the_decoder_begins_with_the_token_asked_for() -> None:
    model = two_stacks()
    assert tokens(model, max_new_tokens=9) != tokens(model, max_new_tokens=9, decoder_start_token_id=8)
    bare = random_model(Architecture(**{**vars(model.architecture), "decoder_start_id": None}))
    with pytest.raises(InputError, match="give decoder_start_token_id"):
        tokens(bare, max_new_tokens=9)


def test_what_cannot_be_generated_is_refused() -> None:
    model = one_stack()
    ids, mask = prompts(model, 6, 3)
    with pytest.raises(ValueError, match="padded on the left"):
        generate(model, ids, mask.flip(1), settings=Generation())
    with pytest.raises(ValueError, match="no language-modelling head"):
        generate(Model(model.architecture), ids, mask, settings=Generation())
    with pytest.raises(InputError) as caught:
        generate(model, ids, settings=Generation(num_beams=0, temperature=0.0))
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="no token is left"):
        generate(one_stack(ROTARY), ids, settings=Generation(no_repeat_ngram_size=1, max_new_tokens=VOCAB))


def test_a_text_without_tokens_is_refused() -> None:
    for model, settings in itertools.product((one_stack(), one_stack(ROTARY), two_stacks()), (Generation(), SETTINGS["beams"])):
        with pytest.raises(InputError, match="a text has no tokens: give one or more"):
            generate(model, torch.empty(1, 0, dtype=torch.long), settings=settings)
        with pytest.raises(InputError):
            next(one_by_one(model, torch.empty(1, 0, dtype=torch.long), settings=settings))


@pytest.mark.parametrize("others", [0, 1, 2, 5])
def test_nearly_every_token_can_end_a_text(others: int) -> None:
    model = one_stack()
    ids, mask = prompts(model, 6, 3)
    settings = Generation(num_beams=3, num_return_sequences=2, max_new_tokens=5, eos_token_id=tuple(range(others, VOCAB)), early_stopping=True)
    for text in generate(model, ids, mask, settings=settings):
        assert [one.ids[-1] >= others for one in text] == [True, True]
        assert all(token < others for one in text for token in one.ids[:-1])


def test_the_encoder_runs_once_and_each_token_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_stacks()
    ids, mask = prompts(model, 6, 3)
    read = []
    run, remember = Model._run, Model.remember
    monkeypatch.setattr(Model, "_run", lambda self, stack, ids, *rest, **more: read.append(tuple(ids.shape)) or run(self, stack, ids, *rest, **more))
    monkeypatch.setattr(Model, "remember", lambda self, ids, *rest, **more: read.append(("encoder", *ids.shape)) or remember(self, ids, *rest, **more))
    generate(model, ids, mask, settings=Generation(max_new_tokens=4, num_beams=3))
    assert read == [("encoder", 2, 6), (2, 1), (6, 1), (6, 1), (6, 1)]
