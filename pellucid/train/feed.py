"""Where the rows of each step come from: arrays as a whole, in the order of an epoch.

`windows` is the other way: rows that pass through memory, so many at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from pellucid.core.random import seed_words

from .mapped import Selected, bytes_in_memory
from .programs import fill_orders

MOST_ROWS = 2**31 - 1
"""Of arrays that are used where they lie: their numbers are int32."""

_ORDER_BYTES = 1 << 20
_MOST_STEPS = 1 << 16


class Feed(Protocol):
    """Rows for steps.

    Attributes:
        rows: how many an epoch has.
        batch: rows per step; the last step of an epoch takes what is left.
        epochs: how often the rows are gone through.
        window: how many rows are shuffled among each other.
        arrays: X, y, and weights if there are any, as programs read them now.
    """

    rows: int
    batch: int
    epochs: int
    window: int
    arrays: list[np.ndarray]

    @property
    def memory(self) -> int:
        """Bytes of rows and orders; those of files do not count."""

    def is_at_hand(self, step: int) -> bool:
        """Whether the rows of a step can be had without replacing those of the step before."""

    def batches(self, step: int, most: int) -> np.ndarray:
        """Row numbers (steps, rows of each) of this step and some that follow, in `arrays`.

        Args:
            step: counted from 0 over all epochs.
            most: of how many steps at most.
        """

    def close(self) -> None:
        """Nothing more is asked for."""


class WholeArrays:
    """Rows of arrays that programs reach everywhere, in memory or in a file.

    Args:
        data: X, y, and the weights if there are any; of a map, `Selected` rows.
        batch_size: rows per step; more than there are means all of them.
        epochs: how often the data are gone through.
        shuffle: whether each epoch visits the rows in an order of its own.
        seed: of the orders.
    """

    def __init__(
        self, data: Sequence[Any], batch_size: int, epochs: int, shuffle: bool, seed: int
    ) -> None:
        self.rows = self.window = len(data[0])
        self.batch = min(batch_size, self.rows)
        self.epochs = epochs
        self.arrays, self._chosen = in_place(data)
        self._full, self._rest = divmod(self.rows, self.batch)
        self._steps = self._full + (self._rest > 0)
        self._shuffled = shuffle
        self._seed = seed_words(seed)
        ahead = min(epochs, _ORDER_BYTES // (4 * self.rows), _MOST_STEPS // self._steps)
        self.order = np.empty((max(1, ahead), self.rows), np.int32)  # of some epochs, in a row
        self._first_epoch = -len(self.order)
        if not shuffle:
            self.order[:] = np.arange(self.rows) if self._chosen is None else self._chosen

    @property
    def memory(self) -> int:
        """Bytes of rows in memory, and of the orders of some epochs."""
        return self.order.nbytes + sum(map(bytes_in_memory, self.arrays))

    def is_at_hand(self, step: int) -> bool:
        """Whether the order of its epoch is here."""
        return 0 <= step // self._steps - self._first_epoch < len(self.order)

    def batches(self, step: int, most: int) -> np.ndarray:
        """Row numbers of the next steps that have one batch size."""
        epoch, first = divmod(step, self._steps)
        order = self._orders_from(epoch)
        if not self._rest:  # the epochs lie one after another without a gap
            return order.reshape(-1, self.batch)[first : first + most]
        if first == self._full:
            return order[:1, self._full * self.batch :]
        full = order[0, : self._full * self.batch].reshape(self._full, self.batch)
        return full[first : first + most]

    def _orders_from(self, epoch: int) -> np.ndarray:
        """The orders of this epoch and of some that follow."""
        if not self.is_at_hand(epoch * self._steps):
            self._first_epoch = epoch
            if self._shuffled:
                fill_orders(self.order, self._seed, epoch)
                if self._chosen is not None:
                    np.take(self._chosen, self.order, out=self.order)
        return self.order[epoch - self._first_epoch :]

    def close(self) -> None:
        """Nothing is open."""


def in_place(data: Sequence[Any]) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Arrays of which all rows lie where they are, and the numbers of those that count.

    Args:
        data: arrays (rows, ...), or the same `Selected` rows of arrays.

    Returns:
        Arrays of one length, and row numbers int32 (rows,); None where all rows count.

    Raises:
        ValueError: there are more rows than int32 can number.
    """
    chosen = next((a for a in data if isinstance(a, Selected)), None)
    rows = len(data[0] if chosen is None else chosen.array)
    if rows > MOST_ROWS:
        raise ValueError(
            f"rows are numbered up to {MOST_ROWS:,}, received {rows:,}: give them as train.Batches"
        )
    if chosen is None:
        return list(data), None
    whole = []
    for array in data:
        if isinstance(array, Selected):
            whole.append(array.array)
        else:
            spread = np.zeros((len(chosen.array), *array.shape[1:]), array.dtype)
            spread[chosen.rows] = array
            whole.append(spread)
    return whole, chosen.rows.astype(np.int32)
