"""What was compiled for one estimator, lent to the next one that needs the like.

Tracing a network and binding compiled code to it takes far longer than training it on a
small data set. Estimators hold plain arrays; what learns and predicts for them is lent to
them, takes over their values and gives back its own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

_MOST_KEPT = 8
_MOST_NUMBERS = 1 << 22
"""Numbers in what is kept; training it takes longer than making it anew."""

Lent = TypeVar("Lent")


class _Kept:
    """What nobody uses at present, by key; the least recently used goes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[Hashable, Any]] = []

    def take(self, key: Hashable) -> Any:
        with self._lock:
            for i in range(len(self._kept) - 1, -1, -1):
                if self._kept[i][0] == key:
                    return self._kept.pop(i)[1]
        return None

    def give(self, key: Hashable, engine: Any) -> None:
        if engine.numbers > _MOST_NUMBERS:
            return
        with self._lock:
            self._kept.append((key, engine))
            del self._kept[:-_MOST_KEPT]


_KEPT = _Kept()
if hasattr(os, "register_at_fork"):  # a lock that another thread of the parent held stays locked
    os.register_at_fork(after_in_child=_KEPT.__init__)  # type: ignore[misc]


@contextlib.contextmanager
def lent(key: Hashable | None, make: Callable[[], Lent]) -> Iterator[Lent]:
    """One of a kind, for this block alone.

    Args:
        key: says all about it but its values; None where nothing can.
        make: makes one, with a property `numbers`, how many numbers it holds.
    """
    found = None if key is None else _KEPT.take(key)
    engine = make() if found is None else found
    yield engine
    if key is not None:  # after an error nobody knows what state it is in
        _KEPT.give(key, engine)
