"""Transformations that give each element a step size of its own, from its past gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.core import portable
from pellucid.core.tensor import Tensor, absolute, exp, maximum, sqrt, tensor, where

from .named import check_number, maker
from .transform import (
    TRANSFORMATIONS,
    Context,
    State,
    Tensors,
    Transformation,
    one_minus_power,
    times,
    zeros_like,
)

Rule = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]


def remembering(
    *elements: str, numbers: Sequence[str] = ()
) -> Callable[[Callable[[np.dtype, Context], Rule]], Transformation]:
    """A transformation that treats every parameter alike and alone.

    Args:
        elements: names of what is remembered for each element, zeros at first.
        numbers: names of what is remembered once for each parameter, 0 at first.

    Returns:
        A decorator for `(dtype, context) -> rule` with
        `rule(g, *remembered) -> (update, new remembered)`; numbers of the step are
        worked out once per dtype, outside the rule.
    """
    kinds = (*elements, *numbers)

    def make(rule_of: Callable[[np.dtype, Context], Rule]) -> Transformation:
        def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
            rules = functools.cache(lambda dtype: rule_of(dtype, context))
            new: Tensors = {}
            memory: State = {kind: {} for kind in kinds}
            for name, g in updates.items():
                kept = [tensor(state[kind][name]) for kind in kinds]
                new[name], changed = rules(g.dtype)(g, *kept)
                for kind, value in zip(kinds, changed, strict=True):
                    memory[kind][name] = value
            return new, memory

        def init(parameters: Mapping[str, Tensor]) -> State:
            state: State = {kind: zeros_like(parameters) for kind in elements}
            for kind in numbers:
                state[kind] = {name: np.zeros((), p.dtype) for name, p in parameters.items()}
            return state

        return Transformation(init=init, update=update)

    return make


def _share(name: str, value: Any) -> float:
    return check_number(name, value, 0.0, 1.0, below_high=True)


@maker(TRANSFORMATIONS)
def scale_by_adagrad(eps: float = 1e-10) -> Transformation:
    """g / (sqrt(s') + eps) with s' = s + g^2, the sum of all squares so far.

    Args:
        eps: keeps the division safe.
    """
    eps = check_number("eps", eps)

    @remembering("s")
    def made(dtype: Any, context: Context) -> Rule:
        size = context.scaled(1.0, dtype)

        def rule(g: Tensor, s: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            s = s + g * g
            return times(size, g) / (sqrt(s) + eps), (s,)

        return rule

    return made


@maker(TRANSFORMATIONS)
def scale_by_rms(decay: float = 0.99, eps: float = 1e-8) -> Transformation:
    """g / (sqrt(v') + eps) with v' = decay v + (1 - decay) g^2, the mean of late squares.

    Args:
        decay: how long squares are remembered, in [0, 1).
        eps: keeps the division safe.
    """
    decay, eps = _share("decay", decay), check_number("eps", eps)

    @remembering("v")
    def made(dtype: Any, context: Context) -> Rule:
        size = context.scaled(1.0, dtype)

        def rule(g: Tensor, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            v = decay * v + (1.0 - decay) * g * g
            return times(size, g) / (sqrt(v) + eps), (v,)

        return rule

    return made


@maker(TRANSFORMATIONS)
def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> Transformation:
    """d = g sqrt(a + eps) / sqrt(v' + eps): steps in the units of the weights.

    v' = rho v + (1 - rho) g^2 and a' = rho a + (1 - rho) d^2.

    Args:
        rho: how long squares are remembered, in [0, 1).
        eps: starts the movement, and keeps the division safe.
    """
    rho, eps = _share("rho", rho), check_number("eps", eps, above_low=True)

    @remembering("v", "a")
    def made(dtype: Any, context: Context) -> Rule:
        size = context.scaled(1.0, dtype)

        def rule(g: Tensor, v: Tensor, a: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            v = rho * v + (1.0 - rho) * g * g
            step = g * sqrt((a + eps) / (v + eps))
            return times(size, step), (v, rho * a + (1.0 - rho) * step * step)

        return rule

    return made


@maker(TRANSFORMATIONS)
def scale_by_adamax(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Transformation:
    """m' / (1 - beta1^t) / u' with u' = max(beta2 u, |g| + eps), t counting from 1.

    m' = beta1 m + (1 - beta1) g.

    Args:
        beta1: how long gradients are remembered, in [0, 1).
        beta2: how slowly the greatest is forgotten, in [0, 1).
        eps: keeps the division safe.
    """
    b1, b2 = _share("beta1", beta1), _share("beta2", beta2)
    eps = check_number("eps", eps)

    @remembering("m", "u")
    def made(dtype: Any, context: Context) -> Rule:
        size = context.scaled(1.0 / one_minus_power(b1, context.t(dtype) + 1.0), dtype)

        def rule(g: Tensor, m: Tensor, u: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            m = b1 * m + (1.0 - b1) * g
            u = maximum(b2 * u, absolute(g) + eps)
            return size * m / u, (m, u)

        return rule

    return made


@maker(TRANSFORMATIONS)
def scale_by_nadam(
    beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, momentum_decay: float = 4e-3
) -> Transformation:
    """Adam whose momentum looks ahead, as Nesterov's.

    With t counting from 1 and mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2): the
    update is (m' mu_(t+1) / (1 - mu_1 ... mu_(t+1)) + g (1 - mu_t) / (1 - mu_1 ... mu_t)) /
    (sqrt(v' / (1 - beta2^t)) + eps), m' and v' as in Adam.

    Args:
        beta1: how long gradients are remembered, in [0, 1).
        beta2: how long their squares are, in [0, 1).
        eps: keeps the division safe.
        momentum_decay: how fast mu grows towards beta1.
    """
    b1, b2 = _share("beta1", beta1), _share("beta2", beta2)
    eps = check_number("eps", eps)
    slope = check_number("momentum_decay", momentum_decay) * float(portable.log(0.96))

    @remembering("m", "v", numbers=("lacking",))
    def made(dtype: Any, context: Context) -> Rule:
        t = context.t(dtype) + 1.0
        mu, ahead = (b1 * (1.0 - 0.5 * exp(slope * at)) for at in (t, t + 1.0))
        size, spread = context.scaled(1.0, dtype), 1.0 / sqrt(one_minus_power(b2, t))

        def rule(
            g: Tensor, m: Tensor, v: Tensor, lacking: Tensor
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            m = b1 * m + (1.0 - b1) * g
            v = b2 * v + (1.0 - b2) * g * g
            product = (1.0 - lacking) * mu  # mu_1 ... mu_t
            of_mean = size * ahead / (1.0 - product * ahead)
            of_gradient = size * (1.0 - mu) / (1.0 - product)
            found = (of_mean * m + of_gradient * g) / (sqrt(v) * spread + eps)
            return found, (m, v, 1.0 - product)

        return rule

    return made


@maker(TRANSFORMATIONS)
def scale_by_lion(beta1: float = 0.9, beta2: float = 0.99) -> Transformation:
    """The sign of beta1 m + (1 - beta1) g; m' = beta2 m + (1 - beta2) g.

    Args:
        beta1: how much the past counts in the direction, in [0, 1).
        beta2: how long gradients are remembered, in [0, 1).
    """
    b1, b2 = _share("beta1", beta1), _share("beta2", beta2)

    @remembering("m")
    def made(dtype: Any, context: Context) -> Rule:
        size = tensor(context.scaled(1.0, dtype), dtype)

        def rule(g: Tensor, m: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            way = b1 * m + (1.0 - b1) * g
            sign = where(way > 0, size, where(way < 0, -size, 0.0))
            return sign, (b2 * m + (1.0 - b2) * g,)

        return rule

    return made
