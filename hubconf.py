"""Entry points for torch.hub, under the names that its users know; a clone of this repository is enough, nothing need be installed but `dependencies`.

    model = torch.hub.load("path/to/bertwright", "modelForMaskedLM", "runs/a", source="local")

`torch.hub.list` and `torch.hub.help` know repositories on GitHub and in torch.hub's folder alone: give them OWNER/NAME.

Each entry point takes a checkpoint (a run folder, a checkpoint folder, any Hugging Face folder, a name on the Hugging Face hub such as
google-bert/bert-base-uncased), or a preset such as bert-base or t5-small, which means random weights. A folder of a preset's name goes first. Keywords are for
presets: `vocab_size` (without it that of the family's released models) and every other key of config.json; `num_labels` also sizes a task head that a
checkpoint lacks. Which checkpoint was taken, and heads
that it lacked, are said on standard error. Models come in evaluation mode: call `.train()` before training. What cannot be raises
`bertwright.errors.InputError`, with the mend.
"""

# Names without an underscore would be listed as entry points.
import sys as _sys
from collections.abc import Mapping as _Mapping
from pathlib import Path as _Path
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

# The package is imported by the entry points when they are called, since torch.hub looks for these only after it has imported this file.
dependencies = ["torch", "numpy", "safetensors", "tokenizers", "huggingface_hub"]

_SOURCE = str(_Path(__file__).resolve().parent / "src")
if _SOURCE not in _sys.path:
    _sys.path.insert(0, _SOURCE)

if _TYPE_CHECKING:
    from bertwright.checkpoints.huggingface import SavableModel as _SavableModel
    from bertwright.families import Family as _Family
    from bertwright.text.tokenizer import Tokenizer as _Tokenizer


def config(checkpoint: str, **keys: _Any) -> dict[str, _Any]:
    """The config.json of a checkpoint or preset as a dictionary, with `keys` put in; every `model` takes it in place of a name, for random weights.

    Example:
        small = torch.hub.load(REPO, "config", "bert-base", num_hidden_layers=3, source="local")
        model = torch.hub.load(REPO, "model", small, source="local")
    """
    from bertwright.checkpoints.huggingface import read_config
    from bertwright.families import family_of

    found = _preset(checkpoint, keys) if _is_preset(checkpoint) else _changed(read_config(_folder(checkpoint)), keys)
    family_of(found).architecture(found)
    return found


def tokenizer(checkpoint: str) -> "_Tokenizer":
    """The tokenizer of a checkpoint, or of a file such as vocab.txt or tokenizer.json. A preset has none: it is made from your text.

    Example:
        tokenizer = torch.hub.load(REPO, "tokenizer", "google-bert/bert-base-uncased", source="local")
        ids = tokenizer.encode("The cat sat on the mat.").ids
    """
    from bertwright.errors import InputError
    from bertwright.text.tokenizer import Tokenizer

    if _is_preset(checkpoint):
        raise InputError(f"{checkpoint} is a preset, which has no tokenizer: give a checkpoint, or make one with `bertwright prepare`")
    return Tokenizer.load(checkpoint if _Path(checkpoint).is_file() else _folder(checkpoint))


