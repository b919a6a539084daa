"""The corpus report: what a prepared text holds, and a plain warning for each thing that would spoil a training."""

from dataclasses import asdict, dataclass, replace
from typing import Any

QUANTILES = (("min", 0.0), ("p10", 0.1), ("median", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))

# Where a number becomes a warning. The first five are shares of what they speak of.
HIGH_UNKNOWN = 0.01
FREQUENT_MARKER = 1e-4
MANY_DUPLICATES = 0.05
MUCH_TRUNCATION = 0.2
MUCH_PADDING = 0.5
LITTLE_TEXT = 100_000  # tokens: fewer than one minute of training on a laptop sees
EXAMPLES = 12  # of new entries
FEW_HELD_OUT = 1_000  # tokens: about 150 masked ones, on which a loss is known to within a tenth at best


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What becomes of the tokens in rows of `max_seq_length`, sentence pairs: shares of all tokens and of all places in the rows."""

    max_seq_length: int
    truncated: float
    padding: float


@dataclass(frozen=True, kw_only=True)
class Text:
    """What the reader met and did: mended or dropped characters, cut texts, blank rows."""

    invalid_bytes: int = 0
    lone_surrogates: int = 0
    control_characters: int = 0
    invisible_characters: int = 0
    blank_rows: int = 0
    long_texts_cut: int = 0


@dataclass(frozen=True, kw_only=True)
class NewVocabulary:
    """What new entries of the tokenizer do: the entries, and the tokens of all the text without them and with them."""

    entries: tuple[str, ...]
    tokens_before: int
    tokens: int

    def line(self, characters: int) -> str:
        """For the screen."""
        examples = ", ".join(self.entries[:EXAMPLES]) + (", ..." if len(self.entries) > EXAMPLES else "")
        saved = 1 - self.tokens / max(self.tokens_before, 1)
        each, before = (characters / max(count, 1) for count in (self.tokens, self.tokens_before))
        return (
            f"{_many(len(self.entries), 'entry')} ({examples}): the text takes {self.tokens:,} tokens instead of {self.tokens_before:,}, "
            f"{abs(saved):.1%} {'fewer' if saved >= 0 else 'more'} ({each:.2f} characters each instead of {before:.2f})"
        )


@dataclass(frozen=True, kw_only=True)
class CorpusReport:
    """What `prepare` found; corpus.json holds it. Lengths are quantiles in tokens, rates and shares lie in [0, 1], entropy is in nats.

    duplicates: documents whose words repeat an earlier one's, training and validation each for itself; leakage: validation documents that stand in
    the training documents too. unigram_entropy: of the training tokens, the loss of a model that only knows how frequent each token is.
    words: of the training text, its signs too; segmenter: what found the Chinese ones.
    """

    files: int
    bytes: int
    characters: int
    divided_by: str
    reason: str
    tokenizer: str
    vocab_size: int
    lowercase: bool
    documents: int
    sentences: int
    tokens: int
    validation_documents: int
    validation_sentences: int
    validation_tokens: int
    held_out: str
    unknown_rate: float
    unknown_markers: dict[str, int]
    unknown_marker: str | None
    special_literals: int
    sentence_lengths: dict[str, float]
    document_lengths: dict[str, float]
    one_sentence_documents: int
    duplicates: int
    validation_duplicates: int
    leakage: int
    rows: Rows
    nsp_possible: bool
    unigram_entropy: float
    vocab_used: int
    text: Text
    words: int = 0
    segmenter: str | None = None
    new_vocabulary: NewVocabulary | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object of corpus.json."""
        return asdict(self)

    def with_warnings(self) -> "CorpusReport":
        """The same report with every warning that its numbers call for."""
        return replace(self, warnings=tuple(_warnings(self)))

    def lines(self) -> list[str]:
        """The report for the screen, warnings last."""
        share = self.one_sentence_documents / max(self.documents, 1)
        rows = {
            "text": f"{_many(self.files, 'source')}, {self.bytes / 1e6:,.1f} MB, {self.characters:,} characters",
            "documents": f"{self.documents:,} for training, {self.validation_documents:,} held out ({self.held_out}); {self.reason}",
            "sentences": f"{self.sentences:,} for training, {self.validation_sentences:,} held out",
            "tokens": f"{self.tokens:,} for training, {self.validation_tokens:,} held out",
            "tokenizer": f"{self.tokenizer}, {self.vocab_size:,} entries, {self.vocab_used:,} of them in the training text",
            **({} if self.new_vocabulary is None else {"new vocabulary": self.new_vocabulary.line(self.characters)}),
            **({} if self.segmenter is None else {"words": self._words()}),
            "unknown tokens": f"{self.unknown_rate:.3%}",
            "sentence lengths": _lengths(self.sentence_lengths),
            "document lengths": f"{_lengths(self.document_lengths)}; {share:.0%} have one sentence",
            "duplicates": f"{self.duplicates:,} of the training documents repeat another",
            "leakage": f"{self.leakage:,} of the held-out documents stand in the training text",
            f"rows of {self.rows.max_seq_length}": _rows(self.rows),
            "NSP": "possible" if self.nsp_possible else "not possible",
            "unigram entropy": f"{self.unigram_entropy:.3f} nats: the loss of a model that knows only how frequent each token is",
        }
        width = max(map(len, rows)) + 2
        shown = [f"{name:<{width}}{value}" for name, value in rows.items()]
        shown += [f"{'note':<{width}}{note}" for note in self.notes]
        return shown + [f"warning: {warning}" for warning in self.warnings]

    def _words(self) -> str:
        return f"{self.words:,} for training, found by {self.segmenter}, {self.tokens / max(self.words, 1):.2f} tokens each"


