"""What computations cost: floating-point operations, by one row for each primitive.

Additions, products and comparisons count 1 each, divisions and square roots 4, other
functions 8: the weights of the Livermore loops. Moving, choosing and converting values, and
whole numbers, count nothing. What is counted is what a graph says; a compiler may do less.

Source: McMahon, The Livermore Fortran kernels: a computer test of the numerical
performance range (1986).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from .node import Node, topological
from .winograd import coordinates_of, tiles_of


def _results(node: Node) -> int:
    return math.prod(node.shape)


def _operands(node: Node) -> int:
    return math.prod(node.inputs[0].shape)


def _products(node: Node) -> int:
    """Multiplications of a contraction: elements of the result times terms of each."""
    x, y = node.inputs
    if node.name == "matmul":
        terms = x.shape[-1:]
    elif node.name == "tensordot":
        terms = x.shape[len(x.shape) - node.attr("depth") :]
    else:  # all elements of a kernel for one feature; all places for one element of a kernel
        terms = y.shape[:-1]
    return math.prod(node.shape) * math.prod(terms)


def _coordinates(node: Node) -> int:
    """What tiles see, at their coordinates: so many for each channel of each tile."""
    x = node.inputs[0].shape
    return x[0] * math.prod(tiles_of(node)) * math.prod(coordinates_of(node)) * x[-1]


Count = Callable[[Node], int]

SIMPLE = (
    "negative", "absolute", "floor", "relu", "add", "subtract", "multiply", "maximum", "minimum",
    "less", "less_equal", "equal",
)  # fmt: skip
DIVISIONS = ("divide", "sqrt")
FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf", "power",
)  # fmt: skip
REDUCTIONS = ("sum", "max", "argmax")
CONTRACTIONS = ("matmul", "tensordot", "convolution", "kernel_gradient")
FREE = (
    "placeholder", "constant", "alias", "stop_gradient", "cast", "where", "iota", "random_bits",
    "logical_and", "logical_or", "logical_not", "reshape", "transpose", "broadcast_to", "slice",
    "flip", "diagonal", "windows", "pad", "concatenate", "gather",
)  # fmt: skip

COSTS: dict[str, tuple[int, Count]] = {
    **dict.fromkeys(SIMPLE, (1, _results)),
    **dict.fromkeys(DIVISIONS, (4, _results)),
    **dict.fromkeys(FUNCTIONS, (8, _results)),
    **dict.fromkeys(REDUCTIONS, (1, _operands)),
    **dict.fromkeys(CONTRACTIONS, (2, _products)),
    **dict.fromkeys(FREE, (0, _results)),
    "winograd": (2, lambda node: _coordinates(node) * node.shape[-1]),
    "winograd_gradient": (2, lambda node: _coordinates(node) * node.inputs[1].shape[-1]),
    "winograd_kernel": (1, _results),
    "max_pool": (1, lambda node: _results(node) * math.prod(node.attr("size"))),
    "standardize": (5, _results),  # two means, a difference, a square and a product
    "scatter_add": (1, lambda node: math.prod(node.inputs[2].shape)),
}
"""Of each primitive: operations for one of what is counted, and the count."""


def operations(node: Node) -> int:
    """Floating-point operations of one node: of whole numbers and truth values none."""
    weight, count = COSTS[node.name]
    floating = any(n.dtype.kind == "f" for n in (node, *node.inputs))
    return weight * count(node) if weight and floating else 0


def all_operations(outputs: Iterable[Node]) -> int:
    """Floating-point operations of everything that the outputs need, each node once."""
    return sum(map(operations, topological(outputs)))
