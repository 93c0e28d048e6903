"""Lowering the learning rate when a figure no longer improves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .callbacks import Callback
from .checks import fraction, not_negative, whole_number
from .monitor import Monitor, check_mode
from .run import Run

_ROUNDING = 1e-6  # of a rate, which steps hold in the model's dtype


class ReduceOnPlateau(Callback):
    """Multiplies the learning rate by a factor when a figure has stopped improving.

    The rate of a step is the optimizer's, whatever its schedule, times the factors so
    far; the column "learning_rate" of the history holds that of each epoch's last step.

    Args:
        monitor: column of the history; by default the loss of the first validation
            set, or "loss" without one.
        factor: what the rate is multiplied with, between 0 and 1.
        patience: epochs without improvement after which that is done.
        min_delta: a better figure is better by more than this.
        cooldown: epochs after a reduction that are not counted as waiting.
        min_rate: the rate is not reduced below this.
        mode: "min" or "max", whichever is better; by default what the metric says.

    Raises:
        ValueError: when a run begins, of which the history has no such column, or one
            whose direction is not known, or whose optimizer has no learning rate.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, optim, train
        >>> model = nn.Sequential(nn.Linear(1, 2, weight_init="zeros"))
        >>> slower = train.ReduceOnPlateau(factor=0.5, patience=1, min_delta=1.0)
        >>> run = train.fit(model, [[0.0], [1.0]], [0, 1], optimizer=optim.sgd(0.5), epochs=4,
        ...                 callbacks=[slower])
        >>> run.history["learning_rate"].tolist()
        [0.5, 0.5, 0.25, 0.125]
    """

    changes_rate = True

    def __init__(
        self,
        monitor: str | None = None,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_rate: float = 0.0,
        mode: str | None = None,
    ) -> None:
        self.monitor = monitor
        self.factor = fraction(factor, "factor")
        self.patience = whole_number(patience, "patience")
        self.min_delta = not_negative(min_delta, "min_delta")
        self.cooldown = whole_number(cooldown, "cooldown", least=0)
        self.min_rate = not_negative(min_rate, "min_rate")
        self.mode = check_mode(mode)

    def train_begin(self, run: Run) -> None:
        """Find the column to watch."""
        self._monitor = Monitor(run, self.monitor, self.mode, self.min_delta, "ReduceOnPlateau")
        self._since = 0  # the last epoch that does not count as waiting

    def epoch_end(self, run: Run) -> None:
        """Wait, or lower the rate."""
        epoch = run.history.epochs
        if self._monitor.improves(run):
            self._since = max(self._since, epoch)
        elif epoch - self._since >= self.patience:
            rate = run.learning_rate
            if rate > self.min_rate * (1 + _ROUNDING):
                run.scale_learning_rate(max(self.factor, self.min_rate / rate))
            self._since = epoch + self.cooldown

    def state(self) -> Mapping[str, Any]:
        """The best epoch, and since when it waits; the rate itself is the run's."""
        return {**self._monitor.state(), "since": self._since}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on waiting."""
        self._monitor.restore(state)
        self._since = int(state["since"])
