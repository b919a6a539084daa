"""How many tokens a second one core turns into batches: cut from the shards, masked, labelled, ready for the model.

    python benchmarks/batches.py [--shards FOLDER] [--length 128] [--batch 128] [--batches 50] [--repeats 5] [NAME ...]

NAME is an objective, with what is masked behind a colon where that is not single tokens: mlm, mlm:word, mlm+nsp:span. Without shards a text is made up: four
million tokens in documents of 5 to 60 sentences of 5 to 40 tokens, three of four of which begin a word. Seconds are those of the processor, so other programs
disturb little; each name is measured in turn in every repeat, and its first batch, which draws the epoch's order, is not counted.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measurement import WORK, describe_machine, table, with_spread, write_results

if TYPE_CHECKING:
    from bertwright.data.samples import Vocabulary
    from bertwright.data.shards import Split

NAMES = ("mlm", "mlm+nsp", "mlm+sop", *(f"{name}:{unit}" for name in ("mlm", "mlm+nsp") for unit in ("word", "span", "ngram")))
VOCABULARY, TOKENS = 30_000, 4_000_000
# What the project promises, in millions of tokens a second and core.
PROMISED = {"mlm": 10.0}
PROMISED_OF_OTHERS = 2.0


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        split, vocabulary = _text(options.shards, Path(folder) / "shards")
        rates: dict[str, list[float]] = {name: [] for name in options.names}
        for _ in range(options.repeats):
            for name in options.names:
                rates[name].append(_rate(name, split, vocabulary, options))
    promised = {name: PROMISED.get(name, PROMISED_OF_OTHERS) for name in rates}
    print(describe_machine(), end="\n\n")
    rows = [[name, with_spread(found, ".1f"), f"{promised[name]:.0f}"] for name, found in rates.items()]
    print(table((f"rows of {options.length}, batches of {options.batch}", "million tokens/s and core", "promised"), rows))
    write_results(WORK / "batches.json", {"rates": rates, "promised": promised, "length": options.length, "batch": options.batch})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--shards", help="folder that `bertwright prepare` wrote")
    parser.add_argument("--length", type=int, default=128, help="tokens a row")
    parser.add_argument("--batch", type=int, default=128, help="rows a batch")
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def _text(shards: str | None, folder: Path) -> "tuple[Split, Vocabulary]":
    from bertwright.data.samples import Vocabulary
    from bertwright.data.shards import TokenShards
    from bertwright.text.tokenizer import Tokenizer

    if shards is not None:
        opened = TokenShards.open(shards)
        return opened.train, Vocabulary.of(Tokenizer.load(opened.tokenizer_folder))
    return _made_up(folder), Vocabulary(VOCABULARY, 0, 2, 3, 4, (0, 1, 2, 3, 4))


def _made_up(folder: Path) -> "Split":
    import numpy as np

    from bertwright.data.shards import ShardsWriter, TokenShards

    random = np.random.default_rng(0)
    sentences = random.integers(5, 41, size=TOKENS // 22)
    documents = random.integers(5, 61, size=len(sentences) // 70)
    sentences = sentences[: documents.sum()]
    with ShardsWriter(folder) as writer:
        writer.begin(vocab_size=VOCABULARY, word_start_table=random.random(VOCABULARY) < 0.75)
        writer.train.add(random.integers(5, VOCABULARY, size=sentences.sum()), sentences, documents)
        writer.commit(tokenizer_hash="", options={})
    return TokenShards.open(folder).train


def _rate(name: str, split: "Split", vocabulary: "Vocabulary", options: argparse.Namespace) -> float:
    """Million tokens a second."""
    import torch

    from bertwright.data.stream import Stream
    from bertwright.objectives.config import ObjectiveConfig
    from bertwright.objectives.registry import objective

    torch.set_num_threads(1)
    kind, _, unit = name.partition(":")
    keys: dict[str, Any] = {"objective": kind, **({"mask_unit": unit} if unit else {})}
    trained_for = objective(ObjectiveConfig(**keys), vocabulary)
    stream = Stream(trained_for.source(split, vocabulary, length=options.length, seed=0), seed=0)
    trained_for.batch(*stream.take(0, options.batch))
    tokens, start = 0, time.process_time()
    for first in range(options.batch, options.batch * (options.batches + 1), options.batch):
        tokens += trained_for.batch(*stream.take(first, first + options.batch)).tokens
    return tokens / (time.process_time() - start) / 1e6


if __name__ == "__main__":
    main()
