"""Gradient descent with a backtracking line search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.core.tensor import Tensor, absolute, max, sum, where

from .named import check_number, maker
from .search import Memory, Point, searching
from .transform import OPTIMIZERS, Optimizer


@maker(OPTIMIZERS)
def backtracking(
    learning_rate: float = 1.0,
    shrink: float = 0.5,
    grow: float = 2.0,
    decrease: float = 1e-4,
    tolerance: float = 1e-5,
) -> Optimizer:
    """Gradient descent whose steps are shortened until the loss falls enough.

    From the best point w so far, with gradient g, w - eta g is tried. It is accepted where
    Armijo's condition holds, loss(w - eta g) <= loss(w) - decrease * eta * |g|^2, and eta
    grows; else eta shrinks. A loss that is not finite is not accepted.

    Each step evaluates one point with all rows: `fit` refuses smaller batches, and models
    with random layers (dropout, noise), whose losses cannot be compared; it keeps the rows
    in their order. The history's loss is that of the best point, which the model holds
    after `fit`; other metrics are those of the points tried.

    Args:
        learning_rate: eta at first.
        shrink: what eta is multiplied with where a point is not accepted, in (0, 1).
        grow: what it is multiplied with where one is, at least 1.
        decrease: share of the descent that the gradient promises, in (0, 1).
        tolerance: the search ends where no element of the gradient is above it.

    Raises:
        ValueError: a number is outside its range.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, optim, train
        >>> X = np.array([[0.0], [1.0], [2.0]])
        >>> model = nn.Sequential(nn.Linear(1, 1))
        >>> run = train.fit(model, X, 3 * X - 1, loss="squared_error", epochs=1000, batch_size=3,
        ...                 optimizer=optim.backtracking())
        >>> run.stopped
        'no gradient is above 1e-05'
        >>> model.predict([[10.0]]).round(2)
        array([[29.]], dtype=float32)

    Source: Armijo: Minimization of functions having Lipschitz continuous first partial
    derivatives (1966).
    """
    method = Backtracking(
        check_number("learning_rate", learning_rate, above_low=True),
        check_number("shrink", shrink, 0.0, 1.0, above_low=True, below_high=True),
        check_number("grow", grow, 1.0),
        check_number("decrease", decrease, 0.0, 1.0, above_low=True, below_high=True),
    )
    return searching(method, "backtracking", tolerance)


@dataclass(frozen=True)
class Backtracking:
    """The method of `backtracking`; its numbers are described there."""

    learning_rate: float
    shrink: float
    grow: float
    decrease: float

    def start(self, at: np.ndarray) -> Memory:
        """The size of the steps; the first evaluation, at the start, is accepted as it is."""
        return {"size": np.asarray(self.learning_rate / self.grow, at.dtype)}

    def accepts(self, trial: Point, best: Point, memory: Memory) -> Tensor:
        """Armijo's condition; a loss that is equal after rounding is not lower."""
        promised = memory["size"] * sum(best.slope * best.slope)
        enough = trial.value <= best.value - self.decrease * promised
        return enough & (trial.value < best.value)

    def move(
        self, trial: Point, before: Point, best: Point, accepted: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory, Tensor]:
        """A longer step after one that was accepted, else a shorter one, until it is none."""
        size = memory["size"] * where(accepted, self.grow, self.shrink)
        following = best.at - size * best.slope
        nowhere = max(absolute(following - best.at)) == 0.0
        return following, {"size": size}, nowhere & ~accepted


__test__ = {"backtracking": backtracking}  # an example that doctest runs
