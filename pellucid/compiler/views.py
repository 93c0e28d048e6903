"""Buffers and views: where each value of a program lies in memory.

A view addresses a buffer with an offset and a stride per axis, counted in
elements. Reshaping, transposing, broadcasting, slicing and flipping make views
of views; only a reshape that padding or strides prevent needs a copy.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pellucid.core.node import Node, Shape
from pellucid.core.storage import strides_of

ROLES = ("input", "output", "cell", "temporary", "literal", "desks")


@dataclass(eq=False)
class Buffer:
    """A piece of memory.

    Attributes:
        role: where it comes from: one of `ROLES`; a literal has no memory at all, and desks
            are a place that holds the address of the workers' own memory.
        shape, dtype, strides: how it is laid out.
        number: which input, output or cell it is.
        owner: the node whose value a temporary holds.
        stepped: it moves on by `step_size` elements after each step.
        frame: where the owner's value begins within zeros, and its lengths along the buffer's
            axes; it is all of the buffer otherwise.
    """

    role: str
    shape: Shape
    dtype: np.dtype
    strides: tuple[int, ...]
    number: int = 0
    owner: Node | None = None
    stepped: bool = False
    literal: object = None
    frame: tuple[int, Shape] | None = None

    @property
    def has_slack(self) -> bool:
        """A vector may be read, and written, past the last element."""
        return self.role in ("cell", "temporary")

    @property
    def step_size(self) -> int:
        """Elements from one step's entry to the next."""
        return math.prod(self.shape)

    def whole(self) -> View:
        """The view of all of it."""
        return View(self, 0, self.shape, self.strides)

    def home(self) -> View:
        """The view of the owner's value."""
        if self.frame is None:
            return self.whole()
        return View(self, *self.frame, self.strides)


def packed_strides(shape: Shape) -> tuple[int, ...]:
    """Strides without padding, as callers' arrays have them."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def temporary(shape: Shape, dtype: np.dtype, owner: Node | None = None) -> Buffer:
    """A buffer in the program's own memory, in the standard layout."""
    return Buffer("temporary", shape, dtype, strides_of(shape, dtype), owner=owner)


@dataclass(frozen=True)
class View:
    """A buffer seen through an offset and strides."""

    buffer: Buffer
    offset: int
    shape: Shape
    strides: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        """The buffer's dtype."""
        return self.buffer.dtype

    def squeezed(self) -> View:
        """Without axes of length 1."""
        return self._squeezed

    @functools.cached_property
    def _squeezed(self) -> View:
        if 1 not in self.shape:
            return self
        kept = [a for a, n in enumerate(self.shape) if n != 1]
        return View(
            self.buffer,
            self.offset,
            tuple(self.shape[a] for a in kept),
            tuple(self.strides[a] for a in kept),
        )

    def is_whole(self) -> bool:
        """It covers its buffer, element by element, in the same order."""
        return self._is(self.buffer.whole())

    def is_home(self) -> bool:
        """It covers the owner's value likewise."""
        return self._is_home

    @functools.cached_property
    def _is_home(self) -> bool:
        return self._is(self.buffer.home())

    def _is(self, other: View) -> bool:
        if self.offset != other.offset:
            return False
        if (self.shape, self.strides) == (other.shape, other.strides):
            return True
        a, b = self.squeezed(), other.squeezed()
        if math.prod(a.shape) != math.prod(b.shape):
            return False
        if len(a.shape) < len(b.shape):
            a, b = b, a
        return split(b.shape, b.strides, a.shape) == a.strides

    def through(self, node: Node) -> View | None:
        """This view further seen through a view primitive; None if that needs a copy."""
        rule = VIEW_RULES[node.name]
        return rule(self, **dict(node.attrs))


@functools.lru_cache(1 << 14)
def squeeze(shape: Shape) -> Shape:
    """A shape without axes of length 1: the domain of a loop."""
    return tuple(n for n in shape if n != 1)


