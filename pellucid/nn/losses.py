"""The losses: how far predictions are from targets, one function each.

A loss is a row of `LOSSES`: a function from predictions and targets to one term per
example (or per output), and the kind of target it takes.
"""

from __future__ import annotations

import math

from pellucid.core import portable
from pellucid.core.functions import square
from pellucid.core.indexing import take
from pellucid.core.movement import expand
from pellucid.core.tensor import (
    Tensor,
    absolute,
    apply,
    cast,
    exp,
    log,
    log1p,
    max,
    maximum,
    mean,
    minimum,
    stop_gradient,
    sum,
    where,
)

from .loss import LOSSES, loss
from .targets import CLASSES, COUNTS, PROBABILITIES, SIGNS, VALUES


@loss(VALUES, "mse")
def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of (u - y)^2 over all outputs of all examples.

    Args:
        prediction: u, shape (batch, ...).
        target: y, of the same shape; (batch,) goes with (batch, 1).

    Example:
        >>> from pellucid import nn
        >>> nn.mean_squared_error([[1.0, 0.0]], [[0.8, 0.5]]).item()
        0.14499999582767487
    """
    return square(prediction - target)


@loss(VALUES)
def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Half the sum of (u - y)^2 over an example's outputs; the mean over the examples.

    Its derivative by an output is u - y. `half_mean_squared_error` and
    `mean_squared_error` are the same up to a factor.

    Args:
        prediction: u, shape (batch, ...).
        target: y, of the same shape; (batch,) goes with (batch, 1).

    Example:
        >>> from pellucid import nn
        >>> round(nn.squared_error([[1.0, 0.0]], [[0.8, 0.5]]).item(), 6)
        0.145
    """
    return 0.5 * sum(square(prediction - target), tuple(range(1, prediction.ndim)))


@loss(VALUES)
def half_mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of (u - y)^2 / 2 over all outputs of all examples.

    Args:
        prediction: u, shape (batch, ...).
        target: y, of the same shape; (batch,) goes with (batch, 1).

    Example:
        >>> from pellucid import nn
        >>> round(nn.half_mean_squared_error([[1.0, 0.0]], [[0.8, 0.5]]).item(), 6)
        0.0725
    """
    return 0.5 * square(prediction - target)


@loss(VALUES, "mae")
def absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of |u - y| over all outputs of all examples: far points pull no harder.

    Args:
        prediction: u, shape (batch, ...).
        target: y, of the same shape; (batch,) goes with (batch, 1).

    Example:
        >>> from pellucid import nn
        >>> round(nn.absolute_error([[1.0, 0.0]], [[0.8, 0.5]]).item(), 6)
        0.35
    """
    return absolute(prediction - target)


@loss(VALUES)
def huber(prediction: Tensor, target: Tensor, delta: float = 1.0) -> Tensor:
    """The mean of d^2 / 2 where |d| <= delta, and delta (|d| - delta / 2) beyond; d = u - y.

    Args:
        prediction: u, shape (batch, ...).
        target: y, of the same shape; (batch,) goes with (batch, 1).
        delta: the error from which on the loss grows in a straight line.

    Example:
        >>> from pellucid import nn
        >>> nn.huber([[0.5], [3.0]], [[0.0], [0.0]]).item()
        1.3125

    Source: Huber: Robust estimation of a location parameter (1964).
    """
    apart = absolute(prediction - target)
    near = minimum(apart, delta)
    return near * (apart - 0.5 * near)


