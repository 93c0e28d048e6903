"""Arrays that lie in files: used where they are, looked at block by block.

A memory map is never copied whole, not to convert it, to check it or to hold rows
out: programs read it in its own dtype and convert what they have gathered.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

IN_PLACE = frozenset(
    map(np.dtype, ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
                   "float32", "float64"))
)  # fmt: skip
"""The dtypes that programs read."""

BLOCK_BYTES = 1 << 22
"""How much of a map is looked at, and converted, at once."""


def is_mapped(array: Any) -> bool:
    """Whether an array lies in a file."""
    return _map_of(array) is not None


def _map_of(array: Any) -> mmap.mmap | None:
    """The map that an array lies in, if there is one."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = array.obj if isinstance(array, memoryview) else getattr(array, "base", None)
    return array


def is_used_in_place(array: np.ndarray) -> bool:
    """Whether programs read an array where it lies: a map, in order, of a dtype they know."""
    flags = array.flags
    return flags.c_contiguous and flags.aligned and array.dtype in IN_PLACE and is_mapped(array)


def bytes_in_memory(array: Any) -> int:
    """What an array takes; nothing if it lies in a file."""
    return 0 if isinstance(array, Selected) or is_mapped(array) else int(array.nbytes)


def at_once(row_bytes: int) -> int:
    """How many rows of so many bytes are looked at together."""
    return max(1, BLOCK_BYTES // max(row_bytes, 1))


def blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive rows, so many at once that little memory is taken.

    Args:
        array: rows (rows, ...).

    Yields:
        The number of the first row, and the rows.
    """
    rows = at_once(math.prod(array.shape[1:]) * array.dtype.itemsize)
    for first in range(0, len(array), rows):
        yield first, array[first : first + rows]


def ask_for(array: Any, first: int, stop: int) -> None:
    """Have the system read neighbouring rows of a map, and nothing around them.

    Else it would read what lies behind the first page that is missing too, up to
    megabytes: of use to who reads on, not to who goes elsewhere. Rows in memory are there.

    Args:
        array: all rows, in memory or in a file; or `Selected` ones.
        first: number of the first row.
        stop: number of the row behind the last one.
    """
    file, place, length = _pages(array, first, stop)
    if file is not None:
        file.madvise(mmap.MADV_WILLNEED, place, length)


def bring(array: Any, first: int, stop: int) -> None:
    """See to it that rows, as in `ask_for`, are in memory: some bytes of each page are read."""
    file, place, length = _pages(array, first, stop)
    if file is not None:  # so many that NumPy lets other threads run meanwhile
        np.frombuffer(file, np.uint8)[place : place + length : mmap.PAGESIZE // 4].max()


def let_go_of(array: Any, first: int, stop: int) -> None:
    """Have the system know that rows, as in `ask_for`, are not looked at again soon.

    Pages of a map that the system must find out about by itself cost it twice the time.
    Only of maps that cannot be written to: what was written to a private one would be lost.
    """
    file, place, length = _pages(array, first, stop)
    if file is not None and memoryview(file).readonly:
        file.madvise(mmap.MADV_DONTNEED, place, length)


def _pages(array: Any, first: int, stop: int) -> tuple[mmap.mmap | None, int, int]:
    """The map in which rows lie, if the system can be told of them; the place, and bytes."""
    if isinstance(array, Selected):
        first, stop = int(array.rows[first]), int(array.rows[stop - 1]) + 1
        array = array.array
    file = _map_of(array)
    if file is None or not hasattr(file, "madvise") or not array.flags.c_contiguous:
        return None, 0, 0
    row = array.strides[0]
    begin = array.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data + first * row
    place = begin - begin % mmap.PAGESIZE
    return file, place, begin + (stop - first) * row - place


class Selected:
    """Some rows of an array that stays where it is.

    Args:
        array: all rows (all, ...).
        rows: the numbers of those that count, in ascending order (rows,).
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array = array
        self.rows = rows
        self.shape = (len(rows), *array.shape[1:])
        self.dtype = array.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Copies of rows, by a slice or by an array of numbers."""
        return np.asarray(self.array[self.rows[key]])


def selected(array: Any, rows: np.ndarray) -> Any:
    """Some rows of an array: copies, or a map's where they are.

    Args:
        array: all rows (all, ...).
        rows: numbers in ascending order (rows,).
    """
    if isinstance(array, Selected):
        return Selected(array.array, array.rows[rows])
    return Selected(array, rows) if is_mapped(array) else array[rows]
