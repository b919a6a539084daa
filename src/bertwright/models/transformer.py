"""The one model class: an architecture, and heads on it."""

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from bertwright.architecture import CHOICE, NSP, POOLER, RTD, SOP, SPAN, Architecture, HeadKind
from bertwright.blocks.attention import at
from bertwright.blocks.cache import Cache
from bertwright.blocks.layout import Layout, Packed, Padded
from bertwright.models.heads import Labelling, LanguageModelling, Pooler, build_heads, read
from bertwright.models.initialisation import initialise
from bertwright.models.output import Output
from bertwright.models.stack import Memory, TransformerStack, Watch
from bertwright.models.unpadding import Unpadding, worth_unpadding


class Model(nn.Module):
    """A transformer built from data, with the heads it was given; weights start from torch's random state."""

    def __init__(self, architecture: Architecture, heads: tuple[HeadKind, ...] = ()) -> None:
        super().__init__()
        self.architecture, self.head_kinds = architecture.check(), heads
        self.tokens = nn.Embedding(architecture.vocab_size, architecture.embedding_size)
        self.encoder = None if architecture.encoder is None else TransformerStack(architecture, architecture.encoder)
        self.decoder = None if architecture.decoder is None else TransformerStack(architecture, architecture.decoder)
        self.heads = build_heads(architecture, heads)
        initialise(self, architecture)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        layout: Layout | None = None,
        position_ids: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        memory: Memory | None = None,
        cache: Cache | None = None,
        predict_positions: Tensor | None = None,
        prediction_labels: Tensor | None = None,
        heads_only: bool = False,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> Output:
        """Runs the stacks and every head.

        input_ids, attention_mask (1 = real token), token_type_ids, position_ids: [batch, length]; with a multiple-choice head [batch, choices, length].
        `layout` stands in for `attention_mask` where rows are packed. decoder_input_ids, decoder_attention_mask: [batch, decoder length], for models of two
        stacks; absent, the input shifted to the right. memory: what `remember` gave, in place of running the encoder. cache: keys and values of the tokens
        before these; `attention_mask` (of the decoder, where there are two stacks) then covers those too. `predict_positions`: flat indices into
        batch x length; the language-modelling head runs on these only. `prediction_labels` [scored], with them: the summed loss comes back in place of logits.
        heads_only: nobody reads `last_hidden_state`; where all heads read each row's first token, the last block computes no other, and that field holds those.
        Raises ValueError on a sequence longer than the positions, both a mask and a layout, labels without positions, or packed rows in a model of two stacks.
        """
        if input_ids.ndim == 3:
            flat = [None if x is None else x.flatten(0, 1) for x in (input_ids, attention_mask, token_type_ids, position_ids)]
            watched = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
            return self._as_choices(len(input_ids), flat, heads_only=heads_only, **watched)
        if layout is not None and attention_mask is not None:
            raise ValueError("give attention_mask or layout, not both")
        if prediction_labels is not None and predict_positions is None:
            raise ValueError("prediction_labels belong to predict_positions: give both")
        watch = Watch.of(states=output_hidden_states, attentions=output_attentions)
        first_only = heads_only and watch == Watch() and cache is None and self._reads_first()
        asked: dict[str, Any] = {"predict_positions": predict_positions, "prediction_labels": prediction_labels, "watch": watch, "first_only": first_only}
        if self.encoder is not None and self.decoder is not None:
            if isinstance(layout, Packed):
                raise ValueError("a model of two stacks takes one text a row: give it padded rows")
            shifted = self.shifted(input_ids) if decoder_input_ids is None else decoder_input_ids
            own = Watch.of(states=output_hidden_states, attentions=output_attentions)
            memory = memory or self.remember(input_ids, attention_mask, layout=layout, watch=own)
            decoder_layout = Padded(None if decoder_attention_mask is None else decoder_attention_mask.bool())
            output = self._run(self.decoder, shifted, decoder_layout, memory=memory, cache=cache, source=input_ids, **asked)
            return _with_encoder(output, memory, own)
        stack = cast(TransformerStack, self.encoder or self.decoder)
        given: dict[str, Any] = {"token_type_ids": token_type_ids, "position_ids": position_ids, "cache": cache}
        # Hidden states are shown as they stand in the rows, and a head that reads each row's final place reads padding too.
        whole = output_hidden_states or output_attentions or cache is not None or self._reads_padding()
        if attention_mask is None or whole or not worth_unpadding(attention_mask):
            layout = layout or Padded(None if attention_mask is None else attention_mask.bool())
            return self._run(stack, input_ids, layout, **given, **asked)
        return self._run(stack, input_ids, Padded(attention_mask.bool()), unpadding=Unpadding.of(attention_mask), **given, **asked)

    def remember(self, input_ids: Tensor, attention_mask: Tensor | None = None, *, layout: Layout | None = None, watch: Watch | None = None) -> Memory:
        """The encoder's output of [batch, length] ids, for `forward(memory=...)`. Raises ValueError where the model has no encoder."""
        if self.encoder is None:
            raise ValueError("this model has no encoder")
        self._check_length(self.encoder, input_ids.shape[1])
        layout = layout or Padded(None if attention_mask is None else attention_mask.bool())
        places = layout.positions()
        hidden = self.encoder.embed(self.tokens(input_ids), input_ids, None, places)
        return Memory(hidden=self.encoder(hidden, layout, places=places, watch=watch or Watch()), layout=layout)

    def new_cache(self) -> Cache:
        """An empty cache for `forward(cache=...)`."""
        return Cache(self.architecture.last.depth)

    def _run(
        self,
        stack: TransformerStack,
        input_ids: Tensor,
        layout: Layout,
        *,
        predict_positions: Tensor | None,
        prediction_labels: Tensor | None,
        watch: Watch,
        first_only: bool,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        unpadding: Unpadding | None = None,
        memory: Memory | None = None,
        cache: Cache | None = None,
        source: Tensor | None = None,
    ) -> Output:
        """The stack whose output heads read, and the heads; `source`: the ids that rows are told apart by, where they are not this stack's."""
        before = 0 if cache is None else cache.length
        self._check_length(stack, before + input_ids.shape[1])
        places = layout.positions() if position_ids is None else stack.positions.given(position_ids)
        if before and places is None:
            places = torch.arange(before, before + input_ids.shape[1], device=input_ids.device)[None]
        rows = _first(input_ids) if first_only else None
        if prediction_labels is not None and predict_positions is not None:
            rows = self._rows_read(input_ids, predict_positions)
        if unpadding is None:
            hidden = stack.embed(self.tokens(input_ids), input_ids, token_type_ids, places)
            hidden = stack(hidden, layout, places=places, watch=watch, rows=rows, memory=memory, cache=cache)
        else:
            packed = unpadding.pack(input_ids)
            types = None if token_type_ids is None else unpadding.pack(token_type_ids)
            own = stack.positions.places(input_ids, self.architecture.pad_id) if places is None else places
            packed_places = unpadding.layout.positions() if own is None else unpadding.pack(own)
            hidden = stack.embed(self.tokens(packed), packed, types, packed_places)
            hidden = stack(hidden, unpadding.layout, places=packed_places, watch=watch, rows=None if rows is None else unpadding.at(rows))
            hidden = hidden if rows is not None else unpadding.unpack(hidden)
        mask = layout.mask if isinstance(layout, Padded) else None
        kept = {"hidden_states": watch.states, "attentions": watch.attentions, "cross_attentions": watch.across if memory is not None else None}
        states: dict[str, Any] = {name: None if found is None else tuple(found) for name, found in kept.items()}
        return Output(
            last_hidden_state=hidden,
            **states,
            **self._heads(hidden, input_ids if source is None else source, mask, rows=rows, positions=predict_positions, labels=prediction_labels),
        )

    def _heads(
        self, hidden: Tensor, input_ids: Tensor, mask: Tensor | None, *, rows: Tensor | None, positions: Tensor | None, labels: Tensor | None
    ) -> dict[str, Any]:
        """The output's fields of every head; `rows`: those that `hidden` consists of, each row's first token in front where there is a pooler, and no other
        where nothing is scored."""
        found: dict[str, Any] = {}
        if POOLER in self.heads:
            found["pooler_output"] = cast(Pooler, self.heads[POOLER])(hidden[:, 0] if rows is None else hidden[: len(input_ids)])
        for kind, head in self.heads.items():
            if isinstance(head, LanguageModelling):
                if rows is not None and labels is not None:
                    found["prediction_loss"] = head.loss(hidden[len(hidden) - len(labels) :], self.tokens.weight, labels)
                else:
                    found["prediction_logits"] = head(at(hidden, positions), self.tokens.weight)
            elif isinstance(head, Labelling):
                first_only = rows is not None and labels is None
                read_by_head = self._read(head.reads, hidden, found.get("pooler_output"), input_ids, mask, rows=rows, first_only=first_only)
                found |= _named(kind, head(read_by_head))
        found.setdefault("logits", found.get("prediction_logits", found.get("seq_relationship_logits")))
        return found

    def _read(
        self, how: str, hidden: Tensor, pooled: Tensor | None, input_ids: Tensor, mask: Tensor | None, *, rows: Tensor | None, first_only: bool
    ) -> Tensor:
        if how == "pooled" and pooled is not None:
            return pooled
        if how == "first" and first_only:
            return hidden
        if rows is not None:
            raise ValueError("prediction_labels computes the tokens that are scored alone, and this model has a head that reads others: leave it out")
        return read(how, hidden, input_ids=input_ids, mask=mask, pad_id=self.architecture.pad_id, eos_id=self.architecture.eos_id)

    def _rows_read(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """The flat places that the heads read, so that the last block computes no other."""
        if POOLER not in self.heads:
            return positions
        return torch.cat([_first(input_ids), positions])

    def _reads_padding(self) -> bool:
        return any(isinstance(head, Labelling) and head.reads == "final" for head in self.heads.values())

    def _reads_first(self) -> bool:
        """Whether the heads read nothing but each row's first token."""
        others = [head for kind, head in self.heads.items() if kind != POOLER]
        return bool(self.heads) and self.decoder is None and all(isinstance(head, Labelling) and head.reads in ("pooled", "first") for head in others)

    def shifted(self, input_ids: Tensor) -> Tensor:
        """[batch, length] ids one place to the right behind the token that a decoder begins with, as it reads what it is to write (Lewis et al. 2019, released
        code). Raises ValueError where the config names no such token."""
        start = self.architecture.decoder_start_id
        if start is None:
            raise ValueError("give decoder_input_ids: this model's config.json names no decoder_start_token_id")
        return torch.cat([torch.full_like(input_ids[:, :1], start), input_ids[:, :-1]], dim=1)

    def _as_choices(self, batch: int, flat: list[Tensor | None], **options: bool) -> Output:
        ids, mask, types, places = flat
        if CHOICE not in self.heads or ids is None:
            raise ValueError("input_ids of [batch, choices, length] need a multiple-choice head")
        output: Output = self(ids, mask, types, position_ids=places, **options)
        return replace(output, logits=None if output.logits is None else output.logits.view(batch, -1))

    @staticmethod
    def _check_length(stack: TransformerStack, length: int) -> None:
        limit = stack.data.max_length
        if limit is not None and length > limit:
            raise ValueError(f"a sequence of {length} tokens is longer than the model's {limit} positions: shorten it")


def _first(input_ids: Tensor) -> Tensor:
    """The flat places of each row's first token."""
    return torch.arange(len(input_ids), device=input_ids.device) * input_ids.shape[1]


def _named(kind: str, logits: Tensor) -> dict[str, Tensor | None]:
    """A head's logits under Hugging Face's names."""
    if kind == SPAN:
        return {"start_logits": logits[..., 0], "end_logits": logits[..., 1]}
    if kind in (NSP, SOP):
        return {"seq_relationship_logits" if kind == NSP else "sop_logits": logits}
    return {"logits": logits.squeeze(-1) if kind == RTD else logits}


def _with_encoder(output: Output, memory: Memory, watch: Watch) -> Output:
    return replace(
        output,
        encoder_last_hidden_state=memory.hidden,
        encoder_hidden_states=None if watch.states is None else tuple(watch.states),
        encoder_attentions=None if watch.attentions is None else tuple(watch.attentions),
    )
