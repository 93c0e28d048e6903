"""`LogisticRegression` and `LinearRegression`: networks without hidden layers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .base import Problem, Task
from .classifying import Classifier
from .engine import Engine
from .network import build
from .options import BOOLEAN, Rule, one_of
from .regressing import Regressor
from .stored import Described


@dataclass(eq=False, repr=False, kw_only=True)
class LinearUnits(Described):
    """Outputs that are weighted sums of the inputs; weights start at zero.

    Args:
        fit_intercept: whether to learn biases; otherwise they are 0.

    Attributes:
        coef_: weights: (outputs, features), or (features,) of a single quantity.
        intercept_: biases (outputs,), or a number.
    """

    fit_intercept: bool = True

    _ftol: ClassVar[float] = 64 * np.finfo(float).eps
    _rules: ClassVar[Mapping[str, Rule]] = {"fit_intercept": BOOLEAN}

    def _network(self, features: int, outputs: int, dtype: np.dtype) -> tuple[Hashable, Any]:
        key = ("linear", features, outputs, dtype.str, self.fit_intercept)
        return key, partial(build, (), features, outputs, dtype, self.fit_intercept)

    def _begin(self, engine: Engine, X: Any, random: np.random.RandomState) -> None:
        super()._begin(engine, X, random)
        engine.load({name: np.zeros_like(value) for name, value in engine.values().items()})

    @property
    def coef_(self) -> np.ndarray:
        """Weights (outputs, features)."""
        return self.coefs_[0].T

    @property
    def intercept_(self) -> Any:
        """Biases (outputs,)."""
        return self.intercepts_[0]


@dataclass(eq=False, repr=False, kw_only=True)
class LogisticRegression(LinearUnits, Classifier):
    """Logistic regression, of several classes by softmax.

    P(y = k | x) = softmax(W x + b)_k, or sigmoid(w . x + b) for the greater of two classes; the
    negative log-likelihood plus alpha / 2 * sum(w^2) is made small. `alpha` is 1 / C of
    scikit-learn's, and with "lbfgs" leads to the same weights.
    """

    solver: str = "lbfgs"
    alpha: float = 1.0

    _rules: ClassVar[Mapping[str, Rule]] = {**Classifier._rules, **LinearUnits._rules}


@dataclass(eq=False, repr=False, kw_only=True)
class LinearRegression(LinearUnits, Regressor):
    """Linear regression: least squares, or any other loss.

    sum(w_i (u_i - y_i)^2) / 2 + alpha / 2 * sum(w^2) is made small, u = W x + b: with alpha = 0
    ordinary least squares, else ridge regression.

    Args:
        solver: "exact" (by a singular value decomposition; of several best weights the
            smallest), "lbfgs", or "adam" and "sgd", gradient descent.
        loss: "squared_error", "poisson", or a loss of `pellucid.nn`, its name, or a function;
            "exact" knows the first only.
    """

    loss: Any = "squared_error"
    solver: str = "exact"
    alpha: float = 0.0

    _rules: ClassVar[Mapping[str, Rule]] = {
        **Regressor._rules,
        **LinearUnits._rules,
        "solver": one_of("exact", "lbfgs", "sgd", "adam"),
    }

    @property
    def coef_(self) -> np.ndarray:
        """Weights (outputs, features), or (features,) of a single quantity."""
        found = self.coefs_[0].T
        return found[0] if self._single else found

    @property
    def intercept_(self) -> Any:
        """Biases (outputs,), or a number."""
        return self.intercepts_[0][0] if self._single else self.intercepts_[0]

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        self._single = y.ndim == 1
        return super()._problem(y, first, incremental)

    def _at_once(self, engine: Engine, task: Task) -> None:
        if self.solver != "exact":
            super()._at_once(engine, task)
            return
        if self.loss != "squared_error" or self.l1:
            raise ValueError(
                "solver='exact' is for least squares without an l1 penalty; use 'adam' or 'sgd'"
            )
        X, y, weights = self._dense(task.X), task.problem.target, task.weights
        if (weights < 0).any():
            raise ValueError("solver='exact' needs weights of rows that are not negative")
        coef, intercept = self._least_squares(X, y, weights)
        self.n_iter_ = 1
        values = {"weight": coef, "bias": intercept}
        engine.load({name: values[name.rpartition(".")[2]] for name in engine.values()})
        squares = (weights[:, None] * (X @ coef + intercept - y) ** 2).sum() / y.shape[1]
        self.loss_ = float((squares + self.alpha * (coef**2).sum()) / 2 / weights.sum())

    def _least_squares(
        self, X: np.ndarray, y: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best weights (features, outputs) and biases (outputs,), float64."""
        X = X.astype(np.float64, copy=False)
        x_mean, y_mean = np.zeros(X.shape[1]), np.zeros(y.shape[1])
        if self.fit_intercept:
            x_mean = np.average(X, axis=0, weights=weights)
            y_mean = np.average(y, axis=0, weights=weights)
        root = np.sqrt(weights)[:, None]
        rows, aims = (X - x_mean) * root, (y - y_mean) * root
        if self.alpha:  # alpha w^2 is the square of another row's residual
            rows = np.vstack([rows, np.sqrt(self.alpha) * np.eye(X.shape[1])])
            aims = np.vstack([aims, np.zeros((X.shape[1], y.shape[1]))])
        coef = np.linalg.lstsq(rows, aims, rcond=None)[0]
        return coef, y_mean - x_mean @ coef
