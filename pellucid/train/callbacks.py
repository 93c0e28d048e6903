"""What may look at a run, or stop it, while it goes on.

A callback sees at most four events, and may keep what it remembers in the run's
checkpoint. One that defines `epoch_end` is called after every epoch, in order; where
none does, many short epochs are run as one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .checks import whole_number
from .metrics import greater_is_better
from .run import DIVERGED, Run
from .step import cells_of, copies, restore, same_form


class Callback:
    """Looks at a run; override the events that matter.

    `run.stop("reason")` in any of them ends the run cleanly.

    Example:
        >>> import pellucid as pe
        >>> from pellucid.train import Callback
        >>> class StopAt(Callback):
        ...     def epoch_end(self, run):
        ...         if run.history.last("loss") < 0.1:
        ...             run.stop("the loss is below 0.1")
    """

    def train_begin(self, run: Run) -> None:
        """Before the first step."""

    def slice_end(self, run: Run) -> None:
        """About every 50 milliseconds, and at the end of the last epoch."""

    def epoch_end(self, run: Run) -> None:
        """After each epoch; its figures are the latest of `run.history`."""

    def train_end(self, run: Run) -> None:
        """After the last step, however the run ended."""

    def state(self) -> Mapping[str, Any]:
        """What it must remember to go on in a run that was interrupted.

        Returns:
            Numbers, texts, arrays, and lists and dictionaries of these, by name.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; called after `train_begin`.

        Args:
            state: what `state` gave.
        """

    @property
    def looks_at_epochs(self) -> bool:
        """Whether it wants to be called after each epoch."""
        return type(self).epoch_end is not Callback.epoch_end

    @property
    def keeps_state(self) -> bool:
        """Whether it has something to remember."""
        return type(self).state is not Callback.state


class EpochFunction(Callback):
    """Calls a function after each epoch.

    Args:
        function: receives the run.
    """

    def __init__(self, function: Callable[[Run], Any]) -> None:
        self.function = function

    def epoch_end(self, run: Run) -> None:
        """Call the function."""
        self.function(run)


class EarlyStopping(Callback):
    """Ends a run when a figure has not become better for some epochs.

    Args:
        monitor: column of the history; by default "val_loss", or "loss" without validation.
        patience: epochs without improvement that are waited for.
        min_delta: the least change that counts as improvement.
        restore_best: give the model back the parameters of its best epoch.

    Attributes:
        best: the best figure so far.
        best_epoch: the epoch it belongs to, counted from 1.

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
    ) -> None:
        self.monitor = monitor
        self.patience = whole_number(patience, "patience", least=0)
        self.min_delta = abs(float(min_delta))
        self.restore_best = restore_best

    def train_begin(self, run: Run) -> None:
        """Find the column to watch."""
        self._column = self.monitor or ("val_loss" if "val_loss" in run.history else "loss")
        if self._column not in run.history or self._column == "epoch":
            known = ", ".join(name for name in run.history if name != "epoch")
            raise ValueError(f"early stopping cannot monitor {self._column!r}; known are {known}")
        self._sign = -1.0 if greater_is_better(self._column) else 1.0
        self.best = self._sign * float("inf")
        self.best_epoch = 0
        self._cells = cells_of(run.model)
        self._kept: list[Any] = []

    def epoch_end(self, run: Run) -> None:
        """Compare with the best epoch so far."""
        epoch, figure = run.history.epochs, run.history.last(self._column)
        better = self._sign * (self.best - figure) > self.min_delta
        if better or not self.best_epoch:
            self.best, self.best_epoch = figure, epoch
            if self.restore_best:
                self._kept = copies(self._cells)
        elif epoch - self.best_epoch >= self.patience:
            run.stop(f"{self._column} has not become better since epoch {self.best_epoch}")

    def state(self) -> Mapping[str, Any]:
        """The best epoch, and its parameters."""
        return {"best": self.best, "best_epoch": self.best_epoch, "kept": self._kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on waiting."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self._kept = same_form(state["kept"], self._cells)

    def train_end(self, run: Run) -> None:
        """Give back the best parameters."""
        if self._kept and self.best_epoch < run.history.epochs and run.stopped != DIVERGED:
            restore(self._cells, self._kept)
        self._kept = []


def as_callback(given: Any) -> Callback:
    """A callback from what the user gave: a callback, or a function of the run."""
    if isinstance(given, Callback):
        return given
    if callable(given) and not isinstance(given, type):
        return EpochFunction(given)
    raise TypeError(f"a callback must be a Callback or a function of the run, received {given!r}")


def early_stopping_from(given: Any) -> Callback | None:
    """Early stopping from what the user gave: None, a patience, or the callback."""
    if given is None or isinstance(given, EarlyStopping):
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return EarlyStopping(patience=given)
    raise TypeError(
        f"early_stopping must be a number of epochs or an EarlyStopping, received {given!r}"
    )
