"""How near written texts are to the right ones: ROUGE by rouge_score, BLEU and chrF by sacrebleu, Chinese included."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bertwright.errors import InputError
from bertwright.metrics.arrays import FloatArray
from bertwright.metrics.weighted import Weighted, divided

ROUGES = ("rouge1", "rouge2", "rougeL")
NGRAMS = 4  # of BLEU (Papineni et al. 2002, section 2.3)
MOSTLY = 0.5  # share of a text's letters
_INSTALL = "pip install 'bertwright[tasks]'"
# Chinese characters and kana, which no spaces part: each is a token of its own.
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CJK_LETTER = re.compile(f"[{_CJK}]")
# rouge_score's own words, [a-z0-9]+, so that Latin script scores as published; and what it would drop: CJK, and the words of other scripts from U+0250 on.
_TOKENS = re.compile(f"[a-z0-9]+|[{_CJK}]|[^\\W\\d_\\u0000-\\u024f{_CJK}]+")


class Words:
    """What rouge_score takes for a tokenizer: lower-cased words, each Chinese character one."""

    def tokenize(self, text: str) -> list[str]:
        return _TOKENS.findall(text.lower())


def mostly_chinese(texts: Sequence[str]) -> bool:
    """Whether more than half of the letters are Chinese characters or kana."""
    whole = "".join(texts)
    return len(_CJK_LETTER.findall(whole)) > MOSTLY * sum(map(str.isalpha, whole))


def rouge_scores(written: Sequence[str], targets: Sequence[str]) -> dict[str, FloatArray]:
    """ROUGE-1, ROUGE-2 and ROUGE-L of each text (Lin 2004): F1 in 0..1, without stemming: [texts] by name.

    Raises InputError where there are no texts or rouge_score is not installed, ValueError where the two sides differ in length.
    """
    _check(written, targets)
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise InputError(f"ROUGE is computed by rouge_score, which is not installed: {_INSTALL}") from error
    scorer = RougeScorer(list(ROUGES), tokenizer=Words())
    found = [scorer.score(target, text) for text, target in zip(written, targets, strict=True)]
    return {name: np.array([scores[name].fmeasure for scores in found]) for name in ROUGES}


def generation_metrics(written: Sequence[str], targets: Sequence[str]) -> dict[str, float]:
    """rouge1, rouge2, rougeL: means in 0..1; bleu, chrf: of the whole, in 0..100 as sacrebleu gives them.

    BLEU's words are sacrebleu's 13a, where the targets are mostly Chinese its zh. Raises as `rouge_scores`, for sacrebleu too.
    """
    found = {name: float(values.mean()) for name, values in rouge_scores(written, targets).items()}
    bleu, chrf = _sacrebleu(targets)
    return found | {name: float(metric.corpus_score(list(written), [list(targets)]).score) for name, metric in (("bleu", bleu), ("chrf", chrf))}


def weighted_generation(written: Sequence[str], targets: Sequence[str]) -> Weighted:
    """`generation_metrics` of texts that count several times or not at all."""
    rouge = np.stack(list(rouge_scores(written, targets).values()), axis=1)
    bleu, chrf = _sacrebleu(targets)
    # The counts of single texts, to be added up; effective_order changes none, and keeps sacrebleu from remarking on scores that nobody reads.
    bleu.effective_order = True
    parts = [bleu.sentence_score(text, [target]) for text, target in zip(written, targets, strict=True)]
    counts = np.array([[*part.counts, *part.totals, part.sys_len, part.ref_len] for part in parts], dtype=np.float64)
    shared = np.array([_shared_characters(text, target, chrf.char_order) for text, target in zip(written, targets, strict=True)], dtype=np.float64)

    def weighted(weights: FloatArray) -> Mapping[str, FloatArray]:
        means = weights @ rouge / weights.sum(axis=1)[:, None]
        sums = (weights @ counts).astype(int).tolist()
        scores = [bleu.compute_bleu(row[:NGRAMS], row[NGRAMS:-2], row[-2], row[-1], smooth_method="exp").score for row in sums]
        characters = (weights @ shared.reshape(len(shared), -1)).reshape(len(weights), 3, chrf.char_order)
        return {**dict(zip(ROUGES, means.T, strict=True)), "bleu": np.array(scores), "chrf": _chrf(characters, beta=chrf.beta)}

    return weighted


def _shared_characters(text: str, target: str, longest: int) -> list[list[int]]:
    """The character n-grams of a text, of its target, and those they share, for each length [3, longest]; a text's count where its target has some."""
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    said, there = (extract_all_char_ngrams(each, longest) for each in (text, target))
    pairs = list(zip(said, there, strict=True))
    return [
        [one.total() if other else 0 for one, other in pairs],
        [other.total() for _, other in pairs],
        [(one & other).total() for one, other in pairs],
    ]


def _chrf(counts: FloatArray, *, beta: float) -> FloatArray:
    """chrF of summed counts [draws, 3, lengths], as sacrebleu: the F of mean precision and recall over the lengths that both sides have (Popović 2015)."""
    said, there, shared = counts.swapaxes(0, 1)
    both = (said > 0) & (there > 0)
    lengths = both.sum(axis=1)
    precision, recall = (divided(np.where(both, divided(shared, side), 0).sum(axis=1), lengths) for side in (said, there))
    return 100 * divided((1 + beta**2) * precision * recall, beta**2 * precision + recall)


def _sacrebleu(targets: Sequence[str]) -> tuple[Any, Any]:
    """BLEU and chrF as sacrebleu scores a corpus."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise InputError(f"BLEU and chrF are computed by sacrebleu, which is not installed: {_INSTALL}") from error
    return BLEU(tokenize="zh" if mostly_chinese(targets) else "13a", force=True), CHRF()


def _check(written: Sequence[str], targets: Sequence[str]) -> None:
    if not len(written):
        raise InputError("there are no texts to measure: give data with targets")
    if len(written) != len(targets):
        raise ValueError(f"{len(written)} texts for {len(targets)} targets: one each is needed")
