"""A student learns what its teacher says and how its hidden states lie, begins with its layers, and leaves it as it is."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bertwright.architecture import MLM
from bertwright.checkpoints.files import sha256
from bertwright.checkpoints.huggingface import load_model, save_model
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.families import preset
from bertwright.families.presets import preset_architecture
from bertwright.models import Model
from bertwright.models.relations import relation_loss
from bertwright.models.taken import layers_taken, start_at_teacher
from bertwright.objectives import distill
from bertwright.objectives.config import ObjectiveConfig
from bertwright.objectives.distill import Distillation, DistilledBatch, soft_loss
from bertwright.objectives.registry import objective
from bertwright.objectives.together import Together
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainConfig
from bertwright.training.events import Event
from bertwright.training.pretrain import pretrain

SIZES = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """The folder of a BERT of 4 layers x 16 with strong, untrained weights."""
    folder = tmp_path_factory.mktemp("teacher")
    described = preset("bert-tiny", vocab_size=tokenizer.vocab_size, pad_token_id=0) | SIZES
    torch.manual_seed(0)
    model = Model(preset_architecture("bert-tiny", vocab_size=53, pad_token_id=0, **SIZES), (MLM,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    save_model(model, folder, config=described)
    tokenizer.save(folder)
    return folder


@pytest.fixture
def config(teacher: Path, tiny_config_json: Callable[..., str]) -> PretrainConfig:
    rhythm: dict[str, Any] = {"max_steps": 4, "batch_size": 8, "max_seq_length": 24, "logging_steps": 1}
    return PretrainConfig(model=tiny_config_json(), objective="distill", teacher=str(teacher), bf16=False, **rhythm)


def distillation(vocabulary: Vocabulary, teacher: Path, **keys: Any) -> Distillation:
    found = objective(ObjectiveConfig(objective="distill", teacher=str(teacher), **keys), vocabulary)
    assert isinstance(found, Distillation)
    return found


def both_models(found: Distillation, teacher: Path, *, width: int = 16) -> Together:
    torch.manual_seed(1)
    student = Model(preset_architecture("distilbert-tiny", vocab_size=53, dim=width, n_heads=2, hidden_dim=32, n_layers=2), found.heads)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    whole = found.together(student, load_model(teacher, heads=(MLM,)).model.requires_grad_(False))
    assert isinstance(whole, Together)
    return whole


def batch_of(found: Distillation, shards: TokenShards, vocabulary: Vocabulary, *, count: int = 12) -> DistilledBatch:
    return found.batch(*Stream(found.source(shards.train, vocabulary, length=24, seed=3), seed=3).take(0, count))


def documents_in(batch: DistilledBatch) -> torch.Tensor:
    """[batch, length], a number for each text of a row."""
    numbers = getattr(batch.layout, "sequences", None)
    return numbers if isinstance(numbers, torch.Tensor) else torch.zeros_like(batch.input_ids)


@pytest.mark.parametrize("values", [2**30, 60], ids=["at once", "in parts"])
def test_the_losses_are_those_of_distilbert(values: int, teacher: Path, shards: TokenShards, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against section 2 of the paper written out, token by token, with temperature 3."""
    monkeypatch.setattr(distill, "LOGIT_VALUES", values)
    found = distillation(vocabulary, teacher, distill_temperature=3.0)
    whole, batch = both_models(found, teacher).eval(), batch_of(found, shards, vocabulary)
    terms = found.losses(whole, batch)
    assert batch.predict_positions is not None
    assert batch.prediction_labels is not None
    with torch.no_grad():
        own, theirs = (model(batch.input_ids, layout=batch.layout) for model in (whole.model, whole.of("teacher")))
    soft = hard = 0.0
    for place, label in zip(batch.predict_positions.tolist(), batch.prediction_labels.tolist(), strict=True):
        s, t = (output.prediction_logits.flatten(0, 1)[place].double() for output in (own, theirs))
        p = (t / 3).softmax(0)
        soft += 9 * float((p * (p.log() - (s / 3).softmax(0).log())).sum())
        hard -= float(s.softmax(0)[label].log())
    states = [output.last_hidden_state.double()[batch.real] for output in (own, theirs)]
    cosine = sum(1 - float(s @ t / (s.norm() * t.norm())) for s, t in zip(*states, strict=True))
    for name, expected in (("soft", soft), ("mlm", hard), ("cosine", cosine)):
        assert terms[name].sum.item() == pytest.approx(expected, rel=1e-4), name
    assert {name: term.coefficient for name, term in terms.items()} == {"mlm": 2.0, "soft": 5.0, "cosine": 1.0}
    scored = len(batch.prediction_labels)
    assert batch.weights == {"mlm": scored, "soft": scored, "cosine": batch.tokens}
    torch.autograd.backward([term.sum for term in terms.values()])
    gradients = {name: parameter.grad.clone() for name, parameter in whole.named_parameters() if parameter.grad is not None}
    assert gradients.keys() == {name for name, _ in whole.named_parameters() if name.startswith("model.")}
    if values == 60:  # what is computed again in parts has the gradients of the whole
        whole.zero_grad()
        monkeypatch.setattr(distill, "LOGIT_VALUES", 2**30)
        torch.autograd.backward([term.sum for term in found.losses(whole, batch).values()])
        for name, parameter in whole.named_parameters():
            if parameter.grad is not None:
                torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-5)


