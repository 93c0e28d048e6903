"""Schedules: the learning rate as a function of the step.

A schedule is a function of t, the number of steps taken before this one, a tensor
of shape () and a floating dtype; it is composed of the library's operations, so
that it is part of the compiled step. Any function of such a tensor will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.core import portable
from pellucid.core.tensor import Tensor, cast, cos, exp, floor, minimum, tensor, where

from .named import Named, check_count, check_number, maker

SCHEDULES: dict[str, Callable[..., Schedule]] = {}
"""Makers of schedules by name."""


@dataclass(frozen=True, repr=False)
class Schedule(Named):
    """A learning rate for every step.

    Attributes:
        rate: `t -> rate` on tensors of shape () and a floating dtype.

    Example:
        >>> from pellucid import optim
        >>> halving = optim.step_decay(0.1, factor=0.5, every=10)
        >>> [round(halving(t).item(), 4) for t in (0, 9, 10, 20)]
        [0.1, 0.1, 0.05, 0.025]
    """

    kind: ClassVar[str] = "schedule"
    rate: Callable[[Tensor], Any]

    def __call__(self, step: Any) -> Tensor:
        """The rate at a step.

        Args:
            step: steps taken before this one; whole numbers are taken as float32.

        Returns:
            Tensor of shape () and the step's floating dtype.
        """
        t = tensor(step)
        t = t if t.dtype.kind == "f" else cast(t, np.float32)
        return cast(tensor(self.rate(t)), t.dtype)


LearningRate = float | Schedule | Callable[[Tensor], Any]


def as_schedule(learning_rate: LearningRate) -> Schedule:
    """A schedule from a number, a schedule, or a function of the step.

    Raises:
        TypeError: it is none of these.
        ValueError: the number is negative or not finite.
    """
    if isinstance(learning_rate, Schedule):
        return learning_rate
    if callable(learning_rate):
        return Schedule(learning_rate, name=getattr(learning_rate, "__name__", "schedule"))
    return constant(check_number("learning_rate", learning_rate))


def _log(x: float) -> float:
    return float(portable.log(x))


def _progress(t: Tensor, steps: int) -> Tensor:
    """From 0 at the first step to 1 at `steps` and after."""
    return minimum(t / float(steps), 1.0)


@maker(SCHEDULES)
def constant(learning_rate: float) -> Schedule:
    """The same rate at every step.

    Args:
        learning_rate: the rate.
    """
    rate = check_number("learning_rate", learning_rate)
    return Schedule(lambda t: tensor(rate, t.dtype))


@maker(SCHEDULES)
def step_decay(learning_rate: float, factor: float = 0.1, every: int = 1000) -> Schedule:
    """rate(t) = learning_rate * factor ** floor(t / every).

    Args:
        learning_rate: the first rate.
        factor: what it is multiplied with, in (0, 1].
        every: after so many steps each time.
    """
    rate = check_number("learning_rate", learning_rate)
    log_factor = _log(check_number("factor", factor, 0.0, 1.0, above_low=True))
    every = check_count("every", every)
    return Schedule(lambda t: rate * exp(log_factor * floor(t / float(every))))


@maker(SCHEDULES)
def exponential(learning_rate: float, factor: float, every: int = 1) -> Schedule:
    """rate(t) = learning_rate * factor ** (t / every).

    Args:
        learning_rate: the first rate.
        factor: what it is multiplied with over `every` steps, in (0, 1].
        every: number of steps.
    """
    rate = check_number("learning_rate", learning_rate)
    log_factor = _log(check_number("factor", factor, 0.0, 1.0, above_low=True))
    slope = log_factor / check_count("every", every)
    return Schedule(lambda t: rate * exp(slope * t))


@maker(SCHEDULES)
def inverse_time(learning_rate: float, decay: float) -> Schedule:
    """rate(t) = learning_rate / (1 + decay * t), the 1/t rule.

    Args:
        learning_rate: the first rate.
        decay: how fast it falls; the rate has halved after 1 / decay steps.
    """
    rate = check_number("learning_rate", learning_rate)
    decay = check_number("decay", decay)
    return Schedule(lambda t: rate / (1.0 + decay * t))


@maker(SCHEDULES)
def linear(learning_rate: float, steps: int, end: float = 0.0) -> Schedule:
    """In a straight line from learning_rate to end, which is kept.

    Args:
        learning_rate: the first rate.
        steps: when the end is reached.
        end: the last rate.
    """
    first, steps = check_number("learning_rate", learning_rate), check_count("steps", steps)
    end = check_number("end", end)
    return Schedule(lambda t: first + (end - first) * _progress(t, steps))


@maker(SCHEDULES)
def cosine(learning_rate: float, steps: int, end: float = 0.0) -> Schedule:
    """rate(t) = end + (learning_rate - end) * (1 + cos(pi t / steps)) / 2, then end.

    Args:
        learning_rate: the first rate.
        steps: when the end is reached.
        end: the last rate.

    Source: Loshchilov, Hutter: SGDR: Stochastic gradient descent with warm restarts
    (2017), one period.
    """
    first, steps = check_number("learning_rate", learning_rate), check_count("steps", steps)
    end = check_number("end", end)
    half = (first - end) / 2
    return Schedule(lambda t: end + half * (1.0 + cos(math.pi * _progress(t, steps))))


@maker(SCHEDULES)
def warmup_cosine(learning_rate: float, warmup: int, steps: int, end: float = 0.0) -> Schedule:
    """In a straight line from 0 up to learning_rate, then down along a cosine.

    rate(t) = learning_rate * (t + 1) / (warmup + 1) for t < warmup, then
    `cosine(learning_rate, steps - warmup, end)` at t - warmup.

    Args:
        learning_rate: the greatest rate.
        warmup: number of steps before it is reached.
        steps: when the end is reached, the warm-up included.
        end: the last rate.
    """
    peak, warmup = check_number("learning_rate", learning_rate), check_count("warmup", warmup, 0)
    after = cosine(learning_rate, check_count("steps", steps, warmup + 1) - warmup, end)
    slope = peak / (warmup + 1)
    return Schedule(lambda t: where(t < float(warmup), slope * (t + 1.0), after(t - float(warmup))))


@maker(SCHEDULES)
def polynomial(learning_rate: float, steps: int, power: float = 2.0, end: float = 0.0) -> Schedule:
    """rate(t) = end + (learning_rate - end) * (1 - t / steps) ** power, then end.

    Args:
        learning_rate: the first rate.
        steps: when the end is reached.
        power: 1 is a straight line; greater ones fall faster at first.
        end: the last rate.
    """
    first, steps = check_number("learning_rate", learning_rate), check_count("steps", steps)
    power, end = check_number("power", power, above_low=True), check_number("end", end)
    return Schedule(lambda t: end + (first - end) * (1.0 - _progress(t, steps)) ** power)


@maker(SCHEDULES)
def cosine_restarts(
    learning_rate: float, period: int, growth: int = 1, warmup: int = 0, end: float = 0.0
) -> Schedule:
    """A straight line up to learning_rate, then cosines from it down to end, again and again.

    rate(t) = learning_rate * (t + 1) / (warmup + 1) for t < warmup, then
    end + (learning_rate - end) * (1 + cos(pi s / n)) / 2, s the steps since the last
    restart and n = period * growth^i the length of the i-th period, i from 0.

    Args:
        learning_rate: the greatest rate.
        period: steps of the first period.
        growth: how many times longer each period is than the one before.
        warmup: number of steps before the greatest rate is reached.
        end: what each period falls to.

    Source: Loshchilov, Hutter: SGDR: Stochastic gradient descent with warm restarts
    (2017).
    """
    peak, warmup = check_number("learning_rate", learning_rate), check_count("warmup", warmup, 0)
    period, growth = check_count("period", period), check_count("growth", growth)
    end = check_number("end", end)
    half, slope = (peak - end) / 2, peak / (warmup + 1)

    def rate(t: Tensor) -> Tensor:
        since, length = t - float(warmup), tensor(float(period), t.dtype)
        if growth == 1:
            since = since - length * floor(since / length)
        else:
            for start, longer in _restarts(period, growth):
                begun = t - float(warmup) >= start
                since = where(begun, t - float(warmup) - start, since)
                length = where(begun, longer, length)
        falling = end + half * (1.0 + cos(math.pi * since / length))
        return where(t < float(warmup), slope * (t + 1.0), falling)

    return Schedule(rate)


def _restarts(period: int, growth: int) -> list[tuple[float, float]]:
    """When each period but the first begins and how long it is, as far as steps are counted."""
    found, start, length = [], 0, period
    while start + length < 2**32:
        start, length = start + length, length * growth
        found.append((float(start), float(length)))
    return found


@maker(SCHEDULES)
def one_cycle(
    learning_rate: float,
    steps: int,
    rise: float = 0.3,
    start_factor: float = 25.0,
    end_factor: float = 1e4,
) -> Schedule:
    """One cosine up to learning_rate, a longer one down to almost nothing.

    From learning_rate / start_factor up over the first rise * steps - 1 steps, then down
    to learning_rate / (start_factor * end_factor) at step steps - 1, which is kept.

    Args:
        learning_rate: the greatest rate.
        steps: of the whole cycle.
        rise: share of the cycle in which the rate rises, in (0, 1); rise * steps must
            be above 1.
        start_factor: how many times smaller the first rate is.
        end_factor: how many times smaller again the last rate is.

    Raises:
        ValueError: a number is outside its range.

    Source: Smith, Topin: Super-convergence (2018); as PyTorch's OneCycleLR.
    """
    peak, steps = check_number("learning_rate", learning_rate), check_count("steps", steps, 3)
    rise = check_number("rise", rise, 1.0 / steps, 1.0, above_low=True, below_high=True)
    first = peak / check_number("start_factor", start_factor, 1.0)
    last = first / check_number("end_factor", end_factor, 1.0)
    top = rise * steps - 1.0

    def rate(t: Tensor) -> Tensor:
        up = t / top
        down = minimum((t - top) / (steps - 1.0 - top), 1.0)
        rising = first + (peak - first) / 2 * (1.0 - cos(math.pi * up))
        return where(t <= top, rising, last + (peak - last) / 2 * (1.0 + cos(math.pi * down)))

    return Schedule(rate)
