"""Convolution by Winograd's fast algorithm: 36 products where there were 144.

The places are taken in tiles. A tile of m places along an axis sees n = m + r - 1 elements
through a kernel of r; these and the kernel are brought to n coordinates by a few additions,
multiplied coordinate by coordinate, summed over the channels, and brought back:

    y = A' [sum over c of (G w[c] G') * (B' x[c] B)] A

Along an axis this is a product of two polynomials, known by its values at n points, one of
them infinity. The points are chosen for little rounding: pairs of a and -a, so that the
matrices halve, near 1, so that no power is far from it, and sums of few powers of two, so that
most of the matrices' numbers are exact.

Three rows of the table: `winograd_kernel` brings a kernel to its coordinates, `winograd` and
`winograd_gradient` do all the rest. Only the compiler makes them, of convolutions that are
differentiated already, so they have no derivatives.

Source: Lavin, Gray: Fast algorithms for convolutional neural networks (2016); Barabasz and
others: Error analysis and improving the accuracy of Winograd convolution (2020).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, cast

import numpy as np

from .movement import Rule
from .node import Node, define
from .storage import LANES
from .tensor import Tensor, apply, sum

Pair = tuple[int, int]
"""A number for each of the two axes."""

POINTS: dict[int, tuple[float, ...]] = {
    1: (),
    3: (1,),
    4: (1,),
    5: (1 / 2, 5 / 4),
    6: (5 / 8, 3 / 2),
    7: (3 / 8, 7 / 8, 7 / 4),
    8: (1 / 2, 1, 2),
}
"""Of each number of coordinates: the points, each with its negative; 0 where it is even and
infinity come as well."""


class Change(NamedTuple):
    """The matrices along one axis: of a row of coordinates per element, or the other way round.

    Attributes:
        seen: B', (n, n).
        kernel: G, (n, r).
        places: A', (m, n).
    """

    seen: np.ndarray
    kernel: np.ndarray
    places: np.ndarray


@functools.cache
def change(places: int, size: int) -> Change:
    """The matrices for so many places of a tile and so many elements of the kernel."""
    n = places + size - 1
    points = [Fraction(0)] * (n % 2 == 0)
    points += [Fraction(sign * p) for p in POINTS[n] for sign in (1, -1)]
    seen: list[list[Fraction]] = []
    kernel: list[list[Any]] = []
    for point in points:
        others = [p for p in points if p != point]
        seen.append([*_polynomial(others), Fraction(0)])
        below = math.prod(point - p for p in others)
        kernel.append([point**k / below for k in range(size)])
    seen.append(_polynomial(points))
    kernel.append([0] * (size - 1) + [1])
    back = [[*(p**k for p in points), k == places - 1] for k in range(places)]
    return Change(*(np.array(m, float) for m in (seen, kernel, back)))


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of the product of x - root, that of 1 first."""
    found = [Fraction(1)]
    for root in roots:
        moved = [Fraction(0), *found]
        found = [a - root * b for a, b in zip(moved, [*found, Fraction(0)], strict=True)]
    return found


def sees(places: Pair, size: Pair) -> Pair:
    """How many elements a tile sees along each axis; as many are its coordinates."""
    return places[0] + size[0] - 1, places[1] + size[1] - 1


def _changes(places: Pair, size: Pair) -> tuple[Change, Change]:
    return change(places[0], size[0]), change(places[1], size[1])


# -- the rows -------------------------------------------------------------------


def _fits(x: Node, y: Sequence[int], places: Pair, size: Pair) -> None:
    """Tiles cover what a kernel of such a size finds in x."""
    if len(x.shape) != 4 or any(n not in POINTS for n in sees(places, size)):
        raise ValueError(f"no tiles of {places} for a kernel of {size} in {x}")
    if tuple(y) != tuple(n - k + 1 for n, k in zip(x.shape[1:3], size, strict=True)):
        raise ValueError(f"expected the places of a kernel of {size} in {x}, received {y}")
    if any(n % m or n < m or k == 1 < m for n, m, k in zip(y, places, size, strict=True)):
        raise ValueError(
            f"tiles of {places} must cover all places of a kernel of {size}, received {y}"
        )


def _vectors(channels: int, features: int) -> None:
    if channels % LANES or features % LANES:
        raise ValueError(
            f"channels and features must be multiples of {LANES}, received {channels}, {features}"
        )


def _size(u: Node | np.ndarray, places: Pair) -> Pair:
    """The size of the kernel that has such coordinates."""
    return u.shape[0] - places[0] + 1, u.shape[1] - places[1] + 1


def size_of(node: Node) -> Pair:
    """The size of the kernel."""
    if node.name == "winograd":
        return _size(node.inputs[1], node.attr("places"))
    size = node.attr("size") if node.name == "winograd_gradient" else node.inputs[0].shape[:2]
    return cast(Pair, size)


def coordinates_of(node: Node) -> Pair:
    """How many coordinates there are along each axis."""
    return sees(node.attr("places"), size_of(node))


