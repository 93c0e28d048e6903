"""A computation ready to be run again and again, and its reference runner.

A `Computation` is what both interpreters accept: placeholders to feed, outputs to
hand back, and updates that cells receive once all of a step's values are known.
Running it for several steps is one call. An input or an output that is `stepped`
has one more axis in front, of one entry per step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .interpreter import evaluate
from .node import Node, topological
from .storage import Cell

ANY_NUMBER = 2**31 - 1
"""Length of a placeholder's first axis that stands for any: a table of rows that are gathered
by numbers known to be inside it."""


def accepts(node: Node, array: np.ndarray, steps: int | None = None) -> bool:
    """Whether an array may be given for a placeholder, or filled with an output.

    Args:
        node: the placeholder, or the output.
        array: must be C-contiguous, of the node's shape and dtype.
        steps: for a stepped one: the entries that it must have, at least.
    """
    shape, expected = array.shape, node.shape
    if steps is not None:
        if not shape or shape[0] < steps:
            return False
        shape = shape[1:]
    if expected[:1] == (ANY_NUMBER,) and shape:
        shape, expected = shape[1:], expected[1:]
    return shape == expected and array.dtype == node.dtype and array.flags.c_contiguous


@dataclass(frozen=True)
class Live:
    """How many rows of a batch count, where they may be fewer than a step is made for.

    Compiled code may take products in the other rows for 0, and leave out what they add to
    gradients. Whoever makes the computation sees to it that no result depends on this.

    Attributes:
        count: the input that says how many of the first rows count, int32 ().
        index: the input by whose numbers rows are gathered (rows,).
        weights: the input of which their weights are gathered, 0 for those that do not count. So
            must be every gradient with respect to what such a row gives.
    """

    count: Node
    index: Node
    weights: Node


@dataclass(frozen=True)
class Computation:
    """Inputs, outputs and updates of a graph.

    Attributes:
        inputs: placeholders, in the order in which arrays are given to `run`.
        outputs: nodes, in the order in which arrays are filled by `run`.
        updates: new values of cells, assigned together at the end of each step.
        stepped: those inputs and outputs that have one entry per step.
        live: the rows that count, if not all do.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Cell, Node], ...] = ()
    stepped: frozenset[Node] = field(default_factory=frozenset)
    live: Live | None = None

    @property
    def results(self) -> list[Node]:
        """What it computes: the outputs, then the new values of cells."""
        return [*self.outputs, *(node for _, node in self.updates)]

    def __post_init__(self) -> None:
        for cell, node in self.updates:
            value = cell.value
            if (node.shape, node.dtype) != (value.shape, value.dtype):
                raise ValueError(
                    f"{cell.name or 'cell'} of {value.dtype}{list(value.shape)} "
                    f"cannot be updated by {node}"
                )
        if len({id(cell) for cell, _ in self.updates}) != len(self.updates):
            raise ValueError("a cell is updated twice in one step")


class Program(Protocol):
    """What runs a computation: compiled, or the reference.

    Attributes:
        computation: what it runs.
        origin: where its code is from: "compiled" now, "cache" (from disk), "memory" (in use
            already), or "reference" where there is none.
        seconds: what it took to make it ready.
    """

    computation: Computation
    origin: str
    seconds: float

    @property
    def temporaries(self) -> int:
        """Bytes that it holds for values on the way."""

    def run(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], steps: int = 1
    ) -> None:
        """Run so many steps.

        Args:
            inputs: one C-contiguous array per input, of its shape and dtype;
                `(steps, *shape)` for a stepped one.
            outputs: arrays to fill, C-contiguous, likewise.
            steps: how many.
        """


class ReferenceProgram:
    """Runs a computation by the NumPy references."""

    origin = "reference"
    seconds = 0.0

    def __init__(self, computation: Computation) -> None:
        self.computation = computation

    @property
    def temporaries(self) -> int:
        """Bytes of all values on the way: the interpreter keeps each to the end of a step."""
        nodes = topological(self.computation.results)
        return sum(math.prod(n.shape) * n.dtype.itemsize for n in nodes if n.inputs)

    def run(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], steps: int = 1
    ) -> None:
        """Run so many steps; see `Program.run`."""
        c = self.computation
        for step in range(steps):
            feeds = {
                node: array[step] if node in c.stepped else array
                for node, array in zip(c.inputs, inputs, strict=True)
            }
            found = evaluate(c.results, feeds)
            # a value may be a view of a cell: copy before any cell changes
            found = [np.array(value) for value in found]
            for node, array, value in zip(c.outputs, outputs, found, strict=False):
                (array[step : step + 1] if node in c.stepped else array)[...] = value
            for (cell, _), value in zip(c.updates, found[len(c.outputs) :], strict=True):
                cell.value[...] = value
