"""Which rows each step sees: the same, for the same random state, as scikit-learn's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.compiler import Reshuffle


class Orders:
    """The batches of epochs.

    Args:
        rows: how many there are.
        batch: rows of a batch; the last one of an epoch has what is left.
        room: rows of a compiled batch, at least `batch`; None if each batch must be
            compiled as it is, because its rows have to do with each other.
        padding: the row that fills up what a batch leaves of its room.
        random: draws an order for each epoch, made of the one before; None keeps the order.

    Attributes:
        steps: of an epoch.
        counts: rows in each of its batches (steps,).
    """

    def __init__(
        self,
        rows: int,
        batch: int,
        room: int | None,
        padding: int,
        random: np.random.RandomState | None,
    ) -> None:
        self.rows = rows
        self.batch = batch
        self.steps = -(-rows // batch)
        self.room = room
        self._orders = None if random is None else Reshuffle(rows, random)
        self.counts = np.full(self.steps, batch, np.int32)
        self.counts[-1] = rows - batch * (self.steps - 1)
        places = room if self.steps == 1 and room else self.steps * batch
        self._given = Table(places, padding)
        self._placed = Table(self.steps * (room or batch), padding)

    def next(self, epochs: int) -> list[np.ndarray]:
        """Row numbers of the next epochs, one array (steps, rows) for steps of one length.

        They are overwritten by the call after this one.
        """
        given = self._given.lines(epochs)
        if self._orders is None:
            given[:, : self.rows] = np.arange(self.rows)
        else:
            self._orders.fill(given)
        if self.room is None:
            return [part for order in given for part in self._cut(order[: self.rows])]
        if self.steps == 1 or self.room == self.batch:
            return [given.reshape(-1, self.room)]
        placed = self._placed.lines(epochs).reshape(-1, self.room)
        placed[:, : self.batch] = given.reshape(-1, self.batch)
        return [placed]

    def _cut(self, order: np.ndarray) -> Iterator[np.ndarray]:
        full = self.rows // self.batch * self.batch
        if full:
            yield order[:full].reshape(-1, self.batch)
        if full < self.rows:
            yield order[full:].reshape(1, -1)


class Table:
    """Memory for int32 numbers that is used again and again.

    Args:
        places: numbers of a line.
        padding: what they are before any is written.
    """

    def __init__(self, places: int, padding: int) -> None:
        self._padding = padding
        self._lines = np.empty((0, places), np.int32)

    def lines(self, count: int) -> np.ndarray:
        """So many of them (count, places)."""
        if count > len(self._lines):
            self._lines = np.full((count, self._lines.shape[1]), self._padding, np.int32)
        return self._lines[:count]
