"""A model in numbers: parameters by part, sizes, operations, shapes."""

from dataclasses import dataclass

from bertwright.analysis.operations import Operations, row_operations, row_tokens
from bertwright.analysis.parameters import parameters_by_part
from bertwright.analysis.shapes import Module, module_tree
from bertwright.analysis.subject import Subject
from bertwright.checkpoints.huggingface import empty_model
from bertwright.errors import InputError

# Bytes of a value in the dtypes that weights are kept in.
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
# Tokens of a row, where positions set no limit and nothing else was asked.
ROW = 512


@dataclass(frozen=True, kw_only=True)
class Summary:
    """parameters: by part; trainable, frozen: those that training moves and leaves; buffers: values beside them that the checkpoint holds.

    length: tokens of a row in each stack, `row_tokens` of all stacks; operations: floating-point operations per token, by part, every token scored
    (see `analysis/operations.py` for what is counted); modules: the tree with shapes.
    """

    subject: Subject
    parameters: dict[str, int]
    trainable: int
    frozen: int
    buffers: int
    length: int
    row_tokens: int
    operations: dict[str, Operations]
    modules: Module

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())

    @property
    def operations_per_token(self) -> Operations:
        """The sum over all parts."""
        return sum(self.operations.values(), Operations())

    def share(self, part: str) -> float:
        """A part's share of the parameters, 0 to 1."""
        return self.parameters.get(part, 0) / self.total

    def bytes(self) -> dict[str, int]:
        """What parameters and buffers take in each dtype."""
        return {name: width * (self.total + self.buffers) for name, width in WIDTHS.items()}


def summarise(subject: Subject, *, length: int | None = None) -> Summary:
    """Counts a model without giving it weights.

    length: tokens of a row, by default the model's positions, or 512 where these know no limit. Raises InputError where it is longer than they are.
    """
    architecture = subject.architecture
    limit = architecture.max_length
    if length is None:
        length = ROW if limit is None else limit
    if length < 1:
        raise InputError(f"max_seq_length is {length}: it must be at least 1")
    if limit is not None and length > limit:
        raise InputError(f"max_seq_length {length} is longer than the model's {limit} positions: take {limit} or less")
    model = empty_model(architecture, subject.heads)
    tokens = row_tokens(architecture, length=length)
    return Summary(
        subject=subject,
        parameters=parameters_by_part(model, architecture),
        trainable=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        frozen=sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad),
        buffers=sum(buffer.numel() for buffer in model.buffers()),
        length=length,
        row_tokens=tokens,
        operations={part: count / tokens for part, count in row_operations(architecture, subject.heads, length=length).items()},
        modules=module_tree(model),
    )
