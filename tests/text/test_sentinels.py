"""Sentinels stand behind the other entries, are found again in their order, and are never cut or made of a text's own words."""

from pathlib import Path

import pytest

from bertwright.data.prepare import prepare
from bertwright.data.prepare_config import PrepareConfig
from bertwright.data.samples import ABSENT, Vocabulary
from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.text.sentinels import with_sentinels
from bertwright.text.tokenizer import Tokenizer

TEXT = "\n\n".join(f"Sentence {number} of a text. It has words and numbers such as {number * 7}." for number in range(60))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "word"])
def test_a_trained_tokenizer_carries_them_through_its_files_and_transformers(kind: str, source: Path, tmp_path: Path) -> None:
    import transformers

    prepare([str(source)], out=tmp_path / "shards", config=PrepareConfig(tokenizer_type=kind, sentinels=12, min_frequency=1))
    shards = TokenShards.open(tmp_path / "shards")
    tokenizer = Tokenizer.load(shards.tokenizer_folder)
    assert tokenizer.sentinel_ids == tuple(range(tokenizer.vocab_size - 12, tokenizer.vocab_size))
    assert shards.vocab_size == tokenizer.vocab_size
    assert set(tokenizer.sentinel_ids) <= set(tokenizer.special_ids)
    assert Vocabulary.of(tokenizer).sentinels == tokenizer.sentinel_ids
    theirs = transformers.AutoTokenizer.from_pretrained(shards.tokenizer_folder)
    text = "words <extra_id_0> numbers<extra_id_11>"
    assert theirs(text).input_ids == tokenizer.encode(text).ids
    assert [token for token in tokenizer.encode(text).ids if token in tokenizer.sentinel_ids] == [tokenizer.sentinel_ids[0], tokenizer.sentinel_ids[11]]
    assert theirs.decode(tokenizer.encode("words and numbers").ids, skip_special_tokens=True).strip() == "words and numbers"


def test_old_ids_stay_and_those_that_are_there_are_not_added_again(tokenizer: Tokenizer) -> None:
    some = with_sentinels(tokenizer, 3)
    more = with_sentinels(some, 5)
    assert some.vocab[: tokenizer.vocab_size] == tokenizer.vocab
    assert more.vocab[: some.vocab_size] == some.vocab
    assert [more.vocab[number] for number in more.sentinel_ids] == [f"<extra_id_{number}>" for number in range(5)]
    assert with_sentinels(more, 4) is more
    assert tokenizer.sentinel_ids == ()


def test_their_order_is_by_name_as_t5s_own_descend(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "word", "<extra_id_3>", "<extra_id_1>", "<extra_id_0>"]), encoding="utf-8")
    assert Tokenizer.load(path).sentinel_ids == (8, 7), "<extra_id_2> is missing, so that no gap after the second can be marked"


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(InputError, match="sentinels is -1: it must be at least 0"):
        PrepareConfig(sentinels=-1).check()


def test_ids_that_a_tokenizer_lacks_are_absent(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "vocab.json").write_text('{"a": 0, "Ġa": 1, "Ġ": 2, "<|endoftext|>": 3}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\nĠ a\n", encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    found = Vocabulary.of(Tokenizer.load(tmp_path))
    assert (found.pad_id, found.cls_id, found.sep_id, found.mask_id) == (ABSENT,) * 4
    assert (found.begin_id, found.end_id, found.unk_id, found.special) == (3, 3, 3, (3,))
    berts = Vocabulary.of(tokenizer)
    assert (berts.begin_id, berts.end_id) == (berts.cls_id, berts.sep_id), "who has no token for it begins with [CLS] and ends with [SEP]"
