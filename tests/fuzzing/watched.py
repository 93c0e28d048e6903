"""What a reader of unsound files may do: give a result or one clear sentence, and soon."""

from __future__ import annotations

import codecs
import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

SECONDS = float(os.environ.get("PELLUCID_FUZZ_SECONDS", "30"))
"""How long each target is tried."""

SEED = int(os.environ.get("PELLUCID_FUZZ_SEED", "0"))

LONGEST = 10.0
"""Seconds that one file of some kilobytes may take; far more than it does."""

_FORBIDDEN = (
    "exec", "os.system", "os.exec", "os.remove", "os.rename", "subprocess.Popen", "socket.connect",
    "pickle.find_class", "marshal.loads", "ctypes.dlopen",
)  # fmt: skip
_caught: list[str] = []
_watching = False

codecs.lookup("cp437")  # of names in archives: Python imports it, executing a module of its own


def _audit(event: str, arguments: Any) -> None:
    """Notes what no file may bring about; it is called for every event of the process."""
    if not _watching or threading.current_thread() is not threading.main_thread():
        return
    if event in _FORBIDDEN:
        _caught.append(f"{event} {arguments!r:.200}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        _caught.append(f"{event} {arguments!r:.200}")


sys.addaudithook(_audit)  # for good: Python has no way to take one back


class HangsError(Exception):
    """A file took too long."""


@contextlib.contextmanager
def watched(reads_only: bool = True) -> Iterator[None]:
    """Within it nothing may go on for long.

    Args:
        reads_only: nor may anything be executed or written.
    """
    global _watching

    def stop(number: int, frame: Any) -> None:
        raise HangsError(f"more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    _caught.clear()
    _watching = reads_only
    try:
        yield
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not _caught, list(_caught)  # a copy: the list is emptied for the next file


def check_sentence(error: BaseException) -> None:
    """One sentence that says something."""
    text = str(error)
    assert 15 < len(text) < 1500, f"{len(text)} characters: {text[:500]}"
    assert "Traceback" not in text, text
    assert "object at 0x" not in text, text


def tried(
    make: Callable[[random.Random], bytes],
    read: Callable[[bytes], Any],
    allowed: tuple[type[BaseException], ...],
) -> tuple[int, int]:
    """Read files until the time is over.

    Args:
        make: an unsound file.
        read: what is done with it.
        allowed: errors that it may raise.

    Returns:
        How many files were refused, and how many were not.
    """
    until, number, refused = time.perf_counter() + SECONDS, 0, 0
    while time.perf_counter() < until:
        chance = random.Random(f"{SEED} {number}")
        content = make(chance)
        number += 1
        try:
            with watched():
                read(content)
        except allowed as error:
            check_sentence(error)
            refused += 1
        except BaseException as error:
            error.add_note(f"file {number - 1} of PELLUCID_FUZZ_SEED={SEED}: {content[:300]!r}")
            raise
    assert number > 10
    return refused, number - refused


alarm_needed = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows has no alarms")
