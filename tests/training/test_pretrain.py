"""Training as a whole: it learns, stops where its budget ends, copes with small and odd corpora, and leaves a checkpoint that transformers loads."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from bertwright.checkpoints.files import verify
from bertwright.checkpoints.huggingface import load_model
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.shards import TokenShards
from bertwright.errors import CheckpointError, InputError, NonFiniteError
from bertwright.objectives.registry import BUILDERS, OBJECTIVES
from bertwright.training import loop
from bertwright.training.config import PretrainConfig
from bertwright.training.devices import Device
from bertwright.training.events import Event
from bertwright.training.plan import Plan, make_plan
from bertwright.training.pretrain import pretrain
from bertwright.training.step import Updater

Write = Callable[..., TokenShards]
Made = Callable[..., list[list[list[int]]]]


# Objectives that mask a text for a reader; the others have tests of their own.
MASKED = tuple(name for name in OBJECTIVES if name.startswith("mlm"))


@pytest.fixture
def config(tiny_config_json: Callable[..., str]) -> PretrainConfig:
    return PretrainConfig(model=tiny_config_json(), max_steps=4, batch_size=8, max_seq_length=24, bf16=False, logging_steps=1)


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("objective", MASKED)
def test_a_tiny_model_overfits_ten_sentences(
    objective: str, optimizer: str, tmp_path: Path, write_token_shards: Write, documents: Made, tiny_config_json: Callable[..., str]
) -> None:
    text = documents(5, seed=3, sentences=(2, 3), words=(4, 6))
    assert sum(map(len, text)) == 10
    shards = write_token_shards(tmp_path / "shards", train=text, validation=text)
    wide = tiny_config_json(objective, hidden_size=48, intermediate_size=96)
    config = PretrainConfig(
        model=wide, objective=objective, optimizer=optimizer, max_steps=250, batch_size=16, max_seq_length=24, learning_rate=5e-3, weight_decay=0.0, bf16=False
    )
    result = pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, eval_steps=250, save_steps=250))
    losses = [row["mlm_loss"] for row in rows(tmp_path / "run", "train")]
    assert losses[0] > 3.0
    assert sum(losses[-5:]) / 5 < 1.0, losses[-5:]
    for term in set(objective.split("+")[1:]):
        # With five documents a random second may well be what follows in kind, but not in its words.
        assert sum(row[f"{term}_loss"] for row in rows(tmp_path / "run", "train")[-5:]) / 5 < 0.35
    assert result.metrics["eval_mlm_accuracy"] > 0.7


@pytest.mark.parametrize("objective", MASKED)
def test_the_checkpoint_loads_in_transformers_with_the_same_logits(
    objective: str, tmp_path: Path, shards: TokenShards, config: PretrainConfig, tiny_config_json: Callable[..., str]
) -> None:
    import transformers

    config = dataclasses.replace(config, model=tiny_config_json(objective), objective=objective, hidden_dropout_prob=0.1)
    result = pretrain(shards.folder, out=tmp_path / "run", config=config)
    kind = {"mlm+nsp": transformers.BertForPreTraining, "mlm": transformers.BertForMaskedLM, "mlm+sop": transformers.AlbertForPreTraining}[objective]
    theirs, info = kind.from_pretrained(result.checkpoint, output_loading_info=True)
    assert not any(info.values()), info
    ours = load_model(result.checkpoint).model
    ids = torch.randint(5, 53, (3, 20), generator=torch.Generator().manual_seed(0))
    mask, types = torch.tensor([[1] * 20, [1] * 11 + [0] * 9, [1] * 20]), torch.tensor([[0] * 8 + [1] * 12] * 3)
    with torch.no_grad():
        expected, found = theirs.eval()(ids, attention_mask=mask, token_type_ids=types), ours(ids, mask, types)
    logits = expected.logits if objective == "mlm" else expected.prediction_logits
    real = mask.bool()
    torch.testing.assert_close(found.prediction_logits[real], logits[real], rtol=0.0, atol=1e-5 * max(1.0, logits.abs().max().item()))
    if objective == "mlm+nsp":
        torch.testing.assert_close(found.seq_relationship_logits, expected.seq_relationship_logits, rtol=0.0, atol=1e-5)
    if objective == "mlm+sop":
        torch.testing.assert_close(found.sop_logits, expected.sop_logits, rtol=0.0, atol=1e-5)
    assert json.loads((result.checkpoint / "config.json").read_text())["hidden_dropout_prob"] == 0.1


BUDGETS: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any], int], bool]]] = {
    "steps": ({"max_steps": 3}, lambda row, size: row["step"] == 3),
    "tokens": ({"max_tokens": 700}, lambda row, size: row["tokens"] >= 700 > row["tokens"] - 8 * 24),
    "epochs": ({"num_train_epochs": 2.0}, lambda row, size: 2 * size <= row["samples"] < 2 * size + 8),
    "half an epoch": ({"num_train_epochs": 0.5}, lambda row, size: size / 2 <= row["samples"] < size / 2 + 8),
    "an epoch and a half": ({"num_train_epochs": 1.5}, lambda row, size: 1.5 * size <= row["samples"] < 1.5 * size + 8),
    "minutes": ({"max_minutes": 0.05}, lambda row, size: row["seconds"] >= 3.0),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_a_run_ends_where_its_budget_does_and_then_measures_and_saves(name: str, tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    changes, reached = BUDGETS[name]
    seen: list[Event] = []
    config = dataclasses.replace(config, **{"max_steps": None, "objective": "mlm", **changes})
    result = pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(seen.append,))
    last = rows(tmp_path / "run", "train")[-1]
    plan = next(event for event in seen if event.kind == "plan")
    if name != "minutes":
        assert reached(last, int(plan.values["samples_per_epoch"])), last
    assert rows(tmp_path / "run", "evaluate")[-1]["step"] == last["step"], "the final weights are not measured"
    assert (tmp_path / "run" / "latest").read_text().strip() == f"step-{last['step']:06d}"
    assert result.metrics["eval_mlm_loss"] == rows(tmp_path / "run", "evaluate")[-1]["eval_mlm_loss"]
    assert last["learning_rate"] < config_rate(seen)
    again: list[Event] = []
    pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(again.append,))
    assert any("already finished" in str(event.values.get("text")) for event in again), "the checkpoint does not know that the budget is used up"


def config_rate(seen: list[Event]) -> float:
    return max(float(event.values["learning_rate"]) for event in seen if event.kind == "train")


def test_minutes_that_an_evaluation_uses_up_end_with_a_measured_and_saved_model(
    tmp_path: Path, shards: TokenShards, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes only in the evaluation here: the budget ends inside it, and not in a step."""
    now = [0.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    seen: list[Event] = []

    def slow_evaluation(event: Event) -> None:
        seen.append(event)
        now[0] += {"train": 1.0, "evaluate": 40.0}.get(event.kind, 0.0)

    config = dataclasses.replace(config, max_steps=None, max_minutes=1.0, eval_steps=10, save_steps=10)
    pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(slow_evaluation,))
    steps = [event.step for event in seen if event.kind == "evaluate"]
    assert steps == sorted(set(steps)), "one and the same model is measured twice"
    assert steps[-1] == max(event.step for event in seen if event.kind == "train")
    seen.clear()
    pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(slow_evaluation,))
    assert any("already finished" in str(event.values.get("text")) for event in seen)


