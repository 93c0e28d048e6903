"""Loss and metrics of a model over rows that it does not learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.node import placeholder, tracing
from pellucid.core.program import Computation, Program
from pellucid.core.tensor import Tensor, divide

from . import checks
from .metrics import Function, metrics_for
from .predict import output_shape
from .programs import program
from .step import learned_dtype, record_of

_FEWEST, _MOST = 64, 256


class Evaluation:
    """Loss and metrics over the same rows, again and again, as the model changes.

    Args:
        model: the model.
        loss: a loss.
        metrics: functions by name.
        data: X, y, and weights of the rows if there are any; as `prepared` gives them.
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
                inputs = [
                    a[first : first + size * count].reshape(count, size, *a.shape[1:]) for a in data
                ]
                node = found.computation.outputs[0]
                self._parts.append((found, inputs, np.empty((count, *node.shape), node.dtype)))
        self._rows = rows

    @property
    def programs(self) -> list[Program]:
        """What measures."""
        return [part[0] for part in self._parts]

    @property
    def memory(self) -> int:
        """Bytes of the rows."""
        return sum(array.nbytes for part in self._parts for array in part[1])

    def __call__(self) -> list[float]:
        """The loss and each metric, means over all rows, in the order of `names`."""
        weighted = weight = 0.0
        sums = np.zeros(len(self.names) - 1)
        for found, inputs, records in self._parts:
            found.run(inputs, [records], len(records))
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
        prediction = model(fields[0])
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
        X of the model's dtype, and y as the loss takes it, both C-contiguous.
    """
    dtype = learned_dtype(model)
    X = checks.inputs(X, dtype, names[0])
    targets = checks.numeric(y, names[1])
    checks.same_length(X, targets, *names)
    checks.finite(targets, names[1])
    with np.errstate(over="ignore"):
        y = np.ascontiguousarray(loss.check(targets, output_shape(model, X), dtype))
    checks.finite(y, names[1], targets.reshape(y.shape) if targets.size == y.size else None)
    return [X, y]


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
        data.append(checks.weights(sample_weight, len(data[0]), data[0].dtype))
    evaluation = Evaluation(model, chosen, metrics_for(chosen, metrics), data)
    return dict(zip(evaluation.names, evaluation(), strict=True))
