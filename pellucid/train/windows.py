"""Rows that pass through memory in windows, from a stream; or numbers of rows, from `blocks`.

A window holds some consecutive rows of an epoch. While its steps are taken, a thread
reads the next one. Rows are shuffled within their window; which rows share a window
is the source's to say. Windows, orders and blocks depend on the shape of a row, the
batch size, the seed and the epoch alone, so that bits do not depend on the machine.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from pellucid.core.random import seed_words

from .programs import fill_orders
from .shuffle import WINDOWS

WINDOW_BYTES = 1 << 25
"""About how much a window takes, counted in the model's dtype."""

_PATIENCE = 5.0
"""Seconds for which the end of a run waits for a source to close."""


Ended = queue.SimpleQueue[BaseException | None]
"""Where it is told, once, that something has been done, or what went wrong."""


class Form(NamedTuple):
    """What the rows of an array look like: shape of one, and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Source(Protocol):
    """Where windows come from.

    Attributes:
        rows: how many an epoch has.
        forms: of X, y, and the weights if there are any.
    """

    rows: int
    forms: list[Form]

    def load(self, epoch: int, first: int, out: Sequence[np.ndarray]) -> None:
        """Read consecutive rows of an epoch.

        Args:
            epoch: its number, from 0.
            first: the first row's place in the epoch.
            out: an array per form, to fill.
        """

    def close(self) -> None:
        """Nothing more is read."""


def row_bytes(forms: Sequence[Form], dtype: np.dtype) -> int:
    """What a row takes if every number is of the model's dtype."""
    return max(1, sum(math.prod(form.shape) for form in forms) * dtype.itemsize)


class Windows:
    """A feed of rows that pass through memory.

    Args:
        source: where they come from.
        window: rows that are held at once; at least one batch, and whole batches.
        batch_size: rows per step; the last step of an epoch takes what is left.
        epochs: how often the source is gone through.
        shuffle: whether the rows of a window are visited in an order of their own.
        seed: of the orders.
    """

    def __init__(
        self,
        source: Source,
        window: int,
        batch_size: int,
        epochs: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        self.rows = source.rows
        self.batch = min(batch_size, self.rows)
        batches = min(max(1, window // self.batch), -(-self.rows // self.batch))
        self.window = batches * self.batch
        self._source, self.epochs, self._shuffled = source, epochs, shuffle
        self._seed = seed_words(seed)
        self._per_epoch = -(-self.rows // self.batch), -(-self.rows // self.window)
        self.arrays, self._spare = self._empty(), self._empty()
        self._here = -1, 0  # epoch and number of the window in `arrays`
        self._coming: tuple[tuple[int, int], Ended] | None = None  # in `_spare`
        self._reader = _Reader()
        self._order = np.empty((1, 0), np.int32)

    def _empty(self) -> list[np.ndarray]:
        return [np.zeros((self.window, *form.shape), form.dtype) for form in self._source.forms]

    def _place(self, step: int) -> tuple[int, int, int]:
        """Epoch, window, and batch within the window, of a step."""
        epoch, batch = divmod(step, self._per_epoch[0])
        return epoch, *divmod(batch, self.window // self.batch)

    @property
    def memory(self) -> int:
        """Bytes of two windows, and of the order within one."""
        return self._order.nbytes + sum(a.nbytes for a in (*self.arrays, *self._spare))

    def is_at_hand(self, step: int) -> bool:
        """Whether its window is here."""
        return self._place(step)[:2] == self._here

    def batches(self, step: int, most: int) -> np.ndarray:
        """Row numbers of the next steps that have one batch size and one window."""
        epoch, number, first = self._place(step)
        if (epoch, number) != self._here:
            self._turn_to(epoch, number)
        full = self._order.shape[1] // self.batch
        if first == full:
            return self._order[:, full * self.batch :]
        batches = self._order[0, : full * self.batch].reshape(full, self.batch)
        return batches[first : first + most]

    def _turn_to(self, epoch: int, number: int) -> None:
        """Bring a window here, and have the next one read."""
        place, coming = self._coming or ((-1, 0), None)
        self._coming, self._here = None, (-1, 0)
        if coming is None or place != (epoch, number):
            coming = self._asked(epoch, number)
        error = coming.get()
        if error is not None:
            raise error
        self.arrays, self._spare = self._spare, self.arrays
        self._here = epoch, number
        self._order = np.arange(self._count(number), dtype=np.int32)[None]
        if self._shuffled:
            fill_orders(self._order, self._seed, epoch, WINDOWS - number)
        epoch, number = (epoch, number + 1) if number + 1 < self._per_epoch[1] else (epoch + 1, 0)
        if epoch < self.epochs:
            self._coming = (epoch, number), self._asked(epoch, number)

    def _asked(self, epoch: int, number: int) -> Ended:
        """A window that is being read into the spare arrays."""
        out = [array[: self._count(number)] for array in self._spare]
        return self._reader.do(lambda: self._source.load(epoch, number * self.window, out))

    def _count(self, number: int) -> int:
        """Rows of a window."""
        return min(self.window, self.rows - number * self.window)

    def close(self) -> None:
        """Nothing more is asked for."""
        self._coming = None
        self._reader.end(self._source.close)


class _Reader:
    """A thread that does what it is given, in turn; it begins with the first thing to do.

    It is one for a whole run, because what an iterator holds may belong to its thread.
    """

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], None]) -> Ended:
        """Something to do, and when it is done."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=_serve, args=(self._inbox,), daemon=True, name="pellucid-reader"
            )
            self._thread.start()
        ended: Ended = queue.SimpleQueue()
        self._inbox.put((work, ended))
        return ended

    def end(self, last: Callable[[], None]) -> None:
        """Do one last thing; wait for it, but not for ever on a source that does not answer."""
        if self._thread is not None:
            self.do(last)
            self._inbox.put(None)
            self._thread.join(_PATIENCE)
            self._thread = None


def _serve(inbox: queue.SimpleQueue[Any]) -> None:
    while (given := inbox.get()) is not None:
        work, ended = given
        try:
            work()
            ended.put(None)
        except BaseException as error:
            ended.put(error)
