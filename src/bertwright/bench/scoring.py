"""The measure of a saved folder, by transformers, so that no code of ours marks its own work.

The held-out documents in rows of their own, masked once: 15% of the tokens, of them 80% [MASK], 10% random, 10% as they were.
"""

from typing import Any

import numpy as np
import torch

from bertwright.data.samples import Vocabulary
from bertwright.data.shards import Split, TokenShards
from bertwright.text.tokenizer import Tokenizer

LENGTH, MASK_SEED = 128, 1234
MOST_ROWS = 2048  # some 38,000 scored tokens: a standard error of about 0.015
AT_ONCE = 32


def masked_rows(shards: TokenShards) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ids as they are shown, labels (-100 where nothing is scored) and attention mask, int64 [rows, LENGTH] each."""
    vocabulary = Vocabulary.of(Tokenizer.load(shards.tokenizer_folder))
    ids, draw = _rows(shards.validation, vocabulary), np.random.default_rng(MASK_SEED)
    ordinary = np.flatnonzero(vocabulary.maskable)
    chosen, kind = (draw.random(ids.shape) < 0.15) & vocabulary.maskable[ids], draw.random(ids.shape)
    shown = np.where(chosen & (kind < 0.8), vocabulary.mask_id, ids)
    shown = np.where(chosen & (kind >= 0.9), draw.choice(ordinary, ids.shape), shown)
    return shown, np.where(chosen, ids, -100), (ids != vocabulary.pad_id).astype(np.int64)


def _rows(split: Split, vocabulary: Vocabulary) -> np.ndarray[Any, Any]:
    """No row holds two documents, so that what a model does at their border does not matter."""
    cut = []
    for start, stop in zip(split.document_tokens[:-1], split.document_tokens[1:], strict=True):
        cut += [split.tokens[place : min(place + LENGTH - 2, stop)] for place in range(start, stop, LENGTH - 2)]
    found = np.full((min(len(cut), MOST_ROWS), LENGTH), vocabulary.pad_id, dtype=np.int64)
    for row, tokens in zip(found, cut, strict=False):
        row[: len(tokens) + 2] = [vocabulary.cls_id, *tokens, vocabulary.sep_id]
    return found


@torch.no_grad()
def score(folder: str, shown: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], attention: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Masked cross-entropy in nats, and accuracy. Raises SystemExit where weights are missing or left over, so that nothing is scored at random."""
    import transformers

    logging: Any = transformers.logging  # untyped
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    named = (transformers.AutoConfig.from_pretrained(folder).architectures or [""])[0]
    load = transformers.AutoModelForPreTraining if named.endswith("ForPreTraining") else transformers.AutoModelForMaskedLM
    model, information = load.from_pretrained(folder, output_loading_info=True)
    if information["missing_keys"] or information["unexpected_keys"]:
        raise SystemExit(f"{folder}: missing {information['missing_keys']}, unexpected {information['unexpected_keys']}")
    total = hits = count = 0.0
    for start in range(0, len(shown), AT_ONCE):
        ids, wanted, real = (torch.from_numpy(each[start : start + AT_ONCE]) for each in (shown, labels, attention))
        out = model.eval()(input_ids=ids, attention_mask=real)
        logits = out.prediction_logits if "prediction_logits" in out else out.logits
        scored = wanted >= 0
        logits, wanted = logits[scored].float(), wanted[scored]
        total += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
        hits += (logits.argmax(-1) == wanted).sum().item()
        count += len(wanted)
    return total / count, hits / count
