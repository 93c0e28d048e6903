"""`model.predict`: outputs for many rows or for one, with equal bits either way.

Rows run in blocks of a few fixed sizes, each compiled once. A program reads the
parameters where they stand, so that a model that learns on needs no new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.node import Node, placeholder, tracing
from pellucid.core.program import Computation, Program
from pellucid.core.tensor import Tensor

from .checks import numeric, whole_number
from .mapped import blocks, is_mapped
from .programs import program
from .rows import treats_rows_alone
from .step import learned_dtype

SIZES = (1, 8, 32, 64, 128, 256)
"""Rows of a block: a program is compiled for each size that is needed."""

BLOCK = SIZES[-1]
"""Rows that run together where there are many."""

_MOST_READY = 32


def trace_output(model: nn.Module, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Node, Node]:
    """The input and the output of a model in use.

    Args:
        model: the model.
        shape: of the input (rows, ...).
        dtype: of the input.

    Raises:
        LayerError: the shape does not fit; names the layer.
    """
    before = model.parameters()
    with tracing(), nn.training_mode(False):
        x = Tensor(placeholder(shape, dtype, "X"))
        y = model(x)
    lost = before.keys() - model.parameters().keys()
    if lost:
        raise ValueError(
            f"a forward put another tensor in the place of parameter {min(lost)}, which would not "
            "be learned any more; keep what it computes in a variable instead"
        )
    if not isinstance(y, Tensor) or y.shape[:1] != shape[:1]:
        received = f"shape {y.shape}" if isinstance(y, Tensor) else type(y).__name__
        raise ValueError(
            f"a model must give one output row per input row: expected a tensor of shape "
            f"({shape[0]}, ...), received {received}"
        )
    return x.node, y.node


def output_shape(model: nn.Module, X: Any) -> tuple[int, ...]:
    """The shape of a model's output for one row of an input, an array or selected rows."""
    return trace_output(model, X.shape, learned_dtype(model))[1].shape[1:]


class Predictor:
    """The programs of one model, and what is needed to run them at once.

    Args:
        model: the model, as it is made now.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.dtype = learned_dtype(model)
        self.ready: dict[Any, Callable[[np.ndarray], np.ndarray]] = {}
        self._programs: dict[tuple[int, ...], Program] = {}
        self._alone: dict[tuple[int, ...], bool] = {}
        self.remember()

    def remember(self) -> None:
        """Note what the model consists of."""
        self._parts = _parts(self.model)
        self._kept = list(chain(*self._parts))  # held, so that no number is given out again
        self._numbers = list(map(id, self._kept))

    def is_current(self) -> bool:
        """Whether the model still consists of the same layers, options and tensors."""
        return list(map(id, chain(*self._parts))) == self._numbers

    def __deepcopy__(self, memo: Any) -> None:
        return None  # a copied model makes programs of its own

    def __reduce__(self) -> Any:
        return type(None), ()

    def program(self, shape: tuple[int, ...]) -> Program:
        """The model on an input of this shape, one block a step."""
        if shape not in self._programs:
            if len(self._programs) >= _MOST_READY:
                self._programs.clear()
            x, y = trace_output(self.model, shape, self.dtype)
            self._programs[shape] = program(Computation((x,), (y,), (), frozenset((x, y))))
        return self._programs[shape]

    def treats_rows_alone(self, row: tuple[int, ...]) -> bool:
        """Whether batches with rows of this shape may be cut into blocks."""
        if row not in self._alone:
            self._alone[row] = treats_rows_alone(*trace_output(self.model, (7, *row), self.dtype))
        return self._alone[row]

    def blocks(self, shape: tuple[int, ...], block: int) -> list[tuple[int, int]]:
        """How an input is cut: rows of a block, and number of such blocks, largest first."""
        if shape[1:] not in self._alone:
            trace_output(self.model, shape, self.dtype)  # an error names the shape as given
        if not self.treats_rows_alone(shape[1:]):
            return [(shape[0], 1)]
        return list(_cut(shape[0], block))

    def __call__(self, X: np.ndarray, block: int = BLOCK) -> np.ndarray:
        """The outputs for rows of the model's dtype.

        Args:
            X: C-contiguous array (rows, ...).
            block: most rows that run together.
        """
        out, first = None, 0
        for size, count in self.blocks(X.shape, block):
            found = self.program((size, *X.shape[1:]))
            row = found.computation.outputs[0].shape[1:]
            if out is None:
                out = np.empty((len(X), *row), found.computation.outputs[0].dtype)
            last = min(first + size * count, len(X))
            given, taken = X[first:last], out[first:last]
            full = len(given) == size * count
            if not full:  # fill the last block up with zeros
                given = np.zeros((size * count, *X.shape[1:]), X.dtype)
                given[: last - first] = X[first:last]
                taken = np.empty((size * count, *row), out.dtype)
            found.run(
                [given.reshape(count, size, *X.shape[1:])],
                [taken.reshape(count, size, *row)],
                count,
            )
            if not full:
                out[first:last] = taken[: last - first]
            first = last
        assert out is not None
        return out

    def prepare(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Make inputs of this shape and dtype fast, if one block serves them."""
        (size, count), *more = self.blocks(shape, BLOCK)
        found = self.program((size, *shape[1:]))
        if count > 1 or more or not hasattr(found, "bind"):
            return
        if len(self.ready) >= _MOST_READY:
            self.ready.clear()
        self.ready[shape, dtype] = _bound(found, self.dtype, shape[0])


