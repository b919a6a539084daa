"""An observer with a method for each thing that happens in a training; imports no torch."""

from bertwright.training.events import Event

# The method that is called for each kind of event.
METHODS = {
    "train_begin": "on_train_begin",
    "train_end": "on_train_end",
    "epoch_begin": "on_epoch_begin",
    "epoch_end": "on_epoch_end",
    "batch_begin": "on_batch_begin",
    "batch_end": "on_batch_end",
    "train": "on_log",
    "evaluate": "on_evaluate",
    "save": "on_save",
}


class Callback:
    """An observer: override what you want to hear of, and give it in `observers`. What is not overridden costs nothing.

    A batch is one update of the weights, of `batch_size` samples. `event.step` counts updates from 1, `event.values` holds numbers by name:
    losses in nats, rates per second, times in seconds. What a method raises ends the training.
    """

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of event whose methods are overridden."""
        return frozenset(kind for kind, method in METHODS.items() if getattr(type(self), method) is not getattr(Callback, method))

    def __call__(self, event: Event) -> None:
        if method := METHODS.get(event.kind):
            getattr(self, method)(event)

    def on_train_begin(self, event: Event) -> None:
        """Before the first step of this process, after a resume too; `step`: of the checkpoint gone on from, or 0. Values: samples, tokens, seconds."""

    def on_train_end(self, event: Event) -> None:
        """After the last checkpoint, also where a signal or patience ended the training. Values: samples, tokens, seconds, and the last evaluation's."""

    def on_epoch_begin(self, event: Event) -> None:
        """Before the first step of an epoch, or of what a resume left of it. Values: epoch, from 0."""

    def on_epoch_end(self, event: Event) -> None:
        """After the last step of an epoch, its evaluation and checkpoint. Values: epoch, and the last evaluation's."""

    def on_batch_begin(self, event: Event) -> None:
        """Before an update. Values: epoch, samples (seen before it)."""

    def on_batch_end(self, event: Event) -> None:
        """After an update. Values: epoch, loss, each term's loss, grad_norm, tokens (of this update)."""

    def on_log(self, event: Event) -> None:
        """Every `logging_steps`. Values as in metrics.jsonl: loss, learning_rate, grad_norm, tokens_per_second, seconds, samples, tokens, epoch, fraction."""

    def on_evaluate(self, event: Event) -> None:
        """After an evaluation. Values: eval_loss and all other metrics."""

    def on_save(self, event: Event) -> None:
        """After a checkpoint was written. Values: folder, its name; best, 1 where it is the best so far."""
