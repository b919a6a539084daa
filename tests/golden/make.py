"""Writes the golden checkpoints beside this file: NEZHA and BERT's relative positions as transformers 4.57.6, the last to have them, computes them.

    python3 -m venv /tmp/transformers-4.57
    /tmp/transformers-4.57/bin/pip install torch==2.13.0 transformers==4.57.6 numpy safetensors
    /tmp/transformers-4.57/bin/python tests/golden/make.py

Every case is a folder: config.json and model.safetensors of a tiny model with every parameter random, and expected.safetensors with
    input_ids, attention_mask, token_type_ids   [rows, length] (multiple choice: [rows, choices, length]), rows padded on the right
    <output>                                    every output of the class by its Hugging Face name, in evaluation mode and float32
    hidden_states.N, attentions.N               the embeddings and each layer's output; each layer's probabilities
    weight.<output>                             fixed weights; the loss is the sum over the outputs of (output * weight).sum(); padding weighs 0
    grad.<parameter>                            gradients of that loss; a parameter without one takes no part in the outputs
Values at padding are as transformers leaves them and mean nothing. Each folder is read back and its outputs compared before the script goes on.
"""

import contextlib
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

HERE = Path(__file__).parent
VERSIONS = {"torch": "2.13.0", "transformers": "4.57.6"}
SEED = 20240229
SPREAD = 0.2  # of the noise on every parameter: enough to move attention well away from uniform, and the norms away from identity
ROUNDING = 1e-6
NARROW = {"vocab_size": 40, "hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 20, "hidden_act": "gelu"}
DEEP = {"vocab_size": 37, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "intermediate_size": 20, "layer_norm_eps": 1e-3}
UNTIED = {"tie_word_embeddings": False}


@dataclass(frozen=True)
class Case:
    """One folder: a class of transformers, its config and its inputs. `lengths`: tokens that are no padding, row by row; choices of one question are rows."""

    name: str
    model: str
    config: dict[str, Any]
    length: int
    lengths: tuple[int, ...]
    choices: int = 1


def nezha(name: str, model: str, *, lengths: tuple[int, ...] = (9, 6), choices: int = 1, **config: int) -> Case:
    """A head on one layer of the first NEZHA shape, whose distances all stay within max_relative_position; one layer, for the sake of the size."""
    shape = NARROW | {"num_hidden_layers": 1, "max_position_embeddings": 12, "max_relative_position": 10}
    return Case(f"nezha-{name}", model, shape | config, length=9, lengths=lengths, choices=choices)


def bert(kind: str) -> tuple[Case, Case]:
    """Both shapes of a BERT with relative positions: the input shorter than the table of distances, and as long as it can be."""
    short = NARROW | {"position_embedding_type": kind, "max_position_embeddings": 12}
    full = DEEP | UNTIED | {"position_embedding_type": kind, "max_position_embeddings": 14, "hidden_act": "gelu_new", "type_vocab_size": 3}
    name = f"bert-{kind}".replace("_", "-")
    return (
        Case(f"{name}-pretraining", "BertForPreTraining", short, length=11, lengths=(11, 7)),
        Case(f"{name}-full-length-pretraining", "BertForPreTraining", full, length=14, lengths=(14, 9)),
    )


CASES = (
    nezha("pretraining", "NezhaForPreTraining", num_hidden_layers=2),
    nezha("model", "NezhaModel"),
    nezha("masked-lm", "NezhaForMaskedLM"),
    nezha("next-sentence", "NezhaForNextSentencePrediction"),
    nezha("sequence-classification", "NezhaForSequenceClassification", num_labels=3),
    nezha("token-classification", "NezhaForTokenClassification", num_labels=3),
    nezha("question-answering", "NezhaForQuestionAnswering"),
    nezha("multiple-choice", "NezhaForMultipleChoice", lengths=(9, 6, 7, 8, 4, 9), choices=3),
    Case(
        "nezha-clipped-pretraining",
        "NezhaForPreTraining",
        DEEP | UNTIED | {"hidden_act": "relu", "max_position_embeddings": 16, "max_relative_position": 3, "type_vocab_size": 3},
        length=13,
        lengths=(13, 8),
    ),
    *bert("relative_key"),
    *bert("relative_key_query"),
)


def build(case: Case) -> PreTrainedModel:
    """The case's model in evaluation mode with every parameter moved at random, biases and norms too."""
    model_class = getattr(transformers, case.model)
    model: PreTrainedModel = model_class(model_class.config_class(**case.config, attn_implementation="eager"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(SPREAD * torch.randn_like(parameter))
    return model.eval()


def inputs(case: Case, *, vocab_size: int, token_types: int) -> dict[str, Tensor]:
    """Random ids and token types; padding has id 0, which no token has."""
    shape = (len(case.lengths), case.length)
    mask = (torch.arange(case.length) < torch.tensor(case.lengths)[:, None]).long()
    batch = {
        "input_ids": torch.randint(1, vocab_size, shape) * mask,
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, token_types, shape) * mask,
    }
    return batch if case.choices == 1 else {name: value.view(-1, case.choices, case.length) for name, value in batch.items()}


def compute(model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The outputs by name, and hidden states and attentions by name and number."""
    with contextlib.redirect_stdout(io.StringIO()):  # NezhaForMultipleChoice of 4.57.6 prints shapes
        result = dict(model(**batch, output_hidden_states=True, output_attentions=True))
    layers = {f"{name}.{n}": value for name in ("hidden_states", "attentions") for n, value in enumerate(result.pop(name))}
    return result, layers


def expected(model: PreTrainedModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Everything expected.safetensors holds."""
    outputs, layers = compute(model, batch)
    mask = batch["attention_mask"]
    weights = {}
    for name, output in outputs.items():
        weights[name] = torch.randn_like(output)
        if output.shape[: mask.ndim] == mask.shape:  # a value per token
            weights[name] *= mask.view(*mask.shape, *[1] * (output.ndim - mask.ndim))
    torch.stack([(output * weights[name]).sum() for name, output in outputs.items()]).sum().backward()
    gradients = {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    named_weights = {f"weight.{name}": weight for name, weight in weights.items()}
    return {name: value.detach().clone().contiguous() for name, value in (batch | outputs | layers | named_weights | gradients).items()}


def check(folder: Path, model: PreTrainedModel, tensors: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
    """Raises SystemExit unless the saved folder loads whole and gives the same outputs, but for ROUNDING: a kernel may sum otherwise at another alignment."""
    loaded, report = type(model).from_pretrained(folder, attn_implementation="eager", output_loading_info=True)
    outputs, layers = compute(loaded.eval(), batch)
    strange = {name: keys for name, keys in report.items() if keys}
    different = [name for name, value in (outputs | layers).items() if not torch.allclose(value, tensors[name], rtol=0, atol=ROUNDING)]
    if strange or different:
        raise SystemExit(f"{folder.name} does not read back as it was written: {strange or different}")


def main() -> None:
    installed = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    if installed != VERSIONS:
        raise SystemExit(f"the golden checkpoints are made with {VERSIONS}, and this environment has {installed}: make the one that the docstring describes")
    transformers.logging.set_verbosity_error()  # every class of NEZHA warns of NezhaForMaskedLM, which does not generate
    torch.set_num_threads(1)
    for case in CASES:
        torch.manual_seed(SEED)
        folder = HERE / case.name
        shutil.rmtree(folder, ignore_errors=True)
        model = build(case)
        batch = inputs(case, vocab_size=model.config.vocab_size, token_types=model.config.type_vocab_size)
        tensors = expected(model, batch)
        model.save_pretrained(folder, safe_serialization=True)
        save_file(tensors, folder / "expected.safetensors")
        check(folder, model, tensors, batch)
        print(f"{case.name}: {sum(file.stat().st_size for file in folder.iterdir()) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
