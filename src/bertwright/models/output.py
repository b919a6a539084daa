"""What a model returns, under Hugging Face's names."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Output:
    """Fields that the model has no head for, or nobody asked for, are None.

    last_hidden_state: [batch, length, hidden_size], or, where `prediction_labels` was given, [rows, hidden_size] of the tokens that heads read: with a
    pooler each row's first one, then the scored ones; pooler_output: [batch, hidden_size];
    prediction_logits: [batch, length, vocab_size], or [scored, vocab_size] where `predict_positions` was given;
    prediction_loss: cross-entropy summed over the scored tokens, in place of logits, where `prediction_labels` was given;
    seq_relationship_logits: [batch, 2], index 0 = B follows A; hidden_states: layers + 1 of [batch, length, hidden_size], the
    normed embeddings first; attentions: one [batch, heads, length, length] a layer, after the softmax.
    """

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    prediction_logits: Tensor | None = None
    prediction_loss: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