@functools.lru_cache(1 << 14)
def split(shape: Shape, strides: tuple[int, ...], finer: Shape) -> tuple[int, ...] | None:
    """Strides along the axes of a finer shape, whose products of neighbours are the axes given.

    Args:
        shape, strides: without axes of length 1.
        finer: likewise.

    Returns:
        A stride per axis of `finer`; None where it does not divide the shape so.
    """
    if shape == finer:
        return strides
    found: list[int] = []
    axes = iter(finer)
    for length, stride in zip(shape, strides, strict=True):
        run: list[int] = []
        total = 1
        while total < length:
            run.append(next(axes, 0))
            total *= run[-1]
            if not run[-1]:
                return None
        if total != length:
            return None
        inner = stride
        own = []
        for n in reversed(run):
            own.append(inner)
            inner *= n
        found += reversed(own)
    return tuple(found) if next(axes, None) is None else None


@functools.lru_cache(1 << 14)
def refines(finer: Shape, shape: Shape) -> bool:
    """Loops of the finer shape pass through a value of this shape, element by element."""
    return finer == shape or split(shape, (0,) * len(shape), finer) is not None


def _transpose(v: View, axes: tuple[int, ...]) -> View:
    return View(
        v.buffer, v.offset, tuple(v.shape[a] for a in axes), tuple(v.strides[a] for a in axes)
    )


def _broadcast(v: View, shape: Shape) -> View:
    strides = tuple(
        0 if n == 1 and m != 1 else s for n, m, s in zip(v.shape, shape, v.strides, strict=True)
    )
    return View(v.buffer, v.offset, shape, strides)


def _slice(v: View, start: Shape, stop: Shape, step: Shape) -> View:
    shape = tuple(max(0, -(-(b - a) // s)) for a, b, s in zip(start, stop, step, strict=True))
    offset = v.offset + sum(a * s for a, s in zip(start, v.strides, strict=True))
    return View(v.buffer, offset, shape, tuple(s * k for s, k in zip(v.strides, step, strict=True)))


def _flip(v: View, axes: tuple[int, ...]) -> View:
    offset = v.offset + sum((v.shape[a] - 1) * v.strides[a] for a in axes if v.shape[a])
    strides = tuple(-s if a in axes else s for a, s in enumerate(v.strides))
    return View(v.buffer, offset, v.shape, strides)


def reshaped(v: View, shape: Shape) -> View | None:
    """Match runs of old axes with runs of new ones; each old run must be evenly spaced."""
    if shape == v.shape:
        return v
    if 0 in shape:
        return View(v.buffer, v.offset, shape, (0,) * len(shape))
    old = v.squeezed()
    strides: list[int] = []
    i = 0
    wanted = list(shape)
    j = 0
    while j < len(wanted):
        if wanted[j] == 1:
            strides.append(0)
            j += 1
            continue
        first, old_size, new_size = j, old.shape[i], wanted[j]
        start = i
        while old_size != new_size:
            if new_size < old_size:
                j += 1
                new_size *= wanted[j]
            else:
                i += 1
                old_size *= old.shape[i]
        for a in range(start, i):  # axes to merge must be evenly spaced
            if old.strides[a] != old.strides[a + 1] * old.shape[a + 1]:
                return None
        run = [old.strides[i]]
        for n in wanted[j:first:-1]:
            run.append(run[-1] * n)
        strides += run[::-1]
        i += 1
        j += 1
    return View(v.buffer, v.offset, shape, tuple(strides))


def _diagonal(v: View, first: int, second: int) -> View:
    strides = list(v.strides)
    strides[first] += strides.pop(second)
    return View(v.buffer, v.offset, v.shape[:second] + v.shape[second + 1 :], tuple(strides))


def _windows(v: View, size: Shape, stride: Shape, dilation: Shape) -> View:
    space = zip(v.shape[1:-1], size, stride, dilation, strict=True)
    places = tuple((n - (k - 1) * d - 1) // s + 1 for n, k, s, d in space)
    inner = v.strides[1:-1]
    between = tuple(a * s for a, s in zip(inner, stride, strict=True))
    within = tuple(a * d for a, d in zip(inner, dilation, strict=True))
    shape = (v.shape[0], *places, *size, v.shape[-1])
    strides = (v.strides[0], *between, *within, v.strides[-1])
    return View(v.buffer, v.offset, shape, strides)


VIEW_RULES: dict[str, Callable[..., View | None]] = {
    "reshape": reshaped,
    "transpose": _transpose,
    "broadcast_to": _broadcast,
    "slice": _slice,
    "flip": _flip,
    "diagonal": _diagonal,
    "windows": _windows,
}
