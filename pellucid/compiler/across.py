"""Products with few columns, such as the gradient of a layer for a few classes.

Their columns would leave most lanes of a vector empty: here the rows' number runs along the lanes
instead, where the left operand lies in that order, and the tile is turned about at the end. Each
element adds the same terms in the same order.
"""

from __future__ import annotations

from pellucid.core.storage import LANES

from . import memory
from .body import Position
from .claim import claim
from .contract import Contraction, Tile
from .ir import element, fitting
from .kernels import Kernel, Plan
from .tiles import Axis, Tiling, cut, shared_axes

MOST_VECTORS = 8
"""Vectors beside each other in a tile."""

GAIN = 0.8
"""Share of the usual number of cycles from which on turning does not pay."""


class Across(Contraction):
    """Writes one contraction with few columns; `fits` says which ones."""

    @staticmethod
    def fits(plan: Plan, kernel: Kernel, registers: int) -> bool:
        """Whether a contraction is faster with its rows along the lanes, and may be."""
        root = kernel.root
        assert root is not None
        batch = shared_axes(root) if root.name in ("matmul", "tensordot") else -1
        if batch < 0 or len(root.shape) != batch + 2 or kernel.blocks or kernel.bound == "rows":
            return False
        rows, columns = root.shape[-2:]
        left = plan.operand(root, 0)
        if not 1 < columns < LANES <= rows or columns + 2 > registers:
            return False
        usual = rows * (0.5 if fitting(columns) <= LANES // 2 else 1)
        turned = columns * -(-rows // LANES)
        return left.strides[batch] == 1 and left.buffer.has_slack and turned < GAIN * usual

    def _arrange(self) -> None:
        """The operands change places."""
        rows = self.root.shape[-2]
        self.rows = [(self.columns, self.right.strides[-1])]
        self.columns = rows
        self.left, self.right = self.right, self.left
        self.batch = [Axis(n, b, a) for n, a, b in self.batch]
        self.depth = [Axis(n, b, a) for n, a, b in self.depth]

    def _cut(
        self, lengths: list[int], total: int, registers: int, shares: int, single: int | None
    ) -> Tiling:
        """Tiles with all of the few columns, and as many vectors as registers hold."""
        (columns,), vectors = lengths, -(-self.columns // LANES)
        most = min((registers - 1) // (columns + 1), -(-vectors // shares), MOST_VECTORS)
        return cut(columns, columns, vectors, max(most, 1), 0, 1, 1)

    def _shared_terms(self) -> int:
        return 1

    def _ask_ahead(self, tile: Tile) -> None:
        """Small results are near; of what others have read the line at each row is taken back."""
        w, body = self.w, self.body
        for buffer in self.kernel.claims:
            cursor = body.cursor(buffer.whole(), "outer")
            at = body.offset(cursor, Position([*tile.batch, tile.left, 0]))
            first = memory.address(w, buffer.dtype, body.base(buffer), at)
            with w.loop("0", str(sum(tile.valid))) as loop:
                row = body.times(loop.index, cursor.strides[-2])
                claim(w, buffer, memory.address(w, buffer.dtype, first, row))

    def _may_run_over(self) -> bool:
        """Behind the last lane that counts there are no rows."""
        return False

    def write(self) -> None:
        """The whole kernel: this worker's tiles, one after the other."""
        self.w.line(f"%turned = alloca [{LANES * LANES} x {element(self.dtype)}], align 64")
        super().write()

    def _finish_all(self, tile: Tile, sums: list[str]) -> None:
        """What follows the product, row by row of each vector, turned about."""
        w, body, columns = self.w, self.body, self.rows[0][0]
        lanes = fitting(columns)
        for v, (kind, valid) in enumerate(zip(self._kinds(tile), tile.valid, strict=True)):
            own = [self._whole(kind, tile.lanes[v], value) for value in sums[v :: tile.width]]
            turned = memory.turned(w, self.dtype, own + ["poison"] * (LANES - columns))
            for m, row in enumerate(turned[:valid]):
                at = memory.address(w, self.dtype, "%turned", m * LANES)
                w.line(f"store {self.kind} {row}, ptr {at}, align 64")
            with w.loop("0", str(valid)) as loop, w.as_lanes(lanes):
                at = memory.address(w, self.dtype, "%turned", body.times(loop.index, LANES))
                body.values[self.root] = memory.load(w, self.dtype, at, 1, lanes, True)
                place = body.plus(body.plus(tile.left, v * LANES), loop.index)
                body.write_section("outer", Position([*tile.batch, place, 0], columns))

    def _whole(self, kind: str, lanes: int, value: str) -> str:
        """A vector of fewer lanes as one of 16."""
        if lanes == LANES:
            return value
        more = ", ".join(f"i32 {i if i < lanes else 'poison'}" for i in range(LANES))
        return self.w.let(f"shufflevector {kind} {value}, {kind} poison, <{LANES} x i32> <{more}>")
