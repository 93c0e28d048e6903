"""In which type networks compute: float32 or float64, and which numbers fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

FEW = 100
"""Rows with fewer than so many are learned in a few milliseconds in either type."""


def dtype_to_learn(
    given: Any, by_steps: bool, rows: int, dtype: np.dtype, present: np.dtype | None
) -> np.dtype:
    """The type in which a network is going to learn.

    What a batch says of the slope is far less exact than float32 is. A line search, on the
    other hand, compares losses that differ in their last digits; and of few rows learned to the
    end every digit can be had for nothing.

    Args:
        given: the parameter `dtype`.
        by_steps: whether it sees a batch at a time.
        rows: how many there are.
        dtype: of X.
        present: of what was learned before, with which it goes on, if any.
    """
    if isinstance(given, str) and given == "auto":
        if not by_steps:
            return dtype
        if present is not None:
            return present
        return dtype if rows < FEW else np.dtype(np.float32)
    if given is not None:
        return np.dtype(given)
    return dtype if present is None else present


def preserved(given: Any, by_steps: bool) -> list[str]:
    """Types of X, many rows, that `transform` gives back, as scikit-learn's tags list them."""
    types = map(np.dtype, ("float64", "float32"))
    return [str(t) for t in types if dtype_to_learn(given, by_steps, FEW, t, None) == t]


def check_range(name: str, values: Any, dtype: np.dtype) -> None:
    """Refuse numbers that are too large for a type.

    Args:
        name: of the data, for the message.
        values: finite numbers, dense or sparse.
        dtype: float32 or float64.

    Raises:
        ValueError: a number is beyond the range of the type.
    """
    numbers = values.data if scipy.sparse.issparse(values) else values
    if numbers.dtype.kind != "f" or numbers.dtype.itemsize <= dtype.itemsize or not numbers.size:
        return
    largest, most = max(numbers.max(), -numbers.min()), np.finfo(dtype).max
    if largest > most:
        raise ValueError(
            f"{name} has numbers of size {largest:.3g}, and {dtype} goes to {most:.3g}: scale "
            "them, for instance with StandardScaler, or let it learn with dtype='float64'"
        )
