"""Metrics that need all predictions of a set at once, as scikit-learn computes them.

F1 is not a mean over rows, and neither is the area under a curve: such figures are
measured on validation sets and by `evaluate`, never in passing on training rows.
The only module of `train`, beside `datasets`, that knows scikit-learn, which takes a
while to import and is therefore imported when a metric is first measured.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import one_of
from .decision import INDEPENDENT, READINGS, Decision, fits_any

Function = Callable[..., Any]


@dataclass(frozen=True)
class WholeSet:
    """A figure of all rows of a set together.

    Attributes:
        name: of its column.
        function: `(y_true, y_pred) -> number` on NumPy arrays.
        reads: what it is given; see `whole_set`.
        greater_is_better: the direction in which it improves, None if that is not known.
        of: "classes" or "values", what it compares; "" for anything.
        is_number: whether it gives a single number, which a history can hold.
        unfit: why it cannot be measured under a decision; "" if it can.
        told_labels: whether the function wants the numbers of all classes as `labels`.
    """

    name: str
    function: Function
    reads: str = "classes"
    greater_is_better: bool | None = None
    of: str = ""
    is_number: bool = True
    unfit: Callable[[Decision], str] = fits_any
    told_labels: bool = False

    def measure(self, decision: Decision, prediction: np.ndarray, target: np.ndarray) -> Any:
        """The figure of a set.

        Args:
            decision: how outputs are read as classes.
            prediction: the model's outputs (rows, ...).
            target: as the loss takes it (rows, ...).
        """
        y_true, y_pred = READINGS[self.reads](decision, prediction, target)
        options = {"labels": range(decision.classes)} if self.told_labels else {}
        found = np.asarray(self.function(y_true, y_pred, **options))
        return found.item() if found.ndim == 0 else found


def whole_set(
    function: Function,
    *,
    reads: str = "classes",
    greater_is_better: bool | None = None,
    name: str | None = None,
    **options: Any,
) -> WholeSet:
    """A metric from a function of all targets and predictions, such as scikit-learn's.

    It is measured on validation sets and by `evaluate`. Class 1 is the positive one.

    Args:
        function: `(y_true, y_pred, **options) -> number` on NumPy arrays.
        reads: what it is given as `y_pred`. "classes": predicted class numbers (rows,), or
            0 and 1 (rows, outputs) where a loss has independent outputs.
            "probabilities": that of class 1 (rows,) of two, else of each (rows, classes).
            "scores": the same, but for two classes the logit. "outputs": what the model
            gives (rows, columns). For all but "outputs" `y_true` holds class numbers.
        greater_is_better: the direction in which it improves, for `EarlyStopping`.
        name: of its column; that of the function by default.
        options: handed to the function.

    Returns:
        A metric for `fit` and `evaluate`.

    Raises:
        ValueError: `reads` is none of these.
        TypeError: `function` is not a function.

    Example:
        >>> import numpy as np
        >>> from sklearn.metrics import fbeta_score
        >>> from pellucid import nn, train
        >>> f2 = train.whole_set(fbeta_score, beta=2, greater_is_better=True, name="f2")
        >>> model = nn.Sequential(nn.Linear(1, 2, weight_init="zeros"))
        >>> X, y = np.ones((4, 1)), [0, 0, 1, 1]
        >>> train.evaluate(model, X, y, metrics=[f2, "roc_auc"])
        {'loss': 0.6931471824645996, 'f2': 0.0, 'roc_auc': 0.5}
    """
    if not callable(function) or isinstance(function, type):
        raise TypeError(
            f"a metric of whole sets needs a function of y_true and y_pred, received {function!r}"
        )
    one_of(reads, "reading", READINGS)
    called = name or str(getattr(function, "__name__", type(function).__name__))
    made = functools.partial(function, **options) if options else function
    return WholeSet(called, made, reads, greater_is_better)


# -- the table ------------------------------------------------------------------------


def _scikit_learns(y_true: np.ndarray, y_pred: np.ndarray, function: str, **options: Any) -> Any:
    """What a function of scikit-learn's gives."""
    from sklearn import metrics  # slow to import

    return getattr(metrics, function)(y_true, y_pred, **options)


def _roc_auc(y_true: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve; NaN where a set holds one class only.

    Of several classes (each against the rest) or outputs, the mean over those that
    some rows have and others lack.
    """
    from sklearn.metrics import roc_auc_score  # slow to import

    if not np.isfinite(scores).all():
        return float("nan")
    if scores.ndim == 1:
        scores = scores[:, None]
        hits = y_true[:, None] == 1
    else:
        hits = y_true == 1 if y_true.ndim == 2 else y_true[:, None] == np.arange(scores.shape[1])
    known = np.flatnonzero(hits.any(axis=0) & ~hits.all(axis=0))
    areas = [roc_auc_score(hits[:, c], scores[:, c]) for c in known]
    return float(np.mean(areas)) if areas else float("nan")


def _r2(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """1 - sum((u - y)^2) / sum((y - mean y)^2), the mean over outputs; NaN for one row."""
    from sklearn.metrics import r2_score  # slow to import

    known = len(y_true) > 1 and np.isfinite(y_pred).all()
    return r2_score(y_true, y_pred) if known else float("nan")


def _more_than_two(decision: Decision) -> str:
    if decision.kind != INDEPENDENT and decision.classes == 2:
        return ""
    many = "several outputs" if decision.kind == INDEPENDENT else f"{decision.classes} classes"
    return f"is for two classes, and there are {many}; add _macro, _micro or _weighted to its name"


def _independent(decision: Decision) -> str:
    return "needs classes that exclude each other" if decision.kind == INDEPENDENT else ""


def _averaged(kind: str) -> list[WholeSet]:
    """Precision, recall or F1: of class 1, and averaged over classes in three ways."""
    rows = []
    for average in ("binary", "macro", "micro", "weighted"):
        rows.append(
            WholeSet(
                kind if average == "binary" else f"{kind}_{average}",
                functools.partial(
                    _scikit_learns, function=f"{kind}_score", average=average, zero_division=0.0
                ),
                greater_is_better=True,
                of="classes",
                unfit=_more_than_two if average == "binary" else fits_any,
            )
        )
    return rows


ROWS = (
    *_averaged("precision"),
    *_averaged("recall"),
    *_averaged("f1"),
    WholeSet("roc_auc", _roc_auc, "scores", greater_is_better=True, of="classes"),
    WholeSet("r2", _r2, "outputs", greater_is_better=True, of="values"),
    WholeSet(
        "confusion_matrix",
        functools.partial(_scikit_learns, function="confusion_matrix"),
        of="classes",
        is_number=False,
        unfit=_independent,
        told_labels=True,
    ),
)
"""The metrics of whole sets that have a name, called as scikit-learn's scorers are."""
