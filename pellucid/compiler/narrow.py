"""Convolutions with few features, arranged so that neighbours fill the lanes of a vector.

Two ways, both of the same products and of shapes alone:

*beside*: the features of g neighbouring places are the columns of one product; the kernel
stands g times in a wider one, one step further each time, among zeros.

*folded*: a product over all axes but the last of space has a column for each element of
the window along that axis and each feature; what belongs together lies on a diagonal,
and is added up.
"""

from __future__ import annotations

import math

from pellucid.core import windows
from pellucid.core.functions import stack
from pellucid.core.movement import pad
from pellucid.core.node import Node, Shape
from pellucid.core.storage import LANES
from pellucid.core.tensor import Tensor, apply, reshape, sum, transpose

GAIN = 1.3
"""How many times fewer operations make up for the detour."""

DEEP = 32
"""Terms per element from which the folded product is worth storing."""


def lowered(n: Node) -> Tensor:
    """A convolution by the way that needs the fewest operations on vectors."""
    x, w = map(Tensor, n.inputs)
    geometry = dict(n.attrs)
    plain = windows.lowered
    features = w.shape[-1]
    if geometry["groups"] > 1 or 2 * features > LANES or 0 in n.shape:
        return plain(x, w, **geometry)
    wide, size, stride = n.shape[-2], w.shape[-3], geometry["stride"][-1]
    depth = math.prod(w.shape[:-3]) * w.shape[-2]
    direct = float(size * depth)
    fits = [g for g in range(2, LANES // features + 1) if wide % g == 0]
    g = min(fits, key=lambda g: ((g - 1) * stride + size) / g, default=1)
    beside = ((g - 1) * stride + size) * depth / g if geometry["dilation"][-1] == 1 else direct
    reads = x.shape[-2] / wide  # places of the input for each of the output
    folded = reads * depth * _vectors(size * features) + 2 * size
    if stride > 1 or geometry["between"][-1] or depth < DEEP:
        folded = direct
    if GAIN * min(beside, folded) > direct:
        return plain(x, w, **geometry)
    return _folded(x, w, geometry) if folded < beside else _beside(x, w, geometry, g)


def _vectors(columns: int) -> int:
    return -(-columns // LANES)


def _beside(x: Tensor, w: Tensor, geometry: dict, g: int) -> Tensor:
    features, axis, stride = w.shape[-1], w.ndim - 3, geometry["stride"]
    copies = []
    for i in range(g):
        before, after = [0] * w.ndim, [0] * w.ndim
        before[axis], after[axis] = i * stride[-1], (g - 1 - i) * stride[-1]
        copies.append(pad(w, tuple(before), tuple(after)))
    wider = stack(copies, w.ndim - 1)  # (*K, C, g, F)
    wider = reshape(wider, (*wider.shape[:-2], g * features))
    further = {**geometry, "stride": (*stride[:-1], g * stride[-1])}
    y = windows.lowered(x, wider, **further)
    return reshape(y, (*y.shape[:-2], y.shape[-2] * g, features))


def _folded(x: Tensor, w: Tensor, geometry: dict) -> Tensor:
    n, features, size = w.ndim - 2, w.shape[-1], w.shape[-3]
    axes = tuple(range(w.ndim))
    turned = transpose(w, (*axes[: n - 1], n, n - 1, n + 1))  # (*K', C, k, F)
    turned = reshape(turned, (*w.shape[: n - 1], 1, w.shape[-2], size * features))
    sides = {key: geometry[key][-1] for key in ("before", "after")}
    rest = {
        **geometry,
        **{key: (*geometry[key][:-1], 0) for key in ("before", "after", "between")},
        "dilation": (*geometry["dilation"][:-1], 1),
    }
    y = windows.lowered(x, turned, **rest)  # (B, *O', W, k F)
    none = (0,) * (n - 1)
    y = windows.padded(y, (*none, sides["before"]), (*none, sides["after"]), (0,) * n)
    one: Shape = (1,) * (n - 1)
    seen = windows.windows_of(
        y, (*one, size), (1,) * n, (*one, geometry["dilation"][-1])
    )  # (B, *O, *1, k, k F)
    seen = reshape(seen, (*y.shape[:n], seen.shape[n], size, size, features))
    meeting = apply("diagonal", seen, first=n + 1, second=n + 2)  # (B, *O, k, F)
    return sum(meeting, n + 1)
