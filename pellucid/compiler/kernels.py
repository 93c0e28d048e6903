"""Kernels: pieces of the graph that become one loop nest each.

`place` makes one kernel for every node that computes, says where its operands
lie, and adds a kernel for every copy: to an output, to a cell, into a part of a
concatenation. `fuse` then merges them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pellucid.core.node import Node, Shape, topological
from pellucid.core.program import Computation
from pellucid.core.storage import Cell, strides_of

from .views import Buffer, View, packed_strides, refines, reshaped, squeeze, temporary


class Store(NamedTuple):
    """A value that leaves a kernel: where it is found (None: zeros) and where it goes."""

    source: View | None
    target: View


class Read(NamedTuple):
    """An operand: who reads it, in which place, where it lies, in which section."""

    node: Node | None
    position: int
    view: View
    section: str


@dataclass(eq=False)
class Kernel:
    """One loop nest.

    A reduction has two sections: its "body", inside all loops, and what is "outer",
    outside the reduced ones. All of a map is body; what follows a contraction is
    outer, its own operands are read in the "root".

    Attributes:
        kind: "map", "reduce", "contract", "random" or "scatter".
        domain: lengths of its loops: for a reduction the shape before it, for a
            contraction the shape of the product.
        nodes: what it computes, each after its inputs.
        roots: the reductions in it, over the same axes, or its one contraction, random
            bits or scatter.
        stores: values that leave it.
        reads, writes: buffers; settled when fusion is done.
        blocks: parts in which a contraction walks along its depth (0: at once); `schedule`.
        scratch: where accumulators wait from one block to the next.
        bound: along what a contraction ends with the rows that count: "rows", "depth" or "".
        claims: what it writes and other workers have read (`claim`).
        ahead: what each worker updates after it, an even part of the rows, and others have read.
    """

    kind: str
    domain: Shape
    nodes: list[Node]
    roots: list[Node] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    reads: set[Buffer] = field(default_factory=set)
    writes: set[Buffer] = field(default_factory=set)
    blocks: int = 0
    scratch: Buffer | None = None
    bound: str = ""
    claims: list[Buffer] = field(default_factory=list)
    ahead: list[Buffer] = field(default_factory=list)

    @property
    def root(self) -> Node | None:
        """The first of the roots."""
        return self.roots[0] if self.roots else None

    @property
    def outer(self) -> Shape:
        """Lengths of the loops outside a reduction; else the domain."""
        return squeeze(self.root.shape) if self.kind == "reduce" and self.root else self.domain

    @property
    def reduced_axes(self) -> tuple[int, ...]:
        """A reduction's axes, counted in the domain."""
        assert self.root is not None
        shape, axes = self.root.inputs[0].shape, self.root.attr("axes")
        kept = [a for a, n in enumerate(shape) if n != 1]
        return tuple(i for i, a in enumerate(kept) if a in axes)

    @property
    def reduces_lanes(self) -> bool:
        """A reduction that runs along the lanes of a vector."""
        return self.kind == "reduce" and len(self.domain) - 1 in self.reduced_axes

    def section(self, node: Node) -> str:
        """Where a node's value is known."""
        if self.kind == "map":
            return "body"
        if self.kind == "reduce" and node not in self.roots and self.passes(node.shape):
            return "body"
        return "outer"

    def passes(self, shape: Shape) -> bool:
        """All loops together pass through the elements of a value of this shape."""
        return refines(self.domain, squeeze(shape))

    def reading_section(self, node: Node) -> str:
        """Where a node reads its operands."""
        if node in self.roots:
            return "body" if self.kind == "reduce" else "root"
        return self.section(node)

    def store_section(self, store: Store) -> str:
        """Where a store happens."""
        if self.kind == "reduce" and self.passes(store.target.shape):
            return "body"
        return "body" if self.kind == "map" else "outer"


