"""Worker threads: how many, and running one native call on all of them."""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .interrupt import Interrupt

_threads: int | None = None


def available_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(count: int | None) -> None:
    """How many threads run compiled code; results are the same bits for any number.

    Args:
        count: from 1; None for one per processor that this process may use.

    Raises:
        ValueError: it is not a whole number from 1.
    """
    global _threads
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"threads must be a whole number from 1, received {count!r}")
    _threads = count


def get_threads() -> int:
    """How many threads run compiled code: `set_threads`, PELLUCID_THREADS, or processors."""
    if _threads is not None:
        return _threads
    wanted = os.environ.get("PELLUCID_THREADS", "")
    if not wanted:
        return available_processors()
    if not wanted.isdecimal() or int(wanted) < 1:
        raise ValueError(f"PELLUCID_THREADS must be a whole number from 1, received {wanted!r}")
    return int(wanted)


def _giving_way() -> int:
    """Address of a function that gives the processor away, 0 where there is none."""
    if os.name != "posix":
        return 0
    function = getattr(ctypes.CDLL(None), "sched_yield", None)
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0


def meeting() -> np.ndarray:
    """A fresh record for workers to meet at; see the barrier in `render`."""
    record = np.zeros(24, np.int64)
    record[16] = _giving_way()
    return record


class Choice:
    """How many workers a program runs on: all, or one where meeting costs more than it gains.

    On a loaded machine, or with little work in a step, workers that wait for each
    other are slower than one alone. Both ways give the same bits, so the faster is
    taken, and the other is tried again now and then.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._to_try: list[int] = []
        self._steps = 0
        self._until_trial = 0

    def workers(self, available: int, steps: int) -> int:
        """How many of the available workers to use for a call of so many steps."""
        if available == 1:
            return 1
        ways = [available, 1]
        if not self._steps / 4 < steps <= self._steps * 4 or available not in self._seconds:
            # calls of another length: waking workers weighs otherwise, so find out anew
            self._steps, self._seconds = steps, dict.fromkeys(ways, float("inf"))
            self._to_try = ways * 2
        if not self._to_try:
            self._until_trial -= 1
            if self._until_trial < 0:
                one, other = sorted(ways, key=self._seconds.__getitem__)
                close = self._seconds[other] < 1.3 * self._seconds[one]
                self._until_trial = SOON if close else LATER
                self._to_try = [other]
        return self._to_try[-1] if self._to_try else min(ways, key=self._seconds.__getitem__)

    def note(self, workers: int, seconds: float) -> None:
        """Remember how long a step took."""
        before = self._seconds[workers]
        self._seconds[workers] = min(seconds, (before + seconds) / 2)
        if self._to_try:
            self._to_try.pop()


SOON, LATER = 24, 200
"""Calls until the other way is tried again: if it was about as fast, and if it was not."""


class Pool:
    """Threads that wait for work; the calling thread is worker 0."""

    def __init__(self) -> None:
        self._inboxes: list[queue.SimpleQueue[Any]] = []
        self._lock = threading.Lock()

    def run(self, work: Callable[[int], Any], workers: int) -> None:
        """Call `work(0)` ... `work(workers - 1)` at the same time; all of them or none.

        Workers wait for each other inside, so Ctrl-C is held back until all have ended.
        """
        with self._lock, Interrupt() as interrupt:
            while len(self._inboxes) < workers - 1:
                inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
                threading.Thread(
                    target=_serve, args=(inbox,), daemon=True, name="pellucid-worker"
                ).start()
                self._inboxes.append(inbox)
            ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
            for number in range(1, workers):
                self._inboxes[number - 1].put((work, number, ended))
            try:
                work(0)
            finally:
                failures = [ended.get() for _ in range(1, workers)]
        for failure in failures:
            if failure is not None:
                raise failure
        if interrupt.received:
            raise KeyboardInterrupt


def _serve(inbox: queue.SimpleQueue[Any]) -> None:
    while True:
        work, number, ended = inbox.get()
        failure: BaseException | None = None
        try:
            work(number)
        except BaseException as error:
            failure = error
        ended.put(failure)


POOL = Pool()
if hasattr(os, "register_at_fork"):  # a child process has none of its parent's threads
    os.register_at_fork(after_in_child=POOL.__init__)  # type: ignore[misc]
