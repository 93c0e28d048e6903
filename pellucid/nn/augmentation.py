"""Random changes to signals and images while training: flip, shift, crop, cut out.

Each example draws for itself, inside the compiled step, from numbers that depend on seed,
step and place alone: the same on any number of threads. What is moved is chosen among all
possible moves element by element, in one pass over rows that hold whole lines of pixels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pellucid.core.functions import arange
from pellucid.core.movement import pad
from pellucid.core.random import uniform
from pellucid.core.tensor import Tensor, apply, cast, reshape, tensor, where

from .geometry import KINDS, LENGTHS, PerAxis, by, check_layout, per_axis, perhaps_first
from .linear import positive_integer
from .mode import is_training
from .module import Module


class RandomFlip(Module):
    """Turns each example about with probability p in training; nothing in use.

    Args:
        p: probability, in [0, 1].
        axis: along which it is turned, counted in the batch: -2, the default, is the width
            of images (left and right) and the time of signals; -3 is the height of images.

    Raises:
        ValueError: p is outside [0, 1], or the axis is the batch's.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> with nn.training_mode():
        ...     nn.RandomFlip(p=1)(pe.tensor([[[1.0], [2.0], [3.0]]])).numpy()[0, :, 0]
        array([3., 2., 1.], dtype=float32)
    """

    def __init__(self, p: float = 0.5, axis: int = -2) -> None:
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
            raise ValueError(f"p must be a probability from 0 to 1, received {p!r}")
        if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
            raise ValueError(f"axis must be a whole number, and not the batch's, received {axis!r}")
        self.p = float(p)
        self.axis = axis

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        if not -x.ndim < self.axis < x.ndim:
            raise ValueError(f"shape {x.shape} has no axis {self.axis} besides the batch's")
        if not is_training():
            return x
        coin = _each(uniform((x.shape[0],)) < self.p, x.ndim)
        return where(coin, apply("flip", x, axes=(self.axis % x.ndim,)), x)


class _Moving(Module):
    """What is moved has axes of space; numbers for each of them, or one for all."""

    name: str
    numbers: Any

    def _keep(self, name: str, numbers: Any) -> None:
        self.name = name
        given = numbers if isinstance(numbers, tuple | list) else (numbers,)
        if len(given) not in LENGTHS:
            raise ValueError(f"{name} must be 1 to 3 whole numbers, received {numbers!r}")
        for n in given:
            positive_integer(name, n)
        self.numbers = numbers

    def _checked(self, x: Any) -> tuple[Tensor, tuple[int, ...]]:
        x = tensor(x)
        many = isinstance(self.numbers, tuple | list)
        axes = len(self.numbers) if many else min(max(x.ndim - 2, 1), max(KINDS))
        check_layout(x, axes)
        return x, per_axis(self.name, self.numbers, axes)


class RandomShift(_Moving):
    """Moves each example by some whole pixels in training, zeros following; nothing in use.

    y[i, j] = x[i - a, j - b], a and b drawn evenly from -most ... most for each example.

    Args:
        most: the longest way along each axis of space; one number, or one per axis.

    Raises:
        ValueError: a number is not at least 1; called with what has no axis of space.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> pe.random.set_seed(1)
        >>> with nn.training_mode():
        ...     nn.RandomShift(2)(pe.tensor([[[1.0], [2.0], [3.0]]])).numpy()[0, :, 0]
        array([3., 0., 0.], dtype=float32)
    """

    def __init__(self, most: PerAxis) -> None:
        self._keep("most", most)

    def forward(self, x: Any) -> Tensor:
        x, most = self._checked(x)
        if not is_training():
            return x
        for axis, (n, m) in enumerate(zip(x.shape[1:-1], most, strict=True), 1):
            edge = tuple(m if a == axis else 0 for a in range(x.ndim))
            x = _taken(pad(x, edge, edge), axis, n)
        return x


class RandomCrop(_Moving):
    """Cuts a part of the given size out of each example: at random in training, else the middle.

    Args:
        size: lengths of the part along each axis of space; one number, or one per axis.
        padding: zeros put around in training before a part is cut out: `RandomCrop(32, 4)`
            moves images of 32 x 32 by up to 4 pixels.

    Raises:
        ValueError: a number is outside its range; called with what is smaller than the part,
            or has no axis of space.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.RandomCrop(3)(np.arange(5.0).reshape(1, 5, 1)).numpy()[0, :, 0]
        array([1., 2., 3.])

    Source: Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional
    neural networks (2012).
    """

    def __init__(self, size: PerAxis, padding: int = 0) -> None:
        self._keep("size", size)
        if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
            raise ValueError(f"padding must be a whole number of at least 0, received {padding!r}")
        self.padding = padding

    def forward(self, x: Any) -> Tensor:
        x, size = self._checked(x)
        space = x.shape[1:-1]
        if any(n < m for n, m in zip(space, size, strict=True)):
            raise ValueError(
                f"cannot cut a part of {by(size)} out of {KINDS[len(size)]} of {by(space)}"
                f"{perhaps_first(space)}"
            )
        if not is_training():
            middle = [(n - m) // 2 for n, m in zip(space, size, strict=True)]
            return x[:, *(slice(a, a + m) for a, m in zip(middle, size, strict=True))]
        edge = (0, *(self.padding for _ in space), 0)
        x = pad(x, edge, edge) if self.padding else x
        for axis, m in enumerate(size, 1):
            x = _taken(x, axis, m)
        return x


class Cutout(_Moving):
    """Sets a square of each example to zero in training; nothing in use.

    Its middle is drawn evenly from all places, so that at an edge less is cut out.

    Args:
        size: of the square along each axis of space; one number, or one per axis.

    Raises:
        ValueError: a number is not at least 1; called with what has no axis of space.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> pe.random.set_seed(0)
        >>> with nn.training_mode():
        ...     nn.Cutout(3)(pe.ones((1, 9, 1))).numpy()[0, :, 0].sum()
        np.float32(6.0)

    Source: DeVries, Taylor: Improved regularization of convolutional neural networks with
    cutout (2017).
    """

    def __init__(self, size: PerAxis) -> None:
        self._keep("size", size)

    def forward(self, x: Any) -> Tensor:
        x, size = self._checked(x)
        if not is_training():
            return x
        space, channels = x.shape[1:-1], x.shape[-1]
        lines = reshape(x, (*x.shape[:-2], space[-1] * channels))
        inside = tensor(True)
        for axis, (n, m) in enumerate(zip(space, size, strict=True), 1):
            unit = channels if axis == len(space) else 1  # the last axis holds whole pixels
            start = _each((_below(n, x.shape[0]) - m // 2) * unit, lines.ndim)
            place = reshape(arange(n * unit), (-1, *(1,) * (lines.ndim - 1 - axis)))
            inside = inside & (place >= start) & (place < start + m * unit)
        return reshape(where(inside, tensor(0, x.dtype), lines), x.shape)


def _each(values: Tensor, ndim: int) -> Tensor:
    """One value for each example (batch,), to go with a tensor of so many axes."""
    return reshape(values, (values.shape[0], *(1,) * (ndim - 1)))


def _below(choices: int, count: int) -> Tensor:
    """So many whole numbers, drawn evenly from 0 ... choices - 1."""
    return cast(uniform((count,)) * float(choices), np.int32)


def _taken(x: Tensor, axis: int, length: int) -> Tensor:
    """A part of each example along an axis that begins at a place drawn for it."""
    before, n, after = x.shape[1:axis], x.shape[axis], x.shape[axis + 1 :]
    unit = math.prod(after)
    start = _each(_below(n - length + 1, x.shape[0]), 3)
    lines = reshape(x, (x.shape[0], math.prod(before), n * unit))
    found = lines[:, :, : length * unit]
    for place in range(1, n - length + 1):
        part = lines[:, :, place * unit : (place + length) * unit]
        found = where(start == place, part, found)
    return reshape(found, (x.shape[0], *before, length, *after))
