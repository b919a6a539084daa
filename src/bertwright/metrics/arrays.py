"""The arrays that metrics take, checked once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertwright.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def numbers(values: ArrayLike, *, name: str, rows: int | None = None) -> FloatArray:
    """Values as float64 [rows]. Raises ValueError for another shape or number of rows, InputError where there are none or one is not finite."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or (rows is not None and len(found) != rows):
        raise ValueError(f"{name} have the shape {found.shape}: one number a row is needed{'' if rows is None else f', {rows} of them'}")
    _refuse_nothing(len(found))
    _refuse_non_finite(found, name)
    return found


def classes(labels: ArrayLike, *, count: int, name: str = "labels") -> IntArray:
    """Class numbers as int64 [rows]. Raises ValueError for numbers outside 0..count-1, InputError where there are none."""
    found = np.asarray(labels)
    if found.ndim != 1 or (found.size and not np.issubdtype(found.dtype, np.integer)):
        raise ValueError(f"{name} are {found.dtype} of the shape {found.shape}: one class number a row is needed")
    _refuse_nothing(len(found))
    if found.min() < 0 or found.max() >= count:
        raise ValueError(f"{name} lie between {found.min()} and {found.max()}: with {count} classes they must lie in 0..{count - 1}")
    return found.astype(np.int64)


def probabilities_of(values: ArrayLike, *, rows: int, count: int) -> FloatArray:
    """Probabilities as float64 [rows, count]. Raises ValueError for another shape, InputError where one is not finite."""
    found = np.asarray(values, dtype=np.float64)
    if found.shape != (rows, count):
        raise ValueError(f"probabilities have the shape {found.shape}: {(rows, count)} is needed, one row for each label and one column for each name")
    _refuse_non_finite(found, "probabilities")
    return found


def _refuse_nothing(rows: int) -> None:
    if not rows:
        raise InputError("there are no labelled rows to measure: give data with labels")


def _refuse_non_finite(values: FloatArray, name: str) -> None:
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise InputError(f"{wrong} of {values.size} {name} are no finite numbers: the model's outputs overflowed, try float32 or a lower learning rate")
