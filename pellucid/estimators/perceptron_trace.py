"""The trace of a perceptron: one row per presentation, as it is done by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import numpy as np

_MOST_ROWS = 40
_MOST_ENTRIES = 6

_TABLE = np.dtype(
    [
        ("label", np.int64),  # its place among the labels
        ("step", np.int64),
        ("epoch", np.int64),
        ("before", np.int64),  # the place of its weights; after a mistake come the next ones
        ("row", np.int64),  # the place of its input
        ("sum", np.float64),
        ("output", np.int64),
        ("target", np.int64),
    ]
)


class Presentation(NamedTuple):
    """One row presented to one perceptron.

    Attributes:
        step: its number, from 1.
        epoch: the epoch it belongs to, from 1.
        weights: the weights before it, the bias first: (b, w1, w2, ...).
        input: the row, x0 = 1 first.
        sum: weights . input.
        output: 1 if the sum is above 0, else 0.
        target: what the output should be.
        new_weights: weights + c (target - output) input.
        label: the class that output 1 stands for.
    """

    step: int
    epoch: int
    weights: tuple[float, ...]
    input: tuple[float, ...]
    sum: float
    output: int
    target: int
    new_weights: tuple[float, ...]
    label: Any


class Trace(Sequence[Presentation]):
    """Presentations in order; those of several perceptrons one after another.

    Its text is a table, of the first and the last rows where there are many; `columns`
    gives arrays, `to_frame` a DataFrame. Weights are kept once per change and inputs once
    per row, however often a row was presented. Without a bias there is no x0.

    Example:
        >>> from pellucid.estimators import Perceptron
        >>> X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
        >>> trace = Perceptron(trace=True).fit(X, y).trace_
        >>> trace[3].weights, trace[3].input, trace[3].new_weights
        ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
        >>> trace[:5]
        step  epoch | w0  w1  w2 | x0  x1  x2 | sum  output  target | new w0  new w1  new w2
           1      1 |  0   0   0 |  1   0   0 |   0       0       0 |      0       0       0
           2      1 |  0   0   0 |  1   0   1 |   0       0       0 |      0       0       0
           3      1 |  0   0   0 |  1   1   0 |   0       0       0 |      0       0       0
           4      1 |  0   0   0 |  1   1   1 |   0       0       1 |      1       1       1
           5      2 |  1   1   1 |  1   0   0 |   1       1       0 |      0       1       1
    """

    def __init__(
        self,
        table: np.ndarray,
        weights: np.ndarray,
        inputs: np.ndarray,
        labels: np.ndarray,
        has_bias: bool,
    ) -> None:
        self._table = table  # of dtype _TABLE
        self._weights = weights
        self._inputs = inputs
        self._labels = labels
        self._has_bias = has_bias

    def _part(self, index: Any) -> Trace:
        table = self._table[index]
        return Trace(table, self._weights, self._inputs, self._labels, self._has_bias)

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Presentation: ...

    @overload
    def __getitem__(self, index: slice) -> Trace: ...

    def __getitem__(self, index: int | slice) -> Presentation | Trace:
        if isinstance(index, slice):
            return self._part(index)
        entry = self._table[index]
        return Presentation(
            int(entry["step"]),
            int(entry["epoch"]),
            tuple(self._weights[entry["before"]].tolist()),
            tuple(self._inputs[entry["row"]].tolist()),
            float(entry["sum"]),
            int(entry["output"]),
            int(entry["target"]),
            tuple(self._weights[_after(entry)].tolist()),
            self._labels.tolist()[entry["label"]],
        )

    def columns(self) -> dict[str, np.ndarray]:
        """The trace as arrays, one entry per presentation.

        Returns:
            "step", "epoch", "w0", ..., "x0", ..., "sum", "output", "target", "new w0",
            ...; first of all "label" where there are several perceptrons.
        """
        return {name: values for group in self._groups() for name, values in group.items()}

    def to_frame(self) -> Any:
        """The trace as a pandas DataFrame with the columns of `columns`.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas  # optional, and slow to import
        except ImportError:
            raise ImportError(
                "to_frame needs pandas, which is not installed: pip install 'pellucid[frames]'; "
                "columns() gives the same as arrays without it"
            ) from None
        return pandas.DataFrame(self.columns())

    def _groups(self) -> list[dict[str, np.ndarray]]:
        """The columns, in groups that belong together."""
        table = self._table
        label = {"label": self._labels[table["label"]]} if len(self._labels) > 1 else {}
        return [
            label | {name: table[name] for name in ("step", "epoch")},
            self._named("w", self._weights[table["before"]]),
            self._named("x", self._inputs[table["row"]]),
            {name: table[name] for name in ("sum", "output", "target")},
            self._named("new w", self._weights[_after(table)]),
        ]

    def _named(self, name: str, vectors: np.ndarray) -> dict[str, np.ndarray]:
        first = 0 if self._has_bias else 1
        return {f"{name}{first + i}": column for i, column in enumerate(vectors.T)}

    def __repr__(self) -> str:
        count, half = len(self), _MOST_ROWS // 2
        if count <= _MOST_ROWS:
            return "\n".join(self._lines())
        lines = self._part(np.r_[:half, count - half : count])._lines()
        return "\n".join([*lines[: half + 1], f"... ({count:,} in all)", *lines[half + 1 :]])

    def _lines(self) -> list[str]:
        groups = [[_cells(*column) for column in _shortened(group)] for group in self._groups()]
        aligned = [["  ".join(cells) for cells in zip(*group, strict=True)] for group in groups]
        return [" | ".join(cells) for cells in zip(*aligned, strict=True)]


