"""What a model returns, under Hugging Face's names."""

from dataclasses import dataclass

from torch import Tensor

States = tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Output:
    """Fields that the model has no head for, or nobody asked for, are None.

    last_hidden_state: [batch, length, hidden_size], of the decoder where there is one; or, where `prediction_labels` was given, [rows, hidden_size] of the
    tokens that heads read: with a pooler each row's first one, then the scored ones; where `heads_only` was, perhaps those first ones alone;
    pooler_output: [batch, hidden_size];
    prediction_logits: [batch, length, vocab_size], or [scored, vocab_size] where `predict_positions` was given;
    prediction_loss: cross-entropy summed over the scored tokens, in place of logits, where `prediction_labels` was given;
    seq_relationship_logits: [batch, 2], index 0 = B follows A; sop_logits: [batch, 2], index 0 = in order; logits: of the task head (classify
    [batch, num_labels], tag [batch, length, num_labels], choice [batch, choices], replaced tokens [batch, length]), else
    `prediction_logits` or `seq_relationship_logits`;
    start_logits, end_logits: [batch, length]; hidden_states: layers + 1 of [batch, length, hidden_size], the embeddings first, the last after the final norm;
    attentions: one [batch, heads, length, length] a layer, after the softmax.
    Models of two stacks: `hidden_states` and `attentions` are the decoder's, the encoder's stand under `encoder_*`; cross_attentions: [batch, heads,
    length, encoder length] a layer.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    prediction_logits: Tensor | None = None
    prediction_loss: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    sop_logits: Tensor | None = None
    logits: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: States | None = None
    attentions: States | None = None
    cross_attentions: States | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_hidden_states: States | None = None
    encoder_attentions: States | None = None

    @property
    def decoder_hidden_states(self) -> States | None:
        """Hugging Face's name for `hidden_states` in models of two stacks."""
        return self.hidden_states if self.encoder_last_hidden_state is not None else None

    @property
    def decoder_attentions(self) -> States | None:
        """Hugging Face's name for `attentions` in models of two stacks."""
        return self.attentions if self.encoder_last_hidden_state is not None else None
