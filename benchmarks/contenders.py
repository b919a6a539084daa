"""One side of `against_trainer.py`, in a process of its own: `contenders.py rows|ours|default|tuned|score SETTING.json FOLDER RESULT.json`.

rows    cuts the rows that everybody trains on and the held-out ones with their masks
ours    trains with bertwright.pretrain; default, tuned: with transformers.Trainer
score   measures the masked loss of a saved folder, with transformers

Each role imports its own libraries, so that the memory of the imports can be told from that of the training.
"""

import json
import resource
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

FIRST_STEPS = 3  # left out of the median step: allocators and kernels are still finding their shapes
HELD_OUT_ROWS = 512
MASK_SEED = 1234
Setting = dict[str, Any]


def main() -> None:
    role, setting, folder, result = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), Path(sys.argv[3]), Path(sys.argv[4])
    roles: dict[str, Callable[[Setting, Path], dict[str, float]]] = {
        "rows": rows,
        "ours": ours,
        "default": trainer,
        "tuned": partial(trainer, tuned=True),
        "score": score,
    }
    found = roles[role](setting, folder)
    result.write_text(json.dumps(found), encoding="utf-8")


def rows(setting: Setting, folder: Path) -> dict[str, float]:
    """The rows of `steps` updates, unmasked, as bertwright's stream cuts them; and held-out documents, each cut into rows of its own, masked once."""
    from bertwright.data.samples import PackedRows
    from bertwright.data.shards import TokenShards
    from bertwright.data.stream import Stream

    shards = TokenShards.open(setting["shards"])
    vocabulary = _vocabulary(shards)
    source = PackedRows(shards.train, vocabulary, length=setting["max_seq_length"], seed=setting["seed"])
    samples, _, _ = Stream(source, seed=setting["seed"]).take(0, setting["steps"] * setting["batch_size"])
    held_out = _held_out_rows(shards.validation, vocabulary, length=setting["max_seq_length"])
    masked, labels = _mask(held_out, vocabulary)
    Path(setting["rows"]).parent.mkdir(parents=True, exist_ok=True)
    np.savez(setting["rows"], ids=samples.ids.astype(np.int32), lengths=samples.lengths, masked=masked, labels=labels, attention=held_out != vocabulary.pad_id)
    return {"tokens": float(samples.lengths.sum()), "scored": float((labels >= 0).sum())}


def _vocabulary(shards: Any) -> Any:
    from bertwright.data.samples import Vocabulary
    from bertwright.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(shards.tokenizer_folder)
    return Vocabulary.of(tokenizer)


def _held_out_rows(split: Any, vocabulary: Any, *, length: int) -> np.ndarray:
    """[rows, length]: no row holds two documents, so that what a model does at their border does not matter."""
    cut = []
    for start, stop in zip(split.document_tokens[:-1], split.document_tokens[1:], strict=True):
        cut += [split.tokens[place : min(place + length - 2, stop)] for place in range(start, stop, length - 2)]
    found = np.full((min(len(cut), HELD_OUT_ROWS), length), vocabulary.pad_id, dtype=np.int64)
    for row, tokens in zip(found, cut, strict=False):
        row[: len(tokens) + 2] = [vocabulary.cls_id, *tokens, vocabulary.sep_id]
    return found


def _mask(ids: np.ndarray, vocabulary: Any) -> tuple[np.ndarray, np.ndarray]:
    """15%, of them 80% [MASK], 10% random, 10% kept; labels are -100 elsewhere."""
    draw = np.random.default_rng(MASK_SEED)
    ordinary = np.flatnonzero(vocabulary.maskable)
    chosen, kind = (draw.random(ids.shape) < 0.15) & vocabulary.maskable[ids], draw.random(ids.shape)
    masked = np.where(chosen & (kind < 0.8), vocabulary.mask_id, ids)
    return np.where(chosen & (kind >= 0.9), draw.choice(ordinary, ids.shape), masked), np.where(chosen, ids, -100)


def ours(setting: Setting, folder: Path) -> dict[str, float]:
    """`bertwright.pretrain` with every default. Evaluation and saving come after the last step, when the clock and the memory have been read."""
    from bertwright import pretrain
    from bertwright.training.events import Event

    memory = Memory()
    run, shape = folder / "ours-run", folder / "ours.config.json"
    shutil.rmtree(run, ignore_errors=True)
    shape.write_text(json.dumps({"model_type": "bert", **_sizes(setting)}), encoding="utf-8")
    times: list[float] = []
    found: dict[str, float] = {}

    def watch(event: Event) -> None:
        if event.kind == "train":
            times.append(time.perf_counter())
            found.update(memory.peak(), tokens=float(event.values["tokens"]))

    once = dict.fromkeys(("max_steps", "eval_steps", "save_steps"), setting["steps"])
    asked = {key: setting[key] for key in ("batch_size", "max_seq_length", "seed")}
    result = pretrain(setting["shards"], out=run, model=str(shape), objective="mlm", logging_steps=1, observers=(watch,), **once, **asked)
    shutil.rmtree(folder / "ours", ignore_errors=True)
    shutil.move(result.checkpoint, folder / "ours")
    return found | _speed(times, int(found["tokens"]))


