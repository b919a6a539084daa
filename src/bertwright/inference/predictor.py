"""A trained checkpoint at work: fills masks, writes text, gives vectors, and does the task it was fine-tuned for."""

import random
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bertwright.architecture import LM, MLM, HeadKind
from bertwright.checkpoints.generation import read_settings
from bertwright.checkpoints.huggingface import load_model
from bertwright.checkpoints.resolve import resolve_checkpoint
from bertwright.checkpoints.sentence_transformers import POOLINGS, Pooling
from bertwright.data.batching import batches
from bertwright.data.labelled.examples import TaskName
from bertwright.errors import CheckpointError, InputError
from bertwright.inference import given
from bertwright.inference.given import Given, Pair
from bertwright.inference.reader import Reader, row_length
from bertwright.inference.rendering import Span, fill_gaps
from bertwright.inference.results import Candidate, Encoded, FilledText
from bertwright.models import Model
from bertwright.models.generation_settings import Generation, with_options
from bertwright.models.stack import Watch
from bertwright.readable import quote
from bertwright.tasks.embedding import Embedding
from bertwright.tasks.predictions import Embedded
from bertwright.tasks.registry import task_of
from bertwright.tasks.task import Task
from bertwright.tasks.writer import GeneratedText, Writer
from bertwright.text.tokenizer import Encoding, Tokenizer

BATCH_TOKENS = 8192  # padded tokens a pass: keeps the logits of the masked positions and the activations small on a laptop

_VERBS = {
    "classify": "classify texts",
    "regress": "give texts a number",
    "tag": "tag words",
    "answer": "answer questions",
    "choice": "choose among texts",
    "embed": "embed texts",
    "generate": "write text",
}
_ABILITIES = {
    "classify": "it classifies texts",
    "regress": "it gives texts a number",
    "tag": "it tags words",
    "answer": "it answers questions from a context",
    "choice": "it chooses among texts",
    "embed": "it embeds texts",
    "generate": "it writes text",
}


def load(checkpoint: str | Path, *, device: str | None = None, bf16: bool = False) -> "Predictor":
    """Loads a checkpoint: a run folder, a checkpoint folder, any Hugging Face folder or a hub name.

    device: as torch names it; by default the GPU where there is one. bf16: compute in bfloat16, about twice as fast where the processor knows it, with
    probabilities that differ in the third decimal place; else in float32. Raises CheckpointError or InputError, saying what is wrong with it.
    """
    folder = resolve_checkpoint(str(checkpoint))
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model, tokenizer = load_model(folder, dtype=torch.bfloat16 if bf16 else torch.float32).model.to(place), Tokenizer.load(folder)
    if tokenizer.vocab_size > model.architecture.vocab_size:
        raise CheckpointError(
            f"{folder}: its tokenizer has {tokenizer.vocab_size} entries, its model embeds {model.architecture.vocab_size}: "
            f"put the tokenizer there that the model was trained with"
        )
    return Predictor(model=model, tokenizer=tokenizer, checkpoint=folder)


@dataclass(frozen=True)
class _Masked:
    """A text ready for the model: its ids with the masks in, where they are, and the characters they stand for."""

    ids: list[int]
    type_ids: list[int]
    positions: list[int]
    spans: list[Span]
    source: str


