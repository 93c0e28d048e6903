"""Where the greatest element stands.

One row of the table, `argmax`: of which number it is among the elements along some axes, counted
from 0 as they lie in memory. Of equal ones the first counts, and a NaN is the greatest.
"""

from __future__ import annotations

import math

import numpy as np

from .movement import Rule, expand
from .node import Node, Shape, define
from .tensor import Tensor, apply, max, where


def numbers(shape: Shape, axes: tuple[int, ...], *, backwards: bool = False) -> Tensor:
    """The elements along the axes numbered from 0, or from the last one on, backwards."""
    found: Tensor | None = None
    weight = 1
    for axis in reversed(axes):
        along = apply("iota", shape=shape, axis=axis)
        along = (shape[axis] - 1 - along if backwards else along) * weight
        found = along if found is None else found + along
        weight *= shape[axis]
    assert found is not None
    return found


def lowered(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """By two reductions to maxima: of the elements, and of how many follow the greatest."""
    best, count = expand(max(x, axes), x.shape, axes), math.prod(x.shape[a] for a in axes)
    hit = (x == best) | (x != x)
    return count - max(where(hit, count - numbers(x.shape, axes), 0), axes)


def _rule(x: Node, axes: tuple[int, ...]) -> Rule:
    if any(x.shape[a] == 0 for a in axes):
        raise ValueError(f"no elements have no greatest one (shape {x.shape}, axes {axes})")
    return tuple(n for a, n in enumerate(x.shape) if a not in axes), np.dtype(np.int32)


def _reference(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    count = math.prod(x.shape[a] for a in axes)
    rows = x.transpose(*kept, *axes).reshape(*(x.shape[a] for a in kept), count)
    return np.argmax(rows, axis=-1).astype(np.int32)


define("argmax", "reduction", _rule, _reference, (None,))
