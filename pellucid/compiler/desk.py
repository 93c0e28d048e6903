"""Shapes of Winograd's convolution: blocks of tiles, and the tables on the desk of a worker."""

from __future__ import annotations

import math
from typing import NamedTuple

from pellucid.core.node import Node
from pellucid.core.storage import LANES
from pellucid.core.winograd import coordinates_of, tiles_of

TILES = {"winograd": 16, "winograd_gradient": 64}
"""Tiles that a block should have: more where each turn reads and writes all sums."""

DESK = 1 << 16
"""Coordinates that a block should have at most."""


class Block(NamedTuple):
    """Tiles that are worked on together: so many rows of tiles of so many images."""

    images: int
    rows: int
    across: int

    @property
    def tiles(self) -> int:
        """How many there are."""
        return self.images * self.rows * self.across


class Table(NamedTuple):
    """A matrix for each coordinate, so many elements apart; where they begin is known later."""

    coordinates: int
    rows: int
    columns: int
    apart: int
    start: str = ""

    @property
    def size(self) -> int:
        """Elements of all of it."""
        return self.coordinates * self.apart


def _on_desk(root: Node, rows: int, columns: int) -> Table:
    """A matrix for each coordinate; those of whole KiB are moved apart, as rows in storage."""
    return Table(math.prod(coordinates_of(root)), rows, columns, rows * columns + LANES)


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


def block_of(root: Node) -> Block:
    """The block whose tiles come closest in number to what is wanted."""
    batch, channels = root.inputs[0].shape[0], root.inputs[0].shape[-1]
    down, across = tiles_of(root)
    if root.name == "winograd_gradient":
        batch //= root.shape[0]
    numbers = (channels + root.shape[-1]) * math.prod(coordinates_of(root))  # of each tile
    wanted = min(TILES[root.name], max(DESK // numbers, 1))
    whole = [Block(images, down, across) for images in _divisors(batch)]
    parts = [Block(1, rows, across) for rows in _divisors(down)]
    return min(parts + whole, key=lambda block: abs(math.log(block.tiles / wanted)))


def tables_of(root: Node) -> list[Table]:
    """What lies on the desk of a worker, one behind the other."""
    if 0 in root.shape or root.name == "winograd_kernel":
        return []
    tiles, channels, features = block_of(root).tiles, root.inputs[0].shape[-1], root.shape[-1]
    tables = [_on_desk(root, tiles, channels), _on_desk(root, tiles, features)]
    return tables + [_on_desk(root, channels, features)] * (root.name == "winograd_gradient")