def _after(table: Any) -> Any:
    return table["before"] + (table["output"] != table["target"])


def _shortened(group: dict[str, np.ndarray]) -> list[tuple[str, Any]]:
    """The columns of a group; of many the first ones and the last."""
    columns = list(group.items())
    if len(columns) <= _MOST_ENTRIES:
        return columns
    dots = ("...", np.full(len(columns[0][1]), "..."))
    return [*columns[: _MOST_ENTRIES - 2], dots, columns[-1]]


def _cells(name: str, values: np.ndarray) -> list[str]:
    """A column's cells, its name first, all of one width."""
    cells = [name, *(f"{v:g}" if values.dtype.kind == "f" else str(v) for v in values)]
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


class Recorder:
    """Collects what a perceptron is presented with, up to so many presentations.

    Args:
        label: the class that output 1 stands for.
        target: 0.0 or 1.0 for each row.
        start: weights at the beginning, the bias first if there is one.
        most: presentations to record.
    """

    def __init__(self, label: Any, target: np.ndarray, start: np.ndarray, most: float) -> None:
        self.label = label
        self.target = target
        self.start = start
        self._left = most
        self._parts: list[np.ndarray] = []

    def __call__(self, epoch: int, rows: np.ndarray, z: np.ndarray, errors: np.ndarray) -> None:
        """Record presentations; see `perceptron_rule.Record`."""
        count = int(min(self._left, len(rows)))
        if count == 0:
            return
        self._left -= count
        part = np.zeros(count, _TABLE)
        part["epoch"], part["row"], part["sum"] = epoch, rows[:count], z[:count]
        part["target"] = self.target[rows[:count]]
        part["output"] = part["target"] - errors[:count]
        self._parts.append(part)

    def table(self, epochs: int) -> np.ndarray:
        """What was recorded of the first epochs; `before` counts the changes of the weights."""
        table = np.concatenate([np.zeros(0, _TABLE), *self._parts])
        table = table[table["epoch"] <= epochs]
        table["step"] = np.arange(1, len(table) + 1)
        mistakes = np.cumsum(table["output"] != table["target"])
        table["before"][1:] = mistakes[:-1]
        return table


def trace_of(
    recorders: Sequence[Recorder],
    epochs: Sequence[int],
    X: np.ndarray,
    learning_rate: float,
    has_bias: bool,
) -> Trace:
    """The trace of what perceptrons were presented with; the rule is applied again to mistakes.

    Args:
        recorders: one for each perceptron.
        epochs: how many of each to show.
        X: float64 (rows, features).
        learning_rate: c.
        has_bias: whether there is an x0 = 1.
    """
    tables: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    for place, recorder in enumerate(recorders):
        table = recorder.table(epochs[place])
        table["label"] = place
        table["before"] += len(weights)
        weights.append(recorder.start)
        for entry in table[table["output"] != table["target"]]:
            change = learning_rate * (entry["target"] - entry["output"])
            weights.append(weights[-1] + change * _input(X[entry["row"]], has_bias))
        tables.append(table)
    joined = np.concatenate(tables)
    used, joined["row"] = np.unique(joined["row"], return_inverse=True)
    labels = np.array([recorder.label for recorder in recorders])
    return Trace(joined, np.array(weights), _input(X[used], has_bias), labels, has_bias)


def _input(x: np.ndarray, has_bias: bool) -> np.ndarray:
    """Rows with x0 = 1 in front, where there is a bias."""
    return np.insert(x, 0, 1.0, axis=-1) if has_bias else x
