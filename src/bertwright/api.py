"""The Python side of the commands: the same names, the same keys, results as objects."""

import dataclasses
import difflib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bertwright.data.prepare import PrepareConfig
from bertwright.data.prepare import prepare as prepare_shards
from bertwright.data.report import CorpusReport
from bertwright.data.samples import Source, Vocabulary
from bertwright.data.shards import Split, TokenShards
from bertwright.data.stream import Stream
from bertwright.errors import InputError
from bertwright.evaluation.pretraining import SEED, chance
from bertwright.evaluation.pretraining import evaluate as measure
from bertwright.inference.predictor import Predictor, load
from bertwright.objectives import Objective, objective
from bertwright.text.tokenizer import Tokenizer
from bertwright.training.config import PretrainConfig, PretrainResult
from bertwright.training.events import Observer
from bertwright.training.pretrain import pretrain as train

__all__ = ["Predictor", "evaluate", "load", "prepare", "pretrain"]

Config = TypeVar("Config", PrepareConfig, PretrainConfig)


def prepare(*inputs: str | Path, out: str | Path, **options: Any) -> CorpusReport:
    """Turns raw text into shards in `out`; `options` are those of `bertwright prepare`. Raises InputError naming every mistake at once."""
    return prepare_shards([str(name) for name in inputs], out=Path(out), config=_config(PrepareConfig, options))


def pretrain(shards: str | Path, *, out: str | Path, observers: Sequence[Observer] = (), **options: Any) -> PretrainResult:
    """Pre-trains on prepared shards into the run folder `out`, or goes on with what is in it; `options` are those of `bertwright pretrain`.

    observers: called with every training event. Raises InputError naming every mistake at once, Interrupted after a signal, once saved.
    """
    return train(Path(shards), out=Path(out), config=_config(PretrainConfig, options), observers=observers)


def evaluate(
    checkpoint: str | Path,
    *inputs: str | Path,
    max_seq_length: int = 128,
    mlm_probability: float = 0.15,
    eval_samples: int | None = None,
    batch_size: int = 32,
) -> dict[str, float]:
    """Measures a checkpoint on text (all of it), or on the held-out part of a shards folder; masks are fixed by a seed.

    eval_samples: rows to read at most; batch_size: rows at once. Returns masked_loss and nsp_loss (nats), masked_accuracy, nsp_accuracy, perplexity,
    masked_tokens, samples, and to hold them against chance_loss (ln of the vocabulary) and unigram_entropy (of the shards' training part, or this text).
    Next-sentence numbers are left out where the checkpoint has no such head, or the text no documents of two sentences.
    Raises InputError for text, shards or a length that do not fit the checkpoint.
    """
    if not inputs:
        raise InputError("evaluate needs text: give files, folders or a folder that prepare wrote")
    predictor = load(checkpoint)
    if max_seq_length > predictor.max_length:
        raise InputError(f"max_seq_length {max_seq_length} is longer than the model's {predictor.max_length} positions: take {predictor.max_length} or less")
    with tempfile.TemporaryDirectory(prefix="bertwright-evaluate-") as scratch:
        split, frequencies = _splits(predictor, [str(name) for name in inputs], scratch=Path(scratch), max_seq_length=max_seq_length)
        vocabulary = _vocabulary(predictor.tokenizer)
        trained_for, source = _source(predictor, split, vocabulary, length=max_seq_length, mlm_probability=mlm_probability)
        found = measure(predictor.model, trained_for, Stream(source, seed=SEED), samples=eval_samples, batch_size=batch_size)
        return found | chance(vocabulary.size, frequencies)


def _splits(predictor: Predictor, inputs: list[str], *, scratch: Path, max_seq_length: int) -> tuple[Split, Split]:
    """What to measure on, the held-out part of shards or all of a text; and what to count frequencies in, the training part or that same text."""
    if len(inputs) == 1 and (Path(inputs[0]) / "shards.json").is_file():
        shards = TokenShards.open(inputs[0])
        if shards.tokenizer_hash != predictor.tokenizer.hash:
            raise InputError(
                f"{inputs[0]} was made with another tokenizer ({shards.vocab_size} entries) than {predictor.checkpoint} has "
                f"({predictor.tokenizer.vocab_size}): give the text itself, or prepare it again with --tokenizer {predictor.checkpoint}"
            )
        return shards.validation, shards.train
    config = PrepareConfig(tokenizer=str(predictor.checkpoint), validation_fraction=0.0, max_seq_length=max_seq_length)
    prepare_shards(inputs, out=scratch / "shards", config=config)
    everything = TokenShards.open(scratch / "shards").train
    return everything, everything


def _source(predictor: Predictor, split: Split, vocabulary: Vocabulary, *, length: int, mlm_probability: float) -> tuple[Objective, Source]:
    """What the checkpoint can be measured on: pairs where it has the head and the text the documents, else masks alone."""
    if "mlm" not in predictor.model.heads:
        raise InputError(f"{predictor.checkpoint} has no masked-language head to measure: take a checkpoint that `bertwright pretrain` wrote")
    names = ("mlm+nsp", "mlm") if "nsp" in predictor.model.heads else ("mlm",)
    for name in names:
        trained_for = objective(name, vocabulary, mlm_probability=mlm_probability)
        try:
            return trained_for, trained_for.source(split, vocabulary, length=length, seed=SEED)
        except InputError:
            if name == names[-1]:
                raise
    raise AssertionError("names is never empty")


def _vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    ids = (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id)
    return Vocabulary(tokenizer.vocab_size, *ids, tuple(tokenizer.special_ids))


def _config(kind: type[Config], options: Mapping[str, Any]) -> Config:
    known = [field.name for field in dataclasses.fields(kind)]
    problems = []
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"{name} is not an option: " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"))
    if problems:
        raise InputError(*problems)
    return kind(**options)
