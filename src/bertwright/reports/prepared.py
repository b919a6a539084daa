"""The page of a folder that `prepare` wrote: the corpus report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertwright.reports.content import Block, Box, Boxes, Code, Folded, Notes, Prose, Section, Table, Tile, Tiles
from bertwright.reports.pictures import lengths_png
from bertwright.reports.reading import RunFiles
from bertwright.reports.wording import flattened, many, number, setting, share, ticks

ENDS = ("min", "p10", "median", "p90", "p99")


def prepared_sections(run: RunFiles, figures: Path) -> list[Section]:
    """All sections of a folder of shards."""
    corpus = run.corpus
    if not corpus:
        lines = [*run.notes, "corpus.json is missing: the text was prepared by an older version, or the file was removed"]
        return [Section("The corpus", [Notes(lines, "warning"), *_sizes(run)]), *_made(run), _use(run)]
    warnings = [*run.notes, *map(str, corpus.get("warnings") or ())]
    blocks: list[Block] = [Notes(warnings, "warning")] if warnings else []
    blocks.append(_tiles(corpus))
    if notes := [str(line) for line in corpus.get("notes") or ()]:
        blocks.append(Notes(notes))
    return [Section("The corpus", [*blocks, _splits(corpus)]), *_lengths(corpus, figures), Section("Tokenizer and rows", _rows(corpus)), *_made(run), _use(run)]


def _tiles(corpus: Mapping[str, Any]) -> Tiles:
    repeated = corpus.get("duplicates", 0) / max(corpus.get("documents", 0), 1)
    return Tiles(
        [
            Tile(name="tokens for training", value=f"{corpus.get('tokens', 0):,}", notes=[f"{corpus.get('validation_tokens', 0):,} held out"]),
            Tile(name="documents", value=f"{corpus.get('documents', 0):,}", notes=[str(corpus.get("reason") or "")]),
            Tile(name="text", value=f"{corpus.get('bytes', 0) / 1e6:,.1f} MB", notes=[many(int(corpus.get("files", 0)), "source")]),
            Tile(name="vocabulary", value=f"{corpus.get('vocab_size', 0):,}", notes=[f"{corpus.get('vocab_used', 0):,} of them in the text"]),
            Tile(name="unknown tokens", value=f"{corpus.get('unknown_rate', 0):.2%}"),
            Tile(name="repeated documents", value=share(repeated), notes=[f"{corpus.get('leakage', 0):,} held-out ones in the training text"]),
        ]
    )


def _splits(corpus: Mapping[str, Any]) -> Table:
    rows = [
        [name, f"{corpus.get(key, 0):,}", f"{corpus.get(f'validation_{key}', 0):,}"]
        for key, name in (("documents", "documents"), ("sentences", "sentences"), ("tokens", "tokens"), ("duplicates", "repeated documents"))
    ]
    return Table(head=("", "training", f"held out ({corpus.get('held_out', '')})"), rows=rows)


def _lengths(corpus: Mapping[str, Any], figures: Path) -> list[Section]:
    blocks: list[Block] = []
    for key, name in (("sentence_lengths", "sentences"), ("document_lengths", "documents")):
        numbers = corpus.get(key)
        if not isinstance(numbers, Mapping) or not all(end in numbers for end in ENDS):
            continue
        top = numbers["p99"] * 1.04 or 1.0
        places = dict(zip(("low", "first", "middle", "third", "high"), (numbers[end] / top for end in ENDS), strict=True))
        text = f"median {number(numbers['median'], 3)}, mean {number(numbers.get('mean'), 3)}, longest {number(numbers.get('max'), 5)}"
        blocks.append(Boxes(title=f"Tokens of {name}", boxes=[Box(label=name, **places, text=text)], ticks=ticks(0, top)))
        drawn = {name: dict(zip(("whislo", "q1", "med", "q3", "whishi"), (numbers[end] for end in ENDS), strict=True))}
        lengths_png(figures / f"{key}.png", drawn, unit="tokens", by="")
    told = "Boxes hold eight tenths of them, with the median; whiskers reach from the shortest to 99%."
    told += f" {corpus.get('one_sentence_documents', 0):,} documents have one sentence."
    return [Section("Lengths", [Prose(told), *blocks])] if blocks else []


def _rows(corpus: Mapping[str, Any]) -> list[Block]:
    rows = corpus.get("rows") or {}
    lines = [
        ["tokenizer", str(corpus.get("tokenizer", "–"))],
        ["lower case", "yes" if corpus.get("lowercase") else "no"],
        [f"cut off, in sentence pairs of {rows.get('max_seq_length', '?')} tokens", share(rows.get("truncated", 0.0))],
        ["padding of such pairs", share(rows.get("padding", 0.0))],
        ["next-sentence prediction", "possible" if corpus.get("nsp_possible") else "not possible"],
        ["entropy of token frequencies", f"{number(corpus.get('unigram_entropy'))} nats: the loss of a model that only knows how frequent each token is"],
    ]
    if corpus.get("segmenter"):
        lines.append(["words of the training text", f"{corpus.get('words', 0):,}, those of Chinese found by {corpus['segmenter']}"])
    blocks: list[Block] = [Table(head=("what", "which"), rows=lines, words=frozenset({0, 1})), *_new_vocabulary(corpus.get("new_vocabulary") or {})]
    text = [[name.replace("_", " "), f"{count:,}"] for name, count in (corpus.get("text") or {}).items() if count]
    return [*blocks, Table(head=("mended in the text", "how often"), rows=text)] if text else blocks


def _new_vocabulary(told: Mapping[str, Any]) -> list[Block]:
    """What entries were added to the tokenizer, and what they save."""
    entries, tokens, before = told.get("entries") or (), told.get("tokens", 0), told.get("tokens_before", 0)
    if not entries:
        return []
    rows = [["new entries", f"{len(entries):,}"], ["tokens of all the text without them", f"{before:,}"], ["with them", f"{tokens:,}"]]
    rows.append(["saved", share(1 - tokens / max(before, 1))])
    return [Table(head=("new vocabulary", ""), rows=rows), Folded("All new entries", [Prose(", ".join(map(str, entries)))])]


def _sizes(run: RunFiles) -> list[Block]:
    splits = run.shards.get("splits") or {}
    rows = [[name, *(f"{sizes.get(key, 0):,}" for key in ("documents", "sentences", "tokens"))] for name, sizes in splits.items()]
    return [Table(head=("", "documents", "sentences", "tokens"), rows=rows)] if rows else []


def _made(run: RunFiles) -> list[Section]:
    options = run.shards.get("options") or {}
    rows = [[key, setting(value)] for key, value in flattened(options).items()]
    return [Section("Settings", [Folded("Every key", [Table(head=("key", "value"), rows=rows, words=frozenset({0, 1}))])])] if rows else []


def _use(run: RunFiles) -> Section:
    return Section("What to do with it", [Code(f"bertwright pretrain {run.path} --out runs/a", "Command line")])
