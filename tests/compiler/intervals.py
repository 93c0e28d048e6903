"""Bounds that every correct evaluation of a graph keeps, on whatever order and machine.

A value is held between two float64 arrays. Each primitive carries its operands'
bounds over to its result, and widens them by the rounding it may do in the dtype
that it works in. A result outside its bounds is wrong, not unlucky: nothing here
is a tolerance found by trying.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from pellucid.core import winograd
from pellucid.core.node import Node, topological


class Bounds(NamedTuple):
    """The least and the greatest value at each position."""

    low: np.ndarray
    high: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """The greatest distance from zero."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def width(self) -> np.ndarray:
        """How far they lie apart."""
        return self.high.astype(np.float64) - self.low


def exactly(value: Any) -> Bounds:
    """Bounds of a known value."""
    value = np.asarray(value)
    wide = {"f": np.float64, "i": np.int64, "u": np.int64, "b": bool}[value.dtype.kind]
    return Bounds(value.astype(wide), value.astype(wide))


Rule = Callable[..., Bounds]
RULES: dict[str, Rule] = {}

EXACT = "negative floor absolute relu maximum minimum stop_gradient alias less less_equal equal "
EXACT += "logical_and logical_or logical_not where max reshape transpose broadcast_to slice flip "
EXACT += "pad concatenate gather iota random_bits windows max_pool"
"""Primitives that never round."""

UNITS = (
    {"erf": 12}
    | dict.fromkeys(EXACT.split(), 0)
    | dict.fromkeys(("add", "subtract", "multiply", "divide", "sqrt", "cast"), 2)
)
"""Units in the last place that a correct result may be off; what is not named, 6. One unit is
for the float64 arithmetic of the bounds themselves."""


def _combined(reference: Any, *operands: np.ndarray, **attrs: Any) -> np.ndarray:
    return np.asarray(reference(*operands, **attrs))


def _rising(node: Node, *xs: Bounds) -> Bounds:
    """A primitive that grows with each of its operands, or moves elements."""
    f, attrs = node.primitive.reference, dict(node.attrs)
    low = _combined(f, *(x.low for x in xs), **attrs)
    return Bounds(low, _combined(f, *(x.high for x in xs), **attrs))


def _falling(node: Node, x: Bounds) -> Bounds:
    return _rising(node, Bounds(x.high, x.low))


def _corners(node: Node, x: Bounds, y: Bounds) -> Bounds:
    found = [_combined(node.primitive.reference, a, b) for a in x for b in y]
    return Bounds(np.minimum.reduce(found), np.maximum.reduce(found))


def _divide(node: Node, x: Bounds, y: Bounds) -> Bounds:
    low, high = _corners(node, x, y)
    unknown = (y.low <= 0) & (y.high >= 0)
    return Bounds(np.where(unknown, -np.inf, low), np.where(unknown, np.inf, high))


def _wave(node: Node, x: Bounds) -> Bounds:
    middle = _combined(node.primitive.reference, (x.low + x.high) / 2)
    return Bounds(np.maximum(middle - x.width, -1), np.minimum(middle + x.width, 1))


def _absolute(node: Node, x: Bounds) -> Bounds:
    around = (x.low <= 0) & (x.high >= 0)
    a, b = np.abs(x.low), np.abs(x.high)
    return Bounds(np.where(around, 0, np.minimum(a, b)), np.maximum(a, b))


def _where(node: Node, c: Bounds, x: Bounds, y: Bounds) -> Bounds:
    low = np.where(c.low, x.low, np.where(c.high, np.minimum(x.low, y.low), y.low))
    return Bounds(
        low, np.where(c.low, x.high, np.where(c.high, np.maximum(x.high, y.high), y.high))
    )


def _cast(node: Node, x: Bounds) -> Bounds:
    if node.dtype.kind == "b":
        certain = ~((x.low <= 0) & (x.high >= 0))
        return Bounds(certain, ~((x.low == 0) & (x.high == 0)))
    wide = np.float64 if node.dtype.kind == "f" else np.int64
    return Bounds(x.low.astype(wide), x.high.astype(wide))


def _gather(node: Node, x: Bounds, index: Bounds) -> Bounds:
    return _rising(node, x, Bounds(index.low, index.low))


def _random(node: Node, seed: Bounds, step: Bounds) -> Bounds:
    return exactly(node.primitive.reference(seed.low, step.low, **dict(node.attrs)))


RULES |= {
    "negative": _falling,
    "logical_not": _falling,
    "subtract": lambda node, x, y: _rising(node, x, Bounds(y.high, y.low)),
    "multiply": _corners,
    "power": _corners,
    "divide": _divide,
    "sin": _wave,
    "cos": _wave,
    "absolute": _absolute,
    "less": lambda node, x, y: Bounds(x.high < y.low, x.low < y.high),
    "less_equal": lambda node, x, y: Bounds(x.high <= y.low, x.low <= y.high),
    "equal": lambda node, x, y: Bounds(
        (x.low == x.high) & (x.high == y.low) & (y.low == y.high),
        (x.low <= y.high) & (y.low <= x.high),
    ),
    "where": _where,
    "cast": _cast,
    "gather": _gather,
    "random_bits": _random,
}


