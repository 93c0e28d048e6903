"""Values brought to mean 0 and variance 1: what the normalizations share.

A row of the table of its own because of a measured gain: the derivative written out
reads the values twice, the one composed of those of means and squares five times.
"""

from __future__ import annotations

import numpy as np

from .movement import Rule
from .node import Node, define
from .tensor import Tensor, apply, sqrt, sum


def mean_over(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The mean with its axes kept; 0 where there is nothing to average."""
    total = sum(x, axes, keepdims=True)
    return total / float(max(1, x.size // max(1, total.size)))


def moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance over the axes, which are kept.

    Args:
        x: values.
        axes: over which to average.

    Returns:
        m, and the mean of (x - m)^2.
    """
    mean = mean_over(x, axes)
    apart = x - mean
    return mean, mean_over(apart * apart, axes)


def lowered(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """The values less their mean, times the inverse of their spread."""
    mean, variance = moments(x, axes)
    return (x - mean) * (1.0 / sqrt(variance + eps))


def standardize(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """(x - m) / sqrt(v + eps), m and v the mean and the variance over the axes.

    Args:
        x: values.
        axes: over which mean and variance are taken.
        eps: keeps the division safe.

    Returns:
        Tensor of the shape of x.
    """
    return apply("standardize", x, axes=axes, eps=eps)


def _rule(x: Node, axes: tuple[int, ...], eps: float) -> Rule:
    return x.shape, x.dtype


def _reference(x: np.ndarray, axes: tuple[int, ...], eps: float) -> np.ndarray:
    if x.size == 0:
        return x
    apart = x - np.mean(x, axes, keepdims=True)
    variance = np.mean(apart * apart, axes, keepdims=True)
    return apart * (1 / np.sqrt(variance + x.dtype.type(eps)))


def _vjp(g: Tensor, ans: Tensor, x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """What changes mean or variance of the values comes to nothing."""
    _, variance = moments(x, axes)
    straight = g - mean_over(g, axes) - ans * mean_over(g * ans, axes)
    return straight * (1.0 / sqrt(variance + eps))


define("standardize", "composite", _rule, _reference, (_vjp,))
