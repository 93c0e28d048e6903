"""Loss and metrics of a model over rows that it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.node import placeholder, tracing
from pellucid.core.program import Computation
from pellucid.core.tensor import Tensor, cast, divide

from . import checks
from .mapped import Selected, at_once, blocks, is_mapped, is_used_in_place
from .metrics import Function, metrics_for
from .predict import output_shape
from .programs import program
from .step import learned_dtype, record_of

_FEWEST, _MOST = 64, 256
_MOST_BLOCKS = 1 << 30


class Evaluation:
    """Loss and metrics over the same rows, again and again, as the model changes.

    Args:
        model: the model.
        loss: a loss.
        metrics: functions by name.
        data: X, y, and weights of the rows if there are any; as `prepared` gives them, or
            `Selected` rows of such.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Loss,
        metrics: Mapping[str, Function],
        data: Sequence[np.ndarray],
    ) -> None:
        self.names = ("loss", *metrics)
        rows = len(data[0])
        block = block_of(rows)
        full, rest = divmod(rows, block)
        self._parts = []
        for size, count, first in ((block, full, 0), (rest, 1 if rest else 0, full * block)):
            if count:
                found = program(_trace(model, loss, metrics, data, size))
                node = found.computation.outputs[0]
                records = np.empty((count, *node.shape), node.dtype)
                self._parts.append((found, first, size, records))
        self._rows = rows
        self._data = data
        self._at_once = _MOST_BLOCKS  # in one call
        if any(isinstance(array, Selected) for array in data):
            row_bytes = sum(math.prod(a.shape[1:]) * a.dtype.itemsize for a in data)
            self._at_once = at_once(row_bytes * block)

    def __call__(self) -> list[float]:
        """The loss and each metric, means over all rows, in the order of `names`."""
        weighted = weight = 0.0
        sums = np.zeros(len(self.names) - 1)
        for found, first, size, records in self._parts:
            for start in range(0, len(records), self._at_once):
                part = records[start : start + self._at_once]
                row, count = first + start * size, len(part)
                inputs = [
                    a[row : row + count * size].reshape(count, size, *a.shape[1:])
                    for a in self._data
                ]
                found.run(inputs, [part], count)
            exact = records.astype(np.float64)
            weighted += float(exact[:, 0] @ exact[:, 1])
            weight += float(exact[:, 1].sum())
            sums += exact[:, 2:].sum(axis=0)
        return [weighted / weight, *(sums / self._rows).tolist()]


def block_of(rows: int) -> int:
    """Rows of a block: all of them, or a number that divides them if there is one."""
    if rows <= _MOST:
        return rows
    return next((n for n in range(_MOST, _FEWEST, -1) if rows % n == 0), _MOST)


def _trace(
    model: nn.Module,
    loss: nn.Loss,
    metrics: Mapping[str, Function],
    data: Sequence[np.ndarray],
    rows: int,
) -> Computation:
    with tracing(), nn.training_mode(False):
        fields = [Tensor(placeholder((rows, *a.shape[1:]), a.dtype)) for a in data]
        prediction = model(cast(fields[0], learned_dtype(model)))
        total, weight = loss.total_and_weight(prediction, *fields[1:])
        value = total if weight is None else divide(total, weight)
        record = record_of(value, weight, prediction, fields[1], metrics)
    nodes = (*(f.node for f in fields), record.node)
    return Computation(nodes[:-1], nodes[-1:], (), frozenset(nodes))


def prepared(
    model: nn.Module, loss: nn.Loss, X: Any, y: Any, names: tuple[str, str] = ("X", "y")
) -> list[np.ndarray]:
    """Rows and targets, checked and brought into the form that programs take.

    Args:
        model: the model that they are for.
        loss: the loss that they are for.
        X: inputs (rows, ...).
        y: targets (rows, ...).
        names: what to call the two in messages.

    Returns:
        X of the model's dtype (a memory map in its own), and y as the loss takes it, both
        C-contiguous.
    """
    dtype = learned_dtype(model)
    X = checks.inputs(X, dtype, names[0])
    targets = checks.numeric(y, names[1])
    checks.same_length(X, targets, *names)
    checks.finite(targets, names[1])
    with np.errstate(over="ignore"):
        return [X, _checked_targets(loss, targets, output_shape(model, X), dtype, names[1])]


_CAST_IN_STEPS = ("values", "counts", "probabilities")
"""Kinds of targets that a step converts by itself."""


def _checked_targets(
    loss: nn.Loss, targets: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, name: str
) -> np.ndarray:
    """Targets as the loss takes them; those in a file are looked at block by block."""
    kind = loss.target.name
    # which of two signs is meant, all rows say together
    in_blocks = is_mapped(targets) and kind != "signs"
    stays = in_blocks and kind in _CAST_IN_STEPS and is_used_in_place(targets)
    found: Any = None
    for first, block in blocks(targets) if in_blocks else [(0, targets)]:
        with checks.counted_from(first):
            part = np.ascontiguousarray(loss.check(block, shape, dtype))
        checks.finite(
            part, name, block.reshape(part.shape) if block.size == part.size else None, first
        )
        if not in_blocks:
            return part
        if found is None:
            form = len(targets), *part.shape[1:]
            found = targets.reshape(form) if stays else np.empty(form, part.dtype)
        if not stays:
            found[first : first + len(part)] = part
    return found


def evaluate(
    model: nn.Module,
    X: Any,
    y: Any,
    *,
    loss: Any = "cross_entropy",
    metrics: Any = None,
    sample_weight: Any = None,
) -> dict[str, float]:
    """The loss and the metrics of a model on rows with known targets.

    Args:
        model: a model.
        X: inputs (rows, ...).
        y: targets (rows, ...), as the loss takes them.
        loss: a loss, or its name.
        metrics: names and functions; by default "accuracy" for losses over classes.
        sample_weight: weight of each row in the loss (rows,).

    Returns:
        Figures by name: "loss" and each metric, means over the rows.

    Raises:
        ValueError: the data do not fit the model or the loss; says where.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, train
        >>> model = nn.Sequential(nn.Linear(2, 3, weight_init="zeros"))
        >>> found = train.evaluate(model, np.ones((4, 2)), [0, 0, 0, 2])
        >>> round(found["loss"], 4), found["accuracy"]
        (1.0986, 0.75)
    """
    checks.check_model(model)
    chosen = nn.as_loss(loss)
    data = prepared(model, chosen, X, y)
    if sample_weight is not None:
        data.append(checks.weights(sample_weight, len(data[0]), learned_dtype(model)))
    evaluation = Evaluation(model, chosen, metrics_for(chosen, metrics), data)
    return dict(zip(evaluation.names, evaluation(), strict=True))
