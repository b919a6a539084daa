"""Raw text to token shards: the tokenizer, the two splits and the corpus report, in a folder that appears when all of it is there."""

import dataclasses
import json
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bertwright.data.cleaning import Tally
from bertwright.data.documents import Document, Reading, guess_division, read_documents
from bertwright.data.encoding import Encoder, TextReader, encoded, marker_pattern
from bertwright.data.held_out import EncodedDocuments, HeldOut
from bertwright.data.prepare_config import PrepareConfig
from bertwright.data.report import CorpusReport, NewVocabulary, Text
from bertwright.data.shards import ShardsWriter, SplitWriter
from bertwright.data.sources import TEXT, Sources, find_sources
from bertwright.data.statistics import entropy, leaked, pair_rows, quantiles, repeated
from bertwright.data.vocabulary import extend, guess_vocab_size, load_tokenizer, text_size, train_on
from bertwright.errors import InputError
from bertwright.text.sentinels import with_sentinels
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.words import Segment, find_segmenter

__all__ = ["Plan", "PrepareConfig", "Progress", "plan", "prepare"]


MUCH_CHINESE = 0.2  # of the characters: from there on its words matter
# The share of the documents that is held out, and that of a text of fewer bytes than SMALL.
HELD_OUT, SMALL_HELD_OUT, SMALL = 0.01, 0.05, 20_000_000


@dataclass(frozen=True)
class Progress:
    """How far a preparation is. done and total: bytes on the disk, total 0 when unknown."""

    stage: str
    done: int
    total: int
    documents: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Plan:
    """What would be read and how, before anything is."""

    sources: Sources
    validation: Sources
    reading: Reading
    reason: str
    tokenizer: str
    segment: Segment | None = None

    def lines(self) -> list[str]:
        """The plan in words."""
        files, held = self.sources, self.validation
        shown = [f"reads {len(files.files)} sources, {files.size / 1e6:,.1f} MB; {self.reason}"]
        if held.files:
            shown.append(f"holds out {len(held.files)} sources, {held.size / 1e6:,.1f} MB")
        if files.passed_over:
            shown.append(f"passes over {files.passed_over} files of other kinds")
        return [*shown, f"tokenizer: {self.tokenizer}"]


def plan(inputs: Sequence[str], config: PrepareConfig, *, spool: Path) -> Plan:
    """Finds the inputs and guesses what `config` leaves open. Raises InputError with every problem of both; spool: see `find_sources`."""
    problems = config.problems()
    found = []
    for names in (inputs, config.validation_files):
        try:
            found.append(find_sources(names, spool=spool) if names or names is inputs else Sources(()))
        except InputError as error:
            problems += error.problems
    segment = None
    try:
        segment = find_segmenter(config.segmenter) if config.segmenter is not None else None
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(*problems)
    sources, validation = found
    division = config.documents
    if division is None:
        division, reason = guess_division(sources, sentences=config.sentences, errors=config.encoding_errors)
        reason += " (guessed)" if any(source.format == TEXT for source in sources.files) else ""
    else:
        reason = f"documents by {division}"
    reading = Reading(division, config.sentences, config.text_column, config.encoding_errors)
    if config.tokenizer is not None:
        tokenizer = f"the one of {config.tokenizer}"
        if config.add_vocabulary is not None:
            tokenizer += (
                f", with {config.add_vocabulary} new entries found in the text"
                if isinstance(config.add_vocabulary, int)
                else f", with the words of {config.add_vocabulary}"
            )
    else:
        entries = config.vocab_size or f"about {guess_vocab_size(text_size(sources), kind=config.tokenizer_type)}"
        tokenizer = f"{config.tokenizer_type}, {entries} entries, trained on the text"
    return Plan(sources, validation, reading, reason, tokenizer, segment)


