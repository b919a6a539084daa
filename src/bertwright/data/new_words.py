"""The entries that a tokenizer lacks for a text: those that would save it the most tokens."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from bertwright.errors import InputError
from bertwright.text.description import BYTE_SPACES
from bertwright.text.extension import NewEntry, Vocabulary
from bertwright.text.scripts import code_points, has_han, is_han
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.words import Segment

LEAST = 5  # occurrences: fewer, and a new row learns nothing
LONGEST_PIECES = 12  # of a word that a new WordPiece entry joins
LONGEST_WORD = 4  # characters of a Chinese word
# Characters of a Chinese word meet at least exp(4) = 55 times as often as by chance, wherever it is cut in two; or, for words so frequent that they cannot,
# this part of the way from chance to never standing apart (normalised pointwise mutual information, Bouma 2009).
COHESION, BOUND = 4.0, 0.7
# A string that stands inside one and the same longer word in this share of its places is no word itself.
FRAGMENT = 0.6

Span = tuple[str, ...]


def find_new_words(tokenizer: Tokenizer, texts: Sequence[str], *, count: int, segment: Segment | None) -> Tokenizer:
    """The tokenizer with the `count` entries that would have saved `texts` the most tokens.

    WordPiece: words and pieces that it cuts; words of several Chinese characters, by `segment` or, without one, by how firmly their characters hold together;
    and what it had no piece for, each occurrence counted as one token. BPE: more merges. Unigram: longer pieces. Word-level: the most frequent unknown words.
    Raises InputError where the texts have fewer such entries that occur `LEAST` times.
    """
    vocabulary = Vocabulary(tokenizer)
    words = _counted_words(vocabulary, texts)
    known, unknown = _cut_words(vocabulary, words)
    joined = _joined(vocabulary, known)
    others = [(number, NewEntry(word)) for word, number in unknown.items() if number >= LEAST]
    if tokenizer.kind == "wordpiece":
        others += [(number * (len(word) - 1), vocabulary.chinese_word(word)) for word, number in _chinese_words(texts, segment, tokenizer).items()]
    others.sort(key=lambda found: (-found[0], found[1].text))
    best = heapq.merge(joined, others, key=lambda found: -found[0])
    for _, entry in best:
        if len(vocabulary.added) >= count:
            break
        if entry.text not in vocabulary.entries:
            vocabulary.add(entry)
    if len(vocabulary.added) < count:
        raise InputError(
            f"add_vocabulary {count}: more than the text gives, {len(vocabulary.added)} new entries occur {LEAST} times or more: take at most that"
        )
    return vocabulary.extended()


def _counted_words(vocabulary: Vocabulary, texts: Sequence[str]) -> Counter[str]:
    """Words with a letter or digit in them; rows of signs and spaces save tokens too, and teach a model nothing."""
    found = Counter(word for text in texts for word in vocabulary.words_of(text))
    spaces = str.maketrans("", "", "".join(BYTE_SPACES))
    return Counter({word: number for word, number in found.items() if any(map(str.isalnum, word.translate(spaces)))})


def _cut_words(vocabulary: Vocabulary, words: Mapping[str, int]) -> tuple[dict[Span, int], dict[str, int]]:
    """Words of several pieces with their pieces, and words without any."""
    known, unknown = {}, {}
    unk = vocabulary.tokenizer.special.unk
    for word, number in words.items():
        pieces = tuple(vocabulary.pieces_of(word))
        if not pieces or unk in pieces:
            unknown[word] = number
        elif len(pieces) > 1:
            known[pieces] = number
    return known, unknown


def _joined(vocabulary: Vocabulary, words: Mapping[Span, int]) -> Iterator[tuple[int, NewEntry]]:
    """(tokens saved, entry), about the best first: each joins neighbouring pieces of words, and the words are cut with it from then on."""
    merging = vocabulary.tokenizer.kind == "bpe"
    inside = vocabulary.inside
    if vocabulary.tokenizer.kind == "unigram":  # whose words are all that stands between spaces
        words = _between_signs(words)
    search = _Joining(words, longest=2 if merging else LONGEST_PIECES, join=lambda span: _join(span, inside))
    for gain, span in search.run():
        yield gain, NewEntry(_join(span, inside), span if merging else ())


def _between_signs(words: Mapping[Span, int]) -> dict[Span, int]:
    """The runs of pieces that are letters and digits alone, as words of their own."""
    found: Counter[Span] = Counter()
    for word, number in words.items():
        for letters, run in groupby(word, key=lambda piece: piece.removeprefix("▁").isalnum()):
            if letters:
                found[tuple(run)] += number
    return found


def _join(span: Span, inside: str) -> str:
    return span[0] + "".join(piece.removeprefix(inside) for piece in span[1:])


class _Joining:
    """Greedy search for the joins of neighbouring pieces that save the most tokens."""

    def __init__(self, words: Mapping[Span, int], *, longest: int, join: Callable[[Span], str]) -> None:
        self.words, self.numbers = list(words), list(words.values())
        self.longest, self.join = longest, join
        self.occurrences: Counter[Span] = Counter()
        self.places: defaultdict[Span, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._count(index, 1)

    def _spans(self, word: Span) -> Iterator[Span]:
        for start in range(len(word) - 1):
            for end in range(start + 2, min(len(word), start + self.longest) + 1):
                yield word[start:end]

    def _count(self, index: int, sign: int) -> set[Span]:
        spans = set()
        for span in self._spans(self.words[index]):
            self.occurrences[span] += sign * self.numbers[index]
            spans.add(span)
            if sign > 0:
                self.places[span].add(index)
        return spans

    def _gain(self, span: Span) -> int:
        return self.occurrences[span] * (len(span) - 1) if self.occurrences[span] >= LEAST else 0

    def run(self) -> Iterator[tuple[int, Span]]:
        """(tokens saved, pieces to join), the best first."""
        heap = [(-gain, span) for span in self.occurrences if (gain := self._gain(span))]
        heapq.heapify(heap)
        while heap:
            promised, span = heapq.heappop(heap)
            gain = self._gain(span)
            if gain != -promised:
                if 0 < gain < -promised:  # it has fallen since
                    heapq.heappush(heap, (-gain, span))
                continue
            yield gain, span
            for changed in self._join_everywhere(span):
                if risen := self._gain(changed):
                    heapq.heappush(heap, (-risen, changed))

    def _join_everywhere(self, span: Span) -> set[Span]:
        """Cuts the words anew; returns the spans that they have now."""
        text, size, changed = self.join(span), len(span), set()
        for index in sorted(self.places.pop(span)):
            word = self.words[index]
            at = next((place for place in range(len(word) - size + 1) if word[place : place + size] == span), -1)
            if at < 0:
                continue
            self._count(index, -1)
            while at >= 0:
                word = (*word[:at], text, *word[at + size :])
                at = next((place for place in range(at + 1, len(word) - size + 1) if word[place : place + size] == span), -1)
            self.words[index] = word
            changed |= self._count(index, 1)
        return changed


def _chinese_words(texts: Sequence[str], segment: Segment | None, tokenizer: Tokenizer) -> dict[str, int]:
    """Words of two to `LONGEST_WORD` Chinese characters, all of which the tokenizer knows, and how often they occur."""
    found = cohesive_words(texts) if segment is None else _segmented(texts, segment)
    entries = set(tokenizer.vocab)
    return {word: number for word, number in found.items() if number >= LEAST and word not in entries and entries.issuperset(word)}


def _segmented(texts: Iterable[str], segment: Segment) -> Counter[str]:
    words = (word for text in texts if has_han(text) for word in segment(text))
    counted = Counter(words)
    return Counter({word: number for word, number in counted.items() if 2 <= len(word) <= LONGEST_WORD and bool(is_han(code_points(word)).all())})


def cohesive_words(texts: Sequence[str]) -> dict[str, int]:
    """Strings of Chinese characters that hold together as words do, and how often each occurs outside of longer ones.

    A string is taken where its characters meet much more often than by chance, however it is cut in two (the smallest pointwise mutual information of
    Sproat and Shih 1990), and where it does not stand inside one and the same longer word most of the time.
    """
    codes = code_points("\n".join(texts))
    han = is_han(codes)
    letters, numbers = np.unique(codes[han], return_inverse=True)
    if not len(letters):
        return {}
    ids = np.zeros(len(codes), dtype=np.int64)
    ids[han] = numbers + 1
    base = len(letters) + 1
    longest = max(size for size in range(1, LONGEST_WORD + 1) if base**size < 2**63)
    total = int(han.sum())
    counts: dict[str, int] = {}
    grams: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for size in range(1, longest + 1):
        keys, number = _grams(ids, size, base, least=1 if size == 1 else LEAST)
        grams.append((keys, number))
        if size > 1 and len(keys):
            firm = _cohesion(grams, size, base, total) >= np.minimum(COHESION, BOUND * np.log(total / number))
            counts |= zip(_spelled(keys[firm], size, base, letters), number[firm].tolist(), strict=True)
    return _outside(counts)


def _grams(ids: NDArray[np.int64], size: int, base: int, *, least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every string of `size` Chinese characters that occurs `least` times, as one number, and how often it does."""
    places = max(len(ids) - size + 1, 0)
    keys, whole = np.zeros(places, dtype=np.int64), np.ones(places, dtype=np.bool_)
    for offset in range(size):
        part = ids[offset : offset + places]
        keys = keys * base + part
        whole &= part > 0
    found, number = np.unique(keys[whole], return_counts=True)
    return found[number >= least], number[number >= least]


