"""Writing: from a source to a target, answered by a model of two stacks, continued by one of one."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bertwright.architecture import LM, Architecture, HeadKind
from bertwright.data.labelled.examples import TaskName, WriteExample
from bertwright.data.samples import IntArray
from bertwright.errors import InputError
from bertwright.metrics.generation import generation_metrics
from bertwright.models import Model
from bertwright.models.generation_settings import Generation
from bertwright.models.heads import LanguageModelling
from bertwright.objectives.objective import Losses, Term
from bertwright.tasks.predictions import Written
from bertwright.tasks.task import Item, Items, Reading, Row, TaskBatch, call, pad_rows, refuse
from bertwright.tasks.writer import Writer
from bertwright.text.tokenizer import Tokenizer

CHUNK = 256  # scored tokens whose logits are held at once: 50 MiB of them with a vocabulary of 50,000
SPACELESS = 0x2E80  # first code point of the CJK blocks: scripts from here on put no spaces between words
LARGEST = 700.0  # nats whose exponential is still a number
# What generation_config.json says of lengths is of the texts that the start was trained on.
LENGTHS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens")


class Output(NamedTuple):
    """What was written, and of the right target the summed loss in nats and its tokens."""

    text: str
    loss: float | None
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Writing:
    """Learns the tokens of the target and of its end, given the source.

    continues: the target stands behind the source in one row, as a model of one stack reads it, with a space between words; else an encoder reads the
    source. settings: of generation, as they are saved; max_new_tokens is the longest target's. num_beams: of the search that is measured, 1 for the likeliest
    token each time. smoothing: share of the target spread evenly over the vocabulary (Szegedy et al. 2016, section 7).
    The default metric is chrF, which counts characters and so serves every script (Popović 2015).
    """

    tokenizer: Tokenizer
    continues: bool
    settings: Generation
    num_beams: int = 1
    smoothing: float = 0.0
    metric: str = "chrf"
    name: TaskName = "generate"
    heads: tuple[HeadKind, ...] = (LM,)
    num_labels: int | None = None
    terms: tuple[str, ...] = ("loss",)
    decomposes: bool = True

    @classmethod
    def of(cls, architecture: Architecture, tokenizer: Tokenizer, settings: Generation, **options: Any) -> Self:
        """For a model and what its checkpoint says about generation; options: other fields.

        Where nobody says how a text ends, it ends with [SEP]. Raises InputError for a model that only reads.
        """
        if problems := cls.problems(architecture):
            raise InputError(*problems)
        if not settings.stop_ids and tokenizer.has("sep"):
            settings = dataclasses.replace(settings, eos_token_id=tokenizer.sep_id)
        return cls(tokenizer=tokenizer, continues=architecture.encoder is None, settings=settings, **options)

    def fitted(self, examples: Sequence[WriteExample], *, max_length: int) -> Self:
        """With room in what it writes for the longest target of training data, its end included, within `max_length` tokens. Raises as `items`."""
        longest = max((len(ids) for ids, _ in self._targets(examples, self.tokenizer, max_length=max_length)), default=1)
        lengths: dict[str, Any] = {"max_length": None, "min_length": 0, "min_new_tokens": None, "max_new_tokens": min(longest, max_length)}
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **lengths))

    @staticmethod
    def problems(architecture: Architecture) -> list[str]:
        """One line for what keeps a model from this task; empty when nothing does."""
        if architecture.decoder is not None:
            return []
        return ["generate needs a decoder, and this model only reads: take one such as BART, T5 or GPT-2"]

    @property
    def config(self) -> Mapping[str, Any]:
        return {}

    def generation_config(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The generation_config.json of its checkpoints: what the start's said, but for lengths, and these settings."""
        kept = {key: value for key, value in said.items() if key not in LENGTHS and not key.startswith("_")}
        own = {field.name: getattr(self.settings, field.name) for field in dataclasses.fields(Generation) if field.name != "seed"}
        plain = {field.name: field.default for field in dataclasses.fields(Generation)}
        return kept | {key: list(value) if isinstance(value, tuple) else value for key, value in own.items() if value != plain[key]}

    def items(self, examples: Sequence[WriteExample], tokenizer: Tokenizer, *, max_length: int) -> Items:
        """Of a model of two stacks source and target have `max_length` tokens each, and lose their end. Of one they share a row: the source has what
        the longest target leaves, but half of it at least, and loses its beginning, since what is written goes on from its end.

        Raises InputError naming every text that is empty or has no tokens, and for a checkpoint that does not say how targets begin and end.
        """
        _refuse_empty(examples)
        sources = self._sources([example.source for example in examples], tokenizer, max_length=max_length)
        pairs = enumerate(zip(examples, sources, strict=True))
        refuse([f"{_place(example, number)}: the source has no tokens: give some words" for number, (example, (ids, _)) in pairs if not ids])
        known = [example for example in examples if example.target is not None]
        targets = iter(self._targets(known, tokenizer, max_length=max_length) if known else [])
        items, truncated = [], 0
        for number, (example, (source, cut)) in enumerate(zip(examples, sources, strict=True)):
            target, cut_too = (None, False) if example.target is None else next(targets)
            if self.continues and target is not None and len(target) > max_length - len(source):
                target, cut_too = [*target[: max_length - len(source) - 1], target[-1]], True
            items.append(self._item(source, target, number))
            truncated += cut or cut_too
        return Items(items=items, truncated=truncated)

    def _item(self, source: list[int], target: list[int] | None, number: int) -> Item:
        if target is None:
            return Item(rows=(Row(source),), target=None, example=number)
        rows = (Row(source + target),) if self.continues else (Row(source), Row(target))
        return Item(rows=rows, target=len(source), example=number)

    def _sources(self, texts: Sequence[str], tokenizer: Tokenizer, *, max_length: int) -> list[tuple[list[int], bool]]:
        """Ids of each source as the writer reads it, and whether it was cut."""
        if not self.continues:
            return [(row.ids, row.truncated) for row in tokenizer.frame(texts, max_length=max_length)]
        framed = tokenizer.encode("a")
        begin = [token for token, _ in takewhile(lambda pair: pair[1], zip(framed.ids, framed.special_mask, strict=True))]
        room = max_length - min(self.settings.longest(0, None), max_length // 2) - len(begin)
        return [([*begin, *ids[-room:]], len(ids) > room) for ids in tokenizer.encode_ids(texts)]

    def _targets(self, examples: Sequence[WriteExample], tokenizer: Tokenizer, *, max_length: int) -> list[tuple[list[int], bool]]:
        """Ids of each target with its end, and whether it was cut; one that shares a row is whole."""
        self._check_frame()
        end = self.settings.stop_ids
        if self.continues:
            return [([*ids, end[0]], False) for ids in tokenizer.encode_ids([_behind(example.source, example.target or "") for example in examples])]
        framed = tokenizer.frame([example.target or "" for example in examples], max_length=max_length)
        return [(row.ids if row.ids[-1:] and row.ids[-1] in end else [*row.ids[: max_length - 1], end[0]], row.truncated) for row in framed]

    def _check_frame(self) -> None:
        """Refuses targets whose first or last token nobody names."""
        lacking = [] if self.settings.stop_ids else ["ends a text: put its id into config.json as eos_token_id"]
        if not self.continues and self.settings.decoder_start_token_id is None:
            lacking.append("a target begins with: put its id into config.json as decoder_start_token_id")
        if lacking:
            raise InputError(*(f"the checkpoint names no token that {what}" for what in lacking))

    def batch(self, items: Sequence[Item], *, numbers: IntArray, reading: Reading) -> TaskBatch:
        """Items without a target, among others or alone, are not scored."""
        padded = pad_rows([item.rows[0] for item in items], reading)
        if all(item.target is None for item in items):
            return TaskBatch(**padded, numbers=numbers, weights={"loss": 1.0})
        if self.continues:
            ends = [len(item.rows[0].ids) if item.target is None else item.target for item in items]
            labels = [item.rows[0].ids[end:] for item, end in zip(items, ends, strict=True)]
            starts, width = [end - 1 for end in ends], padded["input_ids"].shape[1]
            targets = {"sources": torch.tensor(ends)}
        else:
            labels = [[] if item.target is None else item.rows[1].ids for item in items]
            begin = cast(int, self.settings.decoder_start_token_id)
            read = pad_rows([Row([begin, *ids[:-1]]) for ids in labels], reading)
            starts, width = [0] * len(items), read["input_ids"].shape[1]
            targets = {"decoder_input_ids": read["input_ids"]}
            padded["tokens"] += read["tokens"]
        places = [row * width + start + place for row, (start, ids) in enumerate(zip(starts, labels, strict=True)) for place in range(len(ids))]
        return TaskBatch(
            **padded,
            numbers=numbers,
            predict_positions=torch.tensor(places),
            prediction_labels=torch.tensor([token for ids in labels for token in ids]),
            targets={**targets, "lengths": torch.tensor([len(ids) for ids in labels])},
            weights={"loss": float(len(places))},
        )

    def losses(self, model: nn.Module, batch: TaskBatch) -> Losses:
        asked = {"predict_positions": batch.predict_positions, "decoder_input_ids": batch.targets.get("decoder_input_ids")}
        if not self.smoothing:
            return {"loss": Term(call(model, batch, **asked, prediction_labels=batch.prediction_labels).prediction_loss)}
        logits, labels = call(model, batch, **asked).prediction_logits, cast(Tensor, batch.prediction_labels)
        return {"loss": Term(F.cross_entropy(logits.float(), labels, label_smoothing=self.smoothing, reduction="sum"))}

    def outputs(self, model: nn.Module, batch: TaskBatch) -> list[Output]:
        writes = cast(Model, model)
        settings = dataclasses.replace(self.settings, num_beams=self.num_beams, num_return_sequences=1, do_sample=False)
        writer = Writer(writes, self.tokenizer, settings)
        lengths = (batch.targets["sources"] if "sources" in batch.targets else batch.mask.sum(1)).tolist()
        prompts = [row[:length] for row, length in zip(batch.input_ids.tolist(), lengths, strict=True)]
        texts = [writer.text_of(prompt, found[0].ids).strip() for prompt, found in zip(prompts, writer.continued(prompts), strict=True)]
        if batch.predict_positions is None:
            return [Output(text, None, 0) for text in texts]
        scored = torch.split(self._scored(writes, batch), batch.targets["lengths"].tolist())
        return [Output(text, float(losses.sum()) if len(losses) else None, len(losses)) for text, losses in zip(texts, scored, strict=True)]

    def _scored(self, model: Model, batch: TaskBatch) -> Tensor:
        """The loss of each target token, [scored], in nats; not all logits are held."""
        positions, labels = cast(Tensor, batch.predict_positions), cast(Tensor, batch.prediction_labels)
        output = call(model, batch, predict_positions=positions[:0], decoder_input_ids=batch.targets.get("decoder_input_ids"))
        hidden, head = output.last_hidden_state.flatten(0, 1)[positions], cast(LanguageModelling, model.heads[LM])
        parts = zip(torch.split(hidden, CHUNK), torch.split(labels, CHUNK), strict=True)
        return torch.cat([F.cross_entropy(head(rows, model.tokens.weight).float(), right, reduction="none") for rows, right in parts])

    def predictions(self, examples: Sequence[WriteExample], items: Sequence[Item], outputs: Sequence[Output]) -> list[Written]:
        return [Written(text=found.text, loss=None if found.loss is None else found.loss / found.tokens, tokens=found.tokens) for found in outputs]

    def metrics(self, examples: Sequence[WriteExample], predictions: Sequence[Written]) -> dict[str, float]:
        """ROUGE, BLEU and chrF of what was written, the share that is the target itself, and the loss and perplexity of the targets' tokens."""
        written, targets = [found.text for found in predictions], [(example.target or "").strip() for example in examples]
        tokens = sum(found.tokens for found in predictions if found.loss is not None)
        measured = generation_metrics(written, targets)
        measured["exact_match"] = sum(text == target for text, target in zip(written, targets, strict=True)) / len(targets)
        if tokens:
            loss = sum(found.loss * found.tokens for found in predictions if found.loss is not None) / tokens
            measured |= {"loss": loss, "perplexity": math.exp(min(loss, LARGEST))}
        return measured


def _behind(source: str, target: str) -> str:
    """The target as it stands behind the source: with a space between them where neither has one, in scripts that part words by spaces."""
    spaced = source[-1:].strip() and target[:1].strip() and max(ord(source[-1]), ord(target[0])) < SPACELESS
    return f" {target}" if spaced else target


def _place(example: WriteExample, number: int) -> str:
    return str(example.place or f"row {number + 1}")


def _refuse_empty(examples: Sequence[WriteExample]) -> None:
    problems = [
        f"{_place(example, number)}: the {name} is empty: give some words"
        for number, example in enumerate(examples)
        for name, text in (("source", example.source), ("target", example.target))
        if text is not None and not text.strip()
    ]
    refuse(problems)
