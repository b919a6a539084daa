"""Text from a language model: texts in, texts out, whole or piece by piece."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from bertwright.data.batching import batches
from bertwright.errors import InputError
from bertwright.models import Model
from bertwright.models.generation import Continuation, generate, one_by_one
from bertwright.models.generation_scores import seeds
from bertwright.models.generation_settings import Generation
from bertwright.readable import quote
from bertwright.text.tokenizer import Tokenizer

BATCH_TOKENS = 8192  # padded tokens, old and new, of all beams at once: keeps keys, values and logits small on a laptop
UNFINISHED = "\ufffd"  # what a character is decoded to of which only the first bytes are there


@dataclass(frozen=True, kw_only=True)
class GeneratedSequence:
    """One answer. text: without special tokens; tokens: the vocabulary's pieces, the end token among them; score: of a beam, see Generation."""

    text: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratedText:
    """What a model made of a text: its sequences, of beams the best first. continues: they go on where the text ends, rather than answer it."""

    input: str
    sequences: tuple[GeneratedSequence, ...]
    continues: bool

    @property
    def text(self) -> str:
        """The first sequence's."""
        return self.sequences[0].text

    @property
    def full_texts(self) -> tuple[str, ...]:
        """What a reader wants to see: each sequence, behind the text where it goes on with it."""
        return tuple(self.input + one.text if self.continues else one.text for one in self.sequences)

    def to_json(self) -> dict[str, object]:
        """One JSON object: input, and generated with text, tokens and, of beams, score."""
        return {
            "input": self.input,
            "generated": [
                {"text": one.text, "tokens": list(one.tokens)} | ({} if one.score is None else {"score": round(one.score, 6)}) for one in self.sequences
            ],
        }


