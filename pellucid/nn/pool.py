"""Pooling: the greatest element, the mean or the sum of each window, as functions and layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pellucid.core import pooling
from pellucid.core.functions import concatenate
from pellucid.core.movement import pad
from pellucid.core.tensor import Tensor, broadcast_to, cast, tensor

from .geometry import PaddingLike, PerAxis, Window, axes_of_space, check_layout
from .module import Module


def max_pool(
    x: Any,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PaddingLike = "valid",
    ceil: bool = False,
) -> Tensor:
    """The greatest element of each window, for each channel.

    y[b, o, c] = max over u of x[b, o stride + u, c]: it hardly changes when what is in the
    window moves a little.

    Args:
        x: signals, images or volumes (batch, *space, channels).
        kernel_size: of the window; one number, or one for each axis of space.
        stride: from one window to the next; by default its size, so that windows stand
            side by side.
        padding: "valid": none; elements at the end that no whole window reaches are left
            out. "same": as many windows as the length divided by the stride, rounded up.
            Numbers or pairs (before, after), less than the window. What is put around is
            minus infinity, which no maximum takes.
        ceil: whether a last window may stick out where elements would be left out.

    Returns:
        Tensor (batch, *places, channels). The gradient goes to the first greatest element.

    Raises:
        ValueError: the window does not fit, or an argument is outside its range.

    Example:
        >>> import pellucid as pe
        >>> x = pe.reshape(pe.tensor([3.0, 1.0, 2.0, 5.0, 4.0]), (1, 5, 1))
        >>> pe.max_pool(x, 2)[0, :, 0], pe.max_pool(x, 2, ceil=True)[0, :, 0]
        (Tensor([3., 5.], dtype=float32), Tensor([3., 5., 4.], dtype=float32))
    """
    x = floating(x)
    return take_max(x, window_of(axes_of_space(x), kernel_size, stride, padding, ceil))


def sum_pool(
    x: Any,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PaddingLike = "valid",
    ceil: bool = False,
) -> Tensor:
    """The sum over each window, for each channel; zeros stand in the padding.

    y[b, o, c] = sum over u of x[b, o stride + u, c].

    Args:
        x: signals, images or volumes (batch, *space, channels).
        kernel_size: of the window; one number, or one for each axis of space.
        stride: from one window to the next; by default its size.
        padding: as for `max_pool`.
        ceil: as for `max_pool`.

    Returns:
        Tensor (batch, *places, channels).

    Raises:
        ValueError: as for `max_pool`.

    Example:
        >>> import pellucid as pe
        >>> pe.sum_pool(pe.ones((1, 4, 4, 1)), 2)[0, :, :, 0]
        Tensor([[4., 4.],
                [4., 4.]], dtype=float32)
    """
    x = floating(x)
    return take_sum(x, window_of(axes_of_space(x), kernel_size, stride, padding, ceil))


def avg_pool(
    x: Any,
    kernel_size: PerAxis,
    stride: PerAxis | None = None,
    padding: PaddingLike = "valid",
    ceil: bool = False,
    count_include_pad: bool = False,
) -> Tensor:
    """The mean over each window, for each channel.

    y[b, o, c] = sum over u of x[b, o stride + u, c] / n(o), n(o) being the number of elements
    that the window sees; so the mean of a constant is that constant, at the edges too.

    Args:
        x: signals, images or volumes (batch, *space, channels).
        kernel_size: of the window; one number, or one for each axis of space.
        stride: from one window to the next; by default its size.
        padding: as for `max_pool`.
        ceil: as for `max_pool`.
        count_include_pad: whether zeros put around are counted as elements, which is
            PyTorch's default; not so in TensorFlow, and not here.

    Returns:
        Tensor (batch, *places, channels).

    Raises:
        ValueError: as for `max_pool`.

    Example:
        >>> import pellucid as pe
        >>> x = pe.reshape(pe.tensor([2.0, 4.0, 6.0]), (1, 3, 1))
        >>> pe.avg_pool(x, 3, stride=1, padding=1)[0, :, 0]
        Tensor([3., 4., 5.], dtype=float32)
    """
    x = floating(x)
    window = window_of(axes_of_space(x), kernel_size, stride, padding, ceil)
    return take_mean(x, window, count_include_pad)


def floating(x: Any) -> Tensor:
    """The value as a floating tensor."""
    x = tensor(x)
    return x if x.dtype.kind == "f" else cast(x, np.float32)


def window_of(axes: int, size: Any, stride: Any, padding: Any, ceil: bool) -> Window:
    """The window that a pooling layer's arguments describe.

    Raises:
        ValueError: an argument is outside its range.
    """
    window = Window.of(axes, size, size if stride is None else stride, padding, ceil=ceil)
    if window.padding == "causal":
        raise ValueError("padding must be 'valid', 'same', a number or pairs, received 'causal'")
    if not isinstance(window.padding, str) and any(
        max(pair) >= n for pair, n in zip(window.padding, window.size, strict=True)
    ):
        raise ValueError(
            f"padding must be less than the window, or some windows would see nothing else: "
            f"received {padding} for windows of {window.size}"
        )
    return window


def take_max(x: Tensor, window: Window) -> Tensor:
    """The greatest element of each window; minus infinity stands around the value."""
    for axis, sides in enumerate(window.sides(x.shape[1:-1]), 1):
        before, after = (
            broadcast_to(tensor(-math.inf, x.dtype), (*x.shape[:axis], n, *x.shape[axis + 1 :]))
            for n in sides
        )
        if any(sides):
            x = concatenate([part for part in (before, x, after) if part.shape[axis]], axis)
    return pooling.max_pool(x, window.size, window.stride)


def take_sum(x: Tensor, window: Window) -> Tensor:
    """The sum over each window; zeros stand around the value."""
    sides = window.sides(x.shape[1:-1])
    if any(n for pair in sides for n in pair):
        before, after = zip(*sides, strict=True)
        x = pad(x, (0, *before, 0), (0, *after, 0))
    return pooling.sum_pool(x, window.size, window.stride)


def take_mean(x: Tensor, window: Window, count_include_pad: bool) -> Tensor:
    """The sum over each window, divided by how many elements it sees."""
    space, counts = x.shape[1:-1], np.ones(())
    each = zip(
        space, window.sides(space), window.around(space), window.size, window.stride, strict=True
    )
    for n, (low, high), (_, padding), size, stride in each:
        start = np.arange((n + low + high - size) // stride + 1) * stride - low
        first, last = (-low, n + padding) if count_include_pad else (0, n)
        seen = np.minimum(start + size, last) - np.maximum(start, first)
        counts = counts[..., None] * seen
    total = take_sum(x, window)
    if (counts == counts.flat[0]).all():
        return total / float(counts.flat[0])
    return total / tensor(counts[None, ..., None].astype(x.dtype))


class Pool(Module):
    """What pooling layers share: a window, and the number of axes it slides over."""

    axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PaddingLike = "valid",
        ceil: bool = False,
    ) -> None:
        self.window = window_of(self.axes, kernel_size, stride, padding, ceil)

    def checked(self, x: Any) -> Tensor:
        """The input as a floating tensor, if its layout is right."""
        x = floating(x)
        check_layout(x, self.axes)
        return x
