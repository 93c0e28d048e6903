"""What `fit`, `predict` and `evaluate` accept, and one clear sentence for what they do not.

Each check says what was expected, what was received, where, and what to do.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from pellucid import nn

from .mapped import blocks, is_used_in_place


def check_model(model: Any) -> None:
    """Refuse what is not a model."""
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise TypeError(
            f"expected a model, received the class {model.__name__}; make one with "
            f"{model.__name__}(...)"
        )
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a model (an nn.Module), received {type(model).__name__}")


def check_learns(model: nn.Module) -> None:
    """Refuse a model that has nothing to learn."""
    if not model.parameters():
        raise ValueError(f"the model has no parameters to learn: {model!r}")


def whole_number(value: Any, name: str, least: int = 1) -> int:
    """A whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, received {value!r}")
    return int(value)


def fraction(value: Any, name: str) -> float:
    """A number above 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, float | np.floating) or not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, received {value!r}")
    return float(value)


def not_negative(value: Any, name: str) -> float:
    """A finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number, received {value!r}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, received {value!r}")
    return float(value)


def numeric(values: Any, name: str) -> np.ndarray:
    """An array of numbers, whatever it was given as.

    Raises:
        TypeError: it holds texts, objects, dates or complex numbers.
        ValueError: its rows have different lengths.
    """
    masked = sys.modules.get("numpy.ma")  # slow to import, and only who has it can mask
    if masked and isinstance(values, masked.MaskedArray) and masked.is_masked(values):
        raise ValueError(
            f"{name} has {masked.count_masked(values)} masked values, which would be used as if "
            f"they were not; fill them in with {name}.filled(...), or leave their rows out"
        )
    if values is None:
        raise TypeError(f"{name} must be an array of numbers, received None")
    try:
        array = np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(f"the rows of {name} have different lengths: {_apart(values)}") from None
    if array.dtype.kind in "OUSTMmcV":
        what = {"O": "objects", "M": "dates", "m": "durations", "c": "complex numbers"}.get(
            array.dtype.kind, "texts" if array.dtype.kind in "UST" else "records"
        )
        raise TypeError(
            f"{name} must be an array of numbers, received {what} (dtype {array.dtype}); "
            "code categories as numbers, and convert with np.asarray(..., dtype='float32')"
        )
    return array


def _apart(rows: Any) -> str:
    """The first row whose shape is not that of row 0."""
    shapes: list[tuple[int, ...] | None] = []
    for i, row in enumerate(rows):
        try:
            shapes.append(np.shape(row))
        except ValueError:  # its own rows have different lengths
            return f"they differ within row {i} (counted from 0)"
        if shapes[i] != shapes[0]:
            return f"row 0 has shape {shapes[0]}, row {i} {shapes[i]} (counted from 0)"
    return "they differ"


def inputs(values: Any, dtype: np.dtype, name: str = "X") -> np.ndarray:
    """Rows for a model: C-contiguous, of the model's dtype, every number finite.

    Args:
        values: numbers (rows, ...).
        dtype: the model's.
        name: what to call them in messages.

    Returns:
        The array itself where it is as it should be, else a copy; a memory map itself,
        in its own dtype, if that is one that programs read.
    """
    array = numeric(values, name)
    if array.ndim == 0:
        raise ValueError(
            f"{name} must have one row per example, received the single number {array}"
        )
    if array.size == 0:
        lacks = "at least one column" if array.ndim < 3 else "no axis of length 0"
        raise ValueError(
            f"{name} is empty: received shape {array.shape}, expected "
            f"{lacks if len(array) else 'at least one row'}"
        )
    if array.ndim == 1:
        raise ValueError(
            f"{name} must have one row per example and at least one column, received shape "
            f"{array.shape}; use {name}.reshape(-1, 1) for one feature, "
            f"{name}.reshape(1, -1) for one example"
        )
    with np.errstate(over="ignore"):
        if is_used_in_place(array):
            for first, block in blocks(array) if array.dtype.kind == "f" else ():
                finite(block.astype(dtype, copy=False), name, block, first)
            return array
        converted = np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])
    finite(converted, name, array)
    return converted


def finite(array: np.ndarray, name: str, given: np.ndarray | None = None, first: int = 0) -> None:
    """Refuse NaN and infinity, naming the first place.

    Args:
        array: what to look at.
        name: what to call it.
        given: the array before conversion, for the message.
        first: number of its first row, for the message.
    """
    at = _first_not_finite(array)
    if at is None:
        return
    row = at[0] + first
    place = f"row {row}"
    if array.ndim == 2:
        place += f", column {at[1]}"
    elif array.ndim > 2:
        place += f", index {(row, *at[1:])}"
    original = array[at] if given is None else given[at]
    if np.isfinite(original):
        raise ValueError(
            f"{name} has {original!s} at {place} (counted from 0), too large for "
            f"{array.dtype}; scale it down first"
        )
    what = "NaN" if math.isnan(original) else "infinity"
    raise ValueError(
        f"{name} has {what} at {place} (counted from 0); expected finite numbers: fill it in, "
        "or leave the row out"
    )