@dataclass(eq=False)
class Plan:
    """What the passes work on: kernels, where values lie, and what must precede what.

    Attributes:
        views: where each node's value lies.
        operands: where a contraction reads instead, if its operand was copied.
        sources: the cells and constant arrays met, in order.
        cell_buffers: their buffers, by identity.
        outputs: buffers of the outputs.
        before, after: direct neighbours of each kernel in any valid order.
        phases: kernels in order; workers meet between phases (`schedule`).
        serial: kernels too small to share; the first worker runs them.
        offsets, memory: temporaries' places in the program's memory, in bytes.
        kept, zeros: temporaries in which zeros stay from step to step, and their bytes, with which
            the program's memory begins.
        desk: bytes that each worker needs for itself while a kernel runs.
        desks: where all of them are: a place that holds their address.
        count: where the number of rows that count is, if not all do.
        table: buffers whose addresses the program is given, kernel after kernel (`render`).
    """

    computation: Computation
    kernels: list[Kernel] = field(default_factory=list)
    views: dict[Node, View] = field(default_factory=dict)
    operands: dict[tuple[Node, int], View] = field(default_factory=dict)
    sources: list[Cell | np.ndarray] = field(default_factory=list)
    cell_buffers: dict[int, Buffer] = field(default_factory=dict)
    outputs: list[Buffer] = field(default_factory=list)
    before: dict[Kernel, set[Kernel]] = field(default_factory=dict)
    after: dict[Kernel, set[Kernel]] = field(default_factory=dict)
    phases: list[list[Kernel]] = field(default_factory=list)
    serial: set[Kernel] = field(default_factory=set)
    offsets: dict[Buffer, int] = field(default_factory=dict)
    memory: int = 0
    kept: list[Buffer] = field(default_factory=list)
    zeros: int = 0
    desk: int = 0
    desks: Buffer = field(default_factory=lambda: Buffer("desks", (1,), np.dtype(np.int64), (1,)))
    count: Buffer | None = None
    table: list[Buffer] = field(default_factory=list)

    def remove(self, kernel: Kernel) -> None:
        """Take a kernel out, with what was known of its neighbours."""
        self.kernels.remove(kernel)
        for near, back in ((self.before, self.after), (self.after, self.before)):
            for other in near.pop(kernel):
                back[other].discard(kernel)

    def operand(self, node: Node, position: int) -> View:
        """Where a node reads an input."""
        return self.operands.get((node, position)) or self.views[node.inputs[position]]

    def reads(self, kernel: Kernel) -> Iterator[Read]:
        """Every operand of a kernel's nodes and stores."""
        for node in kernel.nodes:
            section = kernel.reading_section(node)
            for position in range(len(node.inputs)):
                yield Read(node, position, self.operand(node, position), section)
        for store in kernel.stores:
            if store.source is not None:
                yield Read(None, 0, store.source, kernel.store_section(store))


def made_in(kernel: Kernel, view: View, section: str) -> Node | None:
    """The node of this kernel that makes the value at this position of this section."""
    owner = view.buffer.owner
    if owner is None or owner not in kernel.nodes or not view.is_home():
        return None
    return owner if kernel.section(owner) == section else None


def place(computation: Computation) -> Plan:
    """One kernel per node that computes, and one per copy."""
    plan = Plan(computation)
    placer = _Placer(plan)
    nodes = topological(computation.results)
    placer.frame(nodes)
    for node in nodes:
        placer.place(node)
    for number, node in enumerate(computation.outputs):
        buffer = Buffer(
            "output",
            node.shape,
            node.dtype,
            packed_strides(node.shape),
            number,
            stepped=node in computation.stepped,
        )
        plan.outputs.append(buffer)
        placer.copy(plan.views[node], buffer.whole())
    for cell, node in computation.updates:
        source = plan.views[node]
        if source.buffer.role == "cell":  # it may change before it is read: copy it first
            source = placer.pack(node)
        placer.copy(source, placer.cell_buffer(cell).whole())
    return plan