@pytest.mark.parametrize("length", [8, 9, 23, 64])
@pytest.mark.parametrize("objective", MASKED)
def test_odd_lengths_ragged_passes_and_batches_beyond_the_corpus_train(
    objective: str, length: int, tmp_path: Path, write_token_shards: Write, documents: Made, config: PretrainConfig, tiny_config_json: Callable[..., str]
) -> None:
    shards = write_token_shards(tmp_path / "shards", train=documents(4, seed=5), validation=documents(2, seed=6))
    config = dataclasses.replace(config, model=tiny_config_json(objective), objective=objective, max_seq_length=length)
    config = dataclasses.replace(config, batch_size=101, micro_batch_size=33, max_steps=2)
    result = pretrain(shards.folder, out=tmp_path / "run", config=config)
    assert rows(tmp_path / "run", "train")[-1]["samples"] == 202
    assert result.metrics["eval_loss"] > 0


def test_one_held_out_document_trains_with_pairs_and_says_what_is_measured(
    tmp_path: Path, write_token_shards: Write, documents: Made, config: PretrainConfig
) -> None:
    shards = write_token_shards(tmp_path / "shards", train=documents(9, seed=5), validation=documents(1, seed=6))
    seen: list[Event] = []
    result = pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(seen.append,))
    assert any("only mlm is measured" in str(event.values.get("text")) for event in seen if event.kind == "note")
    assert result.metrics["eval_mlm_loss"] == result.metrics["eval_loss"]
    assert "eval_nsp_loss" not in result.metrics
    assert "nsp_loss" in rows(tmp_path / "run", "train")[0]


