"""Generation: a model goes on with texts, token by token, by greedy search, sampling or beam search."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from bertwright.blocks.layout import Padded
from bertwright.errors import InputError
from bertwright.models.generation_beams import beam_search
from bertwright.models.generation_scores import PADDED, Draw, Rule, highest, score_rule, seeds
from bertwright.models.generation_settings import Generation
from bertwright.models.stack import Memory
from bertwright.models.transformer import Model

__all__ = ["Continuation", "Generation", "generate", "one_by_one"]


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """New tokens of a text, the end token among them where it came; score: of a beam, its log-probability over its length to the length penalty."""

    ids: tuple[int, ...]
    score: float | None = None


class Reader:
    """A model that reads texts and says what comes next. The keys and values of what it has read are kept.

    history: [rows, read] ids that the decoder has read, PADDED where a row is padded.
    """

    def __init__(self, model: Model, input_ids: Tensor, attention_mask: Tensor | None, *, start_id: int | None) -> None:
        """input_ids: [texts, length]; attention_mask: 1 on real tokens; padding on the left, or on the right of what an encoder reads.

        start_id: what a decoder beside an encoder begins with. Raises ValueError for padding on the wrong side, InputError where there is no such start.
        """
        self.model, self.cache = model, model.new_cache()
        self.mask, self.memory = None, None
        padded = attention_mask is not None and not bool(attention_mask.all())
        if model.encoder is not None:
            if start_id is None:
                raise InputError("this model's decoder needs a token to begin with: give decoder_start_token_id")
            self.memory = model.remember(input_ids, attention_mask if padded else None)
            self.history = input_ids.new_full((len(input_ids), 1), start_id)
            return
        if attention_mask is None or not padded:
            self.history = input_ids
            return
        if not bool(attention_mask[:, -1].all()):
            raise ValueError("a text that goes on is padded on the left: the last column of attention_mask must be 1")
        self.mask = attention_mask.long()
        self.history = input_ids.masked_fill(self.mask == 0, PADDED)

    def begin(self) -> Tensor:
        """Reads what was given -> logits of the first new token, [texts, vocab_size], float32."""
        return self._read(self.history.clamp(min=0))

    def __call__(self, tokens: Tensor) -> Tensor:
        """Reads [rows, 1] more tokens -> logits of the next one, [rows, vocab_size], float32."""
        self.history = torch.cat([self.history, tokens], dim=1)
        if self.mask is not None:
            self.mask = torch.cat([self.mask, torch.ones_like(tokens)], dim=1)
        return self._read(tokens)

    def _read(self, tokens: Tensor) -> Tensor:
        rows, length = tokens.shape
        last = torch.arange(1, rows + 1, device=tokens.device) * length - 1
        if self.memory is not None:
            output = self.model(tokens, decoder_input_ids=tokens, memory=self.memory, cache=self.cache, predict_positions=last)
        else:
            # Places count the real tokens, so that a padded text stands where it would stand alone.
            places = None if self.mask is None else (self.mask.cumsum(1) - 1).clamp(min=0)[:, -length:]
            output = self.model(tokens, self.mask, position_ids=places, cache=self.cache, predict_positions=last)
        logits: Tensor = output.prediction_logits
        return logits.float()

    def select(self, rows: Tensor) -> None:
        """Goes on with these rows, [new rows]: some left out, or some several times."""
        self.cache.select(rows)
        self.history = self.history[rows]
        self.mask = None if self.mask is None else self.mask[rows]
        if self.memory is not None and isinstance(self.memory.layout, Padded):
            mask = self.memory.layout.mask
            self.memory = Memory(hidden=self.memory.hidden[rows], layout=Padded(None if mask is None else mask[rows]))

    def reorder(self, rows: Tensor) -> None:
        """As `select`, where each row takes the place of one of the same text: what they share stays where it is."""
        self.cache.reorder(rows)
        self.history = self.history[rows]


@torch.inference_mode()
def generate(
    model: Model, input_ids: Tensor, attention_mask: Tensor | None = None, *, settings: Generation, row_seeds: Sequence[int] | None = None
) -> list[list[Continuation]]:
    """What comes after each of [texts, length] ids: num_return_sequences for each text, of beams the best first. The model should be in evaluation mode.

    attention_mask: 1 on real tokens. Texts that go on are padded on the left, those that an encoder reads on the right. row_seeds: of the draws,
    one for each text and sequence, in place of those that come from settings.seed. Raises InputError for settings that cannot stand, an empty text, one that
    leaves no room for a new token, and where the rules leave no token to choose; ValueError for a model without a language-modelling head.
    """
    reader, longest = _prepare(model, input_ids, attention_mask, settings)
    rule = score_rule(settings, prompt=reader.history.shape[1], longest=longest)
    count = settings.num_return_sequences if settings.do_sample else settings.num_beams
    logits = reader.begin()
    if count > 1:
        rows = torch.arange(len(logits), device=logits.device).repeat_interleave(count)
        reader.select(rows)
        logits = logits[rows]
    if settings.num_beams > 1:
        found = beam_search(reader, logits, reader.history, rule=rule, settings=settings, longest=longest)
        return [[Continuation(ids=tuple(ids), score=score) for ids, score in text] for text in found]
    new: list[list[int]] = [[] for _ in logits]
    for rows_now, tokens in _one_by_one(reader, logits, rule=rule, settings=settings, longest=longest, row_seeds=row_seeds):
        for row, token in zip(rows_now, tokens, strict=True):
            new[row].append(token)
    return [[Continuation(ids=tuple(ids)) for ids in new[start : start + count]] for start in range(0, len(new), count)]


@torch.inference_mode()
def one_by_one(model: Model, input_ids: Tensor, *, settings: Generation, row_seeds: Sequence[int] | None = None) -> Iterator[int]:
    """The new tokens of one text, [1, length], as soon as each is known. Raises as `generate`, and InputError for beams or several sequences."""
    if settings.num_beams > 1 or settings.num_return_sequences > 1 or len(input_ids) > 1:
        raise InputError("tokens come one by one for one text and one sequence: take num_beams 1 and num_return_sequences 1")
    reader, longest = _prepare(model, input_ids, None, settings)
    rule = score_rule(settings, prompt=reader.history.shape[1], longest=longest)
    for _, (token,) in _one_by_one(reader, reader.begin(), rule=rule, settings=settings, longest=longest, row_seeds=row_seeds):
        yield token


def _prepare(model: Model, input_ids: Tensor, attention_mask: Tensor | None, settings: Generation) -> tuple[Reader, int]:
    """What reads the texts, and how many tokens may follow."""
    architecture = model.architecture
    if "lm" not in model.heads:
        raise ValueError("this model has no language-modelling head")
    if problems := settings.problems(vocab_size=architecture.vocab_size):
        raise InputError(*problems)
    start = architecture.decoder_start_id if settings.decoder_start_token_id is None else settings.decoder_start_token_id
    if input_ids.shape[1] == 0:
        raise InputError("a text has no tokens: give one or more, such as the one that texts begin with")
    prompt = 1 if model.encoder is not None else input_ids.shape[1]
    longest = settings.longest(prompt, architecture.last.max_length)
    if longest < 1:
        limits = [f"max_length {settings.max_length}"] if settings.max_new_tokens is None and settings.max_length is not None else []
        limits += [] if architecture.last.max_length is None else [f"the model's {architecture.last.max_length} positions"]
        raise InputError(f"{prompt} tokens leave no room for a new one within {' and '.join(limits)}: give a shorter text")
    return Reader(model, input_ids, attention_mask, start_id=start), longest


def _one_by_one(
    reader: Reader, logits: Tensor, *, rule: Rule, settings: Generation, longest: int, row_seeds: Sequence[int] | None = None
) -> Iterator[tuple[list[int], list[int]]]:
    """(rows, their next tokens), step by step; rows that have ended are left out of what follows."""
    draw = Draw(row_seeds or list(islice(seeds(settings.seed), len(logits)))) if settings.do_sample else None
    choose: Callable[[Tensor], Tensor] = draw or highest
    rows = list(range(len(logits)))
    for length in range(1, longest + 1):
        tokens = choose(rule(logits, reader.history))
        chosen = tokens.tolist()
        yield rows, chosen
        going = [place for place, token in enumerate(chosen) if token not in settings.stop_ids]
        if not going or length == longest:
            return
        if len(going) < len(rows):
            rows = [rows[place] for place in going]
            kept = torch.tensor(going, device=tokens.device)
            reader.select(kept)
            tokens = tokens[kept]
            if draw is not None:
                draw.select(going)
        logits = reader(tokens[:, None])
