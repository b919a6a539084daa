"""Whether shards and the checkpoint to begin with speak of the same tokens."""

from pathlib import Path

from bertwright.data.shards import TokenShards
from bertwright.errors import InputError
from bertwright.models.resizing import NewRows
from bertwright.text.extension import replaced_pieces
from bertwright.text.tokenizer import Tokenizer


def new_rows(shards: TokenShards, tokenizer: Tokenizer, folder: Path, *, name: str) -> tuple[NewRows | None, list[str]]:
    """The entries that the shards' tokenizer adds to the one of a checkpoint, None where it adds none; and what is wrong.

    tokenizer: the shards'; folder: of the checkpoint, which the user calls `name`.
    """
    again = f"prepare the text again with --tokenizer {name}, or leave --init_from out"
    try:
        own = Tokenizer.load(folder)
    except InputError as error:
        reason = "; ".join(error.problems)
        mend = "put the tokenizer.json or vocab.txt that it was trained with into that folder, or leave --init_from out"
        return None, [f"{name}: nothing shows which tokens its weights stand for, there is no tokenizer in it ({reason}): {mend}"]
    if own.vocab == tokenizer.vocab:
        return None, []
    replaced = replaced_pieces(own, tokenizer)
    if replaced is None:
        return None, [f"{shards.folder} was made with another tokenizer ({tokenizer.vocab_size} entries) than {name} has ({own.vocab_size} entries): {again}"]
    return NewRows(own.vocab_size, replaced), []
