"""Tokenizers as backends of the tokenizers library: normaliser, pre-tokeniser, decoder, special tokens and template of the four kinds trained here, and of
the families that have their own."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from bertwright.text.families import BERT, TextFamily
from bertwright.text.special import SpecialTokens

Kind = Literal["wordpiece", "bpe", "unigram", "word"]
KINDS: tuple[Kind, ...] = get_args(Kind)

WORD_END = "</w>"
"""What the first GPT's vocabulary writes at the end of a word (Sennrich et al. 2016)."""


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


def assemble(model: Any, *, kind: Kind, lowercase: bool, special: SpecialTokens, added: Sequence[tokenizers.AddedToken] = ()) -> tokenizers.Tokenizer:
    """A backend around a trained model: a literal special token in a text is that token, and `encode` adds [CLS] A [SEP] B [SEP].

    `added`: tokens beyond the model's vocabulary, in the order of their ids.
    """
    backend = tokenizers.Tokenizer(model)
    cleaner = normalizer(kind, lowercase=lowercase)
    if cleaner is not None:
        backend.normalizer = cleaner
    backend.pre_tokenizer = pre_tokenizer(kind)
    joiner = decoder(kind, special)
    if joiner is not None:
        backend.decoder = joiner
    backend.add_tokens(list(added))
    # In these two kinds a space is part of a piece: the one before a special token would be left over as a piece of its own.
    add_special_tokens(backend, special, take_space_before=kind in ("bpe", "unigram"))
    template = pair_template(backend, special)
    backend.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template]) if kind == "bpe" else template
    return backend


def bert_wordpiece(vocabulary: Mapping[str, int], special: SpecialTokens, *, cleaner: Any, added: Sequence[tokenizers.AddedToken]) -> tokenizers.Tokenizer:
    """BERT's own WordPiece over a vocabulary; `cleaner` is a `bert_normalizer`; `added` as for `assemble`, here and below."""
    model = models.WordPiece(dict(vocabulary), unk_token=special.unk, max_input_chars_per_word=100)
    backend = assemble(model, kind="wordpiece", lowercase=False, special=special, added=added)
    backend.normalizer = cleaner
    return backend


class Merges(NamedTuple):
    """A BPE vocabulary, its merges in their order, and tokens beyond it in the order of their ids."""

    vocabulary: Mapping[str, int]
    pairs: Sequence[tuple[str, str]]
    added: Sequence[tokenizers.AddedToken] = ()


def byte_bpe(merges: Merges, special: SpecialTokens, *, prefix_space: bool) -> tokenizers.Tokenizer:
    """Byte-level BPE as GPT-2 has it, with the literal special tokens and no template; `prefix_space` puts a space before the first word."""
    backend = tokenizers.Tokenizer(models.BPE(vocab=dict(merges.vocabulary), merges=list(merges.pairs), continuing_subword_prefix="", end_of_word_suffix=""))
    backend.add_tokens(list(merges.added))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    backend.decoder = decoders.ByteLevel()
    add_special_tokens(backend, special, take_space_before=False)
    return backend


def roberta_bpe(merges: Merges, special: SpecialTokens, *, prefix_space: bool) -> tokenizers.Tokenizer:
    """RoBERTa's byte-level BPE: `<s> A </s></s> B </s>`, and a mask that takes the space before it."""
    backend = byte_bpe(merges, special, prefix_space=prefix_space)
    sep, cls, mask = (str(name) for name in (special.sep, special.cls, special.mask))
    backend.add_special_tokens([tokenizers.AddedToken(mask, lstrip=True, special=True, normalized=False)])
    ids = backend.get_vocab(with_added_tokens=True)
    backend.post_processor = processors.RobertaProcessing((sep, ids[sep]), (cls, ids[cls]), trim_offsets=True, add_prefix_space=prefix_space)
    return backend


def gpt_bpe(merges: Merges, special: SpecialTokens) -> tokenizers.Tokenizer:
    """The first GPT's BPE over characters: words cleaned, lower-cased and cut as BERT's, `</w>` at the end of each."""
    vocabulary, pairs = dict(merges.vocabulary), list(merges.pairs)
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, pairs, continuing_subword_prefix="", end_of_word_suffix=WORD_END, unk_token=special.unk))
    backend.add_tokens(list(merges.added))
    backend.normalizer = bert_normalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.BPEDecoder(suffix=WORD_END)
    add_special_tokens(backend, special, take_space_before=False)
    return backend


def add_special_tokens(backend: tokenizers.Tokenizer, special: SpecialTokens, *, take_space_before: bool) -> None:
    """Makes the literal special tokens in a text count as such."""
    backend.add_special_tokens([tokenizers.AddedToken(name, lstrip=take_space_before, special=True, normalized=False) for name in special.in_order()])


def pair_template(backend: tokenizers.Tokenizer, special: SpecialTokens, family: TextFamily = BERT) -> Any:
    """What a family lays around one text and around two; BERT's is [CLS] A [SEP] with type 0, B [SEP] with type 1 (Devlin et al. 2018, section 3)."""
    tokens = special.by_role()
    single, pair = ([part.format(**tokens) for part in template.split()] for template in family.template)
    used = {name for role, name in tokens.items() if f"{{{role}}}" in family.template[1]}
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=[(name, backend.token_to_id(name)) for name in sorted(used)])
