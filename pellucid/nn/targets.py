"""What a loss accepts as targets: checked on data before training, shaped inside a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, cast, reshape, tensor, where

Shape = tuple[int, ...]

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Target:
    """A kind of target.

    Attributes:
        check: `(y, output_shape, dtype) -> array` on data: the rows as a step wants
            them, int32 or of the floating dtype; or a ValueError that names the first
            bad row.
        fit: `(prediction, target) -> tensor` inside a step: shape and dtype made to
            fit, or a ValueError.
    """

    name: str
    check: Callable[[np.ndarray, Shape, np.dtype], np.ndarray]
    fit: Callable[[Tensor, Tensor], Tensor]


def check_finite(array: np.ndarray, what: str) -> None:
    """Refuse NaN and infinity.

    Args:
        array: data of shape (rows, ...).
        what: names the data in the message.

    Raises:
        ValueError: names the first row and column (counted from 0) that hold one.
    """
    if array.dtype.kind != "f" or array.size == 0 or np.isfinite(array).all():
        return
    place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    value = "NaN" if np.isnan(array[place]) else "infinity"
    column = "" if len(place) < 2 else f", column {place[1] if len(place) == 2 else place[1:]}"
    raise ValueError(f"{what} has {value} in row {place[0]}{column} (counted from 0)")


def _numbers(y: Any) -> np.ndarray:
    array = np.asarray(y)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"targets must be numbers, received dtype {array.dtype}; "
            "encode classes as whole numbers from 0"
        )
    if array.ndim == 0:
        raise ValueError("targets need one row per example, received a single number")
    check_finite(array, "y")
    return array


def _like_output(y: np.ndarray, output_shape: Shape) -> np.ndarray:
    """The targets in the output's shape; a column may be given as a vector, and the reverse."""
    if y.shape[1:] == output_shape:
        return y
    if {y.shape[1:], output_shape} == {(), (1,)}:
        return y.reshape(y.shape[:1] + output_shape)
    raise ValueError(
        f"the model gives {('batch', *output_shape)!r} as its output, so targets must have shape "
        f"{('rows', *output_shape)!r}, received {y.shape}".replace("'", "")
    )


def _check_values(y: Any, output_shape: Shape, dtype: np.dtype) -> np.ndarray:
    return _like_output(_numbers(y), output_shape).astype(dtype)


def _check_probabilities(y: Any, output_shape: Shape, dtype: np.dtype) -> np.ndarray:
    array = _like_output(_numbers(y), output_shape)
    _refuse(array, (array < 0) | (array > 1), "targets must lie between 0 and 1")
    return array.astype(dtype)


def _check_signs(y: Any, output_shape: Shape, dtype: np.dtype) -> np.ndarray:
    array = _like_output(_numbers(y), output_shape)
    low = -1 if (array == -1).any() else 0
    _refuse(array, (array != low) & (array != 1), "targets must be 0 and 1, or -1 and 1")
    return np.where(array > 0, 1, -1).astype(dtype)


def _check_counts(y: Any, output_shape: Shape, dtype: np.dtype) -> np.ndarray:
    array = _like_output(_numbers(y), output_shape)
    _refuse(array, array < 0, "counts must not be negative")
    return array.astype(dtype)


def _check_classes(y: Any, output_shape: Shape, dtype: np.dtype) -> np.ndarray:
    array = _numbers(y)
    if not output_shape:
        raise ValueError("cross-entropy needs one output per class, received a single number")
    classes = output_shape[-1]
    if array.shape[1:] == output_shape and array.ndim > 1 and classes > 1:
        _refuse(array, array < 0, "class probabilities must not be negative")
        sums = array.sum(-1, dtype=np.float64)
        _refuse(
            sums, abs(sums - 1) > _SUM_TOLERANCE, "the class probabilities of a row must sum to 1"
        )
        return array.astype(dtype)
    if array.shape[1:] == (*output_shape[:-1], 1):
        array = array[..., 0]
    if array.shape[1:] != output_shape[:-1] and len(output_shape) > 1:
        places = ("rows", *output_shape[:-1])
        raise ValueError(
            f"the model gives {('batch', *output_shape)} as its output: targets must be class "
            f"numbers of shape {places} or probabilities of shape {(*places, classes)}, received "
            f"{array.shape}; for one class per example end with nn.Flatten() or nn.GlobalAvgPool()"
            ", and nn.Linear".replace("'", "")
        )
    if array.shape[1:] != output_shape[:-1]:
        raise ValueError(
            f"the model gives {classes} outputs per example: targets must be class numbers of "
            f"shape ('rows',) or probabilities of shape ('rows', {classes}), received "
            f"{array.shape}".replace("'", "")
        )
    _refuse(array, array != np.floor(array), "class numbers must be whole")
    hint = "; for two classes from one output use binary_cross_entropy_with_logits"
    _refuse(
        array,
        (array < 0) | (array >= classes),
        f"class numbers must lie between 0 and {classes - 1}, the model having {classes} "
        f"output{'s' if classes > 1 else hint}",
    )
    if classes == 1:
        raise ValueError(
            "cross-entropy over a single output is always 0, so that nothing would be learned; "
            "expected a model with one output per class, at least 2"
        )
    return array.astype(np.int32)


def _refuse(array: np.ndarray, wrong: np.ndarray, rule: str) -> None:
    if array.dtype.kind == "b" or not wrong.any():
        return
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    at = f"row {place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
    raise ValueError(f"{rule}; received {array[place].item():g} in {at} (counted from 0)")


def _fit_like(prediction: Tensor, target: Tensor) -> Tensor:
    target = cast(target, prediction.dtype)
    if target.shape == prediction.shape:
        return target
    same_rows = target.shape[:1] == prediction.shape[:1]
    if same_rows and {target.shape[1:], prediction.shape[1:]} == {(), (1,)}:
        return reshape(target, prediction.shape)
    raise ValueError(
        f"prediction and target must have one shape, received {prediction.shape} and {target.shape}"
    )


def _fit_signs(prediction: Tensor, target: Tensor) -> Tensor:
    return where(_fit_like(prediction, target) > 0, tensor(1.0, prediction.dtype), -1.0)


def _fit_classes(prediction: Tensor, target: Tensor) -> Tensor:
    if prediction.ndim < 1:
        raise ValueError("cross-entropy needs one output per class, received a single number")
    if target.shape == prediction.shape:
        return cast(target, prediction.dtype)
    if target.shape == (*prediction.shape[:-1], 1):
        target = reshape(target, prediction.shape[:-1])
    if target.shape != prediction.shape[:-1]:
        raise ValueError(
            f"a prediction of shape {prediction.shape} needs class numbers of shape "
            f"{prediction.shape[:-1]} or probabilities of shape {prediction.shape}, "
            f"received {target.shape}"
        )
    return cast(target, np.int32)


VALUES = Target("values", _check_values, _fit_like)
PROBABILITIES = Target("probabilities", _check_probabilities, _fit_like)
SIGNS = Target("signs", _check_signs, _fit_signs)
COUNTS = Target("counts", _check_counts, _fit_like)
CLASSES = Target("classes", _check_classes, _fit_classes)


def _check_anything(y: Any, output_shape: Shape, dtype: np.dtype) -> np.ndarray:
    array = _numbers(y)
    return array.astype(dtype if array.dtype.kind == "f" else np.int32)


ANYTHING = Target("anything", _check_anything, lambda prediction, target: target)
"""What a loss written by a user gets: numbers as they are, whole ones as int32."""
