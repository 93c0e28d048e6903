"""Functions composed of primitives: nothing here has a derivative of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .movement import expand
from .tensor import (
    Axis,
    Tensor,
    apply,
    cast,
    exp,
    log,
    log1p,
    max,
    maximum,
    mean,
    minimum,
    normalize_axes,
    promote,
    reshape,
    stop_gradient,
    sum,
    tensor,
    where,
)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Least element over the axes (all by default)."""
    return -max(-tensor(x), axis, keepdims)


def var(x: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Variance over the axes: the mean squared distance from the mean."""
    x = tensor(x)
    apart = x - mean(x, axis, keepdims=True)
    return mean(apart * apart, axis, keepdims)


def clip(x: Any, low: Any, high: Any) -> Tensor:
    """x kept between low and high."""
    return minimum(maximum(x, low), high)


def square(x: Any) -> Tensor:
    """x * x."""
    x = tensor(x)
    return x * x


def argmax(x: Any, axis: int = -1) -> Tensor:
    """Position of the first greatest element along an axis; a NaN counts as greatest."""
    x = tensor(x)
    return apply("argmax", x, axes=normalize_axes(axis, x.ndim))


def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """ln of the sum of e ** x over the axes, safe for large x."""
    x = tensor(x)
    axes = normalize_axes(axis, x.ndim)
    top = stop_gradient(max(x, axes))
    top = where(absolute_is_finite(top), top, 0.0)
    total = log(sum(exp(x - expand(top, x.shape, axes)), axes)) + top
    if keepdims:
        total = reshape(total, tuple(1 if a in axes else n for a, n in enumerate(x.shape)))
    return total


def absolute_is_finite(x: Tensor) -> Tensor:
    """Neither infinite nor NaN."""
    return (x - x) == 0.0


def softmax(x: Any, axis: Axis = -1) -> Tensor:
    """e ** x over its sum along the axes: positive numbers that sum to 1."""
    x = tensor(x)
    axes = normalize_axes(axis, x.ndim)
    e = exp(x - expand(stop_gradient(max(x, axes)), x.shape, axes))
    return e / expand(sum(e, axes), x.shape, axes)


def log_softmax(x: Any, axis: Axis = -1) -> Tensor:
    """Logarithm of softmax, safe for large x."""
    x = tensor(x)
    return x - logsumexp(x, axis, keepdims=True)


def softplus(x: Any) -> Tensor:
    """ln(1 + e ** x), safe for large x."""
    x = tensor(x)
    positive = x >= 0.0  # not an absolute value, whose derivative at 0 is 0: this one's is 1/2
    return where(positive, x, 0.0) + log1p(exp(where(positive, -x, x)))


def one_hot(index: Any, classes: int, dtype: Any = np.float32) -> Tensor:
    """Rows with a 1 at each index and 0 elsewhere.

    Args:
        index: whole numbers of shape (...).
        classes: length of the new last axis.
        dtype: dtype of the result.

    Returns:
        Tensor of shape (..., classes); an index out of range gives a row of zeros.
    """
    index = cast(tensor(index), np.int32)
    shape = (*index.shape, classes)
    position = apply("iota", shape=shape, axis=len(shape) - 1)
    return cast(position == expand(index, shape, (len(shape) - 1,)), dtype)


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors joined along an axis."""
    parts = [tensor(t) for t in tensors]
    if not parts:
        raise ValueError("concatenate needs at least one tensor")
    dtype = promote(*(p.dtype for p in parts))
    (at,) = normalize_axes(axis, parts[0].ndim)
    return apply("concatenate", *(cast(p, dtype) for p in parts), axis=at)


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """The tensors of equal shape joined along a new axis."""
    parts = [tensor(t) for t in tensors]
    at = axis % (parts[0].ndim + 1) if parts else 0
    return concatenate([reshape(p, p.shape[:at] + (1,) + p.shape[at:]) for p in parts], at)


def zeros(shape: int | Sequence[int], dtype: Any = np.float32) -> Tensor:
    """A tensor of zeros."""
    return tensor(np.zeros(shape, dtype))


def ones(shape: int | Sequence[int], dtype: Any = np.float32) -> Tensor:
    """A tensor of ones."""
    return tensor(np.ones(shape, dtype))


def arange(count: int) -> Tensor:
    """0, 1, ... count - 1."""
    return apply("iota", shape=(count,), axis=0)
