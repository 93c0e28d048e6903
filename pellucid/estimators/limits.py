"""How many threads an estimator may use where others work beside it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pellucid.compiler import get_threads, limited_threads


def threads_beside_others() -> int | None:
    """A limit where this is one of several workers; None where nothing speaks for one.

    In a process that joblib or multiprocessing has started it is what joblib leaves to each
    (OMP_NUM_THREADS), or 1; in a thread that is not the main one, 1.
    """
    if threading.current_thread() is not threading.main_thread():
        return 1
    if multiprocessing.parent_process() is None:
        return None
    left = os.environ.get("OMP_NUM_THREADS", "")
    return int(left) if left.isascii() and left.isdecimal() and int(left) > 0 else 1


ENOUGH = 2e6
"""Operations of a step for each thread: with fewer, threads wait more than they work."""


@contextmanager
def threads_for_step(wanted: int | None, numbers: int, batch: int) -> Iterator[None]:
    """Within it small steps run on few threads, unless the user asked for a number of threads.

    Args:
        wanted: the estimator's `threads`.
        numbers: parameters of the network.
        batch: rows of a step; each takes about six operations per parameter.
    """
    most = max(1, round(6 * numbers * batch / ENOUGH))
    with limited_threads(min(most, get_threads()) if wanted is None else None):
        yield


@contextmanager
def threads_for(wanted: int | None) -> Iterator[None]:
    """Within it compiled code runs on so many threads, by default on as many as it may.

    Args:
        wanted: the estimator's `threads`.
    """
    with limited_threads(threads_beside_others() if wanted is None else wanted):
        yield