def prepare(inputs: Sequence[str], *, out: Path, config: PrepareConfig | None = None, progress: Callable[[Progress], None] | None = None) -> CorpusReport:
    """Turns text into shards in the folder `out`: a tokenizer, training and held-out documents as token ids, and the corpus report.

    inputs: files, folders, globs, "-" for standard input, Hugging Face data sets. progress: called now and then, from this thread.
    The folder appears when everything in it is complete; stopped at any moment, nothing that looks finished is left.
    Raises InputError for anything wrong with config, inputs or `out`; BertwrightError when the disk is full.
    """
    config = config or PrepareConfig()
    show = progress or (lambda _: None)
    with ShardsWriter(Path(out), overwrite=config.overwrite) as writer:
        with tempfile.TemporaryDirectory(dir=writer.path) as spool:
            planned = plan(inputs, config, spool=Path(spool))
            tokenizer, base, description = _tokenizer(planned, config, show)
            tokenizer = with_sentinels(tokenizer, config.sentinels)
            tokenizer.save(writer.path / "tokenizer")
            writer.begin(vocab_size=tokenizer.vocab_size, word_start_table=tokenizer.word_start_table)
            corpus = _Corpus(planned, config, Encoder(tokenizer, extends=base, segment=planned.segment))
            corpus.write(writer, show)
            writer.close()
        show(Progress("report", planned.sources.size, planned.sources.size))
        report = corpus.report(writer, description)
        (writer.path / "corpus.json").write_text(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        writer.commit(tokenizer_hash=tokenizer.hash, options={"inputs": list(inputs), **dataclasses.asdict(config)})
    return report


def _tokenizer(planned: Plan, config: PrepareConfig, show: Callable[[Progress], None]) -> tuple[Tokenizer, Tokenizer | None, str]:
    """The tokenizer, the one that it extends if it does, and what it is in words."""
    size = planned.sources.size
    show(Progress("tokenizer", 0, size))

    def progress(done: int) -> None:
        show(Progress("tokenizer", done, size))

    if config.tokenizer is not None:
        tokenizer = load_tokenizer(config.tokenizer)
        described = f"{tokenizer.kind} of {config.tokenizer}"
        if config.add_vocabulary is None:
            return tokenizer, None, described
        extended, base = extend(
            tokenizer, config.add_vocabulary, planned.sources, planned.reading, segment=planned.segment, seed=config.seed, progress=progress
        )
        return extended, base, f"{described} with {extended.vocab_size - base.vocab_size:,} entries added"
    tokenizer, described = train_on(
        planned.sources,
        planned.reading,
        kind=config.tokenizer_type,
        vocab_size=config.vocab_size,
        lowercase=config.lowercase,
        min_frequency=config.min_frequency,
        unknown_marker=None if config.unknown_marker is None else marker_pattern(config.unknown_marker),
        seed=config.seed,
        progress=progress,
    )
    return tokenizer, None, described


def _fraction(planned: Plan, config: PrepareConfig) -> float:
    """The share of the documents to hold out: of a small text more, or too little would be measured."""
    if config.validation_fraction is not None:
        return config.validation_fraction
    return SMALL_HELD_OUT if 0 < text_size(planned.sources) < SMALL else HELD_OUT


class _Corpus:
    """The documents of one preparation on their way into the two splits, and what is counted on the way."""

    def __init__(self, planned: Plan, config: PrepareConfig, encoder: Encoder) -> None:
        self.plan, self.config, self.encoder, self.tokenizer = planned, config, encoder, encoder.tokenizer
        self.tally = Tally()
        self.text = TextReader(self.tokenizer, unknown_marker=config.unknown_marker)
        self.digests = (array("Q"), array("Q"))  # of the training and the held-out documents, eight bytes each
        self.held_out = HeldOut(0.0 if planned.validation.files else _fraction(planned, config), seed=config.seed)

    def write(self, writer: ShardsWriter, show: Callable[[Progress], None]) -> None:
        """Encodes every document into its split. Raises InputError when there is no text."""
        splits = (writer.train, writer.validation)
        total = self.plan.sources.size + self.plan.validation.size

        def add(held_out: bool, documents: EncodedDocuments) -> None:
            splits[held_out].add(documents.tokens, documents.sentence_lengths, documents.document_lengths, word_starts=documents.word_starts)
            self.digests[held_out].frombytes(documents.digests.tobytes())

        def shown(documents: EncodedDocuments) -> EncodedDocuments:
            show(Progress("encoding", self.tally.bytes_read, total, sum(map(_documents, splits)), sum(map(_tokens, splits))))
            return documents

        for documents in self._encoded(self.plan.sources):
            for held_out, part in self.held_out.divide(shown(documents)):
                add(held_out, part)
        for held_out, part in self.held_out.finish():
            add(held_out, part)
        _check_text(writer.train, self.plan.sources)
        for documents in self._encoded(self.plan.validation):
            add(True, shown(documents))
        if self.plan.validation.files:
            _check_text(writer.validation, self.plan.validation)

    def _encoded(self, sources: Sources) -> Iterator[EncodedDocuments]:
        # Closed on the way out, so that no thread goes on reading after an error.
        with closing(encoded(self.text.batches(self._read(sources)), self.encoder)) as parts:
            yield from parts

    def _read(self, sources: Sources) -> Iterator[Document]:
        for source in sources.files:
            yield from read_documents(source, self.plan.reading, self.tally)

    def report(self, writer: ShardsWriter, description: str) -> CorpusReport:
        """What was counted, and what the finished arrays under `writer.path` say."""
        train, held = writer.train, writer.validation
        sentences = np.fromfile(writer.path / "train" / "sentences.bin", dtype="<i8")
        documents = np.fromfile(writer.path / "train" / "documents.bin", dtype="<i8")
        per_document = np.diff(documents)
        digests, held_digests = (np.frombuffer(values, dtype="<u8") if values else np.empty(0, dtype="<u8") for values in self.digests)
        counts, tokenizer = train.token_counts, self.tokenizer
        both = counts + held.token_counts
        others = [token for token in tokenizer.special_ids if token != tokenizer.unk_id]
        return CorpusReport(
            files=len(self.plan.sources.files) + len(self.plan.validation.files),
            bytes=self.plan.sources.size + self.plan.validation.size,
            characters=self.text.characters,
            divided_by=self.plan.reading.documents,
            reason=self.plan.reason,
            tokenizer=description,
            vocab_size=tokenizer.vocab_size,
            lowercase=tokenizer.lowercase,
            words=train.words,
            segmenter=self.config.segmenter,
            new_vocabulary=self._new_vocabulary(train.tokens + held.tokens),
            documents=train.documents,
            sentences=train.sentences,
            tokens=train.tokens,
            validation_documents=held.documents,
            validation_sentences=held.sentences,
            validation_tokens=held.tokens,
            held_out=self._held_out_by(),
            unknown_rate=float(both[tokenizer.unk_id]) / max(int(both.sum()), 1),
            unknown_markers={marker: count for marker, count in self.text.markers.items() if count},
            unknown_marker=self.config.unknown_marker,
            special_literals=int(both[others].sum()),
            sentence_lengths=quantiles(np.diff(sentences)),
            document_lengths=quantiles(np.diff(sentences[documents])),
            one_sentence_documents=int((per_document == 1).sum()),
            duplicates=repeated(digests),
            validation_duplicates=repeated(held_digests),
            leakage=leaked(held_digests, digests),
            rows=pair_rows(sentences, documents, max_seq_length=self.config.max_seq_length),
            nsp_possible=train.documents > 1 and bool((per_document > 1).any()),
            unigram_entropy=entropy(counts),
            vocab_used=int((counts > 0).sum()),
            text=Text(**{field.name: getattr(self.tally, field.name) for field in dataclasses.fields(Text)}),
            notes=self._notes(),
        ).with_warnings()

    def _new_vocabulary(self, tokens: int) -> NewVocabulary | None:
        base = self.encoder.extends
        if base is None:
            return None
        special = set(self.tokenizer.special_ids)
        entries = tuple(piece for index, piece in enumerate(self.tokenizer.vocab) if index >= base.vocab_size and index not in special)
        return NewVocabulary(entries=entries, tokens_before=self.encoder.tokens_before, tokens=tokens)

    def _held_out_by(self) -> str:
        if self.plan.validation.files:
            return "the validation files"
        if self.held_out.cut_inside:
            return "the end of the only document"
        return f"{self.held_out.fraction:.2%} by a hash of the text"

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self.config.segmenter is None and self.text.chinese > MUCH_CHINESE * self.text.characters:
            notes.append("much of the text is Chinese, each of whose characters counts as a word: --segmenter rjieba marks whole words, for masking them whole")
        if self.plan.sources.passed_over:
            notes.append(f"{self.plan.sources.passed_over} files of other kinds were passed over")
        if self.tally.invisible_characters:
            notes.append(f"{self.tally.invisible_characters:,} invisible characters (zero-width spaces and the like) were removed")
        return tuple(notes)


def _documents(split: SplitWriter) -> int:
    return split.documents


def _tokens(split: SplitWriter) -> int:
    return split.tokens


def _check_text(split: SplitWriter, sources: Sources) -> None:
    if not split.tokens:
        names = ", ".join(source.name for source in sources.files[:3]) + (", ..." if len(sources.files) > 3 else "")
        raise InputError(f"{names}: no text in it, only blank lines or nothing: give a file with text")
