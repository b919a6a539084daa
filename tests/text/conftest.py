"""A small tokenizer of every family, in its classic files, and what transformers makes of the same files."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

VOCABULARIES = Path(__file__).parents[2] / "../shared/data/vocab"

LINES = [
    "Paris is the capital of France, and Rome that of Italy.",
    "He said: “don't!” 3.14 times, a well-known (Café) x-y",
    "我喜欢北京。中国人很多。今天天气非常好。",
    "naïve Café 한국어 hello hello world new-line tabs",
] * 8

FAMILIES = (
    *("bert", "distilbert", "electra", "nezha", "roformer", "modernbert"),
    *("roberta", "bart", "gpt2", "openai-gpt"),
    *("albert", "t5", "mt5", "xlm-roberta", "xlnet"),
)
"""The model types of the tables."""

REAL = {
    **{name: ("bert", name) for name in ("bert_base_uncased", "bert_base_cased_tok", "bert_chinese", "bert_multi_cased")},
    **{"roberta": ("roberta", "roberta"), "bart": ("bart", "roberta"), "gpt2": ("gpt2", "gpt2")},
    **{"albert-base": ("albert", "albert-base"), "xlnet": ("xlnet", "xlnet")},
}
"""Name -> model type and folder of ../shared/data/vocab."""

CASED = ("bert_base_cased_tok", "bert_multi_cased")


@pytest.fixture(scope="session")
def library() -> Any:
    """transformers, imported once."""
    return transformers()


@pytest.fixture(scope="session")
def classic() -> Callable[[str, Path], None]:
    """Writes a model type's small tokenizer in its classic files into a folder."""
    return write_classic


@pytest.fixture(scope="session")
def small_families(tmp_path_factory: pytest.TempPathFactory) -> list["Given"]:
    return [make(model_type, tmp_path_factory.mktemp(model_type)) for model_type in FAMILIES]


@pytest.fixture(scope="session", params=[*FAMILIES, *(f"real {name}" for name in REAL)])
def given_family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Given":
    return make(request.param, tmp_path_factory.mktemp("family"))


def transformers() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import is not ours to keep quiet
        return pytest.importorskip("transformers")


def real(name: str) -> Path:
    if not (VOCABULARIES / name).is_dir():
        pytest.skip(f"no {name} in ../shared/data/vocab")
    return VOCABULARIES / name


class Given(NamedTuple):
    """A folder with classic files and a config.json, and transformers' tokenizer of it."""

    model_type: str
    folder: Path
    theirs: Any


def make(name: str, folder: Path) -> Given:
    """A family of `FAMILIES`, or one of `REAL` after "real "."""
    if name in FAMILIES:
        model_type = name
        write_classic(model_type, folder)
    else:
        name = name.removeprefix("real ")
        model_type, source = REAL[name]
        for file in real(source).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return Given(model_type, folder, reference(model_type, folder, cased=name in CASED))


def write_classic(model_type: str, folder: Path) -> None:
    """A small tokenizer as its family's first release wrote it."""
    writers: dict[str, Callable[[Path], None]] = {
        **dict.fromkeys(("bert", "distilbert", "electra", "nezha", "roformer"), write_wordpiece),
        **dict.fromkeys(("roberta", "bart"), lambda at: write_bytes(at, ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])),
        "gpt2": lambda at: write_bytes(at, [], ["<|endoftext|>"]),
        "openai-gpt": write_gpt,
        "modernbert": write_modernbert,
        "albert": lambda at: write_pieces(
            at, unk_id=1, pad_id=0, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"], given=["(", ")", "-", "."]
        ),
        "t5": lambda at: write_pieces(at, pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
        "mt5": lambda at: write_pieces(at, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, byte_fallback=True, given=["<extra_id_1>", "<extra_id_0>"]),
        "xlm-roberta": lambda at: write_pieces(at, "sentencepiece.bpe.model"),
        "xlnet": lambda at: write_pieces(at, control_symbols=["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"], given=["<eop>", ".", "-"]),
    }
    writers[model_type](folder)
    if model_type == "mt5":
        (folder / "tokenizer_config.json").write_text(json.dumps({"extra_ids": 0}))


def write_wordpiece(folder: Path) -> None:
    letters = sorted({letter for line in LINES for letter in line.lower() if not letter.isspace()})
    words = ["paris", "is", "the", "capital", "##ital", "of", "hello", "##lo", "非常", "今天", "北京", "中国", "today", *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *words]) + "\n", encoding="utf-8")


def write_bytes(folder: Path, before: list[str], after: list[str]) -> None:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=before, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    write_bpe(folder, backend, trainer, after)


def write_gpt(folder: Path) -> None:
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    write_bpe(folder, backend, trainers.BpeTrainer(vocab_size=250, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False), [])


def write_bpe(folder: Path, backend: Any, trainer: Any, after: list[str]) -> None:
    backend.train_from_iterator(LINES, trainer)
    model = json.loads(backend.to_str())["model"]
    vocabulary = {**model["vocab"], **{name: len(model["vocab"]) + place for place, name in enumerate(after)}}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = [" ".join(merge) for merge in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")


def write_modernbert(folder: Path) -> None:
    """As on the hub: its special tokens, and runs of spaces, are added behind the vocabulary."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    backend.train_from_iterator(LINES, trainer)
    backend.normalizer = normalizers.NFC()
    backend.add_tokens([tokenizers.AddedToken("    ", normalized=True), tokenizers.AddedToken("  ", normalized=True)])
    names = ["<|endoftext|>", "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    backend.add_special_tokens([tokenizers.AddedToken(name, lstrip=name == "[MASK]", normalized=False, special=True) for name in names])
    frame = [(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=frame)
    backend.save(str(folder / "tokenizer.json"))
    roles = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    config = {**roles, "tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_pieces(folder: Path, name: str = "spiece.model", *, given: list[str] | None = None, **options: Any) -> None:
    spm = pytest.importorskip("sentencepiece", reason="SentencePiece models are made with sentencepiece")
    made = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=made, vocab_size=500, hard_vocab_limit=False, minloglevel=2, user_defined_symbols=given or [], **options
    )
    (folder / name).write_bytes(made.getvalue())


def reference(model_type: str, folder: Path, *, cased: bool) -> Any:
    """transformers' own tokenizer of a classic folder, with the two things mended that it gets wrong from such files."""
    library = transformers()
    options: dict[str, Any] = {"do_lower_case": False} if cased else {}
    if model_type == "roformer":  # from a vocab.txt it looks words up in the path's name, and so keeps none whole
        words = (folder / "vocab.txt").read_text(encoding="utf-8").split()
        return library.RoFormerTokenizer({word: number for number, word in enumerate(words)})
    if model_type in ("roberta", "bart"):  # the mask of the published tokenizers takes the space before it
        options["mask_token"] = library.AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    if model_type == "nezha":  # which transformers 5 no longer has
        return library.BertTokenizer.from_pretrained(folder)
    return library.AutoTokenizer.from_pretrained(folder, **options)
