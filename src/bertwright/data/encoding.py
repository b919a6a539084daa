"""Documents to token ids at the tokenizer's own speed: one thread reads ahead, two encode, the caller writes."""

import queue
import re
import threading
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bertwright.data.documents import Document
from bertwright.data.held_out import EncodedDocuments
from bertwright.text.scripts import code_points, is_han
from bertwright.text.tokenizer import Tokenizer
from bertwright.text.words import Segment, token_starts, word_begins

BATCH_CHARACTERS = 1 << 19  # enough to keep every core busy; the tokenizer takes about a hundred bytes of memory for each token in flight
READ_AHEAD = 3  # batches
ENCODERS = 2  # while one batch turns from Rust's encodings into an array, the next is encoded
MARKERS = ("<unk>", "<UNK>")  # how corpora spell their unknown words


class TextBatch(NamedTuple):
    """Some documents. sentences: all of them, one after the other; document_lengths: sentences of each; digests: bytes, 8 for each document."""

    sentences: list[str]
    document_lengths: list[int]
    digests: bytes


def digest(document: Document) -> bytes:
    """Eight bytes that are equal for documents of equal sentences, whatever their case."""
    return blake2b(" ".join(document.sentences).lower().encode(), digest_size=8).digest()


class TextReader:
    """Documents gathered to batches of about `BATCH_CHARACTERS`, with the corpus's own marker of unknown words replaced by the tokenizer's."""

    def __init__(self, tokenizer: Tokenizer, *, unknown_marker: str | None) -> None:
        self.characters = 0
        self.chinese = 0  # of the characters
        self.markers: Counter[str] = Counter()  # how often each of MARKERS stands in the text, and the marker that was given
        self._marker = None if unknown_marker is None else marker_pattern(unknown_marker)
        self._given = unknown_marker or ""
        self._unknown = tokenizer.vocab[tokenizer.unk_id]

    def batches(self, documents: Iterable[Document]) -> Iterator[TextBatch]:
        """The documents, in order, batch by batch."""
        sentences: list[str] = []
        lengths: list[int] = []
        digests = bytearray()
        characters = 0
        for document in documents:
            sentences += document.sentences
            lengths.append(len(document.sentences))
            digests += digest(document)
            characters += sum(map(len, document.sentences))
            if characters >= BATCH_CHARACTERS:
                yield TextBatch(self._with_unknowns(sentences), lengths, bytes(digests))
                sentences, lengths, digests, characters = [], [], bytearray(), 0
        if lengths:
            yield TextBatch(self._with_unknowns(sentences), lengths, bytes(digests))

    def _with_unknowns(self, sentences: list[str]) -> list[str]:
        text = "\n".join(sentences)
        self.characters += len(text)
        self.chinese += 0 if text.isascii() else int(is_han(code_points(text)).sum())
        for known in MARKERS:
            self.markers[known] += text.count(known)
        if self._marker is None:
            return sentences
        text, replaced = self._marker.subn(lambda _: self._unknown, text)
        if self._given not in MARKERS:
            self.markers[self._given] += replaced
        return text.split("\n") if replaced else sentences


def marker_pattern(marker: str) -> re.Pattern[str]:
    """Finds a corpus's marker of unknown words; one that begins or ends with a letter is found as a whole word only."""
    before = r"(?<!\w)" if re.match(r"\w", marker) else ""
    after = r"(?!\w)" if re.search(r"\w$", marker) else ""
    return re.compile(before + re.escape(marker) + after)


class Encoder:
    """Batches to token ids, in any thread. `extends`: the tokenizer that this one was made from, whose tokens are counted too; `segment`: finds the words of
    Chinese text."""

    def __init__(self, tokenizer: Tokenizer, *, extends: Tokenizer | None = None, segment: Segment | None = None) -> None:
        self.tokenizer, self.extends, self.segment = tokenizer, extends, segment
        self._before: list[int] = []  # tokens of each batch under `extends`: appending is safe between threads, adding is not

    @property
    def tokens_before(self) -> int:
        """Tokens that the text so far has under `extends`."""
        return sum(self._before)

    def encode(self, batch: TextBatch) -> EncodedDocuments:
        """Token ids of a batch; sentences and documents that come out empty are left out."""
        parts = [self._encode_some(some) for some in _slices(batch.sentences)]
        if self.extends is not None:
            self._before.append(sum(len(ids) for some in _slices(batch.sentences) for ids in self.extends.encode_ids(some)))
        tokens, lengths, starts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        document = np.repeat(np.arange(len(batch.document_lengths)), batch.document_lengths)
        document_lengths = np.bincount(document[lengths > 0], minlength=len(batch.document_lengths))
        digests = np.frombuffer(batch.digests, dtype="<u8")
        kept = document_lengths > 0
        return EncodedDocuments(tokens, lengths[lengths > 0], document_lengths[kept], digests[kept], None if self.segment is None else starts)

    def _encode_some(self, sentences: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.bool_]]:
        """Ids, tokens of each sentence, and which tokens begin a word: nothing where no segmenter says so."""
        if self.segment is None:
            ids, starts = self.tokenizer.encode_ids(sentences), np.empty(0, dtype=np.bool_)
        else:
            pieces = self.tokenizer.pieces(sentences)
            ids = [cut.ids for cut in pieces]
            starts = token_starts(sentences, pieces, word_begins(sentences, self.segment), self.tokenizer.word_start_table)
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        return np.fromiter(chain.from_iterable(ids), dtype=np.uint32, count=int(lengths.sum())), lengths, starts


def _slices(sentences: list[str]) -> Iterator[list[str]]:
    """The sentences of one batch, a long document's in several calls, since the tokenizer's memory grows with what it is handed at once."""
    begin = characters = 0
    for place, sentence in enumerate(sentences):
        characters += len(sentence)
        if characters >= 2 * BATCH_CHARACTERS:
            yield sentences[begin : place + 1]
            begin, characters = place + 1, 0
    if begin < len(sentences):
        yield sentences[begin:]


def encoded(batches: Iterator[TextBatch], encoder: Encoder) -> Generator[EncodedDocuments, None, None]:
    """The batches as token ids, in order. Reading, sentence cutting and encoding overlap; an error of any of them is raised here."""
    with ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode") as pool:
        waiting: deque[Future[EncodedDocuments]] = deque()
        for batch in read_ahead(batches):
            waiting.append(pool.submit(encoder.encode, batch))
            if len(waiting) > ENCODERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _End(NamedTuple):
    error: BaseException | None


def read_ahead(batches: Iterator[TextBatch]) -> Iterator[TextBatch]:
    """The same batches, made by another thread up to `READ_AHEAD` in advance; the thread ends with this iterator."""
    ready: queue.Queue[TextBatch | _End] = queue.Queue(READ_AHEAD)
    stopped = threading.Event()

    def fill() -> None:
        end = _End(None)
        try:
            for batch in batches:
                _put(ready, batch, stopped)
                if stopped.is_set():
                    return
        except BaseException as error:  # handed on: the caller raises it
            end = _End(error)
        _put(ready, end, stopped)

    thread = threading.Thread(target=fill, name="read", daemon=True)
    try:
        thread.start()
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        if thread.ident is not None:
            thread.join()


def _put(ready: "queue.Queue[TextBatch | _End]", item: TextBatch | _End, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            ready.put(item, timeout=0.1)
        except queue.Full:
            continue
        return
