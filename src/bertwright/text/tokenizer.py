"""One tokenizer of any kind: text to ids and back, and Hugging Face files in and out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import Kind
from bertwright.text.description import Description, additional_special_tokens, describe, pieces, special_ids
from bertwright.text.files import read_tokenizer
from bertwright.text.origin import Loaded, Origin
from bertwright.text.pieces import Pieces, Template, cut, template_of
from bertwright.text.segmentation import with_jieba
from bertwright.text.special import ALL_ROLES, SpecialTokens, sentinel
from bertwright.text.surrogates import without_surrogates
from bertwright.text.writing import write_tokenizer

_FRAMING = "take the tokenizer of a family that frames its texts, such as BERT or RoBERTa"
_MENDS = {"cls": _FRAMING, "sep": _FRAMING, "mask": "take the tokenizer of a masked language model, such as BERT or RoBERTa"}


@dataclass(frozen=True)
class Encoding:
    """A text, or a pair, as a model takes it: all lists have one entry for each token.

    `type_ids`: 0 for the first text, 1 for the second. `special_mask`: 1 for tokens the template added. `offsets`: characters of the
    token's own text, (0, 0) for added tokens.
    """

    ids: list[int]
    type_ids: list[int]
    tokens: list[str]
    special_mask: list[int]
    offsets: list[tuple[int, int]]


class Framed(NamedTuple):
    """A text, or a pair, as ids with its special tokens. type_ids: 0 for the first, 1 for the second, None of a single text; truncated: it was longer."""

    ids: list[int]
    type_ids: list[int] | None
    truncated: bool


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A backend of the tokenizers library, the names of its special tokens and what else its files said. Nothing changes it after it is made.

    A literal special token in a text, such as "[MASK]" or "[UNK]", is that token. A lone surrogate counts as U+FFFD.
    """

    backend: tokenizers.Tokenizer
    special: SpecialTokens
    origin: Origin = field(default_factory=Origin)

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Reads a tokenizer.json, a vocab.txt, a vocab.json with its merges.txt, a SentencePiece model, or the folder of a checkpoint or tokenizer.

        Which family's it is, `tokenizer_class` in tokenizer_config.json tells, else the `model_type` of a config.json, else what it holds.
        A bare vocab.txt is BERT's WordPiece, uncased if no entry has an upper-case letter.
        Raises InputError for a missing file, a file that is no tokenizer, duplicate entries, missing special tokens and a missing library.
        """
        tokenizer = cls(*read_tokenizer(Path(path)))
        if tokenizer.origin.segmenter is not None:
            tokenizer.encode_ids([])  # here, rather than amid the work, is where a missing library should show
        return tokenizer

    def save(self, folder: Path, *, max_length: int | None = None) -> None:
        """Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json and vocab.txt, or vocab.json and merges.txt, or the SentencePiece model.

        transformers' AutoTokenizer gives the same ids from them, also beside the config.json of any family.
        `max_length` is the model's number of positions, in tokens.
        """
        write_tokenizer(folder, Loaded(self.backend, self.special, self.origin), self._description, max_length=max_length)

    def encode_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text without what the template adds; the batch is spread over the CPU's cores."""
        try:
            encodings = self._running.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:  # what the library makes of a lone surrogate
            encodings = self._running.encode_batch_fast([without_surrogates(text) for text in texts], add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode(self, text: str, pair: str | None = None, *, max_length: int | None = None) -> Encoding:
        """A text or a pair with its special tokens, at most `max_length` tokens: the longer side loses its end first.

        Raises InputError when `max_length` has no room for the special tokens.
        """
        text, pair = without_surrogates(text), None if pair is None else without_surrogates(pair)
        encoding = self._running.encode(text, pair)
        if max_length is not None and len(encoding) > max_length:
            encoding = self._truncated(text, pair, max_length=max_length)
        tokens = [self.vocab[index] for index in encoding.ids]  # the encoding's own have the space before a mask in them
        return Encoding(encoding.ids, encoding.type_ids, tokens, encoding.special_tokens_mask, encoding.offsets)

    def frame(self, texts: Sequence[str | tuple[str, str]], *, max_length: int | None = None) -> list[Framed]:
        """Many texts, or pairs, with their special tokens, spread over the CPU's cores; each at most `max_length` tokens, as `encode` cuts them.

        Raises InputError when `max_length` has no room for the special tokens.
        """
        try:
            encodings = self._running.encode_batch_fast(list(texts))
        except TypeError:  # what the library makes of a lone surrogate
            texts = [without_surrogates(text) if isinstance(text, str) else (without_surrogates(text[0]), without_surrogates(text[1])) for text in texts]
            encodings = self._running.encode_batch_fast(list(texts))
        framed = []
        for text, encoding in zip(texts, encodings, strict=True):
            first, second = (text, None) if isinstance(text, str) else text
            cut = max_length is not None and len(encoding) > max_length
            found = self._truncated(first, second, max_length=max_length) if cut and max_length is not None else encoding
            framed.append(Framed(found.ids, None if second is None else found.type_ids, cut))
        return framed

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """Many texts without special tokens, with the characters of each token, spread over the CPU's cores."""
        return cut(self._running, texts)

    def template(self, *, pair: bool) -> Template:
        """What is laid around one text, or around a pair. Raises InputError for a tokenizer that has no piece for the letter a."""
        return template_of(self._running, pair=pair)

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """The text of ids; an unknown token stays "[UNK]" unless special tokens are skipped."""
        return self.backend.decode(list(ids), skip_special_tokens=skip_special_tokens)

    @cached_property
    def kind(self) -> Kind:
        """One of "wordpiece", "bpe", "unigram" and "word"."""
        return self._description.kind

    @property
    def lowercase(self) -> bool:
        return self._description.lowercase

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of all that decides which ids a text gets: the same from a vocab.txt and from the tokenizer.json made of it."""
        return self._description.hash

    @property
    def word_start_table(self) -> npt.NDArray[np.bool_]:
        """[vocab_size] True where a piece begins a word, and for special tokens. WordPiece: no "##"; byte-level BPE: "Ġ"; Unigram: "▁"; word-level: all;
        and all of the first GPT's, which marks where words end, so that the same piece may begin a word or go on with one."""
        return self._description.word_starts

    @cached_property
    def vocab(self) -> list[str]:
        """id -> piece; an id without a piece is an empty string."""
        return pieces(self.backend)

    @property
    def vocab_size(self) -> int:
        """The largest id plus one, which is the number of rows a model's embeddings need."""
        return len(self.vocab)

    @cached_property
    def special_ids(self) -> tuple[int, ...]:
        """Ids of all special tokens, ascending: those that have a role and any other the tokenizer has."""
        return special_ids(self.backend, self.special)

    @cached_property
    def additional_special_tokens(self) -> tuple[str, ...]:
        """The special tokens without a role, by id, such as T5's <extra_id_0>."""
        return tuple(token.content for token in additional_special_tokens(self.backend, self.special))

    @cached_property
    def sentinel_ids(self) -> tuple[int, ...]:
        """The ids of <extra_id_0>, <extra_id_1> and so on, in this order, as far as they go without a gap: what T5 marks gaps in a text with."""
        known = {piece: number for number, piece in enumerate(self.vocab) if piece.startswith("<extra_id_")}
        return tuple(known[sentinel(number)] for number in takewhile(lambda number: sentinel(number) in known, count()))

    def has(self, role: str) -> bool:
        """Whether there is a token for a role: pad, unk, cls, sep, mask, bos or eos. Raises ValueError for any other role."""
        if role not in ALL_ROLES:
            raise ValueError(f"role {role!r}: not one of {', '.join(ALL_ROLES)}")
        return role in self.special.by_role()

    @cached_property
    def pad_id(self) -> int:
        """As all ids of roles: raises InputError where the tokenizer has no token for it."""
        return self._id("pad")

    @cached_property
    def unk_id(self) -> int:
        return self._id("unk")

    @cached_property
    def cls_id(self) -> int:
        return self._id("cls")

    @cached_property
    def sep_id(self) -> int:
        return self._id("sep")

    @cached_property
    def mask_id(self) -> int:
        return self._id("mask")

    @cached_property
    def bos_id(self) -> int:
        return self._id("bos")

    @cached_property
    def eos_id(self) -> int:
        return self._id("eos")

    @cached_property
    def _description(self) -> Description:
        return describe(self.backend, self.special, segmenter=self.origin.segmenter)

    @cached_property
    def _running(self) -> tokenizers.Tokenizer:
        """The backend that encodes: with a segmenter one that cannot be written, and so is made anew in every process."""
        return self.backend if self.origin.segmenter is None else with_jieba(self.backend)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_running"}

    def _id(self, role: str) -> int:
        name = self.special.by_role().get(role)
        if name is None:
            mend = _MENDS.get(role, f"name the token that serves as one under {role}_token in its tokenizer_config.json")
            raise InputError(f"{self.origin.name}: this {self.kind} tokenizer of {self.vocab_size} entries has no {role} token: {mend}")
        return self.vocab.index(name)

    def _truncated(self, text: str, pair: str | None, *, max_length: int) -> tokenizers.Encoding:
        """Cuts before the template is laid around, since the backend's own truncation would change the backend."""
        room = max_length - self._running.num_special_tokens_to_add(pair is not None)
        if room < 0:
            raise InputError(f"max_seq_length {max_length}: has no room for the {max_length - room} special tokens: take a larger one")
        first = self._running.encode(text, add_special_tokens=False)
        second = None if pair is None else self._running.encode(pair, add_special_tokens=False)
        first_room, second_room = longest_first(len(first), 0 if second is None else len(second), room=room)
        first.truncate(first_room)
        if second is not None:
            second.truncate(second_room)
        return self._running.post_process(first, second, add_special_tokens=True)


def longest_first(first: int, second: int, *, room: int) -> tuple[int, int]:
    """Lengths that two texts of `first` and `second` tokens are cut to, together at most `room`; the second gets the odd one, as in transformers."""
    if first + second <= room:
        return first, second
    half = room // 2
    if first <= half:
        return first, room - first
    if second <= half:
        return room - second, second
    return (half, room - half) if first <= second else (room - half, half)
