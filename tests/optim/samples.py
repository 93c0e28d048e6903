"""One row per optimizer and schedule; the tests beside it apply every check."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import optim
from pellucid.optim.transform import MAKES

Formula = Callable[[Any, Any, dict[str, Any], int, bool], Any]
"""The rule in NumPy: `(w, g, memory, t, whether w is a weight) -> new w`; t from 0, and memory a
dictionary of its own. What it leaves in `memory["used"]` is what the model is used with."""


@dataclass(frozen=True)
class OptimizerSample:
    """An optimizer, the same one of PyTorch or in plain NumPy, and how much work it is.

    Attributes:
        make: makes it.
        torch: maps (torch.optim, parameter groups, whose decay is set) to PyTorch's.
        formula: where PyTorch has none.
        decay: of the weights, for PyTorch's groups.
        clip: norm to which PyTorch's gradients are clipped.
        rate: of PyTorch's at each step, where it changes.
        tolerance: in float64, against PyTorch.
        work: operations per element of a weight's update in one step, by primitive; None
            where all parameters are one vector.
    """

    make: Callable[[], optim.Optimizer]
    torch: Callable[[Any, Any], Any] | None
    work: dict[str, int] | None
    formula: Formula | None = None
    decay: float = 0.0
    clip: float | None = None
    rate: Callable[[int], float] | None = None
    tolerance: float = 1e-10


def _at(rate: Any, t: int) -> float:
    return rate(t) if callable(rate) else rate


def _descent(rate: Any) -> Formula:
    return lambda w, g, memory, t, weight: w - _at(rate, t) * g


def _velocity(rate: Any) -> Formula:
    def rule(w: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        memory["v"] = 0.9 * memory.get("v", 0.0) + _at(rate, t) * g
        return w - memory["v"]

    return rule


def _mean_velocity(rate: float) -> Formula:
    def rule(w: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        memory["z"] = 0.9 * memory.get("z", 0.0) + 0.1 * g
        return w - rate * memory["z"]

    return rule


def _looked_ahead(rate: Any) -> Formula:
    def rule(p: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        """As in the lectures: w and v are kept, and the gradient g was taken at p = w - gamma v."""
        w = memory.get("w", p)
        v = 0.9 * memory.get("v", 0.0) + _at(rate, t) * g
        memory["w"], memory["v"] = w - v, v
        return w - v - 0.9 * v

    return rule


def _lion(rate: Any) -> Formula:
    def rule(w: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        m = memory.get("m", 0.0)
        memory["m"] = 0.99 * m + (1 - 0.99) * g
        return w - _at(rate, t) * np.sign(0.9 * m + (1 - 0.9) * g)

    return rule


def _soft(rate: Any, strength: float) -> Formula:
    """Descent, then the proximal step of L1."""

    def rule(w: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        v = w - _at(rate, t) * g
        return np.sign(v) * np.maximum(np.abs(v) - _at(rate, t) * strength, 0) if weight else v

    return rule


def _short(rate: float, limit: float) -> Formula:
    """Descent, then columns of weights shortened to a norm."""

    def rule(w: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        w = w - rate * g
        return w / np.maximum(np.linalg.norm(w, axis=0) / limit, 1) if weight else w

    return rule


def _averaged(rule: Formula, decay: float) -> Formula:
    def averaged(w: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        w = rule(w, g, memory, t, weight)
        memory["sum"] = decay * memory.get("sum", 0.0) + w
        memory["used"] = memory["sum"] * (1 - decay) / (1 - decay ** (t + 1))
        return w

    return averaged


def _every(steps: int, rule: Formula) -> Formula:
    """A rule for the mean gradient of some steps."""

    def accumulated(w: Any, g: Any, memory: dict[str, Any], t: int, weight: bool) -> Any:
        memory["g"] = g + memory.get("g", 0.0)
        if t % steps < steps - 1:
            return w
        mean = memory.pop("g") / steps
        return rule(w, mean, memory.setdefault("rule", {}), t // steps, weight)

    return accumulated


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
            rate=lambda t: 0.15 + 0.05 * math.cos(math.pi * min(t / 60, 1)),
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
            formula=_velocity(lambda t: 0.05 * 0.5 ** (t // 80)),
        ),
        OptimizerSample(
            lambda: optim.momentum(0.3, average=True),
            None,
            {"multiply": 3, "add": 1, **SETTLED},
            formula=_mean_velocity(0.3),
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
            formula=_looked_ahead(lambda t: 0.05 * 0.9 ** (t / 10)),
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
            formula=_lion(lambda t: 0.05 * (1 - t / 300)),
        ),
    ],
    "backtracking": [OptimizerSample(lambda: optim.backtracking(0.1), None, None)],
    "lbfgs": [OptimizerSample(lambda: optim.lbfgs(history=3), None, None)],
    "accumulate": [
        OptimizerSample(
            lambda: optim.accumulate(optim.momentum(0.05), steps=3),
            None,
            {"multiply": 3, "add": 2, **SETTLED, "where": 4},
            formula=_every(3, _velocity(0.05)),
        ),
        OptimizerSample(
            lambda: optim.accumulate(
                optim.chain(
                    optim.sgd(optim.inverse_time(0.2, 0.1)),
                    optim.l1(0.1),
                    optim.average_weights(0.7),
                ),
                steps=2,
            ),
            None,
            None,
            formula=_every(2, _averaged(_soft(lambda t: 0.2 / (1 + 0.1 * t), 0.1), 0.7)),
        ),
    ],
    "chain": [
        OptimizerSample(
            lambda: optim.chain(optim.clip_by_value(0.4), optim.sgd(0.1)),
            None,
            {"minimum": 1, "maximum": 1, "multiply": 1},
            formula=lambda w, g, memory, t, weight: w - 0.1 * np.clip(g, -0.4, 0.4),
        ),
        OptimizerSample(
            lambda: optim.chain(optim.l2(0.05), optim.sgd(0.1)),
            lambda o, p: o.SGD(p, 0.1),
            {"multiply": 2, "add": 1},
            decay=0.1,
        ),
        OptimizerSample(
            lambda: optim.chain(optim.sgd(optim.linear(0.1, 300)), optim.l1(0.3)),
            None,
            {"multiply": 1, "add": 2, "subtract": 2, "less": 2, "where": 2},
            formula=_soft(lambda t: 0.1 * (1 - t / 300), 0.3),
        ),
        OptimizerSample(
            lambda: optim.chain(optim.sgd(0.1), optim.max_norm(1.5)),
            None,
            {"multiply": 3, "add": 1, "subtract": 1},
            formula=_short(0.1, 1.5),
        ),
        OptimizerSample(
            lambda: optim.chain(optim.sgd(0.1), optim.average_weights(0.9)),
            None,
            {"multiply": 2, "add": 2, "subtract": 1},
            formula=_averaged(_descent(0.1), 0.9),
        ),
        OptimizerSample(
            lambda: optim.chain(
                optim.clip_by_value(1.0),
                optim.l2(1e-3),
                optim.nadam(optim.one_cycle(0.05, 240)),
                optim.l1(0.01),
                optim.max_norm(3.0),
                optim.average_weights(0.99),
            ),
            None,
            None,
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


def _among_others(part: optim.Transformation) -> optim.Optimizer:
    """An optimizer with a transformation in its place."""
    makes = part.stage == MAKES
    return optim.chain(part, optim.sgd(0.05)) if makes else optim.chain(optim.sgd(0.05), part)


def every_rule() -> dict[str, Callable[[], optim.Optimizer]]:
    """Every row of this file as an optimizer: for what all must do alike."""
    found = {key: sample.make for key, sample in rows(OPTIMIZERS)}
    for name, make in TRANSFORMATIONS.items():
        found[name] = lambda make=make: _among_others(make())
    for key, (make, _) in rows(SCHEDULES):
        found[key] = lambda make=make: optim.sgd(make(), momentum=0.5)
    return found


def rows(table: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    """Each sample with an identifier."""
    for name, samples in table.items():
        for i, sample in enumerate(samples):
            yield f"{name}-{i}", sample
