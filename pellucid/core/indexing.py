"""`x[...]`: whole numbers, slices, None, Ellipsis, and one array of row numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .tensor import Tensor, apply, as_array, reshape, tensor


def getitem(x: Tensor, index: Any) -> Tensor:
    """The part of x that a NumPy index names."""
    items = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, Tensor | np.ndarray | list) for i in items):
        if len(items) != 1:
            raise IndexError("an array of row numbers cannot be mixed with other indices")
        return take(x, items[0])
    named = len([i for i in items if i is not None and i is not Ellipsis])
    if named > x.ndim:
        raise IndexError(f"{named} indices are too many for a tensor of shape {x.shape}")
    if Ellipsis not in items:
        items = (*items, Ellipsis)
    at = items.index(Ellipsis)
    items = items[:at] + (slice(None),) * (x.ndim - named) + items[at + 1 :]

    start, stop, step, flipped, shape = [], [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        length = x.shape[axis]
        if isinstance(item, slice):
            first, last, stride = item.indices(length)
            count = len(range(first, last, stride))
            shape.append(count)
            if stride < 0:
                flipped.append(axis)
                first, stride = first + (count - 1) * stride, -stride
            last = first + (count - 1) * stride + 1 if count else first
        elif isinstance(item, int | np.integer) and not isinstance(item, bool):
            if not -length <= item < length:
                raise IndexError(f"index {item} is out of range for axis {axis} of length {length}")
            first, stride = int(item) % length, 1
            last = first + 1
        else:
            raise IndexError(
                f"cannot index a tensor with {item!r}; use whole numbers, slices, None, "
                "Ellipsis or an array of row numbers (for a mask use pe.where)"
            )
        start.append(first)
        stop.append(last)
        step.append(stride)
        axis += 1
    whole = start == [0] * x.ndim and tuple(stop) == x.shape and step == [1] * x.ndim
    part = x
    if not whole:
        part = apply("slice", x, start=tuple(start), stop=tuple(stop), step=tuple(step))
    if flipped:
        part = apply("flip", part, axes=tuple(flipped))
    return reshape(part, shape)


def take(x: Any, index: Any) -> Tensor:
    """Rows of x by number, negative ones counted from the end.

    Args:
        x: tensor of shape (rows, ...).
        index: whole numbers of any shape.

    Returns:
        Tensor of shape index.shape + x.shape[1:].

    Raises:
        IndexError: a number that is known is out of range.
    """
    x = tensor(x)
    if not isinstance(index, Tensor):
        array = as_array(index)
        index = tensor(array.astype(np.int32) if array.size == 0 else array)
    if index.dtype.kind not in "iu":
        raise IndexError(
            f"row numbers must be whole numbers, received {index.dtype} (for a mask use pe.where)"
        )
    rows = x.shape[0]
    if index.node.value is not None:
        known = index.node.value
        wrong = (known < -rows) | (known >= rows)
        if wrong.any():
            raise IndexError(f"row {known[wrong][0]} is out of range: there are {rows} rows")
        if (known < 0).any():
            index = tensor(np.where(known < 0, known + rows, known).astype(known.dtype))
    return apply("gather", x, index)
