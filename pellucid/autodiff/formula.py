"""Symbolic derivatives: a traced function as a formula of SymPy, and the formula's derivative.

SymPy is an optional dependency and slow to import: it is imported by the first call.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from pellucid.core.node import placeholder, tracing
from pellucid.core.tensor import Tensor, tensor

from .differences import as_points

MOST_SYMBOLS = 100
"""Elements of all arguments together beyond which a formula helps nobody."""

MOST_SHOWN = 2_000
"""Operations up to which a formula is written out; the text of a larger one takes ages."""


def symbolic(f: Callable[..., Any], *args: Any) -> Formula:
    """A function as a formula of SymPy, to look at and to differentiate.

    The function is traced on symbols named after its arguments, elements of arrays
    numbered from 0 (`w_0`, `x_1_2`). The formula is that of exact arithmetic; comparisons
    and `where` become cases, the greatest of several `Max`. What the function reads from
    outside, such as parameters of a model, are numbers in it.

    Args:
        f: function of tensors that returns a tensor.
        args: examples of its arguments, numbers or arrays, taken as float64: only their
            shapes matter.

    Returns:
        The formula; see `Formula`.

    Raises:
        ImportError: SymPy is not installed.
        ValueError: f draws random numbers, or works on more elements than a formula can show.

    Example:
        >>> import pellucid as pe
        >>> f = pe.autodiff.symbolic(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0)
        >>> print(f, "and by x", f.derivative("x"), "and by z", f.derivative("z"))
        z*(x + y) and by x z and by z x + y
        >>> f.operations, f(-2.0, 5.0, -4.0)
        (2, -12.0)
    """
    sp, rules = _sympy()
    points = as_points(args)
    total = sum(p.size for p in points)
    if total > MOST_SYMBOLS:
        raise ValueError(
            f"a formula of {total:,} symbols would be of no use: give arguments of at most "
            f"{MOST_SYMBOLS} elements together, or read what is not differentiated from outside"
        )
    names = argument_names(f, len(points))
    symbols = []
    for name, point in zip(names, points, strict=True):
        each = np.empty(point.shape, object)
        for index in np.ndindex(point.shape):
            each[index] = sp.Symbol("_".join([name, *map(str, index)]), real=True)
        symbols.append(each)
    inputs = [placeholder(p.shape, p.dtype, n) for p, n in zip(points, names, strict=True)]
    with tracing():
        output = tensor(f(*map(Tensor, inputs))).node
    elements = rules.carry(output, dict(zip(inputs, symbols, strict=True)))
    return Formula(elements, dict(zip(names, symbols, strict=True)))


class Formula:
    """A value as a formula of SymPy in named symbols; made by `symbolic`.

    Its text is the formula, in a notebook typeset.

    Args:
        elements: one formula for each element of the value.
        symbols: one for each element of each argument, by the argument's name.

    Attributes:
        elements: formulas in the value's shape, NumPy array of dtype object.
        symbols: likewise, by the argument's name.
    """

    def __init__(self, elements: np.ndarray, symbols: dict[str, np.ndarray]) -> None:
        self.elements = elements
        self.symbols = symbols

    @property
    def expression(self) -> Any:
        """SymPy's expression; for several elements the array of them."""
        return self.elements.reshape(-1)[0] if self.elements.size == 1 else self.elements

    @cached_property
    def operations(self) -> int:
        """How many operations the formula holds, all elements written out.

        A sum or product of n counts n - 1, a division, a power, a function or a
        comparison 1; a minus sign nothing. Counted from the parts that are different,
        so that a formula too large to be written can be counted.
        """
        known: dict[Any, int] = {}
        for part in _parts(self.elements.flat):
            known[part] = _own_operations(part) + sum(known[a] for a in part.args)
        return sum(known[e] for e in self.elements.flat)

    def derivative(self, argument: int | str = 0) -> Formula:
        """The derivative of every element by every element of an argument.

        By the rules of sum, product and chain, from the innermost part out: the local
        derivative of each part, times the derivative of what it is applied to.

        Args:
            argument: its position or its name.

        Returns:
            Formulas in the shape of the value followed by that of the argument.

        Raises:
            ValueError: there is no such argument.
        """
        by = self._symbols_of(argument)
        found = np.empty((by.size, self.elements.size), object)
        for i, symbol in enumerate(by.flat):
            slopes = _chain_rule(self.elements, symbol)
            found[i] = [slopes[e] for e in self.elements.flat]
        return Formula(found.T.reshape(self.elements.shape + by.shape), self.symbols)

    def _symbols_of(self, argument: int | str) -> np.ndarray:
        names = list(self.symbols)
        if isinstance(argument, str) and argument in self.symbols:
            return self.symbols[argument]
        if not isinstance(argument, str) and -len(names) <= argument < len(names):
            return self.symbols[names[argument]]
        raise ValueError(f"no argument {argument!r} in this formula; it has {', '.join(names)}")

    def __call__(self, *values: Any) -> Any:
        """The formula's value, by SymPy's translation to NumPy, in float64.

        Args:
            values: one for each argument, in the shape that the formula was made for.
        """
        points = as_points(values)
        shapes = [s.shape for s in self.symbols.values()]
        if [p.shape for p in points] != shapes:
            raise ValueError(
                f"the formula is one of arguments {', '.join(self.symbols)} of shapes {shapes}, "
                f"received shapes {[p.shape for p in points]}"
            )
        given = [v for point in points for v in point.flat]
        with np.errstate(all="ignore"):
            found = self._function(*map(np.float64, given))
            real = [np.real(v) if np.isreal(v) else np.nan for v in found]
        array = np.array(real, np.float64).reshape(self.elements.shape)
        return array.item() if array.ndim == 0 else array

    @cached_property
    def _function(self) -> Callable[..., list[Any]]:
        sp, _ = _sympy()
        symbols = [s for each in self.symbols.values() for s in each.flat]
        # under names of their own: an argument may be called `exp`
        arguments = {s: sp.Symbol(f"_argument_{i}", real=True) for i, s in enumerate(symbols)}
        missing = {
            "stop_gradient": lambda x: x,
            "erf": math.erf,
            "DiracDelta": lambda x: np.inf if x == 0 else 0.0,
        }
        steps, results = _each_part_once(list(self.elements.flat), arguments)
        # not given the formulas themselves: it would walk the tree, and search it for parts
        return sp.lambdify(
            list(arguments.values()), results, [missing, "numpy"], cse=lambda _: (steps, results)
        )

    def each(self) -> list[Formula]:
        """The elements in order, each as a formula of its own."""
        return [Formula(np.array(e, object), self.symbols) for e in self.elements.flat]

    def __str__(self) -> str:
        if self.operations > MOST_SHOWN:
            return f"a formula of {self.operations:,} operations"
        return _nested(self.elements.tolist())

    __repr__ = __str__

    def _repr_latex_(self) -> str | None:
        if self.operations > MOST_SHOWN:
            return None
        sp, _ = _sympy()
        whole = self.elements.ndim == 0
        text = sp.latex(self.elements.item() if whole else sp.Array(self.elements.tolist()))
        return f"$\\displaystyle {text}$"


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """Names of the first arguments of a function; x0, x1, ... where it does not tell."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):  # not every callable has a signature
        parameters = []
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return named[:count] if len(named) >= count else [f"x{i}" for i in range(count)]


def _sympy() -> tuple[ModuleType, ModuleType]:
    try:
        import sympy  # optional, and slow to import
    except ImportError:
        raise ImportError(
            "symbolic derivatives need SymPy: python -m pip install 'pellucid[symbolic]'"
        ) from None
    from . import symbolic_rules  # imports SymPy

    return sympy, symbolic_rules


# -- formulas as graphs of different parts ---------------------------------------------------
# A formula is a tree that can be exponentially large; its different parts are few. What walks
# the parts, each after what it is applied to, takes a time that goes with their number.


def _parts(formulas: Iterable[Any]) -> Iterator[Any]:
    """The different parts of formulas, each after its own parts."""
    seen: set[Any] = set()
    stack = [(part, False) for part in formulas]
    while stack:
        part, ready = stack.pop()
        if ready:
            yield part
        elif part not in seen:
            seen.add(part)
            stack.append((part, True))
            stack.extend((a, False) for a in part.args if a not in seen)


def _own_operations(part: Any) -> int:
    sp, _ = _sympy()
    if not part.args or part.func is sp.functions.elementary.piecewise.ExprCondPair:
        return 0
    if part.is_Mul:  # x / y is the product of x and 1 / y, and 1 / y counts by itself
        free = sum(a == -1 or bool(a.is_Pow and a.exp == -1) for a in part.args)
        return max(len(part.args) - 1 - free, 0)
    several = isinstance(part, sp.Add | sp.Max | sp.Min | sp.And | sp.Or | sp.Piecewise)
    return len(part.args) - 1 if several else 1


def _chain_rule(elements: np.ndarray, symbol: Any) -> dict[Any, Any]:
    """The derivative of every part by a symbol."""
    sp, rules = _sympy()
    slopes: dict[Any, Any] = {}
    for part in _parts(elements.flat):
        if part == symbol:
            slopes[part] = sp.S.One
        elif isinstance(part, sp.Piecewise):
            slopes[part] = rules.choose([(slopes[e], condition) for e, condition in part.args])
        elif not isinstance(part, sp.Expr):  # a condition, or what holds one
            slopes[part] = sp.S.Zero
        else:
            moving = [i for i, a in enumerate(part.args) if slopes[a] != 0]
            local = rules.local_derivatives(part, moving)
            slopes[part] = sp.Add(*(d * slopes[part.args[i]] for i, d in local.items()))
    return slopes


def _each_part_once(formulas: Sequence[Any], arguments: dict[Any, Any]) -> tuple[Any, list[Any]]:
    """Formulas as assignments of one operation each, and what the formulas are then called.

    Args:
        formulas: what to compute.
        arguments: new names of the symbols.
    """
    sp, rules = _sympy()
    short = dict(arguments)
    assigned = []
    for part in _parts(formulas):
        if part in short:
            continue
        args = [short[a] for a in part.args]
        if isinstance(part, sp.Piecewise):
            shallow = rules.choose([tuple(pair) for pair in args])
        elif isinstance(part, sp.Max | sp.Min):
            shallow = rules.extreme(part.func, *args)
        else:
            shallow = part.func(*args) if args else part
        short[part] = shallow
        if args and isinstance(part, sp.Expr):
            short[part] = sp.Symbol(f"_{len(short)}", real=True)
            assigned.append((short[part], shallow))
    return assigned, [short[e] for e in formulas]


def _nested(elements: Any) -> str:
    if isinstance(elements, list):
        return f"[{', '.join(map(_nested, elements))}]"
    return str(elements)
