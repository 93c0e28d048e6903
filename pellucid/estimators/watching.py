"""Who looks at learning: scikit-learn's callbacks, this library's, and the validation score."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from pellucid import nn
from pellucid.train.callbacks import Callback, as_callback
from pellucid.train.run import Run

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks of scikit-learn's."""

    def with_callbacks(method: Any) -> Any:
        """The method itself."""
        return method


class SklearnCallbacks:
    """Tells scikit-learn's callbacks of `fit` and of each of its epochs; free without any.

    Args:
        estimator: whom they are set on.
        X: what it learns from.
        y: likewise.
        weights: of the rows, as the user gave them, or None.
        most: limit of epochs.
        fitted: the attributes that make the estimator, as it is now, ready to predict.
    """

    def __init__(
        self, estimator: Any, X: Any, y: Any, weights: Any, most: int, fitted: Callable[[], Any]
    ) -> None:
        self._estimator = estimator
        self._given = {"X": X, "y": y}
        if weights is not None:
            self._given["metadata"] = {"sample_weight": weights}
        self._fitted = fitted
        self._root: Any = None
        self._task: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self._root = estimator._init_callback_context(max_subtasks=most)
            self._root.call_on_fit_task_begin(estimator=estimator, **self._given)

    def __bool__(self) -> bool:
        return bool(getattr(self._estimator, "_skl_callbacks", ()))

    def epoch_begin(self) -> None:
        """Before an epoch."""
        self._task = self._root.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(estimator=self._estimator, **self._given)

    def epoch_end(self) -> bool:
        """After an epoch; whether a callback wants to stop."""
        return bool(self._end(self._task))

    def fit_end(self) -> None:
        """At the end of `fit`."""
        if self._root is not None:
            self._end(self._root)

    def _end(self, task: Any) -> Any:
        return task.call_on_fit_task_end(
            estimator=self._estimator, **self._given, reconstruction_attributes=self._fitted
        )


class OwnCallbacks:
    """Tells callbacks of `pellucid.train` of a run; see `train.Callback`.

    Args:
        given: what the user passed as `callbacks`.
        model: what learns.
        epochs: limit of epochs.
        steps: of each.
        scores: whether there are validation scores, the column "val_score".
    """

    def __init__(
        self, given: Sequence[Any], model: nn.Module, epochs: int, steps: int, scores: bool
    ) -> None:
        self._watchers: list[Callback] = [as_callback(c) for c in given]
        self._begun: list[Callback] = []
        columns: dict[str, bool | None] = {"epoch": None, "loss": False}
        if scores:
            columns["val_score"] = True
        self.run = Run(model, columns, epochs, steps)
        self._started = time.perf_counter()

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def train_begin(self) -> None:
        """Before the first epoch."""
        for watcher in self._watchers:
            watcher.train_begin(self.run)
            self._begun.append(watcher)

    def epoch_end(self, figures: Sequence[float]) -> bool:
        """After an epoch with these figures; whether a callback has stopped the run."""
        self.run.history.extend([[self.run.history.epochs + 1, *figures]])
        self.run.steps += self.run.steps_per_epoch
        self.run.seconds = time.perf_counter() - self._started
        for watcher in self._watchers:
            watcher.slice_end(self.run)
            if watcher.looks_at_epochs:
                watcher.epoch_end(self.run)
        return self.run.stopped is not None

    def train_end(self) -> None:
        """After the last epoch, for all that have begun."""
        self.run.stop(f"all {self.run.history.epochs} epochs")
        while self._begun:
            self._begun.pop().train_end(self.run)