def tiles_of(node: Node) -> Pair:
    """How many tiles lie below each other, and side by side."""
    y = node.shape if node.name == "winograd" else node.inputs[1].shape
    places = node.attr("places")
    return y[1] // places[0], y[2] // places[1]


def _rule(x: Node, u: Node, places: Pair) -> Rule:
    if len(u.shape) != 4 or u.shape[2] != x.shape[-1] or u.dtype != x.dtype:
        raise ValueError(f"expected a kernel's coordinates for {x}, received {u}")
    size = _size(u, places)
    y = tuple(n - k + 1 for n, k in zip(x.shape[1:3], size, strict=True))
    _fits(x, y, places, size)
    _vectors(*u.shape[2:])
    return (x.shape[0], *y, u.shape[-1]), x.dtype


def _seen(x: np.ndarray, places: Pair, size: Pair) -> np.ndarray:
    """Coordinates of what the tiles see: (batch, down, across, n, n, channels)."""
    down, across = _changes(places, size)
    tiles = np.lib.stride_tricks.sliding_window_view(x, sees(places, size), (1, 2))
    tiles = tiles[:, :: places[0], :: places[1]]
    return np.einsum("ik,jl,bdackl->bdaijc", down.seen, across.seen, tiles).astype(x.dtype)


def _reference(x: np.ndarray, u: np.ndarray, places: Pair) -> np.ndarray:
    size = _size(u, places)
    down, across = _changes(places, size)
    products = np.einsum("bdaijc,ijcf->bdaijf", _seen(x, places, size), u)
    y = np.einsum("pi,qj,bdaijf->bdpaqf", down.places, across.places, products)
    shape = (x.shape[0], x.shape[1] - size[0] + 1, x.shape[2] - size[1] + 1, u.shape[-1])
    return y.reshape(shape)


def _gradient_rule(x: Node, g: Node, places: Pair, size: Pair, parts: int) -> Rule:
    if len(g.shape) != 4 or g.shape[0] != x.shape[0] or g.dtype != x.dtype:
        raise ValueError(f"expected a value for every place of a kernel in {x}, received {g}")
    _fits(x, g.shape[1:3], places, size)
    _vectors(x.shape[-1], g.shape[-1])
    if parts < 1 or x.shape[0] % parts:
        raise ValueError(f"cannot cut {x.shape[0]} rows into {parts} equal parts")
    return (parts, *size, x.shape[-1], g.shape[-1]), x.dtype


def _gradient_reference(
    x: np.ndarray, g: np.ndarray, places: Pair, size: Pair, parts: int
) -> np.ndarray:
    batch, height, width, features = g.shape
    down, across = _changes(places, size)
    shape = (batch, height // places[0], places[0], width // places[1], places[1], features)
    spread = np.einsum("pi,qj,bdpaqf->bdaijf", down.places, across.places, g.reshape(shape))
    both = (_seen(x, places, size), spread)
    seen, spread = (v.reshape(parts, batch // parts, *v.shape[1:]) for v in both)
    found = np.einsum("sbdaijc,sbdaijf->sijcf", seen, spread)
    return np.einsum("ik,jl,sijcf->sklcf", down.kernel, across.kernel, found)


def _kernel_rule(w: Node, places: Pair) -> Rule:
    if len(w.shape) != 4:
        raise ValueError(f"expected shape (height, width, channels, features), received {w}")
    _vectors(*w.shape[2:])
    return (*sees(places, w.shape[:2]), *w.shape[2:]), w.dtype


def _kernel_reference(w: np.ndarray, places: Pair) -> np.ndarray:
    down, across = _changes(places, w.shape[:2])
    return np.einsum("ik,jl,klcf->ijcf", down.kernel, across.kernel, w)


define("winograd", "contraction", _rule, _reference, (None, None))
define("winograd_gradient", "contraction", _gradient_rule, _gradient_reference, (None, None))
define("winograd_kernel", "contraction", _kernel_rule, _kernel_reference, (None,))


# -- their use --------------------------------------------------------------------


def convolution(x: Tensor, w: Tensor, places: Pair) -> Tensor:
    """The convolution of x with a kernel, one step at a time, nothing padded.

    Args:
        x: (batch, height, width, channels).
        w: (size, size, channels, features).
        places: of a tile; they divide the places of the result.

    Returns:
        Tensor of shape (batch, places down, places across, features).
    """
    return apply("winograd", x, apply("winograd_kernel", w, places=places), places=places)


PARTS, PLACES_OF_A_PART = 16, 1024
"""Parts into which the batch is cut for a kernel's gradient, so that workers share it, and places
that each part must have for that to pay."""


def kernel_gradient(x: Tensor, g: Tensor, places: Pair, size: Pair) -> Tensor:
    """The gradient of the kernel of such a convolution, from that of its result.

    A sum over parts of the batch: how many depends on the shapes alone.
    """
    batch = x.shape[0]
    most = max(1, min(PARTS, math.prod(g.shape[:-1]) // PLACES_OF_A_PART))
    parts = next(n for n in range(most, 0, -1) if batch % n == 0)
    return sum(apply("winograd_gradient", x, g, places=places, size=size, parts=parts), 0)
