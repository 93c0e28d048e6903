"""Penalties on weights, limits on gradients and weights: parts of a chain.

A penalty makes the mean loss the regularised risk, mean loss + lambda Omega. It acts
on weights, never on biases, and is not part of the loss that is reported.
"""

from __future__ import annotations

import functools

from pellucid.core.functions import clip
from pellucid.core.tensor import Tensor, cast, maximum, minimum, promote, sqrt, sum, tensor, where

from .named import check_count, check_number, maker
from .transform import (
    SETTLES,
    TRANSFORMATIONS,
    Context,
    State,
    Tensors,
    Transformation,
    times,
)


@maker(TRANSFORMATIONS)
def add_decayed_weights(weight_decay: float) -> Transformation:
    """Adds weight_decay * w for each weight w, and nothing for biases.

    Before the other transformations it is the gradient of an L2 penalty,
    weight_decay / 2 * sum(w^2); after them the decoupled decay of AdamW.

    Args:
        weight_decay: how strongly; parameters whose role is "weight" decay.
    """
    decay = check_number("weight_decay", weight_decay)

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        new = dict(updates)
        for name, u in updates.items():
            if context.is_weight(name):
                p = context.parameters[name]
                new[name] = u + context.scaled(decay, p.dtype) * p
        return new, {}

    def penalty(context: Context) -> Tensor:
        squares = [sum(p * p) for name, p in context.parameters.items() if context.is_weight(name)]
        return 0.5 * decay * functools.reduce(lambda a, b: a + b, squares, tensor(0.0))

    return Transformation(update=update, adds=True, penalty=penalty)


@maker(TRANSFORMATIONS)
def clip_by_norm(max_norm: float) -> Transformation:
    """Shortens all gradients together where their norm is greater than max_norm.

    g' = g * min(1, max_norm / (n + 1e-6)), n the root of the sum of the squares of
    all elements of all gradients.

    Args:
        max_norm: the greatest norm.
    """
    limit = check_number("max_norm", max_norm, above_low=True)

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        if not updates:
            return updates, {}
        widest = promote(*(u.dtype for u in updates.values()))
        squares = [cast(sum(u * u), widest) for u in updates.values()]
        norm = sqrt(functools.reduce(lambda a, b: a + b, squares))
        factor = minimum(limit / (norm + 1e-6), 1.0)
        return {
            name: context.scaled(cast(factor, u.dtype), u.dtype) * u for name, u in updates.items()
        }, {}

    return Transformation(update=update)


@maker(TRANSFORMATIONS)
def clip_by_value(limit: float) -> Transformation:
    """Each element of each gradient kept between -limit and limit.

    Args:
        limit: the greatest size of an element.

    Example:
        >>> from pellucid import optim
        >>> optim.chain(optim.clip_by_value(1.0), optim.sgd(0.1)).transformations[0]
        clip_by_value(limit=1.0)
    """
    limit = check_number("limit", limit, above_low=True)

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        return {
            name: times(context.scaled(1.0, u.dtype), clip(u, -limit, limit))
            for name, u in updates.items()
        }, {}

    return Transformation(update=update)


@maker(TRANSFORMATIONS)
def l2(strength: float, examples: int | None = None) -> Transformation:
    """The gradient of the penalty lambda sum(w^2): weight decay, when before plain descent.

    Args:
        strength: lambda.
        examples: m; where given, the penalty is lambda / (2 m) sum(w^2).

    Example:
        >>> from pellucid import optim
        >>> optim.chain(optim.l2(0.01), optim.sgd(0.1)).transformations[0]
        l2(strength=0.01, examples=None)
    """
    strength = _lambda(check_number("strength", strength), examples)
    return add_decayed_weights(2.0 * strength)


@maker(TRANSFORMATIONS)
def l1(strength: float, examples: int | None = None) -> Transformation:
    """The penalty lambda sum|w|, by a proximal step after the optimizer's: exact zeros.

    w' = sign(v) max(|v| - eta lambda, 0), v the weight that the optimizer gives and eta
    its learning rate at that step. (A gradient of |w| would swing around 0 instead.)
    Put it after the optimizer.

    Args:
        strength: lambda.
        examples: m; where given, the penalty is lambda / (2 m) sum|w|.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import optim
        >>> w = {"w": pe.parameter([0.05, -1.0])}
        >>> rule = optim.chain(optim.sgd(0.1), optim.l1(1.0))
        >>> updates, _ = rule.update({"w": pe.tensor([0.0, 0.0])}, rule.init(w), w, 0)
        >>> optim.apply_updates(w, updates)
        >>> w["w"]
        Tensor([ 0. , -0.9], dtype=float32)

    Source: Daubechies, Defrise, De Mol: An iterative thresholding algorithm for linear
    inverse problems (2004).
    """
    strength = _lambda(check_number("strength", strength), examples)

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        new = dict(updates)
        for name, u in updates.items():
            if context.is_weight(name):
                p = context.parameters[name]
                v, least = p + u, strength * context.rate(p.dtype)
                small = where(v < -least, v + least, 0.0)
                new[name] = where(v > least, v - least, small) - p
        return new, {}

    return Transformation(update=update, stage=SETTLES)


@maker(TRANSFORMATIONS)
def max_norm(limit: float) -> Transformation:
    """After each step, the incoming weights of each unit are shortened to a norm of `limit`.

    Put it after the optimizer. Weights with fewer than two axes are left alone.

    Args:
        limit: the greatest norm over all axes of a weight but the last, its units.

    Example:
        >>> from pellucid import optim
        >>> optim.chain(optim.sgd(0.1), optim.max_norm(3.0)).transformations[-1]
        max_norm(limit=3.0)

    Source: Srivastava and others: Dropout: a simple way to prevent neural networks
    from overfitting (2014).
    """
    limit = check_number("limit", limit, above_low=True)

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        new = dict(updates)
        for name, u in updates.items():
            p = context.parameters[name]
            if context.is_weight(name) and p.ndim > 1:
                w = p + u
                norm = sqrt(sum(w * w, tuple(range(p.ndim - 1)), keepdims=True))
                new[name] = w * (limit / maximum(norm, limit)) - p
        return new, {}

    return Transformation(update=update, stage=SETTLES)


def _lambda(strength: float, examples: int | None) -> float:
    return strength if examples is None else strength / (2 * check_count("examples", examples))
