"""Forward, and forward with backward, of every family beside transformers with the fastest attention it has for that family.

    python benchmarks/models_beside_transformers.py
    python benchmarks/models_beside_transformers.py --families bert --size base --dtype bfloat16 --repeats 5

Both sides have the same weights: transformers makes the checkpoint, bertwright loads it. They take turns in one process; a number is the median of the
turns, and what counts is the ratio. The loss is the sum of the last hidden state, so that heads play no part.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
logging.disable(logging.WARNING)

CASES = {
    "full rows": (8, 128, False),
    "real lengths": (32, 128, True),
    "one short text": (1, 24, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", help="default: all but nezha, which transformers 5 does not have")
    parser.add_argument("--size", default="small", help="a preset's size: tiny, mini, small, medium, base, large")
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default=None, help="default: the GPU where there is one")
    asked = parser.parse_args()

    from measurement import WORK, describe_machine, table, write_results

    print(describe_machine(), flush=True)
    rows: list[list[str]] = []
    results: list[dict[str, Any]] = []
    for family in asked.families or _families():
        for case in asked.cases:
            found = measure(family, asked.size, case, dtype=asked.dtype, repeats=asked.repeats, device=asked.device)
            results.append(found)
            rows.append([found["model"], case, found["attention"], *(_cell(found[part]) for part in ("forward", "both"))])
            print("  ".join(rows[-1]), flush=True)
    print("\n" + table(["model", "rows", "their attention", "forward: theirs / ours", "with backward: theirs / ours"], rows))
    write_results(WORK / "models_beside_transformers.json", {"asked": vars(asked), "results": results})


def _families() -> list[str]:
    from bertwright.families import FAMILIES

    return [family.name for family in FAMILIES if family.name not in ("nezha", "xlm-roberta", "mt5")]


def _cell(found: dict[str, float]) -> str:
    return f"{found['theirs'] / found['ours']:.2f} ({found['theirs'] * 1e3:,.0f} / {found['ours'] * 1e3:,.0f} ms)"


def measure(family: str, size: str, case: str, *, dtype: str, repeats: int, device: str | None) -> dict[str, Any]:
    """Seconds of both sides, forward without gradients and forward with backward, on one kind of rows."""
    import torch

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    theirs, attention, ours = _both_models(family, size, dtype=getattr(torch, dtype), device=place)
    batch, length, ragged = CASES[case]
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 900, (batch, length), generator=generator).to(place)
    mask = torch.ones_like(ids)
    if ragged:
        lengths = torch.randint(16, length + 1, (batch,), generator=generator).to(place)
        mask = (torch.arange(length, device=place) < lengths[:, None]).long()
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask if ragged else None}
    if ours.encoder is not None and ours.decoder is not None:
        inputs["decoder_input_ids"] = ids[:, : length // 2]
    found: dict[str, Any] = {"model": f"{family}-{size}", "case": case, "attention": attention, "dtype": dtype, "device": str(place)}
    real = mask.bool()
    with torch.inference_mode():
        left, right = theirs(**inputs).last_hidden_state, ours(**inputs).last_hidden_state
        if left.shape[:2] == real.shape:
            left, right = left[real], right[real]
        found["difference"] = (left - right).abs().max().item()
    found["forward"] = _turns(lambda model: _forward(model, inputs), theirs, ours, repeats=repeats, device=place)
    found["both"] = _turns(lambda model: _forward_backward(model, inputs), theirs, ours, repeats=repeats, device=place)
    return found


def _both_models(family: str, size: str, *, dtype: Any, device: Any) -> tuple[Any, str, Any]:
    import transformers

    from bertwright.checkpoints.huggingface import load_model
    from bertwright.families import FAMILIES, family_of, preset

    described = preset(f"{family}-{size}", vocab_size=1000)
    name = next(entry.base_class for entry in FAMILIES if entry is family_of(described))
    config = transformers.AutoConfig.for_model(**described)
    try:
        theirs, attention = getattr(transformers, name)._from_config(config, attn_implementation="sdpa"), "sdpa"
    except ValueError:
        theirs, attention = getattr(transformers, name)._from_config(config, attn_implementation="eager"), "eager"
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load_model(Path(folder), dtype=dtype, heads=()).model
    return theirs.to(device=device, dtype=dtype).eval(), attention, ours.to(device).eval()


def _forward(model: Any, inputs: dict[str, Any]) -> None:
    import torch

    with torch.inference_mode():
        model(**inputs)


def _forward_backward(model: Any, inputs: dict[str, Any]) -> None:
    model.zero_grad(set_to_none=True)
    model(**inputs).last_hidden_state.sum().backward()


def _turns(work: Callable[[Any], None], theirs: Any, ours: Any, *, repeats: int, device: Any) -> dict[str, float]:
    """Median seconds of each side's turns; the first turn of both is not counted. A turn is as many calls as make a tenth of a second."""
    import torch

    calls = 1
    seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
    for turn in range(repeats + 1):
        for side, model in (("theirs", theirs), ("ours", ours)) if turn % 2 else (("ours", ours), ("theirs", theirs)):
            start = time.perf_counter()
            for _ in range(calls):
                work(model)
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[side].append((time.perf_counter() - start) / calls)
        if turn == 0:
            calls = max(1, min(200, round(0.1 / seconds["ours"][0])))
    return {side: statistics.median(measured[1:]) for side, measured in seconds.items()}


if __name__ == "__main__":
    main()