def trainer(setting: Setting, folder: Path, *, tuned: bool = False) -> dict[str, float]:
    """transformers.Trainer on the same rows, each of them once, in its own random order."""
    import transformers
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, DataCollatorForLanguageModeling, Trainer, TrainerCallback, TrainingArguments

    memory = Memory()
    _quiet(transformers.logging)
    torch.manual_seed(setting["seed"])
    tokenizer = AutoTokenizer.from_pretrained(Path(setting["shards"]) / "tokenizer")
    dropout = 0.0 if tuned else 0.1
    model = BertForMaskedLM(BertConfig.from_dict({**_sizes(setting), "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}))
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments: Any, **more: Any) -> None:
            times.append(time.perf_counter())

    data = Rows(setting)
    better = {"bf16": True, "learning_rate": 1e-3, "weight_decay": 0.01, "warmup_steps": max(1, setting["steps"] // 20)} if tuned else {}
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=setting["batch_size"],
        max_steps=setting["steps"],
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=setting["seed"],
        use_cpu=not torch.cuda.is_available(),
        **better,
    )
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=True, mlm_probability=0.15)
    Trainer(model=model, args=arguments, train_dataset=data, data_collator=collator, callbacks=[Clock()]).train()
    found = {"tokens": float(data.lengths.sum()), **memory.peak(), **_speed(times, int(data.lengths.sum()))}
    model.save_pretrained(folder / ("tuned" if tuned else "default"))
    return found


class Rows(torch.utils.data.Dataset[dict[str, list[int]]]):
    """The rows as a tokenizer would give them."""

    def __init__(self, setting: Setting) -> None:
        stored = np.load(setting["rows"])
        self.ids, self.lengths = stored["ids"], stored["lengths"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        width = self.ids.shape[1]
        return {"input_ids": self.ids[number].tolist(), "attention_mask": (np.arange(width) < self.lengths[number]).astype(int).tolist()}


@torch.no_grad()
def score(setting: Setting, folder: Path) -> dict[str, float]:
    """Masked cross-entropy (nats) and accuracy of a saved folder on the held-out rows, in float32."""
    import transformers
    from transformers import AutoModelForMaskedLM

    _quiet(transformers.logging)
    model, information = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    if information["missing_keys"] or information["unexpected_keys"]:
        raise SystemExit(f"{folder}: missing {information['missing_keys']}, unexpected {information['unexpected_keys']}")
    stored = np.load(setting["rows"])
    total = hits = count = 0.0
    for start in range(0, len(stored["masked"]), 32):
        part = slice(start, start + 32)
        ids, labels, attention = (torch.from_numpy(stored[name][part]) for name in ("masked", "labels", "attention"))
        scored = labels >= 0
        logits = model.eval()(input_ids=ids, attention_mask=attention.long()).logits[scored].float()
        total += torch.nn.functional.cross_entropy(logits, labels[scored], reduction="sum").item()
        hits += (logits.argmax(-1) == labels[scored]).sum().item()
        count += int(scored.sum())
    return {"masked_loss": total / count, "masked_accuracy": hits / count}


def _quiet(logging: Any) -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _sizes(setting: Setting) -> dict[str, int]:
    """config.json's words; heads are of size 64."""
    hidden = setting["hidden"]
    return {
        "vocab_size": setting["vocab_size"],
        "hidden_size": hidden,
        "num_hidden_layers": setting["layers"],
        "num_attention_heads": max(1, hidden // 64),
        "intermediate_size": 4 * hidden,
        "max_position_embeddings": 512,
    }


def _speed(times: list[float], tokens: int) -> dict[str, float]:
    """Tokens/s of the median step and of all steps but the first, whose begin nobody sees."""
    steps = np.diff(times)
    later = steps[min(FIRST_STEPS, len(steps) - 1) :]
    each = tokens / len(times)
    return {"tokens_per_second": each / statistics.median(later.tolist()), "tokens_per_second_overall": each * len(steps) / (times[-1] - times[0])}


class Memory:
    """Peak memory above what is there when it is made: resident memory on a CPU, allocated memory on a GPU."""

    def __init__(self) -> None:
        self.before = self._resident()

    @staticmethod
    def _resident() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def peak(self) -> dict[str, float]:
        if torch.cuda.is_available():
            return {"peak_bytes": float(torch.cuda.max_memory_allocated()), "resident_bytes": float(self._resident())}
        return {"peak_bytes": float(self._resident() - self.before), "resident_bytes": float(self._resident())}


if __name__ == "__main__":
    main()
