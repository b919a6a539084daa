"""Fine-tuning from files to a measured run folder, for every task; resume, keys and mistakes."""

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertwright import api
from bertwright.checkpoints.files import verify
from bertwright.data.labelled.examples import TASKS
from bertwright.errors import InputError, Interrupted
from bertwright.evaluation.labelled import measure
from bertwright.tasks.registry import task_of
from bertwright.training import finetune_results
from bertwright.training.events import Event
from bertwright.training.finetune_config import FinetuneConfig, FinetuneResult
from bertwright.training.finetuning import finetune
from bertwright.training.sweep import Comparison

GOOD, BAD = ("bar", "ban", "ber", "ben", "bir"), ("kar", "kan", "ker", "ken", "kir")
COUNT = 24


def sentences() -> list[tuple[str, str]]:
    """Texts of good or of bad words, with their label."""
    return [
        (" ".join((GOOD if number % 2 else BAD)[(number + place) % 5] for place in range(3 + number % 4)), ("good" if number % 2 else "bad"))
        for number in range(COUNT)
    ]


def write(task: str, folder: Path) -> Path:
    """A labelled file of 24 examples for a task."""
    rows = sentences()
    if task == "classify":
        return text(folder / "train.csv", "text,label\n" + "".join(f"{words},{label}\n" for words, label in rows))
    if task == "regress":
        return text(folder / "train.csv", "text,score\n" + "".join(f"{words},{0.25 + len(words.split()) / 2}\n" for words, _ in rows))
    if task == "tag":
        lines = ["".join(f"{word} {'B-GOOD' if word in GOOD else 'O'}\n" for word in words.split()) for words, _ in rows]
        return text(folder / "train.conll", "\n".join(lines))
    if task == "answer":
        questions = [
            {"context": f"{words} dan den", "qas": [{"id": str(n), "question": "lar", "answers": [{"text": words.split()[0], "answer_start": 0}]}]}
            for n, (words, _) in enumerate(rows)
        ]
        return text(folder / "train.json", json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": questions}]}))
    made: dict[str, Callable[[str, str], dict[str, Any]]] = {
        "choice": lambda words, label: {"text": words, "choices": ["dan", "lan"], "label": int(label == "good")},
        "embed": lambda words, label: {"anchor": words, "positive": " ".join(reversed(words.split())) + " lar"},
        "generate": lambda words, label: {"source": words, "target": "dan" if label == "good" else "lan"},
    }
    return text(folder / "train.jsonl", "".join(json.dumps(made[task](*row)) + "\n" for row in rows))


def text(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def train(start: Path, data: Path, out: Path, **keys: Any) -> FinetuneResult:
    settings = {"bf16": False, "num_train_epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "validation_fraction": 0.25, **keys}
    return finetune(start, data, out=out, config=FinetuneConfig(**settings))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_goes_from_a_file_to_a_measured_folder(task: str, tmp_path: Path, start: Callable[[str], Path]) -> None:
    result = train(start("bart" if task == "generate" else "bert"), write(task, tmp_path), tmp_path / "run", task=task if task == "embed" else None)
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    assert results["task"] == task
    assert results["metric"] in result.metrics["validation"]
    lines = (tmp_path / "run" / "predictions" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == results["splits"]["validation"]["rows"] > 3
    assert all("prediction" in json.loads(line) for line in lines)
    served = task_of(result.checkpoint)
    assert served is not None
    assert served.name == task
    verify(result.checkpoint, hashes=True)
    assert results["metric"] in (result.checkpoint / "README.md").read_text(encoding="utf-8")


def test_words_that_tell_the_class_are_learnt(tmp_path: Path, start: Callable[[str], Path]) -> None:
    result = train(start("bert"), write("classify", tmp_path), tmp_path / "run", num_train_epochs=12)
    assert result.metrics["validation"]["accuracy"] == 1.0


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data = start("bert"), write("classify", tmp_path)
    keys: dict[str, Any] = {"ema_decay": 0.9, "adversarial": "fgm", "r_drop": 0.5, "layer_learning_rate_decay": 0.8, "num_train_epochs": 4, "save_steps": 1}
    straight = train(begun, data, tmp_path / "straight", **keys)

    def stop(event: Event) -> None:
        if event.kind == "save" and event.step == 3:
            raise KeyboardInterrupt

    config = FinetuneConfig(bf16=False, batch_size=8, learning_rate=1e-3, validation_fraction=0.25, **keys)
    with pytest.raises(KeyboardInterrupt):
        finetune(begun, data, out=tmp_path / "stopped", config=config, observers=(stop,))
    resumed = finetune(begun, data, out=tmp_path / "stopped", config=config)
    one, other = (load_file(result.run / "checkpoints" / (straight.run / "latest").read_text().strip() / "model.safetensors") for result in (straight, resumed))
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert resumed.metrics == straight.metrics


def test_a_finished_run_says_so_and_gives_its_results_again(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data, told = start("bert"), write("classify", tmp_path), list[str]()
    first = train(begun, data, tmp_path / "run")
    config = FinetuneConfig(bf16=False, num_train_epochs=2, batch_size=8, learning_rate=1e-3, validation_fraction=0.25)
    again = finetune(begun, data, out=tmp_path / "run", config=config, observers=(lambda event: told.append(str(event.values.get("text", ""))),))
    assert again.metrics == first.metrics
    assert any("already finished" in line for line in told)


def test_a_run_that_ended_early_is_finished_and_nothing_in_it_is_made_new(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data, told = start("bert"), write("classify", tmp_path), list[str]()
    keys: dict[str, Any] = {"early_stopping_patience": 1, "learning_rate": 1e-12, "num_train_epochs": 9, "eval_steps": 1, "metric": "accuracy"}
    config = FinetuneConfig(bf16=False, batch_size=8, validation_fraction=0.25, **keys)

    def hear(event: Event) -> None:
        told.append(str(event.values.get("text", "")))

    first = finetune(begun, data, out=tmp_path / "run", config=config, observers=(hear,))
    assert first.details["training"]["epochs"] < 9
    assert any("made new" in line for line in told)
    told.clear()
    assert finetune(begun, data, out=tmp_path / "run", config=config, observers=(hear,)).metrics == first.metrics
    assert any("already finished" in line for line in told)
    assert not any("going on from" in line or "made new" in line for line in told)


def test_other_test_rows_are_measured_with_what_was_trained(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data = start("bert"), write("classify", tmp_path)
    keys = {"test": str(text(tmp_path / "test.csv", "text,label\nbar ban,good\nkar kan,bad\n")), "num_train_epochs": 12}
    first = train(begun, data, tmp_path / "run", **keys)
    assert first.metrics["test"]["accuracy"] == 1.0
    text(tmp_path / "test.csv", "text,label\nbar ban,bad\nkar kan,good\nker,good\n")
    second = train(begun, data, tmp_path / "run", **keys)
    assert second.metrics["test"]["accuracy"] == 0.0
    assert second.details["splits"]["test"]["rows"] == 3
    assert second.details["training"]["steps"] == first.details["training"]["steps"]
    (tmp_path / "run" / "results.json").write_text("{", encoding="utf-8")
    assert train(begun, data, tmp_path / "run", **keys).metrics == second.metrics


def test_a_sweep_gives_no_other_models_or_files_numbers(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data, other = start("bert"), write("classify", tmp_path), tmp_path / "other"
    keys: dict[str, Any] = {"bf16": False, "max_steps": 1, "batch_size": 8, "validation_fraction": 0.25, "report": False, "out": tmp_path / "sweep"}
    first = api.finetune(begun, data, seeds=2, **keys)
    shutil.copytree(begun, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: tensor + 0.01 for name, tensor in weights.items()}, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"checkpoint was .* and is now .*other"):
        api.finetune(other, data, seeds=3, **keys)
    with pytest.raises(InputError, match=r"warmup_steps was 0\.1 and is now 3"):
        api.finetune(begun, data, seeds=3, **keys, warmup_steps=3)
    with pytest.raises(InputError, match="early_stopping_patience was None and is now 2"):
        api.finetune(begun, data, seeds=3, **keys, early_stopping_patience=2)
    again = api.finetune(begun, data, seeds=2, **keys)
    assert isinstance(first, Comparison)
    assert isinstance(again, Comparison)
    assert again.to_json() == first.to_json()
    text(data, data.read_text(encoding="utf-8").replace("bar ban", "ban bar"))
    with pytest.raises(InputError, match="data_hash"):
        api.finetune(begun, data, seeds=3, **keys)
    assert sorted(folder.name for folder in keys["out"].iterdir() if folder.is_dir()) == ["seed=0", "seed=1"]


def test_the_same_weights_elsewhere_are_the_same_start(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data = start("bert"), write("classify", tmp_path)
    first = train(begun, data, tmp_path / "run")
    shutil.copytree(begun, tmp_path / "moved")
    assert train(tmp_path / "moved", data, tmp_path / "run").metrics == first.metrics


def test_a_models_own_folder_becomes_no_run(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data = start("bert"), write("classify", tmp_path)
    first, before = train(begun, data, tmp_path / "run"), sorted(begun.iterdir())
    for checkpoint, out, said in (
        (begun, begun, "holds a model and no run"),
        (first.run, first.run, "starts from"),
        (first.run, begun, "holds a model and no run"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            train(checkpoint, data, out)
        assert len(caught.value.problems) == 1
    assert sorted(begun.iterdir()) == before


def test_a_dry_run_of_several_says_how_many_and_checks_each(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data, told = start("bert"), write("classify", tmp_path), list[str]()
    keys: dict[str, Any] = {"bf16": False, "out": tmp_path / "sweep", "dry_run": True, "validation_fraction": 0.25}
    result = api.finetune(begun, data, seeds=3, learning_rate=[1e-4, 2e-4], observers=(lambda event: told.append(str(event.values.get("text", ""))),), **keys)
    assert isinstance(result, FinetuneResult)
    assert told[0].startswith("6 runs in all (2 of learning_rate, 3 of seed)")
    with pytest.raises(InputError) as caught:
        api.finetune(begun, data, freeze_layers=[0, 8, 9], **keys)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["freeze_layers is 8", "freeze_layers is 9"]
    assert not (tmp_path / "sweep").exists()


def test_ctrl_c_while_results_are_written_is_not_forgotten(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data = start("bert"), write("classify", tmp_path)

    def interrupt(event: Event) -> None:
        if event.kind == "result":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="finished: the same command goes on") as caught:
        api.finetune(begun, data, out=tmp_path / "sweep", seeds=2, max_steps=1, bf16=False, observers=(interrupt,))
    assert caught.value.exit_code == 130
    assert (tmp_path / "sweep" / "seed=0" / "results.json").exists()
    assert not (tmp_path / "sweep" / "seed=1").exists()


def test_what_was_said_of_the_test_rows_is_told(tmp_path: Path, start: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune_results, "measure", lambda *given, **keys: dataclasses.replace(measure(*given, **keys), said=("two rows are odd",)))
    told: list[str] = []
    test = text(tmp_path / "test.csv", "text,label\nbar ban,good\nkar kan,bad\n")
    config = FinetuneConfig(bf16=False, max_steps=1, validation_fraction=0.25, test=str(test))
    heard = (lambda event: told.append(str(event.values.get("text", ""))),)
    finetune(start("bert"), write("classify", tmp_path), out=tmp_path / "run", config=config, observers=heard)
    assert told.count("test: two rows are odd") == 1


def test_changed_data_or_keys_are_no_continuation(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data = start("bert"), write("classify", tmp_path)
    train(begun, data, tmp_path / "run")
    with pytest.raises(InputError, match=r"learning_rate was 0\.001 and is now 0\.002"):
        train(begun, data, tmp_path / "run", learning_rate=2e-3)
    data.write_text(data.read_text(encoding="utf-8").replace("bar ban", "ban bar"), encoding="utf-8")
    with pytest.raises(InputError, match="data_hash"):
        train(begun, data, tmp_path / "run")


def test_a_head_for_the_same_labels_is_kept_and_another_is_made_new(tmp_path: Path, start: Callable[[str], Path]) -> None:
    data = write("classify", tmp_path)
    first = train(start("bert"), data, tmp_path / "first")
    notes: list[str] = []

    def hear(event: Event) -> None:
        notes.append(str(event.values.get("text", "")))

    config = FinetuneConfig(bf16=False, max_steps=1, learning_rate=1e-9, validation_fraction=0.25)
    kept = finetune(first.run, data, out=tmp_path / "kept", config=config, observers=(hear,))
    assert not any("made new" in note for note in notes)
    before, after = (load_file(result.checkpoint / "model.safetensors")["classifier.weight"] for result in (first, kept))
    assert torch.allclose(before, after, atol=1e-6)
    text(tmp_path / "other.csv", data.read_text(encoding="utf-8").replace("good", "fine"))
    finetune(first.run, tmp_path / "other.csv", out=tmp_path / "other", config=config, observers=(hear,))
    assert any("made new" in note for note in notes)


def test_a_start_that_cannot_learn_the_task_is_refused(tmp_path: Path, start: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="generate needs a decoder"):
        train(start("bert"), write("generate", tmp_path), tmp_path / "run")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text(tmp_path / "train.csv", "words,kind\na,b\n")
    with pytest.raises(InputError) as caught:
        train(tmp_path / "nowhere", tmp_path / "train.csv", tmp_path / "run", learning_rate=-1.0, adversarial="fgsm", task="classify")
    said = "\n".join(caught.value.problems)
    assert all(word in said for word in ("learning_rate is -1", "adversarial is 'fgsm'", "nowhere", "words, kind"))


def test_options_without_a_use_are_refused(tmp_path: Path, start: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="r_drop"):
        train(start("bert"), write("regress", tmp_path), tmp_path / "run", r_drop=1.0)


def test_frozen_layers_stay_bit_for_bit(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun = start("bert")
    result = train(begun, write("classify", tmp_path), tmp_path / "run", freeze_layers=1)
    before, after = load_file(begun / "model.safetensors"), load_file(result.checkpoint / "model.safetensors")
    names = {name: name if name in before else name.removeprefix("bert.") for name in after if "classifier" not in name}
    frozen = [name for name in names if "embeddings" in name or "layer.0." in name]
    assert all(torch.equal(after[name], before[names[name]]) for name in frozen)
    assert any(not torch.equal(after[name], before[names[name]]) for name in names if "layer.1." in name)


def test_what_cannot_be_frozen_is_told_before_anything_is_trained(tmp_path: Path, start: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="freeze_layers is 9"):
        train(start("bert"), write("classify", tmp_path), tmp_path / "run", freeze_layers=9, dry_run=True)
    with pytest.raises(InputError, match="freeze_layers keeps them"):
        train(start("bert"), write("classify", tmp_path), tmp_path / "run", freeze_layers=1, adversarial="fgm", dry_run=True)
    assert not (tmp_path / "run").exists()


def test_the_saved_tokenizer_cuts_where_training_did(tmp_path: Path, start: Callable[[str], Path]) -> None:
    result = train(start("bert"), write("classify", tmp_path), tmp_path / "run", max_seq_length=12, max_steps=1, num_train_epochs=None)
    assert json.loads((result.checkpoint / "tokenizer_config.json").read_text(encoding="utf-8"))["model_max_length"] == 12


def test_a_test_file_can_be_measured_after_the_training(tmp_path: Path, start: Callable[[str], Path]) -> None:
    begun, data = start("bert"), write("classify", tmp_path)
    before = train(begun, data, tmp_path / "run")
    rows = text(tmp_path / "test.csv", "text,label\nbar dan,good\nkar dan,bad\n")
    after = train(begun, data, tmp_path / "run", test=str(rows))
    assert after.metrics["validation"] == before.metrics["validation"]
    assert json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))["splits"]["test"]["rows"] == 2
