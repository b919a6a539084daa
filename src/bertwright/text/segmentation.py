"""Chinese words found by jieba before WordPiece cuts them, as RoFormer's vocabulary expects (Su et al. 2021)."""

import json
from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import normalizers, pre_tokenizers

from bertwright.errors import InputError


def with_jieba(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A copy of a WordPiece backend that keeps the words of its vocabulary whole; such a copy can be neither pickled nor written.

    Raises InputError where rjieba is missing.
    """
    copy = tokenizers.Tokenizer.from_str(backend.to_str())
    vocabulary: dict[str, int] = json.loads(backend.to_str())["model"]["vocab"]
    copy.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(_JiebaWords(vocabulary))
    return copy


class _JiebaWords:
    """What the tokenizers library takes for a pre-tokeniser."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        try:
            import rjieba
        except ImportError as error:
            raise InputError("RoFormer's tokenizer finds Chinese words with rjieba, which is not installed: pip install 'bertwright[zh]'") from error
        self._segment = rjieba.tokenize
        self._vocabulary = vocabulary
        self._apart = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False)

    def pre_tokenize(self, text: Any) -> None:
        text.split(self._split)

    def _split(self, _: int, text: Any) -> list[Any]:
        """A word of the vocabulary stays whole; any other falls into its Chinese characters and what stands between them."""
        pieces = []
        for word, start, stop in self._segment(str(text), hmm=False):
            if word in self._vocabulary:
                pieces.append(text[start:stop])
                continue
            for part in self._apart.normalize_str(word).split():
                pieces.append(text[start : start + len(part)])
                start += len(part)
        return pieces