@loss(COUNTS)
def poisson(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of e^u - y u, u the logarithm of the expected count.

    Above u = 30 the exponential goes on in a straight line, so that one wild
    prediction does not become infinite.

    Args:
        prediction: u, shape (batch, ...).
        target: y, counts of the same shape; (batch,) goes with (batch, 1).

    Example:
        >>> from pellucid import nn
        >>> nn.poisson([[0.0]], [[3.0]]).item()
        1.0
    """
    inside = where(prediction > 30.0, 30.0, prediction)
    return exp(inside) * (1.0 + (prediction - inside)) - target * prediction


def _weights_of_signs(target: Tensor, weights: Tensor) -> Tensor:
    return where(target > 0, weights[1], weights[0])


@loss(SIGNS, class_weights=_weights_of_signs)
def hinge(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of max(0, 1 - t u), t = -1 or 1: right answers count until they are sure.

    Args:
        prediction: u, shape (batch,), (batch, 1), or (batch, outputs).
        target: 0 and 1, or -1 and 1, of the same shape.

    Example:
        >>> from pellucid import nn
        >>> nn.hinge([0.5, 2.0, -1.0], [1, 1, 1]).item()
        0.8333333134651184

    Source: Cortes, Vapnik: Support-vector networks (1995).
    """
    return maximum(1.0 - target * prediction, 0.0)


@loss(SIGNS, class_weights=_weights_of_signs)
def perceptron_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of max(0, -t u), t = -1 or 1: only wrong answers count.

    Args:
        prediction: u, shape (batch,), (batch, 1), or (batch, outputs).
        target: 0 and 1, or -1 and 1, of the same shape.

    Example:
        >>> from pellucid import nn
        >>> nn.perceptron_loss([0.5, 2.0, -1.5], [1, 1, 1]).item()
        0.5

    Source: Rosenblatt: The perceptron (1958).
    """
    return maximum(-(target * prediction), 0.0)


def _weights_of_two(target: Tensor, weights: Tensor) -> Tensor:
    return weights[0] + (weights[1] - weights[0]) * target


@loss(PROBABILITIES, class_weights=_weights_of_two, from_logits=True)
def binary_cross_entropy_with_logits(
    prediction: Tensor, target: Tensor, label_smoothing: float = 0.0, log_base: float = math.e
) -> Tensor:
    """The mean of -[y ln p + (1 - y) ln(1 - p)] with p = sigmoid(u).

    Computed from the logit u as (h - y) u + ln(1 + e^-|u|) with h = 1 where u >= 0,
    else 0: exact for small losses and safe for large u. Its derivative is p - y.

    Args:
        prediction: u, logits of shape (batch,), (batch, 1), or (batch, outputs) for
            independent outputs.
        target: y between 0 and 1, of the same shape; (batch,) goes with (batch, 1).
        label_smoothing: s in [0, 1): y becomes (1 - s) y + s / 2.
        log_base: of the logarithm; 2 measures in bits.

    Example:
        >>> from pellucid import nn
        >>> round(nn.binary_cross_entropy_with_logits([[0.0]], [1]).item(), 6)
        0.693147
        >>> nn.binary_cross_entropy_with_logits.with_options(log_base=2)([[0.0]], [1]).item()
        1.0
    """
    if label_smoothing:
        target = (1.0 - label_smoothing) * target + 0.5 * label_smoothing
    right = prediction >= 0.0  # never an absolute value: its derivative at 0 would be 0
    half = cast(right, prediction.dtype)
    nats = (half - target) * prediction + log1p(exp(where(right, -prediction, prediction)))
    return _in_base(log_base, nats)


def _in_base(base: float, nats: Tensor) -> Tensor:
    return nats if base == math.e else nats * (1.0 / float(portable.log(base)))


def _weights_of_classes(target: Tensor, weights: Tensor) -> Tensor:
    if target.dtype.kind == "f":
        return sum(target * weights, -1)
    return take(weights, target)


@loss(CLASSES, class_weights=_weights_of_classes, from_logits=True)
def cross_entropy(
    prediction: Tensor, target: Tensor, label_smoothing: float = 0.0, log_base: float = math.e
) -> Tensor:
    """The mean of -ln p_t, with p = softmax(u) and t the right class.

    Computed from the logits u as ln(sum_k e^(u_k - m)) - (u_t - m), m the greatest;
    for probabilities y as the sum of y_k times that loss for class k. The
    derivative by u is p - y.

    Args:
        prediction: u, logits of shape (batch, classes).
        target: class numbers of shape (batch,), or probabilities (one-hot rows, for
            instance) of shape (batch, classes).
        label_smoothing: s in [0, 1): the share of the target that is spread evenly over
            the classes.
        log_base: of the logarithm; 2 measures in bits.

    Example:
        >>> from pellucid import nn
        >>> round(nn.cross_entropy([[-2.0, 3.0, 1.0]], [1]).item(), 4)
        0.1328
    """
    axis = (prediction.ndim - 1,)
    apart = prediction - expand(stop_gradient(max(prediction, axis)), prediction.shape, axis)
    total = log(sum(exp(apart), axis))  # (batch,)
    if target.dtype.kind == "f":
        nats = sum(target * (expand(total, prediction.shape, axis) - apart), axis)
    else:
        nats = total - sum(where(_hit(prediction, target), apart, 0.0), axis)
    if label_smoothing:
        even = total - mean(apart, axis)  # the loss for a target that is the same everywhere
        nats = (1.0 - label_smoothing) * nats + label_smoothing * even
    return _in_base(log_base, nats)


def _hit(prediction: Tensor, target: Tensor) -> Tensor:
    """Where the position along the last axis is that of the target's class."""
    axis = prediction.ndim - 1
    position = apply("iota", shape=prediction.shape, axis=axis)
    return position == expand(target, prediction.shape, (axis,))


@loss(CLASSES, class_weights=_weights_of_classes)
def multi_class_hinge(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean of max(0, 1 + max_k u_k - u_t) over the classes k other than t, the right one.

    Args:
        prediction: u, shape (batch, classes).
        target: class numbers of shape (batch,), or one-hot rows of shape (batch, classes).

    Example:
        >>> from pellucid import nn
        >>> nn.multi_class_hinge([[2.0, 1.5, -3.0]], [0]).item()
        0.5

    Source: Crammer, Singer: On the algorithmic implementation of multiclass
    kernel-based vector machines (2001); as scikit-learn's `hinge_loss`.
    """
    hot = target if target.dtype.kind == "f" else cast(_hit(prediction, target), prediction.dtype)
    return max(prediction + (1.0 - hot), -1) - sum(hot * prediction, -1)


__test__ = {name: made.__doc__ for name, made in LOSSES.items()}  # examples that doctest runs
