"""Pooling over all of space: the greatest element, the mean, the sum; or to a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.core.tensor import (
    Tensor,
    broadcast_to,
    matmul,
    max,
    mean,
    reshape,
    sum,
    tensor,
)

from .geometry import LENGTHS, axes_of_space, per_axis
from .linear import positive_integer
from .module import Module
from .pool import avg_pool, floating


def _space(x: Any) -> tuple[Tensor, tuple[int, ...]]:
    x = floating(x)
    return x, tuple(range(1, axes_of_space(x) + 1))


class GlobalMaxPool(Module):
    """The greatest element of each channel: whether a feature is anywhere at all.

    y[b, c] = max over all places o of x[b, o, c]; x (batch, *space, channels) with one to
    three axes of space, y (batch, channels).

    Raises:
        ValueError: called with what has no axis of space.

    Example:
        >>> from pellucid import nn
        >>> nn.GlobalMaxPool()([[[1.0, 5.0], [3.0, 2.0]]])
        Tensor([[3., 5.]], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return max(*_space(x))


class GlobalAvgPool(Module):
    """The mean of each channel over all places.

    y[b, c] = mean over all places o of x[b, o, c]; x (batch, *space, channels) with one to
    three axes of space, y (batch, channels).

    Raises:
        ValueError: called with what has no axis of space.

    Example:
        >>> from pellucid import nn
        >>> nn.GlobalAvgPool()([[[1.0, 5.0], [3.0, 2.0]]])
        Tensor([[2. , 3.5]], dtype=float32)

    Source: Lin, Chen, Yan: Network in network (2014).
    """

    def forward(self, x: Any) -> Tensor:
        return mean(*_space(x))


class GlobalSumPool(Module):
    """The sum of each channel over all places: how much of a feature there is.

    y[b, c] = sum over all places o of x[b, o, c]; x (batch, *space, channels) with one to
    three axes of space, y (batch, channels).

    Raises:
        ValueError: called with what has no axis of space.

    Example:
        >>> from pellucid import nn
        >>> nn.GlobalSumPool()([[[1.0, 5.0], [3.0, 2.0]]])
        Tensor([[4., 7.]], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return sum(*_space(x))


class AdaptiveAvgPool(Module):
    """The mean over so many windows along each axis, whatever the lengths.

    Window i of m reaches from floor(i n / m) to ceil((i + 1) n / m), n being the length of
    the axis: equal windows side by side where m divides n, else they overlap a little.

    Args:
        output_size: m, windows along each axis of space; one number, or one per axis.

    Raises:
        ValueError: a number is not at least 1; called with what has no axis of space, or
            another number of them.

    Example:
        >>> from pellucid import nn
        >>> nn.AdaptiveAvgPool(2)([[[1.0], [2.0], [6.0]]])
        Tensor([[[1.5],
                 [4. ]]], dtype=float32)

    Source: He, Zhang, Ren, Sun: Spatial pyramid pooling (2014); the windows are PyTorch's.
    """

    def __init__(self, output_size: int | Sequence[int]) -> None:
        if isinstance(output_size, tuple | list):
            if len(output_size) not in LENGTHS:
                raise ValueError(f"output_size must be 1 to 3 numbers, received {output_size!r}")
            output_size = tuple(positive_integer("output_size", m) for m in output_size)
        else:
            output_size = positive_integer("output_size", output_size)
        self.output_size = output_size

    def forward(self, x: Any) -> Tensor:
        x = floating(x)
        axes = axes_of_space(x)
        sizes = per_axis("output_size", self.output_size, axes)
        space = x.shape[1:-1]
        if all(n % m == 0 for n, m in zip(space, sizes, strict=True)):
            return avg_pool(x, [n // m for n, m in zip(space, sizes, strict=True)])
        for axis, m in enumerate(sizes, 1):
            x = _mixed(x, axis, _shares(x.shape[axis], m))
        return x


def _shares(n: int, m: int) -> np.ndarray:
    """How much each of n elements counts in each of m means (m, n)."""
    at, window = np.arange(n), np.arange(m)[:, None]
    inside = (at >= window * n // m) & (at < -(-(window + 1) * n // m))
    shares: np.ndarray = inside / inside.sum(1, keepdims=True)
    return shares


def _mixed(x: Tensor, axis: int, shares: np.ndarray) -> Tensor:
    """Elements along an axis added up in parts: y[.., i, ..] = sum of shares[i, j] x[.., j, ..]."""
    before, (n, *after) = x.shape[:axis], x.shape[axis:]
    blocks = reshape(x, (int(np.prod(before)), n, int(np.prod(after))))
    weights = broadcast_to(tensor(shares, x.dtype), (blocks.shape[0], *shares.shape))
    return reshape(matmul(weights, blocks), (*before, len(shares), *after))
