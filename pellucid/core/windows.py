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

from .movement import Rule, expand, pad
from .node import Node, Shape, define
from .tensor import Tensor, apply, broadcast_to, reshape, sum, transpose

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


def _windows_reference(x: np.ndarray, size: Shape, stride: Shape, dilation: Shape) -> np.ndarray:
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


define("windows", "view", _windows_rule, _windows_reference, (_windows_vjp,))


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


def _tensordot_reference(x: np.ndarray, y: np.ndarray, batch: int, depth: int) -> np.ndarray:
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
    _tensordot_reference,
    (_tensordot_vjp_x, _tensordot_vjp_y),
)


# -- convolution ------------------------------------------------------------


def padded(x: Tensor, before: Shape, after: Shape, between: Shape) -> Tensor:
    """Zeros put around and between the elements of each axis of space; less than 0: cut off."""
    spread = [(n - 1) * (b + 1) + 1 for n, b in zip(x.shape[1:-1], between, strict=True)]
    if any(between) or any(v > 0 for v in (*before, *after)):
        more = [(0, *(max(v, 0) for v in side), 0) for side in (before, after)]
        x = pad(x, more[0], more[1], (0, *between, 0))
    if any(v < 0 for v in (*before, *after)):
        start = (0, *(max(-v, 0) for v in before), 0)
        inner = [m + max(a, 0) + b for m, a, b in zip(spread, before, after, strict=True)]
        inner = [min(t, n) for t, n in zip(inner, x.shape[1:-1], strict=True)]
        stop = (x.shape[0], *inner, x.shape[-1])
        x = apply("slice", x, start=start, stop=stop, step=(1,) * x.ndim)
    return x


def _convolution_rule(
    x: Node,
    w: Node,
    stride: Shape,
    before: Shape,
    after: Shape,
    between: Shape,
    dilation: Shape,
    groups: int,
) -> Rule:
    n = len(w.shape) - 2
    if len(x.shape) != n + 2 or x.dtype != w.dtype:
        raise ValueError(
            f"a convolution with a kernel of shape {w.shape} expects a value of shape (batch, "
            f"{n} axes, channels) and dtype {w.dtype}, received {x.shape} of {x.dtype}"
        )
    if x.shape[-1] != w.shape[-2] * groups or w.shape[-1] % groups:
        raise ValueError(
            f"a kernel of shape {w.shape} in {groups} groups expects {w.shape[-2] * groups} "
            f"channels in the last axis, received shape {x.shape}"
        )
    spans = reach(w.shape[:-2], dilation)
    sides = zip(x.shape[1:-1], before, after, between, strict=True)
    space = [(m - 1) * (b + 1) + 1 + lo + hi for m, lo, hi, b in sides]
    if any(m <= r for m, r in zip(space, spans, strict=True)):
        raise ValueError(
            f"a kernel that reaches over {tuple(r + 1 for r in spans)} elements does not fit into "
            f"{tuple(space)}, the padding included; use a smaller kernel, or pad more"
        )
    places = [(m - r - 1) // s + 1 for m, r, s in zip(space, spans, stride, strict=True)]
    return (x.shape[0], *places, w.shape[-1]), x.dtype


def _split_last(x: Tensor, groups: int) -> Tensor:
    return reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))


def _first(x: Tensor, axis: int) -> Tensor:
    return transpose(x, (axis, *(a for a in range(x.ndim) if a != axis)))


