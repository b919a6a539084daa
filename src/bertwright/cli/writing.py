"""How `bertwright predict` has texts written, and shows them piece by piece on a terminal."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

from cyclopts import Parameter

if TYPE_CHECKING:
    from bertwright.tasks.writer import Writer


@dataclass(frozen=True, kw_only=True)
class GenerationFlags:
    """Settings for a checkpoint that writes text. None means: as the checkpoint says, else as transformers does.

    Parameters
    ----------
    max_new_tokens
        Tokens to write at most.
    min_new_tokens
        Tokens to write at least.
    num_beams
        Beams of the search; 1 takes the likeliest token each time.
    num_return_sequences
        Sequences to write for each text.
    length_penalty
        Above 0 favours longer beams, below 0 shorter ones.
    early_stopping
        True ends the search as soon as num_beams have ended, never only when none can get better.
    do_sample
        Draw the tokens in place of searching.
    temperature
        Above 1 draws more freely, below 1 more safely.
    top_p
        Draw from the fewest tokens that have this probability together.
    repetition_penalty
        Above 1 avoids tokens that came before.
    no_repeat_ngram_size
        No so many tokens in a row come twice.
    eos_token_id
        Ids of the tokens that end it, in place of the checkpoint's.
    """

    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    num_beams: int | None = None
    num_return_sequences: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | Literal["never"] | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    eos_token_id: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None

    def options(self) -> dict[str, Any]:
        """Those that were given, as `Predictor.generate` takes them."""
        return {name: value for name, value in vars(self).items() if value is not None}


def stream(writer: "Writer", text: str, *, screen: TextIO | None = None) -> None:
    """Shows a text and what is written, as it is written."""
    screen = screen or sys.stdout
    if writer.continues:
        print(text, end="", file=screen, flush=True)
    for piece in writer.stream(text):
        print(harmless(piece), end="", file=screen, flush=True)
    print("\n", file=screen, flush=True)


def harmless(text: str) -> str:
    """A text without the control characters by which a terminal could be told to do things."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
