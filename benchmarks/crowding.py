"""How much of the machine others took while something was measured; Linux tells, others do not."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter

STAT = Path("/proc/stat")


class Crowding:
    """Watches the processors from the moment that it is made."""

    def __init__(self) -> None:
        self._started, self._before = perf_counter(), _others()

    def share(self) -> float:
        """Return the share of all processors' time that went to other processes since then.

        0 where the system does not tell.
        """
        now = _others()
        passed = (perf_counter() - self._started) * (os.cpu_count() or 1)
        return max(0.0, now - self._before) / max(passed, 1e-9)


def _others() -> float:
    """Seconds for which processors worked, without those of this process group."""
    if not STAT.exists():
        return 0.0
    fields = [int(word) for word in STAT.read_text().splitlines()[0].split()[1:9]]
    working = sum(fields) - fields[3] - fields[4]  # neither idle nor waiting for a disk
    return (working - _own()) / os.sysconf("SC_CLK_TCK")


def _own() -> int:
    """Ticks that this process group took, with the children that have ended."""
    total, group = 0, os.getpgrp()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()  # a name may hold blanks
        except OSError:  # it has ended
            continue
        if int(fields[2]) == group:
            total += sum(map(int, fields[11:15]))
    return total
