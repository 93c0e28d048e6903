"""Rewrite rules on the graph: `old -> new`, the identity in a trailing comment.

A rule looks at one node and its inputs only, so that what else is asked of a
program never changes how a value is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pellucid.core import argmax, pooling, standardize, windows
from pellucid.core.movement import expand
from pellucid.core.node import TABLE, Node, constant, evaluate_one, make, topological, tracing
from pellucid.core.program import Computation
from pellucid.core.tensor import Tensor, broadcast_to, reshape, transpose, where
from pellucid.core.tensor import max as max_
from pellucid.core.tensor import sum as sum_

from . import convolve

Rule = Callable[[Node], Node | None]

# Exact in IEEE arithmetic, hence the same from NumPy on every machine.
FOLDABLE = {
    "add", "subtract", "multiply", "divide", "negative", "sqrt", "cast", "relu", "absolute",
    "less", "less_equal", "equal", "logical_and", "logical_or", "logical_not", "where",
}  # fmt: skip


def _scalar(node: Node) -> np.ndarray | None:
    """The number that a node is everywhere, if that is known."""
    while node.name in ("broadcast_to", "reshape"):
        node = node.inputs[0]
    fixed = node.name == "constant" and node.cell is None and node.shape == ()
    return node.value if fixed else None


def _is(node: Node, number: float) -> bool:
    value = _scalar(node)
    return value is not None and value.dtype.kind == "f" and float(value) == number


def _spread(node: Node, shape: tuple[int, ...]) -> Node:
    return broadcast_to(Tensor(node), shape).node


def drop_names(n: Node) -> Node | None:
    """A name for a value is the value."""
    if n.name in ("alias", "stop_gradient"):
        return n.inputs[0]  # a name for x -> x
    return None


def join_views(n: Node) -> Node | None:
    """Views of views of the same kind are one view."""
    if n.primitive.kind != "view":
        return None
    x = n.inputs[0]
    if n.name == "reshape" and n.shape == x.shape:
        return x
    if n.name == "reshape" and x.name == "reshape":
        return reshape(Tensor(x.inputs[0]), n.shape).node  # reshape of reshape -> reshape
    if n.name == "transpose" and x.name == "transpose":
        axes = tuple(x.attr("axes")[a] for a in n.attr("axes"))
        return transpose(Tensor(x.inputs[0]), axes).node  # transpose of transpose -> transpose
    if n.name == "broadcast_to" and x.name == "broadcast_to":
        return make("broadcast_to", x.inputs, shape=n.shape)  # broadcast of broadcast -> one
    return None


def drop_neutral(n: Node) -> Node | None:
    """Operations that change nothing go."""
    if n.name == "multiply" and _is(n.inputs[1], 1.0):
        return n.inputs[0]  # x * 1 -> x
    if n.name == "multiply" and _is(n.inputs[0], 1.0):
        return n.inputs[1]  # 1 * x -> x
    if n.name == "divide" and _is(n.inputs[1], 1.0):
        return n.inputs[0]  # x / 1 -> x
    if n.name == "negative" and n.inputs[0].name == "negative":
        return n.inputs[0].inputs[0]  # -(-x) -> x
    if n.name == "where" and n.inputs[1] is n.inputs[2]:
        return n.inputs[1]  # x if c else x -> x
    return None


def divide_exactly(n: Node) -> Node | None:
    """Dividing by a power of two is multiplying by its exact inverse."""
    value = _scalar(n.inputs[1]) if n.name == "divide" else None
    if value is None or float(value) == 0 or not math.isfinite(float(value)):
        return None
    mantissa, exponent = math.frexp(float(value))
    if abs(mantissa) != 0.5 or abs(exponent) > 100:
        return None
    inverse = constant(np.asarray(1 / float(value), value.dtype))
    return make("multiply", (n.inputs[0], _spread(inverse, n.shape)))  # x / 2^k -> x * 2^-k


def fold_scalars(n: Node) -> Node | None:
    """What is done to known numbers is done now."""
    if n.name not in FOLDABLE or n.shape != () or not n.inputs:
        return None
    values = [_scalar(i) for i in n.inputs]
    if any(v is None for v in values):
        return None
    return constant(evaluate_one(n.primitive, values, dict(n.attrs), n.shape, n.dtype))


def hoist_broadcast(n: Node) -> Node | None:
    """f(spread(x), spread(y)) -> spread(f(x, y)): work on the smaller value."""
    if n.primitive.kind != "elementwise" or not n.inputs or math.prod(n.shape) <= 1:
        return None
    sources = []
    for i in n.inputs:
        value = _scalar(i)
        if value is not None:
            sources.append(constant(np.asarray(value)))
        elif i.name == "broadcast_to":
            sources.append(i.inputs[0])
        else:
            return None
    shapes = {s.shape for s in sources if s.shape != ()}
    if len(shapes) > 1:
        return None
    shape = shapes.pop() if shapes else ()
    small = make(n.name, tuple(_spread(s, shape) for s in sources), **dict(n.attrs))
    return _spread(small, n.shape)


def sum_of_one(n: Node) -> Node | None:
    """Reducing single elements leaves them."""
    if n.primitive.kind == "reduction" and all(n.inputs[0].shape[a] == 1 for a in n.attr("axes")):
        return reshape(Tensor(n.inputs[0]), n.shape).node  # sum over axes of length 1 -> reshape
    return None


def product_with_column(n: Node) -> Node | None:
    """x @ column -> sum of x * row: lanes along the row instead of one lane in sixteen."""
    if n.name != "matmul" or n.shape[-1] != 1 or n.inputs[0].shape[-1] < 2:
        return None
    x, y = map(Tensor, n.inputs)
    if n.inputs[0].name == "transpose" and len(n.shape) == 2:
        lying = transpose(x)  # (k, m): rows to add up, as they lie in memory
        total = sum_(lying * broadcast_to(y, lying.shape), 0)
    else:
        row = reshape(y, (*y.shape[:-2], 1, y.shape[-2]))
        total = sum_(x * broadcast_to(row, x.shape), -1)
    return reshape(total, n.shape).node


def product_of_single_terms(n: Node) -> Node | None:
    """column @ row -> each element of the one times each of the other (a 0 may be -0)."""
    if n.name != "matmul" or n.inputs[0].shape[-1] != 1:
        return None
    column, row = (broadcast_to(Tensor(i), n.shape) for i in n.inputs)
    return (column * row).node


def lower(n: Node) -> Node | None:
    """Convolutions, pooling and normalizations are made of other rows."""
    if n.name == "convolution":
        return convolve.convolution(n).node
    if n.name == "kernel_gradient":
        return convolve.kernel_gradient(n).node
    if n.name == "max_pool":
        return pooling.lowered(Tensor(n.inputs[0]), **dict(n.attrs)).node
    if n.name == "argmax" and _along_lanes(n):
        return argmax.lowered(Tensor(n.inputs[0]), **dict(n.attrs)).node
    if n.name == "standardize":
        return standardize.lowered(Tensor(n.inputs[0]), **dict(n.attrs)).node
    return None


def _along_lanes(n: Node) -> bool:
    """A reduction over the last axis that has more than one element, or over none such."""
    longer = [a for a, length in enumerate(n.inputs[0].shape) if length != 1]
    return not longer or longer[-1] in n.attr("axes") or not set(longer) & set(n.attr("axes"))


class Routed(NamedTuple):
    """What goes to the greatest element of each window, and to no other.

    Attributes:
        windows: the elements, those of a window along the axes `axes`.
        axes: of them.
        here: where the greatest stand.
        given: what goes there: one value for each window.
    """

    windows: Tensor
    axes: tuple[int, ...]
    here: Tensor
    given: Tensor

    def with_given(self, given: Tensor) -> Tensor:
        """Something else goes there."""
        return where(self.here, expand(given, self.windows.shape, self.axes), 0.0)


def _routed(n: Node) -> Routed | None:
    """The parts of `here is the greatest ? given : 0`, as the gradient of pooling has it."""
    n = _beneath(n)
    if n.name != "where" or not _is(n.inputs[2], 0.0) or n.inputs[0].name != "equal":
        return None
    here, spread, _ = n.inputs
    number, place = here.inputs
    if {place.name, spread.name} != {"broadcast_to"}:
        return None
    winner = _beneath(place.inputs[0])
    if winner.name != "argmax":
        return None
    windows, axes = winner.inputs[0], winner.attr("axes")
    kept = tuple(1 if a in axes else n for a, n in enumerate(windows.shape))
    if here.shape != windows.shape or {place.inputs[0].shape, spread.inputs[0].shape} != {kept}:
        return None
    if number is not rewrite(argmax.numbers(windows.shape, axes).node, {}):
        return None
    given = reshape(Tensor(spread.inputs[0]), winner.shape)
    return Routed(Tensor(windows), axes, Tensor(here), given)


def _beneath(n: Node) -> Node:
    """A value as it was before it was given another shape."""
    return n.inputs[0] if n.name == "reshape" else n


def ask_the_greatest(n: Node) -> Node | None:
    """What depends on the greatest element of a window is asked of the maximum.

    c < x ? (here is the greatest ? g : 0) : 0 -> here is the greatest ? (c < max ? g : 0) : 0,
    after which nobody needs x.
    """
    if n.name != "where" or n.inputs[0].name != "less" or not _is(n.inputs[2], 0.0):
        return None
    (bound, x), routed = n.inputs[0].inputs, _routed(n.inputs[1])
    value = _scalar(bound)
    if value is None or routed is None or _beneath(routed.windows.node) is not _beneath(x):
        return None
    best = max_(routed.windows, routed.axes)
    above = Tensor(_spread(constant(value), best.shape)) < best
    return reshape(routed.with_given(where(above, routed.given, 0.0)), n.shape).node


def sum_of_routed(n: Node) -> Node | None:
    """What goes to one element of each window, added up for each channel, is what was given."""
    if n.name != "sum" or n.attr("axes") != tuple(range(len(n.inputs[0].shape) - 1)):
        return None
    routed = _routed(n.inputs[0])
    if routed is None or routed.given.shape[-1:] != n.shape:
        return None
    return sum_(routed.given, tuple(range(routed.given.ndim - 1))).node


def one_column_axis(n: Node) -> Node | None:
    """A contraction's columns lie along one axis."""
    if n.name != "tensordot":
        return None
    x, y = map(Tensor, n.inputs)
    batch, depth = n.attr("batch"), n.attr("depth")
    columns = y.shape[batch + depth :]
    if len(columns) == 1:
        return None
    joined = reshape(y, (*y.shape[: batch + depth], math.prod(columns)))
    return reshape(windows.tensordot(x, joined, batch, depth), n.shape).node


