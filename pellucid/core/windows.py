"""Windows that slide over signals, images and volumes, and what is computed on them.

Three rows of the table: `windows` (a view), `tensordot` (the general contraction) and
`convolution`, which is a `tensordot` over `windows`, with derivatives that are
convolutions and contractions again. Pooling is composed of them.

Layouts have the channels last: values (batch, *space, channels), kernels
(*size, channels of a group, features).
"""

from __future__ import annotations

import math

import numpy as np

from .movement import Rule, pad
from .node import Node, Shape, define
from .tensor import Tensor, apply, reshape, transpose

# -- windows ----------------------------------------------------------------


def reach(size: Shape, dilation: Shape) -> Shape:
    """From the first to the last element of a window, along each axis."""
    return tuple((k - 1) * d for k, d in zip(size, dilation, strict=True))


def _places(space: Shape, size: Shape, stride: Shape, dilation: Shape) -> Shape:
    spans = reach(size, dilation)
    return tuple((n - r - 1) // s + 1 for n, r, s in zip(space, spans, stride, strict=True))


def _windows_rule(x: Node, size: Shape, stride: Shape, dilation: Shape) -> Rule:
    space = x.shape[1:-1]
    spans = reach(size, dilation)
    if len(space) != len(size):
        raise ValueError(
            f"windows of size {size} slide over {len(size)} axes; expected a value of shape "
            f"(batch, {len(size)} axes, channels), received shape {x.shape}"
        )
    if any(n <= r for n, r in zip(space, spans, strict=True)):
        raise ValueError(
            f"windows that reach over {tuple(r + 1 for r in spans)} elements do not fit into "
            f"{space}; use smaller windows, or pad"
        )
    places = _places(space, size, stride, dilation)
    return (x.shape[0], *places, *size, x.shape[-1]), x.dtype


def windows_reference(x: np.ndarray, size: Shape, stride: Shape, dilation: Shape) -> np.ndarray:
    """The windows of an array, seen in place."""
    places = _places(x.shape[1:-1], size, stride, dilation)
    inner = x.strides[1:-1]
    between = [t * s for t, s in zip(inner, stride, strict=True)]
    within = [t * d for t, d in zip(inner, dilation, strict=True)]
    shape = (x.shape[0], *places, *size, x.shape[-1])
    strides = (x.strides[0], *between, *within, x.strides[-1])
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def _windows_vjp(
    g: Tensor, ans: Tensor, x: Tensor, size: Shape, stride: Shape, dilation: Shape
) -> Tensor:
    """Each element adds up what came to it in all the windows that hold it."""
    n = len(size)
    places = g.shape[1 : n + 1]
    total: Tensor | None = None
    for at in np.ndindex(*size):
        start = (0,) * (n + 1) + at + (0,)
        stop = g.shape[: n + 1] + tuple(i + 1 for i in at) + g.shape[-1:]
        part = apply("slice", g, start=start, stop=stop, step=(1,) * g.ndim)
        part = reshape(part, (g.shape[0], *places, g.shape[-1]))
        before = tuple(i * d for i, d in zip(at, dilation, strict=True))
        spread = [(p - 1) * s + 1 for p, s in zip(places, stride, strict=True)]
        after = [m - b - w for m, b, w in zip(x.shape[1:-1], before, spread, strict=True)]
        between = (0, *(s - 1 for s in stride), 0)
        part = pad(part, (0, *before, 0), (0, *after, 0), between)
        total = part if total is None else total + part
    assert total is not None
    return total


define("windows", "view", _windows_rule, windows_reference, (_windows_vjp,))


def windows_of(x: Tensor, size: Shape, stride: Shape, dilation: Shape | None = None) -> Tensor:
    """A window at every place where it may stand.

    Args:
        x: (batch, *space, channels).
        size: of a window along each axis of space.
        stride: from one window to the next.
        dilation: from one element of a window to the next; 1 by default.

    Returns:
        Tensor of shape (batch, *places, *size, channels).
    """
    return apply("windows", x, size=size, stride=stride, dilation=dilation or (1,) * len(size))


# -- the general contraction ------------------------------------------------


def _tensordot_rule(x: Node, y: Node, batch: int, depth: int) -> Rule:
    inner, own = x.shape[len(x.shape) - depth :], y.shape[batch : batch + depth]
    if x.shape[:batch] != y.shape[:batch] or inner != own or x.dtype != y.dtype:
        raise ValueError(
            f"tensordot cannot contract {x} and {y} along {depth} axes after {batch} shared ones"
        )
    return x.shape[: len(x.shape) - depth] + y.shape[batch + depth :], x.dtype


def tensordot_reference(x: np.ndarray, y: np.ndarray, batch: int, depth: int) -> np.ndarray:
    """`tensordot` on arrays."""
    shared = x.shape[:batch]
    rows, inner = x.shape[batch : x.ndim - depth], x.shape[x.ndim - depth :]
    columns = y.shape[batch + depth :]
    left = x.reshape(*shared, math.prod(rows), math.prod(inner))
    right = y.reshape(*shared, math.prod(inner), math.prod(columns))
    return np.matmul(left, right).reshape(shared + rows + columns)


def _tensordot_vjp_x(
    g: Tensor, ans: Tensor, x: Tensor, y: Tensor, batch: int, depth: int
) -> Tensor:
    axes = tuple(range(y.ndim))
    turned = transpose(y, axes[:batch] + axes[batch + depth :] + axes[batch : batch + depth])
    return tensordot(g, turned, batch, y.ndim - batch - depth)


def _tensordot_vjp_y(
    g: Tensor, ans: Tensor, x: Tensor, y: Tensor, batch: int, depth: int
) -> Tensor:
    axes, rows = tuple(range(x.ndim)), x.ndim - depth
    turned = transpose(x, axes[:batch] + axes[rows:] + axes[batch:rows])
    return tensordot(turned, g, batch, rows - batch)


def tensordot(x: Tensor, y: Tensor, batch: int, depth: int) -> Tensor:
    """Products summed over the last axes of x and the first of y, in ascending order.

    z[b, r, c] = sum over d of x[b, r, d] y[b, d, c], each letter for any number of axes.

    Args:
        x: (*batch axes, *rows, *depth axes).
        y: (*batch axes, *depth axes, *columns).
        batch: number of axes that both share.
        depth: number of axes summed over.

    Returns:
        Tensor of shape (*batch axes, *rows, *columns).
    """
    return apply("tensordot", x, y, batch=batch, depth=depth)


define(
    "tensordot",
    "contraction",
    _tensordot_rule,
    tensordot_reference,
    (_tensordot_vjp_x, _tensordot_vjp_y),
)
