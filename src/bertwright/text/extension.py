"""New entries behind those that a tokenizer has: all old ids stay, so that a model goes on with more rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import WORD_END, bert_normalizer
from bertwright.text.origin import PieceFile
from bertwright.text.scripts import has_han
from bertwright.text.tokenizer import Tokenizer

# Added to the log probability that a new piece of Unigram has as a row of old ones: enough to win over these, little enough not to win elsewhere.
BONUS = 1.0
MANY = 10  # problems of a list of words that are told one by one
_LETTERLESS = "it holds one word, without spaces and signs between its letters"


@dataclass(frozen=True)
class NewEntry:
    """What is added: `text` is the entry as its kind writes it. pieces: the old or new entries that it joins, of a merge of byte-level BPE; matched: it is
    found in a text before the words are, as words of several Chinese characters need."""

    text: str
    pieces: tuple[str, ...] = ()
    matched: bool = False


@dataclass
class Vocabulary:
    """A tokenizer's entries as they grow, and how it cuts one word."""

    tokenizer: Tokenizer

    def __post_init__(self) -> None:
        self.entries = {piece: index for index, piece in enumerate(self.tokenizer.vocab) if piece}
        self.added: list[NewEntry] = []
        self._merged: dict[tuple[str, str], int] = {}  # new merges, by rank

    @cached_property
    def parts(self) -> dict[str, Any]:
        """The backend's JSON."""
        content: dict[str, Any] = json.loads(self.tokenizer.backend.to_str())
        return content

    @property
    def inside(self) -> str:
        """What WordPiece writes before a piece inside a word; "" of other kinds."""
        return str(self.parts["model"].get("continuing_subword_prefix") or "") if self.tokenizer.kind == "wordpiece" else ""

    def words_of(self, text: str) -> list[str]:
        """A text's words as the model gets them; every Chinese character is one, also where a segmenter would join some that are an entry together."""
        backend = self.tokenizer.backend
        if self.tokenizer.origin.segmenter is not None:
            text = bert_normalizer(lowercase=False, strip_accents=False).normalize_str(text)
        cleaned = backend.normalizer.normalize_str(text) if backend.normalizer is not None else text
        return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(cleaned)]

    def pieces_of(self, word: str) -> list[str]:
        """The entries that a word, as `words_of` gives it, is cut into, those of new merges among them."""
        return self._with_merges([token.value for token in self.tokenizer.backend.model.tokenize(word)])

    def _with_merges(self, pieces: list[str]) -> list[str]:
        """The pieces, joined in place by the new merges, those of the lowest rank first, wherever they apply."""
        while len(pieces) > 1:
            ranks = [self._merged.get(pair, len(self._merged)) for pair in pairwise(pieces)]
            place = min(range(len(ranks)), key=ranks.__getitem__)
            if ranks[place] == len(self._merged):
                break
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return pieces

    def chinese_word(self, word: str) -> NewEntry:
        """The entry of a word of several characters: a segmenter finds those of its vocabulary by itself."""
        return NewEntry(word, matched=self.tokenizer.origin.segmenter is None)

    def add(self, entry: NewEntry) -> None:
        """Appends an entry; of a merge, with all merges that lead to it."""
        pieces = list(entry.pieces)
        while len(pieces) > 1:
            pair = (pieces[0], pieces[1])
            self._merged.setdefault(pair, len(self._merged))
            if "".join(pair) not in self.entries:
                self._append(NewEntry("".join(pair), pair))
            self._with_merges(pieces)  # a pair that comes twice is merged twice
        if not entry.pieces:
            self._append(entry)

    def _append(self, entry: NewEntry) -> None:
        self.entries[entry.text] = -1
        self.added.append(entry)

    def _scored(self, texts: Iterable[str]) -> list[list[str | float]]:
        """New pieces of Unigram, each with its log probability."""
        scores: dict[str, float] = dict(self.parts["model"]["vocab"])
        least = min(scores.values())
        return [[text, BONUS + sum(scores.get(piece, least) for piece in self.pieces_of(text))] for text in texts]

    def extended(self) -> Tokenizer:
        """The tokenizer with what was added, entries first and matched ones after them, its old ids unchanged.

        Raises InputError where its vocabulary cannot go on, because other tokens stand behind it.
        """
        backend, first = self.tokenizer.backend, self.tokenizer.vocab_size
        entries = [entry for entry in self.added if not entry.matched]
        if entries:
            model = self.parts["model"]
            if first != backend.get_vocab_size(with_added_tokens=False):
                raise InputError(
                    f"{self.tokenizer.origin.name}: it has added tokens behind its vocabulary, so that no entry can follow ({entries[0].text}): "
                    "add all words at once to the tokenizer that it was made from"
                )
            if isinstance(model["vocab"], dict):
                model["vocab"] |= {entry.text: first + place for place, entry in enumerate(entries)}
            else:
                model["vocab"] += self._scored(entry.text for entry in entries)
            if self._merged:
                old = model["merges"]
                model["merges"] = [*old, *(list(pair) if old and not isinstance(old[0], str) else " ".join(pair) for pair in self._merged)]
            backend = tokenizers.Tokenizer.from_str(json.dumps(self.parts))
        else:
            backend = tokenizers.Tokenizer.from_str(backend.to_str())
        # As it stands in the text: a normaliser would set spaces between the characters.
        backend.add_tokens([tokenizers.AddedToken(entry.text, normalized=False) for entry in self.added if entry.matched])
        pieces: PieceFile | None = None  # a SentencePiece file would lack the new entries
        grown = Tokenizer(backend, self.tokenizer.special, replace(self.tokenizer.origin, pieces=pieces))
        if grown.vocab[:first] != self.tokenizer.vocab or grown.vocab_size != first + len(self.added):
            raise InputError(f"{self.tokenizer.origin.name}: its ids have gaps, and new entries would not stand behind the old ones: take another tokenizer")
        return grown


