"""What Hugging Face's transformers computes for a case, and how ours is compared with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from family_cases import CLOSE, Case, Shape
from safetensors.torch import load_file
from torch import Tensor

from bertwright.checkpoints.matching import original
from bertwright.families import Family
from bertwright.models import Model, Output

SPREAD = 0.2  # of the noise on every parameter: enough to move attention well away from uniform, and the norms away from identity
LENGTHS, DECODER_LENGTHS, CHOICES = (17, 11, 4), (9, 9, 5), 3
FIRST_ID = 8  # special tokens stand below
States = dict[str, tuple[Tensor, ...]]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A checkpoint and what the reference computes from it: outputs, hidden states and attentions by Hugging Face's names, and the gradients of the sum of
    `outputs * weights` by the names of the parameters. parameters: the names of all that are trained.
    """

    folder: Path
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    states: States
    weights: dict[str, Tensor]
    gradients: dict[str, Tensor]
    parameters: frozenset[str]
    tolerance: float = CLOSE


def randomise(model: torch.nn.Module, *, spread: float = SPREAD) -> None:
    """Moves every trained parameter, biases and norms too, so that none can be left out unnoticed; and the bias that BART keeps as a buffer."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(spread * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name in ("final_logits_bias", "heads.lm.bias"):
                buffer.add_(torch.randn_like(buffer))


def padding_mask(lengths: tuple[int, ...]) -> Tensor:
    """[rows, longest], 1 on real tokens, which stand in front."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def draw_ids(shape: Shape, mask: Tensor) -> Tensor:
    """Random ids of ordinary tokens, and the padding's."""
    return torch.where(mask.bool(), torch.randint(FIRST_ID, shape.config["vocab_size"], mask.shape), shape.config.get("pad_token_id") or 0)


def draw_inputs(shape: Shape, class_name: str, *, two_stacks: bool) -> dict[str, Tensor]:
    """Arguments of Hugging Face's forward: three rows, two of them padded, or two questions of three choices."""
    torch.manual_seed(len(class_name))
    choice = class_name.endswith("MultipleChoice")
    mask = padding_mask((17, 9, 12, 5, 17, 7) if choice else LENGTHS)
    if shape.hollow:
        mask[1, 1:] = mask[1, 1:].flip(0)
    inputs = {"input_ids": draw_ids(shape, mask), "attention_mask": mask}
    if segments := shape.config.get("type_vocab_size", 0):
        inputs["token_type_ids"] = torch.randint(0, segments, mask.shape) * mask
    if choice:
        return {name: value.view(-1, CHOICES, value.shape[1]) for name, value in inputs.items()}
    if two_stacks and class_name.endswith("SequenceClassification"):
        # Reads the decoder at the last end token of the input, which the decoder gets shifted.
        inputs["input_ids"][torch.arange(len(mask)), mask.sum(1) - 1] = shape.config["eos_token_id"]
    elif two_stacks:
        decoder_mask = padding_mask(DECODER_LENGTHS)
        inputs |= {"decoder_input_ids": draw_ids(shape, decoder_mask), "decoder_attention_mask": decoder_mask}
    return inputs


def build_reference(case: Case) -> Any:
    """The case's model in evaluation mode, random all over."""
    import transformers

    torch.manual_seed(0)
    model_class = getattr(transformers, case.class_name)
    model = model_class(model_class.config_class(**{key: value for key, value in case.config.items() if key != "model_type"}, attn_implementation="eager"))
    if case.shape.untied and hasattr(model, "lm_head"):
        # What from_pretrained does with a file whose decoder is not the token embeddings.
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * model.config.d_model**-0.5)
        model.all_tied_weights_keys.pop("lm_head.weight")
    randomise(model)
    return model.eval()


def compute_reference(case: Case, folder: Path) -> Reference:
    """The case's outputs and gradients, and its checkpoint in the folder."""
    model = build_reference(case)
    model.save_pretrained(folder)
    inputs = draw_inputs(case.shape, case.class_name, two_stacks=hasattr(model.base_model, "decoder"))
    outputs, states = run_reference(model, inputs)
    torch.manual_seed(1)
    weights = {name: torch.randn_like(value) * _real(name, value, inputs, whole=True) for name, value in outputs.items()}
    torch.stack([(value * weights[name]).sum() for name, value in outputs.items()]).sum().backward()
    return Reference(
        folder=folder,
        inputs=inputs,
        outputs={name: value.detach() for name, value in outputs.items()},
        states={name: tuple(value.detach() for value in values) for name, values in states.items()},
        weights=weights,
        gradients={name: parameter.grad for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.grad is not None},
        parameters=frozenset(name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter.requires_grad),
        tolerance=case.shape.tolerance,
    )


def run_reference(model: Any, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], States]:
    """The outputs, and hidden states and attentions, of a model of transformers."""
    found = dict(model(**inputs, output_hidden_states=True, output_attentions=True, **({"use_cache": False} if hasattr(model.config, "use_cache") else {})))
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}, {
        name: value for name, value in found.items() if isinstance(value, tuple) and value and name != "past_key_values"
    }


