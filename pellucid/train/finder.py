"""Looking for a learning rate: a short training whose rate grows from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pellucid import nn, optim
from pellucid.core import portable
from pellucid.core.tensor import Tensor, exp

from . import checks
from .data import prepared, with_class_weights
from .feed import WholeArrays
from .loop import Loop, Pace
from .step import TrainingState, cells_of, copies, restore, trace_step

_EXPLODED = 4.0
"""A loss this many times the smallest so far has exploded."""

_SPANS = 10.0
"""A running mean looks over one of so many parts of the steps."""

_FEWEST = 20


@dataclass(frozen=True, repr=False)
class RateSearch:
    """What `find_learning_rate` saw: `plt.semilogx(found.rates, found.smoothed)` shows it.

    Attributes:
        rates: the learning rate of each step (steps,), growing.
        losses: the loss of the batch before each step (steps,).
        smoothed: the losses as a running mean, forwards and backwards (steps,).
        suggestion: the rate at which the smoothed loss falls most steeply over the
            logarithm of the rate; see `find_learning_rate`. None if it only rises.
        exploded: whether the loss exploded, which ended the search.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float | None
    exploded: bool

    def __repr__(self) -> str:
        told = "none" if self.suggestion is None else f"{self.suggestion:.2g}"
        end = ", where the loss exploded" if self.exploded else ""
        return (
            f"RateSearch: suggestion {told}; {len(self.rates)} rates from {self.rates[0]:.2g} to "
            f"{self.rates[-1]:.2g}{end}"
        )


def find_learning_rate(
    model: nn.Module,
    X: Any,
    y: Any,
    *,
    loss: Any = "cross_entropy",
    optimizer: Any = None,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
    seed: int = 0,
    sample_weight: Any = None,
    class_weight: Any = None,
) -> RateSearch:
    """Train for some steps with a growing learning rate, and see where the loss falls.

    Step i has the rate low * (high / low)^(i / (steps - 1)). Losses are smoothed by a
    running mean over about a tenth of the steps, forwards and backwards, so that it does
    not lag behind. The suggestion is the rate at which they fall most steeply on their way
    to the smallest, the first tenth left out, which is smoothed over a few only. The search
    ends where the running mean exceeds 4 times its smallest value, or is no number.

    The model is as it was before, and so is everything else.

    Args:
        model: the model; parameters and states are put back.
        X: inputs (rows, ...), as for `fit`.
        y: targets (rows, ...), as for `fit`.
        loss: a loss, its name, or a function of prediction and target.
        optimizer: an optimizer or its name, whose own learning rate is left out; Adam by
            default.
        low: the first rate.
        high: the last rate.
        steps: how many rates there are.
        batch_size: rows per step.
        seed: of the orders, and of the layers' random numbers.
        sample_weight: weight of each row in the loss (rows,).
        class_weight: weight of each class in the loss: a mapping or a sequence.

    Returns:
        The rates, the losses, and a suggestion.

    Raises:
        ValueError: data or options do not fit; says which, and where.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, optim, train
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> model = nn.Sequential(nn.Linear(1, 1, weight_init="zeros"))
        >>> found = train.find_learning_rate(
        ...     model, X, 3 * X[:, 0], loss="mse", optimizer=optim.sgd(), low=1e-3, high=100.0
        ... )
        >>> 0.01 < found.suggestion < 1, found.exploded
        (True, True)

    Source:
        Smith: Cyclical learning rates for training neural networks (2017).
    """
    checks.check_model(model)
    checks.check_learns(model)
    low, high, steps = _range(low, high, steps)
    batch_size = checks.whole_number(batch_size, "batch_size")
    chosen = nn.as_loss(loss)
    rule = optim.adam() if optimizer is None else optim.as_optimizer(optimizer)
    data = prepared(model, chosen, X, y, sample_weight)
    criterion = with_class_weights(chosen, class_weight, model, data[0])
    slope = float(portable.log(high / low)) / (steps - 1)

    def growing(rate: Tensor, t: Tensor) -> Tensor:
        return low * exp(slope * t)

    state = TrainingState(model, rule.with_rate(growing), seed)
    epochs = -(-steps // -(-len(data[0]) // batch_size))
    feed = WholeArrays(data, batch_size, epochs, True, seed)
    loop = Loop(partial(trace_step, state, criterion, {}, feed.arrays), feed)
    kept = copies(cells_of(model))
    try:
        losses = _losses(loop, steps)
    finally:
        restore(cells_of(model), kept)
    end = _explosion(losses, steps)
    rates = low * (high / low) ** (np.arange(end) / (steps - 1))
    smoothed = _running_mean(_running_mean(losses[:end], steps)[::-1], steps)[::-1]
    return RateSearch(rates, losses[:end], smoothed, _steepest(rates, smoothed, steps), end < steps)


def _range(low: Any, high: Any, steps: Any) -> tuple[float, float, int]:
    """The rates to try, checked."""
    low, high = checks.not_negative(low, "low"), checks.not_negative(high, "high")
    if not 0 < low < high:
        raise ValueError(f"rates must grow from above 0: received low={low:g} and high={high:g}")
    return low, high, checks.whole_number(steps, "steps", least=_FEWEST)


def _losses(loop: Loop, steps: int) -> np.ndarray:
    """The loss of each step, until one has exploded or all are taken."""
    losses, pace = np.empty(0), Pace()
    while len(losses) < steps and _explosion(losses, steps) == len(losses):
        count = loop.slice_length(min(pace.steps, steps - len(losses)), one_epoch=False)
        losses = np.append(losses, pace.timed(loop.advance, count)[:, 0].astype(np.float64))
    if len(losses) and not np.isfinite(losses[0]):
        raise ValueError(f"the loss is {losses[0]:g} before any training; check model and data")
    return losses


def _explosion(losses: np.ndarray, steps: int) -> int:
    """How many losses come before the running mean explodes; all of them if it does not."""
    with np.errstate(all="ignore"):
        smoothed = _running_mean(losses, steps)
    least = np.minimum.accumulate(smoothed)
    bad = ~(smoothed <= least + (_EXPLODED - 1) * np.abs(least))
    return int(np.argmax(bad)) if bad.any() else len(losses)


def _running_mean(values: np.ndarray, steps: int) -> np.ndarray:
    """m' = b m + (1 - b) v, corrected for beginning at 0; b = 1 - 10 / steps."""
    kept = max(0.0, 1.0 - _SPANS / steps)
    mean, weight, found = 0.0, 0.0, []
    for value in values:
        mean, weight = kept * mean + (1 - kept) * value, kept * weight + (1 - kept)
        found.append(mean / weight)
    return np.array(found)


def _steepest(rates: np.ndarray, smoothed: np.ndarray, steps: int) -> float | None:
    """The rate at which the loss falls most steeply on its way to the smallest loss.

    Beyond the smallest, a loss falls from where it rose; and the first ones are means
    of a few only, whose chance would be taken for a fall.
    """
    first, last = int(steps / _SPANS), int(np.argmin(smoothed))
    if first >= last:
        return None
    return float(rates[first + np.argmin(np.gradient(smoothed)[first : last + 1])])
