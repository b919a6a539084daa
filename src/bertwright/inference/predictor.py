"""A trained checkpoint at work: fills masks, writes text, gives vectors."""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from bertwright.architecture import LM, MLM, HeadKind
from bertwright.checkpoints.generation import read_settings
from bertwright.checkpoints.huggingface import load_model
from bertwright.checkpoints.resolve import resolve_checkpoint
from bertwright.data.batching import batches
from bertwright.errors import CheckpointError, InputError
from bertwright.inference.rendering import Span, fill_gaps
from bertwright.inference.results import Candidate, Encoded, FilledText
from bertwright.models import Model
from bertwright.models.generation_settings import Generation, with_options
from bertwright.models.stack import Watch
from bertwright.readable import quote
from bertwright.tasks.writer import GeneratedText, Writer
from bertwright.text.tokenizer import Encoding, Tokenizer

BATCH_TOKENS = 8192  # padded tokens a pass: keeps the logits of the masked positions and the activations small on a laptop


def load(checkpoint: str | Path, *, device: str | None = None) -> "Predictor":
    """Loads a checkpoint: a run folder, a checkpoint folder, any Hugging Face folder or a hub name.

    device: as torch names it; by default the GPU where there is one. Raises CheckpointError or InputError, saying what is wrong with it.
    """
    folder = resolve_checkpoint(str(checkpoint))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model, tokenizer = load_model(folder, dtype=torch.float32).model.to(place), Tokenizer.load(folder)
    if tokenizer.vocab_size > model.architecture.vocab_size:
        raise CheckpointError(
            f"{folder}: its tokenizer has {tokenizer.vocab_size} entries, its model embeds {model.architecture.vocab_size}: "
            f"put the tokenizer there that the model was trained with"
        )
    return Predictor(model=model, tokenizer=tokenizer, checkpoint=folder)


@dataclass(frozen=True)
class _Task:
    """A text ready for the model: its ids with the masks in, where they are, and the characters they stand for."""

    ids: list[int]
    type_ids: list[int]
    positions: list[int]
    spans: list[Span]
    source: str


