"""One tokenizer of any kind: text to ids and back, and Hugging Face files in and out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from bertwright.errors import InputError
from bertwright.text.backends import Kind
from bertwright.text.description import Description, describe, pieces, special_ids
from bertwright.text.files import read_tokenizer, write_tokenizer
from bertwright.text.special import SpecialTokens
from bertwright.text.surrogates import without_surrogates


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


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A backend of the tokenizers library and the names of its special tokens. Nothing changes it after it is made.

    A literal special token in a text, such as "[MASK]" or "[UNK]", is that token. A lone surrogate counts as U+FFFD.
    """

    backend: tokenizers.Tokenizer
    special: SpecialTokens

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Reads a vocab.txt, a tokenizer.json, or the folder of a checkpoint or tokenizer.

        A bare vocab.txt is BERT's WordPiece, uncased if no entry has an upper-case letter.
        Raises InputError for a missing file, a file that is no tokenizer, duplicate entries and missing special tokens.
        """
        backend, special = read_tokenizer(Path(path))
        return cls(backend, special)

    def save(self, folder: Path, *, max_length: int | None = None) -> None:
        """Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json and vocab.txt (or vocab.json and merges.txt).

        transformers' AutoTokenizer gives the same ids from them, also beside a config.json of model type bert.
        `max_length` is the model's number of positions, in tokens.
        """
        write_tokenizer(folder, self.backend, self.special, bert_options=self._description.bert_options, max_length=max_length)

    def encode_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text without [CLS] and [SEP]; the batch is spread over the CPU's cores."""
        try:
            encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError:  # what the library makes of a lone surrogate
            encodings = self.backend.encode_batch_fast([without_surrogates(text) for text in texts], add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def encode(self, text: str, pair: str | None = None, *, max_length: int | None = None) -> Encoding:
        """A text or a pair with its special tokens, at most `max_length` tokens: the longer side loses its end first.

        Raises InputError when `max_length` has no room for the special tokens.
        """
        text, pair = without_surrogates(text), None if pair is None else without_surrogates(pair)
        encoding = self.backend.encode(text, pair)
        if max_length is not None and len(encoding) > max_length:
            encoding = self._truncated(text, pair, max_length=max_length)
        tokens = [self.vocab[index] for index in encoding.ids]  # the encoding's own have the space before a mask in them
        return Encoding(encoding.ids, encoding.type_ids, tokens, encoding.special_tokens_mask, encoding.offsets)

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
        """[vocab_size] True where a piece begins a word, and for special tokens. WordPiece: no "##"; byte-level BPE: "Ġ"; Unigram: "▁"; word-level: all."""
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
        """Ids of all special tokens, ascending: the five below and any other the tokenizer has."""
        return special_ids(self.backend, self.special)

    @cached_property
    def pad_id(self) -> int:
        return self._id(self.special.pad)

    @cached_property
    def unk_id(self) -> int:
        return self._id(self.special.unk)

    @cached_property
    def cls_id(self) -> int:
        return self._id(self.special.cls)

    @cached_property
    def sep_id(self) -> int:
        return self._id(self.special.sep)

    @cached_property
    def mask_id(self) -> int:
        return self._id(self.special.mask)

    @cached_property
    def _description(self) -> Description:
        return describe(self.backend, self.special)

    def _id(self, name: str) -> int:
        return self.vocab.index(name)

    def _truncated(self, text: str, pair: str | None, *, max_length: int) -> tokenizers.Encoding:
        """Cuts before the template is laid around, since the backend's own truncation would change the backend."""
        room = max_length - self.backend.num_special_tokens_to_add(pair is not None)
        if room < 0:
            raise InputError(f"max_seq_length {max_length}: has no room for the {max_length - room} special tokens: take a larger one")
        first = self.backend.encode(text, add_special_tokens=False)
        second = None if pair is None else self.backend.encode(pair, add_special_tokens=False)
        first_room, second_room = longest_first(len(first), 0 if second is None else len(second), room=room)
        first.truncate(first_room)
        if second is not None:
            second.truncate(second_room)
        return self.backend.post_process(first, second, add_special_tokens=True)


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
