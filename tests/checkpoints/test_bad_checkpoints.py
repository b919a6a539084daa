"""Every bad checkpoint is one clear line that names what is wrong, and what to do; one table."""

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertwright.architecture import MLM, NSP, POOLER
from bertwright.checkpoints.huggingface import load_model, save_model
from bertwright.errors import CheckpointError
from bertwright.families.bert import BERT
from bertwright.models import Model

WEIGHTS = "model.safetensors"
QUERY = "bert.encoder.layer.0.attention.self.query.weight"
WORDS = "bert.embeddings.word_embeddings.weight"
Damage = Callable[[Path], object]


class Evil:
    """A pickle that makes a file when it is executed."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        held = load_file(folder / WEIGHTS)
        change(held)
        save_file(held, folder / WEIGHTS)

    return damage


def config(**changes: Any) -> Damage:
    def damage(folder: Path) -> None:
        held = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**held, **changes}))

    return damage


def raw(name: str, change: Callable[[bytes], bytes]) -> Damage:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def put(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def without_weights(*then: Damage) -> Damage:
    def damage(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        for step in then:
            step(folder)

    return damage


def pickled(content: Callable[[Path], object], *, plainly: bool = False) -> Damage:
    def write(folder: Path) -> None:
        if plainly:
            (folder / "pytorch_model.bin").write_bytes(pickle.dumps(content(folder)))
        else:
            torch.save(content(folder), folder / "pytorch_model.bin")

    return without_weights(write)


def sharded(weight_map: dict[str, Any]) -> Damage:
    def damage(folder: Path) -> None:
        (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return damage


BAD: dict[str, tuple[Damage, list[str]]] = {
    "strange tensor": (tensors(lambda held: held.update({"bert.oddity": torch.zeros(1)})), [r"tensor bert\.oddity of .*model\.safetensors has no place"]),
    "more layers than the config": (config(num_hidden_layers=1), [*[r"tensor bert\.encoder\.layer\.1\..* has no place"] * 8, r"and 8 more"]),
    "missing tensor": (tensors(lambda held: held.pop(QUERY)), [rf"tensor {QUERY} is missing from .*model\.safetensors"]),
    "missing tensor of a head": (tensors(lambda held: held.pop("cls.predictions.bias")), [r"tensor cls\.predictions\.bias is missing"]),
    "wrong shape": (tensors(lambda held: held.update({QUERY: torch.zeros(3, 4)})), [rf"tensor {QUERY} of .* has shape \[3, 4\] where .* \[24, 24\]"]),
    "another vocabulary": (config(vocab_size=51), [rf"{WORDS} .* has shape \[50, 24\] .* \[51, 24\]", r"cls\.predictions\.bias .*\[50\] .*\[51\]"]),
    "wrong shape and missing": (
        tensors(lambda held: (held.update({QUERY: torch.zeros(3)}), held.pop(WORDS))),
        [rf"{WORDS} is missing", rf"{QUERY} .* has shape \[3\]"],
    ),
    "one tensor under two names": (tensors(lambda held: held.update({QUERY.removeprefix("bert."): held[QUERY].clone()})), ["same one under two names"]),
    "untied decoder": (
        tensors(lambda held: held.update({"cls.predictions.decoder.weight": held[WORDS] + 1})),
        [rf"cls\.predictions\.decoder\.weight .* differs from {WORDS}"],
    ),
    "changed copy": (tensors(lambda held: held.update({"cls.predictions.decoder.bias": held["cls.predictions.bias"] + 1})), [r"decoder\.bias .* differs from"]),
    "changed buffer": (
        tensors(lambda held: held.update({"embeddings.position_ids": torch.ones(1, 16, dtype=torch.long)})),
        [r"position_ids .* is not the constant \(arange\)"],
    ),
    "whole numbers": (tensors(lambda held: held.update({QUERY: torch.zeros(24, 24, dtype=torch.int8)})), [rf"{QUERY} .* is not of plain floating point"]),
    "float8": (tensors(lambda held: held.update({QUERY: torch.zeros(24, 24).to(torch.float8_e4m3fn)})), [rf"{QUERY} .* is not of plain floating point"]),
    "truncated tensors": (raw(WEIGHTS, lambda content: content[:-100]), [r"model\.safetensors is no whole safetensors file"]),
    "truncated header": (raw(WEIGHTS, lambda content: content[:50]), [r"model\.safetensors is no whole safetensors file"]),
    "empty weights": (put(WEIGHTS, b""), [r"model\.safetensors is no whole safetensors file"]),
    "bit flipped in the header": (raw(WEIGHTS, lambda content: content[:8] + bytes([content[8] ^ 1]) + content[9:]), [r"is no whole safetensors file"]),
    "no weights": (
        without_weights(put("tf_model.h5", b"x")),
        [r"has no weights: model\.safetensors or pytorch_model\.bin is expected; tf_model\.h5 cannot be read"],
    ),
    "missing shard": (
        sharded({QUERY: "model-00001-of-00002.safetensors", WORDS: "model-00002-of-00002.safetensors"}),
        [r"model-00002-of-00002\.safetensors is missing, and model\.safetensors\.index\.json names it"],
    ),
    "shard outside the folder": (
        sharded({QUERY: "../../elsewhere.safetensors"}),
        [r"names '\.\./\.\./elsewhere\.safetensors', which is no file of its folder"],
    ),
    "shard without its tensor": (sharded({"bert.lost": "model-00001-of-00002.safetensors"}), [r"lacks tensor bert\.lost"]),
    "damaged index": (without_weights(put(f"{WEIGHTS}.index.json", b"{")), [r"index\.json is damaged"]),
    "malicious pickle": (
        pickled(lambda folder: {"x": Evil(folder / "executed")}),
        [r"pytorch_model\.bin cannot be read as tensors alone, and nothing else in it was run"],
    ),
    "malicious pickle of the old form": (pickled(lambda folder: Evil(folder / "executed"), plainly=True), ["nothing else in it was run"]),
    "pickle of other things": (pickled(lambda folder: {"epoch": 3, "model": {}}), [r"pytorch_model\.bin does not hold names and tensors"]),
    "pickle of garbage": (without_weights(put("pytorch_model.bin", b"\x00garbage" * 9)), [r"pytorch_model\.bin cannot be read"]),
    "empty pickle": (without_weights(put("pytorch_model.bin", b"")), [r"pytorch_model\.bin cannot be read"]),
    "truncated pickle": (
        lambda folder: (pickled(lambda _: {"x": torch.zeros(5000)})(folder), raw("pytorch_model.bin", lambda content: content[:3000])(folder)),
        [r"pytorch_model\.bin cannot be read"],
    ),
    "unknown family": (config(model_type="llama"), [r"config\.json: model_type 'llama' is not supported: take a checkpoint of one of bert"]),
    "another family": (config(model_type="distilbert"), [*["has no place"] * 8, "more like these", *["is missing"] * 8, "more like these"]),
    "remote code": (
        lambda folder: (
            config(auto_map={"AutoModel": "modeling.Evil"})(folder),
            (folder / "modeling.py").write_text(f"open({str(folder / 'executed')!r}, 'w')\nclass Evil: pass\n"),
        ),
        [r"config\.json: auto_map asks for code of the checkpoint's own to be run: that is never done"],
    ),
    "quantised": (config(quantization_config={"load_in_4bit": True}), [r"config\.json: quantization_config says"]),
    "contradictions": (
        config(num_attention_heads=5, hidden_act="mish", pad_token_id=50, layer_norm_eps=-1),
        ["hidden_act 'mish'", "layer_norm_eps is -1", "hidden_size 24 is not divisible by num_attention_heads 5", "pad_token_id 50 lies outside"],
    ),
    "config is no JSON": (put("config.json", b"{'a': 1}"), [r"config\.json is no JSON"]),
    "config is not text": (put("config.json", b"\xff\xfe\x00"), [r"config\.json is no JSON"]),
    "config is a list": (put("config.json", b"[]"), [r"config\.json holds no JSON object"]),
    "no config": (lambda folder: (folder / "config.json").unlink(), [r"config\.json does not exist: give a folder with a config\.json"]),
}


def good(folder: Path) -> Path:
    sizes = {"vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32, "max_position_embeddings": 16}
    config = {"model_type": "bert", **sizes}
    save_model(Model(BERT.architecture(config), (POOLER, MLM, NSP)), folder, config=config)
    return folder


@pytest.mark.parametrize(("damage", "lines"), BAD.values(), ids=BAD.keys())
def test_a_bad_checkpoint_is_refused_with_lines_that_name_what_is_wrong(tmp_path: Path, damage: Damage, lines: list[str]) -> None:
    damage(good(tmp_path / "folder"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path / "folder")
    assert caught.value.exit_code == 2
    problems = caught.value.problems
    assert len(problems) == len(lines), problems
    for problem, line in zip(problems, lines, strict=True):
        assert len(problem.splitlines()) == 1
        assert re.search(line, problem), problem
    assert sorted(tmp_path.rglob("*")) == before, "nothing in a checkpoint may be executed or written"


def test_the_table_starts_from_a_checkpoint_that_loads(tmp_path: Path) -> None:
    assert load_model(good(tmp_path)).created == ()


def test_the_malicious_pickle_would_have_acted(tmp_path: Path) -> None:
    pickled(lambda folder: {"x": Evil(folder / "executed")})(good(tmp_path))
    torch.load(tmp_path / "pytorch_model.bin", weights_only=False)
    assert (tmp_path / "executed").exists()
