"""`MLPMultiOutput`: one network for several columns, classes and quantities side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from pellucid import nn
from pellucid.core.functions import softmax
from pellucid.core.tensor import Tensor, cast, tensor
from pellucid.nn.loss import Loss

from .base import Problem
from .classifying import learns_by_steps
from .mlp import HiddenLayers
from .options import Rule
from .watching import with_callbacks

KINDS = ("class", "number")


class Column(NamedTuple):
    """A column of y, and the network's outputs for it.

    Attributes:
        classes: the labels in ascending order; None of a quantity.
        first: number of its first output.
        last: number after its last one.
        mean: of a quantity, which is learned as (y - mean) / spread.
        spread: its standard deviation.
    """

    classes: np.ndarray | None
    first: int
    last: int
    mean: float = 0.0
    spread: float = 1.0

    def encoded(self, y: np.ndarray) -> np.ndarray:
        """Class numbers, or scaled quantities, float64 (rows,)."""
        if self.classes is None:
            return (y.astype(np.float64) - self.mean) / self.spread
        unknown = np.setdiff1d(y, self.classes)
        if len(unknown):
            raise ValueError(
                f"y has a class that was not learned before: {unknown.tolist()[0]!r}; known are "
                f"{self.classes.tolist()}"
            )
        return np.searchsorted(self.classes, y).astype(np.float64)

    def decoded(self, z: np.ndarray) -> np.ndarray:
        """Labels or quantities (rows,) from all outputs (rows, outputs)."""
        own = z[:, self.first : self.last]
        if self.classes is None:
            return own[:, 0].astype(np.float64) * self.spread + self.mean
        return self.classes[own.argmax(axis=1)]


@dataclass(frozen=True)
class JointTerms:
    """The loss of a row: the sum over its columns of cross-entropies and half squared errors.

    Attributes:
        spans: for each column its first output, the one after its last, and whether it is a class.
    """

    spans: tuple[tuple[int, int, bool], ...]

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Terms (batch,) of outputs (batch, outputs) and encoded columns (batch, columns)."""
        total = tensor(0.0, prediction.dtype)
        for i, (first, last, is_class) in enumerate(self.spans):
            outputs, aims = prediction[:, first:last], target[:, i]
            if is_class:
                total = total + nn.cross_entropy.terms(outputs, cast(aims, np.int32))
            else:
                total = total + 0.5 * (outputs[:, 0] - cast(aims, prediction.dtype)) ** 2
        return total


def _knows_classes(estimator: Any) -> bool:
    """Whether a column has classes; else an AttributeError says so."""
    if hasattr(estimator, "classes_"):
        known = any(c is not None for c in estimator.classes_)
    else:
        known = estimator.kinds is None or "class" in estimator.kinds
    if not known:
        raise AttributeError("no column of y has classes, and quantities have no probabilities")
    return True


