"""The four kinds of tokenizer as backends of the tokenizers library: normaliser, pre-tokeniser, decoder, special tokens and template of each."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from bertwright.text.special import SpecialTokens

Kind = Literal["wordpiece", "bpe", "unigram", "word"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def normalizer(kind: Kind, *, lowercase: bool) -> Any:
    """How a kind cleans text, or None where it takes text as it is."""
    if kind == "wordpiece":
        return bert_normalizer(lowercase=lowercase)
    lower = [normalizers.Lowercase()] if lowercase else []
    if kind == "unigram":  # as SentencePiece's nmt_nfkc, its default; a space at the end would become a piece of its own
        squeeze = normalizers.Replace(tokenizers.Regex(" {2,}"), " ")
        return normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), squeeze, normalizers.Strip(left=False, right=True), *lower])
    return normalizers.Sequence(lower) if lower else None


def bert_normalizer(*, lowercase: bool, split_chinese: bool = True, strip_accents: bool | None = None) -> Any:
    """BERT's own (google-research/bert, tokenization.py): control characters go, Chinese characters stand alone, lower case also strips accents."""
    return normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=split_chinese, strip_accents=strip_accents, lowercase=lowercase)


def pre_tokenizer(kind: Kind) -> Any:
    """How a kind cuts text into words."""
    if kind == "wordpiece":
        return pre_tokenizers.BertPreTokenizer()
    if kind == "bpe":
        # The first word gets its space too, so that it has one form everywhere; ByteLevel's own prefix would also put one behind every [MASK].
        space = pre_tokenizers.Metaspace(replacement=" ", prepend_scheme="first", split=False)
        return pre_tokenizers.Sequence([space, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    if kind == "unigram":
        return pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first")
    return pre_tokenizers.WhitespaceSplit()


def decoder(kind: Kind, special: SpecialTokens) -> Any:
    """How a kind joins pieces into text, or None where a space between them does. A special token gets back the space that it takes."""
    if kind == "wordpiece":
        return decoders.WordPiece(prefix="##", cleanup=True)
    if kind == "bpe":
        return decoders.Sequence([*_spaced(special, " "), decoders.ByteLevel(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    if kind == "unigram":
        return decoders.Sequence([*_spaced(special, "▁"), decoders.Metaspace(replacement="▁", prepend_scheme="first")])
    return None


def _spaced(special: SpecialTokens, space: str) -> list[Any]:
    return [decoders.Replace(name, space + name) for name in special.in_order()]


def assemble(model: Any, *, kind: Kind, lowercase: bool, special: SpecialTokens) -> tokenizers.Tokenizer:
    """A backend around a trained model: a literal special token in a text is that token, and `encode` adds [CLS] A [SEP] B [SEP]."""
    backend = tokenizers.Tokenizer(model)
    cleaner = normalizer(kind, lowercase=lowercase)
    if cleaner is not None:
        backend.normalizer = cleaner
    backend.pre_tokenizer = pre_tokenizer(kind)
    joiner = decoder(kind, special)
    if joiner is not None:
        backend.decoder = joiner
    # In these two kinds a space is part of a piece: the one before a special token would be left over as a piece of its own.
    add_special_tokens(backend, special, take_space_before=kind in ("bpe", "unigram"))
    template = pair_template(backend, special)
    backend.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template]) if kind == "bpe" else template
    return backend


def bert_wordpiece(vocabulary: Mapping[str, int], special: SpecialTokens, *, cleaner: Any) -> tokenizers.Tokenizer:
    """BERT's own WordPiece over a vocabulary; `cleaner` is a `bert_normalizer`."""
    model = models.WordPiece(dict(vocabulary), unk_token=special.unk, max_input_chars_per_word=100)
    backend = assemble(model, kind="wordpiece", lowercase=False, special=special)
    backend.normalizer = cleaner
    return backend


def roberta_bpe(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]], special: SpecialTokens) -> tokenizers.Tokenizer:
    """RoBERTa's byte-level BPE: no space before the first word, `<s> A </s></s> B </s>`, and a mask that takes the space before it."""
    backend = tokenizers.Tokenizer(models.BPE(vocab=dict(vocabulary), merges=list(merges), continuing_subword_prefix="", end_of_word_suffix=""))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    add_special_tokens(backend, special, take_space_before=False)
    backend.add_special_tokens([tokenizers.AddedToken(special.mask, lstrip=True, special=True, normalized=False)])
    sep, cls = ((name, vocabulary[name]) for name in (special.sep, special.cls))
    backend.post_processor = processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=False)
    return backend


def add_special_tokens(backend: tokenizers.Tokenizer, special: SpecialTokens, *, take_space_before: bool) -> None:
    """Makes the literal special tokens in a text count as such."""
    backend.add_special_tokens([tokenizers.AddedToken(name, lstrip=take_space_before, special=True, normalized=False) for name in special.in_order()])


def pair_template(backend: tokenizers.Tokenizer, special: SpecialTokens) -> Any:
    """[CLS] A [SEP] with type 0, B [SEP] with type 1 (Devlin et al. 2018, section 3)."""
    cls, sep = special.cls, special.sep
    return processors.TemplateProcessing(
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=[(name, backend.token_to_id(name)) for name in (cls, sep)],
    )