def test_relations_are_those_of_minilm(teacher: Path, shards: TokenShards, vocabulary: Vocabulary) -> None:
    """Against section 3.1 of MiniLMv2 written out: a mean over parts and over the three kinds, tokens of one text alone; widths may differ."""
    found = distillation(vocabulary, teacher, distill_from="relations", relation_heads=4)
    whole, batch = both_models(found, teacher, width=24).eval(), batch_of(found, shards, vocabulary)
    assert batch.input_ids.ne(vocabulary.mask_id).all(), "rows are masked though no term scores a mask"
    (term,) = found.losses(whole, batch).values()
    assert whole.model.heads.keys() == set()
    texts, expected = documents_in(batch), 0.0
    assert texts.any(), "no row has two texts, so nothing is shown"
    for name in ("query", "key", "value"):
        seen = []
        for model in (whole.model, whole.of("teacher")):
            assert model.encoder is not None
            with torch.no_grad():
                below = model(batch.input_ids, layout=batch.layout, output_hidden_states=True).hidden_states[-2]
                seen.append(getattr(list(model.encoder.in_order())[-1].attention, name)(below).double())
        for row in range(len(texts)):
            for token in range(texts.shape[1]):
                if not batch.real[row, token]:
                    continue
                mates = texts[row] == texts[row, token]
                for part in range(4):
                    own, taught = (
                        (cut[row, mates] @ cut[row, token] / cut.shape[-1] ** 0.5).softmax(0) for cut in (each.chunk(4, dim=-1)[part] for each in seen)
                    )
                    expected += float((taught * (taught.log() - own.log())).sum()) / 4 / 3
    assert term.sum.item() == pytest.approx(expected, rel=1e-4)
    assert batch.weights == {"relations": batch.tokens}


def test_a_student_that_is_its_teacher_has_nothing_to_learn(teacher: Path, shards: TokenShards, vocabulary: Vocabulary) -> None:
    found = distillation(vocabulary, teacher, distill_from="soft,cosine,relations")
    whole = found.together(load_model(teacher, heads=(MLM,)).model, load_model(teacher, heads=(MLM,)).model)
    with torch.no_grad():
        terms = found.losses(whole, batch_of(found, shards, vocabulary))
    assert all(abs(terms[name].sum.item()) < 1e-2 for name in ("soft", "cosine", "relations"))
    assert not terms["mlm"].trained


def test_a_teacher_does_not_drop_out_while_its_student_does(teacher: Path, vocabulary: Vocabulary) -> None:
    whole = both_models(distillation(vocabulary, teacher), teacher).train()
    assert whole.model.training
    assert not any(module.training for module in whole.of("teacher").modules())


def test_six_of_twelve_layers_are_those_of_distilberts_code() -> None:
    assert layers_taken(6, 12) == [0, 2, 4, 7, 9, 11]
    assert layers_taken(3, 3) == [0, 1, 2]
    assert layers_taken(1, 12) == [0]


