"""L-BFGS: curvature learned from the last steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pellucid.core.functions import absolute_is_finite, clip, concatenate
from pellucid.core.tensor import Tensor, absolute, max, reshape, sqrt, sum, where

from .named import check_count, check_number, maker
from .search import Memory, Point, searching
from .transform import OPTIMIZERS, Optimizer

ARMIJO, WOLFE = 1e-4, 0.9
"""Shares of the descent along a line: of the loss, and of the slope that may be left."""

TRIES = 20
"""Points that are tried along a line before it is given up."""

NOISE = 8.0
"""Units in the last place of the loss below which differences of losses say nothing."""


@maker(OPTIMIZERS)
def lbfgs(learning_rate: float = 1.0, history: int = 10, tolerance: float = 1e-5) -> Optimizer:
    """L-BFGS, a quasi-Newton method for small problems, all rows at a time.

    From the best point w so far, with gradient g, points w + a p are tried along p = -H g.
    H, the inverse of the curvature, is made of the last steps s = w' - w and changes of the
    gradient y = g' - g by the two-loop recursion, beginning with (s.y / y.y) g. With
    f(a) = loss(w + a p), a point is accepted by the strong conditions of Wolfe,

        f(a) <= f(0) + 1e-4 a f'(0)  and  |f'(a)| <= 0.9 |f'(0)|,

    or, where the losses differ by rounding alone, by the approximate ones of Hager and
    Zhang, 0.9 f'(0) <= f'(a) <= (2e-4 - 1) f'(0). Else the line is searched: first a = 1,
    then farther until a least value is enclosed, then where the cubic through both ends
    is least. A line without such a point after 20 tries is given up, and the steepest descent
    takes its place; where that finds none either, the search ends. Steps with s.y <= 0 are
    not remembered.

    Each step evaluates one point with all rows: `fit` refuses smaller batches, and models
    with random layers (dropout, noise), whose losses cannot be compared; it keeps the rows
    in their order. The history's loss is that of the best point, which the model holds
    after `fit`; other metrics are those of the points tried. `l2` before it in a chain is
    part of the loss that is searched; nothing else may stand there.

    Args:
        learning_rate: length of the first step that is tried.
        history: how many steps are remembered; it takes (2 history + 4) times the memory of
            the parameters.
        tolerance: the search ends where no element of the gradient is above it.

    Raises:
        ValueError: a number is outside its range.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, optim, train
        >>> X = np.array([[0.0], [1.0], [2.0]])
        >>> model = nn.Sequential(nn.Linear(1, 1))
        >>> run = train.fit(model, X, 3 * X - 1, loss="squared_error", epochs=100, batch_size=3,
        ...                 optimizer=optim.lbfgs())
        >>> run.stopped
        'no gradient is above 1e-05'
        >>> model.predict([[10.0]]).round(2)
        array([[29.]], dtype=float32)

    Source: Liu, Nocedal: On the limited memory BFGS method for large scale optimization
    (1989); Hager, Zhang: A new conjugate gradient method with guaranteed descent and an
    efficient line search (2005).
    """
    method = LBFGS(
        check_number("learning_rate", learning_rate, above_low=True),
        check_count("history", history),
    )
    return searching(method, "lbfgs", tolerance)


@dataclass(frozen=True)
class LBFGS:
    """The method of `lbfgs`; its numbers are described there."""

    learning_rate: float
    history: int

    def start(self, at: np.ndarray) -> Memory:
        """No line, and no curvature: a weight of 0 says that a place is empty."""
        zero = np.zeros((), at.dtype)
        line = ("size", "low", "low_value", "low_slope", "high", "high_value", "high_slope")
        return {
            "direction": np.zeros_like(at),
            "descent": zero,
            "line": dict.fromkeys((*line, "tries"), zero),
            "steps": np.zeros((self.history, at.size), at.dtype),
            "turns": np.zeros((self.history, at.size), at.dtype),
            "weights": np.zeros(self.history, at.dtype),
            "scale": zero,
        }

    def accepts(self, trial: Point, best: Point, memory: Memory) -> Tensor:
        """The conditions of Wolfe; on the last try, any lower loss."""
        slope, descent = sum(trial.slope * memory["direction"]), memory["descent"]
        strong = _is_lower(trial, best, memory) & (absolute(slope) <= -WOLFE * descent)
        noise = NOISE * float(np.finfo(slope.dtype).eps) * absolute(best.value)
        alike = (
            (absolute(trial.value - best.value) <= noise)
            & (slope >= WOLFE * descent)
            & (slope <= (2.0 * ARMIJO - 1.0) * descent)
        )
        last = memory["line"]["tries"] >= TRIES
        return strong | alike | (last & (trial.value < best.value))

    def move(
        self, trial: Point, before: Point, best: Point, accepted: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory, Tensor]:
        """A new line where the last one has ended, else another point of it."""
        nowhere = max(absolute(trial.at - before.at)) == 0.0
        failed = ~accepted & ((memory["line"]["tries"] >= TRIES) | nowhere)
        pairs = self._with_pair(trial, before, accepted, memory)
        hopeless = failed & (max(pairs["weights"]) == 0.0)
        pairs["weights"] = where(failed, 0.0, pairs["weights"])
        direction, descent, pairs["weights"] = _downhill(best.slope, pairs)

        ended = accepted | failed
        direction = where(ended, direction, memory["direction"])
        descent = where(ended, descent, memory["descent"])
        line = _line(trial, best, memory)
        begun = dict.fromkeys(line, 0.0) | {
            "size": 1.0,
            "low_value": best.value,
            "low_slope": descent,
        }
        line = {kind: where(ended, begun[kind], value) for kind, value in line.items()}
        new = {"direction": direction, "descent": descent, "line": line, **pairs}
        return best.at + line["size"] * direction, new, hopeless

    def _with_pair(self, trial: Point, before: Point, accepted: Tensor, memory: Memory) -> Memory:
        """What is remembered of the last steps, this one included where it is one."""
        s, y = trial.at - before.at, trial.slope - before.slope
        curvature = sum(s * y)
        least = float(np.finfo(s.dtype).eps) * absolute(sum(s * before.slope))
        new = accepted & (curvature > least)

        def pushed(kind: str, value: Tensor) -> Tensor:
            rows = [memory[kind][1:], reshape(value, (1, *value.shape))]
            return where(new, concatenate(rows), memory[kind])

        first = self.learning_rate / sqrt(sum(trial.slope * trial.slope))
        scale = where(memory["scale"] == 0.0, first, memory["scale"])
        return {
            "steps": pushed("steps", s),
            "turns": pushed("turns", y),
            "weights": pushed("weights", 1.0 / curvature),
            "scale": where(new, curvature / sum(y * y), scale),
        }


def _is_lower(trial: Point, best: Point, memory: Memory) -> Tensor:
    """Armijo's condition."""
    return trial.value <= best.value + ARMIJO * memory["line"]["size"] * memory["descent"]