def lowered(
    x: Tensor,
    w: Tensor,
    stride: Shape,
    before: Shape,
    after: Shape,
    between: Shape,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """A convolution by windows and a contraction, or by a sum where channels stay apart."""
    n, size = w.ndim - 2, w.shape[:-2]
    x = padded(x, before, after, between)
    seen = windows_of(x, size, stride, dilation)  # (B, *O, *K, C)
    if groups == 1:
        return tensordot(seen, w, 0, n + 1)
    if w.shape[-2:] == (1, groups):
        kernel = broadcast_to(reshape(w, (1,) * (n + 1) + size + (groups,)), seen.shape)
        return sum(seen * kernel, tuple(range(n + 1, 2 * n + 1)))
    left = _first(_split_last(seen, groups), 2 * n + 1)  # (G, B, *O, *K, C/G)
    right = _first(_split_last(w, groups), n + 1)  # (G, *K, C/G, F/G)
    y = tensordot(left, right, 1, n + 1)  # (G, B, *O, F/G)
    y = transpose(y, (*range(1, n + 2), 0, n + 2))
    return reshape(y, (*y.shape[:-2], w.shape[-1]))


def _convolution_reference(
    x: np.ndarray,
    w: np.ndarray,
    stride: Shape,
    before: Shape,
    after: Shape,
    between: Shape,
    dilation: Shape,
    groups: int,
) -> np.ndarray:
    n = w.ndim - 2
    spread = np.zeros(
        (x.shape[0], *((m - 1) * (b + 1) + 1 for m, b in zip(x.shape[1:-1], between, strict=True)))
        + x.shape[-1:],
        x.dtype,
    )
    spread[:, *(slice(None, None, b + 1) for b in between)] = x
    around = [(max(lo, 0), max(hi, 0)) for lo, hi in zip(before, after, strict=True)]
    whole = np.pad(spread, [(0, 0), *around, (0, 0)])
    inside = [
        slice(max(-lo, 0), m - max(-hi, 0))
        for m, lo, hi in zip(whole.shape[1:-1], before, after, strict=True)
    ]
    seen = _windows_reference(whole[:, *inside], w.shape[:-2], stride, dilation)
    parts = zip(np.split(seen, groups, -1), np.split(w, groups, -1), strict=True)
    return np.concatenate([_tensordot_reference(a, b, 0, n + 1) for a, b in parts], -1)


def _convolution_vjp_x(
    g: Tensor,
    ans: Tensor,
    x: Tensor,
    w: Tensor,
    stride: Shape,
    before: Shape,
    after: Shape,
    between: Shape,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """The convolution of g with the kernel turned about: what was stride stands between."""
    n = w.ndim - 2
    turned = apply("flip", w, axes=tuple(range(n)))
    turned = _split_last(turned, groups)  # (*K, C/G, G, F/G)
    turned = transpose(turned, (*range(n), n + 2, n + 1, n))
    turned = reshape(turned, (*w.shape[:-2], w.shape[-1] // groups, x.shape[-1]))
    spans = reach(w.shape[:-2], dilation)
    low = tuple(r - b for r, b in zip(spans, before, strict=True))
    high = tuple(
        (m - 1) * (b + 1) + 1 + r - ((o - 1) * s + 1) - lo
        for m, b, r, o, s, lo in zip(
            x.shape[1:-1], between, spans, g.shape[1:-1], stride, low, strict=True
        )
    )
    return convolution(
        g,
        turned,
        stride=tuple(b + 1 for b in between),
        before=low,
        after=high,
        between=tuple(s - 1 for s in stride),
        dilation=dilation,
        groups=groups,
    )


def _convolution_vjp_w(
    g: Tensor,
    ans: Tensor,
    x: Tensor,
    w: Tensor,
    stride: Shape,
    before: Shape,
    after: Shape,
    between: Shape,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """Each element of the kernel: the products of what it met with what came back."""
    n, size = w.ndim - 2, w.shape[:-2]
    x = padded(x, before, after, between)
    seen = windows_of(x, size, stride, dilation)  # (B, *O, *K, C)
    places, within = tuple(range(n + 1)), tuple(range(n + 1, 2 * n + 1))
    if groups == 1:
        return tensordot(transpose(seen, (*within, 2 * n + 1, *places)), g, 0, n + 1)
    if w.shape[-2:] == (1, groups):
        back = expand(g, seen.shape, within)
        return reshape(sum(seen * back, places), w.shape)
    left = _split_last(seen, groups)  # (B, *O, *K, G, C/G)
    left = transpose(left, (2 * n + 1, *within, 2 * n + 2, *places))
    right = _first(_split_last(g, groups), n + 1)  # (G, B, *O, F/G)
    kernel = tensordot(left, right, 1, n + 1)  # (G, *K, C/G, F/G)
    kernel = transpose(kernel, (*range(1, n + 2), 0, n + 2))
    return reshape(kernel, w.shape)


def convolution(
    x: Tensor,
    w: Tensor,
    *,
    stride: Shape,
    before: Shape,
    after: Shape,
    between: Shape,
    dilation: Shape,
    groups: int,
) -> Tensor:
    """The sum of a window's elements times a kernel, wherever the window may stand.

    y[b, o, f] = sum over k and c of x[b, o * stride + k * dilation, c] w[k, c, f], x being
    padded; with groups, features see the channels of their own group only.

    Args:
        x: (batch, *space, channels).
        w: (*size, channels / groups, features).
        stride: from one place of the window to the next, along each axis of space.
        before, after: zeros put there; less than 0: elements left out.
        between: zeros put between neighbours.
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided.

    Returns:
        Tensor of shape (batch, *places, features).
    """
    return apply(
        "convolution",
        x,
        w,
        stride=stride,
        before=before,
        after=after,
        between=between,
        dilation=dilation,
        groups=groups,
    )


define(
    "convolution",
    "composite",
    _convolution_rule,
    _convolution_reference,
    (_convolution_vjp_x, _convolution_vjp_w),
)
