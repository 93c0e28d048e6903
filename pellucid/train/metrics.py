"""Metrics: what a person reads, where a loss is what an optimizer reads.

A metric is a traced function of prediction and target that gives one figure per
example; its mean over the examples is reported. Those that need all predictions of a
set at once are in `whole_set`. `METRICS` is the table of both; a function of the
user's own may be passed instead of a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from pellucid.core.functions import argmax
from pellucid.core.movement import expand
from pellucid.core.tensor import Tensor, absolute, apply, cast, equal, mean, reshape, sum, where

from . import whole_set
from .checks import one_of, whole_number
from .decision import (
    CLASSES,
    EXCLUSIVE,
    INDEPENDENT,
    Decision,
    check_coded,
    check_reading,
    fits_any,
)
from .whole_set import WholeSet

Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Metric:
    """A figure of each row, whose mean over the rows is reported.

    Attributes:
        name: of its column.
        function: `(prediction, target) -> tensor`, traced; one figure per example, or a
            single number, the mean of a batch.
        greater_is_better: the direction in which it improves, None if that is not known.
        of: "classes" or "values", what it compares; "" for anything.
        finish: what is done with the mean at the end, on NumPy arrays and numbers.
        unfit: why it cannot be measured under a decision; "" if it can.
        each_output: whether it looks at each output for itself, whatever the loss.

    Example:
        >>> import numpy as np
        >>> import pellucid as pe
        >>> from pellucid import nn, train
        >>> largest = train.Metric("largest", lambda p, t: pe.max(p, 1), greater_is_better=False)
        >>> model = nn.Sequential(nn.Linear(1, 2, weight_init="zeros"))
        >>> train.evaluate(model, [[1.0]], [0], metrics=largest)["largest"]
        0.0
    """

    name: str
    function: Function
    greater_is_better: bool | None = None
    of: str = ""
    finish: Callable[[Any], Any] | None = None
    unfit: Callable[[Decision], str] = fits_any
    each_output: bool = False

    def of_mean(self, mean: Any) -> Any:
        """The figure that is reported, from the mean over rows: a number or an array of them."""
        return mean if self.finish is None else self.finish(mean)

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The figures of a batch."""
        return self.function(prediction, target)


AnyMetric = Metric | WholeSet

METRICS: dict[str, AnyMetric] = {row.name: row for row in whole_set.ROWS}
"""Metrics by name.

"precision", "recall" and "f1" are those of class 1; with "_macro", "_weighted" or "_micro" after
the name they are means over the classes, plain or by their size, or count all decisions together.
These, "roc_auc", "r2" and "confusion_matrix" are measured on whole sets, the others row by row.
"""


def metric(
    of: str, *names: str, greater_is_better: bool, **options: Any
) -> Callable[[Function], Function]:
    """Make a function of prediction and target a row of `METRICS`; see `Metric`.

    Args:
        names: other names for it.
    """

    def add(function: Function) -> Function:
        for name in (function.__name__, *names):
            METRICS[name] = Metric(name, function, greater_is_better, of, **options)
        return function

    return add


@metric("classes", greater_is_better=True)
def accuracy(prediction: Tensor, target: Tensor) -> Tensor:
    """1 where the predicted class is the true one, else 0.

    The predicted class is the position of the greatest output, the first of equal ones;
    with a single output, a logit, it is 1 where the logit is positive.

    Args:
        prediction: model output (batch, ..., classes), (batch, ..., 1) or (batch,).
        target: class numbers (batch, ...), one-hot rows (batch, ..., classes), or 0 and 1.

    Returns:
        float tensor, one number for each class predicted.

    Example:
        >>> import pellucid as pe
        >>> from pellucid.train.metrics import accuracy
        >>> accuracy(pe.tensor([[0.1, 0.9], [2.0, 1.0]]), pe.tensor([1, 1]))
        Tensor([1., 0.], dtype=float32)
    """
    if prediction.ndim == 1 or prediction.shape[-1] == 1:
        return binary_accuracy(prediction, target)
    found = argmax(prediction)
    return cast(equal(found, _true_class(prediction, target)), prediction.dtype)


def _true_class(prediction: Tensor, target: Tensor) -> Tensor:
    """The number of the right class (batch, ...), int32."""
    if target.shape == prediction.shape:
        return cast(argmax(target), np.int32)
    return cast(reshape(target, prediction.shape[:-1]), np.int32)


def _of_one_class(decision: Decision) -> str:
    exclusive = decision.loss.target.name == "classes"
    return "is not for classes that exclude each other; use accuracy" if exclusive else ""


@metric("classes", greater_is_better=True, unfit=_of_one_class, each_output=True)
def binary_accuracy(prediction: Tensor, target: Tensor) -> Tensor:
    """The share of outputs on the right side: a positive logit for 1, else 0.

    Args:
        prediction: logits (batch, ...).
        target: 0 and 1, of the same size.

    Returns:
        float tensor (batch,).
    """
    target = reshape(target, prediction.shape)
    right = cast(equal(prediction > 0, cast(target, np.float32) > 0.5), prediction.dtype)
    return per_example(right)


@metric("classes", greater_is_better=False)
def zero_one_error(prediction: Tensor, target: Tensor) -> Tensor:
    """1 where the predicted class is wrong, else 0: 1 - accuracy.

    Args:
        prediction: model output, as for `accuracy`.
        target: as for `accuracy`.

    Returns:
        float tensor, one number for each class predicted.
    """
    return 1.0 - accuracy(prediction, target)


