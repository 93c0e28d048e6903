"""The JSON that stands in a file's metadata, which may have been made by anybody."""

from __future__ import annotations

import json
import math
from typing import Any

from .quoting import cut

_LARGEST = 1 << 64


def parsed(text: str, *, constants: bool = False) -> Any:
    """The values in a text.

    Args:
        text: JSON.
        constants: whether NaN and infinities may be among the numbers.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or holds a number that 64 bits or
            a float cannot.
    """
    constant = None if constants else _refused
    try:
        return json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refused(text: str) -> Any:
    raise ValueError(f"{cut(text, 40)} is no number that can be used")


def _whole(text: str) -> int:
    number = int(text) if len(text) < 30 else _LARGEST
    return number if abs(number) < _LARGEST else _refused(text)


def _real(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text)
