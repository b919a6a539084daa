"""The one model class: an architecture, and heads on it."""

from typing import cast

from torch import Tensor, nn

from bertwright.architecture import Architecture, HeadSpec, Stack
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

    def forward(self, hidden: Tensor, layout: Layout, *, states: list[Tensor] | None, attentions: list[Tensor] | None) -> Tensor:
        """[batch, length, hidden_size] -> the same shape; appends to `states` and `attentions` where they are lists."""
        for block in self.blocks:
            if attentions is not None:
                attentions.append(cast(EncoderBlock, block).attention.probabilities(hidden, layout))
            hidden = block(hidden, layout)
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
        hidden = self.encoder(hidden, layout, states=states, attentions=attentions)
        pooled = cast(Pooler, self.heads["pooler"])(hidden) if "pooler" in self.heads else None
        return Output(
            last_hidden_state=hidden,
            pooler_output=pooled,
            prediction_logits=self._predict(hidden, predict_positions) if prediction_labels is None else None,
            prediction_loss=self._loss(hidden, predict_positions, prediction_labels),
            seq_relationship_logits=cast(NextSentence, self.heads["nsp"])(pooled) if "nsp" in self.heads else None,
            hidden_states=None if states is None else tuple(states),
            attentions=None if attentions is None else tuple(attentions),
        )

    def _predict(self, hidden: Tensor, positions: Tensor | None) -> Tensor | None:
        if "mlm" not in self.heads:
            return None
        scored = hidden if positions is None else hidden.flatten(0, 1)[positions]
        logits: Tensor = cast(MaskedLM, self.heads["mlm"])(scored, self.embeddings.tokens.weight)
        return logits

    def _loss(self, hidden: Tensor, positions: Tensor | None, labels: Tensor | None) -> Tensor | None:
        if positions is None or labels is None:
            return None
        return cast(MaskedLM, self.heads["mlm"]).loss(hidden.flatten(0, 1)[positions], self.embeddings.tokens.weight, labels)
