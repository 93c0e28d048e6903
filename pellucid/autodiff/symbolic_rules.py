"""What each primitive of the table is as a formula of SymPy.

A rule takes NumPy arrays of formulas (`dtype=object`) in the shapes of its operands,
and the primitive's attributes, and returns such an array. A formula is that of exact
arithmetic: rounding, and whole numbers that wrap around, are no part of it. Truth
values are SymPy's own; where a number is needed they count as 0 and 1.

The only module that imports SymPy when it is imported itself; `formula` asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import sympy as sp
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean

from pellucid.core import argmax, convolution, pooling, standardize
from pellucid.core.node import TABLE, Node, placeholder, topological, tracing
from pellucid.core.tensor import Tensor

Rule = Callable[..., np.ndarray]

MOST_ELEMENTS = 10_000
"""Of a value on the way, beyond which a formula helps nobody."""


def carry(output: Node, known: Mapping[Node, np.ndarray]) -> np.ndarray:
    """The formulas of a node's elements, given those of the placeholders that lead to it."""
    found = dict(known)
    to_formula, to_truth = np.frompyfunc(formula, 1, 1), np.frompyfunc(as_truth, 1, 1)
    for node in topological([output]):
        if node in found:
            continue
        if math.prod(node.shape) > MOST_ELEMENTS:
            raise ValueError(
                f"{node} has more than {MOST_ELEMENTS:,} elements: too many for a formula"
            )
        if node.value is not None:
            value = to_formula(node.value)
        elif node.name in WITHOUT:
            raise ValueError(f"{node.name} has no formula: {WITHOUT[node.name]}")
        else:
            operands = [found[n] for n in node.inputs]
            with np.errstate(all="ignore"):  # SymPy's own trials with numbers
                value = to_formula(RULES[node.name](*operands, **dict(node.attrs)))
            value = to_truth(value) if node.dtype.kind == "b" else value
        found[node] = np.asarray(value, object)
    return found[output]


# -- functions that SymPy lacks, or differentiates otherwise ---------------------------------


class stop_gradient(sp.Function):
    """Its argument, a constant to differentiation."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Nothing."""
        return sp.S.Zero


class floor(sp.floor):
    """The greatest whole number not above x; its derivative is 0 where it has one."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Nothing."""
        return sp.S.Zero


def local_derivatives(part: Any, positions: list[int]) -> dict[int, Any]:
    """The derivatives of one operation by some of the parts that it is applied to.

    For a function SymPy's rule is asked about symbols in their places: about the parts
    themselves it would look through all that they are made of.
    """
    if not positions:
        return {}
    if part.is_Add:
        return dict.fromkeys(positions, sp.S.One)
    if part.is_Mul:
        return {i: sp.Mul(*part.args[:i], *part.args[i + 1 :]) for i in positions}
    if isinstance(part, sp.Max | sp.Min):
        sign = 1 if isinstance(part, sp.Max) else -1
        others = [[a for j, a in enumerate(part.args) if j != i] for i in positions]
        return {
            i: as_written(sp.Heaviside, sign * (part.args[i] - extreme(part.func, *rest)))
            for i, rest in zip(positions, others, strict=True)
        }
    if isinstance(part, sp.Abs):  # of real numbers; SymPy's derivative is for complex ones
        return dict.fromkeys(positions, as_written(sp.sign, part.args[0]))
    places = [sp.Dummy(real=True) if a.args else a for a in part.args]
    variables = {i: sp.Dummy(real=True) for i in positions}
    for i, variable in variables.items():
        places[i] = variable
    alone = part.func(*places)
    back = {place: a for place, a in zip(places, part.args, strict=True) if place is not a}
    return {i: _replaced(alone.diff(variable), back) for i, variable in variables.items()}


def _replaced(small: Any, back: dict[Any, Any]) -> Any:
    if small in back or not small.args:
        return back.get(small, small)
    args = [_replaced(a, back) for a in small.args]
    return small.func(*args) if small.is_Add or small.is_Mul else as_written(small.func, *args)


# -- numbers and truth values ----------------------------------------------------------------


def formula(value: Any) -> Any:
    """A number or truth value as SymPy's: a fraction where a person would write one."""
    if isinstance(value, sp.Basic):
        return value
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool):
        return sp.true if value else sp.false
    if isinstance(value, float) and abs(value) < 2**53 and (value * 1024).is_integer():
        return sp.Rational(value)  # whole numbers, halves, quarters
    return sp.sympify(value)


def as_number(element: Any) -> Any:
    """A truth value as 0 or 1; numbers stay."""
    return choose([(sp.S.One, element), (sp.S.Zero, sp.true)]) if is_truth(element) else element


def as_truth(element: Any) -> Any:
    """A number as whether it is not 0; truth values stay."""
    return element if is_truth(element) else sp.Not(compare(sp.Eq, element, sp.S.Zero))


