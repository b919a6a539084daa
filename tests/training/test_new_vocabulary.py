"""prepare --add_vocabulary, then pretrain --init_from: the model grows with the tokenizer, and transformers loads what is saved."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import HeadKind
from bertwright.checkpoints.huggingface import load_model, save_model
from bertwright.data.prepare import PrepareConfig, prepare
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.families import family_of, preset
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.pretrain import pretrain

LINES = ["The corbel bears the vault.", "A vault needs a corbel, a corbel a wall."]
WORDS = ("The", "the", "bears", "needs", "wall", "co", "##rb", "##el", "va", "##ult", "A", "a", ".", ",", "。", *"将军在城中出")
CONFIG = PretrainConfig(
    objective="mlm", max_steps=2, batch_size=4, max_seq_length=24, bf16=False, learning_rate=1e-9, muon_learning_rate=1e-9, weight_decay=0.0
)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path, random = tmp_path / "domain.txt", np.random.default_rng(0)
    chinese = ["将军".join(("".join(random.choice(list("在城中出"), 4)), "".join(random.choice(list("在城中出"), 3)))) + "。" for _ in range(40)]
    path.write_text("\n\n".join(f"{LINES[number % 2]} {line}" for number, line in enumerate(chinese)) + "\n", encoding="utf-8")
    return path


def begun_from(folder: Path, family: str = "bert", head: HeadKind = "mlm", **keys: Any) -> Path:
    """A tiny checkpoint with a tokenizer that cuts the words of the domain."""
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)) + "\n", encoding="utf-8")
    tokenizer = Tokenizer.load(folder / "vocab.txt")
    config = {**preset(f"{family}-tiny", vocab_size=tokenizer.vocab_size, pad_token_id=0), **keys}
    torch.manual_seed(1)
    save_model(Model(family_of(config).architecture(config), (head,)), folder, config=config)
    tokenizer.save(folder)
    return folder


def prepared(text: Path, checkpoint: Path, **options: Any) -> TokenShards:
    out = text.parent / "shards"
    prepare([str(text)], out=out, config=PrepareConfig(tokenizer=str(checkpoint), **options))
    return TokenShards.open(out)


@pytest.mark.parametrize(("family", "keys"), [("bert", {}), ("bert", {"tie_word_embeddings": False}), ("distilbert", {}), ("albert", {}), ("modernbert", {})])
def test_the_model_grows_and_transformers_loads_it(family: str, keys: dict[str, Any], tmp_path: Path, text: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    begun = begun_from(tmp_path / "begun", family, **keys)
    shards = prepared(text, begun, add_vocabulary=3)
    old, new = Tokenizer.load(begun), Tokenizer.load(shards.tokenizer_folder)
    assert set(new.vocab[old.vocab_size :]) == {"corbel", "vault", "将军"}
    seen: list[Event] = []
    result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, init_from=str(begun)), observers=(seen.append,))
    assert any("3 new entries of the vocabulary" in str(event.values.get("text")) for event in seen)
    before, after = load_model(begun).model.state_dict(), load_model(result.checkpoint).model.state_dict()
    for name in before:
        if before[name].shape == after[name].shape:
            torch.testing.assert_close(after[name], before[name], rtol=0.0, atol=1e-5)
    rows = [old.vocab.index(piece) for piece in ("co", "##rb", "##el")]
    for name in ("tokens.weight", "heads.mlm.decoder.weight", "heads.mlm.bias"):
        if name in before:
            torch.testing.assert_close(after[name][new.vocab.index("corbel")], before[name][rows].mean(0), rtol=0.0, atol=1e-5)
    theirs, info = AutoModelForMaskedLM.from_pretrained(result.checkpoint, output_loading_info=True)
    assert not any(info.values()), info
    encoded = AutoTokenizer.from_pretrained(result.checkpoint)("The corbel bears 将军.", return_tensors="pt")
    assert encoded["input_ids"][0].tolist() == new.encode("The corbel bears 将军.").ids
    assert theirs(**encoded).logits.shape[-1] == new.vocab_size


@pytest.mark.parametrize("sharing", ["shared", "disentangled", "own"])
def test_a_generator_grows_with_its_discriminator(sharing: str, tmp_path: Path, text: Path) -> None:
    first = begun_from(tmp_path / "first", "electra")
    shards = prepared(text, first)
    config = dataclasses.replace(CONFIG, objective="rtd", generator_embeddings=sharing)
    run = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, model="electra-tiny"))
    grown = prepare([str(text)], out=tmp_path / "grown", config=PrepareConfig(tokenizer=str(run.checkpoint), add_vocabulary=3))
    assert grown.new_vocabulary is not None
    result = pretrain(tmp_path / "grown", out=tmp_path / "on", config=dataclasses.replace(config, init_from=str(run.checkpoint)))
    old, new = Tokenizer.load(run.checkpoint), Tokenizer.load(result.checkpoint)
    rows = [old.vocab.index(piece) for piece in ("co", "##rb", "##el")]
    for folder in ("", "generator"):
        before, after = (load_model(found / folder).model.state_dict() for found in (run.checkpoint, result.checkpoint))
        for name in {"tokens.weight", "heads.mlm.bias"} & before.keys():
            torch.testing.assert_close(after[name][new.vocab.index("corbel")], before[name][rows].mean(0), rtol=0.0, atol=1e-5)


def test_sentinels_stand_behind_new_words(tmp_path: Path, text: Path) -> None:
    begun = begun_from(tmp_path / "begun", "t5", "lm", decoder_start_token_id=0)
    report = prepare([str(text)], out=tmp_path / "shards", config=PrepareConfig(tokenizer=str(begun), add_vocabulary=3, sentinels=5))
    assert report.new_vocabulary is not None
    assert len(report.new_vocabulary.entries) == 3
    result = pretrain(tmp_path / "shards", out=tmp_path / "run", config=dataclasses.replace(CONFIG, objective="span_corruption", init_from=str(begun)))
    before, after = load_model(begun).model.state_dict()["tokens.weight"], load_model(result.checkpoint).model.state_dict()["tokens.weight"]
    assert len(after) == len(before) + 8
    torch.testing.assert_close(after[-5:], before.mean(0).expand(5, -1), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(("family", "objective"), [("gpt2", "clm"), ("bart", "denoising")])
def test_models_that_write_grow_too(family: str, objective: str, tmp_path: Path, text: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    ids = {"bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 2} if family == "bart" else {}
    begun = begun_from(tmp_path / "begun", family, "lm", **ids)
    shards = prepared(text, begun, add_vocabulary=3)
    old, new = Tokenizer.load(begun), Tokenizer.load(shards.tokenizer_folder)
    result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, objective=objective, init_from=str(begun)))
    before, after = load_model(begun).model.state_dict()["tokens.weight"], load_model(result.checkpoint).model.state_dict()["tokens.weight"]
    rows = [old.vocab.index(piece) for piece in ("co", "##rb", "##el")]
    torch.testing.assert_close(after[new.vocab.index("corbel")], before[rows].mean(0), rtol=0.0, atol=1e-5)
    kind = AutoModelForCausalLM if family == "gpt2" else AutoModelForSeq2SeqLM
    theirs, info = kind.from_pretrained(result.checkpoint, output_loading_info=True)
    assert not any(info.values()), info
    assert theirs.get_input_embeddings().weight.shape[0] == new.vocab_size


def test_the_report_says_how_many_tokens_the_text_takes_now(tmp_path: Path, text: Path) -> None:
    begun = begun_from(tmp_path / "begun")
    plain = prepare([str(text)], out=tmp_path / "plain", config=PrepareConfig(tokenizer=str(begun)))
    report = prepare([str(text)], out=tmp_path / "grown", config=PrepareConfig(tokenizer=str(begun), add_vocabulary=3))
    told = report.new_vocabulary
    assert told is not None
    assert (set(told.entries), told.tokens_before) == ({"corbel", "vault", "将军"}, plain.tokens + plain.validation_tokens)
    assert told.tokens == report.tokens + report.validation_tokens < told.tokens_before
    (line,) = [line for line in report.lines() if line.startswith("new vocabulary")]
    assert f"takes {told.tokens:,} tokens instead of {told.tokens_before:,}" in line
    assert "corbel" in line


def test_a_file_of_words_is_added_and_spare_rows_are_taken_first(tmp_path: Path, text: Path) -> None:
    begun = begun_from(tmp_path / "begun")
    words = tmp_path / "words.txt"
    words.write_text("corbel\n\n将军\n", encoding="utf-8")
    config = load_model(begun).config | {"vocab_size": 64}
    tokenizer = Tokenizer.load(begun)
    torch.manual_seed(1)
    save_model(Model(family_of(config).architecture(config), ("mlm",)), begun, config=config)
    shards = prepared(text, begun, add_vocabulary=str(words))
    result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, init_from=str(begun)))
    before, after = load_model(begun).model.state_dict()["tokens.weight"], load_model(result.checkpoint).model.state_dict()["tokens.weight"]
    assert after.shape == before.shape
    rows = [tokenizer.vocab.index(piece) for piece in "将军"]
    torch.testing.assert_close(after[tokenizer.vocab_size + 1], before[rows].mean(0), rtol=0.0, atol=1e-5)


def test_mistakes_are_refused(tmp_path: Path, text: Path) -> None:
    begun = begun_from(tmp_path / "begun")
    words = tmp_path / "words.txt"
    words.write_text("wall\ncorbel vault\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        prepared(text, begun, add_vocabulary=str(words))
    assert [line.split(": ")[0] for line in caught.value.problems] == [f"{words}, line 1", f"{words}, line 2"]
    with pytest.raises(InputError, match=r"add_vocabulary 400: more than the text gives"):
        prepared(text, begun, add_vocabulary=400)
    words.write_text("\n")
    with pytest.raises(InputError, match="no words in it"):
        prepared(text, begun, add_vocabulary=str(words))
    for options, told in (
        ({"add_vocabulary": 0}, "at least 1"),
        ({"add_vocabulary": "none.txt"}, "no such file"),
        ({"add_vocabulary": 3, "tokenizer": None}, "--tokenizer"),
    ):
        with pytest.raises(InputError, match=told):
            prepare([str(text)], out=tmp_path / "never", config=PrepareConfig(**{"tokenizer": str(begun), **options}))


def test_a_checkpoint_without_a_tokenizer_is_refused(tmp_path: Path, text: Path) -> None:
    begun = begun_from(tmp_path / "begun")
    shards = prepared(text, begun)
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (begun / name).unlink()
    with pytest.raises(InputError, match="there is no tokenizer in it"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, init_from=str(begun)))


def test_a_run_on_new_vocabulary_goes_on_bit_for_bit(tmp_path: Path, text: Path) -> None:
    begun = begun_from(tmp_path / "begun")
    shards = prepared(text, begun, add_vocabulary=3)
    config = dataclasses.replace(CONFIG, init_from=str(begun), learning_rate=1e-3, max_steps=4, save_steps=2)
    straight = pretrain(shards.folder, out=tmp_path / "straight", config=config)

    class Stop(Exception):
        pass

    def stop(event: Event) -> None:
        if event.kind == "save" and event.step == 2:
            raise Stop

    with pytest.raises(Stop):
        pretrain(shards.folder, out=tmp_path / "stopped", config=config, observers=(stop,))
    resumed = pretrain(shards.folder, out=tmp_path / "stopped", config=config)
    expected, found = (load_model(result.run / "checkpoints" / "step-000004").model.state_dict() for result in (straight, resumed))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