@dataclass(eq=False, repr=False)
class MLPMultiOutput(HiddenLayers):
    """A multi-layer perceptron that learns several columns at once: classes and quantities.

    All columns share the hidden layers. A class has one logit per label and cross-entropy; a
    quantity has one output and half the squared error, after scaling it to mean 0 and standard
    deviation 1, so that all columns weigh alike whatever their unit. The loss of a row is
    their sum.

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: of the hidden layers.
        kinds: "class" or "number" for each column of y; None finds out: numbers with a
            fraction are a quantity, all else classes.

    Attributes:
        classes_: for each column its labels in ascending order, None of quantities.

    Example:
        >>> import numpy as np
        >>> from pellucid.estimators import MLPMultiOutput
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> sign, size = np.where(X[:, 0] > 0, "plus", "minus"), X[:, 1] * 100
        >>> y = np.array([sign, size], dtype=object).T
        >>> net = MLPMultiOutput((20,), learning_rate_init=0.01, random_state=0, tol=1e-3)
        >>> net.fit(X, y).score(X, y) > 0.95
        True
        >>> net.predict([[2.0, 0.0]])[0, 0], len(net.predict_proba(X))
        ('plus', 2)
    """

    hidden_layer_sizes: Any = (100,)
    activation: str = "relu"
    kinds: Sequence[str] | None = None

    _rules: ClassVar[Mapping[str, Rule]] = {
        **HiddenLayers._rules,
        "kinds": Rule(
            "None, or 'class' or 'number' for each column",
            lambda v: v is None or (isinstance(v, list | tuple) and all(k in KINDS for k in v)),
        ),
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
            y: labels and quantities (rows, columns), an array or a DataFrame; or (rows,).
            sample_weight: weights of the rows (rows,).
            X_val: rows to validate on, in place of a share of X.
            y_val: their labels and quantities.
            sample_weight_val: their weights.

        Returns:
            The estimator itself.

        Raises:
            ValueError: data or parameters do not fit, or learning ended in NaN.
        """
        own = None if X_val is None and y_val is None else (X_val, y_val, sample_weight_val)
        self._learn_columns(X, y, sample_weight, own)
        return self

    @available_if(learns_by_steps)
    @with_callbacks
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Learn for one epoch, going on from what was learned before.

        Args:
            X: rows (rows, features).
            y: labels and quantities (rows, columns). Quantities are scaled for good by those
                of the first call.
            sample_weight: weights of the rows (rows,).
            classes: at the first call, for each column all labels that will ever come, None
                for quantities; by default those of its y.

        Returns:
            The estimator itself.
        """
        self._learn_columns(X, y, sample_weight, None, incremental=True, classes=classes)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The label, or the quantity expected, of each row and column.

        Args:
            X: rows (rows, features).

        Returns:
            (rows, columns), of numbers where all labels are; else of objects. (rows,) where y
            was that.
        """
        return self._decoded(self._outputs(X))

    @available_if(_knows_classes)
    def predict_proba(self, X: Any) -> Any:
        """The probabilities of labels.

        Args:
            X: rows (rows, features).

        Returns:
            For each column an array (rows, classes), None for a quantity; where y was (rows,)
            the array itself.
        """
        z = self._outputs(X)
        found = [
            None if c.classes is None else softmax(tensor(z[:, c.first : c.last])).numpy()
            for c in self.columns_
        ]
        return found[0] if self._single else found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The mean over the columns of accuracy, for classes, and R^2, for quantities.

        Args:
            X: rows (rows, features).
            y: labels and quantities (rows, columns).
            sample_weight: weights of the rows (rows,).
        """
        check_is_fitted(self)
        return self._score_of(self._outputs(X), _columns(y), sample_weight)

    # -- what is learned ------------------------------------------------------------------

    def _learn_columns(self, *given: Any, classes: Any = None, **more: Any) -> None:
        """Learn, with what the columns are made of at hand while it lasts."""
        self._given = given[2], classes
        try:
            self._learn(*given, **more)
        finally:
            del self._given

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=self._sparse,
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=first,
        )
        return X, y

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        columns = _columns(y)
        if first:
            self._single = y.ndim == 1
            self.columns_ = self._learned_columns(columns)
            self.classes_ = [c.classes for c in self.columns_]
        if len(columns) != len(self.columns_):
            raise ValueError(
                f"y has {len(columns)} columns, and {len(self.columns_)} were learned before"
            )
        target = np.stack(
            [c.encoded(own) for c, own in zip(self.columns_, columns, strict=True)], axis=1
        )
        self.out_activation_ = "identity"
        spans = tuple((c.first, c.last, c.classes is not None) for c in self.columns_)
        return Problem(target, Loss("joint", JointTerms(spans)), spans[-1][1])

    def _learned_columns(self, y: list[np.ndarray]) -> list[Column]:
        kinds = self.kinds or ["number" if _has_fractions(own) else "class" for own in y]
        weights, known = self._given
        if weights is not None:
            weights = _check_sample_weight(weights, y[0])
        known = known or [None] * len(y)
        if not len(kinds) == len(known) == len(y):
            raise ValueError(
                f"kinds and classes must have one entry for each of {len(y)} columns of y, "
                f"received {len(kinds)} and {len(known)}"
            )
        found, first = [], 0
        for own, kind, labels in zip(y, kinds, known, strict=True):
            if kind == "class":
                classes = np.unique(own if labels is None else labels)
                last = first + len(classes)
                found.append(Column(classes, first, last))
            else:
                last = first + 1
                found.append(Column(None, first, last, *_mean_and_spread(own, weights)))
            first = last
        return found

    def _decoded(self, z: np.ndarray) -> np.ndarray:
        columns = [c.decoded(z) for c in self.columns_]
        if self._single:
            return columns[0]
        numeric = all(c.dtype.kind in "biuf" for c in columns)
        found = np.empty((len(z), len(columns)), np.result_type(*columns) if numeric else object)
        for i, column in enumerate(columns):
            found[:, i] = column
        return found

    def _score_of(self, z: np.ndarray, y: Any, weights: np.ndarray | None) -> float:
        if not np.isfinite(z).all():
            return np.nan
        scores = []
        for column, own in zip(self.columns_, _columns(y), strict=True):
            measure = r2_score if column.classes is None else accuracy_score
            scores.append(measure(own, column.decoded(z), sample_weight=weights))
        return float(np.mean(scores))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags = ClassifierTags()  # where it has classes
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


def _columns(y: Any) -> list[np.ndarray]:
    """The columns of y, each of a dtype of its own."""
    if isinstance(y, list) and y and isinstance(y[0], np.ndarray) and y[0].ndim == 1:
        return y
    array = np.asarray(y)
    array = array.reshape(len(array), -1)
    return [_plain(array[:, i]) for i in range(array.shape[1])]


def _plain(column: np.ndarray) -> np.ndarray:
    """Numbers or texts, of a column of objects."""
    return np.array(column.tolist()) if column.dtype == object else column


def _mean_and_spread(column: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """Of the rows of a quantity as they weigh; a spread of 0 counts as 1."""
    numbers = column.astype(np.float64)
    mean = np.average(numbers, weights=weights)
    spread = np.sqrt(np.average((numbers - mean) ** 2, weights=weights))
    return float(mean), float(spread) or 1.0


def _has_fractions(column: np.ndarray) -> bool:
    return column.dtype.kind == "f" and bool((column != np.floor(column)).any())
