"""How convolutions with few features are arranged, chosen by shapes alone.

Where they fill no vector, neighbours share its lanes; where they fill one only, each
scalar that is spread serves several products.

*across*: the window's last axis is walked last, so that neighbouring places, which see the
same elements there, share them.

*turned*: the gradient of a kernel with its features as rows, so that long rows of what
the windows see are the columns.

*beside*: the features of g neighbouring places are the columns of one product; the kernel
stands g times in a wider one, one step further each time, among zeros. (Where a value is
infinite or NaN, so may those be that stand up to g - 1 places away from it.)

*folded*: a product over all axes but the last of space has a column for each element of
the window along that axis and each feature; what belongs together lies on a diagonal,
and is added up.

*in tiles*: with whole vectors of channels and features, convolutions along one or two axes, step
by step, are done by Winograd's algorithm, long kernels in pieces. (What is infinite or NaN
reaches all of its tile.)

*in turns*: where zeros stand between all elements, as in the gradient of a wide stride, places
that meet the same elements of the window are a convolution of their own, without the zeros.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from pellucid.core import winograd
from pellucid.core.convolution import Geometry, lowered, lowered_gradient, padded
from pellucid.core.functions import concatenate, stack
from pellucid.core.movement import pad
from pellucid.core.node import Node, Shape
from pellucid.core.storage import LANES
from pellucid.core.tensor import Tensor, apply, broadcast_to, reshape, sum, tensor, transpose
from pellucid.core.windows import tensordot, windows_of

GAIN = 1.3
"""How many times fewer operations make up for the detour."""

FEW_PLACES, MANY_CHANNELS = 4, 128
"""Places along an axis from which Winograd's algorithm pays, and channels up to which the
coordinates of a kernel stay in the cache."""

MOST_COORDINATES = {1: 8, 2: 6}
"""Along each of so many axes: more would save more products and lose more digits."""

SHORTEST, LONGEST = 3, 5
"""Elements of a kernel along an axis that goes in tiles, and that do so as a whole."""

CHANGE = 0.6
"""Multiply-adds that it takes to bring a number to one coordinate along one axis, or back."""

FEW_VECTORS = 160
"""Vectors of a kernel's gradient up to which it is a sum of two."""

DEEP = 32
"""Terms per element from which the folded product is worth storing."""


