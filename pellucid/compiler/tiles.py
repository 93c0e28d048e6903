"""Shapes of the contraction's register tiles."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.core.storage import LANES


@dataclass(frozen=True)
class Tiling:
    """How a product is cut: `rows` by `vectors` accumulators live in registers.

    Attributes:
        rows, vectors: of a full tile.
        last_rows, last_vectors: of the tiles at the lower and right edge (0: no such tile).
    """

    rows: int
    vectors: int
    row_tiles: int
    column_tiles: int
    last_rows: int
    last_vectors: int


def choose(rows: int, columns: int, depth: int, registers: int) -> Tiling:
    """The tile that needs the fewest cycles, edges and padding included.

    Counts, for one step along the depth, multiply-adds (two a cycle), loads (two a
    cycle: one per row to spread, one per vector), and the four cycles that each
    accumulator must wait for its last result. Which tile is chosen changes no bit.
    """
    rows, vectors = max(rows, 1), max(-(-columns // LANES), 1)
    best: tuple[float, Tiling] | None = None
    for v in range(1, min(vectors, 8) + 1):
        for r in range(1, min(rows, 32) + 1):
            if r * v + v + 1 > registers and r * v > 1:
                break
            full_rows, last_rows = divmod(rows, r)
            full_columns, last_vectors = divmod(vectors, v)
            cost = 0.0
            for n, height in ((full_rows, r), (1, last_rows)):
                for m, width in ((full_columns, v), (1, last_vectors)):
                    if height and width:
                        cost += n * m * (_cycles(height, width) * depth + 12 + 2 * height * width)
            kinds = (1 + (last_rows > 0)) * (1 + (last_vectors > 0))
            cost *= 1 + 0.01 * (kinds - 1)
            tiling = Tiling(
                r,
                v,
                full_rows + (last_rows > 0),
                full_columns + (last_vectors > 0),
                last_rows,
                last_vectors,
            )
            if best is None or cost < best[0]:
                best = cost, tiling
    assert best is not None
    return best[1]


def _cycles(rows: int, vectors: int) -> float:
    return max(rows * vectors / 2, (rows + vectors) / 1.6, 4.0)
