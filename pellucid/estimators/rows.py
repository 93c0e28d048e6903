"""Rows to learn from, as compiled steps take them.

A step is compiled for a number of rows that it may choose from. To let data sets of
nearly the same length share it (the folds of a cross-validation), rows lie in arrays
with room for more. A short last batch is filled up with the row behind the last one,
which weighs nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.storage import LANES

_ROOM = 1 << 26
"""Bytes of X up to which it is copied into an array with room for more rows."""

_WINDOW = 1 << 22
"""Elements of X that are converted from a sparse matrix at a time."""


def with_room(rows: int) -> int:
    """The next number of the form 4, 5, 6 or 7 times a power of 2."""
    unit = 1 << max(rows.bit_length() - 3, 0)
    return max(-(-rows // unit) * unit, LANES)


def room_of_batch(wanted: int, rows: int) -> int:
    """Rows of a compiled batch: as wanted, or all there are rounded up to whole vectors."""
    return wanted if rows >= wanted else min(wanted, -(-rows // LANES) * LANES)


class Rows:
    """A dense X, y and weights, in arrays of which steps gather their rows.

    Args:
        X: numbers (rows, features).
        y: targets (rows, ...), in the form that the loss takes.
        weights: of the rows (rows,).
        dtype: of the network.
        exact: whether there must be no room for more rows.

    Attributes:
        data: X, y and weights; room for more rows lies at their ends, and row number
            `padding` weighs nothing.
        lie_still: whether all steps gather from the same arrays.
    """

    lie_still = True

    def __init__(
        self, X: Any, y: np.ndarray, weights: np.ndarray, dtype: np.dtype, exact: bool = False
    ) -> None:
        self.count = len(y)
        large = X.nbytes > _ROOM
        room = self.count if exact or large else with_room(self.count)
        self.padding = room
        self.data = [
            # steps convert what they gather: a large X, in a file perhaps, is not copied for that
            _extended(np.asarray(X), room, X.dtype if large and not exact else dtype),
            _extended(y, room, dtype if y.dtype.kind == "f" else y.dtype),
            _extended(weights, room + 1, dtype),
        ]

    def aligned(self) -> list[np.ndarray]:
        """X, y and weights of one length, zeros at their ends."""
        X, y, weights = self.data
        return [X, y, weights[:-1]]

    def most_steps(self, batch: int) -> int:
        """How many steps one call may do."""
        return max(1, (1 << 20) // batch)

    def seen_by(self, index: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """The arrays that steps gather from, and the numbers (steps, batch) of their rows."""
        return self.data, index


class SparseRows:
    """A sparse X, of which as many rows are converted as the next steps need.

    Args:
        X: a matrix or an array of SciPy's in CSR form (rows, features).
        y: targets (rows, ...), in the form that the loss takes.
        weights: of the rows (rows,).
        dtype: of the network.

    Attributes:
        padding: number of a row that weighs nothing.
        lie_still: whether all steps gather from the same arrays.
    """

    lie_still = False

    def __init__(self, X: Any, y: np.ndarray, weights: np.ndarray, dtype: np.dtype) -> None:
        self.count = len(y)
        self.padding = self.count
        y = y.astype(dtype) if y.dtype.kind == "f" else y
        self._given = X, y, np.append(weights.astype(dtype), dtype.type(0))
        self._dtype = dtype
        self._window: list[np.ndarray] = []

    def most_steps(self, batch: int) -> int:
        """How many steps one call may do."""
        return max(1, _WINDOW // (batch * max(self._given[0].shape[1], 1)))

    def seen_by(self, index: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """The arrays that steps gather from, and the numbers (steps, batch) of their rows."""
        X, y, weights = self._given
        room = self.most_steps(index.shape[1]) * index.shape[1]
        if not self._window or len(self._window[0]) != room:
            self._window = [
                np.zeros((room, X.shape[1]), self._dtype),
                np.zeros((room, *y.shape[1:]), y.dtype),
                np.zeros(room + 1, self._dtype),
            ]
        numbers = index.reshape(-1)
        inside = np.minimum(numbers, self.count - 1)
        self._window[0][: len(numbers)] = X[inside].toarray()
        self._window[1][: len(numbers)] = y[inside]
        self._window[2][: len(numbers)] = weights[numbers]
        return self._window, np.arange(len(numbers), dtype=np.int32).reshape(index.shape)


def _extended(values: np.ndarray, room: int, dtype: np.dtype) -> np.ndarray:
    """C-contiguous, of that dtype, with zeros at the end; the array itself where it fits."""
    if len(values) == room:
        return np.ascontiguousarray(values, dtype)
    found = np.zeros((room, *values.shape[1:]), dtype)
    found[: len(values)] = values
    return found