def extended_by_words(tokenizer: Tokenizer, words: Iterable[tuple[str, str]]) -> Tokenizer:
    """The tokenizer with these words. words: (where it stands, word), such as ("words.txt, line 3", "corbel").

    WordPiece: entries, `##ing` a piece inside of words, and added tokens for words of several Chinese characters. BPE: the word behind a space, by merges of
    its pieces. Unigram: the word behind a space, a little more probable than its pieces. Raises InputError that names each word which exists already, comes
    twice, or cannot be held.
    """
    vocabulary, problems = Vocabulary(tokenizer), []
    for place, word in words:
        try:
            vocabulary.add(_entry(vocabulary, word))
        except InputError as error:
            problems += [f"{place}: {problem}" for problem in error.problems]
    if len(problems) > MANY:
        problems[MANY:] = [f"{len(problems) - MANY} more words of the list cannot be added"]
    if problems:
        raise InputError(*problems)
    return vocabulary.extended()


def _entry(vocabulary: Vocabulary, word: str) -> NewEntry:
    """Raises InputError for a word that exists, or that the tokenizer cannot hold."""
    kind, inside = vocabulary.tokenizer.kind, vocabulary.inside
    if kind in ("bpe", "unigram"):
        return _behind_space(vocabulary, word)
    prefix = inside if inside and word.startswith(inside) and word != inside else ""
    found = vocabulary.words_of(word.removeprefix(prefix))
    text = prefix + found[0] if len(found) == 1 else word
    if word in vocabulary.entries or text in vocabulary.entries:
        raise InputError(f"{word!r} is an entry of the tokenizer or of this list already: take the line out")
    if len(found) == 1:
        limit = vocabulary.parts["model"].get("max_input_chars_per_word")
        if limit and len(text) > limit:
            raise InputError(f"{word!r} is longer than the {limit} characters of a word that the tokenizer looks at: take the line out")
        return NewEntry(text)
    if not prefix and has_han(word) and "".join(found) in (word, word.lower()) and word.isalnum():
        return vocabulary.chinese_word(word)
    raise InputError(f"the tokenizer cannot hold {word!r}: {_LETTERLESS}: take the line out")


