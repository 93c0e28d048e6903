"""Sound files made unsound: bytes, text and JSON changed in ways that damage and malice do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (
    0, 1, -1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**400,
    -(2**63), 0.5, -0.0, 1e308, 1e-320, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
TEXTS = (
    "", " ", "a", "nan", "NaN", "inf", "-inf", "1e999", "0x10", "1_000", "١٢", "é", "\x00",
    "\ufeff", "\u2028", "'", '"', '""', ",", ";", "\t", "\n", "\r", "__class__", "__import__('os')",
    "os.system", "Linear", "Sequential", "layer", "../../etc/passwd", "A" * 5000, "%s%n",
    "{}", "[]",
)  # fmt: skip


def bytes_changed(content: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """A few changes of bytes: flipped, lost, repeated, put in, or taken from another file."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(found) + 1)
        end = min(len(found), at + chance.choice((1, 2, 4, 8, 64, 1000)))
        kind = chance.randrange(8)
        if kind == 0 and found:
            found[min(at, len(found) - 1)] ^= 1 << chance.randrange(8)
        elif kind == 1 and found:
            found[min(at, len(found) - 1)] = chance.choice(
                (0, 1, 9, 10, 34, 44, 123, 127, 128, 255)
            )
        elif kind == 2:
            del found[at:end]
        elif kind == 3:
            found[at:at] = found[at:end]
        elif kind == 4:
            found[at:at] = chance.randbytes(end - at)
        elif kind == 5:
            del found[at:]
        elif kind == 6:
            other = chance.choice(others)
            first = chance.randrange(len(other) + 1)
            found[at:end] = other[first : first + (end - at)]
        else:
            found[at:at] = chance.choice(TEXTS).encode()
    return bytes(found)


def length_changed(content: bytes, chance: random.Random) -> bytes:
    """The eight bytes in front say another length."""
    value = chance.choice((0, 1, 2, 8, 2**20, 2**24 + 1, 2**31, 2**63, 2**64 - 1, len(content)))
    return value.to_bytes(8, "little") + content[8:]


def json_changed(tree: Any, chance: random.Random) -> Any:
    """The tree with one of its places changed."""
    places = list(_places(tree))
    if not places:
        return _odd(chance)
    holder, key = chance.choice(places)
    kind = chance.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = [holder[key]]
    elif kind == 2:
        other, place = chance.choice(places)
        holder[key] = json.loads(json.dumps(other[place] if _has(other, place) else None))
    elif kind == 3 and isinstance(holder, dict):
        holder[chance.choice((*TEXTS, *map(str, holder)))] = holder.pop(key)
    else:
        holder[key] = _odd(chance)
    return tree


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _odd(chance: random.Random) -> Any:
    makers: tuple[Callable[[], Any], ...] = (
        lambda: chance.choice(NUMBERS),
        lambda: chance.choice(TEXTS),
        lambda: chance.choice((None, True, False, [], {}, [[]], [None], {"layer": "Linear"})),
        lambda: _nested(chance.choice((50, 300))),
        lambda: [chance.choice(NUMBERS)] * chance.choice((1, 2, 40, 3000)),
    )
    return chance.choice(makers)()


def _nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


def _places(tree: Any) -> Any:
    if not isinstance(tree, dict | list):
        return
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in list(items):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def table_changed(text: str, chance: random.Random) -> str:
    """A CSV file with cells, lines or separators changed."""
    lines = text.split("\n")
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(lines))
        cells = lines[at].split(",")
        place = chance.randrange(len(cells))
        kind = chance.randrange(9)
        if kind == 0:
            cells[place] = chance.choice(TEXTS)
        elif kind == 1:
            cells[place] = str(chance.choice(NUMBERS))
        elif kind == 2:
            del cells[place]
        elif kind == 3:
            cells[place:place] = [cells[place]] * chance.choice((1, 3, 100))
        elif kind == 4:
            cells[place] = f'"{cells[place]}'
        elif kind == 5:
            cells[place] = f'"{cells[place]}"{chance.choice(("", "x"))}'
        lines[at] = chance.choice((",", ",", ",", ";", "\t")).join(cells)
        if kind == 6:
            del lines[at]
        elif kind == 7:
            lines[at:at] = [lines[at]] * chance.choice((1, 2, 50))
        elif kind == 8:
            lines[at:at] = [chance.choice(("", ",", '"', "\r", "\x00"))]
        lines = lines or [""]
    return chance.choice(("\n", "\n", "\n", "\r\n", "\r")).join(lines)
