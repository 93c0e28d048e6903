"""Kernels of Winograd's convolution, written as LLVM IR; the mathematics is in `core.winograd`.

A worker takes a block of neighbouring tiles at a time: it brings what they see to their
coordinates, multiplies coordinate by coordinate, and brings the products back, all on a *desk*
of its own that stays in its cache. Each number is summed by one worker, in ascending order:
blocks and workers change no bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pellucid.core.storage import LANES
from pellucid.core.winograd import change, coordinates_of, size_of, tiles_of

from . import memory
from .body import LINE, Body, Cursor, Position
from .desk import Table, block_of, tables_of
from .ir import Writer, splat, vector
from .kernels import Kernel, Plan
from .nest import share
from .tiles import choose
from .views import View

Index = str | int

Grid = Sequence[Sequence[str]]

Apply = Callable[[np.ndarray, Sequence[str]], list[str]]
"""From a matrix and values to their product."""


Turn = Callable[[str, list[str]], tuple[list[str], list[str]]]
"""From where a tile stands, and what the one before it handed on, to its coordinates and what it
hands on."""


class Stretch(NamedTuple):
    """Memory that is going to be read or written: a pointer, and bytes from there on."""

    pointer: str
    size: int
    written: bool


class Writing:
    """What the kernels share: addresses, loads, sums, loops."""

    def __init__(self, w: Writer, plan: Plan, kernel: Kernel, shared: bool, registers: int) -> None:
        root = kernel.root
        assert root is not None
        self.w, self.plan, self.root, self.dtype = w, plan, root, root.dtype
        self.kernel, self.shared, self.registers = kernel, shared, registers
        self.kind = vector(root.dtype)
        self.places, self.coordinates = root.attr("places"), coordinates_of(root)
        self.changes = [*map(change, self.places, size_of(root))]
        loops = list(root.shape)
        kept = [a for a, n in enumerate(loops) if n != 1]
        self.body = Body(w, plan, kernel, loops, {"outer": kept})

    def write(self) -> None:
        """The whole kernel."""
        if 0 not in self.root.shape:
            self._write()

    def _write(self) -> None:
        raise NotImplementedError

    # -- addresses and values -------------------------------------------------

    def at(self, start: str, *moves: tuple[Index, int]) -> str:
        """A pointer moved on: so many steps of such a length, for each of the moves."""
        total: Index = 0
        for index, stride in moves:
            total = self.body.plus(total, self.body.times(index, stride))
        return memory.address(self.w, self.dtype, start, total)

    def start(self, view: View) -> str:
        """Where a view begins."""
        return memory.address(self.w, self.dtype, self.body.base(view.buffer), view.offset)

    def load(self, start: str, offset: int = 0) -> str:
        """A vector."""
        at = memory.address(self.w, self.dtype, start, offset)
        return memory.load(self.w, self.dtype, at, 1, LANES, roomy=True)

    def grid_at(self, at: str, shape: tuple[int, int], strides: Sequence[int]) -> Grid:
        """A table of vectors."""
        (height, width), (down, right) = shape, strides
        return [[self.load(at, i * down + j * right) for j in range(width)] for i in range(height)]

    def store(self, value: str, start: str, offset: int = 0) -> None:
        """Store a vector."""
        at = memory.address(self.w, self.dtype, start, offset)
        memory.store(self.w, self.dtype, value, at, 1, LANES, roomy=True)

    def plus(self, a: str, b: str) -> str:
        """a + b."""
        return self.w.op("fadd", self.dtype, a, b)

    def minus(self, a: str, b: str) -> str:
        """a - b."""
        return self.w.op("fsub", self.dtype, a, b)

    def scaled(self, a: str, factor: float) -> str:
        """factor a."""
        return self.w.op("fmul", self.dtype, a, splat(self.dtype, factor))

    def dot(self, factors: Iterable[float], values: Sequence[str]) -> str:
        """The sum of factor times value; what needs no product comes first."""
        terms = [(f, v) for f, v in zip(factors, values, strict=True) if f]
        total = ""
        for factor, value in sorted(terms, key=lambda term: (term[0] != 1, term[0] != -1)):
            if not total:
                total = value if factor == 1 else self.scaled(value, factor)
            elif abs(factor) == 1:
                total = (self.plus if factor == 1 else self.minus)(total, value)
            else:
                total = self.w.fma(self.dtype, splat(self.dtype, factor), value, total)
        return total

    def finish(self, value: str, indices: list[Index]) -> None:
        """What follows the root, at a vector of it."""
        self.body.values[self.root] = value
        self.body.write_section("outer", Position(indices, LANES))

    # -- loops ------------------------------------------------------------------

    def along(self, length: int) -> Iterator[Index]:
        """A loop, or none for a single turn."""
        if length == 1:
            yield 0
            return
        with self.w.loop("0", str(length)) as loop:
            yield loop.index

    def vectors(self, length: int) -> Iterator[Index]:
        """Where each vector of a row begins."""
        for number in self.along(length // LANES):
            yield self.body.times(number, LANES)

    def tasks(self, total: int) -> Iterator[Index]:
        """This worker's part of so many pieces of work."""
        start, stop = share(self.w, total) if self.shared else ("0", str(total))
        with self.w.loop(start, stop) as loop:
            yield loop.index

    def split(self, number: Index, length: int) -> tuple[Index, Index]:
        """Quotient and rest."""
        if length == 1 or isinstance(number, int):
            return divmod(number, length) if isinstance(number, int) else (number, 0)
        quotient = self.w.let(f"udiv i64 {number}, {length}")
        return quotient, self.w.let(f"urem i64 {number}, {length}")

    # -- changes of coordinates -------------------------------------------------

    def to_coordinates(self, matrix: np.ndarray, values: Sequence[str]) -> list[str]:
        """Matrix times values; rows of a and -a share an even and an odd half."""
        found: list[str] = []
        for group in _groups(len(matrix)):
            if len(group) == 1:
                found.append(self.dot(matrix[group[0]], values))
                continue
            first, second = matrix[group]
            even = self.dot((first + second) / 2, values)
            if (first == second).all():
                found += [even, even]
                continue
            odd = self.dot((first - second) / 2, values)
            found += [self.plus(even, odd), self.minus(even, odd)]
        return found

    def from_coordinates(self, matrix: np.ndarray, values: Sequence[str]) -> list[str]:
        """Matrix times values; columns of a and -a hold the same numbers up to the sign."""
        groups = _groups(len(values))
        halves = []
        for group in groups:
            first, last = values[group[0]], values[group[-1]]
            alone = len(group) == 1
            halves.append(
                (first, "") if alone else (self.plus(first, last), self.minus(first, last))
            )
        found = []
        for row in matrix:
            alike = [row[group[0]] == row[group[-1]] for group in groups]
            terms = [even if same else odd for same, (even, odd) in zip(alike, halves, strict=True)]
            found.append(self.dot(row[[group[0] for group in groups]], terms))
        return found

    def grid(self, turn: Apply, matrices: list[np.ndarray], rows: Grid) -> Grid:
        """D V A': a matrix of each axis, applied to a table of values."""
        columns = [turn(matrices[0], column) for column in zip(*rows, strict=True)]
        return [turn(matrices[1], row) for row in zip(*columns, strict=True)]

    # -- products of matrices ---------------------------------------------------

    def multiply(
        self,
        left: Table,
        right: Table,
        out: Table,
        ask: Callable[[Index], None],
        *,
        turned: bool = False,
        more: bool = False,
    ) -> None:
        """A product for each coordinate, its terms added in order.

        out[r, c] = sum over d of left[r, d] right[d, c].

        Args:
            left, right, out: of matching shapes.
            ask: asks for a part of what is needed after it, at each coordinate.
            turned: left holds its matrix turned about, [d, r].
            more: the product is added to what is there.
        """
        steps = (1, left.columns) if turned else (left.columns, 1)
        tiling = choose([out.rows], out.columns, right.rows, self.registers)
        for coordinate in self.along(out.coordinates):
            ask(coordinate)
            a, b, c = (self.at(t.start, (coordinate, t.apart)) for t in (left, right, out))
            for height, top, downs in _bands(out.rows, tiling.rows):
                for width, first, acrosses in _bands(out.columns // LANES, tiling.vectors):
                    for i in self.along(downs):
                        for j in self.along(acrosses):
                            row = self.body.plus(self.body.times(i, height), top)
                            column = self.body.plus(self.body.times(j, width), first)
                            self._tile(
                                (height, width, right.rows),
                                (self.at(a, (row, steps[0])), *steps),
                                (self.at(b, (column, LANES)), right.columns),
                                (self.at(c, (row, out.columns), (column, LANES)), out.columns),
                                more,
                            )

    def _tile(
        self,
        shape: tuple[int, int, int],
        left: tuple[str, int, int],
        right: tuple[str, int],
        out: tuple[str, int],
        more: bool,
    ) -> None:
        """Accumulators in registers: rows, vectors of columns, depth; pointers and strides."""
        w, (height, width, depth) = self.w, shape
        places = [m * out[1] + v * LANES for m in range(height) for v in range(width)]
        sums = [self.load(out[0], p) if more else "zeroinitializer" for p in places]
        carried = [("ptr", left[0]), ("ptr", right[0]), *((self.kind, s) for s in sums)]
        with w.loop("0", str(depth), carried=carried) as loop:
            a, b, *running = loop.values
            columns = [self.load(b, v * LANES) for v in range(width)]
            loop.following = [self.at(a, (1, left[2])), self.at(b, (1, right[1]))]
            for m in range(height):
                scalar = memory.load_scalar(w, self.dtype, self.at(a, (m, left[1])))
                spread = memory.spread(w, self.dtype, scalar)
                for v in range(width):
                    total = running[m * width + v]
                    loop.following.append(w.fma(self.dtype, spread, columns[v], total))
        for place, value in zip(places, loop.values[2:], strict=True):
            self.store(value, out[0], place)


def _groups(n: int) -> list[list[int]]:
    """Coordinates that go together: 0 if it is a point, each a with -a, infinity."""
    alone = n % 2 == 0
    return [[0]] * alone + [[i, i + 1] for i in range(alone, n - 1, 2)] + [[n - 1]]


def _bands(total: int, size: int) -> list[tuple[int, int, int]]:
    """Length, start and number of the pieces: full ones, and one for the rest."""
    full, rest = divmod(total, size)
    pieces = [(size, 0, full), (rest, full * size, 1)]
    return [(length, start, count) for length, start, count in pieces if length and count]


class _Tiled(Writing):
    """A kernel that works through blocks of tiles."""

    def _write(self) -> None:
        self.block = block_of(self.root)
        desk = self.w.let(f"load ptr, ptr {self.body.base(self.plan.desks)}")
        offset = self.w.let(f"mul i64 %worker, {self.plan.desk}")
        here = self.w.let(f"getelementptr i8, ptr {desk}, i64 {offset}")
        self.tables = []
        for table in tables_of(self.root):
            self.tables.append(table._replace(start=here))
            here = self.at(here, (table.size, 1))
        self.images = self.root.inputs[0].shape[0] // self.block.images
        self.parts = tiles_of(self.root)[0] // self.block.rows
        self._work()

    def _work(self) -> None:
        raise NotImplementedError

    def lines(
        self, view: View, image: Index, top: Index, table: Table
    ) -> Iterator[tuple[str, str]]:
        """For each row of tiles and each vector: where it begins in a value, and in a table."""
        start, (far, down, _, _) = self.start(view), view.strides
        for n in self.along(self.block.images):
            for row in self.along(self.block.rows):
                for lane in self.vectors(table.columns):
                    place = [
                        (self.body.plus(image, n), far),
                        (self.body.plus(top, row), self.places[0] * down),
                    ]
                    tile = self.body.plus(self.body.times(n, self.block.rows), row)
                    tile = self.body.times(tile, self.block.across)
                    yield (
                        self.at(start, *place, (lane, 1)),
                        self.at(table.start, (tile, table.columns), (lane, 1)),
                    )

    def asking(self, *wanted: Stretch) -> Callable[[Index], None]:
        """What asks for the lines of stretches of memory, some at each coordinate.

        Products leave the memory idle; what comes before and after waits for it.
        """

        def ask(coordinate: Index) -> None:
            for pointer, size, written in wanted:
                each = -(-size // (LINE * math.prod(self.coordinates)))
                first = self.body.times(coordinate, each * LINE)
                for line in self.along(each):
                    offset = self.body.plus(first, self.body.times(line, LINE))
                    at = self.w.let(f"getelementptr i8, ptr {pointer}, i64 {offset}")
                    memory.ask(self.w, at, write=written, near=written)

        return ask

    def stretch(
        self, values: View | Cursor, image: Index, top: Index, *, written: bool = False
    ) -> Stretch:
        """Where a block of tiles lies in a value."""
        buffer = values.buffer
        assert buffer is not None
        far, down = values.strides[0], values.strides[1] * self.places[0]
        whole = self.block.images > 1 or self.parts == 1
        elements = self.block.images * far if whole else self.block.rows * down
        place = self.body.plus(self.body.times(image, far), self.body.times(top, down))
        at = self.body.plus(place, values.offset)
        pointer = memory.address(self.w, buffer.dtype, self.body.base(buffer), at)
        return Stretch(pointer, elements * buffer.dtype.itemsize, written)

    def table_at(self, table: Table, at: str) -> Grid:
        """A vector of every coordinate."""
        return self.grid_at(at, self.coordinates, (self.coordinates[1] * table.apart, table.apart))

    def along_row(
        self, view: View, source: str, table: Table, into: str, carried: list[str], turn: Turn
    ) -> None:
        """Along a row of tiles; `turn` gives a tile's coordinates and what it hands on."""
        values = [(self.kind, value) for value in carried]
        moves = [("ptr", source), ("ptr", into), *values]
        with self.w.loop("0", str(self.block.across), carried=moves) as loop:
            here, there, *before = loop.values
            found, handed_on = turn(here, before)
            for i, value in enumerate(found):
                self.store(value, there, i * table.apart)
            following = [
                self.at(here, (self.places[1], view.strides[2])),
                self.at(there, (1, table.columns)),
            ]
            loop.following = following + handed_on

    def see(self, table: Table, image: Index, top: Index) -> None:
        """What the tiles see, B' x B; neighbours share columns."""
        view, (height, width) = self.plan.operand(self.root, 0), self.coordinates
        down, right = view.strides[1:3]
        shared = width - self.places[1]

        def columns(at: str, first: int, last: int) -> list[str]:
            found = []
            for j in range(first, last):
                seen = [self.load(at, i * down + j * right) for i in range(height)]
                found += self.to_coordinates(self.changes[0].seen, seen)
            return found

        def turn(at: str, before: list[str]) -> tuple[list[str], list[str]]:
            known = before + columns(at, shared, width)
            rows = [known[i::height] for i in range(height)]
            found = [v for row in rows for v in self.to_coordinates(self.changes[1].seen, row)]
            return found, known[len(known) - shared * height :]

        for source, into in self.lines(view, image, top, table):
            self.along_row(view, source, table, into, columns(source, 0, shared), turn)


class Product(_Tiled):
    """Writes a `winograd` with what follows it."""

    def _work(self) -> None:
        seen, products = self.tables
        self.back = [change.places for change in self.changes]
        view, (channels, features) = self.plan.operand(self.root, 1), self.root.inputs[1].shape[2:]
        size = channels * features
        kernel = Table(math.prod(self.coordinates), channels, features, size, self.start(view))
        targets = {self.body.cursor(s.target, "outer") for s in self.kernel.stores}
        for task in self.tasks(self.images * self.parts):
            image, top = self._place(task)
            self.see(seen, image, top)
            following = self._place(self.body.plus(task, 1))
            wanted = [self.stretch(self.plan.operand(self.root, 0), *following)]
            for cursor in self.body.cursors():  # what follows the products reads and writes
                if cursor.strides[-1] == 1 and cursor.strides[0]:
                    wanted.append(self.stretch(cursor, image, top, written=cursor in targets))
            self.multiply(seen, kernel, products, self.asking(*wanted))
            self._bring_back(products, image, top)

    def _place(self, task: Index) -> tuple[Index, Index]:
        """The first image, and the first row of tiles, of a block."""
        number, part = self.split(task, self.parts)
        image = self.body.times(number, self.block.images)
        return image, self.body.times(part, self.block.rows)

    def _bring_back(self, products: Table, image: Index, top: Index) -> None:
        """A' m A for each tile, and what follows."""
        block = self.block
        for n in self.along(block.images):
            for row in self.along(block.rows):
                for across in self.along(block.across):
                    for feature in self.vectors(products.columns):
                        tile = self.body.plus(self.body.times(n, block.rows), row)
                        tile = self.body.plus(self.body.times(tile, block.across), across)
                        at = self.at(products.start, (tile, products.columns), (feature, 1))
                        place = [
                            self.body.plus(image, n),
                            self.body.times(self.body.plus(top, row), self.places[0]),
                            self.body.times(across, self.places[1]),
                        ]
                        self._finish_tile(self.table_at(products, at), place, feature)

    def _finish_tile(self, m: Grid, start: list[Index], feature: Index) -> None:
        """A' m A, and what follows at each of its places."""
        image, down, right = start
        for p, row in enumerate(self.grid(self.from_coordinates, self.back, m)):
            for q, y in enumerate(row):
                place = [self.body.plus(down, p), self.body.plus(right, q)]
                self.finish(y, [image, *place, feature])


class Gradient(_Tiled):
    """Writes a `winograd_gradient`; the parts of the batch are shared among the workers."""

    def _work(self) -> None:
        seen, spread, sums = self.tables
        parts = self.root.shape[0]
        images = self.images // parts
        for part in self.tasks(parts):
            for at in self.vectors(sums.size):
                self.store("zeroinitializer", self.at(sums.start, (at, 1)))
            for number in self.along(images):
                number = self.body.plus(self.body.times(part, images), number)
                image = self.body.times(number, self.block.images)
                for rows in self.along(self.parts):
                    top = self.body.times(rows, self.block.rows)
                    self.see(seen, image, top)
                    self._spread(spread, image, top)
                    following: tuple[Index, Index]
                    if self.parts > 1:
                        following = image, self.body.plus(top, self.block.rows)
                    else:
                        following = self.body.plus(image, self.block.images), top
                    views = [self.plan.operand(self.root, i) for i in (0, 1)]
                    ask = self.asking(*(self.stretch(view, *following) for view in views))
                    self.multiply(seen, spread, sums, ask, turned=True, more=True)
            back = [change.kernel.T for change in self.changes]
            for channel in self.along(sums.rows):
                for feature in self.vectors(sums.columns):
                    at = self.at(sums.start, (channel, sums.columns), (feature, 1))
                    found = self.grid(self.from_coordinates, back, self.table_at(sums, at))
                    for i, row in enumerate(found):
                        for j, value in enumerate(row):
                            self.finish(value, [part, i, j, channel, feature])

    def _spread(self, table: Table, image: Index, top: Index) -> None:
        """What came back to a tile, A g A'."""
        view = self.plan.operand(self.root, 1)
        matrices = [change.places.T for change in self.changes]

        def turn(at: str, before: list[str]) -> tuple[list[str], list[str]]:
            g = self.grid_at(at, self.places, view.strides[1:3])
            rows = self.grid(self.to_coordinates, matrices, g)
            return [value for row in rows for value in row], []

        for source, into in self.lines(view, image, top, table):
            self.along_row(view, source, table, into, [], turn)


class KernelChange(Writing):
    """Writes a `winograd_kernel`: a kernel to its coordinates; shared along the channels."""

    def _write(self) -> None:
        view = self.plan.operand(self.root, 0)
        channels, features = self.root.shape[2:]
        matrices = [change.kernel for change in self.changes]
        start, far = self.start(view), view.strides[2]
        for channel in self.tasks(channels):
            for feature in self.vectors(features):
                at = self.at(start, (channel, far), (feature, 1))
                w = self.grid_at(at, size_of(self.root), view.strides[:2])
                for i, row in enumerate(self.grid(self.to_coordinates, matrices, w)):
                    for j, value in enumerate(row):
                        self.finish(value, [i, j, channel, feature])


WRITERS: dict[str, type[Product] | type[Gradient] | type[KernelChange]] = {
    "winograd": Product,
    "winograd_gradient": Gradient,
    "winograd_kernel": KernelChange,
}
"""Of each row, who writes its kernel."""
