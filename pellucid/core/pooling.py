"""Pooling: the greatest element of each window, or the sum of all.

One row of the table, `max_pool`, whose derivative goes to the first greatest element of
each window; sums are convolutions with ones. Padding is done by the caller.
"""

from __future__ import annotations

import numpy as np

from .argmax import numbers
from .convolution import Geometry, convolution
from .movement import Rule, expand, pad
from .node import Node, Shape, define
from .tensor import Tensor, apply, broadcast_to, max, reshape, sum, tensor, where
from .windows import windows_of


def _splits(x: Tensor, size: Shape, stride: Shape) -> bool:
    """Windows that stand side by side and leave nothing over."""
    even = all(n % k == 0 for n, k in zip(x.shape[1:-1], size, strict=True))
    return size == stride and even


def _split(x: Tensor, size: Shape) -> tuple[Tensor, tuple[int, ...]]:
    """Windows that stand side by side: (batch, places and size in turn, channels), size's axes."""
    pairs = [v for n, k in zip(x.shape[1:-1], size, strict=True) for v in (n // k, k)]
    axes = tuple(range(2, 2 * len(size) + 1, 2))
    return reshape(x, (x.shape[0], *pairs, x.shape[-1])), axes


def _standing(x: Tensor, size: Shape, stride: Shape) -> tuple[Tensor, tuple[int, ...]]:
    """The windows of a value, and the axes along which their elements lie."""
    if _splits(x, size, stride):
        return _split(x, size)
    n = len(size)
    return windows_of(x, size, stride), tuple(range(n + 1, 2 * n + 1))


def lowered(x: Tensor, size: Shape, stride: Shape) -> Tensor:
    """The greatest elements, by a reduction."""
    seen, axes = _standing(x, size, stride)
    return max(seen, axes)


def _rule(x: Node, size: Shape, stride: Shape) -> Rule:
    space = x.shape[1:-1]
    if len(space) != len(size) or any(n < k for n, k in zip(space, size, strict=True)):
        raise ValueError(
            f"windows of size {size} do not fit into {space} (shape {x.shape}); use smaller "
            "windows, or pad"
        )
    places = [(n - k) // s + 1 for n, k, s in zip(space, size, stride, strict=True)]
    return (x.shape[0], *places, x.shape[-1]), x.dtype


def _reference(x: np.ndarray, size: Shape, stride: Shape) -> np.ndarray:
    n = len(size)
    seen = np.lib.stride_tricks.sliding_window_view(x, size, tuple(range(1, n + 1)))
    seen = seen[:, *(slice(None, None, s) for s in stride)]  # (B, *O, C, *K)
    return np.max(seen, tuple(range(n + 2, 2 * n + 2)))


def _vjp(g: Tensor, ans: Tensor, x: Tensor, size: Shape, stride: Shape) -> Tensor:
    """Each window's share goes to its first greatest element."""
    seen, axes = _standing(x, size, stride)
    winner = apply("argmax", seen, axes=axes)  # (B, *O, C)
    if _splits(x, size, stride):
        here = numbers(seen.shape, axes) == expand(winner, seen.shape, axes)
        return reshape(where(here, expand(g, seen.shape, axes), 0.0), x.shape)
    around = tuple(k - 1 for k in size)
    after = tuple(
        m - (o - 1) * s - 1 for m, o, s in zip(x.shape[1:-1], g.shape[1:-1], stride, strict=True)
    )
    edges = (0, *around, 0), (0, *after, 0), (0, *(s - 1 for s in stride), 0)
    one = (1,) * len(size)
    # counted from 1, as around the windows stand zeros
    back, winners = (windows_of(pad(v, *edges), size, one) for v in (g, winner + 1))
    within = tuple(range(len(size) + 1, 2 * len(size) + 1))
    here = winners == numbers(back.shape, within, backwards=True) + 1
    return sum(where(here, back, 0.0), within)


define("max_pool", "composite", _rule, _reference, (_vjp,))


def max_pool(x: Tensor, size: Shape, stride: Shape) -> Tensor:
    """The greatest element of each window, for each channel.

    Args:
        x: (batch, *space, channels).
        size: of a window.
        stride: from one window to the next.

    Returns:
        Tensor of shape (batch, *places, channels).
    """
    return apply("max_pool", x, size=size, stride=stride)


def sum_pool(x: Tensor, size: Shape, stride: Shape) -> Tensor:
    """The sum over each window, for each channel.

    Args:
        x: (batch, *space, channels).
        size: of a window.
        stride: from one window to the next.

    Returns:
        Tensor of shape (batch, *places, channels).
    """
    if _splits(x, size, stride):
        seen, axes = _split(x, size)
        return sum(seen, axes)
    none, one, channels = (0,) * len(size), (1,) * len(size), x.shape[-1]
    kernel = broadcast_to(tensor(np.ones((1,) * (len(size) + 2), x.dtype)), (*size, 1, channels))
    return convolution(x, kernel, Geometry(stride, none, none, none, one, channels))
