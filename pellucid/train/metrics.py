"""Metrics: what a person reads, where a loss is what an optimizer reads.

A metric is a traced function of prediction and target that gives one figure per
example; its mean over the examples is reported. `METRICS` is the table of those
that have a name; any such function may be passed instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.functions import argmax
from pellucid.core.tensor import Tensor, absolute, cast, equal, mean, reshape

from .checks import one_of

Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Attributes:
        function: per-example figures from prediction and target.
        greater_is_better: the direction in which it improves.
    """

    function: Function
    greater_is_better: bool


def accuracy(prediction: Tensor, target: Tensor) -> Tensor:
    """1 where the predicted class is the true one, else 0.

    The predicted class is the position of the greatest output; with a single output,
    a logit, it is 1 where the logit is positive.

    Args:
        prediction: model output (batch, classes), (batch, 1) or (batch,).
        target: class numbers (batch,), one-hot rows (batch, classes), or 0 and 1.

    Returns:
        float tensor (batch,).

    Example:
        >>> import pellucid as pe
        >>> from pellucid.train.metrics import accuracy
        >>> accuracy(pe.tensor([[0.1, 0.9], [2.0, 1.0]]), pe.tensor([1, 1]))
        Tensor([1., 0.], dtype=float32)
    """
    if prediction.ndim == 1 or prediction.shape[-1] == 1:
        return binary_accuracy(prediction, target)
    found = argmax(prediction)
    true = argmax(target) if target.shape == prediction.shape else reshape(target, found.shape)
    return cast(equal(found, cast(true, np.int32)), prediction.dtype)


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


def mean_absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The distance of prediction and target, the mean over an example's outputs.

    Args:
        prediction: model output (batch, ...).
        target: of the same size.

    Returns:
        float tensor (batch,).
    """
    return per_example(absolute(prediction - reshape(target, prediction.shape)))


METRICS = {
    "accuracy": Metric(accuracy, greater_is_better=True),
    "binary_accuracy": Metric(binary_accuracy, greater_is_better=True),
    "mean_squared_error": Metric(mean_squared_error, greater_is_better=False),
    "mean_absolute_error": Metric(mean_absolute_error, greater_is_better=False),
}
"""Metrics by name."""


def per_example(values: Tensor) -> Tensor:
    """The mean over all axes but the first."""
    if values.ndim <= 1:
        return values
    return mean(reshape(values, (values.shape[0], math.prod(values.shape[1:]))), axis=1)


def greater_is_better(column: str) -> bool:
    """The direction in which a column of a history improves; losses and unknown figures fall."""
    metric = METRICS.get(column.removeprefix("val_"))
    return metric is not None and metric.greater_is_better


def metrics_for(loss: nn.Loss, given: Any = None) -> dict[str, Function]:
    """The metrics that the user asked for, by the name of their column.

    Args:
        loss: the loss, which settles the default: accuracy where targets are classes.
        given: None for the default, or a name, a function, or a sequence of these.
    """
    if given is None:
        default = _DEFAULT.get(loss.target.name)
        return {} if default is None else {"accuracy": default}
    found: dict[str, Function] = {}
    for metric in given if isinstance(given, Iterable) and not isinstance(given, str) else [given]:
        if isinstance(metric, str):
            found[metric] = one_of(metric, "metric", METRICS).function
        elif callable(metric):
            name = getattr(metric, "__name__", type(metric).__name__)
            if name in found:
                raise ValueError(
                    f"two metrics are called {name!r}, but each is a column of the history: give "
                    "the functions different names"
                )
            found[name] = metric
        else:
            raise TypeError(f"a metric must be a name or a function, received {metric!r}")
    taken = {"epoch", "loss"} & set(found)
    if taken:
        raise ValueError(f"a metric cannot be called {taken.pop()!r}: the history has that column")
    return found


_DEFAULT: dict[str, Function] = {
    "classes": accuracy,
    "probabilities": binary_accuracy,
    "signs": binary_accuracy,
}