@pytest.mark.parametrize("objective", MASKED)
def test_without_held_out_text_it_trains_and_says_so(
    objective: str, tmp_path: Path, write_token_shards: Write, documents: Made, config: PretrainConfig, tiny_config_json: Callable[..., str]
) -> None:
    shards = write_token_shards(tmp_path / "shards", train=documents(9, seed=5))
    seen: list[Event] = []
    config = dataclasses.replace(config, model=tiny_config_json(objective), objective=objective)
    result = pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(seen.append,))
    assert any("without evaluation" in str(event.values.get("text")) for event in seen if event.kind == "note")
    assert result.checkpoint.name == "step-000004"
    assert rows(tmp_path / "run", "evaluate") == []


def test_a_dry_run_tells_the_plan_and_writes_nothing(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    seen: list[Event] = []
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, dry_run=True), observers=(seen.append,))
    assert [event.kind for event in seen] == ["plan"]
    assert not (tmp_path / "run").exists()


def test_the_resolved_config_is_written_and_gives_the_same_run(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    pretrain(shards.folder, out=tmp_path / "first", config=config)
    written = yaml.safe_load((tmp_path / "first" / "config.yaml").read_text())
    keys = {field.name for field in dataclasses.fields(PretrainConfig)}
    assert keys <= set(written)
    again = PretrainConfig(**{key: value for key, value in written.items() if key in keys})
    assert None not in (again.learning_rate, again.muon_learning_rate, again.batch_size, again.micro_batch_size, again.start, again.bf16)
    pretrain(shards.folder, out=tmp_path / "second", config=again)
    assert [row["loss"] for row in rows(tmp_path / "first", "train")] == [row["loss"] for row in rows(tmp_path / "second", "train")]


def test_a_checkpoints_weights_can_be_begun_with(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=dataclasses.replace(config, objective="mlm", learning_rate=1e-2, max_steps=20))
    seen: list[Event] = []
    onward = dataclasses.replace(config, init_from=str(tmp_path / "first"), learning_rate=1e-9, muon_learning_rate=1e-9, weight_decay=0.0)
    second = pretrain(shards.folder, out=tmp_path / "second", config=onward, observers=(seen.append,))
    assert any("pooler" in str(event.values.get("text")) and "nsp" in str(event.values.get("text")) for event in seen if event.kind == "note")
    before, after = load_model(first.checkpoint).model.state_dict(), load_model(second.checkpoint).model.state_dict()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0.0, atol=1e-6)


