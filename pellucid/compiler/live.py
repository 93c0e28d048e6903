"""Rows of a batch that count: products leave out the others.

A step may be compiled for more rows than it is given (`Live`). What the others give is nowhere
seen: products with a row for each are 0 there, without being computed, and whatever follows is
computed of that. A gradient that sums over rows ends with the last one that counts: behind it, one
of the factors is 0.
"""

from __future__ import annotations

import math

from pellucid.core.node import Node, Shape, topological
from pellucid.core.program import Computation, Live

from .kernels import Plan
from .tiles import depth_axes, shared_axes
from .views import Buffer


def bound_rows(plan: Plan) -> None:
    """Tell the contractions that can leave rows out of the number that counts."""
    live = plan.computation.live
    if live is None:
        return
    axes, weighted = batch_axes(plan.computation, live), depends_on(plan.computation, live.weights)
    number = plan.computation.inputs.index(live.count)
    stepped = live.count in plan.computation.stepped
    plan.count = Buffer("input", (), live.count.dtype, (), number, stepped=stepped)
    for kernel in plan.kernels:
        if kernel.kind == "contract":
            kernel.bound = _bound(kernel.root, axes, weighted)


def _bound(root: Node | None, axes: dict[Node, tuple[int, ...]], weighted: set[Node]) -> str:
    """Along what a contraction can be cut: its "rows", its "depth", or nothing."""
    if root is None or root.name not in ("matmul", "tensordot"):
        return ""
    left, right = root.inputs
    batch, last = shared_axes(root), len(left.shape) - 1
    if root.name == "matmul" and len(root.shape) == 2 and axes.get(left) == (0,):
        return "rows"
    parts = tuple(range(batch))
    summed = axes.get(left) == (*parts, last) and axes.get(right) == (*parts, batch)
    one = batch <= 1 and depth_axes(root) == 1
    return "depth" if summed and one and (left in weighted or right in weighted) else ""


def depends_on(computation: Computation, source: Node) -> set[Node]:
    """The nodes that a source has to do with."""
    found = {source}
    for node in topological(computation.results):
        if not found.isdisjoint(node.inputs):
            found.add(node)
    return found


def batch_axes(computation: Computation, live: Live) -> dict[Node, tuple[int, ...]]:
    """Of nodes with one entry per row of the batch the axes that count rows, the major one first.

    Nodes of which that is not known are left out.
    """
    found: dict[Node, tuple[int, ...]] = {}
    rows = live.index.shape[0]
    for node in topological(computation.results):
        known = [found[x] for x in node.inputs if x in found]
        taken = node.name == "gather" and node.inputs[1] is live.index
        product = node.name == "matmul" and len(node.shape) == 2
        axes: tuple[int, ...] | None = None
        if taken or (product and found.get(node.inputs[0]) == (0,)):
            axes = (0,)
        elif len(set(known)) == 1 and node.primitive.kind in ("elementwise", "view", "reduction"):
            axes = _passed_on(node, known[0], rows)
        if axes is not None and math.prod(node.shape[a] for a in axes) == rows:
            found[node] = axes
    return found


def _passed_on(node: Node, axes: tuple[int, ...], rows: int) -> tuple[int, ...] | None:
    """Where a node has the rows that its operands have along these axes."""
    if node.primitive.kind == "elementwise":
        return axes
    if node.primitive.kind == "view":
        return _seen(node, axes, rows)
    reduced = node.attr("axes")
    if set(axes) & set(reduced):
        return None
    return tuple(a - sum(r < a for r in reduced) for a in axes)


def _seen(node: Node, axes: tuple[int, ...], rows: int) -> tuple[int, ...] | None:
    """Where a view has its operand's rows."""
    if node.name == "transpose":
        order = node.attr("axes")
        return tuple(order.index(a) for a in axes)
    if node.name == "broadcast_to":
        return tuple(a + len(node.shape) - len(node.inputs[0].shape) for a in axes)
    if node.name == "reshape" and axes == tuple(range(len(axes))):
        return _leading(node.shape, rows)
    return None


def _leading(shape: Shape, rows: int) -> tuple[int, ...] | None:
    """The first axes, as many as together count the rows."""
    product = 1
    for axis, length in enumerate(shape):
        product *= length
        if product == rows:
            return tuple(range(axis + 1))
        if product > rows:
            break
    return None