def _cohesion(grams: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], size: int, base: int, total: int) -> NDArray[np.float64]:
    """The least log of how much more often the two halves of a string meet than by chance, over all ways to cut it."""
    keys, number = grams[size - 1]
    lowest = np.full(len(keys), np.inf)
    for left in range(1, size):
        before, after = _look_up(grams[left - 1], keys // base ** (size - left)), _look_up(grams[size - left - 1], keys % base ** (size - left))
        lowest = np.minimum(lowest, np.log(number * float(total) / (before * after)))
    return lowest


def _look_up(table: tuple[NDArray[np.int64], NDArray[np.int64]], keys: NDArray[np.int64]) -> NDArray[np.float64]:
    # A part occurs at least as often as the whole, so it is in its table.
    found: NDArray[np.float64] = table[1][np.searchsorted(table[0], keys)].astype(np.float64)
    return found


def _spelled(keys: NDArray[np.int64], size: int, base: int, letters: NDArray[np.uint32]) -> list[str]:
    digits = np.stack([keys // base ** (size - 1 - place) % base for place in range(size)], axis=1) - 1
    whole = letters[digits].astype("<u4").tobytes().decode("utf-32-le")
    return [whole[begin : begin + size] for begin in range(0, len(whole), size)]


def _outside(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts without what stands in longer words, and without fragments of these."""
    around: defaultdict[str, list[int]] = defaultdict(list)
    for word, number in counts.items():
        for size in range(2, len(word)):
            for begin in range(len(word) - size + 1):
                around[word[begin : begin + size]].append(number)
    kept = {word: number for word, number in counts.items() if max(around.get(word, [0])) < FRAGMENT * number}
    return {word: left for word, number in kept.items() if (left := number - max(around.get(word, [0]))) >= LEAST}


def words_of_file(lines: Iterable[str], name: str) -> list[tuple[str, str]]:
    """(where it stands, word) of a file with a word a line; blank lines are passed over."""
    found = [(f"{name}, line {number}", line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise InputError(f"{name}: no words in it: write one a line")
    return found
