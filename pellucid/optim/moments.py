"""Transformations that remember past gradients: velocities, running means, sums.

`remembering` makes one of the rule for a single parameter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.core import portable
from pellucid.core.tensor import Tensor, absolute, exp, expm1, maximum, sqrt, tensor, where

from .named import check_number, maker
from .transform import (
    TRANSFORMATIONS,
    Context,
    State,
    Tensors,
    Transformation,
    times,
    zeros_like,
)

Rule = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]


def remembering(
    *means: str, others: Sequence[str] = (), numbers: Sequence[str] = ()
) -> Callable[[Callable[[np.dtype, Context], Rule]], Transformation]:
    """A transformation that treats every parameter alike and alone.

    Args:
        means: names of what is remembered for each element and decays where gradients
            stop; zeros at first, and again where it has decayed to nothing.
        others: names of what is remembered for each element and does not decay; zeros
            at first.
        numbers: names of what is remembered once for each parameter, 0 at first.

    Returns:
        A decorator for `(dtype, context) -> rule` with
        `rule(g, *remembered) -> (update, new remembered)`; numbers of the step are
        worked out once per dtype, outside the rule.
    """
    elements = (*means, *others)
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
                    memory[kind][name] = settled(value) if kind in means else value
            return new, memory

        def init(parameters: Mapping[str, Tensor]) -> State:
            state: State = {kind: zeros_like(parameters) for kind in elements}
            for kind in numbers:
                state[kind] = {name: np.zeros((), p.dtype) for name, p in parameters.items()}
            return state

        return Transformation(init=init, update=update)

    return make


NOTHING = {np.dtype(np.float32): 2.0**-100, np.dtype(np.float64): 2.0**-1000}
"""Sizes below which a running mean has decayed to nothing: far below any step that counts."""


def settled(mean: Tensor) -> Tensor:
    """A running mean, zero where it has decayed to nothing.

    Where gradients stop, a mean shrinks by a factor per step and would stay among the
    denormal numbers, which slow a processor down.
    """
    return where(absolute(mean) < NOTHING[mean.dtype], 0.0, mean)


def one_minus_power(base: float, t: Tensor) -> Tensor:
    """1 - base ** t, exact where the power is close to 1; base in [0, 1), t at least 1."""
    if base == 0.0:
        return tensor(1.0, t.dtype)
    return -expm1(t * float(portable.log(base)))


def _share(name: str, value: Any) -> float:
    return check_number(name, value, 0.0, 1.0, below_high=True)


@maker(TRANSFORMATIONS)
def trace(momentum: float, nesterov: bool = False, average: bool = False) -> Transformation:
    """Momentum: gradients add up to a velocity, or to a running mean.

    v' = momentum * v + g, with `average` v' = momentum * v + (1 - momentum) * g;
    the update is v', or g + momentum * v' by Nesterov's rule.

    Args:
        momentum: in [0, 1).
        nesterov: whether to look ahead.
        average: whether v is a mean instead of a sum.
    """
    gamma = _share("momentum", momentum)
    share = 1.0 - gamma if average else 1.0

    @remembering("v")
    def made(dtype: Any, context: Context) -> Rule:
        size = context.scaled(1.0, dtype)

        def rule(g: Tensor, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            v = gamma * v + times(share, g)
            return times(size, g + gamma * v if nesterov else v), (v,)

        return rule

    return made


@maker(TRANSFORMATIONS)
def scale_by_adam(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Transformation:
    """Divides running means of the gradients by the roots of those of their squares.

    With t counting from 1: m' = beta1 m + (1 - beta1) g, v' = beta2 v +
    (1 - beta2) g^2; the update is m' / (1 - beta1^t) / (sqrt(v' / (1 - beta2^t)) + eps).

    Arranged so that an element costs one square root and one division, the
    corrections being numbers of the step: (s / (1 - beta1^t)) m' /
    (sqrt(v') / sqrt(1 - beta2^t) + eps), s the scale of what follows.

    Args:
        beta1: how long gradients are remembered, in [0, 1).
        beta2: how long their squares are, in [0, 1).
        eps: keeps the division safe.
    """
    b1, b2 = _share("beta1", beta1), _share("beta2", beta2)
    eps = check_number("eps", eps)

    @remembering("m", "v")
    def made(dtype: Any, context: Context) -> Rule:
        bias1, bias2 = (one_minus_power(b, context.t(dtype) + 1.0) for b in (b1, b2))
        size, spread = context.scaled(1.0 / bias1, dtype), 1.0 / sqrt(bias2)

        def rule(g: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            m = b1 * m + (1.0 - b1) * g
            v = b2 * v + (1.0 - b2) * g * g
            return size * m / (sqrt(v) * spread + eps), (m, v)

        return rule

    return made


@maker(TRANSFORMATIONS)
def scale_by_adagrad(eps: float = 1e-10) -> Transformation:
    """g / (sqrt(s') + eps) with s' = s + g^2, the sum of all squares so far.

    Args:
        eps: keeps the division safe.
    """
    eps = check_number("eps", eps)

    @remembering(others=("s",))
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

    @remembering("m", others=("u",))
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
