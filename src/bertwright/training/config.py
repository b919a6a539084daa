"""What a pre-training run is told, as one flat set of keys; imports no torch."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

BUDGETS = ("max_steps", "max_tokens", "num_train_epochs", "max_minutes")
OPTIMIZERS = ("muon", "adamw")
STARTS = ("neighbours", "random")
SCHEDULERS = ("linear", "constant")
OBJECTIVES = ("mlm+nsp", "mlm")

# Keys that may differ between a run and its continuation: where and how it is watched and saved, not what is computed.
FREE_ON_RESUME = ("resume_from_checkpoint", "save_total_limit", "save_steps", "logging_steps", "micro_batch_size", "dry_run", "tensorboard", "verify")
# Keys that follow the hardware unless they are given: a run may go on elsewhere.
OF_THE_HARDWARE = ("bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Settings of a pre-training run. None means: chosen from the hardware, the model's size and the budget.

    Parameters
    ----------
    model
        A preset, such as bert-small or roberta-base, or a config.json: new weights.
    init_from
        A checkpoint whose weights to begin with, in place of new ones.
    extend_positions
        Places to stretch the learned absolute positions to, by interpolation, for longer rows.
    objective
        mlm+nsp or mlm.
    max_steps
        Budget in optimizer steps.
    max_tokens
        Budget in tokens read, padding not counted.
    num_train_epochs
        Budget in passes over the text.
    max_minutes
        Budget in minutes of training, evaluation and saving included.
    max_seq_length
        Tokens a row, [CLS] and [SEP] included.
    batch_size
        Sequences per update, over all devices.
    micro_batch_size
        Sequences per device and pass; the last pass of an update may be shorter.
    optimizer
        muon (Muon for matrices, AdamW for the rest) or adamw.
    learning_rate
        Peak rate of AdamW.
    muon_learning_rate
        Peak rate of Muon.
    lr_scheduler_type
        linear (down to 0 at the end of the budget) or constant, after the warm-up.
    warmup_steps
        Steps of linear warm-up; below 1: a share of the budget.
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
    mlm_probability
        Share of the tokens that are masked.
    start
        neighbours (heads that begin by looking at the tokens beside them) or random.
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
    eval_samples
        Held-out samples per evaluation.
    save_steps
        Steps between checkpoints, or epoch.
    save_total_limit
        Checkpoints kept; the latest and the best always are.
    logging_steps
        Steps between lines of metrics.jsonl, or epoch.
    resume_from_checkpoint
        auto, never, or a checkpoint folder of this run.
    verify
        Read every shard and compare its hash before training.
    tensorboard
        Also write TensorBoard files (needs the extra).
    dry_run
        Print the resolved config and the plan, and stop.
    """

    model: str = "bert-mini"
    init_from: str | None = None
    extend_positions: int | None = None
    objective: str = "mlm+nsp"
    max_steps: int | None = None
    max_tokens: int | None = None
    num_train_epochs: float | None = None
    max_minutes: float | None = None
    max_seq_length: int = 128
    batch_size: int | None = None
    micro_batch_size: int | None = None
    optimizer: str = "muon"
    learning_rate: float | None = None
    muon_learning_rate: float | None = None
    lr_scheduler_type: str = "linear"
    warmup_steps: float = 0.05
    weight_decay: float = 0.01
    adam_beta1: float = 0.9
    adam_beta2: float = 0.98
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    mlm_probability: float = 0.15
    start: str | None = None
    hidden_dropout_prob: float | None = None
    attention_probs_dropout_prob: float | None = None
    seed: int = 0
    bf16: bool | None = None
    fp16: bool = False
    eval_steps: int | str | None = None
    eval_samples: int | None = None
    save_steps: int | str | None = None
    save_total_limit: int = 2
    logging_steps: int | str = 10
    resume_from_checkpoint: str = "auto"
    verify: bool = False
    tensorboard: bool = False
    dry_run: bool = False

    def problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        budgets = [name for name in BUDGETS if getattr(self, name) is not None]
        found = []
        if len(budgets) > 1:
            found.append(f"{' and '.join(budgets)} are both given: a run has one budget, take one away")
        found += [f"{name} is {getattr(self, name)}: it must be above 0" for name in budgets if not getattr(self, name) > 0]
        found += self._choices()
        positive = (
            "extend_positions",
            "batch_size",
            "micro_batch_size",
            "learning_rate",
            "muon_learning_rate",
            "eval_samples",
            "adam_epsilon",
            "save_total_limit",
        )
        found += [f"{name} is {value}: it must be above 0" for name in positive if (value := getattr(self, name)) is not None and not value > 0]
        found += [
            f"{name} is {value}: it must be 0 or more" for name in ("warmup_steps", "weight_decay", "max_grad_norm") if not (value := getattr(self, name)) >= 0
        ]
        rates = ("adam_beta1", "adam_beta2", "hidden_dropout_prob", "attention_probs_dropout_prob")
        found += [f"{name} is {value}: it must lie in [0, 1)" for name in rates if (value := getattr(self, name)) is not None and not 0 <= value < 1]
        if not 0 < self.mlm_probability < 1:
            found.append(f"mlm_probability is {self.mlm_probability}: it must lie between 0 and 1, for example 0.15")
        if self.max_seq_length < 8:
            found.append(f"max_seq_length is {self.max_seq_length}: it must be at least 8")
        if not 0 <= self.seed < 2**63:
            found.append(f"seed is {self.seed}: it must lie in [0, 2**63)")
        for name in ("eval_steps", "save_steps", "logging_steps"):
            value = getattr(self, name)
            if (isinstance(value, str) and value != "epoch") or (isinstance(value, int) and value < 1):
                found.append(f"{name} is {value!r}: give a number of steps above 0, or epoch")
        return found

    def _choices(self) -> list[str]:
        allowed = {"objective": OBJECTIVES, "optimizer": OPTIMIZERS, "start": (None, *STARTS), "lr_scheduler_type": SCHEDULERS}
        found = [
            f"{name} is {getattr(self, name)!r}: take one of {', '.join(filter(None, values))}"
            for name, values in allowed.items()
            if getattr(self, name) not in values
        ]
        if self.bf16 and self.fp16:
            found.append("bf16 and fp16 are both given: take one")
        if self.init_from and self.start:
            found.append(f"start is {self.start!r} and init_from is {self.init_from!r}: new weights or a checkpoint's, take one away")
        return found

    def as_dict(self) -> dict[str, object]:
        """Every key and value."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class PretrainResult:
    """Where a run lies, its best checkpoint (the latest where nothing could be measured), and the last evaluation's values by name."""

    run: Path
    checkpoint: Path
    metrics: dict[str, float]
