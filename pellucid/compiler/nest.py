"""Loop nests for maps and reductions, written as LLVM IR.

The last axis runs along the lanes. A reduction along it keeps 16 running lanes
and adds them by a fixed tree; a reduction along other axes adds in ascending
order, as many neighbours at a time as a vector holds. Neither depends on threads or vector width.
`argmax` along other axes is a pair of running vectors, the greatest and its number.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from pellucid.core.node import Node
from pellucid.core.storage import LANES

from . import memory
from .body import Body, Position, lane_mask, neutral
from .ir import Writer, element, fitting, splat, vector
from .kernels import Kernel, Plan
from .lanes import Lanes
from .vector import EMIT

Index = str | int

Turn = Callable[[Position, list[str]], list[str]]
"""The inside of a reduction's loops: from running vectors to the next ones."""

COLUMNS, MANY = 4, 10
"""Vectors of neighbouring columns that a reduction along the rows keeps running at once, and
operations on each row from which it keeps a single one."""

WRITTEN_OUT, LONG = 9, 112
"""Turns up to which a reduction is written without loops, such as the windows of a pooling, and
loads and operations in them from which it is not: what is long takes long to compile."""

UNROLLED, FEW = 8, 2
"""Vectors up to which a map is written without loops, and rows up to which its inner loop is."""


class Running(NamedTuple):
    """A vector that a reduction hands on from turn to turn.

    Attributes:
        root: whose result it is in the end, if of any.
        dtype: of its elements.
        start: what it is at first.
    """

    root: Node | None
    dtype: np.dtype
    start: str


