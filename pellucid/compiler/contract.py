"""The contraction kernel, written as LLVM IR.

A tile of accumulators stays in registers while the kernel walks along the
contracted axis: at each step it loads vectors of the right operand along the
columns, spreads one scalar of the left operand per row, and multiplies and adds.
The left operand is addressed with strides and never copied. Each element adds
its terms in ascending order, so tiles, threads and vector width change no bit.

What follows the product at the same position (bias, activation, an optimizer's
update) is applied to the tile before it is stored.
"""

from __future__ import annotations

import math

from pellucid.core.storage import LANES

from . import memory
from .body import Body, Position
from .ir import Writer, element, vector
from .kernels import Kernel, Plan
from .nest import share
from .tiles import choose
from .views import View

UNROLLED_EPILOGUE = 96
"""Instructions up to which what follows the product is written out for the whole tile;
longer ones loop over a copy of the tile in fast memory."""

SHORT_DEPTH = 8
"""Contracted lengths up to which the walk is written without a loop."""


class Contraction:
    """Writes one contraction with what follows it."""

    def __init__(self, w: Writer, plan: Plan, kernel: Kernel, shared: bool, registers: int) -> None:
        root = kernel.root
        assert root is not None
        self.w, self.plan, self.kernel, self.shared = w, plan, kernel, shared
        self.root, self.dtype = root, root.dtype
        self.batch = root.shape[:-2]
        self.rows, self.columns = root.shape[-2:]
        self.depth = root.inputs[0].shape[-1]
        self.left: View = plan.operand(root, 0)
        self.right: View = plan.operand(root, 1)
        loops = [*self.batch, self.rows, self.columns]
        kept = [a for a, n in enumerate(loops) if n != 1]
        self.body = Body(w, plan, kernel, loops, {"outer": kept})
        self.tiling = choose(self.rows, self.columns, self.depth, registers)
        self.kind = vector(self.dtype)
        self.pitch = (self.columns + LANES - 1) // LANES * LANES

    def write(self) -> None:
        """The whole kernel: this worker's tiles, one after the other."""
        if 0 in self.root.shape:
            return
        t = self.tiling
        total = math.prod(self.batch) * t.row_tiles * t.column_tiles
        self.looped = len(self.kernel.nodes) * t.rows * t.vectors > UNROLLED_EPILOGUE
        if self.looped:
            size = t.rows * t.vectors * LANES
            self.w.line(f"%tile = alloca [{size} x {element(self.dtype)}], align 64")
        if total == 1 and not self.shared:
            self._tile(
                [0] * len(self.batch),
                0,
                0,
                t.last_rows or t.rows,
                t.last_vectors or t.vectors,
                last_column=True,
            )
            return
        start, stop = share(self.w, total) if self.shared else ("0", str(total))
        with self.w.loop(start, stop) as loop:
            self._numbered(loop.index)

    def _numbered(self, number: str) -> None:
        """The tile of that number: batch, then columns, then rows."""
        w, t = self.w, self.tiling
        row, rest = self._split(number, t.row_tiles)
        column, rest = self._split(rest, t.column_tiles)
        batch: list[str | int] = []
        for length in reversed(self.batch):
            index, rest = self._split(rest, length)
            batch.insert(0, index)
        top = self.body.times(row, t.rows)
        left = self.body.times(column, t.vectors * LANES)
        heights = [(t.rows, t.row_tiles - (t.last_rows > 0)), (t.last_rows, 1)]
        widths = [(t.vectors, t.column_tiles - (t.last_vectors > 0)), (t.last_vectors, 1)]
        cases = [
            (height, width, i, j)
            for i, (height, n) in enumerate(heights)
            for j, (width, m) in enumerate(widths)
            if height and width and n and m
        ]
        for height, width, at_bottom, at_right in cases:
            if len(cases) == 1:
                self._tile(batch, top, left, height, width, self._is_last_column(at_right))
                break
            fits = "true"
            for index, count, last, here in (
                (row, t.row_tiles, t.last_rows, at_bottom),
                (column, t.column_tiles, t.last_vectors, at_right),
            ):
                if last and not isinstance(index, int):
                    test = w.let(f"icmp {'eq' if here else 'ne'} i64 {index}, {count - 1}")
                    fits = test if fits == "true" else w.let(f"and i1 {fits}, {test}")
            with w.when(fits):
                self._tile(batch, top, left, height, width, self._is_last_column(at_right))

    def _is_last_column(self, at_right: int) -> bool:
        """The tile may stand at the right edge, where lanes can be missing."""
        return bool(at_right) or not self.tiling.last_vectors

    def _split(self, number: str | int, length: int) -> tuple[str | int, str | int]:
        if length == 1:
            return 0, number
        if isinstance(number, int):
            return number % length, number // length
        return (
            self.w.let(f"urem i64 {number}, {length}"),
            self.w.let(f"udiv i64 {number}, {length}"),
        )

    # -- one tile -----------------------------------------------------------

    def _tile(
        self,
        batch: list[str | int],
        top: str | int,
        left: str | int,
        height: int,
        width: int,
        last_column: bool,
    ) -> None:
        tail = self.columns % LANES if last_column else 0
        if tail and isinstance(left, str) and self.tiling.column_tiles > 1:
            # The same tile serves full columns and the last: only padding may be touched.
            if not self._may_run_over():
                with self.w.when(self._is_at_edge(left, width)):
                    self._tile_of(batch, top, left, height, width, tail)
                with self.w.when(self._is_at_edge(left, width, negate=True)):
                    self._tile_of(batch, top, left, height, width, 0)
                return
            tail = 0
        self._tile_of(batch, top, left, height, width, tail)

    def _is_at_edge(self, left: str, width: int, negate: bool = False) -> str:
        edge = self.columns - width * LANES
        return self.w.let(f"icmp {'sle' if negate else 'sgt'} i64 {left}, {edge}")

    def _may_run_over(self) -> bool:
        loads = all(
            c.buffer is None or c.buffer.has_slack or c.strides[-1] == 0
            for c in self.body.cursors()
        )
        stores = all(self.body.is_roomy(s, "outer") for s in self.kernel.stores)
        gathers = any(n.name == "gather" for n in self.kernel.nodes)
        return loads and stores and self.right.buffer.has_slack and not gathers

    def _tile_of(
        self,
        batch: list[str | int],
        top: str | int,
        left: str | int,
        height: int,
        width: int,
        tail: int,
    ) -> None:
        valid = [LANES] * width
        if tail:
            valid[-1] = tail
        sums = self._walk(batch, top, left, height, width, valid)
        positions = [(m, v) for m in range(height) for v in range(width)]
        if not self.looped:
            for (m, v), value in zip(positions, sums, strict=True):
                self._finish(batch, top, left, m, v, valid[v], value)
            return
        w = self.w
        for (m, v), value in zip(positions, sums, strict=True):
            at = memory.address(w, self.dtype, "%tile", (m * width + v) * LANES)
            w.line(f"store {self.kind} {value}, ptr {at}, align 64")
        with w.loop("0", str(height)) as loop:
            first = self.body.times(loop.index, width * LANES)
            for v in range(width):
                at = memory.address(w, self.dtype, "%tile", self.body.plus(first, v * LANES))
                value = w.let(f"load {self.kind}, ptr {at}, align 64")
                self._finish(batch, top, left, loop.index, v, valid[v], value)

    def _finish(
        self,
        batch: list[str | int],
        top: str | int,
        left: str | int,
        m: str | int,
        v: int,
        valid: int,
        value: str,
    ) -> None:
        """What follows the product, for one vector of it."""
        body = self.body
        body.values[self.root] = value
        indices = [*batch, body.plus(top, m), body.plus(left, v * LANES)]
        body.write_section("outer", Position(indices, valid))

    def _walk(
        self,
        batch: list[str | int],
        top: str | int,
        left: str | int,
        height: int,
        width: int,
        valid: list[int],
    ) -> list[str]:
        """Along the contracted axis; the accumulators, row by row."""
        w, body = self.w, self.body
        a, b = self.left, self.right
        a_row, a_step = a.strides[-2:]
        b_step = b.strides[-2]
        a_at: str | int = body.plus(a.offset, body.times(top, a_row))
        b_at: str | int = body.plus(b.offset, left)
        for index, a_stride, b_stride in zip(batch, a.strides, b.strides, strict=False):
            if a_stride:
                a_at = body.plus(a_at, body.times(index, a_stride))
            if b_stride:
                b_at = body.plus(b_at, body.times(index, b_stride))
        a_start = memory.address(w, self.dtype, body.base(a.buffer), a_at)
        b_start = memory.address(w, self.dtype, body.base(b.buffer), b_at)

        def turn(a_here: str, b_here: str, sums: list[str]) -> list[str]:
            columns = [
                memory.load(
                    w,
                    self.dtype,
                    memory.address(w, self.dtype, b_here, v * LANES),
                    1,
                    valid[v],
                    b.buffer.has_slack,
                )
                for v in range(width)
            ]
            following = []
            for m in range(height):
                at = memory.address(w, self.dtype, a_here, m * a_row)
                scalar = memory.spread(w, self.dtype, memory.load_scalar(w, self.dtype, at))
                for v in range(width):
                    following.append(w.fma(self.dtype, scalar, columns[v], sums[m * width + v]))
            return following

        sums = ["zeroinitializer"] * (height * width)
        if self.depth <= SHORT_DEPTH:
            for k in range(self.depth):
                a_here = memory.address(w, self.dtype, a_start, k * a_step)
                b_here = memory.address(w, self.dtype, b_start, k * b_step)
                sums = turn(a_here, b_here, sums)
            return sums
        carried = [("ptr", a_start), ("ptr", b_start)] + [(self.kind, s) for s in sums]
        with w.loop("0", str(self.depth), carried=carried) as loop:
            a_here, b_here, *running = loop.values
            loop.following = [
                "",
                "",
                *turn(a_here, b_here, running),
            ]
            loop.following[0] = w.let(
                f"getelementptr {element(self.dtype)}, ptr {a_here}, i64 {a_step}"
            )
            loop.following[1] = w.let(
                f"getelementptr {element(self.dtype)}, ptr {b_here}, i64 {b_step}"
            )
        return loop.values[2:]
