"""The inside of a kernel: its nodes evaluated on the neighbouring positions of a vector at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pellucid.core.node import Node
from pellucid.core.storage import LANES

from . import memory
from .ir import Writer, element, literal, splat
from .kernels import Kernel, Plan, Store, made_in
from .vector import EMIT
from .views import Buffer, View, split

LINE = 64
"""Bytes of a cache line, on nearly every processor."""

FEW_LINES, MANY_LINES = 4, 64
"""Lengths of rows that are asked for ahead; the processor sees longer ones coming by itself."""


class Cursor(NamedTuple):
    """A buffer addressed by the kernel's loops: an offset and a stride per axis of the domain."""

    buffer: Buffer | None
    offset: int
    strides: tuple[int, ...]


@dataclass
class Position:
    """Where the loops stand: an index (a name or a number) per axis, and how many lanes count."""

    indices: list[str | int]
    valid: int = LANES
    rows: dict[Cursor, str | int] = field(default_factory=dict)
    """Offsets of the rows that the loops stand in, known before the innermost loop."""


class Body:
    """Writes a kernel's nodes; knows the pointers of its buffers.

    Args:
        w: where to write.
        plan, kernel: what to write.
        lengths: lengths of the loops.
        axes: for each section, which loops its values run along.
    """

    def __init__(
        self,
        w: Writer,
        plan: Plan,
        kernel: Kernel,
        lengths: list[int],
        axes: dict[str, list[int]],
    ) -> None:
        self.w = w
        self.plan = plan
        self.kernel = kernel
        self.lengths = lengths
        self.axes = axes
        self.loops = {s: tuple(lengths[a] for a in own) for s, own in axes.items()}
        self.rank = len(lengths)
        self.merged: list[int] = []
        self.pointers: dict[Buffer, str] = {}
        self.values: dict[Node, str] = {}
        self.squares: dict[Cursor, str] = {}
        """Where the next 16 positions of the last loop lie instead, row by row of the one before
        it, for what is addressed by these cursors (`ShortRows`)."""

    # -- addresses ----------------------------------------------------------

    def base(self, buffer: Buffer) -> str:
        """The pointer to a buffer, an argument of the kernel's function."""
        if buffer not in self.pointers:
            self.pointers[buffer] = f"%b{len(self.pointers)}"
        return self.pointers[buffer]

    def cursor(self, view: View, section: str) -> Cursor:
        """The strides of a view along the loops."""
        return Cursor(view.buffer, view.offset, self._strides(view, section))

    def _strides(self, view: View, section: str) -> tuple[int, ...]:
        strides = [0] * self.rank
        view = view.squeezed()
        if view.shape:
            own = split(view.shape, view.strides, self.loops[section])
            assert own is not None, (view, section, self.loops)
            for axis, stride in zip(self.axes[section], own, strict=True):
                strides[axis] = stride
        return self._along_loops(strides)

    def merge(self, axis: int) -> None:
        """Make loops `axis` and `axis + 1` one; every cursor runs on evenly through both."""
        self.lengths[axis : axis + 2] = [self.lengths[axis] * self.lengths[axis + 1]]
        self.merged.append(axis)

    def _along_loops(self, strides: list[int]) -> tuple[int, ...]:
        for axis in self.merged:
            del strides[axis]
        return tuple(strides)

    def cursors(self) -> list[Cursor]:
        """All that the kernel's loops must address."""
        found = []
        for node in self.kernel.nodes:
            section = self.kernel.reading_section(node)
            if section == "root":
                continue
            if node.name == "iota":
                found.append(self.iota_cursor(node, section))
            elif node.name == "gather":
                found += self.gather_cursors(node, section)
            else:
                for position in range(len(node.inputs)):
                    view = self.plan.operand(node, position)
                    if self._is_loaded(view, section):
                        found.append(self.cursor(view, section))
        for store in self.kernel.stores:
            section = self.kernel.store_section(store)
            found.append(self.cursor(store.target, section))
            if store.source is not None and self._is_loaded(store.source, section):
                found.append(self.cursor(store.source, section))
        return list(dict.fromkeys(found))

    def _is_loaded(self, view: View, section: str) -> bool:
        return view.buffer.role != "literal" and made_in(self.kernel, view, section) is None

    def iota_cursor(self, node: Node, section: str) -> Cursor:
        """Counts along one axis."""
        strides = tuple(int(a == node.attr("axis")) for a in range(len(node.shape)))
        counts = Buffer("literal", node.shape, node.dtype, strides).whole()
        return Cursor(None, 0, self._strides(counts, section))

    def gather_cursors(self, node: Node, section: str) -> tuple[Cursor, Cursor]:
        """The index, and the table from the row that it names."""
        table, index = self.plan.operand(node, 0), self.plan.operand(node, 1)
        leading = len(index.shape)
        shape = node.shape
        index = View(
            index.buffer, index.offset, shape, index.strides + (0,) * (len(shape) - leading)
        )
        rows = View(table.buffer, table.offset, shape, (0,) * leading + table.strides[1:])
        return self.cursor(index, section), self.cursor(rows, section)

    def rows(self, at: Position) -> Position:
        """The position with the offsets of its rows worked out, for use in an inner loop."""
        found = {c: self._row(c, at) for c in self.cursors()}
        return Position(at.indices, at.valid, found)

    def _row(self, cursor: Cursor, at: Position) -> str | int:
        total: str | int = cursor.offset
        for stride, index in zip(cursor.strides[:-1], at.indices[:-1], strict=True):
            if stride:
                total = self.plus(total, self.times(index, stride))
        return total

    def offset(self, cursor: Cursor, at: Position) -> str | int:
        """Elements from the start of the buffer to a position."""
        row = at.rows[cursor] if cursor in at.rows else self._row(cursor, at)
        stride = cursor.strides[-1] if cursor.strides else 0
        return self.plus(row, self.times(at.indices[-1], stride)) if stride else row

    def times(self, index: str | int, stride: int) -> str | int:
        """index * stride, folded where known."""
        if isinstance(index, int):
            return index * stride
        return index if stride == 1 else self.w.let(f"mul i64 {index}, {stride}")

    def plus(self, a: str | int, b: str | int) -> str | int:
        """a + b, folded where known."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if a == 0 or b == 0:
            return b if a == 0 else a
        return self.w.let(f"add i64 {a}, {b}")

    # -- values -------------------------------------------------------------

    def read(self, view: View, section: str, at: Position) -> str:
        """An operand at a position: a constant, a value made here, or a load."""
        if view.buffer.role == "literal":
            return splat(view.dtype, view.buffer.literal)
        owner = made_in(self.kernel, view, section)
        if owner is not None:
            return self.values[owner]
        return self.load(self.cursor(view, section), view.dtype, at)

    def load(self, cursor: Cursor, dtype: np.dtype, at: Position) -> str:
        """A vector from memory."""
        assert cursor.buffer is not None
        if cursor in self.squares:
            return memory.load(self.w, dtype, self._in_square(cursor, dtype, at), 1, LANES, True)
        stride = cursor.strides[-1] if cursor.strides else 0
        pointer = memory.address(self.w, dtype, self.base(cursor.buffer), self.offset(cursor, at))
        return memory.load(self.w, dtype, pointer, stride, at.valid, cursor.buffer.has_slack)

    def _in_square(self, cursor: Cursor, dtype: np.dtype, at: Position) -> str:
        row = self.times(at.indices[-2], LANES)
        return memory.address(self.w, dtype, self.squares[cursor], row)

    def write_section(self, section: str, at: Position, wanted: Sequence[View] = ()) -> list[str]:
        """All nodes and stores of a section at a position.

        Returns the values of the views `wanted`, read before anything is stored.
        """
        loaded: dict[tuple[Cursor, np.dtype], str] = {}
        for node in self.kernel.nodes:
            if node not in self.kernel.roots and self.kernel.section(node) == section:
                self.values[node] = self._node(node, section, at, loaded)
        values = [
            None if s.source is None else self._operand(s.source, section, at, loaded)
            for s in self.kernel.stores
            if self.kernel.store_section(s) == section
        ]
        stores = [s for s in self.kernel.stores if self.kernel.store_section(s) == section]
        found = [self._operand(view, section, at, loaded) for view in wanted]
        for store, value in zip(stores, values, strict=True):
            self.write_store(store, section, value, at)
        return found

    def write_store(self, store: Store, section: str, value: str | None, at: Position) -> None:
        """One store of a vector at a position."""
        dtype = store.target.dtype
        cursor = self.cursor(store.target, section)
        if cursor in self.squares:
            there = self._in_square(cursor, dtype, at)
            memory.store(self.w, dtype, value or splat(dtype, 0), there, 1, LANES, True)
            return
        pointer = memory.address(
            self.w, dtype, self.base(store.target.buffer), self.offset(cursor, at)
        )
        stride = cursor.strides[-1] if cursor.strides else 0
        roomy = self.is_roomy(store, section)
        memory.store(self.w, dtype, value or splat(dtype, 0), pointer, stride, at.valid, roomy)

    def is_roomy(self, store: Store, section: str) -> bool:
        """A whole vector may be stored at the end of a row: only padding lies behind it."""
        cursor = self.cursor(store.target, section)
        if not (store.target.buffer.has_slack and store.target.is_whole()) or not cursor.strides:
            return False
        padded = -(-self.lengths[-1] // self.w.lanes) * self.w.lanes
        return cursor.strides[-1] == 1 and all(s >= padded for s in cursor.strides[:-1] if s)

    def _operand(
        self, view: View, section: str, at: Position, loaded: dict[tuple[Cursor, np.dtype], str]
    ) -> str:
        if not self._is_loaded(view, section):
            return self.read(view, section, at)
        key = self.cursor(view, section), view.dtype
        if key not in loaded:
            loaded[key] = self.load(*key, at)
        return loaded[key]

    def _node(
        self,
        node: Node,
        section: str,
        at: Position,
        loaded: dict[tuple[Cursor, np.dtype], str],
    ) -> str:
        if node.name == "iota":
            return self._iota(self.iota_cursor(node, section), at)
        if node.name == "gather":
            return self._gather(node, section, at)
        operands = [
            self._operand(self.plan.operand(node, i), section, at, loaded)
            for i in range(len(node.inputs))
        ]
        if node.name in ("alias", "stop_gradient"):
            return operands[0]
        dtype = node.inputs[-1].dtype
        return EMIT[node.name](self.w, dtype, *operands, **dict(node.attrs))

    def _iota(self, cursor: Cursor, at: Position) -> str:
        w, int32 = self.w, np.dtype(np.int32)
        start = self.offset(cursor, at)
        lanes = ", ".join(
            f"i32 {i * (cursor.strides[-1] if cursor.strides else 0)}" for i in range(w.lanes)
        )
        if isinstance(start, int):
            first = splat(int32, start)
        else:
            first = memory.spread(w, int32, w.let(f"trunc i64 {start} to i32"))
        return w.op("add", int32, first, f"<{lanes}>")

    def _gather(self, node: Node, section: str, at: Position) -> str:
        """Rows of a table; an index outside it is taken to its nearest end."""
        w = self.w
        index_cursor, row_cursor = self.gather_cursors(node, section)
        table = self.plan.operand(node, 0)
        if table.buffer.role == "literal":
            return splat(table.dtype, table.buffer.literal)
        assert row_cursor.buffer is not None
        lane_row = row_cursor.strides[-1] if row_cursor.strides else 0
        if not index_cursor.strides or index_cursor.strides[-1] == 0:
            pointer, roomy = self.row_pointer(node, section, at), row_cursor.buffer.has_slack
            return memory.load(w, node.dtype, pointer, lane_row, at.valid, roomy)
        value = "zeroinitializer"
        for lane in range(at.valid):
            row = self.row_pointer(node, section, at, lane)
            scalar = memory.load_scalar(
                w, node.dtype, memory.address(w, node.dtype, row, lane * lane_row)
            )
            value = w.let(
                f"insertelement {w.vector(node.dtype)} {value}, "
                f"{element(node.dtype)} {scalar}, i32 {lane}"
            )
        return value

    def row_pointer(self, node: Node, section: str, at: Position, lane: int = 0) -> str:
        """Where a gather reads: in the row that its index names for a lane."""
        w = self.w
        index_cursor, row_cursor = self.gather_cursors(node, section)
        table, index = self.plan.operand(node, 0), self.plan.operand(node, 1)
        if index.buffer.role == "literal":
            found = str(index.buffer.literal)
        else:
            step = index_cursor.strides[-1] if index_cursor.strides else 0
            place = self.plus(self.offset(index_cursor, at), lane * step)
            pointer = memory.address(w, index.dtype, self.base(index.buffer), place)
            found = load_index(w, index.dtype, pointer)
        number = self.clamped(index.dtype, found, table.shape[0])
        offset = self.plus(
            w.let(f"mul i64 {number}, {table.strides[0]}"), self.offset(row_cursor, at)
        )
        return memory.address(w, node.dtype, self.base(table.buffer), offset)

    def look_ahead(self, row: str | int) -> None:
        """Ask for the rows that the next turn gathers: they lie anywhere in a large table."""
        for node in self.kernel.nodes:
            size = self.lengths[-1] * node.dtype.itemsize
            if node.name != "gather" or not FEW_LINES <= size // LINE <= MANY_LINES:
                continue
            index_cursor, row_cursor = self.gather_cursors(node, "body")
            if index_cursor.strides[-1] != 0 or row_cursor.strides != (0, 1):
                continue
            following = self.w.let(f"add i64 {row}, 1")
            more = self.w.let(f"icmp slt i64 {following}, {self.lengths[0]}")
            following = self.w.let(f"select i1 {more}, i64 {following}, i64 {row}")
            pointer = self.row_pointer(node, "body", Position([following, 0]))
            for line in range(0, size, LINE):
                at = memory.address(self.w, node.dtype, pointer, line // node.dtype.itemsize)
                memory.ask(self.w, at)

    def clamped(self, dtype: np.dtype, number: str, rows: int) -> str:
        """A row number (an i64) taken into the table."""
        w = self.w
        if dtype.kind != "u":
            low = w.let(f"icmp slt i64 {number}, 0")
            number = w.let(f"select i1 {low}, i64 0, i64 {number}")
        high = w.let(f"icmp sgt i64 {number}, {max(rows - 1, 0)}")
        return w.let(f"select i1 {high}, i64 {max(rows - 1, 0)}, i64 {number}")


def load_index(w: Writer, dtype: np.dtype, pointer: str) -> str:
    """A row number as i64."""
    number = memory.load_scalar(w, dtype, pointer)
    if element(dtype) == "i64":
        return number
    widen = "zext" if dtype.kind in "ub" else "sext"
    return w.let(f"{widen} {element(dtype)} {number} to i64")


def neutral(dtype: np.dtype, combine: str) -> str:
    """What a reduction starts from, in every lane."""
    if combine == "sum" or dtype.kind == "b":
        return splat(dtype, 0)
    if dtype.kind == "f":
        return splat(dtype, -np.inf)
    return splat(dtype, np.iinfo(dtype).min)


def lane_mask(lanes: int, valid: int) -> str:
    """The first of so many lanes on."""
    return "<" + ", ".join(f"i1 {literal(np.dtype(bool), i < valid)}" for i in range(lanes)) + ">"
