"""What a fine-tuning reached: its best checkpoint measured on the held-out rows, and the files that say so."""

import json
import platform
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bertwright import __version__
from bertwright.checkpoints.files import write_json_atomic, write_text_atomic
from bertwright.checkpoints.huggingface import load_model, read_config
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.data.labelled.examples import LabelledData
from bertwright.evaluation.labelled import Measured, measure
from bertwright.training.card import finetuned_card, hub_name, start_name
from bertwright.training.devices import Device
from bertwright.training.events import Event, Observer
from bertwright.training.finetune_config import FinetuneResult
from bertwright.training.finetune_plan import FinetunePlan
from bertwright.training.judging import judged_first
from bertwright.training.state import TrainState


def finish(plan: FinetunePlan, run: RunFolder, state: TrainState, device: Device, tell: Observer) -> FinetuneResult:
    """Measures the best checkpoint in float32 on validation and test rows; writes data.json, results.json, predictions/ and the checkpoint's card."""
    folder = run.read_best() or run.read_latest() or run.path
    model = load_model(folder, dtype=torch.float32).model.to(device.device)
    splits = {"validation": plan.splits.validation, **({"test": plan.splits.test} if plan.splits.test else {})}
    length = plan.config.max_seq_length or 0
    measured = {name: measure(plan.task, model, data, plan.start.tokenizer, max_length=length, train=plan.splits.train) for name, data in splits.items()}
    results = _results(plan, state, device, measured, parameters=sum(parameter.numel() for parameter in model.parameters()), best=folder)
    write_json_atomic(run.path / "data.json", plan.report.to_json())
    write_json_atomic(run.path / "results.json", results)
    (run.path / "predictions").mkdir(exist_ok=True)
    for name, found in measured.items():
        write_text_atomic(run.path / "predictions" / f"{name}.jsonl", _lines(splits[name], found))
    class_name = str(read_config(folder)["architectures"][0])
    run.rewrite(folder, {"README.md": card_of(plan, name=class_name, state=state, results=results)})
    for line in measured["test"].said if "test" in measured else ():  # of the others it was said before
        tell(Event("note", state.progress.step, {"text": f"test: {line}"}))
    for name, found in measured.items():
        tell(Event("result", state.progress.step, {"split": name, **judged_first(found.metrics, plan.task.metric)}))
    return FinetuneResult(run.path, folder, {name: found.metrics for name, found in measured.items()}, details=results)


def finished_before(run: RunFolder, plan: FinetunePlan) -> FinetuneResult | None:
    """What a finished run wrote; None where it did not come so far, where it is damaged, or where the test rows are others now."""
    path, folder = run.path / "results.json", run.read_best() or run.read_latest()
    if folder is None or not path.exists():
        return None
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        metrics = {name: dict(split["metrics"]) for name, split in results["splits"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):  # whatever a damaged file may hold
        return None
    return FinetuneResult(run.path, folder, metrics, details=results) if results.get("test_hash") == plan.test_hash else None


def card_of(plan: FinetunePlan, *, name: str, state: TrainState, results: Mapping[str, Any] | None = None) -> str:
    """The model card of a checkpoint: with the last evaluation of the training, or with the results at its end. name: Hugging Face's class."""
    metrics = {key.removeprefix("eval_"): value for key, value in state.metrics.items()}
    return finetuned_card(
        results=results or {"task": plan.task.name, "metric": plan.task.metric, "step": state.progress.step, "splits": {"validation": {"metrics": metrics}}},
        config={"checkpoint": start_name(plan.begun.folder), "train": plan.splits.train.name, **plan.config.as_dict()},
        data=plan.report.to_json(),
        labels=list(plan.splits.train.labels),
        family=str(plan.kept.get("model_type", plan.family.name)),
        name=name,
        several=plan.splits.train.several,
        base_model=hub_name(plan.begun.folder),
    )


def _results(plan: FinetunePlan, state: TrainState, device: Device, measured: Mapping[str, Measured], *, parameters: int, best: Path) -> dict[str, Any]:
    progress, stack = state.progress, plan.architecture.last
    rows = len(plan.source.items)
    best_step = int(best.name.removeprefix("step-")) if best.name.startswith("step-") else progress.step
    return {
        "task": plan.task.name,
        "model": {
            "family": str(plan.kept.get("model_type", plan.family.name)),
            "layers": stack.num_layers,
            "hidden_size": stack.block.hidden_size,
            "parameters": parameters,
            "begun_from": str(plan.begun.folder),
        },
        "metric": plan.task.metric,
        "labels": list(plan.splits.train.labels),
        "test_hash": plan.test_hash,
        "splits": {
            name: {
                "rows": len(found.predictions),
                "metrics": dict(found.metrics),
                "intervals": {key: list(bounds) for key, bounds in found.intervals.items()},
                "baseline": dict(found.baseline),
            }
            for name, found in measured.items()
        },
        "training": {
            "seconds": progress.seconds,
            "steps": progress.step,
            "epochs": progress.samples / max(rows, 1),
            "tokens": progress.tokens,
            "tokens_per_second": progress.tokens / max(progress.seconds, 1e-9),
            "peak_memory_bytes": _peak_memory(device),
            "best_step": best_step,
            "best_epoch": best_step * (plan.config.batch_size or 1) / max(rows, 1),
        },
        "environment": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "bertwright": __version__,
            "device": device.describe(),
            "precision": str(device.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
        },
    }


def _peak_memory(device: Device) -> int:
    """Bytes: of the device's own memory, or of this process."""
    if device.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device.device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def _lines(data: LabelledData, measured: Measured) -> str:
    """One JSON object for each example: what it says, what was predicted of it, and the loss."""
    rows = []
    for number, (example, prediction) in enumerate(zip(data.examples, measured.predictions, strict=True)):
        said = {name: _plain(getattr(example, name)) for name in example.__slots__ if name not in ("place", "spans")}
        shown = prediction.to_json()
        place = "" if example.place is None else str(example.place)
        rows.append(json.dumps({"row": number, "place": place, **said, "prediction": shown, "loss": shown.get("loss")}, ensure_ascii=False))
    return "\n".join(rows) + "\n"


def _plain(value: Any) -> Any:
    """An example's field as JSON holds it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return {name: getattr(value, name) for name in value.__slots__} if hasattr(value, "__slots__") else value
