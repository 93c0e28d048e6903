"""What a file says, as messages about it quote it: short enough to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def cut(text: str, most: int = 600) -> str:
    """A text of at most so many characters, and whether there is more."""
    return text if len(text) <= most else text[: most - 3] + "..."


def quoted(value: Any, most: int = 60) -> str:
    """A value as Python would write it, cut."""
    if isinstance(value, int) and abs(value) >= 10**most:  # too long for Python to write, maybe
        return f"a number of {value.bit_length()} bits"
    return cut(repr(value[: most + 1] if isinstance(value, str | list) else value), most)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names, cut, and the first of them if there are many."""
    return ", ".join([cut(name, 40) for name in names[:most]] + ["..."] * (len(names) > most))
