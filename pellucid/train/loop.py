"""Running steps: which rows each one sees, and where its record goes.

Steps are counted from 0 over all epochs; `advance` runs the next few by one native
call, or by a few where epochs end with a short batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pellucid.core.program import Program
from pellucid.core.random import seed_words

from .programs import Part, fill_orders, program, run_in_turn
from .step import Step

SLICE_SECONDS = 0.05
"""How long a slice should last: short enough for Ctrl-C and a progress bar."""

_ORDER_BYTES = 1 << 20
_MOST_STEPS = 1 << 16


class Loop:
    """The steps of a run, one after another.

    Args:
        trace: the step for a batch of so many rows.
        data: X, y, and the sample weights if there are any.
        batch_size: rows per step; the last step of an epoch takes what is left.
        epochs: how often the data are gone through.
        shuffle: whether each epoch visits the rows in an order of its own.
        seed: of the orders.

    Attributes:
        done: steps taken.
        begun: of these, steps that were taken before, by the run that this one goes on.
        total: steps of the whole run.
        steps_per_epoch: how many there are in an epoch.
        seconds: time spent in native calls.
    """

    def __init__(
        self,
        trace: Callable[[int], Step],
        data: Sequence[np.ndarray],
        batch_size: int,
        epochs: int,
        shuffle: bool,
        seed: int,
    ) -> None:
        self.data = list(data)
        self.rows = len(data[0])
        self.batch = min(batch_size, self.rows)
        self.full, self.rest = divmod(self.rows, self.batch)
        self.steps_per_epoch = self.full + (self.rest > 0)
        self.done = self.begun = 0
        self.seconds = 0.0
        self._trace = trace
        self._steps: dict[int, Step] = {}
        self._programs: dict[int, Program] = {}
        self.total = epochs * self.steps_per_epoch
        self._shuffled = shuffle
        self._seed = seed_words(seed)
        ahead = min(epochs, _ORDER_BYTES // (4 * self.rows), _MOST_STEPS // self.steps_per_epoch)
        self._order = np.empty((max(1, ahead), self.rows), np.int32)  # of some epochs, in a row
        self._first_epoch = -len(self._order)
        if not shuffle:
            self._order[:] = np.arange(self.rows, dtype=np.int32)
        columns = self.step(self.batch).computation.outputs[0]
        self._records = np.zeros((_MOST_STEPS, *columns.shape), columns.dtype)

    @property
    def record_shape(self) -> tuple[int, ...]:
        """Of what a step records."""
        return self._records.shape[1:]

    def step(self, batch: int) -> Step:
        """The traced step on so many rows."""
        if batch not in self._steps:
            self._steps[batch] = self._trace(batch)
        return self._steps[batch]

    def program(self, batch: int) -> Program:
        """The step on so many rows, ready to run."""
        if batch not in self._programs:
            self._programs[batch] = program(self.step(batch).computation)
        return self._programs[batch]

    @property
    def programs(self) -> list[Program]:
        """The programs made so far."""
        return list(self._programs.values())

    @property
    def memory(self) -> int:
        """Bytes of the data, of orders ahead and of records."""
        return sum(a.nbytes for a in (*self.data, self._order, self._records))

    def taken(self) -> dict[int, int]:
        """How many steps were taken here on so many rows, whole batches first."""
        epochs = self.done // self.steps_per_epoch - self.begun // self.steps_per_epoch
        short = epochs if self.rest else 0
        return {self.batch: self.done - self.begun - short} | ({self.rest: short} if short else {})

    def slice_length(self, wanted: int, *, one_epoch: bool) -> int:
        """How many steps to take at once: part of an epoch, or whole ones.

        Args:
            wanted: about so many.
            one_epoch: stop at the end of the epoch.
        """
        wanted = max(1, min(wanted, _MOST_STEPS, self.total - self.done))
        left = self.steps_per_epoch - self.done % self.steps_per_epoch
        if one_epoch or wanted < left or left < self.steps_per_epoch:
            return min(wanted, left)
        return wanted - wanted % self.steps_per_epoch

    def advance(self, steps: int) -> np.ndarray:
        """Take the next steps.

        Args:
            steps: how many; at most 65,536.

        Returns:
            Their records (steps, columns), valid until the next call.
        """
        at = 0
        parts: list[Part] = []
        while at < steps:
            if parts and not self._has_order(self.done // self.steps_per_epoch):
                self._run(parts)  # before the orders that they read are replaced
                parts = []
            index, count = self._next_rows(steps - at)
            records = self._records[at : at + count]
            parts.append((self.program(index.shape[1]), [*self.data, index], [records], count))
            at += count
            self.done += count
        self._run(parts)
        return self._records[:steps]

    def _run(self, parts: Sequence[Part]) -> None:
        started = time.perf_counter()
        run_in_turn(parts)
        self.seconds += time.perf_counter() - started

    def rows_of(self, step: int) -> np.ndarray:
        """The row numbers that a step sees."""
        done, self.done = self.done, step
        try:
            return self._next_rows(1)[0][0].copy()
        finally:
            self.done = done

    def _next_rows(self, most: int) -> tuple[np.ndarray, int]:
        """Row numbers (steps, batch) of the next steps that have one batch size."""
        epoch, first = divmod(self.done, self.steps_per_epoch)
        order = self._orders_from(epoch)
        if not self.rest:  # the epochs lie one after another without a gap
            batches = order.reshape(-1, self.batch)[first : first + most]
        elif first < self.full:
            batches = order[0, : self.full * self.batch].reshape(self.full, self.batch)
            batches = batches[first : first + most]
        else:
            batches = order[:1, self.full * self.batch :]
        return batches, len(batches)

    def _orders_from(self, epoch: int) -> np.ndarray:
        """The orders of this epoch and of some that follow."""
        if not self._has_order(epoch):
            self._first_epoch = epoch
            if self._shuffled:
                fill_orders(self._order, self._seed, epoch)
        return self._order[epoch - self._first_epoch :]

    def _has_order(self, epoch: int) -> bool:
        return 0 <= epoch - self._first_epoch < len(self._order)


class Pace:
    """How many steps fill a slice, learned from how long they take.

    Attributes:
        steps: how many to take next.
    """

    def __init__(self) -> None:
        self.steps = 1

    def timed(self, advance: Callable[[int], Any], steps: int) -> Any:
        """Take the steps, and learn from the time they need."""
        start = time.perf_counter()
        result = advance(steps)
        seconds = max(time.perf_counter() - start, 1e-9)
        self.steps = int(min(8 * max(steps, self.steps), max(1, steps * SLICE_SECONDS / seconds)))
        return result
