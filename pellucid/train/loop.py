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

from .feed import Feed
from .programs import Part, program, run_in_turn
from .step import Step

SLICE_SECONDS = 0.05
"""How long a slice should last: short enough for Ctrl-C and a progress bar."""

_MOST_STEPS = 1 << 16


class Loop:
    """The steps of a run, one after another.

    Args:
        trace: the step for a batch of so many rows.
        feed: the rows of each step.

    Attributes:
        done: steps taken.
        begun: of these, steps that were taken before, by the run that this one goes on.
        total: steps of the whole run.
        steps_per_epoch: how many there are in an epoch.
        seconds: time spent in native calls.
    """

    def __init__(self, trace: Callable[[int], Step], feed: Feed) -> None:
        self.feed = feed
        self.rows, self.batch = feed.rows, feed.batch
        self.rest = self.rows % self.batch
        self.steps_per_epoch = -(-self.rows // self.batch)
        self.total = feed.epochs * self.steps_per_epoch
        self.done = self.begun = 0
        self.seconds = 0.0
        self._trace = trace
        self._steps: dict[int, Step] = {}
        self._programs: dict[int, Program] = {}
        columns = self.step(self.batch).computation.outputs[0]
        self._records = np.zeros((_MOST_STEPS, *columns.shape), columns.dtype)

    @property
    def data(self) -> Sequence[np.ndarray]:
        """X, y, and the sample weights if there are any, as programs read them now."""
        return self.feed.arrays

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
        """Bytes of the data, of orders ahead and of records; files do not count."""
        return self.feed.memory + self._records.nbytes

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
            if parts and not self.feed.is_at_hand(self.done):
                self._run(parts)  # before the rows and orders that they read are replaced
                parts = []
            index = self.feed.batches(self.done, steps - at)
            records = self._records[at : at + len(index)]
            inputs = [*self.feed.arrays, index]
            parts.append((self.program(index.shape[1]), inputs, [records], len(index)))
            at += len(index)
            self.done += len(index)
        self._run(parts)
        return self._records[:steps]

    def _run(self, parts: Sequence[Part]) -> None:
        started = time.perf_counter()
        run_in_turn(parts)
        self.seconds += time.perf_counter() - started

    def rows_of(self, step: int) -> np.ndarray:
        """The row numbers that a step sees, in `data`."""
        return self.feed.batches(step, 1)[0].copy()


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
