"""What classifiers add to a network that learns: classes, probabilities, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import scipy.optimize
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from pellucid import nn
from pellucid.core.functions import log_softmax, softmax, softplus
from pellucid.core.tensor import Tensor, sigmoid, tensor

from .base import Learner, Problem
from .engine import Engine
from .objective import BINARY_LOG_LOSS
from .options import ANYTHING, Rule, one_of
from .targets import Labels, checked_labels
from .watching import with_callbacks

_TWO = ("signs", "probabilities")
"""Kinds of targets of losses over one output for two classes."""


def learns_by_steps(estimator: Any) -> bool:
    """Whether a single epoch makes sense; else an AttributeError says why not."""
    if not estimator._learns_by_steps():
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. "
            f"{estimator.solver} is not stochastic."
        )
    return True


def _knows_probabilities(estimator: Any) -> bool:
    loss = estimator.loss
    if loss != "log_loss" and not nn.as_loss(loss).from_logits and not callable(loss):
        raise AttributeError(f"loss {loss} does not lead to probabilities; use decision_function")
    return True


@dataclass(eq=False, repr=False, kw_only=True)
class Classifier(ClassifierMixin, Learner):
    """A network that learns classes.

    Args:
        loss: "log_loss", or a loss of `pellucid.nn` over classes, its name, or a function of
            logits (batch, classes) and class numbers (batch,).
        class_weight: weights of classes by label, or "balanced".
    """

    loss: Any = "log_loss"
    class_weight: Any = None

    _rules: ClassVar[Mapping[str, Rule]] = {
        **Learner._rules,
        "loss": ANYTHING,
        "class_weight": one_of("balanced", None)
        | Rule("a mapping", lambda v: isinstance(v, Mapping | list)),
    }

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
            y: labels (rows,), or 0 and 1 for each class (rows, classes).
            sample_weight: weights of the rows (rows,).
            X_val: rows to validate on, in place of a share of X.
            y_val: their labels.
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Learn for one epoch, going on from what was learned before.

        Args:
            X: rows (rows, features).
            y: their labels.
            sample_weight: weights of the rows (rows,).
            classes: all labels that will ever come; needed at the first call.

        Returns:
            The estimator itself.
        """
        if not hasattr(self, "classes_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            labels = np.asarray(y)
            several = labels.ndim == 2 and labels.shape[1] > 1
            self._labels = Labels.of(labels if several else unique_labels(classes))
            self.classes_ = self._labels.classes
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        self._learn(X, y, sample_weight, incremental=True)
        return self

    @available_if(_knows_probabilities)
    def calibrate(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from other rows how sure to be: a temperature that logits are divided by.

        The temperature makes the log loss on these rows least. No prediction changes, only
        the probabilities do. A new `fit` forgets it.

        Args:
            X: rows that were not learned from (rows, features).
            y: their labels.
            sample_weight: weights of the rows (rows,).

        Returns:
            The estimator itself, with `temperature_`, above 1 if it was too sure before.

        Source: Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks (2017).
        """
        check_is_fitted(self)
        X, y = self._checked(X, y, first=False)
        problem = self._problem(y, first=False, incremental=True)
        z = self._outputs(X)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)

        def log_loss(log_temperature: float) -> float:
            return problem.loss(z / np.exp(log_temperature), problem.target, sample_weight).item()

        found = scipy.optimize.minimize_scalar(log_loss, bounds=(-6, 6), method="bounded")
        self.temperature_ = float(np.exp(found.x))
        return self

    def _begin(self, engine: Engine, X: Any, random: np.random.RandomState) -> None:
        super()._begin(engine, X, random)
        self.__dict__.pop("temperature_", None)

    # -- what is learned ------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=self._sparse,
            allow_nd=self._nd,
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=first,
        )
        return X, checked_labels(y)

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        if not hasattr(self, "classes_") or (first and not incremental):
            self._labels = Labels.of(y)
            self.classes_ = self._labels.classes
        else:
            self._check_known(y, all_of_them=not incremental)
        numbers = self._labels.numbers(y)
        loss, outputs = self._loss_and_outputs()
        self.out_activation_ = "logistic" if loss.target.name in _TWO else "softmax"
        target = loss.check(numbers, (outputs,), np.float64)
        one_output = outputs == 1 and not self._labels.multilabel
        return Problem(target, loss, outputs, strata=numbers if one_output else None)

    def _check_known(self, y: np.ndarray, all_of_them: bool) -> None:
        """Refuse classes that were not learned before."""
        labels = self._labels
        if labels.multilabel != (y.ndim == 2) or len(labels.unknown(y)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. `self.classes_` has "
                f"{self.classes_}. 'y' has {np.unique(y)}."
            )
        if all_of_them and not labels.multilabel and len(np.unique(y)) < len(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {np.unique(y)}"
            )

    def _loss_and_outputs(self) -> tuple[nn.Loss, int]:
        """The loss, and how many outputs there are."""
        several, count = self._labels.multilabel, len(self.classes_)
        if self.loss == "log_loss":
            if several:
                return BINARY_LOG_LOSS, count
            return (BINARY_LOG_LOSS, 1) if count <= 2 else (nn.cross_entropy, count)
        loss = nn.as_loss(self.loss)
        if loss.target.name in _TWO:
            if not several and count > 2:
                raise ValueError(
                    f"loss {loss.name} tells two classes apart, and y has {count}; use 'log_loss' "
                    "or 'multi_class_hinge'"
                )
            return loss, count if several else 1
        if several and loss.target.name == "classes":
            raise ValueError(
                f"loss {loss.name} takes one class per row; for several use 'log_loss' or 'hinge'"
            )
        return loss, max(count, 2) if loss.target.name == "classes" else count

    def _class_weights(self, y: Any) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        found: np.ndarray = compute_sample_weight(self.class_weight, y)
        return found

    def _score_of(self, z: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
        if not np.isfinite(z).all():
            return np.nan
        right = self._labels.from_outputs(z) == y
        if right.ndim == 2:
            right = right.all(axis=1)
        return float(np.average(right, weights=weights))

    # -- what it predicts -----------------------------------------------------------------

    def decision_function(self, X: Any) -> np.ndarray:
        """The network's outputs, logits.

        Args:
            X: rows (rows, features).

        Returns:
            (rows,) for two classes, where a logit above 0 is the greater class; else
            (rows, classes).
        """
        z = self._logits(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        z = self._outputs(X)
        if not self._labels.multilabel and len(self.classes_) == 2 and z.shape[1] == 2:
            return z[:, 1:] - z[:, :1]
        return z

    def _tempered(self, X: Any) -> Tensor:
        """Logits that probabilities are made of."""
        z = self._logits(X)
        return tensor(z / z.dtype.type(getattr(self, "temperature_", 1.0)))

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row.

        Args:
            X: rows (rows, features).

        Returns:
            Labels (rows,), or 0 and 1 for each class (rows, classes).
        """
        z = self._logits(X)
        return self._labels.from_outputs(z)

    @available_if(_knows_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class.

        Args:
            X: rows (rows, features).

        Returns:
            (rows, classes), in the order of `classes_`, never quite 0 or 1; of several classes
            per row each has a probability of its own.
        """
        z = self._tempered(X)
        if len(self.classes_) == 1 and not self._labels.multilabel:
            return np.ones_like(z.numpy())
        if self._labels.multilabel:
            p = sigmoid(z).numpy()
        elif z.shape[1] == 1:
            p = np.hstack([sigmoid(-z).numpy(), sigmoid(z).numpy()])
        else:
            p = softmax(z).numpy()
        limits = np.finfo(p.dtype)
        found: np.ndarray = np.clip(p, limits.tiny, 1 - limits.epsneg)
        return found

    @available_if(_knows_probabilities)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of the probabilities, exact also where these are next to 1.

        Args:
            X: rows (rows, features).

        Returns:
            (rows, classes), as `predict_proba`.
        """
        z = self._tempered(X)
        if len(self.classes_) == 1 and not self._labels.multilabel:
            return np.zeros_like(z.numpy())
        if self._labels.multilabel:
            found = -softplus(-z).numpy()
        elif z.shape[1] == 1:
            found = np.hstack([-softplus(z).numpy(), -softplus(-z).numpy()])
        else:
            found = log_softmax(z).numpy()
        return np.maximum(found, np.log(np.finfo(found.dtype).tiny))  # as of the probabilities

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
