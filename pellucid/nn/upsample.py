"""Upsample: signals, images and volumes made larger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pellucid.core.functions import concatenate, stack
from pellucid.core.tensor import Tensor, broadcast_to, reshape

from .geometry import LENGTHS, axes_of_space, per_axis
from .linear import positive_integer
from .module import Module
from .pool import floating

MODES = ("nearest", "bilinear")


class Upsample(Module):
    """Signals, images or volumes made larger by a whole number along each axis.

    "nearest" repeats every element. "bilinear" goes in straight lines from the middle of an
    element to the middle of the next, along each axis, and stays level before the first and
    after the last (PyTorch's and TensorFlow's half-pixel centers).

    Args:
        scale: how many times as long each axis becomes; one number, or one per axis.
        mode: "nearest" or "bilinear".

    Raises:
        ValueError: a number is not at least 1, or the mode is unknown; called with what has
            no axis of space, or another number of them.

    Example:
        >>> from pellucid import nn
        >>> nn.Upsample(2)([[[1.0], [3.0]]]).numpy()[0, :, 0]
        array([1., 1., 3., 3.], dtype=float32)
        >>> nn.Upsample(2, "bilinear")([[[1.0], [3.0]]]).numpy()[0, :, 0]
        array([1. , 1.5, 2.5, 3. ], dtype=float32)
    """

    def __init__(self, scale: int | Sequence[int] = 2, mode: str = "nearest") -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, received {mode!r}")
        if isinstance(scale, tuple | list):
            if len(scale) not in LENGTHS:
                raise ValueError(f"scale must be 1 to 3 numbers, received {scale!r}")
            scale = tuple(positive_integer("scale", s) for s in scale)
        else:
            scale = positive_integer("scale", scale)
        self.scale = scale
        self.mode = mode

    def forward(self, x: Any) -> Tensor:
        x = floating(x)
        scales = per_axis("scale", self.scale, axes_of_space(x))
        for axis, scale in enumerate(scales, 1):
            if scale > 1:
                x = (_repeated if self.mode == "nearest" else _interpolated)(x, axis, scale)
        return x


def _repeated(x: Tensor, axis: int, scale: int) -> Tensor:
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    many = broadcast_to(reshape(x, (*before, 1, *after)), (*before, scale, *after))
    return reshape(many, (*before[:-1], before[-1] * scale, *after))


def _interpolated(x: Tensor, axis: int, scale: int) -> Tensor:
    """Element i of the result stands at (i + 1/2) / scale - 1/2 among those of x."""
    n, front = x.shape[axis], (slice(None),) * axis
    longer = concatenate([x[*front, :1], x, x[*front, -1:]], axis)
    parts = []
    for phase in range(scale):
        place = (phase + 0.5) / scale - 0.5
        left = math.floor(place)
        share = place - left
        first, second = (longer[*front, left + i : left + i + n] for i in (1, 2))
        parts.append(first * (1 - share) + second * share if share else first)
    found = stack(parts, axis + 1)
    return reshape(found, (*x.shape[:axis], n * scale, *x.shape[axis + 1 :]))