def model(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model without a head for a task: `last_hidden_state`, and `pooler_output` where the family has a pooler.

    Example:
        model = torch.hub.load(REPO, "model", "google-bert/bert-base-uncased", source="local")
        vectors = model(torch.tensor([[101, 7592, 102]])).last_hidden_state
    """
    return _model(checkpoint, keys)


def modelForMaskedLM(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model that fills masks: `logits` over the vocabulary for every token.

    Example:
        model = torch.hub.load(REPO, "modelForMaskedLM", "google-bert/bert-base-uncased", source="local")
        best = model(torch.tensor([[101, 103, 102]])).logits[0, 1].argmax()
    """
    return _model(checkpoint, keys, "ForMaskedLM")


def modelForPreTraining(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model with every head that its family was pre-trained with: BERT's masked words and next sentence, ELECTRA's replaced tokens, GPT's next token ...

    Example:
        model = torch.hub.load(REPO, "modelForPreTraining", "bert-small", vocab_size=8192, source="local")
        model(torch.tensor([[2, 17, 3]])).seq_relationship_logits
    """
    return _model(checkpoint, keys, "ForPreTraining", "ForMaskedLM", "LMHeadModel", "ForConditionalGeneration")


def modelForCausalLM(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model that goes on with a text (GPT, GPT-2): `logits` of the next token at every place.

    Example:
        model = torch.hub.load(REPO, "modelForCausalLM", "openai-community/gpt2", source="local")
        following = model(torch.tensor([[464, 3290]])).logits[0, -1].argmax()
    """
    return _model(checkpoint, keys, "LMHeadModel", "ForCausalLM")


def modelForSeq2SeqLM(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model that reads one text and writes another (BART, T5, mT5): `logits` of the target's next token.

    Example:
        model = torch.hub.load(REPO, "modelForSeq2SeqLM", "google-t5/t5-small", source="local")
        model(torch.tensor([[13959, 1]]), decoder_input_ids=torch.tensor([[0]])).logits
    """
    return _model(checkpoint, keys, "ForConditionalGeneration")


def modelForSequenceClassification(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model that gives a text one of `num_labels` labels: `logits` [batch, num_labels].

    Example:
        model = torch.hub.load(REPO, "modelForSequenceClassification", "runs/b", source="local")
        label = model(torch.tensor([[101, 7592, 102]])).logits.argmax(-1)
    """
    return _model(checkpoint, keys, "ForSequenceClassification")


def modelForTokenClassification(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model that gives every token one of `num_labels` labels: `logits` [batch, length, num_labels].

    Example:
        model = torch.hub.load(REPO, "modelForTokenClassification", "distilbert-tiny", num_labels=9, source="local")
        labels = model(torch.tensor([[101, 7592, 102]])).logits.argmax(-1)
    """
    return _model(checkpoint, keys, "ForTokenClassification")


def modelForQuestionAnswering(checkpoint: str | _Mapping[str, _Any], **keys: _Any) -> "_SavableModel":
    """A model that finds an answer in a text: `start_logits` and `end_logits`, [batch, length] each.

    Example:
        model = torch.hub.load(REPO, "modelForQuestionAnswering", "runs/b", source="local")
        begin = model(torch.tensor([[101, 2040, 102, 7592, 102]])).start_logits.argmax(-1)
    """
    return _model(checkpoint, keys, "ForQuestionAnswering")


def _model(checkpoint: str | _Mapping[str, _Any], keys: dict[str, _Any], *classes: str) -> "_SavableModel":
    """The model with the heads of the first Hugging Face class of its family that ends so; without any, those of the base model."""
    from bertwright.checkpoints.huggingface import SavableModel, load_model, read_config
    from bertwright.errors import InputError
    from bertwright.families import family_of

    if isinstance(checkpoint, str) and not _is_preset(checkpoint):
        num_labels = keys.pop("num_labels", None)
        if keys:
            raise InputError(f"{', '.join(keys)} cannot be given for {checkpoint}: a checkpoint has its own config; leave it out, or give a preset")
        folder = _folder(checkpoint)
        loaded = load_model(folder, heads=_heads(family_of(read_config(folder)), classes), num_labels=num_labels)
        if loaded.created:
            print(f"{checkpoint} has no {' and no '.join(loaded.created)} head: made new, with random weights", file=_sys.stderr)
        return loaded.model
    described = _preset(checkpoint, keys) if isinstance(checkpoint, str) else _changed(checkpoint, keys)
    family = family_of(described)
    made = SavableModel(family.architecture(described), _heads(family, classes))
    made.config = described
    return made.eval()


def _changed(described: _Mapping[str, _Any], keys: dict[str, _Any]) -> dict[str, _Any]:
    """A config with `keys` put in; names of labels go where another number of labels is asked for."""
    names = described.get("id2label")
    renamed = "num_labels" in keys and isinstance(names, dict) and len(names) != keys["num_labels"]
    kept = {key: value for key, value in described.items() if not (renamed and key in ("id2label", "label2id"))}
    return {**kept, **keys}


def _heads(family: "_Family", classes: tuple[str, ...]) -> tuple[_Any, ...]:
    from bertwright.errors import InputError

    if not classes:
        return family.complete_heads(family.base_heads)
    for ending in classes:
        for name, heads in family.classes.items():
            if name.endswith(ending):
                return family.complete_heads(heads)
    raise InputError(f"the {family.name} family has no class {classes[0]}: it has {', '.join(family.classes)}")


def _is_preset(name: str) -> bool:
    """Whether a name is a preset's, or meant to be one; a folder of that name goes first."""
    from bertwright.families import FAMILIES

    return not _Path(name).exists() and name.rpartition("-")[0] in {family.name for family in FAMILIES}


def _preset(name: str, keys: dict[str, _Any]) -> dict[str, _Any]:
    from bertwright.analysis import usual_config

    found = usual_config(name, **keys)
    print(f"{name}: a preset with random weights and a vocabulary of {found['vocab_size']:,}", file=_sys.stderr)
    return found


def _folder(name: str) -> _Path:
    from bertwright.checkpoints.resolve import find_checkpoint

    found = find_checkpoint(name)
    print(found.said, file=_sys.stderr)
    return found.folder