class Predictor:
    """A model and its tokenizer. Everything runs in float32 and without dropout; nothing is truncated."""

    def __init__(self, *, model: Model, tokenizer: Tokenizer, checkpoint: Path) -> None:
        self.model, self.tokenizer, self.checkpoint = model, tokenizer, checkpoint

    @property
    def heads(self) -> tuple[HeadKind, ...]:
        return self.model.head_kinds

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens, [CLS] and [SEP] included; a number beyond all texts where the model's positions know no limit."""
        return self.model.architecture.max_length or sys.maxsize

    @property
    def mask_token(self) -> str:
        return self.tokenizer.vocab[self.tokenizer.mask_id]

    def fill_mask(self, text: str, *, top_k: int = 5) -> FilledText:
        """Fills every [MASK] of a text: for each its `top_k` candidates, all masks at once, none seeing another's answer.

        Raises InputError for a text without a mask, or longer than the model's positions; CheckpointError where the model has no masked-language head.
        """
        return self.fill_masks([text], top_k=top_k)[0]

    def fill_masks(self, texts: Sequence[str], *, top_k: int = 5) -> list[FilledText]:
        """`fill_mask` for many texts, batched by length; the results stand in the order of the texts. Names every unusable text at once."""
        tasks: list[_Task] = []
        problems: list[str] = []
        for text in texts:
            try:
                tasks.append(self._with_masks(text))
            except InputError as error:
                problems += error.problems
        if problems:
            raise InputError(*problems)
        found = self._candidates(tasks, top_k=top_k)
        return [FilledText(text=task.source, filled=self._render(task, masks), masks=masks) for task, masks in zip(tasks, found, strict=True)]

    def mask_randomly(self, text: str, *, rate: float = 0.15, seed: int = 0, top_k: int = 5) -> FilledText:
        """Masks `rate` of the pieces of a text at random (at least one), fills them and remembers what stood there.

        rate: in (0, 1]; the same text, rate and seed mask the same pieces. Special and unknown pieces are never masked.
        Raises InputError for a rate outside, a text with nothing to mask, or one that is too long, and CheckpointError as `fill_mask` does.
        """
        if not 0 < rate <= 1:
            raise InputError(f"mask is {rate}: give the share of pieces to mask, above 0 and at most 1")
        encoding = self._encode(text)
        special = set(self.tokenizer.special_ids)
        maskable = [place for place, token in enumerate(encoding.ids) if token not in special]
        if not maskable:
            raise InputError(f"{quote(text)} has nothing to mask: give a text with known words")
        count = max(1, round(rate * len(maskable)))
        positions = sorted(random.Random(seed).sample(maskable, count))
        chosen = set(positions)
        ids = [self.tokenizer.mask_id if place in chosen else token for place, token in enumerate(encoding.ids)]
        spans = [encoding.offsets[place] for place in positions]
        task = _Task(ids, list(encoding.type_ids), positions, spans, text)
        (masks,) = self._candidates([task], top_k=top_k)
        return FilledText(
            text=fill_gaps(text, spans, [self.mask_token] * count, starts_word=[True] * count),
            filled=self._render(task, masks),
            masks=masks,
            original=text,
            answers=tuple(self.tokenizer.vocab[encoding.ids[place]] for place in positions),
        )

    def generate(self, text: str | Sequence[str], **options: Any) -> list[GeneratedText]:
        """What a language model makes of a text, or of each of several: a model of one stack goes on with it, one of two stacks answers it.

        options: fields of Generation, Hugging Face's names, in place of what the checkpoint says; without any, greedy search.
        Raises CheckpointError where the model has no language-modelling head, InputError naming every wrong option, or every text that cannot be taken.
        """
        return self.writer(**options).write([text] if isinstance(text, str) else text)

    def stream(self, text: str, **options: Any) -> Iterator[str]:
        """What `generate` makes of one text, piece by piece as it is written; not for beams or several sequences."""
        return self.writer(**options).stream(text)

    def writer(self, **options: Any) -> Writer:
        """What writes by these options; raises as `generate`."""
        if LM not in self.heads:
            raise CheckpointError(f"{self.checkpoint} has no language-modelling head and cannot generate: {self.ability}")
        settings = with_options(self.generation, options, vocab_size=self.model.architecture.vocab_size)
        return Writer(self.model, self.tokenizer, settings)

    @cached_property
    def generation(self) -> Generation:
        """The checkpoint's own settings of `generate`. Raises CheckpointError for values that cannot stand."""
        return read_settings(self.checkpoint, self.model.architecture, self.tokenizer)

    @property
    def ability(self) -> str:
        """What the checkpoint can do, in a few words."""
        if LM in self.heads:
            return "it writes text"
        return "it fills masks" if MLM in self.heads else f"it gives vectors, in Python: bertwright.load({str(self.checkpoint)!r}).encode(text)"

    @torch.inference_mode()
    def encode(self, a: str, b: str | None = None) -> Encoded:
        """The vectors of a text or of a pair (a, b): see Encoded for what and which shapes. Raises InputError where they are too long."""
        encoding = self._encode(a, b)
        ids, types = self._tensors([list(encoding.ids)], [list(encoding.type_ids)])
        pooled, states, attentions = self._states(ids, types)
        last = states[-1][0].cpu()
        return Encoded(
            tokens=tuple(encoding.tokens),
            type_ids=tuple(encoding.type_ids),
            token_vectors=last,
            cls_vector=last[0],
            pooled=None if pooled is None else pooled[0].cpu(),
            hidden_states=tuple(state[0].cpu() for state in states),
            attentions=tuple(attention[0].cpu() for attention in attentions),
        )

    def _states(self, ids: torch.Tensor, types: torch.Tensor) -> tuple[torch.Tensor | None, Sequence[torch.Tensor], Sequence[torch.Tensor]]:
        """The pooled vector, hidden states and attentions of [batch, length] ids; of two stacks the encoder's, which reads the text."""
        if self.model.encoder is not None and self.model.decoder is not None:
            watch = Watch([], [])
            self.model.remember(ids, watch=watch)
            return None, watch.states or [], watch.attentions or []
        # The prediction head is left out: nobody reads its logits here.
        output = self.model(ids, None, types, predict_positions=ids.new_zeros(0), output_hidden_states=True, output_attentions=True)
        return output.pooler_output, output.hidden_states, output.attentions

    def _encode(self, a: str, b: str | None = None) -> Encoding:
        for text in (a,) if b is None else (a, b):
            if not text.strip():
                raise InputError("the text is empty: give some words")
        encoding = self.tokenizer.encode(a, b)
        if len(encoding.ids) > self.max_length:
            raise InputError(
                f"{quote(a)} has {len(encoding.ids)} tokens with the special ones, and this model reads {self.max_length} at most: give it in shorter parts, "
                f"or train the model on with `bertwright pretrain --extend_positions {len(encoding.ids)}`"
            )
        return encoding

    def _with_masks(self, text: str) -> _Task:
        asked = text.replace("[MASK]", self.mask_token)
        encoding = self._encode(asked)
        positions = [place for place, token in enumerate(encoding.ids) if token == self.tokenizer.mask_id]
        if not positions:
            raise InputError(f"{quote(text)} has no {self.mask_token}: put {self.mask_token} where a word is wanted, or give --mask 0.15 to mask at random")
        return _Task(list(encoding.ids), list(encoding.type_ids), positions, [encoding.offsets[place] for place in positions], asked)

    @torch.inference_mode()
    def _candidates(self, tasks: Sequence[_Task], *, top_k: int) -> list[tuple[tuple[Candidate, ...], ...]]:
        if MLM not in self.heads:
            raise CheckpointError(f"{self.checkpoint} has no masked-language head and cannot fill masks: take a checkpoint that `bertwright pretrain` wrote")
        if not 1 <= top_k <= self.tokenizer.vocab_size - len(self.tokenizer.special_ids):
            raise InputError(f"top_k is {top_k}: give at least 1 and at most the vocabulary's {self.tokenizer.vocab_size}")
        found: dict[int, tuple[tuple[Candidate, ...], ...]] = {}
        for batch in batches([len(task.ids) for task in tasks], tokens=BATCH_TOKENS):
            width = max(len(tasks[number].ids) for number in batch)
            ids, types = self._tensors([tasks[number].ids for number in batch], [tasks[number].type_ids for number in batch])
            lengths = torch.tensor([len(tasks[number].ids) for number in batch], device=ids.device)
            mask = (torch.arange(width, device=ids.device) < lengths[:, None]).long()
            places = [row * width + place for row, number in enumerate(batch) for place in tasks[number].positions]
            output = self.model(ids, mask, types, predict_positions=torch.tensor(places, device=ids.device))
            best = iter(self._best(output.prediction_logits, top_k=top_k))
            for number in batch:
                found[number] = tuple(next(best) for _ in tasks[number].positions)
        return [found[number] for number in range(len(tasks))]

    def _best(self, logits: torch.Tensor, *, top_k: int) -> Iterator[tuple[Candidate, ...]]:
        """Candidates of each row of [scored, vocab_size]; special tokens are left out, their share of the probability stays theirs.

        So are rows that only pad the embeddings, beyond the tokenizer's entries.
        """
        probabilities = logits.float().softmax(-1)
        probabilities[:, list(self.tokenizer.special_ids)] = -1
        probabilities = probabilities[:, : self.tokenizer.vocab_size]
        values, ids = probabilities.topk(top_k)
        for row_values, row_ids in zip(values.tolist(), ids.tolist(), strict=True):
            yield tuple(
                Candidate(token=self.tokenizer.vocab[token], token_id=token, text=self._text(token), probability=value)
                for value, token in zip(row_values, row_ids, strict=True)
            )

    def _text(self, token: int) -> str:
        return self.tokenizer.decode([token]).strip().removeprefix("##") or self.tokenizer.vocab[token]

    def _render(self, task: _Task, masks: tuple[tuple[Candidate, ...], ...]) -> str:
        best = [candidates[0] for candidates in masks]
        fresh = [bool(self.tokenizer.word_start_table[candidate.token_id]) for candidate in best]
        return fill_gaps(task.source, task.spans, [candidate.text for candidate in best], starts_word=fresh)

    def _tensors(self, ids: list[list[int]], types: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(map(len, ids))
        device = next(self.model.parameters()).device
        pad_id = self.model.architecture.pad_id or 0  # where texts know no padding, the mask alone says what is padded
        # A tokenizer may tell two texts apart where the model cannot, such as a RoBERTa with a vocabulary of BERT's kind.
        highest = max(0, self.model.architecture.last.segments - 1)
        padded = [row + [pad_id] * (width - len(row)) for row in ids]
        padded_types = [[min(kind, highest) for kind in row] + [0] * (width - len(row)) for row in types]
        return torch.tensor(padded, device=device), torch.tensor(padded_types, device=device)
