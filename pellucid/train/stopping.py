"""Callbacks that end a run: when a figure is good enough, or no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .callbacks import Callback
from .checks import not_negative, whole_number
from .monitor import Monitor, check_mode, sign_of
from .run import DIVERGED, Run, format_figure
from .step import cells_of, copies, restore, same_form


class EarlyStopping(Callback):
    """Ends a run when a figure has not become better for some epochs.

    Args:
        monitor: column of the history, such as "loss", "val_f1_macro" or "other_accuracy";
            by default the loss of the first validation set, or "loss" without one.
        patience: epochs without improvement that are waited for.
        min_delta: a better figure is better by more than this.
        restore_best: give the model back the parameters of its best epoch.
        mode: "min" or "max", whichever is better; by default what the metric says.

    Attributes:
        best: the best figure so far.
        best_epoch: the epoch it belongs to, counted from 1; 0 if none was a number.

    Raises:
        ValueError: when a run begins, of which the history has no such column, or one
            whose direction is not known.

    Example:
        >>> from pellucid.train import EarlyStopping
        >>> EarlyStopping(monitor="val_accuracy", patience=5).patience
        5
    """

    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str | None = None,
    ) -> None:
        self.monitor = monitor
        self.patience = whole_number(patience, "patience", least=0)
        self.min_delta = not_negative(min_delta, "min_delta")
        self.restore_best = restore_best
        self.mode = check_mode(mode)

    def train_begin(self, run: Run) -> None:
        """Find the column to watch."""
        self._monitor = Monitor(run, self.monitor, self.mode, self.min_delta, "early stopping")
        self._cells = cells_of(run.model)
        self._kept: list[np.ndarray] = []

    def epoch_end(self, run: Run) -> None:
        """Compare with the best epoch so far."""
        if self._monitor.improves(run):
            if self.restore_best:
                self._kept = copies(self._cells)
        elif run.history.epochs - self.best_epoch >= self.patience:
            since = f"become better since epoch {self.best_epoch}"
            run.stop(
                f"{self._monitor.column} has not {since if self.best_epoch else 'been a number'}"
            )

    def state(self) -> Mapping[str, Any]:
        """The best epoch, and its parameters."""
        return {**self._monitor.state(), "kept": self._kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on waiting."""
        self._monitor.restore(state)
        self._kept = same_form(state["kept"], self._cells)

    def train_end(self, run: Run) -> None:
        """Give back the best parameters."""
        if self._kept and self.best_epoch < run.history.epochs and run.stopped != DIVERGED:
            restore(self._cells, self._kept)
        self._kept = []

    @property
    def best(self) -> float:
        """The best figure so far."""
        return self._monitor.best

    @property
    def best_epoch(self) -> int:
        """The epoch that the best figure belongs to."""
        return self._monitor.epoch


class StopAt(Callback):
    """Ends a run when figures are as good as was asked for.

    Args:
        mode: "min" or "max", whichever is better; by default what each metric says.
        figures: for columns of the history how good they must be; all of them, where
            there are several. A loss must be at most so large, an accuracy at least.

    Raises:
        ValueError: when a run begins, of which the history has no such column, or one
            whose direction is not known.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, optim, train
        >>> X, y = np.array([[0.0], [1.0]]), [0, 1]
        >>> model = nn.Sequential(nn.Linear(1, 2, weight_init="zeros"))
        >>> run = train.fit(model, X, y, optimizer=optim.sgd(1.0), epochs=100,
        ...                 callbacks=[train.StopAt(loss=0.25, accuracy=1.0)])
        >>> run.stopped
        'loss is 0.2499 and accuracy is 1.0000'
    """

    def __init__(self, *, mode: str | None = None, **figures: float) -> None:
        self.mode = check_mode(mode)
        if not figures:
            raise ValueError("StopAt needs a figure to stop at, such as StopAt(loss=0.01)")
        for column, figure in figures.items():
            if isinstance(figure, bool) or not isinstance(figure, int | float | np.number):
                raise TypeError(f"StopAt needs a number for {column}, received {figure!r}")
            if not np.isfinite(figure):
                raise ValueError(f"StopAt needs a finite number for {column}, received {figure!r}")
        self.figures = {column: float(figure) for column, figure in figures.items()}

    def train_begin(self, run: Run) -> None:
        """Find the columns to watch."""
        self._signs = {c: sign_of(run, c, self.mode, "StopAt") for c in self.figures}

    def epoch_end(self, run: Run) -> None:
        """Compare with what was asked for."""
        latest = {column: run.history.last(column) for column in self.figures}
        if all(self._signs[c] * latest[c] <= self._signs[c] * self.figures[c] for c in latest):
            run.stop(" and ".join(f"{c} is {format_figure(v)}" for c, v in latest.items()))


def early_stopping_from(given: Any) -> Callback | None:
    """Early stopping from what the user gave: None, a patience, or the callback."""
    if given is None or isinstance(given, EarlyStopping):
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return EarlyStopping(patience=given)
    raise TypeError(
        f"early_stopping must be a number of epochs or an EarlyStopping, received {given!r}"
    )