def test_a_student_as_deep_as_its_teacher_begins_with_its_very_logits(teacher: Path) -> None:
    """Though it has no token types: the first one's vector lies in its positions."""
    model = load_model(teacher, heads=(MLM,)).model
    student = Model(
        preset_architecture("distilbert-tiny", vocab_size=53, dim=16, n_heads=2, hidden_dim=32, n_layers=4, max_position_embeddings=32), (MLM,)
    ).eval()
    taken, count = start_at_teacher(student, model)
    assert taken == count
    ids = torch.randint(5, 53, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(student(ids).prediction_logits, model(ids).prediction_logits, rtol=0.0, atol=1e-5)


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if row["kind"] == kind]


def test_a_tiny_model_overfits_ten_sentences(
    tmp_path: Path, write_token_shards: Callable[..., TokenShards], documents: Callable[..., Any], tiny_config_json: Callable[..., str], config: PretrainConfig
) -> None:
    text = documents(5, seed=3, sentences=(2, 3), words=(4, 6))
    assert sum(map(len, text)) == 10
    shards = write_token_shards(tmp_path / "shards", train=text, validation=text)
    sizes = {"hidden_size": 48, "intermediate_size": 96}
    config = dataclasses.replace(config, model=tiny_config_json(**sizes), max_steps=300, batch_size=16, learning_rate=5e-3, weight_decay=0.0, eval_steps=300)
    taught = pretrain(shards.folder, out=tmp_path / "teacher", config=dataclasses.replace(config, objective="mlm", teacher=None))
    student = dataclasses.replace(
        config, model=tiny_config_json(**sizes, num_hidden_layers=1), teacher=str(taught.checkpoint), distill_from="soft,mlm,cosine,relations"
    )
    pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(student, start="random"))
    found = rows(tmp_path / "run", "train")
    assert sum(row["mlm_loss"] for row in found[-5:]) / 5 / 2 < 1.0 < found[0]["mlm_loss"] / 2
    for name in ("soft", "cosine", "relations"):
        assert sum(row[f"{name}_loss"] for row in found[-5:]) / 5 < 0.5 * found[0][f"{name}_loss"], name