FRAMED = ("elementwise", "reduction", "contraction")
"""Kinds of primitives whose kernels store anywhere."""


class _Placer:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.packed: dict[Node, View] = {}
        self.rows: dict[Node, View] = {}
        self.frames: dict[Node, Node] = {}
        self.inputs = {n: i for i, n in enumerate(plan.computation.inputs)}

    def cell_buffer(self, source: Cell | np.ndarray) -> Buffer:
        """The buffer of a cell or a constant array, numbered when first met."""
        known = self.plan.cell_buffers.get(id(source))
        if known is None:
            value = source.value if isinstance(source, Cell) else source
            strides = strides_of(value.shape, value.dtype)
            number = len(self.plan.sources)
            known = Buffer("cell", value.shape, value.dtype, strides, number)
            self.plan.sources.append(source)
            self.plan.cell_buffers[id(source)] = known
        return known

    def frame(self, nodes: list[Node]) -> None:
        """What is computed and then padded is computed inside its padding."""
        for node in nodes:
            if node.name == "pad" and not any(node.attr("between")):
                (x,) = node.inputs
                if x.name == "reshape" and refines(*map(squeeze, (x.inputs[0].shape, x.shape))):
                    (x,) = x.inputs
                computed = x.primitive.kind in FRAMED or x.name == "gather"
                if computed and x.value is None and x not in self.inputs:
                    self.frames.setdefault(x, node)

    def place(self, node: Node) -> None:
        """Settle where a node's value lies, and the kernel that computes it."""
        plan = self.plan
        if node in plan.views:  # a padding that was placed with what it holds
            return
        if node in self.inputs:
            buffer = Buffer(
                "input",
                node.shape,
                node.dtype,
                packed_strides(node.shape),
                self.inputs[node],
                stepped=node in plan.computation.stepped,
            )
            plan.views[node] = buffer.whole()
        elif node.value is not None:
            plan.views[node] = self._known(node)
        elif node.name == "placeholder":
            raise ValueError(
                f"a tensor of shape {node.shape} is used outside the traced function that it "
                "belongs to, where it has no value; does a layer or a function keep a tensor from "
                "an earlier call?"
            )
        elif node.primitive.kind == "view":
            source = plan.views[node.inputs[0]]
            seen = source.through(node)
            if seen is None:
                seen = self.pack(node.inputs[0]).through(node)
            assert seen is not None
            plan.views[node] = seen
        elif node.name in ("concatenate", "pad"):
            self._assemble(node)
        else:
            self._compute(node)

    def _known(self, node: Node) -> View:
        if node.cell is not None:
            return self.cell_buffer(node.cell).whole()
        assert node.value is not None
        if node.shape == ():
            return Buffer("literal", (), node.dtype, (), literal=node.value[()]).whole()
        return self.cell_buffer(node.value).whole()

    def pack(self, node: Node) -> View:
        """A copy of a value without padding."""
        if node not in self.packed:
            buffer = Buffer("temporary", node.shape, node.dtype, packed_strides(node.shape))
            self.packed[node] = buffer.whole()
            self.copy(self.plan.views[node], buffer.whole())
        return self.packed[node]

    def copy(self, source: View | None, target: View) -> None:
        """A kernel that stores a value (None: zeros) where the target says."""
        store = Store(source, target)
        self.plan.kernels.append(Kernel("map", squeeze(target.shape), [], stores=[store]))

    def _assemble(self, node: Node) -> None:
        """Parts are stored where they belong, by whoever computes them."""
        whole = temporary(node.shape, node.dtype, node).whole()
        self.plan.views[node] = whole
        plan_views = self.plan.views
        if node.name == "pad":
            self.copy(None, whole)
            b, i = node.attr("before"), node.attr("between")
            x = node.inputs[0]
            offset = sum(k * s for k, s in zip(b, whole.strides, strict=True))
            strides = tuple(s * (k + 1) for s, k in zip(whole.strides, i, strict=True))
            self.copy(plan_views[x], View(whole.buffer, offset, x.shape, strides))
            return
        axis, offset = node.attr("axis"), 0
        for x in node.inputs:
            self.copy(plan_views[x], View(whole.buffer, offset, x.shape, whole.strides))
            offset += x.shape[axis] * whole.strides[axis]

    def _compute(self, node: Node) -> None:
        plan = self.plan
        kinds = {"elementwise": "map", "reduction": "reduce", "contraction": "contract"}
        kind = kinds.get(node.primitive.kind, "map")
        kind = {"random_bits": "random", "scatter_add": "scatter"}.get(node.name, kind)
        domain = squeeze(node.inputs[0].shape if kind == "reduce" else node.shape)
        roots = [] if kind == "map" else [node]
        if node in self.frames:
            self._place_framed(node, self.frames[node])
        else:
            plan.views[node] = temporary(node.shape, node.dtype, node).whole()
        if kind == "contract":
            self._arrange_operands(node)
        if kind == "scatter":
            self.copy(plan.views[node.inputs[0]], plan.views[node])
        plan.kernels.append(Kernel(kind, domain, [node], roots))

    def _place_framed(self, node: Node, pad: Node) -> None:
        """The value's place within zeros; they are stored around it, two sides by one kernel."""
        before, after = pad.attr("before"), pad.attr("after")
        buffer = temporary(pad.shape, pad.dtype, node)
        offset = sum(n * s for n, s in zip(before, buffer.strides, strict=True))
        buffer.frame = (offset, pad.inputs[0].shape)
        home = reshaped(buffer.home(), node.shape)
        assert home is not None
        self.plan.views[pad], self.plan.views[node] = buffer.whole(), home
        shape, start = list(pad.shape), 0
        for axis, stride in enumerate(buffer.strides):
            low, high, inner = before[axis], after[axis], buffer.frame[1][axis]
            sides = [(start, low), (start + (low + inner) * stride, high)]
            if low == high and low:
                wide = (*shape[:axis], 2, low, *shape[axis + 1 :])
                far = (*buffer.strides[:axis], (low + inner) * stride, *buffer.strides[axis:])
                self.copy(None, View(buffer, start, wide, far))
            else:
                for at, width in sides:
                    slab = (*shape[:axis], width, *shape[axis + 1 :])
                    if width:
                        self.copy(None, View(buffer, at, slab, buffer.strides))
            shape[axis], start = inner, start + low * stride

    def _arrange_operands(self, node: Node) -> None:
        """The right operand is read along its rows; in Winograd's products so is the left."""
        if node.name not in ("matmul", "tensordot"):
            self._read_in_rows(node, 0)
            if len(node.inputs) > 1:
                self._read_in_rows(node, 1, packed=node.name == "winograd")
            return
        x = node.inputs[0]
        left = self.plan.views[x]
        if left.buffer.role == "literal":  # one number everywhere: it needs a place to be read
            place = temporary((), x.dtype).whole()
            self.copy(View(left.buffer, 0, (), ()), place)
            self.plan.operands[node, 0] = View(place.buffer, 0, x.shape, (0,) * len(x.shape))
        self._read_in_rows(node, 1)

    def _read_in_rows(self, node: Node, position: int, *, packed: bool = False) -> None:
        """An operand whose rows do not lie in order (or without gaps, if packed) is copied."""
        x = node.inputs[position]
        view = self.plan.views[x]
        if packed:
            fits = view.strides == packed_strides(x.shape)
        else:
            fits = view.strides[-1] == 1 or x.shape[-1] == 1
        if view.buffer.role != "literal" and fits:
            return
        if x not in self.rows:
            self.rows[x] = temporary(x.shape, x.dtype).whole()
            self.copy(view, self.rows[x])
        self.plan.operands[node, position] = self.rows[x]
