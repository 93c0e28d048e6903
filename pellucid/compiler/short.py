"""Reductions along short rows, such as the scores of a few classes: 16 rows at a time.

The rows' number runs along the lanes. What lies row by row in memory is turned about, a square of
16 rows at a time. A row's elements are combined in the order of the tree in which `Nest` combines
the lanes of a row by itself, so that both give the same bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from pellucid.core.node import Node
from pellucid.core.storage import LANES

from . import memory
from .body import Cursor, Position, neutral
from .ir import Writer, element
from .kernels import Kernel, Plan
from .nest import Nest, share


class ShortRows(Nest):
    """Writes reductions along rows of at most 16 elements; `fits` says which ones."""

    def _loops(self, kernel: Kernel) -> list[int]:
        last = len(kernel.domain) - 1
        return [*range(last - 1), last, last - 1]

    @classmethod
    def fits(cls, plan: Plan, kernel: Kernel) -> bool:
        """Whether a kernel is such a reduction of enough rows, and each may be met twice."""
        last = len(kernel.domain) - 1
        if not (kernel.reduces_lanes and kernel.reduced_axes == (last,) and last > 0):
            return False
        rows, columns = kernel.domain[-2:]
        if not 0 < columns <= LANES <= rows or kernel.reads & kernel.writes:
            return False
        if any(node.name == "gather" for node in kernel.nodes):
            return False
        nest = cls(Writer(), plan, kernel, False)
        return all(map(_is_reached, nest.body.cursors()))

    def write(self) -> None:
        """The whole nest."""
        if 0 in self.lengths:
            return
        w, body, roots = self.w, self.body, self.kernel.roots
        w.lanes = LANES
        for n, root in enumerate(roots):
            self._make_room(f"%terms{n}", element(root.dtype))
        squares: dict[Cursor, str] = {}
        roomy = self._roomy()
        for cursor in body.cursors():
            if _lies_in_rows(cursor):
                assert cursor.buffer is not None
                squares[cursor] = f"%square{len(squares)}"
                self._make_room(squares[cursor], memory.memory_type(cursor.buffer.dtype))
        at = Position([0] * len(self.lengths))
        outer = list(range(len(self.lengths) - 2))
        with self.outer_loops(outer, at, split=bool(outer)), self._blocks(at, not outer):
            for cursor, square in squares.items():
                if cursor not in roomy:
                    self._turn(cursor, square, at)
            body.squares = squares
            with self._elements(at):
                row = body.times(at.indices[-2], LANES)
                for n, (root, value) in enumerate(zip(roots, self._body_at(at), strict=True)):
                    place = memory.address(w, root.dtype, f"%terms{n}", row)
                    memory.store(w, root.dtype, value, place, 1, LANES, True)
            body.squares = {}
            for cursor, room in roomy.items():
                if cursor in squares:
                    self._turn_back(cursor, squares[cursor], at, room)
            for n, root in enumerate(roots):
                body.values[root] = self._tree(root, f"%terms{n}")
            body.write_section("outer", at)

    def _make_room(self, name: str, kind: str) -> None:
        """Memory for one vector per element of a row."""
        self.w.line(f"{name} = alloca [{self.lengths[-2] * LANES} x {kind}], align 64")

    def _roomy(self) -> dict[Cursor, bool]:
        """Where the elements are stored, and whether whole vectors may be, along the rows."""
        found = {}
        for store in self.kernel.stores:
            if self.kernel.store_section(store) == "body":
                cursor, buffer = self.body.cursor(store.target, "body"), store.target.buffer
                whole = buffer.has_slack and store.target.is_whole()
                found[cursor] = whole and cursor.strides[-1] >= LANES
        return found

    @contextlib.contextmanager
    def _blocks(self, at: Position, split: bool) -> Iterator[None]:
        """A loop over 16 rows at a time; the last ones end where the rows do."""
        w, rows = self.w, self.lengths[-1]
        low, high = share(w, rows, LANES) if split and self.shared else ("0", str(rows))
        last = w.let(f"sub i64 {high}, {LANES}")
        with w.loop(low, high, LANES) as loop:
            before = w.let(f"icmp slt i64 {loop.index}, {last}")
            at.indices[-1] = w.let(f"select i1 {before}, i64 {loop.index}, i64 {last}")
            yield

    @contextlib.contextmanager
    def _elements(self, at: Position) -> Iterator[None]:
        """A loop over the elements of the rows."""
        with self.w.loop("0", str(self.lengths[-2])) as loop:
            at.indices[-2] = loop.index
            yield
        at.indices[-2] = 0

    def _turn(self, cursor: Cursor, square: str, at: Position) -> None:
        """The next 16 rows, turned about, into a square."""
        assert cursor.buffer is not None
        size, roomy = (self.lengths[-2], LANES), (cursor.buffer.has_slack, True)
        own, rows = (square, LANES), self._rows_at(cursor, at)
        memory.turn(self.w, _in_memory(cursor), own, rows, size, roomy)

    def _turn_back(self, cursor: Cursor, square: str, at: Position, roomy: bool) -> None:
        """A square, turned about, into the next 16 rows."""
        size, own, rows = (LANES, self.lengths[-2]), (square, LANES), self._rows_at(cursor, at)
        memory.turn(self.w, _in_memory(cursor), rows, own, size, (True, roomy))

    def _rows_at(self, cursor: Cursor, at: Position) -> tuple[str, int]:
        """Where the next rows begin, and elements from one to the next."""
        assert cursor.buffer is not None
        base, offset = self.body.base(cursor.buffer), self.body.offset(cursor, at)
        return memory.address(self.w, _in_memory(cursor), base, offset), cursor.strides[-1]

    def _tree(self, root: Node, place: str) -> str:
        """The terms of 16 rows, each row's pairwise: i with i + 8, then 4, 2, 1."""
        w, dtype = self.w, root.dtype
        terms = [
            memory.load(w, dtype, memory.address(w, dtype, place, n * LANES), 1, LANES, True)
            for n in range(self.lengths[-2])
        ]
        for half in (8, 4, 2, 1):
            for i in range(min(half, len(terms) - half)):
                terms[i] = self._combine(root, terms[i], terms[i + half])
            del terms[half:]
        return self._combine(root, neutral(dtype, root.name), terms[0])


def _lies_in_rows(cursor: Cursor) -> bool:
    """What it addresses lies row by row, one element beside the other."""
    return cursor.buffer is not None and cursor.strides[-2] == 1 and cursor.strides[-1] > 1


def _is_reached(cursor: Cursor) -> bool:
    """Vectors along the rows' number are loaded in one piece, spread, or by turning a square."""
    return cursor.buffer is None or cursor.strides[-1] in (0, 1) or _lies_in_rows(cursor)


def _in_memory(cursor: Cursor) -> np.dtype:
    """What its elements are in memory: truth values are bytes there."""
    assert cursor.buffer is not None
    return np.dtype(np.uint8) if cursor.buffer.dtype.kind == "b" else cursor.buffer.dtype
