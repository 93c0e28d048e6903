"""Differentiation three ways, side by side: backpropagation, differences, a formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.core.node import Node, placeholder, topological, tracing
from pellucid.core.tensor import Tensor, broadcast_to, tensor

from .differences import STEP, as_points, central_difference, forward_difference, single_number
from .formula import Formula, symbolic
from .reverse import gradients
from .transforms import value_and_grad


def three_ways(f: Callable[..., Any], *args: Any, step: float = STEP) -> ThreeWays:
    """The derivative of a function by backpropagation, by differences and as a formula.

    All in float64, by every element of every argument.

    Args:
        f: function of tensors that returns a single number.
        args: where to differentiate; numbers or arrays, taken as float64.
        step: h of the differences.

    Returns:
        A table when printed; see `ThreeWays` for its fields.

    Raises:
        ImportError: SymPy is not installed.
        ValueError: f does not return a single number, or has no formula (see `symbolic`).

    Example:
        >>> import pellucid as pe
        >>> found = pe.three_ways(lambda x, y, z: (x + y) * z, -2, 5, -4)
        >>> found.backpropagation, found.symbolic
        (array([-4., -4.,  3.]), array([-4., -4.,  3.]))
        >>> print([str(d) for d in found.derivatives], found.nodes, found.gradient_nodes)
        ['z', 'z', 'x + y'] 2 4
    """
    points = as_points(args)
    formula = symbolic(f, *points)
    positions = range(len(points))
    derivatives = tuple(formula.derivative(i) for i in positions)
    value, slopes = value_and_grad(f, tuple(positions))(*points)
    forward = [forward_difference(f, *points, argument=i, step=step) for i in positions]
    central = [central_difference(f, *points, argument=i, step=step) for i in positions]
    nodes, gradient_nodes = _graph_sizes(f, points)
    return ThreeWays(
        names=tuple(str(s) for symbols in formula.symbols.values() for s in symbols.flat),
        at=_flat(points),
        value=float(value.numpy().reshape(())),
        backpropagation=_flat([s.numpy() for s in slopes]),
        forward=_flat([d.value for d in forward]),
        central=_flat([d.value for d in central]),
        symbolic=_flat([d(*points) for d in derivatives]),
        step=step,
        formula=formula,
        derivatives=derivatives,
        nodes=nodes,
        gradient_nodes=gradient_nodes,
        forward_evaluations=1 + sum(d.evaluations - 1 for d in forward),
        central_evaluations=sum(d.evaluations for d in central),
    )


@dataclass(frozen=True, repr=False)
class ThreeWays:
    """Derivatives of one function by three ways; made by `three_ways`, a table as text.

    Attributes:
        names: of the elements of all arguments, in order.
        at: their values.
        value: of the function there.
        backpropagation: derivatives by reverse mode, one for each element.
        forward: likewise by forward differences.
        central: likewise by central differences.
        symbolic: likewise by the formula of the derivative.
        step: h of the differences.
        formula: the function.
        derivatives: its derivative by each argument.
        nodes: operations in the function's graph; each may work on a whole array.
        gradient_nodes: in the graph of the function and all its derivatives.
        forward_evaluations: of the function for the forward differences.
        central_evaluations: of the function for the central differences.
    """

    names: tuple[str, ...]
    at: np.ndarray
    value: float
    backpropagation: np.ndarray
    forward: np.ndarray
    central: np.ndarray
    symbolic: np.ndarray
    step: float
    formula: Formula
    derivatives: tuple[Formula, ...]
    nodes: int
    gradient_nodes: int
    forward_evaluations: int
    central_evaluations: int

    @property
    def operations(self) -> int:
        """In the formula of the function, written out."""
        return self.formula.operations

    @property
    def derivative_operations(self) -> int:
        """In the formulas of all derivatives, written out."""
        return sum(d.operations for d in self.derivatives)

    def __str__(self) -> str:
        columns = [["", *self.names], ["at", *map(_number, self.at)]]
        columns.append(["backpropagation", *map(_number, self.backpropagation)])
        for name in ("forward", "central", "symbolic"):
            found = getattr(self, name)
            columns.append([name, *map(_number, found)])
            columns.append(["off by", *(f"{e:.1g}" for e in abs(found - self.backpropagation))])
        widths = [max(map(len, column)) for column in columns]
        rows = [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
            for row in zip(*columns, strict=True)
        ]
        slopes = [e for d in self.derivatives for e in d.each()]
        return "\n".join(
            [
                f"f({', '.join(self.formula.symbols)}) = {self.formula} = {_number(self.value)}",
                *(f"df/d{n} = {slope}" for n, slope in zip(self.names, slopes, strict=True)),
                "",
                *rows,
                "",
                "backpropagation  one pass forward, one back",
                f"forward          {self.forward_evaluations:,} evaluations, h = {self.step:g}",
                f"central          {self.central_evaluations:,} evaluations, h = {self.step:g}",
                f"symbolic         {_plural(len(slopes), 'formula')}, one for each derivative",
                f"size of graph    {_plural(self.nodes, 'node')}; "
                f"{self.gradient_nodes:,} with all derivatives",
                f"size of formula  {_plural(self.operations, 'operation')}; "
                f"{self.derivative_operations:,} in all derivatives",
            ]
        )

    __repr__ = __str__


def _graph_sizes(f: Callable[..., Any], points: list[np.ndarray]) -> tuple[int, int]:
    """Operations in the graph of f, and in that of f and its derivatives."""
    inputs = [Tensor(placeholder(p.shape, p.dtype)) for p in points]
    with tracing():
        output = single_number(f(*inputs))
        one = broadcast_to(tensor(1.0, output.dtype), output.shape)
        slopes = gradients([output], [one], inputs)
    return _operations([output.node]), _operations([output.node, *(s.node for s in slopes)])


def _operations(outputs: list[Node]) -> int:
    return sum(bool(node.inputs) for node in topological(outputs))


def _flat(arrays: list[Any]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(np.ravel(a) for a in arrays)])


def _number(value: float) -> str:
    return f"{value:.9g}"


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
