"""Parameters by part, sizes, shapes and where they are read from."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bertwright.analysis import Summary, of_checkpoint, of_preset_or_config, subject, summarise, usual_config
from bertwright.analysis.shapes import Module
from bertwright.checkpoints.huggingface import save_model
from bertwright.checkpoints.weights import Weights, open_weights
from bertwright.errors import CheckpointError, InputError
from bertwright.families import FAMILIES, PRESETS, Family, family_of, preset
from bertwright.models import Model

# The config.json of google-bert/bert-base-uncased.
BERT_BASE_UNCASED = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
# Entries of the vocabularies that the families' papers released.
VOCABULARIES = {
    "bert": 30522,
    "roberta": 50265,
    "xlm-roberta": 250002,
    "distilbert": 30522,
    "albert": 30000,
    "electra": 30522,
    "nezha": 21128,
    "roformer": 50000,
    "gpt": 40478,
    "gpt2": 50257,
    "bart": 50265,
    "t5": 32128,
    "mt5": 250112,
    "modernbert": 50368,
}


def tiny_config(family: Family, **keys: Any) -> dict[str, Any]:
    return preset(f"{family.name}-tiny", vocab_size=70, pad_token_id=0, **keys)


def saved(folder: Path, family: Family, heads: tuple[Any, ...], **keys: Any) -> Model:
    config = tiny_config(family, **keys)
    model = Model(family.architecture(config), heads)
    save_model(model, folder, config=config)
    return model


def flat(module: Module) -> list[Module]:
    return [module, *(inner for child in module.children for inner in flat(child))]


def test_bert_base_uncased_to_the_parameter(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(BERT_BASE_UNCASED), encoding="utf-8")
    for name in (str(path), str(tmp_path), "bert-base"):
        found = summarise(of_preset_or_config(name))
        assert found.parameters == {"embeddings": 23_837_184, "encoder": 85_054_464, "pooler": 590_592}
        assert {part: f"{found.share(part):.2%}" for part in found.parameters} == {"embeddings": "21.77%", "encoder": "77.69%", "pooler": "0.54%"}
        assert (found.total, found.trainable, found.frozen, found.buffers) == (109_482_240, 109_482_240, 0, 0)
        assert found.bytes() == {"float32": 437_928_960, "bfloat16": 218_964_480, "float16": 218_964_480}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_class_of_every_family_is_summarised_from_its_folder(family: Family, tmp_path: Path) -> None:
    for number, entry in enumerate(family.classes.values()):
        heads = family.complete_heads(entry)
        model = saved(tmp_path / str(number), family, heads)
        found = summarise(of_checkpoint(tmp_path / str(number)))
        assert found.subject.family == family.name
        assert found.subject.heads == heads
        assert found.total == sum(parameter.numel() for parameter in model.parameters())
        assert found.trainable == sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        assert found.trainable + found.frozen == found.total
        assert found.buffers == sum(buffer.numel() for buffer in model.buffers())
        assert list(found.parameters)[: 1 + len(model.architecture.stacks)] == ["embeddings", *model.architecture.stacks]
        assert found.modules.parameters == found.total


@pytest.mark.parametrize("name", [preset for preset in PRESETS if preset.endswith("-large")])
def test_presets_take_no_memory_and_every_size_adds_up(name: str) -> None:
    found = summarise(of_preset_or_config(name))
    assert found.total == sum(found.parameters.values()) == found.modules.parameters
    assert found.operations["encoder" if found.subject.architecture.encoder else "decoder"].forward > 2e7
    assert "?" not in {size for module in flat(found.modules) for shape in (*module.inputs, *module.outputs.values()) for size in shape}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_usual_vocabulary_is_the_familys_own(family: Family) -> None:
    assert usual_config(f"{family.name}-tiny")["vocab_size"] == VOCABULARIES[family.name]
    assert usual_config(f"{family.name}-tiny", vocab_size=300, pad_token_id=0)["vocab_size"] == 300
    assert of_preset_or_config(f"{family.name}-tiny", vocab_size=300).architecture.vocab_size == 300


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_shapes_are_those_of_a_real_pass(family: Family) -> None:
    """Every module's shapes, with the words replaced by the sizes of a batch, against hooks on the model itself."""
    config = tiny_config(family, num_labels=5)
    architecture = family.architecture(config)
    heads = family.complete_heads(next(iter(family.classes.values())))
    model = Model(architecture, heads).eval()
    real: dict[str, torch.Size] = {}

    def watch(path: str) -> Callable[..., None]:
        def note(module: torch.nn.Module, args: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                real.setdefault(path, output.shape)

        return note

    for path, module in model.named_modules():
        module.register_forward_hook(watch(path))
    ids = torch.full((4, 9), 3)
    model(ids, **({"decoder_input_ids": ids[:, :6]} if len(architecture.stacks) > 1 else {"token_type_ids": torch.zeros_like(ids)}))
    sizes = {"batch": 4, "length": 9, "target": 6}
    compared = 0
    todo = [(child, child.name) for child in summarise(subject.Subject(name="", family=family.name, architecture=architecture, heads=heads)).modules.children]
    while todo:
        node, name = todo.pop()
        path = name.partition(" to ")[0]
        todo += [(child, f"{path}.{child.name}") for child in node.children]
        if path in real:
            assert tuple(sizes.get(size, size) for size in node.outputs[""]) == tuple(real[path]), path
            compared += 1
    assert compared >= 10


def test_the_tree_joins_layers_that_are_alike_and_tells_the_first_apart() -> None:
    (encoder,) = (child for child in summarise(of_preset_or_config("bert-base")).modules.children if child.name == "encoder")
    (blocks,) = (child for child in encoder.children if child.name.startswith("blocks"))
    assert (blocks.name, blocks.times, blocks.parameters) == ("blocks.0 to 11", 12, 7_087_872)
    names = [child.name for child in flat(summarise(of_preset_or_config("modernbert-base")).modules)]
    assert "blocks.0" in names
    assert "blocks.1 to 11" in names


def test_shared_blocks_are_counted_once() -> None:
    found = summarise(of_preset_or_config("albert-base"))
    assert found.parameters["encoder"] == 7_087_872
    assert found.operations["encoder"].forward == summarise(of_preset_or_config("bert-base")).operations["encoder"].forward


def test_tied_decoders_count_once_and_untied_ones_count() -> None:
    def total(**keys: Any) -> Summary:
        config = preset("bert-tiny", vocab_size=100, **keys)
        return summarise(subject.Subject(name="", family="bert", architecture=family_of(config).architecture(config), heads=("mlm",)))

    tied, untied = total(), total(tie_word_embeddings=False)
    assert untied.total - tied.total == 100 * 128 + 100  # Hugging Face's untied decoder has a second bias
    assert untied.frozen == 100


def test_a_checkpoint_is_known_from_its_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(folder: Path) -> Weights:
        return dataclasses.replace(open_weights(folder), read=lambda name: pytest.fail(f"{name} was read"))

    saved(tmp_path, FAMILIES[0], ("pooler", "mlm", "nsp"))
    monkeypatch.setattr(subject, "open_weights", unread)
    assert of_checkpoint(tmp_path).heads == ("pooler", "mlm", "nsp")


def test_a_checkpoint_that_is_not_whole_is_named(tmp_path: Path) -> None:
    saved(tmp_path, FAMILIES[0], ("mlm",))
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"encoder\.layer\.2"):
        of_checkpoint(tmp_path)


def test_what_cannot_be_is_an_input_error() -> None:
    with pytest.raises(InputError, match="did you mean bert-base"):
        of_preset_or_config("bert-bse")
    with pytest.raises(InputError, match="no nsp head: it has"):
        of_preset_or_config("gpt2-tiny", heads=("nsp",))
    with pytest.raises(InputError, match="vocab_size is 0"):
        of_preset_or_config("bert-tiny", vocab_size=0)
    with pytest.raises(InputError, match="longer than the model's 512 positions: take 512 or less"):
        summarise(of_preset_or_config("bert-tiny"), length=513)
    with pytest.raises(InputError, match="must be at least 1"):
        summarise(of_preset_or_config("bert-tiny"), length=0)