def top_k(k: int) -> Metric:
    """The metric "top_<k>_accuracy": 1 where the true class is among the k greatest outputs.

    Of equal outputs the first counts as greater, so that k = 1 is `accuracy`.

    Args:
        k: how many, below the number of classes.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import train
        >>> train.top_k(2).function(pe.tensor([[0.1, 3.0, 2.0]] * 3), pe.tensor([0, 1, 2]))
        Tensor([0., 1., 1.], dtype=float32)
    """
    k = whole_number(k, "k")
    function, unfit = partial(_is_in_top, k=k), partial(_has_no_top, k=k)
    return Metric(f"top_{k}_accuracy", function, True, "classes", unfit=unfit)


def _is_in_top(prediction: Tensor, target: Tensor, k: int) -> Tensor:
    axis = prediction.ndim - 1
    place = apply("iota", shape=prediction.shape, axis=axis)
    true = expand(_true_class(prediction, target), prediction.shape, (axis,))
    score = sum(where(place == true, prediction, 0.0), axis)
    score = expand(score, prediction.shape, (axis,))
    ahead = (prediction > score) | ((prediction == score) & (place < true))
    ahead = ahead | (prediction != prediction)  # as in `argmax`, a NaN is greatest
    return cast(sum(cast(ahead, np.int32), axis) < k, prediction.dtype)


def _has_no_top(decision: Decision, k: int) -> str:
    if decision.kind != EXCLUSIVE:
        return "needs one output per class"
    if k >= decision.classes:
        return f"is 1 for whatever a model with {decision.classes} classes predicts"
    return ""


METRICS["top_5_accuracy"] = top_k(5)


@metric("values", "mse", greater_is_better=False)
def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """(prediction - target) squared, the mean over an example's outputs.

    Args:
        prediction: model output (batch, ...).
        target: of the same size.

    Returns:
        float tensor (batch,).
    """
    apart = prediction - reshape(target, prediction.shape)
    return per_example(apart * apart)


@metric("values", "mae", greater_is_better=False)
def mean_absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The distance of prediction and target, the mean over an example's outputs.

    Args:
        prediction: model output (batch, ...).
        target: of the same size.

    Returns:
        float tensor (batch,).
    """
    return per_example(absolute(prediction - reshape(target, prediction.shape)))


@metric("values", "rmse", greater_is_better=False, finish=np.sqrt)
def root_mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The squared error of each example; the root of its mean over examples is reported.

    Args:
        prediction: model output (batch, ...).
        target: of the same size.

    Returns:
        float tensor (batch,).
    """
    return mean_squared_error(prediction, target)


def per_example(values: Tensor) -> Tensor:
    """The mean over all axes but the first."""
    if values.ndim <= 1:
        return values
    return mean(reshape(values, (values.shape[0], math.prod(values.shape[1:]))), axis=1)


# -- what a user asks for ---------------------------------------------------------------


def metrics_for(decision: Decision, y: np.ndarray, given: Any = None) -> dict[str, AnyMetric]:
    """The metrics that the user asked for, by the name of their column.

    Args:
        decision: how outputs are read as classes.
        y: targets, as the loss takes them.
        given: None for the default, accuracy where targets are classes; or a name, a
            metric, a function, or a sequence of these.

    Raises:
        ValueError: a name is not known, given twice, or what it names cannot be measured.
        TypeError: something given is no metric.
    """
    if given is None:
        given = ["accuracy"] if decision.loss.target.name in CLASSES else []
    if isinstance(given, str | AnyMetric) or not isinstance(given, Iterable):
        given = [given]
    found: dict[str, AnyMetric] = {}
    for one in map(_as_metric, given):
        if one.name in found:
            raise ValueError(
                f"two metrics are called {one.name!r}, but each is a column of the history: give "
                "the functions different names"
            )
        if one.name in ("epoch", "loss", "learning_rate"):
            raise ValueError(f"a metric cannot be called {one.name!r}: the history has that column")
        found[one.name] = _bound(one, decision, y)
    return found


def _as_metric(given: Any) -> AnyMetric:
    if isinstance(given, AnyMetric):
        return given
    if isinstance(given, str):
        return one_of(given, "metric", METRICS)
    if callable(given) and not isinstance(given, type):
        return Metric(getattr(given, "__name__", type(given).__name__), given)
    raise TypeError(f"a metric must be a name or a function, received {given!r}")


def _bound(metric: AnyMetric, decision: Decision, y: np.ndarray) -> AnyMetric:
    """A metric that fits its loss; one over classes sees logits."""
    aim, loss = decision.loss.target.name, decision.loss.name
    reason = metric.unfit(decision)
    if reason:
        raise ValueError(f"metric {metric.name} {reason}")
    if metric.of == "values" and aim in CLASSES:
        raise ValueError(
            f"metric {metric.name} compares outputs with quantities, and the targets of loss "
            f"{loss} are classes; use accuracy, or a metric of your own"
        )
    if isinstance(metric, WholeSet):
        check_reading(metric.reads, decision, metric.name)
    elif metric.each_output:
        decision = replace(decision, kind=INDEPENDENT)
    if metric.of != "classes":
        return metric
    check_coded(decision, y, metric.name)
    if isinstance(metric, WholeSet):
        return metric
    function = metric.function
    return replace(metric, function=lambda p, t: function(*decision.traced(p, t)))


def per_row(metrics: Mapping[str, AnyMetric]) -> dict[str, Metric]:
    """Those that are measured row by row, in passing."""
    return {name: one for name, one in metrics.items() if isinstance(one, Metric)}