class Writer:
    """A language model and its tokenizer, writing by some settings. What it draws goes on from text to text: a new writer begins with the seed again."""

    def __init__(self, model: Model, tokenizer: Tokenizer, settings: Generation) -> None:
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self._seeds = seeds(settings.seed)

    @property
    def continues(self) -> bool:
        """Whether what it writes goes on with the text, as that of a model without an encoder does."""
        return self.model.encoder is None

    @property
    def streams(self) -> bool:
        """Whether it can write piece by piece: it cannot with beams, whose best is known at the end, or for several sequences."""
        return self.settings.num_beams == 1 and self.settings.num_return_sequences == 1

    def write(self, texts: Sequence[str]) -> list[GeneratedText]:
        """What it makes of each text, in their order; many go through the model together, and none feels the others.

        Raises InputError naming every text that is empty or leaves no room.
        """
        prompts = self._prompts(texts)
        answers = zip(texts, prompts, self.continued(prompts), strict=True)
        return [self._generated(text, prompt, continuations) for text, prompt, continuations in answers]

    def continued(self, prompts: Sequence[Sequence[int]]) -> list[list[Continuation]]:
        """What comes after each prompt's ids, or what is answered to them; none is empty, and each leaves room for a new token."""
        several = self.settings.num_return_sequences
        draws = list(islice(self._seeds, len(prompts) * several))
        found: dict[int, list[Continuation]] = {}
        for batch in self._together([len(prompt) for prompt in prompts]):
            ids, mask = self._tensors([prompts[number] for number in batch])
            row_seeds = [seed for number in batch for seed in draws[number * several : (number + 1) * several]]
            found |= zip(batch, generate(self.model, ids, mask, settings=self.settings, row_seeds=row_seeds), strict=True)
        return [found[number] for number in range(len(prompts))]

    def stream(self, text: str) -> Iterator[str]:
        """The sequence's text, piece by piece as it is written. Raises as `write`, and InputError for beams or several sequences."""
        (prompt,) = self._prompts([text])
        ids, _ = self._tensors([prompt])
        tokens = one_by_one(self.model, ids, settings=self.settings, row_seeds=[next(self._seeds)])
        return settled(self.text_of(prompt, new, typed=text) for new in _growing(tokens))

    def problems(self, text: str) -> list[str]:
        """One line for each thing that keeps it from writing on a text; empty when it can."""
        return self._problems(text, self._prompt(text))

    def _prompts(self, texts: Sequence[str]) -> list[list[int]]:
        prompts, problems = [], []
        for text in texts:
            ids = self._prompt(text)
            problems += self._problems(text, ids)
            prompts.append(ids)
        if problems:
            raise InputError(*problems)
        return prompts

    def _prompt(self, text: str) -> list[int]:
        """A text as the model reads it: whole for an encoder; to go on with, without what the tokenizer puts at its end."""
        encoding = self.tokenizer.encode(text)
        if not self.continues:
            return list(encoding.ids)
        end = len(encoding.ids)
        while end and encoding.special_mask[end - 1]:
            end -= 1
        begin = self.settings.bos_token_id
        return list(encoding.ids[:end]) or ([] if begin is None else [begin])

    def _problems(self, text: str, ids: Sequence[int]) -> list[str]:
        encoder = self.model.architecture.encoder
        if encoder is not None:
            if not text.strip():
                return ["the text is empty: give some words"]
            if encoder.max_length is not None and len(ids) > encoder.max_length:
                return [f"{quote(text)} has {len(ids)} tokens, and this model reads {encoder.max_length} at most: give it in shorter parts"]
            return []
        if not ids:
            return ["the text is empty, and this checkpoint names no bos_token_id to begin with: give some words"]
        positions = self.model.architecture.last.max_length
        if self.settings.longest(len(ids), positions) > 0:
            return []
        if positions is not None and len(ids) >= positions:
            return [f"{quote(text)} has {len(ids)} tokens, and this model has {positions} positions for old and new ones: give a text of fewer"]
        return [f"{quote(text)} has {len(ids)} tokens, and max_length is {self.settings.max_length}: give max_new_tokens"]

    def _together(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Numbers of texts to write in one go: only such as have the same room, since it ends with the least."""
        positions = self.model.architecture.last.max_length
        rooms: dict[int, list[int]] = {}
        for number, length in enumerate(lengths):
            rooms.setdefault(self.settings.longest(length if self.continues else 1, positions), []).append(number)
        width = self.settings.num_beams if not self.settings.do_sample else self.settings.num_return_sequences
        for room, numbers in rooms.items():
            for batch in batches([width * (lengths[number] + room) for number in numbers], tokens=BATCH_TOKENS):
                yield [numbers[place] for place in batch]

    def _tensors(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        device = next(self.model.parameters()).device
        width, pad_id = max(map(len, prompts)), self.model.architecture.pad_id or 0
        blanks = [width - len(prompt) for prompt in prompts]
        left = self.continues
        rows = [[*[pad_id] * blank, *prompt] if left else [*prompt, *[pad_id] * blank] for prompt, blank in zip(prompts, blanks, strict=True)]
        real = [[0] * blank + [1] * len(prompt) if left else [1] * len(prompt) + [0] * blank for prompt, blank in zip(prompts, blanks, strict=True)]
        return torch.tensor(rows, device=device), torch.tensor(real, device=device)

    def _generated(self, text: str, prompt: Sequence[int], continuations: Iterable[Continuation]) -> GeneratedText:
        sequences = tuple(
            GeneratedSequence(text=self.text_of(prompt, one.ids, typed=text), tokens=tuple(map(self._piece, one.ids)), ids=one.ids, score=one.score)
            for one in continuations
        )
        return GeneratedText(input=text, sequences=sequences, continues=self.continues)

    def _piece(self, token: int) -> str:
        # Rows that only pad the embeddings have no piece.
        return self.tokenizer.vocab[token] if token < self.tokenizer.vocab_size else ""

    def text_of(self, prompt: Sequence[int], new: Sequence[int], *, typed: str = "") -> str:
        """New tokens as text. Behind a text the space between two words is part of it, unless the text as it was typed ends with one."""
        if not self.continues:
            return self._decode(new)
        before, whole = self._decode(prompt), self._decode([*prompt, *new])
        added = _beyond(before, whole)
        return added.removeprefix(" ") if typed[-1:].isspace() and not before[-1:].isspace() else added

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)


def _growing(tokens: Iterable[int]) -> Iterator[list[int]]:
    new: list[int] = []
    for token in tokens:
        new.append(token)
        yield list(new)


def settled(texts: Iterable[str]) -> Iterator[str]:
    """Pieces of a text that is decoded anew with every token: only what a later token will not change, the rest at the end."""
    shown, text = "", ""
    for text in texts:
        if text.startswith(shown) and not text.endswith(UNFINISHED) and text != shown:
            yield text[len(shown) :]
            shown = text
    if rest := _beyond(shown, text):
        yield rest


def _beyond(beginning: str, text: str) -> str:
    """The text without what it has in common with a beginning."""
    pairs = zip(beginning, text, strict=False)
    same = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(beginning), len(text)))
    return text[same:]
