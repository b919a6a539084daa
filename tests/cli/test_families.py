"""Every command takes checkpoints of every encoder family with the tokenizer of its own, and transformers reads what comes out to the same answers."""

import importlib.util
import io
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import bertwright
from bertwright.__main__ import main
from bertwright.checkpoints.huggingface import save_model
from bertwright.families import FAMILIES, family_of, preset
from bertwright.models import Model
from bertwright.text.tokenizer import Tokenizer

MASKED = [family.name for family in FAMILIES if "mlm" in family.heads]
TEXT = "Paris is the capital of France, and Rome that of Italy.\nHe said hello to today's world.\n\n"


def small_tokenizers() -> Any:
    """The module beside the tests of tokenizers that makes them in their families' classic files."""
    spec = importlib.util.spec_from_file_location("small_tokenizers", Path(__file__).parents[1] / "text" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """name of a family -> a folder with a model of one layer and its tokenizer, as the hub has them."""
    tokenizers, made = small_tokenizers(), dict[str, Path]()

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            tokenizers.write_classic(name, folder)
            (folder / "config.json").write_text(json.dumps({"model_type": name}))
            tokenizer = Tokenizer.load(folder)
            torch.manual_seed(0)
            keys = {"num_hidden_layers": 1, "n_layers": 1, "pad_token_id": tokenizer.pad_id, "initializer_range": 0.2}
            config = preset(f"{name}-tiny", vocab_size=tokenizer.vocab_size, **keys)
            save_model(Model(family_of(config).architecture(config), ("mlm",)), folder, config=config)
            made[name] = folder
        return made[name]

    return make


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command, which must end well, and gives what it printed."""

    def run(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["bertwright", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        code = main()
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


# The rates of new weights: those that these checkpoints hold were never trained.
FAST = ("--learning_rate", 3e-3, "--muon_learning_rate", 6e-3)


@pytest.mark.parametrize("name", MASKED)
def test_from_a_familys_checkpoint_to_one_trained_on(name: str, checkpoint: Callable[[str], Path], call: Callable[..., str], tmp_path: Path) -> None:
    source, text, shards, run = checkpoint(name), tmp_path / "notes.txt", tmp_path / "shards", tmp_path / "run"
    text.write_text(TEXT * 30, encoding="utf-8")
    tokenizer = Tokenizer.load(source)
    cut = json.loads(call("tokenize", source, "Paris is the [MASK] of France.".replace("[MASK]", tokenizer.vocab[tokenizer.mask_id]), "--json"))
    assert tokenizer.mask_id in cut["ids"]
    assert cut["num_unknown"] == 0
    call("prepare", text, "--out", shards, "--tokenizer", source, "--validation_fraction", 0.3)
    call("pretrain", shards, "--out", run, "--init_from", source, "--objective", "mlm", "--max_steps", 10, "--max_seq_length", 24, "--batch_size", 4, *FAST)
    on_shards = json.loads(call("evaluate", run, shards, "--max_seq_length", 24, "--json"))
    on_text = json.loads(call("evaluate", source, text, "--max_seq_length", 24, "--eval_samples", 8, "--json"))
    assert 0 < on_shards["masked_loss"] < on_text["masked_loss"], "ten steps on this very text have made it worse"
    asked = "Paris is the [MASK] of France, and Rome that of [MASK]."
    (filled,) = [json.loads(line) for line in call("predict", run, asked, "--json").splitlines()]
    assert [len(candidates) for candidates in filled["masks"]] == [5, 5]
    assert filled["filled"] != filled["input"]
    predictor = bertwright.load(run)
    encoded = predictor.encode("Paris is the capital.", "He said hello.")
    assert encoded.token_vectors.isfinite().all()
    if name != "nezha":  # which transformers 5 does not have
        as_transformers_has_it(predictor.checkpoint, asked, filled["masks"])


def as_transformers_has_it(folder: Path, text: str, masks: list[list[dict[str, Any]]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import is not ours to keep quiet
        transformers = pytest.importorskip("transformers")
        theirs = transformers.pipeline("fill-mask", model=str(folder), device="cpu", top_k=5)
    for ours, found in zip(masks, theirs(text.replace("[MASK]", theirs.tokenizer.mask_token), top_k=20), strict=True):
        scores = {candidate["token"]: candidate["score"] for candidate in found}
        ids = theirs.tokenizer.convert_tokens_to_ids([candidate["token"] for candidate in ours])
        assert [candidate["probability"] for candidate in ours] == pytest.approx([scores[number] for number in ids], rel=1e-3, abs=1e-6)