PRODUCTS: dict[str, Callable[[Node], int]] = {
    "matmul": lambda node: node.inputs[0].shape[-1],
    "tensordot": lambda node: math.prod(
        node.inputs[0].shape[len(node.inputs[0].shape) - node.attr("depth") :]
    ),
    "convolution": lambda node: math.prod(node.inputs[1].shape[:-1]),
    "kernel_gradient": lambda node: math.prod(node.inputs[1].shape[:-1]),
}
"""Sums of products, and how many each element of the result adds up."""


COORDINATES: dict[str, Callable[[Node], int]] = {
    "winograd": lambda node: node.inputs[1].shape[2] + 8,
    "winograd_gradient": lambda node: math.prod(node.inputs[1].shape[:3]) // 4 + 8,
    "winograd_kernel": lambda node: 8,
}
"""Products of coordinates likewise, with the additions on the way there and back."""


def terms(node: Node, xs: Sequence[Bounds]) -> tuple[int, np.ndarray]:
    """Of a primitive that adds up: how many terms, and what their sizes add up to."""
    reference, attrs = node.primitive.reference, dict(node.attrs)
    if node.name == "sum":
        reduced = node.inputs[0].shape
        count = int(np.prod([reduced[a] for a in node.attr("axes")], dtype=np.int64))
        return count, reference(xs[0].size, **attrs)
    if node.name in COORDINATES:
        change = winograd.change

        def absolute(*given: int) -> winograd.Change:
            return winograd.Change(*map(np.abs, change(*given)))

        with patch.object(winograd, "change", absolute):
            return COORDINATES[node.name](node), reference(*(x.size for x in xs), **attrs)
    if node.name in PRODUCTS:
        return PRODUCTS[node.name](node), reference(xs[0].size, xs[1].size, **attrs)
    if node.name == "standardize" and 0 not in node.shape:
        axes, eps = node.attr("axes"), node.attr("eps")
        middle = (xs[0].low + xs[0].high) / 2
        away = np.abs(middle) + np.mean(np.abs(middle), axes, keepdims=True)
        spread = np.sqrt(np.var(middle, axes, keepdims=True) + eps)
        count = int(np.prod([node.shape[a] for a in axes], dtype=np.int64)) + 10
        return count, np.broadcast_to(away / spread, node.shape)
    if node.name == "scatter_add":
        count = int(np.prod(node.inputs[1].shape, dtype=np.int64)) + 1
        return count, reference(xs[0].size, xs[1].low, xs[2].size)
    return 0, np.zeros(node.shape)


def _product(node: Node, x: Bounds, y: Bounds) -> Bounds:
    def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _combined(node.primitive.reference, a, b, **dict(node.attrs))

    a, b = (x.low + x.high) / 2, (y.low + y.high) / 2
    r, s = x.width / 2, y.width / 2
    middle, radius = times(a, b), times(np.abs(a), s) + times(r, np.abs(b)) + times(r, s)
    return Bounds(middle - radius, middle + radius)


def carry(node: Node, xs: Sequence[Bounds], *, rounding: bool) -> Bounds:
    """Bounds of a node from those of its inputs; `rounding` off says all is exact."""
    if node.name in PRODUCTS:
        low, high = _product(node, *xs)
    elif node.name == "scatter_add":
        low, high = _rising(node, xs[0], Bounds(xs[1].low, xs[1].low), xs[2])
    else:
        low, high = RULES.get(node.name, _rising)(node, *xs)
    count, total = terms(node, xs)
    if not rounding and count and (total >= 2.0**24).any():
        low = np.full(node.shape, -np.inf)  # a sum might round, and its order matter
    if not rounding or node.dtype.kind != "f":
        return Bounds(low, high)
    limits = np.finfo(node.dtype)
    units = UNITS.get(node.name, 6)
    if count:
        slack = (count + 1) * limits.eps * total + limits.tiny
    else:
        slack = units * (limits.eps * np.maximum(np.abs(low), np.abs(high)) + limits.tiny)
    return Bounds(low - slack, high + slack)


@np.errstate(all="ignore")
def evaluate(
    outputs: Sequence[Node], known: Mapping[Any, Bounds], found: dict[Node, Bounds], rounding: bool
) -> None:
    """Bounds of every node that the outputs need, put into `found`.

    `known` gives those of placeholders, by node, and of cells, by cell.
    """
    for node in topological(outputs):
        if node in found:
            continue
        if node.cell is not None:
            found[node] = known[node.cell]
        elif node in known:
            found[node] = known[node]
        elif node.value is not None:
            found[node] = exactly(node.value)
        else:
            found[node] = carry(node, [found[i] for i in node.inputs], rounding=rounding)