def _downhill(slope: Tensor, pairs: Memory) -> tuple[Tensor, Tensor, Tensor]:
    """A direction, the slope along it, and the weights of the steps that it was made of.

    Where rounding has spoiled the curvature, the way down is the negative gradient and all
    steps are forgotten.
    """
    newton = -_two_loops(slope, pairs)
    descent, steepest = sum(newton * slope), -pairs["scale"] * slope
    down = descent < 0.0
    return (
        where(down, newton, steepest),
        where(down, descent, sum(steepest * slope)),
        where(down, pairs["weights"], 0.0),
    )


def _two_loops(slope: Tensor, pairs: Memory) -> Tensor:
    """The curvature's inverse times the gradient; the latest step is the last row."""
    q, shares = slope, []
    count = pairs["weights"].shape[0]
    for i in reversed(range(count)):
        share = pairs["weights"][i] * sum(pairs["steps"][i] * q)
        q = q - share * pairs["turns"][i]
        shares.append(share)
    q = pairs["scale"] * q
    for i in range(count):
        back = pairs["weights"][i] * sum(pairs["turns"][i] * q)
        q = q + (shares.pop() - back) * pairs["steps"][i]
    return q


def _line(trial: Point, best: Point, memory: Memory) -> Memory:
    """Where to try next along a line, after a point that was not accepted.

    `low` is the farthest point known to be too near, `high` the nearest known to be too
    far, 0 while there is none.
    """
    line, slope = memory["line"], sum(trial.slope * memory["direction"])
    tried = {"": line["size"], "_value": trial.value, "_slope": slope}
    far = ~_is_lower(trial, best, memory) | ~(slope <= 0.0)  # so is what is not a number
    new = {f"low{kind}": where(far, line[f"low{kind}"], v) for kind, v in tried.items()}
    new |= {f"high{kind}": where(far, v, line[f"high{kind}"]) for kind, v in tried.items()}
    tries = line["tries"] + 1.0
    size = where(new["high"] == 0.0, _beyond(line, slope), _between(new))
    size = where((tries >= TRIES) & (new["low"] > 0.0), new["low"], size)
    return {"size": size, **new, "tries": tries}


def _beyond(line: Memory, slope: Tensor) -> Tensor:
    """Farther than the point tried: where the slope becomes 0, if it goes on as until here."""
    size, gone = line["size"], line["size"] - line["low"]
    level = size - slope * gone / (slope - line["low_slope"])
    level = where(absolute_is_finite(level) & (level > size), level, math.inf)
    return clip(level, size + 1.1 * gone, size + 4.0 * gone)


def _between(line: Memory) -> Tensor:
    """Where the cubic through both ends, with their slopes, is least; well inside."""
    a, b = line["low"], line["high"]
    width = b - a
    mean = 3.0 * (line["high_value"] - line["low_value"]) / width
    turn = line["low_slope"] + line["high_slope"] - mean
    root = sqrt(turn * turn - line["low_slope"] * line["high_slope"])
    least = b - width * (line["high_slope"] + root - turn) / (
        line["high_slope"] - line["low_slope"] + 2.0 * root
    )
    inside = clip(least, a + 0.1 * width, a + 0.9 * width)
    inside = where(absolute_is_finite(least), inside, a + 0.5 * width)
    known = absolute_is_finite(line["high_value"]) & absolute_is_finite(line["high_slope"])
    return where(known, inside, a + 0.1 * width)


__test__ = {"lbfgs": lbfgs}  # an example that doctest runs
