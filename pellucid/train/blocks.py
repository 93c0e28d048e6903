"""Rows of files larger than memory, used where they are, block by block.

Each epoch visits blocks of neighbouring rows in an order of its own; so many as fill a window
are shuffled together. A block is short enough for blocks of many places to meet, and long enough
to be read at the speed of the disk. Blocks, windows and orders depend on the shape of a row, the
batch size, the seed and the epoch alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pellucid.core.random import seed_words

from .feed import in_place
from .mapped import ask_for, bring, bytes_in_memory, let_go_of
from .programs import fill_orders
from .shuffle import BLOCKS
from .windows import WINDOW_BYTES, Form, Windows, row_bytes

SMALL_BLOCK = 1 << 20
"""Bytes of neighbouring rows that are read from a file at once, counted in the model's dtype."""


Part = tuple[int, int]
"""The first row of neighbouring ones, and the row behind the last."""


class Blocks:
    """A feed of rows that lie in files, or in memory, and stay there.

    What passes through memory are windows of row numbers; a thread sees to it that the rows of
    the next window can be reached without waiting for the disk.

    Args:
        data: X, y, and weights if there are any; in memory, in a file, or `Selected` rows.
        dtype: the model's.
        batch_size: rows per step; the last step of an epoch takes what is left.
        epochs: how often the data are gone through.
        shuffle: whether the rows of a window are visited in an order of their own.
        seed: of the orders.
    """

    def __init__(
        self,
        data: Sequence[Any],
        dtype: np.dtype,
        batch_size: int,
        epochs: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        self.arrays, chosen = in_place(data)
        bytes_of_row = row_bytes([Form(a.shape[1:], a.dtype) for a in data], dtype)
        numbers = Numbers(data, chosen, max(1, SMALL_BLOCK // bytes_of_row), seed)
        window = WINDOW_BYTES // bytes_of_row
        self._windows = Windows(numbers, window, batch_size, epochs, shuffle, seed)
        self.rows, self.epochs = numbers.rows, epochs
        self.batch, self.window = self._windows.batch, self._windows.window

    @property
    def memory(self) -> int:
        """Bytes of rows in memory, and of numbers and orders."""
        return self._windows.memory + sum(map(bytes_in_memory, self.arrays))

    def is_at_hand(self, step: int) -> bool:
        """Whether its window is here."""
        return self._windows.is_at_hand(step)

    def batches(self, step: int, most: int) -> np.ndarray:
        """Row numbers of the next steps that have one batch size and one window."""
        order = self._windows.batches(step, most)
        numbers: np.ndarray = self._windows.arrays[0][order]
        return numbers

    def close(self) -> None:
        """Nothing more is asked for."""
        self._windows.close()


class Numbers:
    """Windows of row numbers: those of blocks drawn from all over the data.

    Args:
        data: arrays, or `Selected` rows.
        chosen: numbers of the rows that count, int32 (rows,); None where all do.
        block: rows of a block.
        seed: of the orders.
    """

    def __init__(
        self, data: Sequence[Any], chosen: np.ndarray | None, block: int, seed: int
    ) -> None:
        self.rows = len(data[0])
        self.forms = [Form((), np.dtype(np.int32))]
        self.block = block
        self._data, self._chosen = data, chosen
        self._seed = seed_words(seed)
        self._epoch = -1
        self._used: deque[list[Part]] = deque()  # parts of the windows that are held

    def load(self, epoch: int, first: int, out: Sequence[np.ndarray]) -> None:
        """Number the rows of the parts of blocks, and bring them into memory."""
        if epoch != self._epoch:
            self._find_blocks(epoch)
        (numbers,), done = out, 0
        parts = list(self._parts(first, len(numbers)))
        if len(self._used) > 1:  # the last one is in use, the one before it no more
            needed = {*parts, *self._used[-1]}
            self._tell([p for p in self._used.popleft() if p not in needed], let_go_of)
        self._tell(parts, ask_for)
        for start, stop in parts:
            here = slice(start, stop)
            rows = np.arange(start, stop) if self._chosen is None else self._chosen[here]
            numbers[done : done + stop - start] = rows
            done += stop - start
        self._tell(parts, bring)
        self._used.append(parts)
        following = min(len(numbers), self.rows - first - len(numbers))
        self._tell(self._parts(first + len(numbers), following), ask_for)

    def _tell(self, parts: Iterable[Part], what: Callable[[Any, int, int], None]) -> None:
        """Have the system know of rows of all arrays."""
        for start, stop in parts:
            for array in self._data:
                what(array, start, stop)

    def _parts(self, first: int, rows: int) -> Iterator[Part]:
        """Where the parts of blocks lie that make up so many rows of the epoch."""
        number, end = int(np.searchsorted(self._ends, first, "right")), first + rows
        while first < end:
            start = int(self._order[number]) * self.block
            length = min(self.block, self.rows - start)
            start += first - (int(self._ends[number]) - length)
            count = min(int(self._ends[number]), end) - first
            yield start, start + count
            first += count
            number += 1

    def _find_blocks(self, epoch: int) -> None:
        """The order of the epoch's blocks, and where in the epoch each of them ends."""
        order = np.empty((1, -(-self.rows // self.block)), np.int32)
        fill_orders(order, self._seed, epoch, BLOCKS)
        self._order = order[0]
        starts = self._order.astype(np.int64) * self.block
        self._ends = np.cumsum(np.minimum(self.block, self.rows - starts))
        self._epoch = epoch

    def close(self) -> None:
        """Nothing is open."""
