"""Every family with a masked head pre-trains, goes on from a checkpoint with the same bits, and is loaded by transformers; others are refused with the mend."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bertwright.checkpoints.huggingface import load_model, read_architecture, save_model
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.families import FAMILIES, family_of, preset
from bertwright.inference.predictor import load
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainConfig
from bertwright.training.pretrain import pretrain

MASKED = [family.name for family in FAMILIES if "mlm" in family.heads]
CONFIG = PretrainConfig(objective="mlm", max_steps=2, batch_size=4, max_seq_length=24, save_steps=1, bf16=False)


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == "train"]


def loaded_by_transformers(folder: Path) -> torch.nn.Module:
    """The model, which must find every tensor it looks for and no other."""
    import transformers

    (name,) = json.loads((folder / "config.json").read_text())["architectures"]
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(info.values()), info
    return model.eval()


def vectors_of_transformers(folder: Path, a: str, b: str) -> torch.Tensor:
    """[length, hidden_size] of a pair, with whatever their tokenizer gives the model: type ids too, where it can take them."""
    import transformers

    given = transformers.AutoTokenizer.from_pretrained(folder)(a, b, return_tensors="pt")
    with torch.no_grad():
        return transformers.AutoModel.from_pretrained(folder).eval()(**given).last_hidden_state[0]


def agree(folder: Path, *, length: int) -> None:
    """Ours and transformers' logits on rows as long as the model was trained on."""
    ids = torch.randint(5, 50, (2, length), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(load_model(folder).model(ids).logits, loaded_by_transformers(folder)(ids).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MASKED)
def test_a_preset_trains_resumes_and_is_loaded_by_transformers(name: str, tmp_path: Path, shards: TokenShards) -> None:
    """With dropout, at whatever places the family has it: its config must say so again when the run goes on."""
    config = dataclasses.replace(CONFIG, model=f"{name}-tiny", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    first = pretrain(shards.folder, out=tmp_path / "run", config=config)
    weights, told = load_file(first.checkpoint / "model.safetensors"), losses(first.run)
    assert told[0] != told[1]
    again = dataclasses.replace(config, resume_from_checkpoint=str(first.run / "checkpoints" / "step-000001"))
    second = pretrain(shards.folder, out=tmp_path / "run", config=again)
    assert losses(second.run) == told
    assert all(torch.equal(tensor, weights[key]) for key, tensor in load_file(second.checkpoint / "model.safetensors").items())
    assert f"- {name}\n" in (second.checkpoint / "README.md").read_text(), "the card's tag"
    pair = load(second.checkpoint, device="cpu").encode("ban bar", "bor")
    if name != "nezha":  # which transformers 5 does not have
        agree(second.checkpoint, length=24)
        theirs = vectors_of_transformers(second.checkpoint, "ban bar", "bor")
        torch.testing.assert_close(pair.token_vectors, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["roberta", "modernbert"])
def test_half_precision_trains_them_too(name: str, tmp_path: Path, shards: TokenShards) -> None:
    config = dataclasses.replace(CONFIG, model=f"{name}-tiny", max_steps=10, batch_size=16, save_steps=None, warmup_steps=0)
    plain, half = (pretrain(shards.folder, out=tmp_path / str(bf16), config=dataclasses.replace(config, bf16=bf16)) for bf16 in (False, True))
    assert losses(half.run)[-1] < losses(half.run)[0]
    assert losses(half.run) == pytest.approx(losses(plain.run), rel=0.05)
    assert {tensor.dtype for tensor in load_file(half.checkpoint / "model.safetensors").values()} == {torch.float32}


def test_a_family_without_the_head_is_refused_with_the_mend(tmp_path: Path, shards: TokenShards) -> None:
    with pytest.raises(InputError, match=r"objective mlm\+nsp needs heads that this model family lacks \(nsp\): take a model of bert, .*, or --objective mlm"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, model="roberta-tiny", objective="mlm+nsp"))
    with pytest.raises(InputError, match=r"objective mlm needs heads that this model family lacks \(mlm\): take a model of bert, roberta"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, model="gpt2-tiny"))


def begun(folder: Path, shards: TokenShards, name: str = "bert", *, pad_id: int = 0, **keys: object) -> str:
    """A checkpoint of a tiny model with 20 places and the shards' vocabulary."""
    torch.manual_seed(0)
    config = preset(f"{name}-tiny", vocab_size=shards.vocab_size, pad_token_id=pad_id, num_hidden_layers=1, n_layers=1, **keys)
    save_model(Model(family_of(config).architecture(config), ("mlm",)), folder, config=config)
    Tokenizer.load(shards.tokenizer_folder).save(folder)
    return str(folder)


