"""Shapes of a contraction: its axes, and the register tiles into which it is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pellucid.core.node import Node
from pellucid.core.storage import LANES
from pellucid.core.winograd import coordinates_of, size_of, tiles_of

from .views import View

MOST_ROWS = 32

FEW_ROWS, SHARES = 6, 4
"""Tiles that a product which workers share should have at least, unless it has too few rows."""


NEAR = 480
"""Vectors of the right operand that stay beside the registers, in the first-level cache, while
tiles one below another meet them; of more, one comes in every second cycle."""


class Axis(NamedTuple):
    """One contracted axis: its length, and the strides along it on either side."""

    length: int
    left: int
    right: int


def shared_axes(root: Node) -> int:
    """Leading axes of both operands along which products stay apart."""
    return len(root.shape) - 2 if root.name == "matmul" else root.attr("batch")


def depth_axes(root: Node) -> int:
    """Number of contracted axes."""
    return 1 if root.name == "matmul" else root.attr("depth")


def terms(root: Node) -> int:
    """How many products an element of a contraction adds up, more or less."""
    if root.name in ("matmul", "tensordot"):
        return math.prod(root.inputs[0].shape[-depth_axes(root) :])
    if root.name == "winograd_kernel":
        return 2
    x, coordinates = root.inputs[0].shape, math.prod(coordinates_of(root))
    if root.name == "winograd":
        return x[-1] * coordinates // math.prod(root.attr("places"))
    tiles = x[0] // root.shape[0] * math.prod(tiles_of(root))
    return tiles * coordinates // math.prod(size_of(root))


def depth_of(root: Node, left: View, right: View) -> list[Axis]:
    """The contracted axes, those that run on evenly on both sides made one."""
    batch, count = shared_axes(root), depth_axes(root)
    lengths = left.shape[len(left.shape) - count :]
    axes: list[Axis] = []
    for axis in map(Axis, lengths, left.strides[-count:], right.strides[batch:]):
        if axis.length == 1:
            continue
        if axes and axes[-1][1:] == (axis.left * axis.length, axis.right * axis.length):
            axis = Axis(axes.pop().length * axis.length, axis.left, axis.right)
        axes.append(axis)
    return axes or [Axis(1, 0, 0)]


class Within(NamedTuple):
    """A value within zeros, where windows that slide along a row axis meet it.

    Attributes:
        axis: the row axis.
        first: the row of the value that the first element of the first window meets; negative
            in the padding.
        inner: rows of the value.
    """

    axis: int
    first: int
    inner: int


ROOM, SPARED = 8, 0.1
"""Rows of a product that one row of windows should have, and the share of its products that should
be with padding, for these to be left out."""


def within_of(
    left: View, batch: Sequence[Axis], rows: Sequence[tuple[int, int]], depth: Sequence[Axis]
) -> Within | None:
    """Where the first contracted axis walks over padding, so that it could be cut; else None.

    By shapes alone: what an infinite number in the other operand does shall not depend on tiles.

    Args:
        left: the left operand.
        batch: axes along which products stay apart.
        rows: lengths and strides of the row axes.
        depth: the contracted axes.
    """
    (length, step, _), buffer = depth[0], left.buffer
    found = [i for i, (_, stride) in enumerate(rows) if stride == step]
    if buffer.frame is None or length == 1:
        return None
    if len(found) != 1 or buffer.strides.count(step) != 1:
        return None
    row, along = found[0], buffer.strides.index(step)
    moves = [(axis.length, axis.left) for axis in (*batch, *depth[1:])]
    moves += [*rows[:row], *rows[row + 1 :]]
    first, before = left.offset, buffer.frame[0]
    for stride in buffer.strides[:along]:
        first, before = first % stride, before % stride
    inside = first % step + math.fsum((n - 1) * stride for n, stride in moves if stride < step)
    outside = [stride for _, stride in moves if stride >= step]
    alone = all(stride in buffer.strides[:along] for stride in outside)
    if not alone or inside >= step or any(stride < 0 for _, stride in moves):
        return None
    first, inner = first // step - before // step, buffer.frame[1][along]
    places = range(first, first + rows[row][0])
    taken = [max(min(length, inner - at) - max(-at, 0), 0) for at in places]
    spared = 1 - math.fsum(taken) / (length * len(places))
    room = math.prod(n for n, _ in rows[row + 1 :])
    return Within(row, first, inner) if spared >= SPARED and room >= ROOM else None


@dataclass(frozen=True)
class Tiling:
    """How a product is cut: `rows` by `vectors` accumulators live in registers.

    The rows of a tile are part of one row axis, with all of the axes after it.

    Attributes:
        rows, vectors: of a full tile.
        axis: the row axis that is cut.
        inner: rows that one element of that axis has.
        outer: how often the axis is met: the product of the axes before it.
        row_tiles, column_tiles: number of tiles along the cut axis, and along the columns.
        last_rows, last_vectors: of the tiles at the lower and right edge (0: no such tile).
    """

    rows: int
    vectors: int
    axis: int
    inner: int
    outer: int
    row_tiles: int
    column_tiles: int
    last_rows: int
    last_vectors: int

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return self.outer * self.row_tiles * self.column_tiles


def choose(
    lengths: Sequence[int],
    columns: int,
    depth: int,
    registers: int,
    shared: int = 1,
    shares: int = 1,
    single: int | None = None,
) -> Tiling:
    """The tile that needs the fewest cycles, edges and padding included.

    Counts, for one step along the depth, multiply-adds (two a cycle), loads (two a
    cycle: one per row to spread, one per vector; fewer where the vectors of all steps
    are more than `NEAR`), and the four cycles that each accumulator must wait for its
    last result. Which tile is chosen changes no bit.

    Args:
        lengths: of the row axes.
        columns: length of the last axis.
        depth: terms of each element.
        registers: vectors that the processor's registers hold.
        shared: terms for which each spread scalar serves, their columns held as well.
        shares: how many tiles there must be, if a tile of few rows allows that.
        single: a row axis of which a tile has one element only.
    """
    lengths = [max(n, 1) for n in lengths]
    vectors = max(-(-columns // LANES), 1)
    fewest = min(shares, vectors * math.prod(lengths) // FEW_ROWS)
    best: tuple[float, Tiling] | None = None
    for axis in range(len(lengths) - 1, -1 if single is None else single - 1, -1):
        inner, outer = math.prod(lengths[axis + 1 :]), math.prod(lengths[:axis])
        for v in range(1, min(vectors, 8) + 1):
            most = 1 if axis == single else min(lengths[axis], MOST_ROWS // inner)
            for part in range(1, most + 1):
                r = part * inner
                if r * v + v * shared + 1 > registers and r * v > 1:
                    break
                tiling = cut(lengths[axis], part, vectors, v, axis, inner, outer)
                if tiling.count < fewest:
                    continue
                cost = _cost(tiling, lengths[axis] // part, vectors // v, depth, shared)
                if shares > 1:  # two workers wait for the one with more tiles
                    cost *= -(-tiling.count // 2) * 2 / tiling.count
                if best is None or cost < best[0]:
                    best = cost, tiling
    assert best is not None
    return best[1]


def cut(length: int, part: int, vectors: int, v: int, axis: int, inner: int, outer: int) -> Tiling:
    """Tiles of `part` elements of an axis, with all that is inside each, by v vectors."""
    rows_left, vectors_left = length % part, vectors % v
    return Tiling(
        part * inner,
        v,
        axis,
        inner,
        outer,
        length // part + (rows_left > 0),
        vectors // v + (vectors_left > 0),
        rows_left * inner,
        vectors_left,
    )


def _cost(t: Tiling, full_rows: int, full_columns: int, depth: int, shared: int) -> float:
    cost = 0.0
    for n, height in ((full_rows, t.rows), (1, t.last_rows)):
        for m, width in ((full_columns, t.vectors), (1, t.last_vectors)):
            if height and width:
                cycles = _cycles(height, width, shared, depth)
                cost += n * m * (cycles * depth + 12 + 2 * height * width)
    kinds = (1 + (t.last_rows > 0)) * (1 + (t.last_vectors > 0))
    return t.outer * cost * (1 + 0.01 * (kinds - 1))


def _cycles(rows: int, vectors: int, shared: int, depth: int) -> float:
    spread = (rows + shared - 1) / shared
    far = 2 * vectors if vectors * depth > NEAR else 0
    return max(rows * vectors / 2, (spread + vectors) / 1.6, 4.0, far)