SHARDS, SHARDED_FROM = 16, 1 << 14
"""Parts into which a sum over many rows is cut, and elements from which it is."""


def sum_in_shards(n: Node) -> Node | None:
    """A sum over many rows is a sum of sums over parts, which workers can share."""
    if n.name != "sum" or 0 not in n.attr("axes") or n.dtype.kind != "f":
        return None
    x = n.inputs[0]
    rows = x.shape[0]
    shards = next(s for s in range(min(SHARDS, max(rows, 1)), 0, -1) if rows % s == 0)
    if shards == 1 or rows == shards or math.prod(x.shape) < SHARDED_FROM:
        return None
    if 2 * math.prod(n.shape) * shards > math.prod(x.shape):
        return None
    cut = reshape(Tensor(x), (shards, rows // shards, *x.shape[1:]))
    parts = sum_(cut, tuple(a + 1 for a in n.attr("axes")))
    return sum_(parts, 0).node  # sum of rows -> sum of sums of parts of the rows


MANY_ROWS, MANY_TERMS = 3, 1 << 17
"""How many times fewer elements a product must have than its factors, and how many products of
two numbers it must take, to be a sum of two."""


def product_in_halves(n: Node) -> Node | None:
    """A small product along many rows is a sum of two, of which each worker has the rows at hand.

    So the gradient of a small dense layer: each of two workers made half of the rows of both
    factors, and would have to wait for the other half. Neither factor may be parameters alone:
    that would be a layer whose examples lie along a column, and what it gives for one of them
    must not depend on how many there are.
    """
    if n.name != "matmul" or len(n.shape) != 2 or n.inputs[0].name != "transpose":
        return None
    factors = n.inputs[0].inputs[0], n.inputs[1]
    rows, elements = factors[0].shape[0], math.prod(n.shape)
    many = (
        rows * (n.shape[0] + n.shape[1]) >= MANY_ROWS * elements and rows * elements >= MANY_TERMS
    )
    if rows % 2 or not many or not all(map(_comes_from_data, factors)):
        return None
    x, g = map(Tensor, factors)
    return convolve.in_halves(x, g, 1).node


def _comes_from_data(n: Node) -> bool:
    """Something that a program is given has to do with it."""
    return any(node.name == "placeholder" for node in topological([n]))


RULES: tuple[Rule, ...] = (
    drop_names,
    lower,
    one_column_axis,
    join_views,
    drop_neutral,
    divide_exactly,
    fold_scalars,
    hoist_broadcast,
    sum_of_one,
    sum_of_routed,
    sum_in_shards,
    product_in_halves,
    ask_the_greatest,
    product_with_column,
    product_of_single_terms,
)


def rewrite(node: Node, done: dict[Node, Node]) -> Node:
    """Apply the rules until none fits, to what the rules make as well.

    Args:
        node: to rewrite.
        done: what nodes became, those below this one among them.
    """
    if node in done:
        return done[node]
    if node.primitive.kind == "leaf" or node.value is not None:
        return node
    old, node = node, _remake(node, tuple(rewrite(i, done) for i in node.inputs))
    for rule in RULES:
        found = rule(node)
        if found is not None and found is not node:
            node = rewrite(found, done)
            break
    done[old] = node
    return node


def _remake(node: Node, inputs: tuple[Node, ...]) -> Node:
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return node
    return make(node.name, inputs, **dict(node.attrs))


def simplify(computation: Computation) -> Computation:
    """Every node rewritten, equal ones shared; inputs stay the nodes that they are."""
    new: dict[Node, Node] = {n: n for n in computation.inputs}
    with tracing():
        for node in topological(computation.results):
            new[node] = rewrite(node, new)
        outputs, stepped = _told_apart(computation, new)
    return Computation(
        computation.inputs,
        outputs,
        tuple((cell, new[n]) for cell, n in computation.updates),
        stepped,
        computation.live,
    )


def _told_apart(
    computation: Computation, new: dict[Node, Node]
) -> tuple[tuple[Node, ...], frozenset[Node]]:
    """The new outputs, and what is stepped now.

    What becomes one node may be stepped in one place and not in another: there the
    output gets a name of its own.
    """
    moves = {n: n in computation.stepped for n in computation.inputs}
    outputs = []
    for old in computation.outputs:
        node, moving = new[old], old in computation.stepped
        if moves.setdefault(node, moving) != moving:
            node = make("alias", (node,), number=0)
            moves[node] = moving
        outputs.append(node)
    return tuple(outputs), frozenset(n for n, moving in moves.items() if moving)


assert TABLE.keys() >= FOLDABLE
