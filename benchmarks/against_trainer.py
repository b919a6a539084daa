"""bertwright beside transformers.Trainer: the same machine, rows, shapes and number of tokens, in turn in one run.

    python benchmarks/against_trainer.py [--case mini-8k mini-30k base] [--text FILE... | --shards FOLDER] [--repeats 3]

The Trainer runs at its defaults (float32, dropout 0.1) and tuned (bf16, no dropout, warm-up, a higher rate), both with its own collator for masked language
modelling; bertwright runs at its defaults. Every training has a process of its own, so that its peak memory is its own; the order turns round in every repeat.
Speed counts tokens that are no padding; the median step leaves the first steps out. Peak memory is what stands above the imports. The masked loss is measured
by transformers on the saved folders, with the same masks on the same held-out rows; it shows the state after a short training, not what a recipe can reach.
By default the text is the documentation of the running Python; it gives a vocabulary of 8,192, which unused entries fill up to the case's.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from measurement import WORK, describe_machine, prepared, table, with_spread, write_results

CONTENDERS = Path(__file__).with_name("contenders.py")
NAMES = {"default": "Trainer, defaults", "tuned": "Trainer, tuned", "ours": "bertwright"}
Measured = dict[str, list[dict[str, float]]]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all contenders share. Sizes in tokens and rows; `steps` are updates."""

    layers: int
    hidden: int
    vocab_size: int
    steps: int
    repeats: int
    batch_size: int = 32
    max_seq_length: int = 128
    seed: int = 0
    shards: str = ""
    rows: str = ""


CASES = {
    "mini-8k": Setting(layers=4, hidden=256, vocab_size=8192, steps=60, repeats=3),
    "mini-30k": Setting(layers=4, hidden=256, vocab_size=30_522, steps=40, repeats=3),
    "base": Setting(layers=12, hidden=768, vocab_size=30_522, steps=8, repeats=2),
}


def main() -> None:
    options = _options()
    print(describe_machine())
    results = {}
    for name in options.case:
        changed = {
            key: value for key in ("layers", "hidden", "vocab_size", "steps", "repeats", "batch_size", "max_seq_length") if (value := getattr(options, key))
        }
        setting = replace(CASES[name], **changed, rows=str(options.work / f"{name}.npz"))
        if options.shards:
            own = json.loads((options.shards / "shards.json").read_text(encoding="utf-8"))["vocab_size"]
            setting = replace(setting, shards=str(options.shards), vocab_size=own)
        else:
            setting = replace(setting, shards=str(prepared(options.text, work=options.work, vocab_size=setting.vocab_size)))
        measured = compare(setting, options.work / name)
        print("\n" + show(name, setting, measured))
        results[name] = {"setting": asdict(setting), "measured": measured}
    write_results(options.work / "against_trainer.json", {"cases": results})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--text", nargs="+", default=[], help="texts to prepare in place of the documentation of the running Python")
    parser.add_argument("--shards", type=Path, help="a folder that bertwright prepare wrote, with held-out documents; its vocabulary is the model's")
    parser.add_argument("--work", type=Path, default=WORK, help="folder for rows, models and the results as JSON")
    for name in ("layers", "hidden", "vocab_size", "steps", "repeats", "batch_size", "max_seq_length"):
        parser.add_argument(f"--{name}", type=int, help="in place of the case's own")
    return parser.parse_args()


def compare(setting: Setting, folder: Path) -> Measured:
    """Trains and scores every contender `repeats` times. Raises SystemExit when they did not read the same number of tokens."""
    measured: Measured = {name: [] for name in NAMES}
    for repeat in range(setting.repeats):
        turn = replace(setting, seed=setting.seed + repeat)
        _contender("rows", turn, folder)
        for name in list(NAMES) if repeat % 2 == 0 else list(reversed(NAMES)):
            found = _contender(name, turn, folder) | _contender("score", turn, folder / name)
            measured[name].append(found)
            print(f"  {NAMES[name]:<18} {found['tokens_per_second']:>8,.0f} tokens/s, masked loss {found['masked_loss']:.3f}", file=sys.stderr)
    tokens = {name: runs[0]["tokens"] for name, runs in measured.items()}
    if len(set(tokens.values())) > 1:
        raise SystemExit(f"the contenders did not read the same text: {tokens} tokens")
    return measured


def _contender(name: str, setting: Setting, folder: Path) -> dict[str, float]:
    said, result = folder / f"{name}.setting.json", folder / f"{name}.result.json"
    folder.mkdir(parents=True, exist_ok=True)
    said.write_text(json.dumps(asdict(setting)), encoding="utf-8")
    subprocess.run([sys.executable, CONTENDERS, name, said, folder, result], check=True, stdout=sys.stderr)
    found: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
    return found


def show(name: str, setting: Setting, measured: Measured) -> str:
    """The table of a case: medians over the repeats, then bertwright's medians as ratios."""
    columns = {"tokens_per_second": ",.0f", "tokens_per_second_overall": ",.0f", "peak_bytes": ",.0f", "masked_loss": ".3f"}
    scale = {"peak_bytes": 1e-6}
    values = {who: {key: [run[key] * scale.get(key, 1) for run in runs] for key in columns} for who, runs in measured.items()}
    medians = {who: {key: statistics.median(found[key]) for key in columns} for who, found in values.items()}
    rows = [[NAMES[who], *(with_spread(found[key], form) for key, form in columns.items())] for who, found in values.items()]
    rows += [[f"bertwright / {NAMES[who]}", *(f"{medians['ours'][key] / medians[who][key]:.2f}" for key in columns)] for who in ("default", "tuned")]
    shape = f"{setting.layers}x{setting.hidden}, vocabulary {setting.vocab_size:,}, batch {setting.batch_size} x {setting.max_seq_length}"
    header = (f"{name}: {shape}", "tokens/s, median step", "tokens/s, all steps", "peak memory, MB", f"masked loss after {setting.steps} steps")
    return table(header, rows)


if __name__ == "__main__":
    main()
