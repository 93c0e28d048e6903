"""What `fit` returns: the run, with its history."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pellucid import nn

    from .cost import Bill, Cost
    from .rate import Rate


class History(Mapping[str, Sequence[float]]):
    """Columns of figures, one entry per epoch: a mapping from name to numbers.

    Stored as plain C doubles, so that a hundred thousand epochs take a megabyte or two.

    Example:
        >>> from pellucid.train.run import History
        >>> history = History(["epoch", "loss"])
        >>> history.extend([[1, 0.5], [2, 0.25]])
        >>> history["loss"].tolist(), history.last("loss"), len(history["epoch"])
        ([0.5, 0.25], 0.25, 2)
        >>> history
        epoch    loss
            1  0.5000
            2  0.2500
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = {name: array("q" if name == "epoch" else "d") for name in names}

    def __getitem__(self, name: str) -> Any:
        if name not in self._columns:
            raise KeyError(f"no column {name!r} in this history; it has {', '.join(self)}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def epochs(self) -> int:
        """How many epochs are recorded."""
        return len(next(iter(self._columns.values()), ()))

    def extend(self, rows: Any) -> None:
        """Add one row per epoch.

        Args:
            rows: numbers (epochs, columns).
        """
        for column, values in zip(self._columns.values(), np.asarray(rows, float).T, strict=True):
            kind = np.int64 if column.typecode == "q" else np.float64
            column.frombytes(np.ascontiguousarray(values, kind).tobytes())

    def last(self, name: str) -> float:
        """The latest figure of a column."""
        return float(self[name][-1])

    def row(self, epoch: int) -> dict[str, float]:
        """The figures of one epoch.

        Args:
            epoch: its place in the columns; -1 is the latest.
        """
        return {name: column[epoch] for name, column in self._columns.items()}

    def __repr__(self) -> str:
        return "\n".join(_lines(self, most=12))


def _lines(history: History, most: int) -> list[str]:
    """A table of the first and the last epochs."""
    width = {name: max(len(name), 6) for name in history}
    lines = ["  ".join(name.rjust(width[name]) for name in history).removeprefix(" ")]
    count = history.epochs
    shown = (
        range(count) if count <= most else [*range(most // 2), -1, *range(count - most // 2, count)]
    )
    for epoch in shown:
        if epoch < 0:
            lines.append("...")
            continue
        cells = (
            format_figure(value).rjust(width[name]) for name, value in history.row(epoch).items()
        )
        lines.append("  ".join(cells).removeprefix(" "))
    return lines


def format_figure(value: float) -> str:
    """A figure in about six characters."""
    if isinstance(value, int):
        return str(value)
    small = value != 0 and abs(value) < 1e-3
    return f"{value:.2e}" if small or abs(value) >= 1e4 else f"{value:.4f}"


DIVERGED = "diverged"
INTERRUPTED = "interrupted"


class Run:
    """A training run: what was learned, how it went, and why it ended.

    `fit` makes it; its text is a table of the first and the last epochs.

    Attributes:
        model: the trained model.
        history: figures per epoch: `history["loss"]`, `history["val_accuracy"]`, ...
        greater_is_better: the direction in which a column improves, where it is known.
        validation: names of the sets that are measured after each epoch.
        epochs: how many epochs were asked for.
        steps_per_epoch: how many steps one takes.
        steps: steps taken so far.
        seconds: time they took, compilation included.
        stopped: why the run ended; None while it goes on.
        bill: what `cost` is made of; None while the run goes on.
    """

    def __init__(
        self,
        model: nn.Module,
        columns: Mapping[str, bool | None],
        epochs: int,
        steps_per_epoch: int,
        validation: Sequence[str] = (),
        rate: Rate | None = None,
    ) -> None:
        self.model = model
        self.history = History(list(columns))
        self.greater_is_better = dict(columns)
        self.validation = tuple(validation)
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self._rate = rate
        self.steps = 0
        self.seconds = 0.0
        self.stopped: str | None = None
        self.bill: Bill | None = None

    @property
    def cost(self) -> Cost:
        """What the run cost, once its last step is taken; its text is a card.

        Raises:
            ValueError: the run is under way.
        """
        if self.bill is None:
            raise ValueError("the cost of a run is known at its end, in train_end and after fit")
        return self.bill.cost

    @property
    def all_epochs(self) -> str:
        """Why a run stops that has taken all its steps."""
        return f"all {self.epochs} epochs"

    def stop(self, reason: str) -> None:
        """End the run after the present slice; the first reason given stays."""
        if self.stopped is None:
            self.stopped = reason

    @property
    def learning_rate(self) -> float:
        """The learning rate of the latest step, in a run whose callbacks may change it."""
        return float(self._changeable().latest.value)

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply the learning rate of all steps to come.

        Only in runs with a callback whose `changes_rate` is True; others are compiled
        without the means to.

        Args:
            factor: above 0.

        Raises:
            ValueError: no callback has said that it changes the rate, or the factor is
                not above 0.
        """
        cell = self._changeable().factor
        if not 0 < factor < float("inf"):
            raise ValueError(f"a factor of the learning rate must be above 0, received {factor!r}")
        cell.assign(cell.value * factor)

    def _changeable(self) -> Rate:
        if self._rate is None:
            raise ValueError(
                "the learning rate of this run is fixed; let a callback that changes it say so, "
                "with changes_rate = True in its class"
            )
        return self._rate

    def __repr__(self) -> str:
        lines = [
            f"Run: {self.history.epochs} of {self.epochs} epochs, {self.steps:,} steps, "
            f"{self.seconds:.3g} s; {self.stopped or 'under way'}"
        ]
        if self.history.epochs:
            lines += _lines(self.history, most=6)
        return "\n".join(lines)
