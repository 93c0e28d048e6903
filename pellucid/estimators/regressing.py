"""What regressors add to a network that learns: quantities, one or several per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d, validate_data

from pellucid import nn
from pellucid.core.tensor import exp, tensor

from .base import Learner, Problem
from .classifying import learns_by_steps
from .objective import POISSON
from .options import ANYTHING, Rule
from .watching import with_callbacks


@dataclass(eq=False, repr=False, kw_only=True)
class Regressor(RegressorMixin, Learner):
    """A network that learns quantities."""

    _rules: ClassVar[Mapping[str, Rule]] = {**Learner._rules, "loss": ANYTHING}

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Learn.

        Args:
            X: rows (rows, features); dense or sparse.
            y: quantities (rows,) or (rows, outputs).
            sample_weight: weights of the rows (rows,).
            X_val: rows to validate on, in place of a share of X.
            y_val: their quantities.
            sample_weight_val: their weights.

        Returns:
            The estimator itself.

        Raises:
            ValueError: data or parameters do not fit, or learning ended in NaN.
        """
        own = None if X_val is None and y_val is None else (X_val, y_val, sample_weight_val)
        self._learn(X, y, sample_weight, own)
        return self

    @available_if(learns_by_steps)
    @with_callbacks
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn for one epoch, going on from what was learned before.

        Args:
            X: rows (rows, features).
            y: their quantities.
            sample_weight: weights of the rows (rows,).

        Returns:
            The estimator itself.
        """
        self._learn(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """What the network expects.

        Args:
            X: rows (rows, features).

        Returns:
            (rows,), or (rows, outputs) where several were learned.
        """
        return self._expected(self._outputs(X))

    def _expected(self, z: np.ndarray) -> np.ndarray:
        if self.out_activation_ == "exp":
            z = exp(tensor(z)).numpy()
        return z[:, 0] if z.shape[1] == 1 else z

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=self._sparse,
            allow_nd=self._nd,
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=first,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        target = y.reshape(len(y), -1).astype(np.float64)
        outputs = target.shape[1]
        if not first and outputs != self.n_outputs_:
            raise ValueError(f"y has {outputs} outputs, and {self.n_outputs_} were learned before")
        loss = POISSON if self.loss == "poisson" else nn.as_loss(self.loss)
        counts = loss.target.name == "counts"
        self.out_activation_ = "exp" if counts else "identity"
        summed = loss is nn.squared_error  # over the outputs, of which scikit-learn shows the mean
        return Problem(
            loss.check(target, (outputs,), np.float64), loss, outputs, outputs if summed else 1
        )

    def _score_of(self, z: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
        if not np.isfinite(z).all():
            return np.nan
        return float(r2_score(y, self._expected(z), sample_weight=weights))
