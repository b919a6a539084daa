"""How each family of models writes its vocabulary and frames a text: the data by which its files are told and built."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bertwright.text.special import NAMES, ROLES

Reads = Literal["vocab.txt", "vocab.json", ".model"]

GENERIC_CLASSES = ("", "PreTrainedTokenizer", "TokenizersBackend", "PythonBackend", "SentencePieceBackend")
"""Values of `tokenizer_class`, without the "Fast" at the end, that name no family."""

_FRAMED = ("{cls}:0 $A:0 {sep}:0", "{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1")
_BARE = ("$A:0", "$A:0 $B:1")


@dataclass(frozen=True)
class TextFamily:
    """`classes`: what tokenizer_config.json calls it, without "Fast". `reads`: its classic file. `names`: candidates for each role's token.

    `template`: what is laid around one text and around two, with type ids. For SentencePiece only: `head` are the roles numbered before all pieces, in
    place of the model's first three; `tail` those after; `sentinels` how many <extra_id_N> follow; `folds` whether quotes, accents and
    (`lowercases`) case are levelled before the model's own normaliser. `segments`: whether the models take the type ids of the template.
    """

    name: str
    classes: tuple[str, ...]
    model_types: tuple[str, ...]
    reads: Reads
    names: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]
    template: tuple[str, str] = _FRAMED
    head: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    sentinels: int = 0
    folds: bool = False
    lowercases: bool = False
    pads_left: bool = False
    segments: bool = True


def _named(**roles: str) -> dict[str, tuple[str, ...]]:
    return {role: (name,) for role, name in roles.items()}


BERT = TextFamily(
    name="BERT",
    classes=("BertTokenizer", "ElectraTokenizer", "NezhaTokenizer"),
    model_types=("bert", "electra", "nezha"),
    reads="vocab.txt",
    names=NAMES,
    required=ROLES,
)
DISTILBERT = replace(BERT, name="DistilBERT", classes=("DistilBertTokenizer",), model_types=("distilbert",), segments=False)
ROFORMER = replace(BERT, name="RoFormer", classes=("RoFormerTokenizer",), model_types=("roformer",))
BYTES = TextFamily(name="byte-level BPE", classes=(), model_types=(), reads="vocab.json", names=NAMES, required=ROLES)
ROBERTA = TextFamily(
    name="RoBERTa",
    classes=("RobertaTokenizer", "BartTokenizer"),
    model_types=("roberta", "bart"),
    reads="vocab.json",
    names={**NAMES, **_named(bos="<s>", eos="</s>")},
    required=ROLES,
)
GPT2 = TextFamily(
    name="GPT-2",
    classes=("GPT2Tokenizer",),
    model_types=("gpt2",),
    reads="vocab.json",
    names=_named(unk="<|endoftext|>", bos="<|endoftext|>", eos="<|endoftext|>"),
    required=("eos",),
    template=_BARE,
)
GPT = TextFamily(
    name="GPT", classes=("OpenAIGPTTokenizer",), model_types=("openai-gpt",), reads="vocab.json", names=_named(unk="<unk>"), required=("unk",), template=_BARE
)
ALBERT = TextFamily(
    name="ALBERT",
    classes=("AlbertTokenizer",),
    model_types=("albert",),
    reads=".model",
    names=_named(pad="<pad>", unk="<unk>", cls="[CLS]", sep="[SEP]", mask="[MASK]", bos="[CLS]", eos="[SEP]"),
    required=ROLES,
    folds=True,
    lowercases=True,
)
T5 = TextFamily(
    name="T5",
    classes=("T5Tokenizer", "MT5Tokenizer"),
    model_types=("t5", "mt5"),
    reads=".model",
    names=_named(pad="<pad>", unk="<unk>", eos="</s>"),
    required=("pad", "unk", "eos"),
    template=("$A:0 {eos}:0", "$A:0 {eos}:0 $B:0 {eos}:0"),
    sentinels=100,
)
XLM_ROBERTA = TextFamily(
    name="XLM-RoBERTa",
    classes=("XLMRobertaTokenizer",),
    model_types=("xlm-roberta",),
    reads=".model",
    names=_named(pad="<pad>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>", bos="<s>", eos="</s>"),
    required=ROLES,
    template=("{bos}:0 $A:0 {eos}:0", "{bos}:0 $A:0 {eos}:0 {eos}:0 $B:0 {eos}:0"),
    head=("bos", "pad", "eos", "unk"),  # as fairseq numbers them
    tail=("mask",),
)
XLNET = TextFamily(
    name="XLNet",
    classes=("XLNetTokenizer",),
    model_types=("xlnet",),
    reads=".model",
    names=_named(pad="<pad>", unk="<unk>", cls="<cls>", sep="<sep>", mask="<mask>", bos="<s>", eos="</s>"),
    required=ROLES,
    template=("$A:0 {sep}:0 {cls}:2", "$A:0 {sep}:0 $B:1 {sep}:1 {cls}:2"),
    folds=True,
    pads_left=True,
)
FAMILIES = (BERT, DISTILBERT, ROFORMER, ROBERTA, GPT2, GPT, ALBERT, T5, XLM_ROBERTA, XLNET)


def of_class(tokenizer_class: str) -> TextFamily | None:
    """The family of a `tokenizer_class` without its "Fast"."""
    return next((family for family in FAMILIES if tokenizer_class in family.classes), None)


def of_model_type(model_type: str) -> TextFamily | None:
    """The family of a config.json's `model_type`."""
    return next((family for family in FAMILIES if model_type in family.model_types), None)


def of_merges(vocabulary: Collection[str]) -> TextFamily:
    """The family that a vocabulary with merges looks like: GPT marks the ends of words, and GPT-2 has one special token."""
    if sum(piece.endswith("</w>") for piece in vocabulary) > 0.1 * len(vocabulary):
        return GPT
    if "[CLS]" in vocabulary:
        return BYTES
    return GPT2 if "<|endoftext|>" in vocabulary and "<s>" not in vocabulary else ROBERTA


def of_pieces(pieces: Sequence[str], *, file_name: str = "") -> TextFamily | None:
    """The family that a SentencePiece model's pieces, in their order, and its file's name look like, None where they tell nothing."""
    first = pieces[:16]  # special pieces come first
    if {"<pad>", "[CLS]", "[SEP]", "[MASK]"} <= set(first):
        return ALBERT
    if {"<cls>", "<sep>", "<mask>"} <= set(first):
        return XLNET
    if file_name == "sentencepiece.bpe.model" or (list(first[:4]) == ["<s>", "<pad>", "</s>", "<unk>"] and pieces[-1] == "<mask>"):
        return XLM_ROBERTA
    return T5 if list(first[:3]) == ["<pad>", "</s>", "<unk>"] else None
