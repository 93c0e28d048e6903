"""The contraction kernel, written as LLVM IR.

A tile of accumulators stays in registers while the kernel walks along the contracted
axes: at each step it loads vectors of the right operand along the columns, spreads one
scalar of the left operand per row, and multiplies and adds. The left operand is
addressed with strides and never copied: over overlapping windows the same kernel is a
convolution. Each element adds its terms in ascending order, so tiles, blocks, threads
and vector width change no bit.

What follows the product at the same position (bias, activation, an optimizer's update)
is applied to the tile before it is stored.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pellucid.core.storage import LANES

from . import memory
from .body import LINE, Body, Position
from .claim import Ahead, claim
from .ir import Writer, element, fitting
from .kernels import Kernel, Plan
from .nest import share
from .tiles import SHARES, Axis, Tiling, Within, choose, depth_of, shared_axes, within_of
from .views import View

UNROLLED_EPILOGUE = 96
"""Instructions up to which what follows the product is written out for the whole tile;
longer ones loop over a copy of the tile in fast memory."""

SHORT_DEPTH = 8
"""Contracted length up to which the walk is written without a loop. Not for the inside of a
longer one: neighbouring windows share elements, which would be kept in too many registers."""

ASKED_FROM, FAR = 16, 1 << 15
"""Contracted length from which it pays to ask for what follows the product, and elements from
which a buffer may lie far away."""

ROW_TILES = 16
"""Tiles one below another from which workers divide the rows between them."""

MOST_SHARED = 8
"""Terms for which a spread scalar may serve."""

Index = str | int


class Tile(NamedTuple):
    """Where a tile stands, and how large it is.

    Attributes:
        batch: an index per shared axis.
        rows: an index per row axis; the tile begins there and runs on in row-major order.
        flat: the number of its first row.
        left: its first column.
        height, width: rows, and vectors of columns.
        lanes, valid: of each vector, and those of them that count.
    """

    batch: list[Index]
    rows: list[Index]
    flat: Index
    left: Index
    height: int
    width: int
    lanes: list[int]
    valid: list[int]

    def lines(self, lanes: int, line: int) -> list[int]:
        """Columns, counted from the first, in which lines of so many elements begin."""
        return [
            v * lanes + at for v, valid in enumerate(self.valid) for at in range(0, valid, line)
        ]


class Contraction:
    """Writes one contraction with what follows it."""

    def __init__(self, w: Writer, plan: Plan, kernel: Kernel, shared: bool, registers: int) -> None:
        root = kernel.root
        assert root is not None
        self.w, self.plan, self.kernel, self.shared = w, plan, kernel, shared
        self.root, self.dtype = root, root.dtype
        self.left: View = plan.operand(root, 0)
        self.right: View = plan.operand(root, 1)
        self.depth = depth_of(root, self.left, self.right)
        self.columns = root.shape[-1]
        batch, rows = shared_axes(root), len(root.shape) - 1
        self.batch = [
            Axis(n, a, b)
            for n, a, b in zip(
                root.shape[:batch], self.left.strides, self.right.strides, strict=False
            )
            if n != 1
        ]
        self.rows = [
            (n, a)
            for n, a in zip(root.shape[batch:rows], self.left.strides[batch:], strict=False)
            if n != 1
        ] or [(1, 0)]
        lengths = [axis.length for axis in self.batch] + [n for n, _ in self.rows]
        loops = [*lengths, self.columns]
        kept = [a for a, n in enumerate(loops) if n != 1]
        self.body = Body(w, plan, kernel, loops, {"outer": kept})
        self._arrange()
        total = math.prod(axis.length for axis in self.depth)
        self.is_short = total <= SHORT_DEPTH
        self.shared_terms = self._shared_terms()
        parts = math.prod(axis.length for axis in self.batch)
        shares = SHARES // max(parts, 1) if shared else 1
        self.within = None
        whole = not self.is_short and not kernel.blocks
        self.bound = kernel.bound if whole and len(self.depth) == 1 else ""
        if whole and not self.bound:
            self.within = within_of(self.left, self.batch, self.rows, self.depth)
        lengths = [n for n, _ in self.rows]
        single = None if self.within is None else self.within.axis
        self.tiling = self._cut(lengths, total, registers, max(shares, 1), single)
        w.lanes = fitting(self.columns)
        self.kind = w.vector(self.dtype)

    def _cut(
        self, lengths: list[int], total: int, registers: int, shares: int, single: int | None
    ) -> Tiling:
        """The tiles; see `choose`."""
        return choose(lengths, self.columns, total, registers, self.shared_terms, shares, single)

    def _arrange(self) -> None:
        """Row axes that run on evenly become one, for all buffers at once."""
        first = len(self.batch)
        for i in range(len(self.rows) - 2, -1, -1):
            (n, outer), (m, inner) = self.rows[i : i + 2]
            axis = first + i
            even = all(c.strides[axis] == c.strides[axis + 1] * m for c in self.body.cursors())
            if outer == inner * m and even:
                self.body.merge(axis)
                self.rows[i : i + 2] = [(n * m, inner)]

    def _shared_terms(self) -> int:
        """Terms along the last contracted axis if neighbouring rows see the same elements there."""
        axis, stride = self.depth[-1], self.rows[-1][1]
        few = 1 < axis.length <= MOST_SHARED and self.columns <= LANES and not self.is_short
        return axis.length if few and 0 < stride == axis.left else 1

    def write(self) -> None:
        """The whole kernel: this worker's tiles, one after the other."""
        if 0 in self.root.shape:
            return
        w, t = self.w, self.tiling
        total = math.prod(axis.length for axis in self.batch) * t.outer * t.row_tiles
        total *= t.column_tiles
        self.looped = len(self.kernel.nodes) * t.rows * t.vectors > UNROLLED_EPILOGUE
        if self.looped:
            size = t.rows * t.vectors * self.w.lanes
            w.line(f"%tile = alloca [{size} x {element(self.dtype)}], align 64")
        self._walk(total)

    def _walk(self, total: int) -> None:
        """Tile after tile, each from the beginning of its depth to the end."""

        ahead = Ahead(self.w, self.kernel.ahead, self.body.base, total)

        def act(tile: Tile) -> None:
            self._ask_ahead(tile)
            ahead.take()
            sums = ["zeroinitializer"] * (tile.height * tile.width)
            sums = self._along(tile, sums, 0, None)
            if self.bound == "rows":
                sums = self._without_dead_rows(tile, sums)
            self._finish_all(tile, sums)

        self._each(total, act)

    # -- which tiles --------------------------------------------------------

    def _each(self, total: int, act: Callable[[Tile], None]) -> None:
        """Every tile of this worker's share."""
        if total == 1:
            t = self.tiling
            height, width = t.last_rows or t.rows, t.last_vectors or t.vectors
            rows: list[Index] = [0] * len(self.rows)
            first = self.w.let("icmp eq i64 %worker, 0") if self.shared else ""
            with self.w.when(first) if self.shared else contextlib.nullcontext():
                self._at_edge([0] * len(self.batch), rows, 0, 0, height, width, True, act)
            return
        with self._numbers(total) as number:
            self._numbered(number, act)

    @contextlib.contextmanager
    def _numbers(self, total: int) -> Iterator[str]:
        """A loop over the numbers of this worker's tiles.

        It has a part of the rows, with all of their columns, where there are enough of them: what
        it reads of them, and what comes of that, then stays with it from kernel to kernel.
        """
        w, t = self.w, self.tiling
        one_below_another = total == t.count and not t.axis  # neither other rows, nor batches
        divided = self.shared and t.column_tiles > 1 and t.row_tiles >= ROW_TILES
        if one_below_another and divided:
            start, stop = share(w, t.row_tiles)
            with w.loop("0", str(t.column_tiles)) as columns:
                first = w.let(f"mul i64 {columns.index}, {t.row_tiles}")
                with w.loop(start, stop) as rows:
                    yield w.let(f"add i64 {first}, {rows.index}")
            return
        start, stop = share(w, total) if self.shared else ("0", str(total))
        with w.loop(start, stop) as loop:
            yield loop.index

    def _live(self) -> str:
        """How many rows of the batch count."""
        assert self.plan.count is not None
        at = self.body.base(self.plan.count)
        return self.w.let(f"sext i32 {self.w.let(f'load i32, ptr {at}')} to i64")

    def _numbered(self, number: str, act: Callable[[Tile], None]) -> None:
        """The tile of that number, counted along the rows of one place, then columns, then on."""
        w, t = self.w, self.tiling
        lengths = [n for n, _ in self.rows]
        row, rest = self._split(number, t.row_tiles)
        outer: list[Index] = []
        for length in reversed(lengths[1 : t.axis]):
            index, rest = self._split(rest, length)
            outer.insert(0, index)
        column, rest = self._split(rest, t.column_tiles)
        if t.axis:
            index, rest = self._split(rest, lengths[0])
            outer.insert(0, index)
        batch: list[Index] = []
        for axis in reversed(self.batch):
            index, rest = self._split(rest, axis.length)
            batch.insert(0, index)
        top = self.body.times(row, t.rows // t.inner)
        rows = [*outer, top, *([0] * (len(lengths) - t.axis - 1))]
        flat: Index = 0
        for index, length in zip([*outer, top], lengths, strict=False):
            flat = self.body.plus(self.body.times(flat, length), index)
        flat = self.body.times(flat, t.inner)
        left = self.body.times(column, t.vectors * self.w.lanes)
        heights = [(t.rows, t.row_tiles - (t.last_rows > 0)), (t.last_rows, 1)]
        widths = [(t.vectors, t.column_tiles - (t.last_vectors > 0)), (t.last_vectors, 1)]
        cases = [
            (height, width, i, j)
            for i, (height, n) in enumerate(heights)
            for j, (width, m) in enumerate(widths)
            if height and width and n and m
        ]
        for height, width, at_bottom, at_right in cases:
            last_column: bool | None = at_right > 0 or t.column_tiles == 1
            if not last_column and not t.last_vectors:
                last_column = None
            if len(cases) == 1:
                self._at_edge(batch, rows, flat, left, height, width, last_column, act)
                break
            fits = "true"
            for place, count, last, here in (
                (row, t.row_tiles, t.last_rows, at_bottom),
                (column, t.column_tiles, t.last_vectors, at_right),
            ):
                if last and not isinstance(place, int):
                    test = w.let(f"icmp {'eq' if here else 'ne'} i64 {place}, {count - 1}")
                    fits = test if fits == "true" else w.let(f"and i1 {fits}, {test}")
            with w.when(fits):
                self._at_edge(batch, rows, flat, left, height, width, last_column, act)

    def _split(self, number: Index, length: int) -> tuple[Index, Index]:
        if length == 1:
            return 0, number
        if isinstance(number, int):
            return number % length, number // length
        return (
            self.w.let(f"urem i64 {number}, {length}"),
            self.w.let(f"udiv i64 {number}, {length}"),
        )

    def _at_edge(
        self,
        batch: list[Index],
        rows: list[Index],
        flat: Index,
        left: Index,
        height: int,
        width: int,
        last_column: bool | None,
        act: Callable[[Tile], None],
    ) -> None:
        """The tile; twice where the same one serves full columns and the last, partial ones.

        Args:
            batch, rows, flat, left, height, width: of the tile.
            last_column: whether the columns end with it; None where that is seen at run time.
            act: called with the tile.
        """

        def tile(tail: int) -> Tile:
            lanes, valid = [self.w.lanes] * width, [self.w.lanes] * width
            if tail:
                valid[-1] = tail
            if tail and not self.kernel.blocks:
                lanes[-1] = fitting(tail)  # a shorter vector costs less on many processors
            return Tile(batch, rows, flat, left, height, width, lanes, valid)

        tail = self.columns % self.w.lanes if last_column is not False else 0
        if not tail or last_column:
            act(tile(tail))
        elif self._may_run_over():  # only padding is touched
            act(tile(0))
        else:
            edge = self.columns - width * self.w.lanes
            for test, count in (("sgt", tail), ("sle", 0)):
                with self.w.when(self.w.let(f"icmp {test} i64 {left}, {edge}")):
                    act(tile(count))

    def _may_run_over(self) -> bool:
        loads = all(
            c.buffer is None or c.buffer.has_slack or c.strides[-1] == 0
            for c in self.body.cursors()
        )
        stores = all(self.body.is_roomy(s, "outer") for s in self.kernel.stores)
        gathers = any(n.name == "gather" for n in self.kernel.nodes)
        return loads and stores and self.right.buffer.has_slack and not gathers

    # -- what follows the product -------------------------------------------

    def _finish_all(self, tile: Tile, sums: list[str]) -> None:
        """What follows the product, for every vector of the tile."""
        w, width = self.w, tile.width
        if not self.looped:
            for i, value in enumerate(sums):
                self._finish(tile, i // width, i % width, value)
            return
        kinds = self._kinds(tile)
        for i, value in enumerate(sums):
            at = memory.address(w, self.dtype, "%tile", i * self.w.lanes)
            w.line(f"store {kinds[i % width]} {value}, ptr {at}, align 64")
        with w.loop("0", str(tile.height)) as loop:
            first = self.body.times(loop.index, width * self.w.lanes)
            for v, kind in enumerate(kinds):
                at = memory.address(w, self.dtype, "%tile", self.body.plus(first, v * self.w.lanes))
                value = w.let(f"load {kind}, ptr {at}, align 64")
                self._finish(tile, loop.index, v, value)

    def _kinds(self, tile: Tile) -> list[str]:
        """The type of each vector of a row."""
        found = []
        for lanes in tile.lanes:
            with self.w.as_lanes(lanes):
                found.append(self.w.vector(self.dtype))
        return found

    def _finish(self, tile: Tile, m: Index, v: int, value: str) -> None:
        body, t = self.body, self.tiling
        body.values[self.root] = value
        within: list[Index] = []
        for length, _ in reversed(self.rows[t.axis + 1 :]):
            index, m = self._split(m, length)
            within.insert(0, index)
        rows = [*tile.rows[: t.axis], body.plus(tile.rows[t.axis], m), *within]
        indices = [*tile.batch, *rows, body.plus(tile.left, v * self.w.lanes)]
        with self.w.as_lanes(tile.lanes[v]):
            body.write_section("outer", Position(indices, tile.valid[v]))

    def _ask_ahead(self, tile: Tile) -> None:
        """Ask for what the tile's end will read and write, or take it back from other workers."""
        w, body = self.w, self.body
        if math.prod(axis.length for axis in self.depth) < ASKED_FROM:
            return
        written = {
            body.cursor(s.target, "outer") for s in self.kernel.stores if s.target.buffer.has_slack
        }
        first = len(self.batch)
        for cursor in body.cursors():
            if cursor.buffer is None or cursor.strides[-1] != 1:
                continue
            if not any(cursor.strides[first:-1]):
                continue
            far = self.columns >= LANES and math.prod(cursor.buffer.shape) >= FAR
            claimed = cursor in written and cursor.buffer in self.kernel.claims
            if not (far or claimed):
                continue
            line = LINE // cursor.buffer.dtype.itemsize
            at = body.offset(cursor, Position([*tile.batch, *tile.rows, tile.left]))
            start = memory.address(w, cursor.buffer.dtype, body.base(cursor.buffer), at)
            strides = cursor.strides[first + self.tiling.axis : -1]
            for m in range(tile.height):
                row = self._displacement(m, strides)
                for lane in tile.lines(w.lanes, line):
                    place = memory.address(w, cursor.buffer.dtype, start, row + lane)
                    if claimed:
                        claim(w, cursor.buffer, place)
                    else:
                        memory.ask(w, place, write=cursor in written)

    # -- the walk -----------------------------------------------------------

    def _displacement(self, m: int, strides: Sequence[int]) -> int:
        """From the tile's first row to another, by the strides from the cut axis on."""
        offset = 0
        for (length, _), stride in zip(
            self.rows[: self.tiling.axis : -1], strides[:0:-1], strict=True
        ):
            offset += m % length * stride
            m //= length
        return offset + m * strides[0]

    def _along(self, tile: Tile, sums: list[str], first: Index, steps: str | None) -> list[str]:
        """Add the products along the contracted axes, or along part of the first of them.

        Args:
            tile: where.
            sums: the accumulators so far.
            first: where to begin along the first axis.
            steps: how many of its elements to take; all by default.
        """
        body, a, b = self.body, self.left, self.right
        a_at: Index = a.offset
        b_at: Index = body.plus(b.offset, tile.left)
        for (_, stride), index in zip(self.rows, tile.rows, strict=True):
            a_at = body.plus(a_at, body.times(index, stride)) if stride else a_at
        for axis, index in zip(self.batch, tile.batch, strict=True):
            a_at = body.plus(a_at, body.times(index, axis.left)) if axis.left else a_at
            b_at = body.plus(b_at, body.times(index, axis.right)) if axis.right else b_at
        if self.within is not None and steps is None:
            first, steps = self._steps_within(self.within, tile)
        if self.bound:
            steps = self._live_steps(tile)
        a_at = body.plus(a_at, body.times(first, self.depth[0].left))
        b_at = body.plus(b_at, body.times(first, self.depth[0].right))
        a_start = memory.address(self.w, self.dtype, body.base(a.buffer), a_at)
        b_start = memory.address(self.w, self.dtype, body.base(b.buffer), b_at)
        strides = [stride for _, stride in self.rows[self.tiling.axis :]]
        rows = [self._displacement(m, strides) for m in range(tile.height)]
        return self._nested(self.depth, tile, rows, a_start, b_start, sums, steps)

    def _live_steps(self, tile: Tile) -> str:
        """How many terms to add up: of rows that count, or none in a tile of other rows."""
        w, length = self.w, self.depth[0].length
        if self.bound == "rows":
            some = w.let(f"icmp sgt i64 {self._live()}, {tile.flat}")
            return w.let(f"select i1 {some}, i64 {length}, i64 0")
        before = w.let(f"mul i64 {tile.batch[0]}, {length}") if tile.batch else "0"
        left = w.let(f"sub i64 {self._live()}, {before}")
        return self._least(self._greatest(0, left), length)

    def _without_dead_rows(self, tile: Tile, sums: list[str]) -> list[str]:
        """The sums, 0 in rows that do not count."""
        w, live, kinds = self.w, self._live(), self._kinds(tile)
        found = []
        for m in range(tile.height):
            counts = w.let(f"icmp sgt i64 {live}, {self.body.plus(tile.flat, m)}")
            for kind, value in zip(kinds, sums[m * tile.width :], strict=False):
                chosen = f"select i1 {counts}, {kind} {value}, {kind} zeroinitializer"
                found.append(w.let(chosen))
        return found

    def _steps_within(self, within: Within, tile: Tile) -> tuple[Index, str]:
        """The part of the first contracted axis that meets more than padding."""
        w, length = self.w, self.depth[0].length
        at = self.body.plus(tile.rows[within.axis], within.first)
        low = self._greatest(0, w.let(f"sub i64 0, {at}"))
        high = self._least(length, w.let(f"sub i64 {within.inner}, {at}"))
        return low, w.let(f"sub i64 {high}, {low}")

    def _greatest(self, a: Index, b: Index) -> str:
        self.w.declare("declare i64 @llvm.smax.i64(i64, i64)")
        return self.w.let(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    def _least(self, a: Index, b: Index) -> str:
        self.w.declare("declare i64 @llvm.smin.i64(i64, i64)")
        return self.w.let(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def _nested(
        self,
        axes: list[Axis],
        tile: Tile,
        rows: list[int],
        a_here: str,
        b_here: str,
        sums: list[str],
        steps: str | None = None,
    ) -> list[str]:
        """Loops over the contracted axes, the short inside written out."""
        w = self.w
        if not axes:
            return self._turn(tile, rows, a_here, b_here, sums)
        if len(axes) == 1 and self.shared_terms > 1 and steps is None:
            return self._shared_turn(tile, rows, a_here, b_here, sums)
        axis, rest = axes[0], axes[1:]
        if steps is None and self.is_short:
            for k in range(axis.length):
                a_next = memory.address(w, self.dtype, a_here, k * axis.left)
                b_next = memory.address(w, self.dtype, b_here, k * axis.right)
                sums = self._nested(rest, tile, rows, a_next, b_next, sums)
            return sums
        kinds = self._kinds(tile) * tile.height
        carried = [("ptr", a_here), ("ptr", b_here), *zip(kinds, sums, strict=True)]
        with w.loop("0", steps or str(axis.length), carried=carried) as loop:
            a_now, b_now, *running = loop.values
            running = self._nested(rest, tile, rows, a_now, b_now, running)
            kind = element(self.dtype)
            a_next = w.let(f"getelementptr {kind}, ptr {a_now}, i64 {axis.left}")
            b_next = w.let(f"getelementptr {kind}, ptr {b_now}, i64 {axis.right}")
            loop.following = [a_next, b_next, *running]
        return loop.values[2:]

    def _turn(
        self, tile: Tile, rows: list[int], a_here: str, b_here: str, sums: list[str]
    ) -> list[str]:
        """One step along the depth: every row's scalar times every vector of columns."""
        w, roomy, columns = self.w, self.right.buffer.has_slack, []
        for v, (lanes, valid) in enumerate(zip(tile.lanes, tile.valid, strict=True)):
            at = memory.address(w, self.dtype, b_here, v * w.lanes)
            with w.as_lanes(lanes):
                columns.append(memory.load(w, self.dtype, at, 1, valid, roomy))
        following = []
        for m, offset in enumerate(rows):
            at = memory.address(w, self.dtype, a_here, offset)
            scalar, spread = memory.load_scalar(w, self.dtype, at), dict[int, str]()
            for v, lanes in enumerate(tile.lanes):
                with w.as_lanes(lanes):
                    if lanes not in spread:
                        spread[lanes] = memory.spread(w, self.dtype, scalar)
                    total = sums[m * tile.width + v]
                    following.append(w.fma(self.dtype, spread[lanes], columns[v], total))
        return following

    def _shared_turn(
        self, tile: Tile, rows: list[int], a_here: str, b_here: str, sums: list[str]
    ) -> list[str]:
        """All steps along the last axis: a scalar is spread once for every row that meets it."""
        w, axis, roomy = self.w, self.depth[-1], self.right.buffer.has_slack
        columns = [
            memory.load(
                w,
                self.dtype,
                memory.address(w, self.dtype, b_here, k * axis.right),
                1,
                tile.valid[0],
                roomy,
            )
            for k in range(axis.length)
        ]
        meets: dict[int, list[tuple[int, int]]] = {}
        for m, offset in enumerate(rows):
            for k in range(axis.length):
                meets.setdefault(offset + k * axis.left, []).append((m, k))
        following = list(sums)
        for offset in sorted(meets):  # a row meets its terms in ascending order
            at = memory.address(w, self.dtype, a_here, offset)
            scalar = memory.spread(w, self.dtype, memory.load_scalar(w, self.dtype, at))
            for m, k in meets[offset]:
                following[m] = w.fma(self.dtype, scalar, columns[k], following[m])
        return following
