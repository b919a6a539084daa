"""transformers.Trainer as a rival of `bertwright bench`: the same text, vocabulary, shape, batch and seconds, its own collator, loss and optimizer.

    bertwright bench SHARDS --rival "benchmarks/rival.py" "benchmarks/rival.py --tuned" "benchmarks/rival.py --tuned --learning_rate 3e-4"
    python benchmarks/rival.py [--tuned] [--learning_rate RATE] SETTING.json OUTCOME.json

Without --tuned it runs at the defaults of TrainingArguments and of the model's config: float32, a rate of 5e-5, BERT's dropout of 0.1. Tuned: bfloat16, no
dropout, warm-up over a twentieth, weight decay 0.01, a rate of 1e-3. Its rows are full ones, cut from the training text, documents joined, so that it wastes
nothing on padding. The steps that fit into the seconds are counted from a few that are thrown away; saving is not part of its time.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.data import Dataset
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer, DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

from bertwright.bench.contest import Outcome, Point, Setting, write
from bertwright.bench.machine import peak_bytes
from bertwright.data.samples import Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.families import preset
from bertwright.text.tokenizer import Tokenizer

TRIED, LEFT_OUT = 15, 3
POINTS = 4
DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuned", action="store_true", help="bf16, no dropout, warm-up, a higher rate")
    parser.add_argument("--learning_rate", type=float, help="in place of 5e-5, tuned 1e-3")
    parser.add_argument("setting", type=Path)
    parser.add_argument("outcome", type=Path)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    write(options.outcome, race(Setting.read(options.setting), tuned=options.tuned, learning_rate=options.learning_rate))


def race(setting: Setting, *, tuned: bool, learning_rate: float | None) -> Outcome:
    before = peak_bytes(0)
    shards = TokenShards.open(setting.shards)
    data = Rows(shards, setting)
    tokenizer = AutoTokenizer.from_pretrained(shards.tokenizer_folder)
    torch.manual_seed(setting.seed)
    described = preset(setting.model, vocab_size=shards.vocab_size)
    dropped = {key: 0.0 if tuned else 0.1 for key in DROPOUT if key in described}
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(**{**described, **dropped}))
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def train(steps: int, clock: "Clock") -> None:
        better = {"bf16": True, "weight_decay": 0.01, "warmup_steps": max(1, steps // 20)} if tuned else {}
        arguments = TrainingArguments(
            output_dir=setting.folder,
            per_device_train_batch_size=setting.batch_size,
            max_steps=steps,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=setting.seed,
            use_cpu=not torch.cuda.is_available(),
            learning_rate=learning_rate or (1e-3 if tuned else 5e-5),
            **better,
        )
        collator = DataCollatorForLanguageModeling(tokenizer, mlm=True, mlm_probability=0.15)
        Trainer(model=model, args=arguments, train_dataset=data, data_collator=collator, callbacks=[clock]).train()

    trial = Clock(model, setting, steps=TRIED, points=0)
    train(TRIED, trial)
    model.load_state_dict(first)
    steps = max(POINTS, int(setting.seconds / trial.step_seconds()))
    clock = Clock(model, setting, steps=steps, points=POINTS)
    train(steps, clock)
    peak = peak_bytes(before)
    rate = setting.batch_size * setting.max_seq_length / clock.step_seconds()
    return Outcome(points=tuple(clock.found), tokens_per_second=rate, peak_bytes=peak)


class Clock(TrainerCallback):
    """Counts the seconds of training, and stops counting while it saves."""

    def __init__(self, model: torch.nn.Module, setting: Setting, *, steps: int, points: int) -> None:
        self.model, self.setting, self.steps, self.points = model, setting, steps, points
        self.times: list[float] = []
        self.found: list[Point] = []
        self.begun = self.saving = 0.0

    def on_train_begin(self, *arguments: Any, **more: Any) -> None:
        self.begun = time.perf_counter()

    def on_step_end(self, arguments: Any, state: Any, control: Any, **more: Any) -> None:
        seconds = time.perf_counter() - self.begun - self.saving
        self.times.append(seconds)
        if not self.points or (state.global_step * self.points) // self.steps == ((state.global_step - 1) * self.points) // self.steps:
            return
        began = time.perf_counter()
        folder = Path(self.setting.folder) / f"step-{state.global_step}"
        self.model.save_pretrained(folder)
        tokens = state.global_step * self.setting.batch_size * self.setting.max_seq_length
        self.found.append(Point(seconds=seconds, tokens=float(tokens), folder=str(folder)))
        self.saving += time.perf_counter() - began

    def step_seconds(self) -> float:
        return statistics.median(np.diff(self.times)[min(LEFT_OUT, len(self.times) - 2) :].tolist())


class Rows(Dataset[dict[str, list[int]]]):
    """[CLS] text [SEP], every row full, documents joined."""

    def __init__(self, shards: TokenShards, setting: Setting) -> None:
        vocabulary, text = Vocabulary.of(Tokenizer.load(shards.tokenizer_folder)), np.asarray(shards.train.tokens)
        width = setting.max_seq_length - 2
        body = text[: len(text) // width * width].reshape(-1, width).astype(np.int64)
        self.ids = np.pad(body, ((0, 0), (1, 1)))
        self.ids[:, 0], self.ids[:, -1] = vocabulary.cls_id, vocabulary.sep_id

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        return {"input_ids": self.ids[number].tolist(), "attention_mask": [1] * self.ids.shape[1]}


if __name__ == "__main__":
    main()
