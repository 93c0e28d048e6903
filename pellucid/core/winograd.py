"""Convolution with a 3 x 3 kernel by Winograd's fast algorithm: 16 products where there were 36.

The places are taken in tiles of 2 x 2. A tile sees 4 x 4 elements; these and the kernel are
brought to 16 coordinates by a few additions, multiplied coordinate by coordinate, summed over
the channels, and brought back:

    y = A' [sum over c of (G w[c] G') * (B' x[c] B)] A

Three rows of the table: `winograd_kernel` brings a kernel to its coordinates and back,
`winograd` and `winograd_gradient` begin and end there. Only the compiler makes them, of
convolutions that are differentiated already, so these two have no derivatives. The matrices
hold 0, 1, -1 and 1/2 only, so that little is lost in rounding.

Source: Lavin, Gray: Fast algorithms for convolutional neural networks (2016).
"""

from __future__ import annotations

import math

import numpy as np

from .movement import Rule
from .node import Node, define
from .storage import LANES
from .tensor import Tensor, apply, sum

TILE, SEEN, SIZE = 2, 4, 3
"""Places along each axis of a tile, elements that it sees, elements of the kernel."""

INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], float)  # B'
KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # G
OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, 1]], float)  # A'


def _tiles(x: Node, places: tuple[int, ...]) -> None:
    fits = len(x.shape) == 4 and places == tuple(n - 2 for n in x.shape[1:3])
    if not fits or any(n % TILE or n < TILE for n in places):
        raise ValueError(
            f"tiles of 2 x 2 must cover the places of a 3 x 3 kernel in {x}, received {places}"
        )


def _vectors(channels: int, features: int) -> None:
    if channels % LANES or features % LANES:
        raise ValueError(
            f"channels and features must be multiples of {LANES}, received {channels}, {features}"
        )


def _rule(x: Node, u: Node) -> Rule:
    places = tuple(n - 2 for n in x.shape[1:3])
    _tiles(x, places)
    _vectors(x.shape[-1], u.shape[-1])
    if u.shape[:-1] != (SEEN, SEEN, x.shape[-1]) or u.dtype != x.dtype:
        raise ValueError(f"expected a kernel's 4 x 4 coordinates for {x}, received {u}")
    return (x.shape[0], *places, u.shape[-1]), x.dtype


def _seen(x: np.ndarray) -> np.ndarray:
    """Coordinates of what the tiles see: (batch, down, across, 4, 4, channels)."""
    tiles = np.lib.stride_tricks.sliding_window_view(x, (SEEN, SEEN), (1, 2))[:, ::TILE, ::TILE]
    return np.einsum("ik,jl,bdackl->bdaijc", INPUT, INPUT, tiles).astype(x.dtype)


def _reference(x: np.ndarray, u: np.ndarray) -> np.ndarray:
    products = np.einsum("bdaijc,ijcf->bdaijf", _seen(x), u)
    y = np.einsum("pi,qj,bdaijf->bdpaqf", OUTPUT, OUTPUT, products)
    return y.reshape(x.shape[0], x.shape[1] - 2, x.shape[2] - 2, u.shape[-1])


def _gradient_rule(x: Node, g: Node, parts: int) -> Rule:
    _tiles(x, g.shape[1:3])
    _vectors(x.shape[-1], g.shape[-1])
    if len(g.shape) != 4 or g.shape[0] != x.shape[0] or g.dtype != x.dtype:
        raise ValueError(f"expected a value for every place of a 3 x 3 kernel in {x}, received {g}")
    if parts < 1 or x.shape[0] % parts:
        raise ValueError(f"cannot cut {x.shape[0]} rows into {parts} equal parts")
    return (parts, SEEN, SEEN, x.shape[-1], g.shape[-1]), x.dtype


def _gradient_reference(x: np.ndarray, g: np.ndarray, parts: int) -> np.ndarray:
    batch, height, width, features = g.shape
    tiles = g.reshape(batch, height // TILE, TILE, width // TILE, TILE, features)
    spread = np.einsum("pi,qj,bdpaqf->bdaijf", OUTPUT, OUTPUT, tiles)
    seen, spread = (v.reshape(parts, batch // parts, *v.shape[1:]) for v in (_seen(x), spread))
    return np.einsum("sbdaijc,sbdaijf->sijcf", seen, spread)


define("winograd", "contraction", _rule, _reference, (None, None))
define("winograd_gradient", "contraction", _gradient_rule, _gradient_reference, (None, None))


# -- the kernel ---------------------------------------------------------------


def _kernel_rule(w: Node, back: bool) -> Rule:
    before, after = (SEEN, SIZE) if back else (SIZE, SEEN)
    if len(w.shape) != 4 or w.shape[:2] != (before, before):
        raise ValueError(f"expected shape ({before}, {before}, channels, features), received {w}")
    _vectors(*w.shape[2:])
    return (after, after, *w.shape[2:]), w.dtype


def _kernel_reference(w: np.ndarray, back: bool) -> np.ndarray:
    matrix = KERNEL.T if back else KERNEL
    return np.einsum("ik,jl,klcf->ijcf", matrix, matrix, w)


def _kernel_vjp(g: Tensor, ans: Tensor, w: Tensor, back: bool) -> Tensor:
    return apply("winograd_kernel", g, back=not back)


define("winograd_kernel", "contraction", _kernel_rule, _kernel_reference, (_kernel_vjp,))


def convolution(x: Tensor, w: Tensor) -> Tensor:
    """The convolution of x with a kernel of 3 x 3, one step at a time, nothing padded.

    Args:
        x: (batch, height, width, channels), height and width even and at least 4.
        w: (3, 3, channels, features).

    Returns:
        Tensor of shape (batch, height - 2, width - 2, features).
    """
    return apply("winograd", x, apply("winograd_kernel", w, back=False))


PARTS, TILES_OF_A_PART = 16, 256
"""Parts into which the batch is cut for a kernel's gradient, so that workers share it, and tiles
that each part must have for that to pay."""


def kernel_gradient(x: Tensor, g: Tensor) -> Tensor:
    """The gradient of the kernel of such a convolution, from that of its result.

    A sum over parts of the batch: how many depends on the shapes alone.
    """
    batch, tiles = x.shape[0], math.prod(g.shape[:-1]) // TILE**2
    most = max(1, min(PARTS, tiles // TILES_OF_A_PART))
    parts = next(n for n in range(most, 0, -1) if batch % n == 0)
    found = sum(apply("winograd_gradient", x, g, parts=parts), 0)
    return apply("winograd_kernel", found, back=True)