class Predictor:
    """A model and its tokenizer, without dropout. Masks are filled, texts written on and vectors of tokens given of whole texts alone; where a text is too long
    for a task, it loses its end, which a warning says, or is read in windows.

    Methods of tasks take one input or a list of them, and give one prediction or a list: a tuple is one input, a pair of texts or the words of a text. Raise
    CheckpointError where the checkpoint does another task, InputError naming every input that cannot be taken.
    """

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
        tasks: list[_Masked] = []
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
        task = _Masked(ids, list(encoding.type_ids), positions, spans, text)
        (masks,) = self._candidates([task], top_k=top_k)
        return FilledText(
            text=fill_gaps(text, spans, [self.mask_token] * count, starts_word=[True] * count),
            filled=self._render(task, masks),
            masks=masks,
            original=text,
            answers=tuple(self.tokenizer.vocab[encoding.ids[place]] for place in positions),
        )

    @cached_property
    def task(self) -> Task | None:
        """What the checkpoint was fine-tuned for; None where that is nothing, or nowhere said. Raises CheckpointError where its files contradict each other."""
        return task_of(self.checkpoint) if (self.checkpoint / "config.json").is_file() else None

    @cached_property
    def row_length(self) -> int:
        """Tokens a row of `task`: those that it was fine-tuned with where its files say, at most the model's positions."""
        return row_length(self.checkpoint, self.model.architecture)

    def reader(self, *, max_seq_length: int | None = None) -> Reader:
        """What does the checkpoint's task. Raises CheckpointError where it has none, InputError for a length that the model has no positions for."""
        if self.task is None:
            raise CheckpointError(f"{self.checkpoint} was fine-tuned for no task: {self.ability}")
        return self._reader(self.task, max_seq_length)

    def classify(self, texts: str | Pair | Sequence[str | Pair]) -> Any:
        """The label of a text or pair, with the probabilities of all: a Classified, or a list of them."""
        return self._do("classify", given.texts_or_pairs(texts))

    def regress(self, texts: str | Pair | Sequence[str | Pair]) -> Any:
        """The number of a text or pair: a Regressed, or a list of them."""
        return self._do("regress", given.texts_or_pairs(texts))

    def tag(self, texts: str | Sequence[str] | Sequence[Sequence[str]]) -> Any:
        """The tags of a text's words and the entities that they make: a Tagged, or a list of them.

        A text is cut at white space, punctuation marks and Chinese characters, each a word of its own; a tuple of words, or a list within the list, is taken
        as it is.
        """
        return self._do("tag", given.texts_or_words(texts))

    def answer(self, question: str | Sequence[Pair], context: str | None = None) -> Any:
        """The answer to a question in a context: an Answered, or a list of them for a list of (question, context)."""
        return self._do("answer", given.questions(question, context))

    def choose(self, text: str | Sequence[tuple[str, Sequence[str]]], choices: Sequence[str] | None = None) -> Any:
        """The choice that goes with a text: a Chosen, or a list of them for a list of (text, choices)."""
        return self._do("choice", given.choices(text, choices))

    def embed(self, texts: str | Sequence[str], *, pooling: Pooling | None = None) -> NDArray[np.float32]:
        """Vectors of whole texts, float32: [hidden_size] of a text, [texts, hidden_size] of a list; equal texts are read once.

        pooling: cls, mean or max of the last layer, in place of what the checkpoint was trained with; one that was trained for something else needs it.
        """
        asked = given.texts(texts)
        task = self.task if isinstance(self.task, Embedding) and pooling in (None, self.task.pooling) else None
        if task is None:
            if pooling not in POOLINGS:
                said = "" if pooling is None else f"pooling is {pooling!r}: "
                raise CheckpointError(f"{said}{self.checkpoint} was not trained to embed texts: give pooling, one of {', '.join(POOLINGS)}; {self.ability}")
            task = Embedding(pooling=pooling, normalised=False)
            if problems := task.problems(self.model.architecture):
                raise CheckpointError(*(f"{self.checkpoint}: {problem}" for problem in problems))
        found: list[Embedded] = self._read(self._reader(task, None), asked.examples, callers=2)
        vectors = np.concatenate([one.vectors for one in found]) if found else np.zeros((0, self.model.architecture.hidden_size), np.float32)
        return vectors[0] if asked.single else vectors

    def _do(self, name: TaskName, asked: Given) -> Any:
        if self.task is None or self.task.name != name:
            raise CheckpointError(f"{self.checkpoint} cannot {_VERBS[name]}: {self.ability}")
        return asked.answer(self._read(self._reader(self.task, None), asked.examples, callers=3))

    def _read(self, reader: Reader, examples: Sequence[Any], *, callers: int) -> list[Any]:
        """Every example's prediction. callers: how far above stands the user's code, where a warning is to point."""
        found, truncated = [], 0
        for part in reader.stream(examples):
            found += part.predictions
            truncated += part.truncated
        if truncated:
            warnings.warn(cut_said(truncated, len(examples), reader.max_length), stacklevel=1 + callers)
        return found

    def _reader(self, task: Task, max_seq_length: int | None) -> Reader:
        length = self.row_length if max_seq_length is None else max_seq_length
        if not 3 <= length <= self.max_length:
            raise InputError(f"max_seq_length is {length}: this model reads from 3 to {self.max_length} tokens a row")
        return Reader(task=task, model=self.model, tokenizer=self.tokenizer, max_length=length)

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
        task = self.task
        if task is not None:
            return _ABILITIES[task.name]
        return "it fills masks" if MLM in self.heads else f"it gives vectors, in Python: bertwright.load({str(self.checkpoint)!r}).encode(text)"

    @torch.inference_mode()
    def encode(self, a: str, b: str | None = None) -> Encoded:
        """The vectors of a text or of a pair (a, b): see Encoded for what and which shapes. Raises InputError where they are too long."""
        encoding = self._encode(a, b)
        ids, types = self._tensors([list(encoding.ids)], [list(encoding.type_ids)])
        pooled, states, attentions = self._states(ids, types)
        last = states[-1][0].float().cpu()
        return Encoded(
            tokens=tuple(encoding.tokens),
            type_ids=tuple(encoding.type_ids),
            token_vectors=last,
            cls_vector=last[0],
            pooled=None if pooled is None else pooled[0].float().cpu(),
            hidden_states=tuple(state[0].float().cpu() for state in states),
            attentions=tuple(attention[0].float().cpu() for attention in attentions),
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

    def _with_masks(self, text: str) -> _Masked:
        asked = text.replace("[MASK]", self.mask_token)
        encoding = self._encode(asked)
        positions = [place for place, token in enumerate(encoding.ids) if token == self.tokenizer.mask_id]
        if not positions:
            raise InputError(f"{quote(text)} has no {self.mask_token}: put {self.mask_token} where a word is wanted, or give --mask 0.15 to mask at random")
        return _Masked(list(encoding.ids), list(encoding.type_ids), positions, [encoding.offsets[place] for place in positions], asked)

    @torch.inference_mode()
    def _candidates(self, tasks: Sequence[_Masked], *, top_k: int) -> list[tuple[tuple[Candidate, ...], ...]]:
        if MLM not in self.heads:
            mend = "take a checkpoint that `bertwright pretrain` wrote" if self.task is None else self.ability
            raise CheckpointError(f"{self.checkpoint} has no masked-language head and cannot fill masks: {mend}")
        most = self.tokenizer.vocab_size - len(self.tokenizer.special_ids)
        if not 1 <= top_k <= most:
            raise InputError(f"top_k is {top_k}: give at least 1 and at most the {most} entries of the vocabulary that are no special tokens")
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

    def _render(self, task: _Masked, masks: tuple[tuple[Candidate, ...], ...]) -> str:
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


def cut_said(count: int, of: int, length: int) -> str:
    """What to say where texts lost their end."""
    they = "is longer than {} tokens and lost its end" if count == 1 else "are longer than {} tokens and lost their end"
    return f"{count:,} of {of:,} texts {they.format(length)}"