class TestAnotherPadding:
    """A checkpoint whose pad_token_id is not the tokenizer's, which is 0."""

    def test_where_positions_are_counted_by_it_both_ids_and_the_mend_are_named(self, tmp_path: Path, shards: TokenShards) -> None:
        source = begun(tmp_path / "source", shards, "roberta", pad_id=1)
        with pytest.raises(InputError, match=rf"{source} has pad_token_id 1 .* {shards.folder} pads with 0: prepare the text again") as refused:
            pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, init_from=source))
        assert len(refused.value.problems) == 1

    @pytest.mark.parametrize(("name", "pad_id"), [("bert", 1), ("modernbert", 1), ("roberta", 0)])
    def test_elsewhere_the_model_takes_the_tokenizers(self, name: str, pad_id: int, tmp_path: Path, shards: TokenShards) -> None:
        source = begun(tmp_path / "source", shards, name, pad_id=pad_id)
        result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, init_from=source, max_steps=1))
        trained = read_architecture(result.checkpoint)
        assert trained.pad_id == 0
        assert trained.last.positions == read_architecture(Path(source)).last.positions

    def test_new_weights_take_the_tokenizers_in_any_family(self, tmp_path: Path, shards: TokenShards) -> None:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(preset("roberta-tiny", vocab_size=shards.vocab_size, pad_token_id=1)))
        result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, model=str(path), max_steps=1))
        assert read_architecture(result.checkpoint).pad_id == 0


class TestLongerInputs:
    @pytest.mark.parametrize(
        ("name", "keys", "rows"),
        [
            ("bert", {"max_position_embeddings": 20}, 40),
            ("roberta", {"max_position_embeddings": 21}, 41),
            ("distilbert", {"max_position_embeddings": 20}, 40),
            ("electra", {"max_position_embeddings": 20, "embedding_size": 32}, 40),
        ],
    )
    def test_a_checkpoint_is_stretched_trained_resumed_and_loaded_by_transformers(
        self, name: str, keys: dict[str, object], rows: int, tmp_path: Path, shards: TokenShards
    ) -> None:
        source = begun(tmp_path / "source", shards, name, **keys)
        config = dataclasses.replace(CONFIG, init_from=source, max_seq_length=40, extend_positions=40, start=None)
        notes: list[str] = []
        first = pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(lambda event: notes.append(str(event.values.get("text"))),))
        assert "positions stretched from 20 to 40" in notes
        told, weights = losses(first.run), load_file(first.checkpoint / "model.safetensors")
        described = json.loads((first.checkpoint / "config.json").read_text())
        assert described["max_position_embeddings"] == rows
        assert json.loads((first.checkpoint / "tokenizer_config.json").read_text())["model_max_length"] == 40
        assert read_architecture(first.checkpoint).max_length == 40
        again = dataclasses.replace(config, resume_from_checkpoint=str(first.run / "checkpoints" / "step-000001"))
        second = pretrain(shards.folder, out=tmp_path / "run", config=again)
        assert losses(second.run) == told
        assert all(torch.equal(tensor, weights[key]) for key, tensor in load_file(second.checkpoint / "model.safetensors").items())
        agree(second.checkpoint, length=40)

    def test_the_run_begins_with_the_interpolated_rows(self, tmp_path: Path, shards: TokenShards) -> None:
        source = begun(tmp_path / "source", shards, max_position_embeddings=20)
        still = {"learning_rate": 1e-12, "muon_learning_rate": 1e-12, "weight_decay": 0.0}
        config = dataclasses.replace(CONFIG, init_from=source, max_steps=1, extend_positions=39, **still)
        result = pretrain(shards.folder, out=tmp_path / "run", config=config)
        old, new = (load_model(Path(folder)).model.encoder.positions.weight for folder in (source, result.checkpoint))
        torch.testing.assert_close(new[::2], old, rtol=0, atol=1e-6)
        torch.testing.assert_close(new[1::2], (old[1:] + old[:-1]) / 2, rtol=0, atol=1e-6)

    def test_without_it_longer_rows_name_the_mend(self, tmp_path: Path, shards: TokenShards) -> None:
        source = begun(tmp_path / "source", shards, max_position_embeddings=20)
        mend = "max_seq_length 40 is longer than the model's {} positions: take {} or less, or --extend_positions 40"
        for changes, places in (({}, 20), ({"extend_positions": 30}, 30)):
            with pytest.raises(InputError, match=mend.format(places, places)):
                pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, init_from=source, max_seq_length=40, **changes))

    @pytest.mark.parametrize("name", ["nezha", "roformer", "modernbert"])
    def test_where_nothing_is_needed_it_says_so(self, name: str, tmp_path: Path, shards: TokenShards) -> None:
        source = begun(tmp_path / "source", shards, name, max_position_embeddings=20)
        config = dataclasses.replace(CONFIG, init_from=source, max_seq_length=40, max_steps=1)
        pretrain(shards.folder, out=tmp_path / "run", config=config)
        with pytest.raises(InputError, match=r"extend_positions 40 is not needed: .*; leave it out"):
            pretrain(shards.folder, out=tmp_path / "other", config=dataclasses.replace(config, extend_positions=40))

    def test_fewer_places_than_there_are_are_refused(self, tmp_path: Path, shards: TokenShards) -> None:
        source = begun(tmp_path / "source", shards, max_position_embeddings=20)
        with pytest.raises(InputError, match="extend_positions is 20: the model has 20 positions already"):
            pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(CONFIG, init_from=source, max_seq_length=16, extend_positions=20))

    def test_new_weights_simply_have_so_many(self, tmp_path: Path, shards: TokenShards, tiny_config_json: Callable[..., str]) -> None:
        config = dataclasses.replace(CONFIG, model=tiny_config_json(), max_seq_length=100, extend_positions=100)
        assert read_architecture(pretrain(shards.folder, out=tmp_path / "run", config=config).checkpoint).max_length == 100