def _bound(found: Any, dtype: np.dtype, rows: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from rows to outputs with all else settled."""
    x, y = found.computation.inputs[0], found.computation.outputs[0]
    given, taken = np.zeros((1, *x.shape), dtype), np.empty((1, *y.shape), y.dtype)
    call, lock = found.bind([given], [taken]), threading.Lock()
    place, result = given[0, :rows], taken[0, :rows]

    def ready(X: np.ndarray) -> np.ndarray:
        with lock:
            place[...] = X
            call()
            return result.copy()

    return ready


def _cut(rows: int, block: int) -> Iterator[tuple[int, int]]:
    """Full blocks, then the smallest block that holds what is left."""
    full, left = divmod(rows, block)
    if full:
        yield block, full
    if left:
        yield min(size for size in (*SIZES, block) if size >= left), 1


def _parts(model: nn.Module) -> list[Any]:
    """Live views of whatever can be exchanged in a model: attributes, lists, dictionaries."""
    parts: list[Any] = []

    def visit(values: Any, *, can_change: bool) -> None:
        if can_change:
            parts.append(values)
        for value in values:
            if isinstance(value, list | tuple):
                visit(value, can_change=isinstance(value, list))
            elif isinstance(value, dict):
                visit(value.values(), can_change=True)

    for module in model.modules():
        parts.append(vars(module).values())
        visit([v for k, v in vars(module).items() if k != "_given"], can_change=False)
    return parts


def predict(self: nn.Module, X: Any, batch_size: int | None = None) -> np.ndarray:
    """The model's outputs, as in use: without dropout, and nothing is learned.

    A row's output does not depend, to the bit, on the rows around it, unless the
    model itself mixes rows.

    Args:
        X: inputs (rows, ...); numbers, converted to the model's dtype. NaN gives NaN.
        batch_size: most rows that run together, 256 by default; fewer need less memory.

    Returns:
        NumPy array (rows, ...), what the last layer gives: logits, where the loss
        works on logits.

    Raises:
        TypeError: X does not hold numbers.
        LayerError: the shape of X does not fit; names the layer.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, train
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        >>> X = np.ones((5, 3), np.float32)
        >>> model.predict(X).shape
        (5, 2)
        >>> bool((model.predict(X)[3] == model.predict(X[3:4])[0]).all())
        True
    """
    if batch_size is None:
        try:  # an input like one before: no more than a look-up stands before the program
            found = self._predictor  # type: ignore[attr-defined]
            if found.is_current():
                return found.ready[X.shape, X.dtype](X)
        except (AttributeError, KeyError, TypeError):
            pass
    return _predict(
        self, X, BLOCK if batch_size is None else whole_number(batch_size, "batch_size")
    )


def _predict(model: nn.Module, X: Any, block: int) -> np.ndarray:
    found = vars(model).get("_predictor")
    if found is None or not found.is_current():
        found = model._predictor = Predictor(model)  # type: ignore[attr-defined]
        found.remember()  # being a part of it now
    given = numeric(X, "X")
    if given.ndim < 2:
        raise ValueError(
            f"X must have one row per example and at least one column, received shape "
            f"{given.shape}; use X.reshape(1, -1) for one example"
        )
    if len(given) == 0:
        _, y = trace_output(model, (1, *given.shape[1:]), found.dtype)
        return np.empty((0, *y.shape[1:]), y.dtype)
    with np.errstate(over="ignore"):
        if is_mapped(given) and found.treats_rows_alone(given.shape[1:]):
            return _of_a_map(found, given, block)
        out: np.ndarray = found(np.ascontiguousarray(given, found.dtype), block)
    if isinstance(X, np.ndarray) and len(X) <= BLOCK:
        found.prepare(X.shape, X.dtype)
    return out


def _of_a_map(found: Predictor, X: np.ndarray, block: int) -> np.ndarray:
    """The outputs for rows in a file, of which a part at a time is in memory."""
    out: Any = None
    for first, rows in blocks(X):
        part = found(np.ascontiguousarray(rows, found.dtype), block)
        if out is None:
            out = np.empty((len(X), *part.shape[1:]), part.dtype)
        out[first : first + len(part)] = part
    return out


nn.Module.predict = predict  # type: ignore[method-assign]  # its home is here; see core.late