def read_golden(folder: Path) -> Reference:
    """A committed checkpoint, with what transformers 4.57.6 computed from it."""
    held = load_file(folder / "expected.safetensors")
    weights = {name.removeprefix("weight."): value for name, value in held.items() if name.startswith("weight.")}
    gradients = {name.removeprefix("grad."): value for name, value in held.items() if name.startswith("grad.")}
    states: dict[str, list[Tensor]] = {"hidden_states": [], "attentions": []}
    for kind, found in states.items():
        while f"{kind}.{len(found)}" in held:
            found.append(held[f"{kind}.{len(found)}"])
    return Reference(
        folder=folder,
        inputs={name: value for name, value in held.items() if name in ("input_ids", "attention_mask", "token_type_ids")},
        outputs={name: held[name] for name in weights},
        states={name: tuple(value) for name, value in states.items()},
        weights=weights,
        gradients=gradients,
        parameters=frozenset(gradients),
    )


def _real(name: str, value: Tensor, inputs: Mapping[str, Tensor], *, whole: bool = False) -> Tensor:
    """True where a value of an output means something, broadcastable to it; `whole`: hidden states are given row by row, attentions query by query."""
    mask = inputs["attention_mask"].flatten(0, -2).bool()
    if "decoder_input_ids" in inputs and not name.startswith("encoder_"):
        mask = inputs["decoder_attention_mask"].bool()
    if value.shape[:2] == mask.shape:
        return mask.view(*mask.shape, *[1] * (value.ndim - 2))
    if value.ndim == 4 and (value.shape[0], value.shape[2]) == mask.shape:
        return mask[:, None, :, None]
    return torch.ones([1] * value.ndim, dtype=torch.bool)


def gap(name: str, mine: Tensor | None, yours: Tensor, inputs: Mapping[str, Tensor]) -> float:
    """The largest difference where values mean something, in units of the largest value there, or of 1."""
    assert mine is not None, f"{name} is missing"
    assert mine.shape == yours.shape, f"{name} is {list(mine.shape)}, and the reference's {list(yours.shape)}"
    real = _real(name, yours, inputs)
    expected = torch.where(real, yours, 0)
    return float((torch.where(real, mine.detach(), 0) - expected).abs().max()) / max(1.0, float(expected.abs().max()))


def gaps(found: Output, reference: Reference, *, states: bool) -> dict[str, float]:
    """The gap of every output and, with `states`, of every hidden state and attention."""
    inputs, measured = reference.inputs, {}
    for name, yours in reference.outputs.items():
        mine = getattr(found, name)
        # Hugging Face's classes of one head call its output logits, whatever the head.
        measured[name] = gap(name, found.seq_relationship_logits if mine is None and name == "logits" else mine, yours, inputs)
    for name, values in reference.states.items() if states else ():
        held = getattr(found, name)
        assert held is not None, f"{name} are missing"
        assert len(held) == len(values), f"{name} are {len(held)}, and the reference's {len(values)}"
        for layer, (mine, yours) in enumerate(zip(held, values, strict=True)):
            measured[f"{name}.{layer}"] = gap(name, mine, yours, inputs)
    return measured


def beyond(measured: Mapping[str, float], tolerance: float) -> dict[str, float]:
    """Those beyond the tolerance, the first ones first; a gap that is no number is beyond any."""
    return {name: value for name, value in measured.items() if not value <= tolerance}


def run(model: Model, inputs: Mapping[str, Tensor], *, states: bool = False) -> Output:
    """Ours on the reference's inputs."""
    output: Output = model(**inputs, output_hidden_states=states, output_attentions=states)
    return output


def gradient_gaps(model: Model, family: Family, reference: Reference, *, prefixed: bool) -> dict[str, float]:
    """The gap of every parameter's gradient, by its name in the file; both sides must have the same parameters, but for the other names of tied ones."""
    rules, found = family.names(model.head_kinds), {}
    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        claim = rules.of_ours(name)
        assert claim is not None, name
        parts = [grads[part] for part in claim.ours]
        if all(part is None for part in parts):
            continue
        whole = torch.cat([torch.zeros_like(parameter) if part is None else part for part in parts])
        theirs, repeated = claim.theirs, original(name)
        if prefixed and theirs not in reference.parameters and repeated is not None:
            theirs = rules.of_ours(repeated).theirs
        found[theirs if prefixed else theirs.removeprefix(family.prefix)] = whole.t() if claim.transposed else whole
        if name == "tokens.weight" and "final" in [model.architecture.head(kind).reads for kind in model.head_kinds]:
            # Transformers gives the padding's vector no gradient, which shows where a head reads padding.
            whole[model.architecture.pad_id] = 0
    assert sorted(found.keys() - reference.parameters) == [], "parameters of ours that the reference has not"
    for name, value in reference.gradients.items():
        claim = rules.of_theirs(name if prefixed else family.prefix + name)
        tied = claim is not None and claim.ours[0] not in grads
        assert name in found or tied or not value.any(), f"{name} has no gradient of ours"
    everywhere = {"attention_mask": torch.ones(1, 1)}
    return {name: gap(name, value, reference.gradients.get(name, torch.zeros_like(value)), everywhere) for name, value in found.items()}


def stored_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config
