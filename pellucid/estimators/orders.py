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
        shuffle: makes the orders; None if they stay as they are.
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
        self.shuffle = None if random is None else Reshuffle(rows, batch, random)
        self.counts = np.full(self.steps, batch, np.int32)
        self.counts[-1] = rows - batch * (self.steps - 1)
        self._padding = padding
        self._places = np.empty((0, self.steps, room or batch), np.int32)

    def places(self, epochs: int) -> np.ndarray:
        """Memory for the row numbers of epochs (epochs, steps, room), the same for each call.

        Where nothing is shuffled they are there; else it holds old ones.
        """
        if epochs > len(self._places):
            numbers = np.arange(self.steps * self.batch).reshape(self.steps, self.batch)
            shape = epochs, *self._places.shape[1:]
            self._places = np.full(shape, self._padding, np.int32)
            self._places[:, :, : self.batch] = np.where(numbers < self.rows, numbers, self._padding)
        return self._places[:epochs]

    def next(self, epochs: int) -> list[np.ndarray]:
        """Row numbers of the next epochs, one array (steps, rows) for steps of one length.

        They are overwritten by the next call.
        """
        given = self.places(epochs)
        if self.shuffle is not None:
            self.shuffle.fill(given)
        if self.room is not None:
            return [given.reshape(-1, self.room)]
        orders = given.reshape(epochs, -1)[:, : self.rows]
        return [part for order in orders for part in self._cut(order)]

    def _cut(self, order: np.ndarray) -> Iterator[np.ndarray]:
        full = self.rows // self.batch * self.batch
        if full:
            yield order[:full].reshape(-1, self.batch)
        if full < self.rows:
            yield order[full:].reshape(1, -1)