def convolution(n: Node) -> Tensor:
    """A convolution by the way that needs the fewest operations on vectors."""
    x, w = map(Tensor, n.inputs)
    geometry = Geometry(**dict(n.attrs))
    pieces = _pieces(n.shape, x.shape[-1], w.shape[:-2], geometry)
    if pieces:
        return reshape(_in_tiles(x, w, geometry, pieces), n.shape)
    if _takes_turns(n.shape, geometry):
        return _in_turns(x, w, geometry, n.shape)
    features, size = w.shape[-1], w.shape[-3]
    if geometry.groups > 1 or features > LANES or 0 in n.shape:
        return lowered(x, w, geometry)
    if 2 * features > LANES:
        return (_across if size > 1 and geometry.stride[-1] == 1 else lowered)(x, w, geometry)
    g, beside = _neighbours(n.shape[-2], features, size, geometry)
    depth = math.prod(w.shape[:-3]) * w.shape[-2]
    reads = x.shape[-2] / n.shape[-2]  # places of the input for each of the output
    folded = reads * -(-size * features // LANES) + 2 * size / depth
    if geometry.stride[-1] > 1 or geometry.between[-1] or depth < DEEP:
        folded = math.inf
    if GAIN * min(beside, folded) > size:
        return lowered(x, w, geometry)
    return _folded(x, w, geometry) if folded < beside else _beside(x, w, geometry, g)


def kernel_gradient(n: Node) -> Tensor:
    """The gradient of a convolution's kernel, likewise."""
    (x, g), attrs = map(Tensor, n.inputs), dict(n.attrs)
    size = attrs.pop("size")
    geometry = Geometry(**attrs)
    pieces = _pieces(g.shape, x.shape[-1], size, geometry)
    if pieces:
        return _in_tiles_gradient(x, g, size, geometry, pieces)
    features = g.shape[-1]
    count, beside = _neighbours(g.shape[-2], features, size[-1], geometry)
    if geometry.groups == 1 and features <= LANES and 0 not in g.shape:
        along = size[-1] * x.shape[-1] if geometry.dilation[-1] == 1 else 0
        if 2 * features > LANES and along >= 2 * LANES:
            return _turned(x, g, size, geometry)
    if geometry.groups > 1:
        return lowered_gradient(x, g, size, geometry)
    if 2 * features > LANES or GAIN * beside > size[-1]:
        return _gradient(x, g, size, geometry)
    return _beside_gradient(x, g, size, geometry, count)


class Piece(NamedTuple):
    """A part of a kernel along its last axis, and the places of its tiles along both axes."""

    start: int
    stop: int
    places: winograd.Pair


def _pieces(y: Shape, channels: int, size: Shape, geometry: Geometry) -> list[Piece]:
    """How a convolution goes in tiles; nothing where it does not, or where that does not pay."""
    if max(*geometry.stride, *geometry.dilation, geometry.groups) > 1 or any(geometry.between):
        return []
    whole = all(n % LANES == 0 and 0 < n <= MANY_CHANNELS for n in (channels, y[-1]))
    if 0 in y or not whole or len(size) not in (1, 2):
        return []
    count = -(-size[-1] // LONGEST)
    bounds = [size[-1] * i // count for i in range(count + 1)]
    pieces, cost = [], 0.0
    for start, stop in pairwise(bounds):
        part = (*size[:-1], stop - start)
        most = MOST_COORDINATES[max(1, len([n for n in part if n > 1]))]
        axes = [_tile(n, k, most) for n, k in zip(y[1:-1], part, strict=True)]
        pieces.append(Piece(start, stop, (axes[0] if len(axes) == 2 else 1, axes[-1])))
        coordinates = [m + k - 1 for m, k in zip(axes, part, strict=True)]
        if any(n > most or n not in winograd.POINTS for n in coordinates):
            return []
        turned = [n for n in coordinates if n > 1]
        each = channels * y[-1] + CHANGE * math.fsum(turned) * (channels + y[-1])
        cost += each * math.prod(coordinates) / math.prod(axes)
    return pieces if GAIN * cost <= math.prod(size) * channels * y[-1] else []


def _tile(places: int, size: int, most: int) -> int:
    """Places of a tile along one axis: as many as leave the fewest products for each."""
    fits = [m for m in range(2, most + 1) if places % m == 0 and m + size - 1 <= most]
    return max(fits, default=1) if size >= SHORTEST and places >= FEW_PLACES else 1


def _in_plane(x: Tensor) -> Tensor:
    """What lies along one axis, as images of one row."""
    return reshape(x, (x.shape[0], 1, *x.shape[1:])) if x.ndim == 3 else x


def _met(x: Tensor, geometry: Geometry, size: Shape, pieces: list[Piece]) -> list[Tensor]:
    """What each piece of the kernel meets, padding included."""
    x = _in_plane(padded(x, geometry.before, geometry.after, geometry.between))
    rest = x.shape[2] - size[-1]
    return [x[:, :, start : rest + stop] for start, stop, _ in pieces]


def _in_tiles(x: Tensor, w: Tensor, geometry: Geometry, pieces: list[Piece]) -> Tensor:
    met = _met(x, geometry, w.shape[:-2], pieces)
    kernel = reshape(w, (1, *w.shape)) if w.ndim == 3 else w
    total: Tensor | None = None
    for seen, (start, stop, places) in zip(met, pieces, strict=True):
        y = winograd.convolution(seen, kernel[:, start:stop], places)
        total = y if total is None else total + y
    assert total is not None
    return total


def _in_tiles_gradient(
    x: Tensor, g: Tensor, size: Shape, geometry: Geometry, pieces: list[Piece]
) -> Tensor:
    met, wide = _met(x, geometry, size, pieces), (1, *size)[-2:]
    found = []
    for seen, (start, stop, places) in zip(met, pieces, strict=True):
        part = (wide[0], stop - start)
        found.append(winograd.kernel_gradient(seen, _in_plane(g), places, part))
    whole = concatenate(found, 1) if len(found) > 1 else found[0]
    return reshape(whole, (*size, *whole.shape[2:]))


def _takes_turns(y: Shape, geometry: Geometry) -> bool:
    """Zeros between all elements, met by every second place (or third, ...) in the same way."""
    turns = tuple(b + 1 for b in geometry.between)
    if max(turns) == 1 or max(*geometry.stride, *geometry.dilation) > 1 or 0 in y:
        return False
    return all(n % t == 0 for n, t in zip(y[1:-1], turns, strict=True))


def _in_turns(x: Tensor, w: Tensor, geometry: Geometry, shape: Shape) -> Tensor:
    """A convolution over zeros that stand between: places that meet the same ones, by themselves.

    Along an axis with t - 1 zeros between neighbours, places o, o + t, ... meet elements of x at
    every t-th element of the window only, beginning with the same one.
    """
    n, turns = len(geometry.between), tuple(b + 1 for b in geometry.between)

    def part(first: Shape) -> Tensor:
        """The places first, first + t, ... along each axis."""
        spans = list(zip(first, geometry.before, turns, strict=True))
        start = tuple((before - o) % t for o, before, t in spans)  # of the window's elements
        kernel = apply("slice", w, start=(*start, 0, 0), stop=w.shape, step=(*turns, 1, 1))
        places = tuple(m // t for m, t in zip(shape[1:-1], turns, strict=True))
        if 0 in kernel.shape:
            return broadcast_to(tensor(0.0, x.dtype), (shape[0], *places, shape[-1]))
        before = tuple((b - o - s) // t for (o, b, t), s in zip(spans, start, strict=True))
        after = tuple(
            m + k - 1 - low - have
            for m, k, low, have in zip(
                places, kernel.shape[:-2], before, x.shape[1:-1], strict=True
            )
        )
        whole = Geometry((1,) * n, before, after, (0,) * n, (1,) * n, geometry.groups)
        return apply("convolution", x, kernel, **whole._asdict())

    def joined(first: Shape) -> Tensor:
        """Turns along the axes from the next one on, side by side behind their axes."""
        if len(first) == n:
            return part(first)
        axis = len(first)
        parts = [joined((*first, o)) for o in range(turns[axis])]
        return stack(parts, axis + 2)

    return reshape(joined(()), shape)


def _neighbours(wide: int, features: int, size: int, geometry: Geometry) -> tuple[int, float]:
    """How many places to take together, and how wide the window is for each of them then."""
    if geometry.dilation[-1] > 1 or 2 * features > LANES:
        return 1, math.inf
    stride = geometry.stride[-1]
    fits = [g for g in range(1, LANES // features + 1) if wide % g == 0]
    g = min(fits, key=lambda g: ((g - 1) * stride + size) / g)
    return g, ((g - 1) * stride + size) / g


def _across(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    n, axes = w.ndim - 2, tuple(range(2 * w.ndim - 2))
    x = padded(x, geometry.before, geometry.after, geometry.between)
    seen = windows_of(x, w.shape[:-2], geometry.stride, geometry.dilation)  # (B, *O, *K', k, C)
    seen = transpose(seen, (*axes[: 2 * n], 2 * n + 1, 2 * n))
    kernel = transpose(w, (*axes[: n - 1], n, n - 1, n + 1))  # (*K', C, k, F)
    return tensordot(seen, kernel, 0, n + 1)


def _turned(x: Tensor, g: Tensor, size: Shape, geometry: Geometry) -> Tensor:
    n = len(size)
    x = padded(x, geometry.before, geometry.after, geometry.between)
    seen = windows_of(x, size, geometry.stride, geometry.dilation)  # (B, *O, *K', k, C)
    seen = reshape(seen, (*seen.shape[: 2 * n], size[-1] * x.shape[-1]))
    places, outer = tuple(range(n + 1)), tuple(range(n + 1, 2 * n))
    seen = transpose(seen, (*outer, *places, 2 * n))  # (*K', B, *O, k C)
    rows = transpose(g, (n + 1, *places))  # (F, B, *O)
    rows = broadcast_to(reshape(rows, (1,) * (n - 1) + rows.shape), size[:-1] + rows.shape)
    found = tensordot(rows, seen, n - 1, n + 1)  # (*K', F, k C)
    found = reshape(found, (*found.shape[:-1], size[-1], x.shape[-1]))
    return transpose(found, (*range(n - 1), n, n + 1, n - 1))


def _beside(x: Tensor, w: Tensor, geometry: Geometry, g: int) -> Tensor:
    features, axis, stride = w.shape[-1], w.ndim - 3, geometry.stride
    copies = []
    for i in range(g):
        before, after = [0] * w.ndim, [0] * w.ndim
        before[axis], after[axis] = i * stride[-1], (g - 1 - i) * stride[-1]
        copies.append(pad(w, tuple(before), tuple(after)))
    wider = stack(copies, w.ndim - 1)  # (*K', C, g, F)
    wider = reshape(wider, (*wider.shape[:-2], g * features))
    y = lowered(x, wider, geometry._replace(stride=(*stride[:-1], g * stride[-1])))
    return reshape(y, (*y.shape[:-2], y.shape[-2] * g, features))


def _gradient(x: Tensor, g: Tensor, size: Shape, geometry: Geometry) -> Tensor:
    """A kernel's gradient; where it has few elements, a sum of two, of either half of the batch.

    So the workers have more to share than a few tiles, of which one would do the last alone, and
    each of two reads what it made itself: what both have read is slow to write again.
    """
    vectors = math.prod(size) * x.shape[-1] * -(-g.shape[-1] // LANES)
    if vectors > FEW_VECTORS or x.shape[0] % 2 or 0 in g.shape:
        return lowered_gradient(x, g, size, geometry)
    x = padded(x, geometry.before, geometry.after, geometry.between)
    seen = windows_of(x, size, geometry.stride, geometry.dilation)  # (B, *O, *K, C)
    return in_halves(seen, g, len(size) + 1)


def in_halves(left: Tensor, right: Tensor, depth: int) -> Tensor:
    """Products summed over the first axes of both, as a sum of two: of either half of the first.

    Args:
        left: (rows, *more axes summed over, *its own).
        right: (rows, *more axes summed over, columns).
        depth: number of axes summed over.

    Returns:
        Tensor of shape (*left's own axes, columns).
    """
    left, right = (reshape(v, (2, v.shape[0] // 2, *v.shape[1:])) for v in (left, right))
    summed, own = tuple(range(1, depth + 1)), tuple(range(depth + 1, left.ndim))
    return sum(tensordot(transpose(left, (0, *own, *summed)), right, 1, depth), 0)


def _beside_gradient(x: Tensor, g: Tensor, size: Shape, geometry: Geometry, count: int) -> Tensor:
    features, stride = g.shape[-1], geometry.stride[-1]
    wide = reshape(g, (*g.shape[:-2], g.shape[-2] // count, count * features))
    reached = (*size[:-1], size[-1] + (count - 1) * stride)
    further = geometry._replace(stride=(*geometry.stride[:-1], count * stride))
    found = _gradient(x, wide, reached, further)  # (*K', C, g F)
    found = reshape(found, (*found.shape[:-1], count, features))
    total: Tensor | None = None
    for i in range(count):
        along = slice(i * stride, i * stride + size[-1])
        part = found[(slice(None),) * (len(size) - 1) + (along, slice(None), slice(i, i + 1))]
        total = part if total is None else total + part
    assert total is not None
    return reshape(total, (*size, x.shape[-1], features))


def _folded(x: Tensor, w: Tensor, geometry: Geometry) -> Tensor:
    n, features, size = w.ndim - 2, w.shape[-1], w.shape[-3]
    axes = tuple(range(w.ndim))
    turned = transpose(w, (*axes[: n - 1], n, n - 1, n + 1))  # (*K', C, k, F)
    turned = reshape(turned, (*w.shape[: n - 1], 1, w.shape[-2], size * features))

    def ending(values: Shape, last: int) -> Shape:
        return (*values[:-1], last)

    along = geometry._replace(
        before=ending(geometry.before, 0),
        after=ending(geometry.after, 0),
        dilation=ending(geometry.dilation, 1),
    )
    y = lowered(x, turned, along)  # (B, *O', W, k F)
    none, one = (0,) * (n - 1), (1,) * (n - 1)
    before, after = (*none, geometry.before[-1]), (*none, geometry.after[-1])
    y = padded(y, before, after, (0,) * n)
    seen = windows_of(y, (*one, size), (1,) * n, (*one, geometry.dilation[-1]))
    seen = reshape(seen, (*y.shape[:n], seen.shape[n], size, size, features))
    meeting = apply("diagonal", seen, first=n + 1, second=n + 2)  # (B, *O, k, F)
    return sum(meeting, n + 1)
