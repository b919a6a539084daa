"""What `bertwright memory` foretells beside what a process really holds: resident memory on a CPU, what the card has given away on a GPU.

    python benchmarks/memory.py [--only 0,3]

Each setting is a process of its own that trains three updates of one pass with new weights, or predicts twice, on made-up rows; its peak is counted
above what it held with everything imported. On a GPU nothing else may use the card.
"""

import argparse
import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measurement import WORK, describe_machine, table, write_results

VOCABULARY = 30_522


@dataclass(frozen=True)
class Case:
    model: str
    objective: str
    rows: int
    length: int
    bf16: bool = True
    optimizer: str = "adamw"
    gradient_checkpointing: bool = False


CASES = (
    Case("bert-base", "mlm", 8, 128),
    Case("bert-base", "mlm", 32, 128, optimizer="muon"),
    Case("bert-base", "mlm", 8, 512),
    Case("bert-base", "mlm", 8, 128, bf16=False),
    Case("bert-base", "mlm+nsp", 8, 512, bf16=False, optimizer="muon"),
    Case("bert-base", "mlm", 32, 256, gradient_checkpointing=True),
    Case("bert-large", "mlm", 4, 128),
    Case("bert-large", "mlm", 4, 512, optimizer="muon", gradient_checkpointing=True),
    Case("bert-mini", "mlm", 512, 128, optimizer="muon"),
    Case("bert-mini", "mlm", 256, 512),
    Case("gpt2-base", "clm", 8, 256),
    Case("t5-base", "span_corruption", 8, 256),
    Case("bart-base", "denoising", 8, 256, bf16=False),
    Case("modernbert-base", "mlm", 8, 512, optimizer="muon"),
    Case("electra-base", "rtd", 8, 128),
    Case("bert-large", "predict", 16, 512, bf16=False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: [int(number) for number in text.split(",")], help="numbers of the cases to measure")
    parser.add_argument("--held", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.held:
        print(json.dumps(held(Case(**options.held))))
        return
    print(describe_machine(), flush=True)
    found = []
    for case in [CASES[number] for number in options.only or range(len(CASES))]:
        command = [sys.executable, __file__, "--held", json.dumps(vars(case))]
        found.append({**vars(case), **json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])})
        print(row(found[-1]), flush=True)
    print(table(HEADER, [row(each) for each in found]))
    write_results(WORK / "memory.json", {"cases": found})


HEADER = ("setting", "foretold, MB", "held, MB", "foretold / held")


def row(found: dict[str, Any]) -> tuple[str, ...]:
    kind = f"{'bf16' if found['bf16'] else 'fp32'}" + ("" if found["objective"] == "predict" else f" {found['optimizer']}")
    name = f"{found['model']} {found['objective']} {found['rows']} x {found['length']} {kind}" + (" recomputed" if found["gradient_checkpointing"] else "")
    return name, f"{found['foretold'] / 10**6:,.0f}", f"{found['held'] / 10**6:,.0f}", f"{found['foretold'] / found['held']:.3f}"


def held(case: Case) -> dict[str, float]:
    """Bytes foretold, and bytes that three updates hold at the fullest moment: of the process, on a GPU of its tensors."""
    import torch

    from bertwright.models.stack import recompute_activations
    from bertwright.training.config import PretrainConfig
    from bertwright.training.devices import device_of_this_process
    from bertwright.training.made_up import made_up_run
    from bertwright.training.memory import overhead_of, with_overhead
    from bertwright.training.step import Updater

    run = made_up_run(
        case.model,
        objective=case.objective,
        length=case.length,
        bf16=case.bf16,
        kept=False if torch.cuda.is_available() else None,
        optimizer=case.optimizer,
        gradient_checkpointing=case.gradient_checkpointing,
        vocab_size=VOCABULARY,
    )
    device = device_of_this_process(bf16=case.bf16, fp16=False)
    (memory,), on_gpu = run.memories([(case.rows, case.length)]), device.device.type == "cuda"
    foretold = memory.total if on_gpu else with_overhead(memory, overhead_of(run.setting, gpu=False))
    before = 0 if on_gpu else resident()
    if run.objective is None:
        model = run.build().eval().to(device.device, run.setting.dtype)
        with torch.inference_mode():
            for _ in range(2):
                model(torch.zeros(case.rows, case.length, dtype=torch.long, device=device.device))
        return {"foretold": foretold, "held": peak(device) - before}
    model = run.build()
    if case.gradient_checkpointing:
        recompute_activations(model)
    config = PretrainConfig(optimizer=case.optimizer, learning_rate=1e-4, muon_learning_rate=1e-4)
    updater = Updater.of(model.to(device.device), run.objective, config, device)
    batch = run.batch(rows=case.rows, length=case.length)
    for number in range(3):
        updater.step([batch], number=number, factor=1.0)
    return {"foretold": foretold, "held": peak(device) - before}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak(device: Any) -> int:
    import torch

    if device.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
