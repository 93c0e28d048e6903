"""Following one figure of a run: which column, which way is better, its best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .run import Run

MODES = ("min", "max")


def check_mode(mode: Any) -> str | None:
    """Which way is better, as a user says it: "min", "max", or None for the column's own."""
    if mode is not None and mode not in MODES:
        raise ValueError(f'mode must be "min", "max" or None, received {mode!r}')
    return mode


def sign_of(run: Run, column: str, mode: str | None, who: str) -> float:
    """1.0 where a column improves by falling, -1.0 where by rising.

    Args:
        run: the run.
        column: a column of its history.
        mode: "min", "max", or None for the column's own direction.
        who: for messages.

    Raises:
        ValueError: the history has no such column, or its direction is not known.
    """
    known = [name for name in run.history if name not in ("epoch", "learning_rate")]
    if column not in known:
        raise ValueError(f"{who} cannot follow {column!r}; known are {', '.join(known)}")
    rises = run.greater_is_better.get(column) if mode is None else mode == "max"
    if rises is None:
        raise ValueError(
            f'{who} cannot know which way {column!r} improves; say mode="max" or mode="min"'
        )
    return -1.0 if rises else 1.0


class Monitor:
    """The best figure of a column so far. A NaN is never better.

    Args:
        run: the run.
        column: a column of its history; by default the loss of the first validation
            set, or of the training rows where there is none.
        mode: "min", "max", or None for the column's own direction.
        min_delta: a better figure is better by more than this.
        who: for messages.

    Attributes:
        column: which one.
        best: the best figure so far.
        epoch: the epoch it belongs to, counted from 1; 0 before there is one.
    """

    def __init__(
        self, run: Run, column: str | None, mode: str | None, min_delta: float, who: str
    ) -> None:
        self.column = column or (f"{run.validation[0]}_loss" if run.validation else "loss")
        self._sign = sign_of(run, self.column, mode, who)
        self._min_delta = min_delta
        self.best = self._sign * math.inf
        self.epoch = 0

    def improves(self, run: Run) -> bool:
        """Whether the latest figure is the best; it is remembered then."""
        figure = run.history.last(self.column)
        better = self._sign * (self.best - figure) > self._min_delta
        if better:
            self.best, self.epoch = figure, run.history.epochs
        return better

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold of it."""
        return {"best": self.best, "best_epoch": self.epoch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.best, self.epoch = float(state["best"]), int(state["best_epoch"])
