"""How many mistakes a perceptron can make at most: the convergence theorem."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.utils.validation import check_X_y

from .perceptron_rule import fold, sums


def mistake_bound(
    X: Any,
    y: Any,
    coef: Any,
    intercept: Any = None,
    *,
    fit_intercept: bool = True,
    coef_init: Any = None,
    intercept_init: Any = None,
    learning_rate: float = 1.0,
) -> float:
    """The most mistakes that a perceptron can make on rows which a hyperplane separates.

        mistakes <= (R / margin)^2,
        R = max |x|,   margin = min t (v . x) / |v|

    over all rows x = (1, x1, x2, ...) with t = 1 for the greater class and -1 for the
    other, and for any separating v = (b, w1, w2, ...), in whatever order the rows come.
    That holds for a start from zero, whatever the learning rate c. A start from s counts
    as s / c; with a = v . s / (c |v|) the bound becomes the k that solves

        (a + k margin)^2 = |s / c|^2 + k R^2

    Args:
        X: the rows (rows, features).
        y: their labels (rows,), of two classes; for several classes give `y == label`.
        coef: w, the direction that separates (features,) or (1, features); `coef_` of a
            perceptron that converged, for instance.
        intercept: b; None puts the hyperplane half-way between the classes.
        fit_intercept: whether the perceptron has a bias; without one, v = w.
        coef_init, intercept_init: s, where learning starts; zero by default.
        learning_rate: c.

    Returns:
        The bound; infinite where a row lies on the hyperplane.

    Raises:
        ValueError: shapes do not fit, or a row lies on the wrong side; says which.

    Example:
        >>> from pellucid.estimators import Perceptron, mistake_bound
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1]
        >>> learned = Perceptron().fit(X, y)
        >>> learned.n_mistakes_, round(mistake_bound(X, y, learned.coef_), 6)
        (array([4]), 27.0)

    Source:
        A. Novikoff: On convergence proofs for perceptrons (1962).
    """
    X, y = check_X_y(X, y, dtype=np.float64, order="C")
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(
            f"mistake_bound expects labels of two classes, received {len(classes)}; for one of "
            "several classes give y == label"
        )
    t = np.where(y == classes[1], 1.0, -1.0)
    w = _vector(coef, X.shape[1], "coef")
    s = np.zeros_like(w) if coef_init is None else _vector(coef_init, X.shape[1], "coef_init")
    z = sums(X, w, 0.0)
    squares = fold(np.square(X.T))
    if fit_intercept:
        b = _number(intercept, "intercept", -(z[t > 0].min() + z[t < 0].max()) / 2)
        w, z, squares = np.append(b, w), z + b, squares + 1.0
        s = np.append(_number(intercept_init, "intercept_init", 0.0), s)
    elif intercept is not None or intercept_init is not None:
        raise ValueError("a perceptron without a bias (fit_intercept=False) has no intercept")
    length = _positive(math.hypot(*w), "the length of coef")
    margin = float((t * z).min()) / length
    if margin < 0:
        row = int((t * z).argmin())
        raise ValueError(
            f"the hyperplane does not separate the classes: row {row} (counted from 0), of class "
            f"{y.tolist()[row]!r}, lies on the side of the other; give the weights of a perceptron "
            "that converged"
        )
    s = s / _positive(learning_rate, "learning_rate")
    return _largest_root(margin, float(squares.max()), s, w / length)


def _largest_root(margin: float, squared_radius: float, s: np.ndarray, v: np.ndarray) -> float:
    """The greatest k for which (a + k margin)^2 <= |s|^2 + k R^2, with a = v . s."""
    if margin == 0:
        return math.inf
    along = float(fold(v * s))
    across = float(fold(np.square(s - along * v)))
    middle = squared_radius - 2 * along * margin
    root = math.sqrt(middle * middle + 4 * margin * margin * across)
    return (middle + root) / (2 * margin * margin)


def _vector(values: Any, features: int, name: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.shape not in ((features,), (1, features)) or not np.isfinite(array).all():
        raise ValueError(
            f"{name} must be {features} finite numbers, one per feature, received "
            f"{'NaN or infinity' if array.size == features else f'shape {array.shape}'}"
        )
    return array.ravel()


def _number(value: Any, name: str, default: float) -> float:
    array = np.asarray(default if value is None else value, np.float64)
    if array.size != 1 or not np.isfinite(array).all():
        raise ValueError(f"{name} must be a finite number, received {value!r}")
    return array.item()


def _positive(value: float, name: str) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, received {value!r}")
    return value
