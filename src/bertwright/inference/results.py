"""What a Predictor gives back: frozen, printable, ready for JSON."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One guess for a mask. `token` is the vocabulary's piece ("##ing"), `text` what a reader sees ("ing"); `probability` is over the whole vocabulary."""

    token: str
    token_id: int
    text: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class FilledText:
    """A text with its masks filled.

    text: as given, with its masks; filled: with the best candidate in every mask; masks: one tuple of candidates a mask, best first.
    original, answers: the text and the masked pieces before, where the masks were drawn at random.
    """

    text: str
    filled: str
    masks: tuple[tuple[Candidate, ...], ...]
    original: str | None = None
    answers: tuple[str, ...] = ()

    @property
    def right(self) -> int:
        """How many masks' best candidate is the piece that stood there; 0 where no original is known."""
        return sum(candidates[0].token == answer for candidates, answer in zip(self.masks, self.answers, strict=False))

    def to_json(self) -> dict[str, object]:
        """One JSON object: input, filled, masks, and where the masks were drawn at random, original and answers."""
        found: dict[str, object] = {
            "input": self.text,
            "filled": self.filled,
            "masks": [[{"token": c.token, "text": c.text, "probability": round(c.probability, 6)} for c in candidates] for candidates in self.masks],
        }
        if self.original is not None:
            found |= {"original": self.original, "answers": list(self.answers), "right": self.right}
        return found


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A text, or a pair, as vectors (float32, on the CPU).

    tokens: the pieces with [CLS] and [SEP], `length` of them; type_ids: 0 for the first text, 1 for the second.
    token_vectors: [length, hidden_size]; cls_vector: [hidden_size], the last layer at [CLS]; pooled: [hidden_size], after the pooler,
    None where the checkpoint has none; hidden_states: layers + 1 of [length, hidden_size], the normed embeddings first;
    attentions: one [heads, length, length] a layer, after the softmax.
    """

    tokens: tuple[str, ...]
    type_ids: tuple[int, ...]
    token_vectors: Tensor = field(repr=False)
    cls_vector: Tensor = field(repr=False)
    pooled: Tensor | None = field(repr=False)
    hidden_states: tuple[Tensor, ...] = field(repr=False)
    attentions: tuple[Tensor, ...] = field(repr=False)
