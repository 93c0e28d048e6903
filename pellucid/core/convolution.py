"""Convolution and the gradient of its kernel: rows of the table, contractions over windows.

Both are bilinear and each other's derivatives, so that no derivative of any order leaves
them. Layouts have the channels last: values (batch, *space, channels), kernels (*size,
channels of a group, features).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .movement import Rule, expand, pad
from .node import Node, Shape, define
from .tensor import Tensor, apply, broadcast_to, reshape, sum, transpose
from .windows import reach, tensordot, tensordot_reference, windows_of, windows_reference


class Geometry(NamedTuple):
    """How a window moves.

    Attributes:
        stride: from one place of the window to the next, along each axis of space.
        before, after: zeros put there; less than 0: elements left out.
        between: zeros put between neighbours.
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided.
    """

    stride: Shape
    before: Shape
    after: Shape
    between: Shape
    dilation: Shape
    groups: int = 1

    def space(self, x: Shape) -> Shape:
        """Lengths of the axes of space once padded."""
        sides = zip(x[1:-1], self.before, self.after, self.between, strict=True)
        return tuple((m - 1) * (b + 1) + 1 + lo + hi for m, lo, hi, b in sides)

    def places(self, x: Shape, size: Shape) -> Shape:
        """How often the window may stand along each axis."""
        spans = reach(size, self.dilation)
        space = zip(self.space(x), spans, self.stride, strict=True)
        return tuple((m - r - 1) // s + 1 for m, r, s in space)

    def back(self, x: Shape, size: Shape, g: Shape) -> Geometry:
        """Of the convolution that carries g back to x: stride and what stands between change."""
        spans = reach(size, self.dilation)
        low = tuple(r - b for r, b in zip(spans, self.before, strict=True))
        axes = zip(x[1:-1], self.between, spans, g[1:-1], self.stride, low, strict=True)
        high = ((m - 1) * (b + 1) + 1 + r - ((o - 1) * s + 1) - lo for m, b, r, o, s, lo in axes)
        return Geometry(
            tuple(b + 1 for b in self.between),
            low,
            tuple(high),
            tuple(s - 1 for s in self.stride),
            self.dilation,
            self.groups,
        )


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


def _check(x: Node, channels: int, features: int, size: Shape, geometry: Geometry) -> None:
    n, groups = len(size), geometry.groups
    if len(x.shape) != n + 2:
        raise ValueError(
            f"a convolution with a kernel of size {size} expects a value of shape (batch, {n} "
            f"axes, channels), received shape {x.shape}"
        )
    if x.shape[-1] != channels * groups or features % groups:
        raise ValueError(
            f"a kernel of size {size} with {channels} channels and {features} features in "
            f"{groups} groups expects {channels * groups} channels in the last axis, received "
            f"shape {x.shape}"
        )
    spans, space = reach(size, geometry.dilation), geometry.space(x.shape)
    if any(m <= r for m, r in zip(space, spans, strict=True)):
        raise ValueError(
            f"a kernel that reaches over {tuple(r + 1 for r in spans)} elements does not fit into "
            f"{space}, the padding included; use a smaller kernel, or pad more"
        )


def _convolution_rule(x: Node, w: Node, **attrs: Any) -> Rule:
    geometry = Geometry(**attrs)
    if x.dtype != w.dtype:
        raise ValueError(f"a convolution needs one dtype, received {x.dtype} and {w.dtype}")
    size = w.shape[:-2]
    _check(x, w.shape[-2], w.shape[-1], size, geometry)
    return (x.shape[0], *geometry.places(x.shape, size), w.shape[-1]), x.dtype


def _split_last(x: Tensor, groups: int) -> Tensor:
    return reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))


def _first(x: Tensor, axis: int) -> Tensor:
    return transpose(x, (axis, *(a for a in range(x.ndim) if a != axis)))


def lowered(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """A convolution by windows and a contraction, or by a sum where channels stay apart."""
    n, size, groups = w.ndim - 2, w.shape[:-2], geometry.groups
    x = padded(x, geometry.before, geometry.after, geometry.between)
    seen = windows_of(x, size, geometry.stride, geometry.dilation)  # (B, *O, *K, C)
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


def _seen_by_numpy(x: np.ndarray, size: Shape, geometry: Geometry) -> np.ndarray:
    """The windows of a padded array."""
    spread = [(m - 1) * (b + 1) + 1 for m, b in zip(x.shape[1:-1], geometry.between, strict=True)]
    wide = np.zeros((x.shape[0], *spread, x.shape[-1]), x.dtype)
    wide[:, *(slice(None, None, b + 1) for b in geometry.between)] = x
    sides = list(zip(geometry.before, geometry.after, strict=True))
    wide = np.pad(wide, [(0, 0), *((max(lo, 0), max(hi, 0)) for lo, hi in sides), (0, 0)])
    inside = [
        slice(max(-lo, 0), m - max(-hi, 0))
        for m, (lo, hi) in zip(wide.shape[1:-1], sides, strict=True)
    ]
    return windows_reference(wide[:, *inside], size, geometry.stride, geometry.dilation)


def _convolution_reference(x: np.ndarray, w: np.ndarray, **attrs: Any) -> np.ndarray:
    geometry, n = Geometry(**attrs), w.ndim - 2
    seen = _seen_by_numpy(x, w.shape[:-2], geometry)
    parts = zip(np.split(seen, geometry.groups, -1), np.split(w, geometry.groups, -1), strict=True)
    return np.concatenate([tensordot_reference(a, b, 0, n + 1) for a, b in parts], -1)


def _to_values(g: Tensor, ans: Tensor, x: Tensor, w: Tensor, **attrs: Any) -> Tensor:
    """The convolution of g with the kernel turned about."""
    geometry, n = Geometry(**attrs), w.ndim - 2
    turned = _split_last(apply("flip", w, axes=tuple(range(n))), geometry.groups)
    turned = transpose(turned, (*range(n), n + 2, n + 1, n))  # (*K, F/G, G, C/G)
    turned = reshape(turned, (*w.shape[:-2], w.shape[-1] // geometry.groups, x.shape[-1]))
    return convolution(g, turned, geometry.back(x.shape, w.shape[:-2], g.shape))


def _to_kernel(g: Tensor, ans: Tensor, x: Tensor, w: Tensor, **attrs: Any) -> Tensor:
    return apply("kernel_gradient", x, g, size=w.shape[:-2], **attrs)


def convolution(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    """The sum of a window's elements times a kernel, wherever the window may stand.

    y[b, o, f] = sum over k and c of x[b, o * stride + k * dilation, c] w[k, c, f], x being
    padded; with groups, features see the channels of their own group only.

    Args:
        x: (batch, *space, channels).
        w: (*size, channels / groups, features).
        geometry: how the window moves.

    Returns:
        Tensor of shape (batch, *places, features).
    """
    return apply("convolution", x, w, **geometry._asdict())


define(
    "convolution",
    "composite",
    _convolution_rule,
    _convolution_reference,
    (_to_values, _to_kernel),
)


# -- the gradient of the kernel -----------------------------------------------


def _gradient_rule(x: Node, g: Node, size: Shape, **attrs: Any) -> Rule:
    geometry, channels = Geometry(**attrs), x.shape[-1] // attrs["groups"]
    _check(x, channels, g.shape[-1], size, geometry)
    places = (x.shape[0], *geometry.places(x.shape, size))
    if g.shape[:-1] != places or g.dtype != x.dtype:
        raise ValueError(f"windows of size {size} stand at {places} in {x}, received {g}")
    return (*size, channels, g.shape[-1]), x.dtype


def lowered_gradient(x: Tensor, g: Tensor, size: Shape, geometry: Geometry) -> Tensor:
    """Each element of the kernel: the products of what it met with what came back."""
    n, groups = len(size), geometry.groups
    x = padded(x, geometry.before, geometry.after, geometry.between)
    seen = windows_of(x, size, geometry.stride, geometry.dilation)  # (B, *O, *K, C)
    places, within = tuple(range(n + 1)), tuple(range(n + 1, 2 * n + 1))
    if groups == 1:
        return tensordot(transpose(seen, (*within, 2 * n + 1, *places)), g, 0, n + 1)
    if g.shape[-1] == groups == x.shape[-1]:
        back = expand(g, seen.shape, within)
        return reshape(sum(seen * back, places), (*size, 1, groups))
    left = _split_last(seen, groups)  # (B, *O, *K, G, C/G)
    left = transpose(left, (2 * n + 1, *within, 2 * n + 2, *places))
    right = _first(_split_last(g, groups), n + 1)  # (G, B, *O, F/G)
    kernel = tensordot(left, right, 1, n + 1)  # (G, *K, C/G, F/G)
    kernel = transpose(kernel, (*range(1, n + 2), 0, n + 2))
    return reshape(kernel, (*size, x.shape[-1] // groups, g.shape[-1]))


def _gradient_reference(x: np.ndarray, g: np.ndarray, size: Shape, **attrs: Any) -> np.ndarray:
    geometry, n = Geometry(**attrs), len(size)
    seen = _seen_by_numpy(x, size, geometry)
    axes = (*range(n + 1, 2 * n + 2), *range(n + 1))
    parts = zip(np.split(seen, geometry.groups, -1), np.split(g, geometry.groups, -1), strict=True)
    return np.concatenate(
        [tensordot_reference(a.transpose(axes), b, 0, n + 1) for a, b in parts], -1
    )


def _gradient_to_values(
    w: Tensor, ans: Tensor, x: Tensor, g: Tensor, size: Shape, **attrs: Any
) -> Tensor:
    return _to_values(g, ans, x, w, **attrs)


def _gradient_to_cotangent(
    w: Tensor, ans: Tensor, x: Tensor, g: Tensor, size: Shape, **attrs: Any
) -> Tensor:
    return convolution(x, w, Geometry(**attrs))


define(
    "kernel_gradient",
    "composite",
    _gradient_rule,
    _gradient_reference,
    (_gradient_to_values, _gradient_to_cotangent),
)
