"""The table of a model's layers: shapes, parameters, operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.core.node import Node, placeholder, topological, tracing
from pellucid.core.operations import operations
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor
from pellucid.core.tree import leaves

from .linear import Linear
from .mode import Call, training_mode, watch_calls
from .module import Module
from .sequential import Sequential

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One layer of a summary.

    Attributes:
        name: dotted name in the model.
        layer: its text.
        output_shape: for one example.
        parameters: numbers learned by this layer itself, inner layers left out; those
            of a layer used twice count where it is first called.
        operations: floating-point operations of this layer itself for one example.
    """

    name: str
    layer: str
    output_shape: Shape | None
    parameters: int
    operations: int


@dataclass(frozen=True)
class Summary:
    """A model's layers with shapes and costs; its text is a table.

    Attributes:
        rows: one per layer, in the order of the calls.
        input_shape: for one example.
        output_shape: for one example.
        parameters: numbers learned, each counted once.
        operations: floating-point operations of a forward pass for one example.
    """

    rows: tuple[Row, ...]
    input_shape: Shape
    output_shape: Shape | None
    parameters: int
    operations: int

    def __str__(self) -> str:
        head = ("name", "layer", "output", "parameters", "operations")
        table = [head, ("", "input", _text(self.input_shape), "", "")]
        table += [
            (r.name, r.layer, _text(r.output_shape), f"{r.parameters:,}", f"{r.operations:,}")
            for r in self.rows
        ]
        table.append(
            ("", "total", _text(self.output_shape), f"{self.parameters:,}", f"{self.operations:,}")
        )
        widths = [max(len(row[i]) for row in table) for i in range(len(head))]
        lines = [
            "  ".join(
                cell.rjust(w) if i > 2 else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def __repr__(self) -> str:
        return str(self)


def summarize(model: Module, input_shape: int | Sequence[int] | None = None) -> Summary:
    """Layers, output shapes, parameters and operations per example.

    The model is traced once with a batch of one example, in the mode of use. Operations
    are floating-point ones, weighed as `pellucid.core.operations` says.

    Args:
        model: the model.
        input_shape: shape of one example; by default that of the first Linear where
            the model is a Sequential that starts with one.

    Returns:
        A table when printed; see `Summary` for its fields.

    Raises:
        ValueError: the input's shape does not follow from the model, or does not fit.

    Example:
        >>> from pellucid import nn
        >>> print(nn.Sequential(nn.Linear(784, 10), nn.Softmax()).summary())
        name      layer            output  parameters  operations
        ---------------------------------------------------------
                  input            (784)
        layers.0  Linear(784, 10)  (10)         7,850      15,690
        layers.1  Softmax()        (10)             0         150
        ---------------------------------------------------------
                  total            (10)         7,850      15,840
    """
    shape = _first_shape(model) if input_shape is None else _checked(input_shape)
    with tracing(), training_mode(False), watch_calls() as calls:
        x = Tensor(placeholder((1, *shape), np.dtype(np.float32), "x"))
        output = model(x)
    names = {id(m): name for name, m in model.named_modules().items()}
    nodes = [_nodes_of(call) for call in calls]
    rows = []
    counted: set[Cell] = set()
    for i, call in enumerate(calls):
        inner = _calls_inside(calls, i)
        own_nodes = nodes[i].difference(*(nodes[j] for j in inner))
        own_cells = _own_cells(call.module) - counted
        counted |= own_cells
        row = Row(
            names.get(id(call.module), ""),
            type(call.module).__name__ if inner else repr(call.module),
            _shape_of(call.output),
            sum(cell.value.size for cell in own_cells),
            sum(map(operations, own_nodes)),
        )
        if not inner or row.parameters or row.operations:  # else it only holds others
            rows.append(row)
    total = sum(map(operations, nodes[0]))
    return Summary(tuple(rows), shape, _shape_of(output), model.num_parameters, total)


def _checked(shape: Any) -> Shape:
    given = shape if isinstance(shape, tuple | list) else (shape,)
    if not all(isinstance(n, int | np.integer) and n > 0 for n in given):
        raise ValueError(
            "the shape of one example is one or more whole numbers of at least 1, such as "
            f"(28, 28, 1); received {shape!r}"
        )
    return tuple(int(n) for n in given)


def _first_shape(model: Module) -> Shape:
    first = model
    while isinstance(first, Sequential) and len(first):
        first = first[0]
    if not isinstance(first, Linear):
        raise ValueError(
            "the input's shape does not follow from a model that starts with "
            f"{type(first).__name__}: give the shape of one example, as in model.summary((28, 28))"
        )
    return (first.in_features,)


def _calls_inside(calls: list[Call], i: int) -> list[int]:
    inside = []
    for j in range(i + 1, len(calls)):
        if calls[j].depth <= calls[i].depth:
            break
        inside.append(j)
    return inside


def _nodes_of(call: Call) -> set[Node]:
    """The nodes between a call's inputs and its output."""
    given = frozenset(t.node for t in leaves(call.inputs) if isinstance(t, Tensor))
    results = [t.node for t in leaves(call.output) if isinstance(t, Tensor)]
    return set(topological(results, given)) - given


def _own_cells(module: Module) -> set[Cell]:
    """Cells of a module's parameters that belong to no module inside it."""
    cells = {t.node.cell for t in module.parameters().values()}
    for inner in module.modules()[1:]:
        cells -= {t.node.cell for t in inner.parameters().values()}
    return {cell for cell in cells if cell is not None}


def _shape_of(output: Any) -> Shape | None:
    return output.shape[1:] if isinstance(output, Tensor) else None


def _text(shape: Shape | None) -> str:
    return "" if shape is None else f"({', '.join(map(str, shape))})"