def is_truth(element: Any) -> bool:
    """Whether it is a truth value."""
    return isinstance(element, Boolean) and not isinstance(element, sp.Expr)  # a symbol is both


def as_written(function: Any, *operands: Any) -> Any:
    """A function or a power of formulas, worked out for numbers only.

    SymPy would look through all that the formulas are made of for something to simplify,
    which can take ages.
    """
    number = all(e.is_number for e in operands) or (function is sp.Pow and operands[1].is_Integer)
    return function(*operands, evaluate=number)


def compare(relation: Any, x: Any, y: Any) -> Any:
    """A comparison, likewise; one of a formula with itself is decided too."""
    return relation(x, y, evaluate=bool((x - y).is_number))


def choose(pairs: list[tuple[Any, Any]]) -> Any:
    """The first formula whose condition holds; the last condition is true."""
    kept = []
    for value, condition in pairs:
        if condition != sp.false:
            kept.append((value, condition))
        if condition == sp.true:
            break
    if all(value == kept[0][0] for value, _ in kept):
        return kept[0][0]
    if is_truth(kept[0][0]):
        return sp.ITE(kept[0][1], kept[0][0], choose(kept[1:]))
    # by the base class: even unevaluated, `Piecewise` would multiply out cases in conditions
    return sp.Basic.__new__(sp.Piecewise, *(sp.Tuple.__new__(ExprCondPair, *pair) for pair in kept))


# -- kinds of rules --------------------------------------------------------------------------


def mapped(function: Callable[..., Any]) -> Rule:
    """Element by element, whatever the elements are."""

    def rule(*operands: np.ndarray, **attrs: Any) -> np.ndarray:
        one = np.frompyfunc(lambda *elements: function(*elements, **attrs), len(operands), 1)
        return np.asarray(one(*operands), object)

    return rule


def each(function: Callable[..., Any], of_truths: Callable[..., Any] | None = None) -> Rule:
    """Element by element: of numbers, where truth values count as such, or of truth values."""

    def one(*elements: Any) -> Any:
        if of_truths is not None and all(map(is_truth, elements)):
            return of_truths(*elements)
        return function(*map(as_number, elements))

    return mapped(one)


