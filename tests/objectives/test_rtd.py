"""A generator fills the masks by its own distribution, a discriminator finds what it replaced, and both are saved and gone on with."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import bertwright
from bertwright.architecture import MLM
from bertwright.checkpoints.huggingface import load_model
from bertwright.cli.display import evaluation_summary
from bertwright.cli.evaluate import lines
from bertwright.cli.pretrain import closing_lines
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.families import preset_architecture
from bertwright.models import Model
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.registry import objective
from bertwright.objectives.rtd import ReplacedBatch, ReplacedTokenDetection, fill, generator
from bertwright.objectives.together import Disentangled, Together
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.pretrain import pretrain

SIGMAS = 4.0
EMBEDDINGS = ("shared", "disentangled", "own")


@pytest.fixture
def electra(tmp_path: Path) -> str:
    """The path of a config.json of an ELECTRA of 2 layers x 32 over embeddings of 16."""
    sizes = {"hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "electra", "vocab_size": 53, "pad_token_id": 0, **sizes}))
    return str(path)


@pytest.fixture
def config(electra: str) -> PretrainConfig:
    return PretrainConfig(model=electra, objective="rtd", max_steps=4, batch_size=8, max_seq_length=24, bf16=False, logging_steps=1, generator_size=0.5)


def trained_for(vocabulary: Vocabulary, **keys: Any) -> ReplacedTokenDetection:
    found = objective(ObjectiveConfig(objective="rtd", **keys), vocabulary)
    assert isinstance(found, ReplacedTokenDetection)
    return found


def both_models(found: ReplacedTokenDetection, *, seed: int = 0) -> Together:
    torch.manual_seed(seed)
    architecture = preset_architecture("electra-tiny", vocab_size=53, hidden_size=32, num_attention_heads=4, intermediate_size=64, embedding_size=16)
    companion = found.companion(architecture)
    assert companion.architecture is not None
    whole = found.together(Model(architecture, found.heads), Model(companion.architecture, companion.heads))
    assert isinstance(whole, Together)
    return whole.eval()


def batch_of(found: ReplacedTokenDetection, shards: TokenShards, vocabulary: Vocabulary, *, count: int = 40) -> ReplacedBatch:
    return found.batch(*Stream(found.source(shards.train, vocabulary, length=24, seed=3), seed=3).take(0, count))


@pytest.mark.parametrize("embeddings", EMBEDDINGS)
def test_the_losses_are_those_of_the_paper(embeddings: str, shards: TokenShards, vocabulary: Vocabulary) -> None:
    """Against section 2 written out: -log p_G of what was masked; binary cross-entropy over every real token, one at a time."""
    found = trained_for(vocabulary, generator_embeddings=embeddings)
    whole, batch = both_models(found), batch_of(found, shards, vocabulary)
    assert batch.predict_positions is not None
    assert batch.prediction_labels is not None
    filler, model = whole.of("generator"), whole.model
    with torch.no_grad():
        terms = found.losses(whole, batch)
        logits = filler(batch.input_ids, layout=batch.layout).prediction_logits.flatten(0, 1)[batch.predict_positions]
        mlm = sum(-logits[place].log_softmax(0)[label].item() for place, label in enumerate(batch.prediction_labels))
        filled, original = batch.input_ids.clone().flatten(), batch.input_ids.clone().flatten()
        original[batch.predict_positions] = batch.prediction_labels
        for place, chances, chance in zip(batch.predict_positions.tolist(), logits.double().softmax(-1), batch.chances.tolist(), strict=True):
            filled[place] = int((chances.cumsum(0) <= chance).sum())
        scores = model(filled.view_as(batch.input_ids), layout=batch.layout).logits.flatten().double()
    rtd = 0.0
    for score, shown, was in zip(scores, filled, original, strict=True):
        if was != vocabulary.pad_id:
            probability = torch.sigmoid(score).item()
            rtd -= np.log(probability if shown != was else 1 - probability)
    assert terms["mlm"].sum.item() == pytest.approx(mlm, rel=1e-4)
    assert terms["rtd"].sum.item() == pytest.approx(rtd, rel=1e-4)
    assert (terms["mlm"].coefficient, terms["rtd"].coefficient) == (1.0, 50.0)
    assert terms["replaced"].sum.item() == (filled != original).sum()
    assert not terms["replaced"].trained
    assert batch.weights == {"mlm": len(batch.prediction_labels), "rtd": batch.tokens, "replaced": batch.tokens}


def test_fillings_follow_the_generators_distribution_within_four_sigma() -> None:
    torch.manual_seed(1)
    filler = Model(preset_architecture("electra-tiny", vocab_size=20), (MLM,)).eval()
    torch.nn.init.normal_(filler.tokens.weight, std=0.5)
    hidden, draws = torch.randn(3, filler.architecture.hidden_size), 20_000
    with torch.no_grad():
        expected = filler.heads[MLM](hidden, filler.tokens.weight).softmax(-1)
    for row in range(3):
        found = fill(filler, hidden[row].expand(draws, -1), torch.rand(draws, dtype=torch.float64))
        shares, deviation = torch.bincount(found, minlength=20) / draws, (expected[row] * (1 - expected[row]) / draws).sqrt()
        assert ((shares - expected[row]).abs() < SIGMAS * deviation + 1e-6).all()


def test_an_untrained_generator_replaces_as_many_as_chance_has_it(shards: TokenShards, vocabulary: Vocabulary) -> None:
    found = trained_for(vocabulary, mlm_probability=0.3)
    whole, batch = both_models(found), batch_of(found, shards, vocabulary, count=200)
    with torch.no_grad():
        replaced = found.losses(whole, batch)["replaced"].sum.item()
    # All 53 entries are about as likely, so one filling in 53 is right.
    scored, right = batch.weights["mlm"], 1 / 53
    assert abs(replaced - scored * (1 - right)) < SIGMAS * (scored * right * (1 - right)) ** 0.5 + 0.01 * scored


def test_a_sample_is_filled_alike_in_any_batch(shards: TokenShards, vocabulary: Vocabulary) -> None:
    found = trained_for(vocabulary)
    stream = Stream(found.source(shards.train, vocabulary, length=24, seed=3), seed=3)
    together, alone = found.batch(*stream.take(0, 9)), found.batch(*stream.take(7, 8))
    assert together.predict_positions is not None
    of_seventh = together.predict_positions // together.input_ids.shape[1] == 7
    assert together.chances[of_seventh].equal(alone.chances)
    assert len(alone.chances) == alone.weights["mlm"]


def test_what_is_shared_learns_from_both_and_what_is_disentangled_from_the_generator_alone(shards: TokenShards, vocabulary: Vocabulary) -> None:
    """By gradients: of the discriminator's loss with respect to the generator's table."""
    reached = {}
    for embeddings in EMBEDDINGS:
        found = trained_for(vocabulary, generator_embeddings=embeddings)
        whole, batch = both_models(found), batch_of(found, shards, vocabulary)
        found.losses(whole, batch)["rtd"].sum.backward()  # type: ignore[no-untyped-call]
        table = whole.of("generator").tokens.weight
        reached[embeddings] = table.grad is not None and bool(table.grad.any())
        assert whole.model.tokens.weight.grad is not None
        assert whole.model.tokens.weight.grad.any(), "the model's own table does not learn"
    assert reached == {"shared": True, "disentangled": False, "own": False}


def test_a_disentangled_table_begins_as_the_model_was_and_moves_with_the_generators(vocabulary: Vocabulary) -> None:
    found = trained_for(vocabulary, generator_embeddings="disentangled")
    own = both_models(trained_for(vocabulary, generator_embeddings="own"))
    whole, ids = both_models(found), torch.arange(53)
    torch.testing.assert_close(whole.model.tokens(ids), own.model.tokens(ids))
    assert isinstance(whole.model.tokens, Disentangled)
    with torch.no_grad():
        whole.of("generator").tokens.weight.add_(1.0)
    torch.testing.assert_close(whole.model.tokens(ids), own.model.tokens(ids) + 1.0)


@pytest.mark.parametrize(("size", "layers", "shape"), [(0.25, 1.0, (64, 1, 256, 12)), (0.5, 0.5, (128, 2, 512, 6)), (1.0, 1.0, (256, 4, 1024, 12))])
def test_a_generator_has_its_share_of_the_model(size: float, layers: float, shape: tuple[int, ...]) -> None:
    """ELECTRA-small's is a quarter as wide (table 6 of the paper)."""
    whole = preset_architecture("electra-base", vocab_size=100, hidden_size=256, num_attention_heads=4, intermediate_size=1024, embedding_size=128)
    found = generator(whole, size=size, layers=layers)
    assert (found.hidden_size, found.last.block.num_heads, found.last.block.intermediate_size, found.last.num_layers) == shape
    assert found.embedding_size == 128
    assert not found.problems()


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