def _first_not_finite(array: np.ndarray) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity."""
    if array.dtype.kind != "f":
        return None
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):  # one pass, no copy; a sum that overflows is looked at below
            return None
    for first, block in blocks(array):
        row, *rest = np.unravel_index(int(np.argmin(np.isfinite(block))), block.shape)
        if not np.isfinite(block[(row, *rest)]):
            return int(row) + first, *map(int, rest)
    return None


@contextmanager
def counted_from(first: int) -> Iterator[None]:
    """Within it messages count rows from a row that is not the first.

    Args:
        first: its number.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"in the rows from {first} on: {error}") if first else error from None


def same_length(X: np.ndarray, y: np.ndarray, x_name: str = "X", y_name: str = "y") -> None:
    """Refuse targets that do not go with the rows."""
    if y.ndim == 0 or len(X) != len(y):
        received = "a single number" if y.ndim == 0 else f"{len(y)} rows"
        raise ValueError(
            f"{x_name} and {y_name} must have one row per example: {x_name} has {len(X)} rows, "
            f"{y_name} {received}"
        )


def weights(values: Any, rows: int, dtype: np.dtype, name: str = "sample_weight") -> np.ndarray:
    """One weight per row: finite, not negative, not all zero, none too small beside another.

    Args:
        values: numbers (rows,).
        rows: how many are expected.
        dtype: the model's.
        name: what to call them in messages.

    Returns:
        The weights times a power of two that brings the largest to about 1, so that
        their sums stay in range. A loss is a weighted mean, which keeps its bits.
    """
    array = numeric(values, name)
    if array.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one per row, received {array.shape}")
    exact = array.astype(np.float64)
    finite(exact, name, array)
    if (exact < 0).any():
        row = int(np.argmax(exact < 0))
        raise ValueError(f"{name} must not be negative, received {array[row]} at row {row}")
    if not exact.any():
        raise ValueError(f"{name} is zero for every row, so that none would count")
    return np.ascontiguousarray(scaled(exact, name), dtype)


_SPAN = 2.0**64
"""How many times larger than another a weight may be."""


def scaled(weights: np.ndarray, name: str) -> np.ndarray:
    """Weights times the power of two that brings the largest between 1/2 and 1.

    Args:
        weights: numbers above 0, or 0; others are left to who reads them.
        name: what to call them in messages.
    """
    if not weights.any() or not (np.isfinite(weights) & (weights >= 0)).all():
        return weights
    largest, least = weights.max(), weights[weights > 0].min()
    if largest / _SPAN > least:
        raise ValueError(
            f"{name} goes from {least:g} to {largest:g}, too far apart to be added up; expected "
            f"weights that are 0, or at most {_SPAN:.0e} times smaller than the largest"
        )
    return np.ldexp(weights, -int(np.frexp(largest)[1]))


def class_weights(given: Any, classes: int) -> list[float]:
    """One weight per class, in their order.

    Args:
        given: weights by class number, or one number per class.
        classes: how many there are; classes that a mapping leaves out weigh 1.
    """
    if isinstance(given, str):
        raise TypeError(
            f"class_weight must be a number for each of {classes} classes, received {given!r}"
        )
    if not isinstance(given, Mapping):
        listed = numeric(given, "class_weight")
        if listed.shape != (classes,):
            raise ValueError(
                f"class_weight needs one number for each of {classes} classes, received shape "
                f"{listed.shape}"
            )
        return [float(w) for w in listed]
    unknown = [key for key in given if isinstance(key, bool) or key not in range(classes)]
    if unknown:
        raise ValueError(
            f"class_weight has a weight for class {unknown[0]!r}; classes are 0 to {classes - 1}"
        )
    for number, weight in given.items():
        if not isinstance(weight, int | float | np.number):
            raise TypeError(
                f"class_weight must be a number for each class, received {weight!r} for {number}"
            )
    return [float(given.get(number, 1.0)) for number in range(classes)]


def one_of(name: str, kind: str, known: Mapping[str, Any]) -> Any:
    """The entry of a table by its name; an unknown name lists those that exist."""
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; known are {', '.join(sorted(known))}")
    return known[name]
