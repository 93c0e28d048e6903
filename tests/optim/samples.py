"""One row per optimizer and schedule; the tests beside it apply every check."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import optim


@dataclass(frozen=True)
class OptimizerSample:
    """An optimizer, the same one of PyTorch, and how it fares.

    Attributes:
        make: makes it.
        torch: maps (torch.optim, parameter groups, whose decay is set) to PyTorch's.
        decay: of the weights, for PyTorch's groups.
        clip: norm to which PyTorch's gradients are clipped.
        formula: where PyTorch has none, the rule in NumPy: `(w, g, memory, rate, t) ->
            new w`, memory a dictionary of its own, t from 0.
        tolerance: in float64, against PyTorch.
        steps: in which it brings the quadratic of the tests below 1e-3.
        work: operations per element of a weight's update in one step, by primitive.
    """

    make: Callable[[], optim.Optimizer]
    torch: Callable[[Any, Any], Any] | None
    work: dict[str, int]
    decay: float = 0.0
    clip: float | None = None
    steps: int = 300
    formula: Callable[..., Any] | None = None
    tolerance: float = 1e-10


def _velocity(w: Any, g: Any, memory: dict[str, Any], rate: float, t: int) -> Any:
    memory["v"] = 0.9 * memory.get("v", 0.0) + rate * g
    return w - memory["v"]


def _mean_velocity(w: Any, g: Any, memory: dict[str, Any], rate: float, t: int) -> Any:
    memory["z"] = 0.9 * memory.get("z", 0.0) + 0.1 * g
    return w - rate * memory["z"]


def _looked_ahead(p: Any, g: Any, memory: dict[str, Any], rate: float, t: int) -> Any:
    """As in the lectures: w and v are kept, and the gradient g was taken at p = w - gamma v."""
    w = memory.get("w", p)
    v = 0.9 * memory.get("v", 0.0) + rate * g
    memory["w"], memory["v"] = w - v, v
    return w - v - 0.9 * v


def _lion(w: Any, g: Any, memory: dict[str, Any], rate: float, t: int) -> Any:
    m = memory.get("m", 0.0)
    memory["m"] = 0.99 * m + (1 - 0.99) * g
    return w - rate * np.sign(0.9 * m + (1 - 0.9) * g)


SETTLED = {"absolute": 1, "less": 1, "where": 1}  # a mean that has decayed to nothing becomes 0
TWO_SETTLED = dict.fromkeys(SETTLED, 2)
ADAM_WORK = {"multiply": 7, "add": 3, "sqrt": 1, "divide": 1, **TWO_SETTLED}

OPTIMIZERS: dict[str, list[OptimizerSample]] = {
    "sgd": [
        OptimizerSample(lambda: optim.sgd(0.1), lambda o, p: o.SGD(p, 0.1), {"multiply": 1}),
        OptimizerSample(
            lambda: optim.sgd(0.05, momentum=0.9),
            lambda o, p: o.SGD(p, 0.05, momentum=0.9),
            {"multiply": 2, "add": 1, **SETTLED},
        ),
        OptimizerSample(
            lambda: optim.sgd(0.05, momentum=0.8, nesterov=True, weight_decay=0.01),
            lambda o, p: o.SGD(p, 0.05, momentum=0.8, nesterov=True),
            {"multiply": 4, "add": 3, **SETTLED},
            decay=0.01,
        ),
        OptimizerSample(
            lambda: optim.sgd(0.1, weight_decay=0.02, clip_norm=0.7),
            lambda o, p: o.SGD(p, 0.1),
            {"multiply": 3, "add": 1},  # one of them the square, for the norm
            decay=0.02,
            clip=0.7,
        ),
        OptimizerSample(
            lambda: optim.sgd(optim.cosine(0.2, 60, end=0.1), clip_norm=1e6),
            lambda o, p: o.SGD(p, 0.2),
            {"multiply": 2},
            clip=1e6,
        ),
    ],
    "adam": [
        OptimizerSample(lambda: optim.adam(0.05), lambda o, p: o.Adam(p, 0.05), ADAM_WORK),
        OptimizerSample(
            lambda: optim.adam(0.02, 0.8, 0.95, 1e-3, weight_decay=0.1, clip_norm=1.5),
            lambda o, p: o.Adam(p, 0.02, (0.8, 0.95), 1e-3),
            ADAM_WORK | {"multiply": 10, "add": 4},
            decay=0.1,
            clip=1.5,
        ),
        OptimizerSample(
            lambda: optim.adam(0.05, beta1=0.0, beta2=0.0),
            lambda o, p: o.Adam(p, 0.05, (0.0, 0.0)),
            ADAM_WORK | {"multiply": 6},  # (1 - beta1) g and (1 - beta2) g are one product
        ),
    ],
    "adamw": [
        OptimizerSample(
            lambda: optim.adamw(0.05),
            lambda o, p: o.AdamW(p, 0.05),
            ADAM_WORK | {"multiply": 8, "add": 4},
            decay=0.01,
        ),
        OptimizerSample(
            lambda: optim.adamw(0.05, weight_decay=0.3, clip_norm=2.0),
            lambda o, p: o.AdamW(p, 0.05),
            ADAM_WORK | {"multiply": 10, "add": 4},
            decay=0.3,
            clip=2.0,
        ),
    ],
    "momentum": [
        OptimizerSample(
            lambda: optim.momentum(0.05),
            lambda o, p: o.SGD(p, 0.05, momentum=0.9),
            {"multiply": 2, "add": 1, **SETTLED},
        ),
        OptimizerSample(
            lambda: optim.momentum(optim.step_decay(0.05, 0.5, 80)),
            None,
            {"multiply": 2, "add": 1, **SETTLED},
            formula=_velocity,
        ),
        OptimizerSample(
            lambda: optim.momentum(0.3, average=True),
            None,
            {"multiply": 3, "add": 1, **SETTLED},
            formula=_mean_velocity,
        ),
    ],
    "nesterov": [
        OptimizerSample(
            lambda: optim.nesterov(0.05),
            lambda o, p: o.SGD(p, 0.05, momentum=0.9, nesterov=True),
            {"multiply": 3, "add": 2, **SETTLED},
        ),
        OptimizerSample(
            lambda: optim.nesterov(optim.exponential(0.05, 0.9, every=10)),
            None,
            {"multiply": 3, "add": 2, **SETTLED},
            formula=_looked_ahead,
        ),
    ],
    "adagrad": [
        OptimizerSample(
            lambda: optim.adagrad(0.5),
            lambda o, p: o.Adagrad(p, 0.5),
            {"multiply": 2, "add": 2, "sqrt": 1, "divide": 1},
        ),
    ],
    "adadelta": [
        OptimizerSample(
            lambda: optim.adadelta(5.0, 0.95),
            lambda o, p: o.Adadelta(p, 5.0, 0.95),
            {"multiply": 8, "add": 4, "sqrt": 1, "divide": 1, **TWO_SETTLED},
        ),
    ],
    "rmsprop": [
        OptimizerSample(
            lambda: optim.rmsprop(0.02),
            lambda o, p: o.RMSprop(p, 0.02),
            {"multiply": 4, "add": 2, "sqrt": 1, "divide": 1, **SETTLED},
        ),
    ],
    "adamax": [
        OptimizerSample(
            lambda: optim.adamax(0.1),
            lambda o, p: o.Adamax(p, 0.1),
            {"multiply": 4, "add": 2, "maximum": 1, "divide": 1, **SETTLED, "absolute": 2},
        )
    ],
    "nadam": [
        OptimizerSample(
            lambda: optim.nadam(0.05),
            lambda o, p: o.NAdam(p, 0.05),
            {"multiply": 8, "add": 4, "sqrt": 1, "divide": 1, **TWO_SETTLED},
            tolerance=1e-7,  # PyTorch keeps the product of the mu in float32
        )
    ],
    "lion": [
        OptimizerSample(
            lambda: optim.lion(optim.linear(0.05, 300)),
            None,
            {"multiply": 4, "add": 2, "absolute": 1, "less": 3, "where": 3},
            formula=_lion,
        ),
    ],
}


def _warmup_cosine(t: int) -> float:
    if t < 4:
        return 0.5 * (t + 1) / 5
    return 0.1 + 0.2 * (1 + math.cos(math.pi * min((t - 4) / 16, 1)))


def _restarts(t: int, warmup: int = 0, growth: int = 1) -> float:
    if t < warmup:
        return 0.3 * (t + 1) / (warmup + 1)
    t, period = t - warmup, 6
    while t >= period:
        t, period = t - period, period * growth
    return 0.1 + 0.1 * (1 + math.cos(math.pi * t / period))


def _one_cycle(t: int) -> float:
    top = 0.25 * 24 - 1
    low, high, share = (0.02, 0.5, t / top) if t <= top else (0.002, 0.5, (t - top) / (23 - top))
    if t > top:
        low, high = high, low
    return low + (high - low) / 2 * (1 - math.cos(math.pi * min(share, 1)))


# A maker's result, and the formula that it must follow.
SCHEDULES: dict[str, list[tuple[Callable[[], optim.Schedule], Callable[[int], float]]]] = {
    "constant": [(lambda: optim.constant(0.3), lambda t: 0.3)],
    "step_decay": [
        (lambda: optim.step_decay(0.3, 0.5, 7), lambda t: 0.3 * 0.5 ** (t // 7)),
        (lambda: optim.step_decay(0.3, 1.0, 1), lambda t: 0.3),
    ],
    "exponential": [
        (lambda: optim.exponential(0.3, 0.9), lambda t: 0.3 * 0.9**t),
        (lambda: optim.exponential(0.3, 0.5, every=10), lambda t: 0.3 * 0.5 ** (t / 10)),
    ],
    "inverse_time": [(lambda: optim.inverse_time(0.3, 0.25), lambda t: 0.3 / (1 + 0.25 * t))],
    "linear": [
        (lambda: optim.linear(0.3, 10, 0.1), lambda t: 0.3 - 0.2 * min(t / 10, 1)),
        (lambda: optim.linear(0.0, 10, 1.0), lambda t: min(t / 10, 1)),
    ],
    "cosine": [
        (
            lambda: optim.cosine(0.3, 20, 0.1),
            lambda t: 0.1 + 0.1 * (1 + math.cos(math.pi * min(t / 20, 1))),
        ),
    ],
    "polynomial": [
        (lambda: optim.polynomial(0.3, 20), lambda t: 0.3 * max(1 - t / 20, 0) ** 2),
        (
            lambda: optim.polynomial(0.3, 20, 0.5, 0.1),
            lambda t: 0.1 + 0.2 * max(1 - t / 20, 0) ** 0.5,
        ),
    ],
    "cosine_restarts": [
        (lambda: optim.cosine_restarts(0.3, 6, end=0.1), _restarts),
        (
            lambda: optim.cosine_restarts(0.3, 6, growth=2, warmup=3, end=0.1),
            lambda t: _restarts(t, 3, 2),
        ),
    ],
    "one_cycle": [(lambda: optim.one_cycle(0.5, 24, 0.25, 25.0, 10.0), _one_cycle)],
    "warmup_cosine": [
        (lambda: optim.warmup_cosine(0.5, 4, 20, 0.1), _warmup_cosine),
        (
            lambda: optim.warmup_cosine(0.5, 0, 20),
            lambda t: 0.25 * (1 + math.cos(math.pi * min(t / 20, 1))),
        ),
    ],
}

# Makers of transformations by name, with arguments that are allowed.
TRANSFORMATIONS: dict[str, Callable[[], optim.Transformation]] = {
    "average_weights": lambda: optim.average_weights(0.99),
    "scale_by_learning_rate": lambda: optim.scale_by_learning_rate(0.1),
    "add_decayed_weights": lambda: optim.add_decayed_weights(0.1),
    "clip_by_norm": lambda: optim.clip_by_norm(1.0),
    "clip_by_value": lambda: optim.clip_by_value(1.0),
    "l1": lambda: optim.l1(0.1, examples=10),
    "l2": lambda: optim.l2(0.1),
    "max_norm": lambda: optim.max_norm(2.0),
    "scale_by_adagrad": lambda: optim.scale_by_adagrad(),
    "scale_by_adadelta": lambda: optim.scale_by_adadelta(rho=0.8),
    "scale_by_rms": lambda: optim.scale_by_rms(),
    "scale_by_adamax": lambda: optim.scale_by_adamax(),
    "scale_by_nadam": lambda: optim.scale_by_nadam(momentum_decay=0.0),
    "scale_by_lion": lambda: optim.scale_by_lion(),
    "trace": lambda: optim.trace(0.9, nesterov=True),
    "scale_by_adam": lambda: optim.scale_by_adam(),
}


def rows(table: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    """Each sample with an identifier."""
    for name, samples in table.items():
        for i, sample in enumerate(samples):
            yield f"{name}-{i}", sample