def test_a_new_masked_head_knows_how_frequent_words_are(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=dataclasses.replace(config, objective="contrastive", max_steps=1))
    assert "mlm" not in load_model(first.checkpoint).model.head_kinds
    assert "nothing but this text" in (first.checkpoint / "README.md").read_text()
    assert "has ln" not in (first.checkpoint / "README.md").read_text(), "chance is of tokens, which this objective does not tell"
    onward = dataclasses.replace(config, objective="mlm", init_from=str(first.checkpoint), learning_rate=1e-9, muon_learning_rate=1e-9, weight_decay=0.0)
    second = pretrain(shards.folder, out=tmp_path / "second", config=onward)
    assert "what those weights had seen" in (second.checkpoint / "README.md").read_text()
    counts = torch.from_numpy(shards.train.token_counts + 0.5)
    expected = (counts / counts.sum()).log().float()
    torch.testing.assert_close(load_model(second.checkpoint).model.state_dict()["heads.mlm.bias"], expected, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("marked", [True, False])
def test_words_that_the_text_does_not_mark_are_told(marked: bool, tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    starts = shards.folder / "train" / "word_starts.bin"
    starts.write_bytes(bytes([0 if marked and place % 3 == 2 else 1 for place in range(starts.stat().st_size)]))
    told: list[Event] = []
    words = dataclasses.replace(config, objective="mlm", mask_unit="word", max_steps=1, verify=False)
    pretrain(shards.folder, out=tmp_path / "run", config=words, observers=(told.append,))
    assert any("every token is a word" in str(event.values.get("text")) for event in told) != marked


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_checkpoints(
    tmp_path: Path, shards: TokenShards, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = Updater.step, []

    def poisoned(self: Updater, *arguments: Any, number: int, **others: Any) -> Any:
        calls.append(number)
        if number == 3:
            self.parameters.master.fill_(float("nan"))
            self.parameters.publish()
        return step(self, *arguments, number=number, **others)

    monkeypatch.setattr(Updater, "step", poisoned)
    with pytest.raises(NonFiniteError, match=r"step 3: not finite .* samples 24 to 31"):
        pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, max_steps=50, save_steps=1, eval_steps=50))
    newest = RunFolder(tmp_path / "run").newest()
    assert newest is not None
    assert newest.name == "step-000003"
    verify(newest, hashes=True)
    assert all(torch.isfinite(tensor).all() for tensor in load_model(newest).model.state_dict().values())


def test_a_checkpoint_with_more_rows_than_its_tokenizer_has_entries_can_be_begun_with(
    tmp_path: Path, shards: TokenShards, config: PretrainConfig, tiny_config_json: Callable[..., str]
) -> None:
    wide = dataclasses.replace(config, model=tiny_config_json(vocab_size=64), max_steps=1)
    first = pretrain(shards.folder, out=tmp_path / "first", config=wide)
    second = pretrain(shards.folder, out=tmp_path / "second", config=dataclasses.replace(config, init_from=str(first.checkpoint), max_steps=1))
    assert load_model(second.checkpoint).model.architecture.vocab_size == 64


def test_a_flipped_bit_in_the_weights_to_begin_with_is_refused(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    first = pretrain(shards.folder, out=tmp_path / "first", config=dataclasses.replace(config, max_steps=1))
    weights = first.checkpoint / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors differs"):
        pretrain(shards.folder, out=tmp_path / "second", config=dataclasses.replace(config, init_from=str(first.checkpoint)))


def test_what_a_run_is_bound_to_is_read_once(tmp_path: Path, shards: TokenShards, config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A teacher's weights are hashed for it, which takes long."""
    asked, data = list[Plan](), Plan.data

    def heard(plan: Plan) -> dict[str, Any]:
        asked.append(plan)
        return data(plan)

    monkeypatch.setattr(Plan, "data", heard)
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, objective="mlm", save_steps=1))
    assert len(asked) == 1


def test_a_models_own_folder_becomes_no_run(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds a model and no run: take another --out"):
        pretrain(shards.folder, out=tmp_path / "model", config=config)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["config.json"]


def test_the_names_of_objectives_that_a_config_checks_are_those_that_there_are() -> None:
    assert set(OBJECTIVES) == set(BUILDERS)


def test_a_run_and_its_checkpoints_hold_the_files_that_are_promised(tmp_path: Path, shards: TokenShards, config: PretrainConfig) -> None:
    result = pretrain(shards.folder, out=tmp_path / "run", config=config)
    assert {"config.yaml", "metrics.jsonl", "log.txt", "checkpoints", "latest", "best"} <= {path.name for path in result.run.iterdir()}
    assert {path.relative_to(result.checkpoint).as_posix() for path in result.checkpoint.rglob("*") if path.is_file()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "README.md"),
        *("training/optimizer.safetensors", "training/state.json", "training/manifest.json"),
    }
    _, header, card = (result.checkpoint / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(header) == {"library_name": "transformers", "pipeline_tag": "fill-mask", "tags": ["bert", "bertwright"]}
    assert f"masked loss | {result.metrics['eval_mlm_loss']:.4g} |" in card
    assert "BertForPreTraining.from_pretrained" in card
    assert PretrainConfig(**yaml.safe_load((result.run / "config.yaml").read_text())).problems() == []


def test_a_new_model_begins_at_the_vectors_and_frequencies_of_its_text(shards: TokenShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[np.ndarray] = []

    def vectors(tokens: Any, *, vocab_size: int, size: int) -> np.ndarray:
        given.append(np.random.default_rng(0).standard_normal((vocab_size, size)).astype(np.float32))
        return given[-1]

    monkeypatch.setattr("bertwright.training.pretrain.word_vectors", vectors)
    rates = {"learning_rate": 1e-9, "muon_learning_rate": 1e-9, "weight_decay": 0.0}
    config = PretrainConfig(model="bert-tiny", objective="mlm", max_steps=1, batch_size=4, max_seq_length=24, **rates)
    begun = load_model(pretrain(shards.folder, out=tmp_path / "run", config=config).checkpoint, heads=("mlm",)).model
    words = begun.tokens.weight[: shards.vocab_size, begun.architecture.embedding_size - given[0].shape[1] :].detach()
    ours, theirs = (torch.nn.functional.normalize(each) for each in (words, torch.from_numpy(given[0])))
    torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, rtol=0.0, atol=0.01, msg="vectors turned as a whole keep their angles")
    counts = torch.from_numpy(shards.train.token_counts.copy()) + 0.5
    torch.testing.assert_close(begun.state_dict()["heads.mlm.bias"][: shards.vocab_size], (counts / counts.sum()).log().float(), rtol=0.0, atol=0.01)


@pytest.mark.parametrize(
    ("preset", "muon", "adamw"), [("bert-mini", 0.006, 3e-3), ("bert-tiny", 0.006 * 2**0.5, 3e-3 * 2**0.5), ("bert-medium", 0.003, 1.5e-3)]
)
def test_rates_follow_the_width(preset: str, muon: float, adamw: float, shards: TokenShards) -> None:
    found = make_plan(shards, PretrainConfig(model=preset, max_seq_length=24, max_steps=1), Device(torch.device("cpu"), torch.float32)).config
    assert (found.muon_learning_rate, found.learning_rate) == pytest.approx((muon, adamw))


def test_the_first_update_is_as_far_in_the_minutes_on_every_process(
    shards: TokenShards, config: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "largest", lambda self, values: values + 30.0 if values.dtype == torch.float64 else values)  # another took so much longer
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, max_steps=None, max_minutes=1.0, learning_rate=1e-3))
    rate = rows(tmp_path / "run", "train")[0]["learning_rate"]
    assert rate == pytest.approx(1e-3 * 0.5 / 0.95, rel=0.1), "half of the minute is over: past the warm-up, on the way down"
