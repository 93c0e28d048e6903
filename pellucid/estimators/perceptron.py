"""`Perceptron`: threshold units that learn by the perceptron rule."""

from __future__ import annotations

import math
import warnings
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from pellucid.train.checks import whole_number

from .perceptron_rule import Learned, PerceptronRule, learn, sums
from .perceptron_trace import Recorder, Trace, trace_of


class Perceptron(ClassifierMixin, BaseEstimator):
    """A threshold unit that learns from its mistakes, one row after another.

        u = 1 if w . x + b > 0 else 0
        w <- w + c (y - u) x,   b <- b + c (y - u)

    Rows are presented in order, epoch after epoch, until a whole epoch has no mistake or
    the limit of epochs is reached. (The epoch that only confirms what was learned before is
    not counted.) If a hyperplane separates the classes, that takes at most (R / margin)^2
    mistakes; see `mistake_bound`. If none does, it never happens, and a
    `ConvergenceWarning` says so: at once where weights come back at the end of an epoch,
    which proves that all goes on in a circle.

    Of two classes the greater one is output 1. Several classes have one perceptron each,
    that class against the rest; the one with the greatest sum decides. All is computed in
    float64, with the same bits on every machine. Weights of rows (`sample_weight`) and
    sparse X are not accepted.

    Args:
        learning_rate: c, above 0.
        max_iter: limit of epochs.
        fit_intercept: whether to learn a bias b; otherwise it is 0.
        shuffle: present the rows of each epoch in an order of its own.
        random_state: of these orders: a seed, a `RandomState`, or None.
        warm_start: let `fit` go on from the present weights.
        trace: record presentations in `trace_`: all of them, or so many of each
            perceptron, the first ones. A presentation takes 64 bytes, a mistake its new
            weights besides, and each row presented is kept once.

    Attributes:
        classes_: the labels in ascending order (classes,).
        coef_: w of each perceptron (perceptrons, features); one for two classes.
        intercept_: b of each perceptron (perceptrons,).
        n_mistakes_: mistakes that each perceptron made while learning (perceptrons,).
        n_iter_: epochs, of the perceptron that took most.
        converged_: whether every perceptron is right for every row it has learned from.
        trace_: a `Trace`, if it was asked for.
        n_features_in_: features per row.
        feature_names_in_: their names, where X has such.

    Example:
        >>> from pellucid.estimators import Perceptron
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], ["no", "yes", "yes", "yes"]
        >>> unit = Perceptron(trace=True).fit(X, y, coef_init=[1, -1], intercept_init=0)
        >>> unit.coef_, unit.intercept_, unit.n_mistakes_, unit.n_iter_, unit.converged_
        (array([[1., 1.]]), array([0.]), array([4]), 3, True)
        >>> unit.predict(X).tolist()
        ['no', 'yes', 'yes', 'yes']
        >>> [row.new_weights for row in unit.trace_ if row.output != row.target]
        [(1.0, 1.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.0, 1.0, 1.0)]

    Source:
        F. Rosenblatt: The perceptron (1958).
    """

    def __init__(
        self,
        learning_rate: float = 1.0,
        *,
        max_iter: int = 1000,
        fit_intercept: bool = True,
        shuffle: bool = False,
        random_state: Any = None,
        warm_start: bool = False,
        trace: bool | int = False,
    ) -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.fit_intercept = fit_intercept
        self.shuffle = shuffle
        self.random_state = random_state
        self.warm_start = warm_start
        self.trace = trace

    def fit(self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None) -> Perceptron:
        """Learn until every row is right, or for `max_iter` epochs.

        Args:
            X: rows (rows, features).
            y: their labels (rows,), of at least two classes: numbers or texts.
            coef_init: weights to start from (perceptrons, features), or (features,) for
                two classes; zero by default.
            intercept_init: biases to start from (perceptrons,), or a number; zero by
                default.

        Returns:
            The perceptron itself.

        Raises:
            ValueError: data, options or initial weights do not fit.
        """
        self._check_options()
        goes_on = self.warm_start and hasattr(self, "coef_")
        X, y = validate_data(self, X, y, dtype=np.float64, order="C", reset=not goes_on)
        check_classification_targets(y)
        classes = _classes(y, "y")
        if goes_on:
            self._check_same(classes, "with warm_start the classes")
        if intercept_init is not None and not self.fit_intercept:
            raise ValueError("fit_intercept=False: there is no bias that intercept_init could set")
        shape = (_perceptrons(classes), X.shape[1])
        coef, intercept = (self.coef_, self.intercept_) if goes_on else (0.0, 0.0)
        coef = _start(coef if coef_init is None else coef_init, shape, "coef_init")
        intercept = _start(
            intercept if intercept_init is None else intercept_init, shape[:1], "intercept_init"
        )
        went = self._learn(X, y, classes, coef, intercept, self.max_iter)
        self.n_mistakes_ = np.array([one.mistakes for one in went])
        self.n_iter_ = max(one.epochs for one in went)
        for one, label in zip(went, classes.tolist()[-len(went) :], strict=True):
            if one.wrong:
                which = f"the perceptron of class {label!r}" if len(went) > 1 else "the perceptron"
                warnings.warn(_failure(one, which, len(X)), ConvergenceWarning, stacklevel=2)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Perceptron:
        """Present each row once, going on from the present weights.

        `n_mistakes_` and `n_iter_` go on counting; `converged_` and `trace_` are about these
        rows alone.

        Args:
            X: rows (rows, features).
            y: their labels (rows,).
            classes: all labels that will ever come; needed at the first call.

        Returns:
            The perceptron itself.

        Raises:
            ValueError: data or options do not fit, or a label is not among the classes.
        """
        self._check_options()
        first = not hasattr(self, "coef_")
        if first and classes is None:
            raise ValueError(
                "the first call of partial_fit needs classes, all labels that will ever come"
            )
        X, y = validate_data(self, X, y, dtype=np.float64, order="C", reset=first)
        check_classification_targets(y)
        known = self.classes_ if classes is None else _classes(classes, "classes")
        if not first:
            self._check_same(known, "in partial_fit the classes")
        unknown = np.setdiff1d(y, known)
        if len(unknown):
            raise ValueError(
                f"y has label {unknown.tolist()[0]!r}, which is not among the classes "
                f"{known.tolist()}"
            )
        if first:
            count = _perceptrons(known)
            coef, intercept = np.zeros((count, X.shape[1])), np.zeros(count)
            mistakes, epochs = np.zeros(count, int), 0
        else:
            coef, intercept = self.coef_.copy(), self.intercept_.copy()
            mistakes, epochs = self.n_mistakes_, self.n_iter_
        went = self._learn(X, y, known, coef, intercept, 1)
        self.n_mistakes_ = mistakes + [one.mistakes for one in went]
        self.n_iter_ = epochs + 1
        return self

    @property
    def trace_(self) -> Trace:
        """The presentations that were recorded."""
        found = vars(self).get("_trace")
        if found is None:
            raise AttributeError(
                "this perceptron has recorded no presentations; set trace=True and fit it"
            )
        return found

    def decision_function(self, X: Any) -> np.ndarray:
        """The sums w . x + b.

        Args:
            X: rows (rows, features).

        Returns:
            (rows,) for two classes, where a sum above 0 is the greater class; else
            (rows, classes).
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        found = [sums(X, w, b) for w, b in zip(self.coef_, self.intercept_, strict=True)]
        return found[0] if len(found) == 1 else np.column_stack(found)

    def predict(self, X: Any) -> np.ndarray:
        """The class of each row.

        Args:
            X: rows (rows, features).

        Returns:
            Labels (rows,).
        """
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]

    def _learn(
        self,
        X: np.ndarray,
        y: np.ndarray,
        classes: np.ndarray,
        coef: np.ndarray,
        intercept: np.ndarray,
        epochs: int,
    ) -> list[Learned]:
        """Let each perceptron learn; what it has learned replaces what it started from."""
        random = check_random_state(self.random_state)
        order = partial(random.permutation, len(X)) if self.shuffle else None
        rule = PerceptronRule(X.shape[1], self.learning_rate, self.fit_intercept)
        if not self.fit_intercept:
            intercept[...] = 0.0  # also where one was learned before
        most = math.inf if self.trace is True else self.trace
        recorders, went = [], []
        for k, label in enumerate(classes[-len(coef) :]):
            target = (y == label).astype(np.float64)
            rule.weights[...], rule.bias[...] = coef[k], intercept[k]
            start = np.append(intercept[k], coef[k]) if self.fit_intercept else coef[k].copy()
            recorders.append(Recorder(label, target, start, most))
            went.append(learn(rule, X, target, epochs, order, recorders[k] if most else None))
            coef[k], intercept[k] = rule.weights, rule.bias
        self.classes_, self.coef_, self.intercept_ = classes, coef, intercept
        self.converged_ = all(one.wrong == 0 for one in went)
        shown = [one.epochs for one in went]
        self._trace = (
            trace_of(recorders, shown, X, self.learning_rate, self.fit_intercept) if most else None
        )
        return went

    def _check_same(self, classes: np.ndarray, what: str) -> None:
        if not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"{what} must stay {self.classes_.tolist()}, received {classes.tolist()}; learn "
                "anew with a perceptron of its own"
            )

    def _check_options(self) -> None:
        rate: Any = self.learning_rate
        is_number = isinstance(rate, Real) and not isinstance(rate, bool)
        if not is_number or not 0 < rate < math.inf:
            raise ValueError(f"learning_rate must be a finite number above 0, received {rate!r}")
        whole_number(self.max_iter, "max_iter")
        trace: Any = self.trace
        if not isinstance(trace, Integral) or trace < 0:
            raise ValueError(
                f"trace must be True, False or the number of presentations to record, received "
                f"{trace!r}"
            )


def _classes(labels: Any, name: str) -> np.ndarray:
    """The classes of labels in ascending order."""
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(
            f"a perceptron tells classes apart: {name} must have at least two, received one class: "
            f"{classes.tolist()}"
        )
    return classes


def _perceptrons(classes: np.ndarray) -> int:
    return 1 if len(classes) == 2 else len(classes)


def _failure(one: Learned, which: str, rows: int) -> str:
    """What a perceptron that did not converge has to say."""
    wrong = f"the wrong output for {one.wrong} of {rows} rows"
    if one.period:
        return (
            f"{which} will never converge: its weights after epoch {one.epochs} are those after "
            f"epoch {one.epochs - one.period}, so that all repeats; it gives {wrong}. That is what "
            "happens when no hyperplane separates the classes: use a network with a hidden layer"
        )
    return (
        f"{which} has not converged: after {one.epochs} epochs, the limit set by max_iter, it "
        f"gives {wrong}. It needs more epochs or, if no hyperplane separates the classes, a hidden "
        "layer"
    )


def _start(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Initial weights, as an array of their own."""
    array = np.array(values, np.float64)
    if array.ndim and array.shape != shape and (1, *array.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, received {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, received NaN or infinity")
    return np.broadcast_to(array, shape).copy()