def _many(count: int, noun: str) -> str:
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"


def _rows(rows: Rows) -> str:
    return f"as sentence pairs {rows.truncated:.1%} of the tokens cut off, {rows.padding:.1%} padding; packed: neither"


def _lengths(quantiles: dict[str, float]) -> str:
    median, high, longest = (f"{quantiles[name]:,.0f}" for name in ("median", "p90", "max"))
    return f"median {median} tokens, a tenth above {high}, longest {longest}"


def _warnings(report: CorpusReport) -> list[str]:
    return [*_structure(report), *_words(report), *_repetition(report), *_reading(report)]


def _structure(report: CorpusReport) -> list[str]:
    found = []
    if report.documents <= 1:
        found.append("there is one document only: next sentence prediction needs two or more: pass another --documents, or train with --objective mlm")
    elif not report.nsp_possible:
        found.append("every document has one sentence: next sentence prediction is not possible: pass another --documents, or train with --objective mlm")
    elif report.one_sentence_documents * 2 > report.documents:
        found.append(
            f"{report.one_sentence_documents / report.documents:.0%} of the documents have one sentence and serve next sentence prediction as partners only: "
            "pass another --documents, or train with --objective mlm"
        )
    if report.tokens < LITTLE_TEXT:
        found.append(f"little text: {report.tokens:,} tokens for training; a model from scratch wants a million or more")
    if report.validation_tokens == 0:
        found.append("nothing is held out, so no validation loss can be measured: give more documents or --validation_files")
    elif report.validation_tokens < FEW_HELD_OUT:
        found.append(f"only {report.validation_tokens:,} tokens are held out, so the validation loss will be rough: raise --validation_fraction")
    if report.rows.truncated > MUCH_TRUNCATION:
        found.append(
            f"{report.rows.truncated:.0%} of the tokens are cut off in sentence pairs of {report.rows.max_seq_length}: "
            "train with a longer --max_seq_length, or look whether --sentences suits the text"
        )
    if report.nsp_possible and report.rows.padding > MUCH_PADDING:
        found.append(
            f"documents are short: {report.rows.padding:.0%} of sentence pairs of {report.rows.max_seq_length} is padding: "
            "pass another --documents, take a shorter --max_seq_length, or train with --objective mlm, which packs them"
        )
    return found


def _words(report: CorpusReport) -> list[str]:
    found = []
    if report.unknown_rate > HIGH_UNKNOWN:
        why = f", {report.unknown_marker} of the text among them" if report.unknown_marker else ""
        mend = "nothing is learnt from them" if report.unknown_marker else "take a tokenizer that fits the text, or train one (leave --tokenizer out)"
        found.append(f"{report.unknown_rate:.1%} of the tokens are unknown{why}: {mend}")
    for marker, count in report.unknown_markers.items():
        if marker != report.unknown_marker and count > 10 and count > FREQUENT_MARKER * report.tokens:
            found.append(
                f'"{marker}" stands {count:,} times in the text and is read as letters: pass --unknown_marker "{marker}" if it stands for unknown words'
            )
    if report.special_literals:
        found.append(
            f"the text itself holds {report.special_literals:,} special tokens such as [SEP], which the model takes for its own: take them out of the text"
        )
    return found


def _repetition(report: CorpusReport) -> list[str]:
    found = []
    if report.duplicates > MANY_DUPLICATES * report.documents:
        found.append(f"{report.duplicates / report.documents:.0%} of the training documents repeat another, word for word: take the copies out of the text")
    if report.leakage:
        found.append(
            f"{report.leakage:,} of the {report.validation_documents:,} held-out documents stand in the training text too, "
            "so the validation loss will look better than it is: take them out of one of the two"
        )
    return found


def _reading(report: CorpusReport) -> list[str]:
    text = report.text
    said = [
        (
            text.invalid_bytes + text.lone_surrogates,
            "bytes or half characters were not UTF-8 and were replaced or skipped: look whether the files have another encoding",
        ),
        (text.control_characters, "control characters were removed: look whether all of the files are text"),
        (text.long_texts_cut, "cuts were made in lines of more than 1 or documents of more than 4 million characters"),
        (text.blank_rows, "rows had a blank text and were left out"),
    ]
    return [f"{count:,} {what}" for count, what in said if count]
