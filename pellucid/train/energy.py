"""The energy of a run: read from the processor's counters, or estimated from processor time.

Linux shows the counters of Intel's and AMD's processors as files ("powercap"), on many
machines to the administrator only. They count whatever runs on the processor.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")

WATTS = (3.0, 15.0)
"""What one busy core draws, about: thermal design power over the number of cores.

3.8 W for AMD's EPYC 9654 (360 W, 96 cores) and Intel's Core i5-8250U (15 W, 4 cores), 13 W
for AMD's Ryzen 7 5800X (105 W, 8 cores), 16 W for Intel's Core i7-11700K (125 W, 8 cores), by
their makers' data sheets. Memory, losses of the power supply and cooling are not in it."""

SHORTEST = 0.05
"""Seconds of a run below which the counters, which move about once a millisecond, tell little."""

_OFTEN = 10.0  # seconds between two looks; a counter at 1 kW wraps around after a minute or more


@dataclass(frozen=True)
class Energy:
    """An amount of energy, between two bounds where it is estimated.

    Attributes:
        low: joules.
        high: joules; the same where they were read.
        method: how it was found.

    Example:
        >>> from pellucid.train.energy import estimated
        >>> estimated(cpu_seconds=2.0).low, estimated(cpu_seconds=2.0).high
        (6.0, 30.0)
    """

    low: float
    high: float
    method: str


def estimated(cpu_seconds: float) -> Energy:
    """The energy of so many seconds of one busy core, by `WATTS`."""
    low, high = WATTS
    return Energy(
        low * cpu_seconds,
        high * cpu_seconds,
        f"estimated: processor time at {low:g} to {high:g} W a busy core",
    )


class Counter:
    """A counter of microjoules in a folder of powercap, followed from now on.

    Args:
        zone: the folder.

    Attributes:
        name: of what is counted.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no number.
    """

    def __init__(self, zone: Path) -> None:
        self.name = (zone / "name").read_text().strip()
        self._file = zone / "energy_uj"
        self._range = int((zone / "max_energy_range_uj").read_text())
        self._last = int(self._file.read_text())

    def passed(self) -> int:
        """Microjoules since the last call; a counter begins at 0 again beyond its range."""
        now = int(self._file.read_text())
        passed, self._last = now - self._last, now
        return passed if passed >= 0 else passed + self._range


def counters(folder: Path = POWERCAP) -> list[Counter]:
    """The counters of whole processors and of their memory; none where one cannot be read.

    A zone within a processor ("core", "uncore") is part of it, and "psys" holds it.
    """
    try:
        zones = sorted(z for z in os.listdir(folder) if z.startswith("intel-rapl:"))
        found = [
            Counter(folder / zone)
            for zone in zones
            if (folder / zone / "name").read_text().startswith(("package", "dram"))
        ]
    except (OSError, ValueError):
        return []
    return found


class EnergyMeter:
    """Adds up what the counters say, from now on.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._counters = counters(folder)
        self._joules = 0.0
        self._looked = time.perf_counter()

    def look(self) -> None:
        """Read the counters if that is due, before one of them wraps around twice."""
        if self._counters and time.perf_counter() - self._looked > _OFTEN:
            self._add()

    def total(self, seconds: float, cpu_seconds: float) -> Energy:
        """The energy since the start.

        Args:
            seconds: the time since then.
            cpu_seconds: of all processors, to estimate by where there is nothing to read.
        """
        if self._counters:
            self._add()
        if not self._counters or seconds < SHORTEST:
            return estimated(cpu_seconds)
        names = ", ".join(counter.name for counter in self._counters)
        return Energy(
            self._joules, self._joules, f"read from powercap ({names}): all that ran meanwhile"
        )

    def _add(self) -> None:
        self._looked = time.perf_counter()
        try:
            self._joules += sum(counter.passed() for counter in self._counters) * 1e-6
        except (OSError, ValueError):  # what cannot be read to the end is no measurement
            self._counters = []
