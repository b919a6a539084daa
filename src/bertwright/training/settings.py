"""What every training is told, whatever it trains for; imports no torch."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass

BUDGETS = ("max_steps", "max_tokens", "num_train_epochs", "max_minutes")
OPTIMIZERS = ("muon", "adamw")
SCHEDULERS = ("linear", "cosine", "wsd", "inverse_sqrt", "constant")

# Keys that may differ between a run and its continuation: where and how it is watched and saved, not what is computed.
FREE_ON_RESUME = (
    "resume_from_checkpoint",
    "save_total_limit",
    "save_steps",
    "logging_steps",
    "micro_batch_size",
    "gradient_checkpointing",
    "torch_compile",
    "dry_run",
    "tensorboard",
    "profile",
    "verify",
    "test",
    "also_evaluate",
)
# Keys that follow the hardware unless they are given: a run may go on elsewhere.
OF_THE_HARDWARE = ("bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Budget, batch, optimizer, rhythm and files of a training. None means: chosen from the hardware, the model's size and the budget.

    Parameters
    ----------
    max_steps
        Budget in optimizer steps.
    max_tokens
        Budget in tokens read, padding not counted.
    num_train_epochs
        Budget in passes over the data.
    max_minutes
        Budget in minutes of training, evaluation and saving included.
    batch_size
        Sequences per update, over all devices.
    micro_batch_size
        Sequences per device and pass; the last pass of an update may be shorter. By default what the memory holds; halved where it does not.
    gradient_checkpointing
        Compute activations again in the backward pass: less memory, more time.
    optimizer
        muon (Muon for matrices, AdamW for the rest) or adamw.
    learning_rate
        Peak rate of AdamW.
    muon_learning_rate
        Peak rate of Muon.
    lr_scheduler_type
        After the warm-up: linear (down to 0 at the end of the budget), cosine, wsd (stays up, then falls), inverse_sqrt or constant.
    warmup_steps
        Steps of linear warm-up; below 1: a share of the budget.
    decay_steps
        Steps of wsd's fall at the end; below 1: a share of the budget.
    weight_decay
        Decoupled decay; never on biases and norms.
    adam_beta1
        Decay of AdamW's first moment.
    adam_beta2
        Decay of AdamW's second moment.
    adam_epsilon
        Added to AdamW's denominator.
    max_grad_norm
        Gradients are scaled down to this norm; 0: never.
    hidden_dropout_prob
        Dropout of embeddings and blocks.
    attention_probs_dropout_prob
        Dropout of the attention.
    seed
        Of weights, order, masks and dropout.
    bf16
        Compute in bfloat16.
    fp16
        Compute in float16 with loss scaling.
    eval_steps
        Steps between evaluations, or epoch.
    save_steps
        Steps between checkpoints, or epoch.
    save_total_limit
        Checkpoints kept; the latest and the best always are.
    logging_steps
        Steps between lines of metrics.jsonl, or epoch.
    resume_from_checkpoint
        auto, never, or a checkpoint folder of this run.
    tensorboard
        Also write TensorBoard files (needs the extra).
    profile
        Write profile.md and profile.json into the run folder: where the time of an update goes, after the first ten.
    dry_run
        Print the resolved config and the plan, and stop.
    """

    max_steps: int | None = None
    max_tokens: int | None = None
    num_train_epochs: float | None = None
    max_minutes: float | None = None
    batch_size: int | None = None
    micro_batch_size: int | None = None
    gradient_checkpointing: bool = False
    optimizer: str = "muon"
    learning_rate: float | None = None
    muon_learning_rate: float | None = None
    lr_scheduler_type: str = "linear"
    warmup_steps: float = 0.05
    decay_steps: float = 0.2
    weight_decay: float = 0.01
    adam_beta1: float = 0.9
    adam_beta2: float = 0.98
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    hidden_dropout_prob: float | None = None
    attention_probs_dropout_prob: float | None = None
    seed: int = 0
    bf16: bool | None = None
    fp16: bool = False
    eval_steps: int | str | None = None
    save_steps: int | str | None = None
    save_total_limit: int = 2
    logging_steps: int | str = 10
    resume_from_checkpoint: str = "auto"
    tensorboard: bool = False
    profile: bool = False
    dry_run: bool = False

    def problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        budgets = [name for name in BUDGETS if getattr(self, name) is not None]
        found = []
        if len(budgets) > 1:
            found.append(f"{' and '.join(budgets)} are both given: a run has one budget, take one away")
        found += [f"{name} is {getattr(self, name)}: it must be above 0" for name in budgets if not getattr(self, name) > 0]
        found += self.among({"optimizer": OPTIMIZERS, "lr_scheduler_type": SCHEDULERS})
        if self.bf16 and self.fp16:
            found.append("bf16 and fp16 are both given: take one")
        found += self.above_zero("batch_size", "micro_batch_size", "learning_rate", "muon_learning_rate", "adam_epsilon", "save_total_limit")
        found += self.not_below_zero("warmup_steps", "decay_steps", "weight_decay", "max_grad_norm")
        found += self._schedule_problems()
        found += self.shares("adam_beta1", "adam_beta2", "hidden_dropout_prob", "attention_probs_dropout_prob")
        if not 0 <= self.seed < 2**63:
            found.append(f"seed is {self.seed}: it must lie in [0, 2**63)")
        for name in ("eval_steps", "save_steps", "logging_steps"):
            value = getattr(self, name)
            if (isinstance(value, str) and value != "epoch") or (isinstance(value, int) and value < 1):
                found.append(f"{name} is {value!r}: give a number of steps above 0, or epoch")
        return found

    def _schedule_problems(self) -> list[str]:
        found = []
        if self.lr_scheduler_type == "inverse_sqrt" and not self.warmup_steps:
            found.append("lr_scheduler_type is 'inverse_sqrt' and warmup_steps is 0: its fall is measured in warm-ups, give some steps or a share")
        if self.lr_scheduler_type == "wsd" and self.decay_steps >= 1 and self.max_steps is None:
            found.append(f"decay_steps is {self.decay_steps:g}: steps can be counted from the end under max_steps alone, give a share below 1 or max_steps")
        return found

    def among(self, allowed: Mapping[str, Collection[str | None]]) -> list[str]:
        """One line for each key whose value is none of those allowed."""
        return [
            f"{name} is {getattr(self, name)!r}: take one of {', '.join(filter(None, values))}"
            for name, values in allowed.items()
            if getattr(self, name) not in values
        ]

    def above_zero(self, *names: str) -> list[str]:
        """One line for each of these keys that is given and not above 0."""
        return [f"{name} is {value}: it must be above 0" for name in names if (value := getattr(self, name)) is not None and not value > 0]

    def not_below_zero(self, *names: str) -> list[str]:
        """One line for each of these keys that is given and below 0."""
        return [f"{name} is {value}: it must be 0 or more" for name in names if (value := getattr(self, name)) is not None and not value >= 0]

    def shares(self, *names: str) -> list[str]:
        """One line for each of these keys that is given and lies outside [0, 1)."""
        return [f"{name} is {value}: it must lie in [0, 1)" for name in names if (value := getattr(self, name)) is not None and not 0 <= value < 1]

    def as_dict(self) -> dict[str, object]:
        """Every key and value, as YAML and JSON have them: several values are a list."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()}
