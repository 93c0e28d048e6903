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
