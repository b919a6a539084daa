"""The one model class: an architecture, and heads on it."""

from typing import cast

import torch
from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadSpec, Stack
from bertwright.blocks.attention import at
from bertwright.blocks.embeddings import Embeddings
from bertwright.blocks.encoder_block import EncoderBlock
from bertwright.blocks.layout import Layout, Padded
from bertwright.models.heads import MaskedLM, NextSentence, Pooler, build_heads
from bertwright.models.initialisation import initialise
from bertwright.models.output import Output


class Encoder(nn.Module):
    """A stack of blocks. Returns the last hidden state, and every one on the way where asked."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(stack.block) for _ in range(stack.num_layers))

    def forward(self, hidden: Tensor, layout: Layout, *, rows: Tensor | None, states: list[Tensor] | None, attentions: list[Tensor] | None) -> Tensor:
        """[batch, length, hidden_size] -> the same shape, or [rows, hidden_size] for these flat places; fills `states` and `attentions` where lists."""
        for number, block in enumerate(self.blocks, start=1):
            if attentions is not None:
                attentions.append(cast(EncoderBlock, block).attention.probabilities(hidden, layout))
            hidden = block(hidden, layout, rows if number == len(self.blocks) else None)
            if states is not None:
                states.append(hidden)
        return hidden


class Model(nn.Module):
    """A transformer built from data, with the heads it was given; weights start as BERT's do, from torch's random state."""

    def __init__(self, architecture: Architecture, heads: tuple[HeadSpec, ...] = ()) -> None:
        super().__init__()
        self.architecture, self.head_specs = architecture.check(), heads
        self.embeddings = Embeddings(architecture)
        self.encoder = Encoder(architecture.encoder)
        self.heads = build_heads(architecture, heads)
        initialise(self, std=architecture.initializer_range)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        layout: Layout | None = None,
        position_ids: Tensor | None = None,
        predict_positions: Tensor | None = None,
        prediction_labels: Tensor | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> Output:
        """Runs the encoder and every head.

        input_ids, attention_mask (1 = real token), token_type_ids, position_ids: [batch, length]. `layout` stands in for
        `attention_mask` where rows are packed. `predict_positions`: flat indices into batch x length; the MLM head runs
        on these only. `prediction_labels` [scored], with them: the summed loss comes back in place of logits.
        Raises ValueError on a sequence longer than the positions, or both a mask and a layout.
        """
        limit = self.architecture.encoder.positions.max_length
        if input_ids.shape[1] > limit:
            raise ValueError(f"a sequence of {input_ids.shape[1]} tokens is longer than the model's {limit} positions: shorten it")
        if layout is None:
            layout = Padded(None if attention_mask is None else attention_mask.bool())
        elif attention_mask is not None:
            raise ValueError("give attention_mask or layout, not both")
        hidden = self.embeddings(input_ids, token_type_ids, position_ids, layout)
        states = [hidden] if output_hidden_states else None
        attentions: list[Tensor] | None = [] if output_attentions else None
        rows = None if prediction_labels is None or predict_positions is None else self._rows_read(input_ids, predict_positions)
        hidden = self.encoder(hidden, layout, rows=rows, states=states, attentions=attentions)
        pooled = cast(Pooler, self.heads["pooler"])(hidden[:, 0] if rows is None else hidden[: len(input_ids)]) if "pooler" in self.heads else None
        logits, loss = self._predict(hidden, predict_positions, prediction_labels)
        return Output(
            last_hidden_state=hidden,
            pooler_output=pooled,
            prediction_logits=logits,
            prediction_loss=loss,
            seq_relationship_logits=cast(NextSentence, self.heads["nsp"])(pooled) if "nsp" in self.heads else None,
            hidden_states=None if states is None else tuple(states),
            attentions=None if attentions is None else tuple(attentions),
        )

    def _rows_read(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """The flat places that the heads read, so that the last block computes no other."""
        if "pooler" not in self.heads:
            return positions
        first = torch.arange(len(input_ids), device=input_ids.device) * input_ids.shape[1]
        return torch.cat([first, positions])

    def _predict(self, hidden: Tensor, positions: Tensor | None, labels: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """Logits, or the summed loss where there are labels: `hidden` then ends with the rows they belong to."""
        if "mlm" not in self.heads:
            return None, None
        head, decoder = cast(MaskedLM, self.heads["mlm"]), self.embeddings.tokens.weight
        if positions is not None and labels is not None:
            return None, head.loss(hidden[len(hidden) - len(labels) :], decoder, labels)
        return head(at(hidden, positions), decoder), None
