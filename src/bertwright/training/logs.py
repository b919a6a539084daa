"""What a run writes about itself: metrics.jsonl, log.txt and, with the extra, TensorBoard files."""

import importlib
from typing import Any

from bertwright.checkpoints.run_folder import RunFolder
from bertwright.errors import InputError
from bertwright.training.events import Event


class FileLog:
    """An observer that writes every milestone into the run folder. Raises InputError when TensorBoard is asked for and not installed."""

    def __init__(self, run: RunFolder, *, tensorboard: bool) -> None:
        self.run = run
        self._make_writer = _summary_writer() if tensorboard else None
        self._writer: Any = None

    def __call__(self, event: Event) -> None:
        if event.kind in ("train", "evaluate"):
            self.run.append_metrics({"step": event.step, "kind": event.kind, **event.values})
            if self._make_writer is not None:
                # What a killed run wrote beyond the step that it goes on from is taken back.
                self._writer = self._writer or self._make_writer(str(self.run.path / "tensorboard"), purge_step=event.step)
                for name, value in event.values.items():
                    if isinstance(value, int | float):
                        self._writer.add_scalar(name, value, event.step)
        with (self.run.path / "log.txt").open("a", encoding="utf-8") as file:
            shown = " ".join(f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}" for name, value in event.values.items())
            file.write(f"step {event.step} {event.kind}: {shown}\n")

    def close(self) -> None:
        """Writes what TensorBoard still holds back."""
        if self._writer is not None:
            self._writer.close()


def _summary_writer() -> Any:
    try:
        return importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError:
        raise InputError("tensorboard is not installed: pip install 'bertwright[tensorboard]', or leave --tensorboard out") from None