CHOICES: list[dict[str, Any]] = [{}, {"bf16": True, "optimizer": "adamw"}, {"distill_from": "relations,cosine"}]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())) or "usual")
def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(
    choice: dict[str, Any], tmp_path: Path, shards: TokenShards, teacher: Path, tiny_config_json: Callable[..., str], config: PretrainConfig
) -> None:
    def crash(event: Event) -> None:
        if event.kind == "train" and event.step == 5:
            raise KeyboardInterrupt

    changes: dict[str, Any] = {"max_steps": 7, "micro_batch_size": 3, "hidden_dropout_prob": 0.1, "save_steps": 3, "eval_steps": 4, "save_total_limit": 9}
    before = sha256(teacher / "model.safetensors")
    # A width of its own, so that there is a projection to resume too.
    config = dataclasses.replace(config, model=tiny_config_json(hidden_size=24), **{**changes, **choice})
    result = pretrain(shards.folder, out=tmp_path / "straight", config=config)
    with pytest.raises(KeyboardInterrupt):
        pretrain(shards.folder, out=tmp_path / "stopped", config=config, observers=(crash,))
    pretrain(shards.folder, out=tmp_path / "stopped", config=config)
    for name in ("model.safetensors", "training/beside.safetensors", "training/optimizer.safetensors"):
        one, other = (load_file(tmp_path / run / "checkpoints" / "step-000007" / name) for run in ("straight", "stopped"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), name
    assert sha256(teacher / "model.safetensors") == before
    assert not (result.checkpoint / "teacher").exists()
    beside = load_file(result.checkpoint / "training" / "beside.safetensors")
    assert set(beside) == {"beside.projection.weight", "beside.projection.bias"}, "a checkpoint holds its teacher"
    trained = sum(tensor.numel() for tensor in [*load_file(result.checkpoint / "model.safetensors").values(), *beside.values()])
    assert sum(tensor.numel() for name, tensor in one.items() if name.endswith((".momentum", ".exp_avg"))) == trained, "the optimizer holds a teacher"


def test_a_run_goes_on_with_the_teacher_it_had_alone(tmp_path: Path, shards: TokenShards, teacher: Path, config: PretrainConfig, tokenizer: Tokenizer) -> None:
    moved = tmp_path / "teacher"
    moved.mkdir()
    for path in teacher.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    config = dataclasses.replace(config, teacher=str(moved))
    pretrain(shards.folder, out=tmp_path / "run", config=config)
    torch.manual_seed(9)
    described = json.loads((moved / "config.json").read_text())
    save_model(Model(load_model(moved).model.architecture, (MLM,)), moved, config=described)
    with pytest.raises(InputError, match="teacher_hash was"):
        pretrain(shards.folder, out=tmp_path / "run", config=config)


def test_layers_are_taken_where_widths_allow_it(tmp_path: Path, shards: TokenShards, config: PretrainConfig, tiny_config_json: Callable[..., str]) -> None:
    seen: list[Event] = []
    pretrain(shards.folder, out=tmp_path / "run", config=config, observers=(seen.append,))
    said = [str(event.values.get("text")) for event in seen if event.kind == "note"]
    assert any("tensors of the teacher" in line for line in said)
    assert any(line.startswith("teacher: 4 layers x 16, weights of ") for line in said)
    with pytest.raises(InputError, match="start teacher needs objective distill and a teacher of the model's width"):
        pretrain(shards.folder, out=tmp_path / "other", config=dataclasses.replace(config, model=tiny_config_json(hidden_size=24), start="teacher"))


def test_a_teacher_that_cannot_teach_is_refused(
    tmp_path: Path, shards: TokenShards, teacher: Path, config: PretrainConfig, start: Callable[[str], Path]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in teacher.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    words = (other / "vocab.txt").read_text().split("\n")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (other / name).unlink(missing_ok=True)
    (other / "vocab.txt").write_text("\n".join([*words[:10], "strange", *words[11:]]))
    for changes, message in (
        ({"teacher": None}, "objective distill needs a teacher: give its checkpoint with --teacher"),
        ({"teacher": str(tmp_path / "none")}, "does not exist|is neither|no folder"),
        ({"teacher": str(other)}, r"teacher .* has another vocabulary \(53 entries\) than the shards' tokenizer \(53\)"),
        ({"teacher": str(start("bert"))}, "has no mlm head: take a checkpoint that was trained with one"),
        ({"teacher": str(start("gpt2"))}, "is no encoder: take a model of BERT's kind"),
        ({"relation_heads": 5, "distill_from": "relations"}, "relation_heads 5 does not divide the widths 16 and 16: take a divisor of 16"),
        ({"distill_from": "soft=5,soft=2"}, "distill_from is 'soft=5,soft=2': name each term once"),
        ({"distill_from": "soft=5,sine"}, "distill_from is 'soft=5,sine': give terms of mlm, soft, cosine, relations"),
        ({"distill_temperature": 0.0}, "distill_temperature is 0.0: it must be above 0"),
    ):
        with pytest.raises(InputError, match=message):
            pretrain(shards.folder, out=tmp_path / "run", config=dataclasses.replace(config, **changes))


def test_temperature_softens_and_its_square_keeps_the_gradient() -> None:
    logits, taught = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)), torch.randn(4, 9, generator=torch.Generator().manual_seed(1))
    sizes = []
    for temperature in (10.0, 100.0):
        own = logits.clone().requires_grad_()
        soft_loss(own, taught, temperature=temperature).backward()  # type: ignore[no-untyped-call]
        assert own.grad is not None
        sizes.append(own.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_padding_has_no_relations() -> None:
    own, taught = ({name: torch.randn(2, 6, 8) for name in ("query", "key", "value")} for _ in range(2))
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    whole = relation_loss(own, taught, heads=2, allowed=mask[:, None, None, :], real=mask)
    for found in (own, taught):
        for value in found.values():
            value[1, 4:] = 99.0
    torch.testing.assert_close(relation_loss(own, taught, heads=2, allowed=mask[:, None, None, :], real=mask), whole)
