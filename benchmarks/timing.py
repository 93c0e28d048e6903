"""How a time is taken. A peer offers `Work`; what a call costs beside its steps is taken off."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass
class Work:
    """`run(n)` does n units of work and returns when they are done; a unit is `steps` steps."""

    run: Callable[[int], object]
    steps: int = 1
    units: int = 1  # how many units took long enough, last time

    def seconds_per_step(self, at_least: float) -> float:
        """Return (time of 1 + n units - time of 1 unit) / steps of n units.

        n grows until the difference is `at_least` so many seconds; the next call starts from there.
        """
        while True:
            base = elapsed(self.run, 1)
            extra = elapsed(self.run, 1 + self.units) - base
            if extra >= at_least:
                return extra / (self.units * self.steps)
            grow = 1.2 * at_least / extra if extra > 0 else 10.0
            self.units = max(self.units + 1, int(self.units * min(grow, 10.0)))


def elapsed(run: Callable[[int], object], units: int) -> float:
    """Return the seconds that `run(units)` takes."""
    start = perf_counter()
    run(units)
    return perf_counter() - start


def first_use(prepare: Callable[[], Work]) -> float:
    """Return how many seconds the first unit of work takes longer than a later one."""
    start = perf_counter()
    work = prepare()
    work.run(1)
    first = perf_counter() - start
    return first - statistics.median(elapsed(work.run, 1) for _ in range(3))
