"""What a checkpoint says about generation: generation_config.json in and out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertwright.architecture import Architecture
from bertwright.checkpoints.files import write_json_atomic
from bertwright.checkpoints.huggingface import read_config
from bertwright.errors import CheckpointError
from bertwright.models.generation_settings import KEYS, Generation
from bertwright.text.tokenizer import Tokenizer

FILE = "generation_config.json"
_IDS = tuple(name for name in KEYS if name.endswith("_token_id"))
# What transformers also knows, and the values that change nothing.
_FOREIGN: Mapping[str, tuple[Any, ...]] = {
    "assistant_early_exit": (),
    "bad_words_ids": (),
    "begin_suppress_tokens": (),
    "constraints": (),
    "diversity_penalty": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "encoder_repetition_penalty": (1,),
    "epsilon_cutoff": (0,),
    "eta_cutoff": (0,),
    "exponential_decay_length_penalty": (),
    "force_words_ids": (),
    "forced_decoder_ids": (),
    "guidance_scale": (1,),
    "min_p": (0,),
    "num_beam_groups": (1,),
    "penalty_alpha": (0,),
    "sequence_bias": (),
    "stop_strings": (),
    "suppress_tokens": (),
    "top_h": (),
    "typical_p": (1,),
    "watermarking_config": (),
}


def said_about_generation(folder: Path) -> dict[str, Any]:
    """A folder's generation_config.json, empty where it has none. Raises CheckpointError where it is no JSON object."""
    path = folder / FILE
    return read_config(path) if path.is_file() else {}


def write_said(folder: Path, said: Mapping[str, Any]) -> None:
    """Writes generation_config.json, so that what the start of a training said about generation is carried along; nothing where nothing is said.

    Raises BertwrightError when the system refuses.
    """
    if said:
        write_json_atomic(folder / FILE, dict(said))


def read_settings(folder: Path, architecture: Architecture, tokenizer: Tokenizer) -> Generation:
    """What a checkpoint says about generation: in generation_config.json, else in config.json, as transformers reads them.

    Special tokens that neither names are the architecture's, then the tokenizer's. Raises CheckpointError naming each value that cannot stand, and each
    key that is not supported and would change the text.
    """
    config = read_config(folder) if (folder / "config.json").is_file() else {}
    own = folder / FILE
    path, said = (own, said_about_generation(folder)) if own.is_file() else (folder / "config.json", config)
    config, said = _without_absent(config), _without_absent(said)
    problems = [
        f"{path}: {key} {value!r} is not supported: take the key out of the file"
        for key, value in said.items()
        if key in _FOREIGN and value not in (None, [], *_FOREIGN[key])
    ]
    values: dict[str, Any] = {
        key: tuple(said[key]) if isinstance(said[key], list) else said[key] for key in KEYS if said.get(key) is not None and key != "seed"
    }
    ids = {"eos_token_id": architecture.eos_id, "decoder_start_token_id": architecture.decoder_start_id}
    for key in _IDS:
        if key not in values and (value := config.get(key, ids.get(key))) is not None:
            values[key] = tuple(value) if isinstance(value, list) else value
    for key, role in (("eos_token_id", "eos"), ("bos_token_id", "bos")):
        if key not in values and tokenizer.has(role):
            values[key] = tokenizer.eos_id if role == "eos" else tokenizer.bos_id
    if "decoder_start_token_id" not in values and "bos_token_id" in values:
        values["decoder_start_token_id"] = values["bos_token_id"]
    settings = Generation(**values)
    problems += [f"{path}: {line}" for line in settings.problems(vocab_size=architecture.vocab_size)]
    if problems:
        raise CheckpointError(*problems)
    return settings


def _without_absent(said: Mapping[str, Any]) -> dict[str, Any]:
    """A file's keys without the negative ids in them, which say that there is no such token."""
    kept = dict(said)
    for key in _IDS:
        value = kept.get(key)
        if isinstance(value, list) and value:
            kept[key] = [number for number in value if not _is_absent(number)] or None
        elif _is_absent(value):
            kept[key] = None
    return kept


def _is_absent(number: object) -> bool:
    return isinstance(number, int) and number < 0
