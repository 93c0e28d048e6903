"""Worker threads: how many, and running one native call on all of them."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from .interrupt import HeldBack

_threads: int | None = None
_limit: ContextVar[int | None] = ContextVar("limit", default=None)

MOST = 1024
"""Threads; more are a mistake, and far more cannot be started."""


def available_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST)
    return min(os.cpu_count() or 1, MOST)


def set_threads(count: int | None) -> None:
    """How many threads run compiled code; results are the same bits for any number.

    Args:
        count: from 1; None for one per processor that this process may use.

    Raises:
        ValueError: it is not a whole number from 1.
    """
    global _threads
    _check_count(count)
    _threads = count


def _check_count(count: int | None) -> None:
    whole = isinstance(count, int) and not isinstance(count, bool)
    if count is not None and not (whole and 1 <= count <= MOST):
        raise ValueError(f"threads must be a whole number from 1 to {MOST}, received {count!r}")


@contextmanager
def limited_threads(count: int | None) -> Iterator[None]:
    """Within it compiled code that is called from here runs on no more threads.

    Other threads of Python that call compiled code at the same time are not concerned.

    Args:
        count: from 1; None for no limit of its own.

    Raises:
        ValueError: it is not a whole number from 1.

    Example:
        >>> from pellucid.compiler import get_threads, limited_threads
        >>> with limited_threads(1):
        ...     get_threads()
        1
    """
    _check_count(count)
    outer = _limit.get()
    token = _limit.set(min((c for c in (outer, count) if c is not None), default=None))
    try:
        yield
    finally:
        _limit.reset(token)


def get_threads() -> int:
    """How many threads run compiled code: `set_threads`, PELLUCID_THREADS, or processors.

    No more than `limited_threads` allows.
    """
    limit = _limit.get()
    if limit == 1:  # whatever is wanted
        return 1
    return _wanted() if limit is None else min(_wanted(), limit)


def _wanted() -> int:
    if _threads is not None:
        return _threads
    wanted = os.environ.get("PELLUCID_THREADS", "")
    if not wanted:
        return available_processors()
    if not (wanted.isascii() and wanted.isdecimal()) or not 1 <= int(wanted[:9]) <= MOST:
        raise ValueError(
            f"PELLUCID_THREADS must be a whole number from 1 to {MOST}, received {wanted!r}"
        )
    return int(wanted)


def _giving_way() -> int:
    """Address of a function that gives the processor away, 0 where there is none."""
    if os.name != "posix":
        return 0
    function = getattr(ctypes.CDLL(None), "sched_yield", None)
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0


def meeting() -> np.ndarray:
    """A fresh record for workers to meet at; see `barrier`."""
    record = np.zeros(24, np.int64)
    record[16] = _giving_way()
    return record


BRIEF = 150e-6
"""Seconds below which a call is not worth waking other threads for."""

TELLING = 5e-3
"""Seconds after which calls tell how crowded the machine is."""

CROWDED = 0.9
"""Share of the time for which a worker must have had its processor to count as undisturbed."""

DOUBTFUL, TRIAL = 150e-6, 20e-3
"""Seconds of a step below which it may be slower on all workers than on one, however undisturbed
they are, as processors that share no cache, or are halves of one, pass values to each other slowly;
and seconds that a call on one alone may take to find out."""

PATIENCE = 2, 32
"""Times, of at least TELLING, for which one worker goes on alone before all are tried again:
at first, and at most, as it doubles whenever the trial fails."""


class Choice:
    """How many workers a program's next call uses: all, or one where that is faster.

    One alone does brief calls. On a crowded machine workers that wait for each other
    can be slower than one: where a worker did not have its processor all the time,
    one alone is tried, and the faster way is kept for a while. Programs that are new in
    that while begin with one as well. With short steps one is tried in any case. All ways
    give the same bits.
    """

    crowded_until = 0.0
    """The end of the while that some program found the machine crowded for, on the clock."""

    def __init__(self) -> None:
        self._best = 1.0  # seconds that a step took at best; unknown so far
        self._together = 0.0  # seconds of a step when the workers were last together
        self._lone = 0.0  # seconds of a step when one was last alone; unknown so far
        self._alone = 0  # how many times more one worker goes on alone
        self._patience = PATIENCE[0]
        # steps, seconds, undisturbed seconds since the last verdict: of all workers, of one alone
        self._seen = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]

    def workers(self, available: int, steps: int) -> int:
        """How many of the available workers to use for a call of so many steps."""
        alone = available == 1 or self._alone > 0 or self._best * steps < BRIEF
        untried = self._together == 0.0
        crowded = untried and time.perf_counter() < Choice.crowded_until
        return 1 if alone or crowded or self._is_trial(available, steps) else available

    def _is_trial(self, available: int, steps: int) -> bool:
        """Whether a call of so many steps finds out how long they take one worker."""
        doubtful = self._lone == 0.0 < self._together < DOUBTFUL
        return doubtful and self._together * available * steps < TRIAL

    def trial(self, available: int, unit: int) -> int:
        """How many units of steps a call should have to find that out; 0 if it would not."""
        if available == 1 or self._together == 0.0:
            return 0
        units = math.ceil(TELLING / (self._together * unit))
        return units if self._is_trial(available, units * unit) else 0

    def note(self, workers: int, steps: int, seconds: float, share: float) -> None:
        """Remember a call: how long it took, and which share of it the workers were running."""
        self._best = min(self._best, seconds / steps)
        seen, now = self._seen[workers == 1], (steps, seconds, seconds * share)
        seen = [a + b for a, b in zip(seen, now, strict=True)]
        told = seen[1] >= TELLING
        self._seen[workers == 1] = [0.0, 0.0, 0.0] if told else seen
        if not told:
            return
        step = seen[1] / seen[0]
        if workers == 1:
            first, self._lone = self._lone == 0.0 < self._together, step
            left = self._patience if first and not self._alone else self._alone - 1
            self._alone = max(left, 0) if step < self._together else 0
            return
        self._together = step
        crowded = seen[2] < CROWDED * seen[1]
        worse = step > self._lone and (crowded or 0.0 < self._lone < DOUBTFUL)
        self._alone = self._patience if worse else 0
        if worse and crowded:
            Choice.crowded_until = time.perf_counter() + self._patience * TELLING
        self._patience = min(2 * self._patience, PATIENCE[1]) if worse else PATIENCE[0]


class Pool:
    """Threads that wait for work; the calling thread is worker 0."""

    def __init__(self) -> None:
        self._inboxes: list[queue.SimpleQueue[Any]] = []
        self._threads: list[threading.Thread] = []
        self._left: tuple[int, set[int]] | None = None  # the processor that they keep off, of which
        self._lock = threading.Lock()

    def run(self, work: Callable[[int], Any], workers: int) -> float:
        """Call `work(0)` ... `work(workers - 1)` at the same time; all of them or none.

        Workers wait for each other inside, so Ctrl-C is held back until all have ended.

        Returns:
            The least share of the time for which a worker had its processor.
        """
        with self._lock, HeldBack():
            while len(self._inboxes) < workers - 1:
                inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
                thread = threading.Thread(
                    target=_serve, args=(inbox,), daemon=True, name="pellucid-worker"
                )
                thread.start()
                self._inboxes.append(inbox)
                self._threads.append(thread)
                self._left = None
            self._keep_off()
            ended: queue.SimpleQueue[float | BaseException] = queue.SimpleQueue()
            for number in range(1, workers):
                self._inboxes[number - 1].put((work, number, ended))
            try:
                shares = [_timed(work, 0)]
            finally:
                results = [ended.get() for _ in range(1, workers)]
        for result in results:
            if isinstance(result, BaseException):
                raise result
            shares.append(result)
        return min(shares)

    def _keep_off(self) -> None:
        """Have the workers run on other processors than the caller.

        A system may wake a worker where its caller runs, though another processor has nothing to
        do, and needs milliseconds to see that; meanwhile they wait for each other in turn.
        """
        if PROCESSOR is None:
            return
        here, allowed = PROCESSOR(), os.sched_getaffinity(0)
        if self._left == (here, allowed):
            return
        for thread in self._threads:
            assert thread.native_id is not None  # it has been started
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread.native_id, allowed - {here} or allowed)
        self._left = here, allowed


def _number_of_processor() -> Callable[[], int] | None:
    """What tells on which processor the calling thread runs, where threads can be kept off one."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    return getattr(ctypes.CDLL(None), "sched_getcpu", None)


PROCESSOR = _number_of_processor()


def _timed(work: Callable[[int], Any], number: int) -> float:
    """Do the work; the share of its time for which this thread had a processor."""
    started, running = time.perf_counter(), time.thread_time()
    work(number)
    return (time.thread_time() - running) / max(time.perf_counter() - started, 1e-9)


def _serve(inbox: queue.SimpleQueue[Any]) -> None:
    while True:
        work, number, ended = inbox.get()
        try:
            ended.put(_timed(work, number))
        except BaseException as error:
            ended.put(error)


POOL = Pool()
if hasattr(os, "register_at_fork"):  # a child process has none of its parent's threads
    os.register_at_fork(after_in_child=POOL.__init__)  # type: ignore[misc]
