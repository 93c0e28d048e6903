"""Loss and metrics of a model over rows that it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.node import placeholder, tracing
from pellucid.core.program import Computation, Program
from pellucid.core.tensor import Tensor, cast, divide

from . import checks
from .data import prepared
from .decision import Decision, decision_of
from .mapped import Selected, at_once, bytes_in_memory
from .metrics import AnyMetric, Metric, metrics_for, per_row
from .predict import output_shape
from .programs import program
from .step import learned_dtype, record_of

_FEWEST, _MOST = 64, 256
_MOST_BLOCKS = 1 << 30


class Evaluation:
    """Loss and metrics over the same rows, again and again, as the model changes.

    Args:
        model: the model.
        decision: how its outputs are read; names the loss.
        metrics: by name.
        data: X, y, and weights of the rows if there are any; as `prepared` gives them, or
            `Selected` rows of such.
    """

    def __init__(
        self,
        model: nn.Module,
        decision: Decision,
        metrics: Mapping[str, AnyMetric],
        data: Sequence[np.ndarray],
    ) -> None:
        self._metrics, self._decision, self._data = metrics, decision, data
        rows = len(data[0])
        block = block_of(rows)
        full, rest = divmod(rows, block)
        keep = len(per_row(metrics)) < len(metrics)  # a metric of the whole set wants predictions
        self._predictions: Any = None
        self._parts = []
        for size, count, first in ((block, full, 0), (rest, 1 if rest else 0, full * block)):
            if not count:
                continue
            found = program(_trace(model, decision.loss, per_row(metrics), data, size, keep))
            record, *prediction = found.computation.outputs
            outputs = [np.empty((count, *record.shape), record.dtype)]
            for node in prediction:
                if self._predictions is None:
                    self._predictions = np.empty((rows, *node.shape[1:]), node.dtype)
                outputs.append(_blocks(self._predictions, first, count, size))
            self._parts.append((found, first, size, outputs))
        self._rows = rows
        self._at_once = _MOST_BLOCKS  # in one call
        if any(isinstance(array, Selected) for array in data):
            row_bytes = sum(math.prod(a.shape[1:]) * a.dtype.itemsize for a in data)
            self._at_once = at_once(row_bytes * block)

    @property
    def programs(self) -> list[Program]:
        """What measures."""
        return [part[0] for part in self._parts]

    @property
    def memory(self) -> int:
        """Bytes of the rows; files do not count."""
        return sum(map(bytes_in_memory, self._data))

    def __call__(self) -> dict[str, Any]:
        """The loss, a mean over all rows, and each metric."""
        weighted = weight = 0.0
        sums: Any = 0.0
        for found, first, size, outputs in self._parts:
            for start in range(0, len(outputs[0]), self._at_once):
                part = [output[start : start + self._at_once] for output in outputs]
                count = len(part[0])
                inputs = [_blocks(a, first + start * size, count, size) for a in self._data]
                found.run(inputs, part, count)
            exact = outputs[0].astype(np.float64)
            weighted += float(exact[:, 0] @ exact[:, 1])
            weight += float(exact[:, 1].sum())
            sums = sums + exact[:, 2:].sum(axis=0)
        means = iter((sums / self._rows).tolist())
        figures: dict[str, Any] = {"loss": weighted / weight}
        for name, metric in self._metrics.items():
            if isinstance(metric, Metric):
                figures[name] = float(metric.of_mean(next(means)))
            else:
                target = self._data[1][:]
                figures[name] = metric.measure(self._decision, self._predictions, target)
        return figures


def _blocks(array: Any, first: int, count: int, size: int) -> np.ndarray:
    """So many blocks of so many rows, from the first row on."""
    return array[first : first + size * count].reshape(count, size, *array.shape[1:])


def block_of(rows: int) -> int:
    """Rows of a block: all of them, or a number that divides them if there is one."""
    if rows <= _MOST:
        return rows
    return next((n for n in range(_MOST, _FEWEST, -1) if rows % n == 0), _MOST)


def _trace(
    model: nn.Module,
    loss: nn.Loss,
    metrics: Mapping[str, Metric],
    data: Sequence[np.ndarray],
    rows: int,
    keep: bool,
) -> Computation:
    with tracing(), nn.training_mode(False):
        fields = [Tensor(placeholder((rows, *a.shape[1:]), a.dtype)) for a in data]
        prediction = model(cast(fields[0], learned_dtype(model)))
        total, weight = loss.total_and_weight(prediction, *fields[1:])
        value = total if weight is None else divide(total, weight)
        record = record_of(value, weight, prediction, fields[1], metrics)
    inputs = tuple(f.node for f in fields)
    outputs = (record.node, prediction.node) if keep else (record.node,)
    return Computation(inputs, outputs, (), frozenset((*inputs, *outputs)))


def evaluate(
    model: nn.Module,
    X: Any,
    y: Any,
    *,
    loss: Any = "cross_entropy",
    metrics: Any = None,
    sample_weight: Any = None,
) -> dict[str, Any]:
    """The loss and the metrics of a model on rows with known targets.

    Args:
        model: a model.
        X: inputs (rows, ...).
        y: targets (rows, ...), as the loss takes them.
        loss: a loss, or its name.
        metrics: names (of `METRICS`), metrics and functions; by default "accuracy" for
            losses over classes.
        sample_weight: weight of each row in the loss (rows,); metrics count all rows alike.

    Returns:
        Figures by name: "loss" and each metric; NaN where a metric is undefined, as the
        area under the ROC curve is on rows of one class. "confusion_matrix" is an
        array (true classes, predicted classes).

    Raises:
        ValueError: the data do not fit the model or the loss; says where.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, train
        >>> model = nn.Sequential(nn.Linear(2, 3, weight_init="zeros"))
        >>> X, y = np.ones((4, 2)), [0, 0, 0, 2]
        >>> found = train.evaluate(model, X, y)
        >>> round(found["loss"], 4), found["accuracy"]
        (1.0986, 0.75)
        >>> found = train.evaluate(model, X, y, metrics=["recall_macro", "confusion_matrix"])
        >>> found["recall_macro"], found["confusion_matrix"].tolist()
        (0.5, [[3, 0, 0], [0, 0, 0], [1, 0, 0]])
    """
    checks.check_model(model)
    chosen = nn.as_loss(loss)
    data = prepared(model, chosen, X, y, sample_weight)
    decision = decision_of(chosen, data[1], output_shape(model, data[0]))
    return Evaluation(model, decision, metrics_for(decision, data[1], metrics), data)()