def _behind_space(vocabulary: Vocabulary, word: str) -> NewEntry:
    found = vocabulary.words_of(f" {word}") if word.strip() else []
    if len(found) != 1:
        raise InputError(f"the tokenizer cannot hold {word!r}: {_LETTERLESS}: take the line out")
    pieces = vocabulary.pieces_of(found[0])
    if len(pieces) == 1 and pieces[0] in vocabulary.entries:
        raise InputError(f"{word!r} is an entry of the tokenizer or of this list already: take the line out")
    if "".join(pieces).removesuffix(WORD_END) != found[0] or vocabulary.tokenizer.special.unk in pieces:
        raise InputError(f"the tokenizer cannot hold {word!r}: it has no pieces for all of its letters: take the line out")
    return NewEntry("".join(pieces), tuple(pieces) if vocabulary.tokenizer.kind == "bpe" else ())


def replaced_pieces(old: Tokenizer, new: Tokenizer) -> list[list[int]] | None:
    """For each entry of `new` beyond those of `old`, the ids in `old` that stood in its place; None where `new` does not extend `old`.

    A list is empty where the old tokenizer had nothing but its unknown token for the text, and for special tokens, which replace no text.
    """
    first = old.vocab_size
    if new.kind != old.kind or new.vocab[:first] != old.vocab:
        return None
    vocabulary, ids = Vocabulary(old), {piece: index for index, piece in enumerate(old.vocab)}
    matched = {index: token.content for index, token in new.backend.get_added_tokens_decoder().items()}
    special = set(new.special_ids)
    parents = _parents(new) if new.kind == "bpe" else {}
    found = []
    for index in range(first, new.vocab_size):
        piece = new.vocab[index]
        if index in special:
            replaced = []
        elif index in matched:
            replaced = [token for word in vocabulary.words_of(matched[index]) for token in vocabulary.pieces_of(word)]
        elif new.kind == "bpe":
            replaced = _leaves(piece, parents, ids)
        elif new.kind == "unigram":
            replaced = vocabulary.pieces_of(piece)
        else:  # a word-level entry replaces the unknown token
            replaced = (
                [part for word in _words_within(vocabulary, piece) for part in _cut(word, ids, inside=vocabulary.inside)] if new.kind == "wordpiece" else []
            )
        found.append([ids[name] for name in replaced if name in ids and name != old.special.unk])
    return found


def _words_within(vocabulary: Vocabulary, piece: str) -> list[str]:
    """An entry as it is, or the characters of a Chinese word."""
    return vocabulary.words_of(piece) if has_han(piece) else [piece]


def _parents(tokenizer: Tokenizer) -> dict[str, Sequence[str]]:
    merges = json.loads(tokenizer.backend.to_str())["model"]["merges"]
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in merges)
    return {"".join(pair): pair for pair in pairs}


def _leaves(piece: str, parents: Mapping[str, Sequence[str]], ids: Mapping[str, int]) -> list[str]:
    """The old entries that an entry of BPE was merged from."""
    if piece in ids or piece not in parents:
        return [piece]
    return [leaf for half in parents[piece] for leaf in _leaves(half, parents, ids)]


def _cut(piece: str, ids: Mapping[str, int], *, inside: str) -> list[str]:
    """The longest entries that make up a WordPiece entry, from its start on, as WordPiece cuts; nothing where a character has none."""
    rest, prefix, found = piece, "", []
    if piece.startswith(inside):
        rest, prefix = piece.removeprefix(inside), inside
    while rest:
        length = next((length for length in range(len(rest), 0, -1) if prefix + rest[:length] in ids), 0)
        if not length:
            return []
        found.append(prefix + rest[:length])
        rest, prefix = rest[length:], inside
    return found