@pytest.mark.parametrize("embeddings", ["shared", "disentangled"])
def test_a_tiny_model_overfits_ten_sentences(
    embeddings: str, tmp_path: Path, write_token_shards: Callable[..., TokenShards], documents: Callable[..., Any], config: PretrainConfig
) -> None:
    text = documents(5, seed=3, sentences=(2, 3), words=(4, 6))
    assert sum(map(len, text)) == 10
    shards = write_token_shards(tmp_path / "shards", train=text, validation=text)
    config = dataclasses.replace(
        config, max_steps=200, batch_size=16, learning_rate=5e-3, weight_decay=0.0, generator_embeddings=embeddings, mlm_probability=0.3
    )
    result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, eval_steps=200, save_steps=200))
    found = rows(tmp_path / "run", "train")
    assert found[0]["rtd_loss"] > 30.0, "50 times about ln 2 at first"
    last = {name: sum(row[name] for row in found[-10:]) / 10 for name in ("mlm_loss", "rtd_loss", "replaced")}
    assert last["mlm_loss"] < 2.8 < found[0]["mlm_loss"], last
    # Less than to know only how many are replaced.
    share = last["replaced"]
    assert 0 < share < 0.3
    assert last["rtd_loss"] / 50 < 0.7 * -(share * np.log(share) + (1 - share) * np.log(1 - share)), last
    assert result.metrics["eval_rtd_accuracy"] > 1 - 0.7 * share


