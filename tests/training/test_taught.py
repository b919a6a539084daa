"""A classifier learns from a fine-tuned one: the loss is Hinton's, labels may stand in another order, and what cannot teach is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bertwright.checkpoints.huggingface import load_model
from bertwright.errors import InputError
from bertwright.objectives.together import Together
from bertwright.tasks.task import TaskBatch
from bertwright.training.devices import Device
from bertwright.training.events import Event
from bertwright.training.finetune_config import FinetuneConfig, FinetuneResult
from bertwright.training.finetune_plan import FinetunePlan, make_finetune_plan
from bertwright.training.finetuning import finetune
from bertwright.training.taught import TaughtItems

WORDS = {"good": ("bar", "ban", "ber", "ben"), "bad": ("kar", "kan", "ker", "ken"), "odd": ("mar", "man", "mer", "men")}
KEYS: dict[str, Any] = {"bf16": False, "num_train_epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "validation_fraction": 0.25}


def write(path: Path, *, several: bool = False, count: int = 24) -> Path:
    names, rows = list(WORDS), []
    for number in range(count):
        label = names[number % 3]
        text = " ".join(WORDS[label][(number + place) % 4] for place in range(3 + number % 4))
        rows.append({"text": text, "label": list(dict.fromkeys([label, names[number % 2]])) if several else label})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, start: Callable[[str], Path]) -> dict[bool, Path]:
    """A teacher of one label a text, and one of several."""
    folder = tmp_path_factory.mktemp("taught")
    found = {}
    for several in (False, True):
        data = write(folder / f"{several}.jsonl", several=several)
        found[several] = finetune(start("bert"), data, out=folder / f"run{several}", config=FinetuneConfig(**KEYS)).checkpoint
    return found


def learn(start: Path, data: Path, out: Path, observers: tuple[Callable[[Event], None], ...] = (), **keys: Any) -> FinetuneResult:
    return finetune(start, data, out=out, config=FinetuneConfig(**{**KEYS, **keys}), observers=observers)


def plan_of(start: Path, data: Path, **keys: Any) -> FinetunePlan:
    return make_finetune_plan(str(start), str(data), FinetuneConfig(**{**KEYS, **keys}), Device(torch.device("cpu"), torch.float32))


@pytest.mark.parametrize("several", [False, True], ids=["one label", "several"])
def test_the_loss_is_that_of_hinton(several: bool, tmp_path: Path, taught: dict[bool, Path], start: Callable[[str], Path]) -> None:
    """Against section 2 written out for every row; the teacher's labels stand in another order than the student's."""
    plan = plan_of(
        start("distilbert"), write(tmp_path / "train.jsonl", several=several), teacher=str(taught[several]), distill_weight=0.3, distill_temperature=4.0
    )
    turned = tmp_path / "teacher"
    turned.mkdir()
    for path in taught[several].iterdir():
        if path.is_file():
            (turned / path.name).write_bytes(path.read_bytes())
    described = json.loads((turned / "config.json").read_text())
    names = [described["id2label"][str(number)] for number in range(3)]
    described["id2label"] = {str(number): name for number, name in enumerate(reversed(names))}
    described["label2id"] = {name: number for number, name in enumerate(reversed(names))}
    (turned / "config.json").write_text(json.dumps(described))
    weights = load_file(turned / "model.safetensors")
    save_file(
        {name: tensor.flip(0).contiguous() if name.startswith("classifier") else tensor for name, tensor in weights.items()}, turned / "model.safetensors"
    )
    other = plan_of(start("distilbert"), write(tmp_path / "train.jsonl", several=several), teacher=str(turned), distill_weight=0.3, distill_temperature=4.0)
    assert other.teacher is not None
    assert other.teacher.order == (2, 1, 0)
    for one in (plan, other):
        assert isinstance(one.source, TaughtItems)
        assert one.teacher is not None
        torch.manual_seed(0)
        student = load_model(start("distilbert"), heads=("classify",), num_labels=3).model.eval()
        for parameter in student.heads.parameters():
            parameter.data += torch.randn_like(parameter) * 0.5
        numbers = torch.arange(6).numpy()
        batch = one.source.batch(one.source.take(0, numbers), numbers.astype("uint64"), numbers)
        assert isinstance(batch, TaskBatch)
        with torch.no_grad():
            terms = one.source.losses(Together(student, {"teacher": one.teacher.build()}), batch)
            s, t = student(batch.input_ids, batch.mask).logits.double(), load_model(taught[several]).model(batch.input_ids, batch.mask).logits.double()
        expected = 0.0
        for mine, theirs in zip(s / 4, t / 4, strict=True):
            if several:
                for a, b in zip(mine.sigmoid(), theirs.sigmoid(), strict=True):
                    expected += float(b * (b / a).log() + (1 - b) * ((1 - b) / (1 - a)).log()) * 16 / 3
            else:
                expected += float((theirs.softmax(0) * (theirs.softmax(0) / mine.softmax(0)).log()).sum()) * 16
        assert terms["soft"].sum.item() == pytest.approx(expected, rel=1e-4)
        assert [terms[name].coefficient for name in ("soft", "loss")] == pytest.approx([0.3, 0.7])
        assert batch.weights["soft"] == 6
        assert not terms["accuracy"].trained


def test_a_student_comes_to_say_what_its_teacher_says(tmp_path: Path, taught: dict[bool, Path], start: Callable[[str], Path]) -> None:
    learn(start("distilbert"), write(tmp_path / "train.jsonl"), tmp_path / "run", teacher=str(taught[False]), distill_weight=1.0, num_train_epochs=12)
    rows = [row for row in map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) if row["kind"] == "train"]
    assert rows[-1]["soft_loss"] < 0.5 * rows[0]["soft_loss"]
    assert not (tmp_path / "run" / "checkpoints" / "teacher").exists()


def test_a_stopped_run_ends_with_the_bits_of_one_that_was_not(tmp_path: Path, taught: dict[bool, Path], start: Callable[[str], Path]) -> None:
    def crash(event: Event) -> None:
        if event.kind == "train" and event.step == 4:
            raise KeyboardInterrupt

    data, begun = write(tmp_path / "train.jsonl"), start("bert")
    keys: dict[str, Any] = {
        "teacher": str(taught[False]),
        "hidden_dropout_prob": 0.1,
        "logging_steps": 1,
        "save_steps": 2,
        "max_steps": 5,
        "num_train_epochs": None,
    }
    straight = learn(begun, data, tmp_path / "straight", **keys)
    with pytest.raises(KeyboardInterrupt):
        learn(begun, data, tmp_path / "stopped", observers=(crash,), **keys)
    learn(begun, data, tmp_path / "stopped", **keys)
    name = sorted((tmp_path / "straight" / "checkpoints").iterdir())[-1].name
    for part in ("model.safetensors", "training/optimizer.safetensors"):
        one, other = (load_file(tmp_path / run / "checkpoints" / name / part) for run in ("straight", "stopped"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert load_model(straight.checkpoint).model.architecture.num_labels == 3


def test_a_teacher_that_cannot_teach_is_refused(tmp_path: Path, taught: dict[bool, Path], start: Callable[[str], Path]) -> None:
    data, begun = write(tmp_path / "train.jsonl"), start("bert")
    words = [word for several in WORDS.values() for word in several]
    (tmp_path / "two.csv").write_text("text,label\n" + "".join(f"{one} {other},{'good' if one < other else 'bad'}\n" for one in words for other in words))
    scores = tmp_path / "scores.csv"
    scores.write_text("text,score\n" + "".join(f"{words[number % 12]} {words[number // 2]},{0.25 + number / 7}\n" for number in range(24)))
    for rows, changes, message in (
        (data, {"teacher": str(begun)}, "is no classifier, the labels here are"),
        (tmp_path / "two.csv", {"teacher": str(taught[False])}, "is a classifier of .*, the labels here are"),
        (data, {"teacher": str(taught[True])}, "is a classifier of"),
        (scores, {"teacher": str(taught[False])}, "task regress cannot learn from one, classify alone can"),
        (data, {"teacher": str(taught[False]), "distill_weight": 0.0}, "distill_weight is 0.0: it must lie in"),
        (data, {"teacher": str(taught[False]), "distill_temperature": -1.0}, "distill_temperature is -1.0: it must be above 0"),
    ):
        with pytest.raises(InputError, match=message):
            plan_of(begun, rows, **changes)