def reduced(function: Callable[..., Any]) -> Rule:
    """A function of all elements along the axes; of truth values, whether any holds."""

    def rule(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        kept = [a for a in range(x.ndim) if a not in axes]
        shape = tuple(x.shape[a] for a in kept)
        rows = np.transpose(x, (*kept, *axes)).reshape((int(np.prod(shape)), -1 if x.size else 0))
        out = np.empty(len(rows), object)
        for i, row in enumerate(rows):
            out[i] = (sp.Or if any(map(is_truth, row)) else function)(*row)
        return out.reshape(shape)

    return rule


def moved(name: str) -> Rule:
    """By the primitive's own reference, which moves formulas as it moves numbers."""
    return TABLE[name].reference


def extreme(which: Any, *elements: Any) -> Any:
    """The greatest or least of several, by `sp.Max` or `sp.Min`; only numbers are compared."""
    if all(e.is_number for e in elements):
        return which(*elements)
    numbers = [e for e in elements if e.is_number]
    others = {e for e in elements if not e.is_number}  # equal ones are one
    known = [which(*numbers)] if numbers else []
    return which(*others, *known, evaluate=False) if len(others) + len(known) > 1 else others.pop()


def greatest(*elements: Any) -> Any:
    """The greatest of several."""
    return extreme(sp.Max, *elements)


def least(*elements: Any) -> Any:
    """The least of several."""
    return extreme(sp.Min, *elements)


def _cast(x: Any, dtype: str) -> Any:
    """Towards zero for whole numbers."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return as_truth(x)
    x = as_number(x)
    if kind == "f" or x.is_integer:
        return x
    whole = choose(
        [(as_written(floor, x), compare(sp.Ge, x, sp.S.Zero)), (-as_written(floor, -x), sp.true)]
    )
    return whole if kind == "i" else greatest(whole, sp.S.Zero)


def _gather(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The row of each number; a number outside takes the nearest row."""
    out = np.empty(index.shape + x.shape[1:], object)
    for at in np.ndindex(index.shape):
        last = len(x) - 1
        conditions = [compare(sp.Le, index[at], sp.Integer(row)) for row in range(last)]
        for rest in np.ndindex(x.shape[1:]):
            column = [x[(row, *rest)] for row in range(last + 1)]
            out[at + rest] = choose(list(zip(column, [*conditions, sp.true], strict=True)))
    return out


def _scatter_add(base: np.ndarray, index: np.ndarray, update: np.ndarray) -> np.ndarray:
    out = base.copy()
    last = sp.Integer(len(base) - 1)
    for at in np.ndindex(index.shape):
        row = least(greatest(index[at], sp.S.Zero), last)
        for i in range(len(base)):
            hit = compare(sp.Eq, row, sp.Integer(i))
            for rest in np.ndindex(base.shape[1:]):
                part = choose([(update[at + rest], hit), (sp.S.Zero, sp.true)])
                out[(i, *rest)] = out[(i, *rest)] + part
    return out


def _matmul(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    products = x[..., :, :, None] * y[..., None, :, :]  # (..., m, k, n)
    return RULES["sum"](products, axes=(products.ndim - 2,))


def _tensordot(x: np.ndarray, y: np.ndarray, batch: int, depth: int) -> np.ndarray:
    shared, rows, columns = (
        x.shape[:batch],
        x.shape[batch : x.ndim - depth],
        y.shape[batch + depth :],
    )
    inner = int(np.prod(x.shape[x.ndim - depth :]))
    left = x.reshape((*shared, int(np.prod(rows)), inner))
    right = y.reshape((*shared, inner, int(np.prod(columns))))
    return _matmul(left, right).reshape(shared + rows + columns)


def lowered(function: Callable[..., Tensor]) -> Rule:
    """As the rows that a row is made of."""

    def rule(*operands: np.ndarray, **attrs: Any) -> np.ndarray:
        inputs = [placeholder(x.shape, np.dtype(np.float64)) for x in operands]
        with tracing():
            output = function(*map(Tensor, inputs), **attrs).node
        return carry(output, dict(zip(inputs, operands, strict=True)))

    return rule


def _with_geometry(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(*operands: Tensor, size: Any = None, **attrs: Any) -> Tensor:
        given = operands if size is None else (*operands, size)
        return function(*given, convolution.Geometry(**attrs))

    return call


# -- the table -------------------------------------------------------------------------------

RULES: dict[str, Rule] = {
    "negative": each(lambda x: -x),
    "exp": each(partial(as_written, sp.exp)),
    "expm1": each(lambda x: as_written(sp.exp, x) - 1),
    "log": each(partial(as_written, sp.log)),
    "log1p": each(lambda x: as_written(sp.log, 1 + x)),
    "sqrt": each(lambda x: as_written(sp.Pow, x, sp.S.Half)),
    "sin": each(partial(as_written, sp.sin)),
    "cos": each(partial(as_written, sp.cos)),
    "tanh": each(partial(as_written, sp.tanh)),
    "sigmoid": each(lambda x: 1 / (1 + as_written(sp.exp, -x))),
    "erf": each(partial(as_written, sp.erf)),
    "floor": each(partial(as_written, floor)),
    "absolute": each(partial(as_written, sp.Abs), lambda x: x),
    "relu": each(lambda x: greatest(x, sp.S.Zero), lambda x: x),
    "add": each(lambda x, y: x + y, sp.Or),
    "subtract": each(lambda x, y: x - y),
    "multiply": each(lambda x, y: x * y, sp.And),
    "divide": each(lambda x, y: x / y),
    "power": each(partial(as_written, sp.Pow)),
    "maximum": each(greatest, sp.Or),
    "minimum": each(least, sp.And),
    "less": each(lambda x, y: compare(sp.Lt, x, y)),
    "less_equal": each(lambda x, y: compare(sp.Le, x, y)),
    "equal": each(lambda x, y: compare(sp.Eq, x, y)),
    "logical_and": mapped(sp.And),
    "logical_or": mapped(sp.Or),
    "logical_not": mapped(sp.Not),
    "where": mapped(lambda condition, x, y: choose([(x, condition), (y, sp.true)])),
    "cast": mapped(_cast),
    "stop_gradient": mapped(lambda x: x if is_truth(x) or x.is_number else stop_gradient(x)),
    "alias": lambda x, number: x,
    "iota": moved("iota"),
    "sum": reduced(sp.Add),
    "max": reduced(greatest),
    "matmul": _matmul,
    "tensordot": _tensordot,
    "convolution": lowered(_with_geometry(convolution.lowered)),
    "kernel_gradient": lowered(_with_geometry(convolution.lowered_gradient)),
    "argmax": lowered(argmax.lowered),
    "max_pool": lowered(pooling.lowered),
    "standardize": lowered(standardize.lowered),
    "reshape": moved("reshape"),
    "transpose": moved("transpose"),
    "broadcast_to": moved("broadcast_to"),
    "slice": moved("slice"),
    "flip": moved("flip"),
    "diagonal": moved("diagonal"),
    "windows": moved("windows"),
    "pad": moved("pad"),
    "concatenate": moved("concatenate"),
    "gather": _gather,
    "scatter_add": _scatter_add,
}

WITHOUT = {
    "random_bits": "random numbers are drawn, not computed from the arguments",
    "placeholder": "what a function is applied to is a symbol",
    "constant": "a number stands for itself",
    **dict.fromkeys(
        ("winograd", "winograd_gradient", "winograd_kernel"),
        "only the compiler makes it, of a convolution",
    ),
}
"""Primitives that have no rule, and why."""