CHOICES = [("shared", "muon", False), ("disentangled", "adamw", False), ("disentangled", "muon", True), ("shared", "adamw", True)]


@pytest.mark.parametrize(("embeddings", "optimizer", "bf16"), CHOICES)
def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(
    embeddings: str, optimizer: str, bf16: bool, tmp_path: Path, shards: TokenShards, config: PretrainConfig
) -> None:
    def crash(event: Event) -> None:
        if event.kind == "train" and event.step == 5:
            raise KeyboardInterrupt

    changes: dict[str, Any] = {"max_steps": 7, "micro_batch_size": 3, "hidden_dropout_prob": 0.1, "save_steps": 3, "eval_steps": 4, "save_total_limit": 9}
    config = dataclasses.replace(config, generator_embeddings=embeddings, optimizer=optimizer, bf16=bf16, **changes)
    pretrain(shards.folder, out=tmp_path / "straight", config=config)
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards.folder, out=tmp_path / "stopped", config=config, observers=(crash,))
    pretrain(shards.folder, out=tmp_path / "stopped", config=config)
    for name in ("model.safetensors", "generator/model.safetensors", "training/beside.safetensors", "training/optimizer.safetensors"):
        one, other = (load_file(tmp_path / run / "checkpoints" / "step-000007" / name) for run in ("straight", "stopped"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert [row["loss"] for row in rows(tmp_path / "straight", "train")] == [row["loss"] for row in rows(tmp_path / "stopped", "train")]


@pytest.mark.parametrize("embeddings", ["shared", "disentangled"])
def test_the_checkpoint_is_the_discriminator_and_its_generator_lies_in_it_both_as_transformers_loads_them(
    embeddings: str, tmp_path: Path, shards: TokenShards, config: PretrainConfig
) -> None:
    import transformers

    config = dataclasses.replace(config, generator_embeddings=embeddings, learning_rate=1e-2)
    result = pretrain(shards.folder, out=tmp_path / "run", config=config)
    ids = torch.randint(5, 53, (3, 20), generator=torch.Generator().manual_seed(0))
    for folder, kind in ((result.checkpoint, "ElectraForPreTraining"), (result.checkpoint / "generator", "ElectraForMaskedLM")):
        theirs, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
        assert not any(info.values()), info
        with torch.no_grad():
            torch.testing.assert_close(load_model(folder).model(ids).logits, theirs.eval()(ids).logits, rtol=0.0, atol=1e-5)
    tables = [load_model(folder).model.tokens.weight for folder in (result.checkpoint, result.checkpoint / "generator")]
    assert torch.equal(*tables) == (embeddings == "shared")
    assert transformers.AutoTokenizer.from_pretrained(result.checkpoint / "generator").mask_token == "[MASK]"


@pytest.mark.parametrize("embeddings", ["shared", "disentangled"])
def test_a_checkpoint_goes_on_with_its_generator(embeddings: str, tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    config = dataclasses.replace(config, generator_embeddings=embeddings, learning_rate=1e-2)
    first = pretrain(shards.folder, out=tmp_path / "first", config=config)
    still = dataclasses.replace(config, init_from=str(first.checkpoint), max_steps=1, learning_rate=1e-12, muon_learning_rate=1e-12, weight_decay=0.0)
    second = pretrain(shards.folder, out=tmp_path / "second", config=still)
    for part in (".", "generator"):
        before, after = (load_model(run.checkpoint / part).model.state_dict() for run in (first, second))
        for name, tensor in before.items():
            torch.testing.assert_close(after[name], tensor, rtol=0.0, atol=1e-6)
    with pytest.raises(InputError, match=r"the generator in .* has 2 layers x 16, this run's would have 2 x 32"):
        pretrain(shards.folder, out=tmp_path / "third", config=dataclasses.replace(still, generator_size=1.0))


def test_a_family_without_the_head_is_refused_with_those_that_have_it(
    tmp_path: Path, shards: TokenShards, tiny_config_json: Callable[..., str], config: PretrainConfig
) -> None:
    with pytest.raises(InputError, match=r"objective rtd needs heads that this model family lacks \(rtd\): take a model of electra"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, model=tiny_config_json()))


def test_impossible_keys_are_named_all_at_once() -> None:
    found = ObjectiveConfig(generator_size=0.0, generator_layers=1.5, generator_embeddings="tied", rtd_weight=0.0).objective_problems()
    assert [line.split()[0] for line in found] == ["generator_size", "generator_layers", "generator_embeddings", "rtd_weight"]


def test_a_checkpoint_is_measured_on_text_as_its_run_was(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, generator_embeddings="disentangled", learning_rate=1e-2))
    found = bertwright.evaluate(result.checkpoint, shards.folder, max_seq_length=24)
    assert found["rtd_loss"] == pytest.approx(result.metrics["eval_rtd_loss"], rel=1e-4)
    assert found["masked_loss"] == pytest.approx(result.metrics["eval_mlm_loss"], rel=1e-4)
    assert found["rtd_accuracy"] == pytest.approx(result.metrics["eval_rtd_accuracy"], rel=1e-4)
    shutil.rmtree(result.checkpoint / "generator")
    with pytest.raises(InputError, match="has no language-modelling head to measure"):
        bertwright.evaluate(result.checkpoint, shards.folder, max_seq_length=24)
    with pytest.raises(InputError, match="holds no generator, which measuring it needs"):
        bertwright.evaluate(result.checkpoint, shards.folder, max_seq_length=24, objective="rtd")


def test_the_plan_counts_the_generator(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    seen: list[Event] = []
    for size in (0.25, 1.0):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, generator_size=size, dry_run=True), observers=(seen.append,))
    small, large = (event.values for event in seen)
    assert "beside a generator of 2 layers x 32" in str(large["model"])
    assert float(large["memory_bytes"]) > 1.3 * float(small["memory_bytes"])


def test_the_command_line_tells_what_was_found(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    result = pretrain(shards.folder, out=tmp_path / "run", config=config)
    assert "replaced tokens told" in evaluation_summary(result.metrics)
    assert any(line.startswith("replaced tokens ") for line in lines(bertwright.evaluate(result.checkpoint, shards.folder, max_seq_length=24)))
    closing = "\n".join(closing_lines(result, picture=tmp_path, report=None, shards=shards.folder))
    assert "bertwright finetune" in closing, "a discriminator fills no mask"
    filler = bertwright.load(result.checkpoint / "generator")
    assert filler.fill_mask("bar [MASK] ban").filled.startswith("bar ")
