"""What a preparation is told, as one flat set of keys; imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from bertwright.errors import InputError

Division = Literal["blank_line", "line", "file", "heading"]
Sentences = Literal["auto", "line"]
TokenizerType = Literal["wordpiece", "bpe", "unigram", "word"]
EncodingErrors = Literal["strict", "replace", "skip"]
SHORTEST_ROW = 8  # tokens: three special ones and a few to learn from


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Settings of a preparation. None means: guessed from the text, and said.

    Parameters
    ----------
    documents
        What ends a document in text files: blank_line, line, file or heading (WikiText's ` = Title = `). A row of a table is always one.
    sentences
        auto (sentences are found) or line (each line is one).
    text_column
        Column of the text in tables and JSON; a number counts from 0, for files without a header line.
    unknown_marker
        What the text itself writes for an unknown word, such as <unk>.
    tokenizer
        vocab.txt, tokenizer.json, a folder with one, or any checkpoint; trained on the text if left out.
    add_vocabulary
        New entries for the given tokenizer: how many are to be found in the text, or a file with one word a line.
    segmenter
        Finds the words of Chinese text, for masking whole ones: rjieba, or module:function of your own (a text to a list of words).
    tokenizer_type
        Kind to train: wordpiece, bpe, unigram or word.
    vocab_size
        Entries to train.
    sentinels
        How many tokens <extra_id_0>, <extra_id_1> ... the tokenizer is to have; span_corruption marks gaps with them, and 100 are plenty.
    lowercase
        Train on lower-cased text without accents.
    min_frequency
        How often a piece must occur to be an entry; by default 2, and 5 for words.
    validation_fraction
        Share of the documents to hold out, at least one document; by default 5% of files below 20 MB, else 1%; 0 holds out none.
    validation_files
        Texts to hold out instead.
    encoding_errors
        Bytes that are not UTF-8: strict refuses them, replace and skip go on and count them.
    max_seq_length
        Row length for which the report foresees truncation and padding, in tokens.
    seed
        Of the choice of held-out documents and of the tokenizer's sample.
    overwrite
        Replace finished shards in the folder.
    """

    documents: Division | None = None
    sentences: Sentences = "auto"
    text_column: str = "text"
    unknown_marker: str | None = None
    tokenizer: str | None = None
    add_vocabulary: int | str | None = None
    segmenter: str | None = None
    tokenizer_type: TokenizerType = "wordpiece"
    vocab_size: int | None = None
    sentinels: int = 0
    lowercase: bool = False
    min_frequency: int | None = None
    validation_fraction: float | None = None
    validation_files: tuple[str, ...] = ()
    encoding_errors: EncodingErrors = "strict"
    max_seq_length: int = 128
    seed: int = 0
    overwrite: bool = False

    def problems(self) -> list[str]:
        """One line for each value that cannot stand; empty when all can."""
        choices = {"documents": Division, "sentences": Sentences, "tokenizer_type": TokenizerType, "encoding_errors": EncodingErrors}
        found = [
            f"{name} is {value!r}: take one of {', '.join(get_args(allowed))}"
            for name, allowed in choices.items()
            if (value := getattr(self, name)) is not None and value not in get_args(allowed)
        ]
        if self.validation_fraction is not None and not 0 <= self.validation_fraction < 1:
            found.append(f"validation_fraction is {self.validation_fraction}: it must lie in [0, 1)")
        for name in ("vocab_size", "min_frequency"):
            if (number := getattr(self, name)) is not None and number < 1:
                found.append(f"{name} is {number}: it must be at least 1")
        if self.sentinels < 0:
            found.append(f"sentinels is {self.sentinels}: it must be at least 0, for example 100")
        if self.max_seq_length < SHORTEST_ROW:
            found.append(f"max_seq_length is {self.max_seq_length}: it must be at least {SHORTEST_ROW}")
        if self.unknown_marker is not None and not self.unknown_marker.strip():
            found.append("unknown_marker is blank: give what the text writes for an unknown word, such as <unk>")
        if isinstance(self.add_vocabulary, int) and self.add_vocabulary < 1:
            found.append(f"add_vocabulary is {self.add_vocabulary}: it must be at least 1")
        elif isinstance(self.add_vocabulary, str) and not Path(self.add_vocabulary).expanduser().is_file():
            found.append(f"add_vocabulary is {self.add_vocabulary!r}: no such file: give one with a word a line, or a number of new entries")
        if self.add_vocabulary is not None and self.tokenizer is None:
            found.append("add_vocabulary extends a tokenizer that is there: give one with --tokenizer CHECKPOINT, or leave --add_vocabulary out")
        if self.tokenizer is not None:
            found += [
                f"{name} is for training a tokenizer, and --tokenizer {self.tokenizer} gives one: take one of the two away"
                for name, unset in (("vocab_size", None), ("min_frequency", None), ("lowercase", False), ("tokenizer_type", "wordpiece"))
                if getattr(self, name) != unset
            ]
        return found

    def check(self) -> "PrepareConfig":
        """Itself when sound; raises InputError with every problem otherwise."""
        if problems := self.problems():
            raise InputError(*problems)
        return self