class Nest:
    """Writes one map or reduction."""

    def __init__(self, w: Writer, plan: Plan, kernel: Kernel, shared: bool) -> None:
        self.w, self.kernel, self.shared = w, kernel, shared
        axes, loops = kernel.reduced_axes if kernel.kind == "reduce" else (), self._loops(kernel)
        self.lengths = [0] * len(loops) or [1]
        for length, loop in zip(kernel.domain, loops, strict=True):
            self.lengths[loop] = length
        self.reduced = tuple(loops[a] for a in axes)
        sections = {"body": loops, "outer": [b for a, b in enumerate(loops) if a not in axes]}
        self.body = Body(w, plan, kernel, self.lengths, sections)
        self.plan = plan

    def _loops(self, kernel: Kernel) -> list[int]:
        """Which loop, from the outermost on, runs along each axis of the domain."""
        return list(range(len(kernel.domain)))

    def write(self) -> None:
        """The whole nest."""
        if 0 in self.kernel.outer:
            return
        if self.kernel.kind == "map":
            self._map()
        elif len(self.lengths) - 1 in self.reduced:
            self._reduce_lanes()
        else:
            self._reduce_rows()

    # -- sharing ------------------------------------------------------------

    def bounds(self, total: int) -> tuple[str, str]:
        """This worker's part of so many items."""
        if not self.shared:
            return "0", str(total)
        return share(self.w, total)

    @contextlib.contextmanager
    def outer_loops(self, axes: list[int], at: Position, split: bool) -> Iterator[None]:
        """Loops over the axes, the first of them shared among the workers."""
        with contextlib.ExitStack() as stack:
            for n, axis in enumerate(axes):
                length = self.lengths[axis]
                start, stop = self.bounds(length) if split and n == 0 else ("0", str(length))
                if length == 1 and not (split and n == 0):
                    at.indices[axis] = 0
                    continue
                loop = stack.enter_context(self.w.loop(start, stop))
                at.indices[axis] = loop.index
            yield

    # -- maps ---------------------------------------------------------------

    def _merge_axes(self) -> None:
        """Loops that run on evenly become one, for all buffers at once."""
        for axis in range(len(self.lengths) - 2, -1, -1):
            inner = self.lengths[axis + 1]
            if all(c.strides[axis] == c.strides[axis + 1] * inner for c in self.body.cursors()):
                self.body.merge(axis)

    def _map(self) -> None:
        across = turned_axis(self.kernel)
        if across is not None:
            self._transpose(across)
            return
        self._merge_axes()
        lanes = self.lengths[-1]
        self.w.lanes = fitting(lanes)
        tail = 0 if self._runs_over("body") else lanes % self.w.lanes
        blocks = lanes // self.w.lanes if tail else -(-lanes // self.w.lanes)
        rows = self.lengths[:-1]
        vectors = math.prod(rows) * (blocks + (tail > 0))
        at = Position([0] * len(self.lengths))
        gathers = any(node.name == "gather" for node in self.kernel.nodes)  # lane by lane: long
        if not self.shared and vectors <= UNROLLED and not gathers:
            self._map_unrolled(rows, blocks, tail, lanes)
            return
        if rows:
            last = len(rows) - 1
            written = last > 0 and rows[-1] <= FEW  # its indices are known numbers then
            with self.outer_loops(list(range(last + 1 - written)), at, split=True):
                if last == 0:
                    self.body.look_ahead(at.indices[0])
                for index in range(rows[-1]) if written else at.indices[last : last + 1]:
                    at.indices[last] = index
                    self._map_row(at, "0", str(blocks), blocks, tail)
        else:
            start, stop = self.bounds(blocks)
            self._map_row(at, start, stop, blocks, 0)
            if tail:
                with self._last_worker():
                    self._vector(at, blocks * self.w.lanes, tail)

    def _map_row(self, at: Position, start: str, stop: str, blocks: int, tail: int) -> None:
        if blocks == 1 and start == "0" and stop == "1":
            self._vector(at, 0, self.w.lanes)
        elif blocks:
            at = self.body.rows(at)
            with self.w.loop(start, stop) as loop:
                lane = self.w.let(f"mul i64 {loop.index}, {self.w.lanes}")
                self._vector(at, lane, self.w.lanes)
        if tail:
            self._vector(at, blocks * self.w.lanes, tail)

    def _map_unrolled(self, rows: list[int], blocks: int, tail: int, lanes: int) -> None:
        for flat in range(math.prod(rows)):
            indices: list[str | int] = []
            rest = flat
            for length in reversed(rows):
                indices.insert(0, rest % length)
                rest //= length
            at = Position([*indices, 0])
            for block in range(blocks):
                self._vector(at, block * self.w.lanes, self.w.lanes)
            if tail:
                self._vector(at, blocks * self.w.lanes, tail)

    def _transpose(self, across: int) -> None:
        """A copy whose source runs along another axis: squares of 16 x 16, each turned.

        The last square along an axis ends where the axis does; what it shares with the one
        before is stored twice.
        """
        last = len(self.lengths) - 1
        at = Position([0] * len(self.lengths))
        others = [a for a in range(last) if a != across]
        with self.outer_loops(others, at, split=bool(others)), contextlib.ExitStack() as stack:
            looped = [a for a in (across, last) if self.lengths[a] > LANES]
            for axis in looped:
                length = self.lengths[axis]
                squares = -(-length // LANES)
                split = axis == looped[0] and not others
                start, stop = self.bounds(squares) if split else ("0", str(squares))
                loop = stack.enter_context(self.w.loop(start, stop))
                first = self.w.let(f"mul i64 {loop.index}, {LANES}")
                if length % LANES:
                    before = self.w.let(f"icmp slt i64 {first}, {length - LANES}")
                    first = self.w.let(f"select i1 {before}, i64 {first}, i64 {length - LANES}")
                at.indices[axis] = first
            self._square(across, at)

    def _square(self, across: int, at: Position) -> None:
        """One square of a transposed copy, or less where an axis is shorter."""
        (store,) = self.kernel.stores
        assert store.source is not None
        source, target = (self.body.cursor(v, "body") for v in (store.source, store.target))
        there, here = (
            memory.address(self.w, v.dtype, self.body.base(v.buffer), self.body.offset(cursor, at))
            for v, cursor in ((store.target, target), (store.source, source))
        )
        last = len(self.lengths) - 1
        height, width = (min(self.lengths[axis], LANES) for axis in (across, last))
        roomy = (
            height == LANES or store.source.buffer.has_slack,
            width == LANES or self.body.is_roomy(store, "body"),
        )
        pitches = target.strides[across], source.strides[last]
        memory.turn(
            self.w,
            store.target.dtype,
            (there, pitches[0]),
            (here, pitches[1]),
            (height, width),
            roomy,
        )

    @contextlib.contextmanager
    def _last_worker(self) -> Iterator[None]:
        if not self.shared:
            yield
            return
        last = self.w.let("sub i64 %workers, 1")
        with self.w.when(self.w.let(f"icmp eq i64 %worker, {last}")):
            yield

    def _vector(self, at: Position, lane: str | int, valid: int) -> None:
        self.body.write_section("body", Position([*at.indices[:-1], lane], valid, at.rows))

    def _runs_over(self, section: str) -> bool:
        """A last, partial vector may be treated as a whole one."""
        roomy_stores = all(
            self.body.is_roomy(s, section)
            for s in self.kernel.stores
            if self.kernel.store_section(s) == section
        )
        return (
            roomy_stores
            and all(
                c.buffer is None or c.buffer.has_slack or c.strides[-1] == 0
                for c in self.body.cursors()
            )
            and not any(node.name == "gather" for node in self.kernel.nodes)
        )

    # -- reductions ---------------------------------------------------------

    def _running(self) -> list[Running]:
        """What the reductions hand on from turn to turn: of `argmax` the maximum as well."""
        found = []
        for root in self.kernel.roots:
            if root.name == "argmax":
                seen = root.inputs[0].dtype
                found.append(Running(None, seen, neutral(seen, "max")))
                found.append(Running(root, root.dtype, splat(root.dtype, 0)))
            else:
                found.append(Running(root, root.dtype, neutral(root.dtype, root.name)))
        return found

    def _combine(self, root: Node, running: str, value: str, valid: int | None = None) -> str:
        """A running vector with the value to reduce; lanes that do not count stay out."""
        if valid is not None and valid < self.w.lanes:
            value = self.w.select(
                root.dtype, lane_mask(self.w.lanes, valid), value, neutral(root.dtype, root.name)
            )
        name = {"sum": "add", "max": "maximum"}[root.name]
        return EMIT[name](self.w, root.dtype, running, value)

    def _greater(self, root: Node, running: list[str], value: str, at: Position) -> list[str]:
        """The greatest value so far, and where it stands: the first of equal ones."""
        seen, number = root.inputs[0].dtype, root.dtype
        greatest, new = Lanes(self.w, seen, running[0]), Lanes(self.w, seen, value)
        here: Index = 0
        for axis in self.reduced:
            here = self.body.plus(self.body.times(here, self.lengths[axis]), at.indices[axis])
        if isinstance(here, int):
            place = splat(number, here)
        else:
            place = memory.spread(self.w, number, self.w.let(f"trunc i64 {here} to i32"))
        stays = greatest >= new
        if seen.kind == "f":
            stays = stays | greatest.is_nan()
        return [
            EMIT["maximum"](self.w, seen, running[0], value),
            self.w.select(number, stays.name, running[1], place),
        ]

    def _body_at(self, at: Position) -> list[str]:
        """Evaluate the body; the values to reduce."""
        roots = self.kernel.roots
        return self.body.write_section("body", at, [self.plan.operand(r, 0) for r in roots])

    def _inside_loops(
        self, at: Position, axes: list[int], running: list[str], turn: Turn
    ) -> list[str]:
        """Loops over reduced axes that hand on the running vectors."""
        if not axes:
            return turn(at, running)
        length = self.lengths[axes[0]]
        turns = math.prod(self.lengths[axis] for axis in axes)
        states = self._running()
        vectors = len(running) // len(states)
        if turns <= WRITTEN_OUT and turns * vectors * (1 + len(self.kernel.nodes)) < LONG:
            for index in range(length):
                at.indices[axes[0]] = index
                running = self._inside_loops(at, axes[1:], running, turn)
            return running
        kinds = [self.w.vector(state.dtype) for state in states for _ in range(vectors)]
        with self.w.loop("0", str(length), carried=list(zip(kinds, running, strict=True))) as loop:
            at.indices[axes[0]] = loop.index
            loop.following = self._inside_loops(at, axes[1:], loop.values, turn)
        return loop.values

    def _reduce_lanes(self) -> None:
        w, roots = self.w, self.kernel.roots
        kept = [a for a in range(len(self.lengths)) if a not in self.reduced]
        inner = [a for a in range(len(self.lengths) - 1) if a in self.reduced]
        blocks, tail = divmod(self.lengths[-1], LANES)
        kinds = [vector(root.dtype) for root in roots]

        def add(at: Position, running: list[str], valid: int | None = None) -> list[str]:
            values = self._body_at(at)
            return [
                self._combine(*each, valid) for each in zip(roots, running, values, strict=True)
            ]

        def turn(at: Position, running: list[str]) -> list[str]:
            if blocks > 1:
                at = self.body.rows(at)
                carried = list(zip(kinds, running, strict=True))
                with w.loop("0", str(blocks), carried=carried) as loop:
                    lane = w.let(f"mul i64 {loop.index}, {LANES}")
                    here = Position([*at.indices[:-1], lane], LANES, at.rows)
                    loop.following = add(here, loop.values)
                running = loop.values
            elif blocks:
                running = add(Position([*at.indices[:-1], 0]), running)
            if tail:
                running = add(Position([*at.indices[:-1], blocks * LANES], tail), running, tail)
            return running

        at = Position([0] * len(self.lengths))
        with self.outer_loops(kept, at, split=bool(kept)):
            begin = [state.start for state in self._running()]
            running = self._inside_loops(at, inner, begin, turn)
            for root, kind, value in zip(roots, kinds, running, strict=True):
                scalar = memory.tree(w, root.dtype, value, root.name)
                self.body.values[root] = w.let(
                    f"insertelement {kind} zeroinitializer, {element(root.dtype)} {scalar}, i32 0"
                )
            self.body.write_section("outer", Position([*at.indices[:-1], 0], 1))

    def _reduce_rows(self) -> None:
        kept = [a for a in range(len(self.lengths) - 1) if a not in self.reduced]
        lanes = self.lengths[-1]
        self.w.lanes = fitting(lanes)
        runs_over = self._runs_over("outer") and self._runs_over("body")
        tail = 0 if runs_over else lanes % self.w.lanes
        blocks = lanes // self.w.lanes if tail else -(-lanes // self.w.lanes)
        inside = sum(self.kernel.section(node) == "body" for node in self.kernel.nodes)
        width = min(COLUMNS if inside < MANY else 1, blocks)
        groups = blocks // width if width else 0
        at = Position([0] * len(self.lengths))
        split_groups = not kept
        with self.outer_loops(kept, at, split=True):
            if groups:
                start, stop = self.bounds(groups) if split_groups else ("0", str(groups))
                if groups == 1 and not (self.shared and split_groups):
                    self._columns(at, 0, [self.w.lanes] * width)
                else:
                    with self.w.loop(start, stop) as loop:
                        lane = self.w.let(f"mul i64 {loop.index}, {self.w.lanes * width}")
                        self._columns(at, lane, [self.w.lanes] * width)
            rest = [self.w.lanes] * (blocks - groups * width) + ([tail] if tail else [])
            if rest:
                guard = self._last_worker() if split_groups else contextlib.nullcontext()
                with guard:
                    self._columns(at, groups * width * self.w.lanes, rest)

    def _columns(self, at: Position, lane: str | int, valid: list[int]) -> None:
        """Reduce along the rows for some neighbouring vectors of columns."""
        starts = [self.body.plus(lane, i * self.w.lanes) for i in range(len(valid))]
        states = self._running()
        place = {state.root: i for i, state in enumerate(states)}

        def turn(at: Position, running: list[str]) -> list[str]:
            following = list(running)
            for v, (start, count) in enumerate(zip(starts, valid, strict=True)):
                here = Position([*at.indices[:-1], start], count)
                for root, value in zip(self.kernel.roots, self._body_at(here), strict=True):
                    i = place[root] * len(valid) + v
                    if root.name == "argmax":
                        both = slice(i - len(valid), i + 1, len(valid))
                        following[both] = self._greater(root, running[both], value, here)
                    else:
                        following[i] = self._combine(root, running[i], value)
            return following

        begin = [state.start for state in states for _ in valid]
        running = self._inside_loops(at, list(self.reduced), begin, turn)
        for v, (start, count) in enumerate(zip(starts, valid, strict=True)):
            for root in self.kernel.roots:
                self.body.values[root] = running[place[root] * len(valid) + v]
            self.body.write_section("outer", Position([*at.indices[:-1], start], count))


def turned_axis(kernel: Kernel) -> int | None:
    """The axis along which a plain copy's source runs, where it is not the last."""
    if kernel.nodes or len(kernel.stores) != 1:
        return None
    (store,) = kernel.stores
    if store.source is None:
        return None
    source, target = store.source.squeezed(), store.target.squeezed()
    if source.dtype.kind != "f" or source.shape != kernel.domain or target.shape != source.shape:
        return None
    if target.strides[-1:] != (1,) or source.strides[-1] in (0, 1):
        return None
    fits = [a for a, s in enumerate(source.strides) if s == 1 and source.shape[a] >= LANES // 2]
    return fits[0] if fits and source.shape[-1] >= LANES // 4 else None


def share(w: Writer, total: int, least: int = 1) -> tuple[str, str]:
    """The bounds of this worker's even part of so many items.

    Args:
        w: where to write.
        total: how many items there are.
        least: items below which a worker has none rather than so few; there are as many in all.
    """
    parts, numbers = "%workers", ["%worker", w.let("add i64 %worker, 1")]
    if least > 1:
        w.declare("declare i64 @llvm.umin.i64(i64, i64)")
        parts = w.let(f"call i64 @llvm.umin.i64(i64 %workers, i64 {total // least})")
        numbers = [w.let(f"call i64 @llvm.umin.i64(i64 {n}, i64 {parts})") for n in numbers]
    low, high = (w.let(f"udiv i64 {w.let(f'mul i64 {n}, {total}')}, {parts}") for n in numbers)
    return low, high
