"""The learning rule of one perceptron as a program: a presentation is a step.

Knows nothing of labels, classes or scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pellucid.compiler import program
from pellucid.core.node import leaf, placeholder, tracing
from pellucid.core.program import Computation
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, cast

FLOAT64 = np.dtype(np.float64)

_ELEMENTS = 1 << 21
"""Elements of X in one native call: a few hundredths of a second, so that Ctrl-C is heard."""


def fold(terms: Any) -> Any:
    """The sum along the first axis, in an order that depends on its length alone.

    The second half is added to the first until one entry is left; what an odd length
    leaves over is added at the end. Plain additions give the same bits everywhere.

    Args:
        terms: array or tensor (terms, ...), of at least one.
    """
    left_over = []
    while (length := terms.shape[0]) > 1:
        half = length // 2
        if length % 2:
            left_over.append(terms[2 * half])
        terms = terms[:half] + terms[half : 2 * half]
    total = terms[0]
    for term in reversed(left_over):
        total = total + term
    return total


def sums(X: np.ndarray, weights: np.ndarray, bias: float | np.ndarray) -> np.ndarray:
    """w . x + b for each row, to the bit as the rule computes it.

    Args:
        X: float64 (rows, features).
        weights: float64 (features,).
        bias: a number.
    """
    found = np.empty(len(X))
    block = max(1, (1 << 16) // X.shape[1])  # what is multiplied at once stays in the cache
    for first in range(0, len(X), block):
        rows = slice(first, first + block)
        found[rows] = fold(np.multiply(X[rows].T, weights[:, None], order="C")) + bias
    return found


class PerceptronRule:
    """One perceptron, and the rule by which it learns from a row.

        z = w . x + b,   u = 1 if z > 0 else 0
        w <- w + c (y - u) x,   b <- b + c (y - u) x0

    Args:
        features: how many entries a row has.
        learning_rate: c.
        learns_bias: whether x0 is 1; else it is 0, so that b stays as it is.

    Attributes:
        weights: w, float64 (features,), where the program reads and writes it.
        bias: b, float64 ().
    """

    def __init__(self, features: int, learning_rate: float, learns_bias: bool) -> None:
        cells = Cell(np.zeros(features), name="weights"), Cell(np.zeros(()), name="bias")
        self.weights, self.bias = cells[0].value, cells[1].value
        self._options = [np.asarray(learning_rate, FLOAT64), np.asarray(learns_bias, FLOAT64)]
        inputs = [
            Tensor(placeholder((features,) if name == "x" else (), FLOAT64, name))
            for name in ("x", "y", "c", "x0")
        ]
        x, y, c, x0 = inputs
        w, b = (Tensor(leaf(cell)) for cell in cells)
        with tracing():
            z = fold(x * w) + b
            error = y - cast(z > 0, FLOAT64)
            change = c * error
            updates = (cells[0], (w + change * x).node), (cells[1], (b + change * x0).node)
        stepped = frozenset(t.node for t in (x, y, z, error))
        self._program = program(
            Computation(tuple(t.node for t in inputs), (z.node, error.node), updates, stepped)
        )

    def present(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Present rows, one after another, and learn from each.

        Args:
            X: float64 (rows, features), C-contiguous.
            y: 0.0 or 1.0 for each row.

        Returns:
            z and y - u of each row, as it was before the rule changed the weights.
        """
        found = np.empty(len(X)), np.empty(len(X))
        self._program.run([X, y, *self._options], found, steps=len(X))
        return found


Record = Callable[[int, np.ndarray, np.ndarray, np.ndarray], None]
"""Is told of presentations: the epoch, then row numbers, z and y - u of each."""


class Learned(NamedTuple):
    """How learning went.

    Attributes:
        epochs: how many there were, without the one that only confirmed.
        mistakes: presentations with a wrong output, in all of them.
        wrong: rows for which the weights in the end give a wrong output; 0 is convergence.
        period: epochs after which the weights came back, if that is why learning ended.
    """

    epochs: int
    mistakes: int
    wrong: int
    period: int = 0


def learn(
    rule: PerceptronRule,
    X: np.ndarray,
    y: np.ndarray,
    epochs: int,
    order: Callable[[], np.ndarray] | None = None,
    record: Record | None = None,
) -> Learned:
    """Present all rows, epoch after epoch, until the weights are right for every row.

    That shows in an epoch without a mistake, in which nothing is learned; it counts as
    an epoch only if it is the first.

    Where all epochs have the same order, weights that come back at the end of an epoch
    prove that all goes on in a circle: that ends it too. (They are compared with those
    after epoch 1, 2, 4, 8, ..., so that one copy is all that is kept.)

    Args:
        rule: the perceptron, with the weights to start from.
        X: float64 (rows, features), C-contiguous.
        y: 0.0 or 1.0 for each row.
        epochs: at most so many.
        order: gives the row numbers of the next epoch; None means one after another.
        record: is told of every presentation.

    Raises:
        ValueError: the numbers grew beyond what float64 holds.
    """
    mistakes, kept, kept_at, period = 0, b"", 0, 0
    for epoch in range(1, epochs + 1):
        found = _epoch(rule, X, y, epoch, None if order is None else order(), record)
        mistakes += found
        if found == 0:
            return Learned(max(epoch - 1, 1), mistakes, 0)
        now = rule.weights.tobytes() + rule.bias.tobytes()
        if now == kept:
            period = epoch - kept_at
            break
        if order is None and epoch & (epoch - 1) == 0:
            kept, kept_at = now, epoch
    with np.errstate(over="ignore", invalid="ignore"):
        z = sums(X, rule.weights, rule.bias)
    _check_finite(z, np.arange(len(X)), epoch)
    return Learned(epoch, mistakes, int(np.count_nonzero((z > 0) != y)), period)


def _epoch(
    rule: PerceptronRule,
    X: np.ndarray,
    y: np.ndarray,
    epoch: int,
    order: np.ndarray | None,
    record: Record | None,
) -> int:
    """Present every row once; how many mistakes there were."""
    mistakes = 0
    length = max(1, _ELEMENTS // X.shape[1])
    for first in range(0, len(X), length):
        last = min(first + length, len(X))
        part: Any = slice(first, last) if order is None else order[first:last]
        z, errors = rule.present(X[part], y[part])
        rows = np.arange(first, last) if order is None else part
        _check_finite(z, rows, epoch)
        mistakes += int(np.count_nonzero(errors))
        if record is not None:
            record(epoch, rows, z, errors)
    return mistakes


def _check_finite(z: np.ndarray, rows: np.ndarray, epoch: int) -> None:
    finite = np.isfinite(z)
    if not finite.all():
        raise ValueError(
            f"the weighted sum of row {rows[~finite][0]} (counted from 0) exceeds the range of "
            f"float64 in epoch {epoch}: the numbers in X, the weights or the learning rate are too "
            "large; scale X, for instance with StandardScaler"
        )
