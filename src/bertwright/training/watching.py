"""How a run begins, and who is told what happens in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import yaml

from bertwright.checkpoints.files import write_text_atomic
from bertwright.checkpoints.run_folder import RunFolder
from bertwright.training.devices import Device
from bertwright.training.events import Event, Observer, Watchers
from bertwright.training.logs import FileLog
from bertwright.training.state import CheckpointWriter, TrainState


@contextmanager
def watched(run: RunFolder, device: Device, observers: Sequence[Observer], *, tensorboard: bool) -> Iterator[Watchers]:
    """The observers and the run's own files; nobody on processes that do not lead."""
    if not device.leads:
        yield Watchers()
        return
    log = FileLog(run, tensorboard=tensorboard)
    try:
        yield Watchers([*observers, log])
    finally:
        log.close()


def begin(
    run: RunFolder, config: Mapping[str, object], state: TrainState, checkpoint: Path | None, notes: list[str], tell: Observer, *, finished: bool
) -> None:
    """Writes config.yaml where the run is new, cuts metrics.jsonl back to the step gone on from, and says what is to be noted; finished: the training is."""
    if checkpoint is None or not (run.path / "config.yaml").exists():
        write_text_atomic(run.path / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    run.cut_metrics(-1 if checkpoint is None else state.progress.step)
    if checkpoint is not None:
        notes.append(f"{run.path} is already finished (step {state.progress.step})" if finished else f"going on from {checkpoint.name}")
    for note in filter(None, notes):
        tell(Event("note", state.progress.step, {"text": note}))


def saving(writer: CheckpointWriter, run: RunFolder, device: Device, tell: Observer, *, keep: int | None) -> Callable[[TrainState, bool], None]:
    """What writes a checkpoint of a state, marked when it is the best so far, on the process that leads, while the others wait. keep: of the newest ones."""

    def save(state: TrainState, best: bool) -> None:
        if device.leads:
            step = state.progress.step
            folder = run.save(step, partial(writer.write, state=state), best=best, keep=keep)
            tell(Event("save", step, {"folder": folder.name, "best": int(best)}))
        device.wait()

    return save
