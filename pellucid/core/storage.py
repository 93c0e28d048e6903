"""Where values live in memory: aligned, padded storage and the cells that hold it.

The layout rule depends on shape and dtype alone, so that every program that
reads a parameter agrees on where its rows begin. It is not visible to users:
NumPy sees ordinary (strided) arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LANES = 16
"""Elements that a vector operation covers, on every processor and for every dtype."""

ALIGNMENT = 64
"""Bytes; one cache line and one AVX-512 register."""

_SMALL = 1 << 16


def row_pitch(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Elements from one row of a value to the next.

    A matrix has its rows padded to whole vectors, so that loads and stores meet
    and no tail needs a mask, unless that would waste memory or it is a single
    column, which is read as a row. Pitches that fall
    on a multiple of 1 KiB are moved off it: the rows would compete for the same
    cache sets.
    """
    if not shape:
        return 1
    columns = shape[-1]
    if len(shape) != 2 or columns == 1:
        return columns
    padded = -(-columns // LANES) * LANES
    if padded > 2 * columns and shape[0] * padded * dtype.itemsize > _SMALL:
        return columns
    if columns >= 256 and padded * dtype.itemsize % 1024 == 0:
        padded += LANES
    return padded


def strides_of(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """Strides, in elements, of a value of this shape in its own storage."""
    strides = [1] * len(shape)
    if len(shape) >= 2:
        strides[-2] = row_pitch(shape, dtype)
        for axis in range(len(shape) - 3, -1, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def storage_size(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Elements of storage that a value needs: its rows and one vector of slack."""
    if not shape:
        return LANES
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    used = rows * row_pitch(shape, dtype)
    return -(-used // LANES) * LANES + LANES


def allocate(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A zeroed array in aligned, padded storage, seen in its own shape."""
    dtype = np.dtype(dtype)
    size = storage_size(shape, dtype) * dtype.itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    flat = raw[start : start + size].view(dtype)
    strides = tuple(stride * dtype.itemsize for stride in strides_of(shape, dtype))
    return np.lib.stride_tricks.as_strided(flat, shape, strides)


class Cell:
    """A named place that holds a value: a parameter, optimizer state, data.

    A computation reads cells where they stand; only a program's updates, or
    `assign`, change what they hold. `role` says what a parameter is for
    ("weight", "bias", ...), which decides, for instance, whether it decays.
    """

    __slots__ = ("__weakref__", "grad", "name", "role", "tracked", "value")

    def __init__(
        self, value: np.ndarray, *, name: str = "", role: str = "", tracked: bool = False
    ) -> None:
        value = np.asarray(value)
        self.value = allocate(value.shape, value.dtype)
        self.value[...] = value
        self.name = name
        self.role = role
        self.tracked = tracked
        self.grad: np.ndarray | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles get storage of their own: an array copied by itself is not padded."""
        return _restored, (np.array(self.value), self.name, self.role, self.tracked)

    def assign(self, value: np.ndarray) -> None:
        """Copy a value of the same shape into this cell's storage."""
        value = np.asarray(value)
        if value.shape != self.value.shape:
            raise ValueError(
                f"{self.name or 'cell'} has shape {self.value.shape}, "
                f"received a value of shape {value.shape}"
            )
        self.value[...] = value


def _restored(value: np.ndarray, name: str, role: str, tracked: bool) -> Cell:
    return Cell(value, name=name, role=role, tracked=tracked)
