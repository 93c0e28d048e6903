"""Optimizers: chains of transformations under the names they are known by."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from .named import check_number, maker
from .schedules import LearningRate
from .transform import (
    Optimizer,
    Transformation,
    add_decayed_weights,
    clip_by_norm,
    scale_by_adam,
    scale_by_learning_rate,
    trace,
)

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {}
"""Makers of optimizers by name; each takes `learning_rate` first."""


@maker({})
def chain(*parts: Transformation | Optimizer) -> Optimizer:
    """An optimizer that applies transformations one after the other.

    Args:
        parts: transformations, or optimizers, whose transformations are taken over.

    Raises:
        TypeError: something given is neither.

    Example:
        >>> from pellucid import optim
        >>> optim.chain(optim.clip_by_norm(1.0), optim.sgd(0.1)).transformations
        (clip_by_norm(max_norm=1.0), scale_by_learning_rate(learning_rate=0.1))
    """
    flat: list[Transformation] = []
    for part in parts:
        if isinstance(part, Optimizer):
            flat += part.transformations
        elif isinstance(part, Transformation):
            flat.append(part)
        else:
            raise TypeError(f"chain needs transformations or optimizers, received {part!r}")
    return Optimizer(tuple(flat))


def _clip(max_norm: float | None) -> list[Transformation]:
    if max_norm is None:
        return []
    return [clip_by_norm(check_number("clip_norm", max_norm, above_low=True))]


def _decay(weight_decay: float) -> list[Transformation]:
    return [] if weight_decay == 0 else [add_decayed_weights(weight_decay)]


@maker(OPTIMIZERS)
def sgd(
    learning_rate: LearningRate = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
) -> Optimizer:
    """Stochastic gradient descent, with momentum if asked for.

    w' = w - eta v', v' = momentum * v + g + weight_decay * w; with `nesterov`
    w' = w - eta (g + weight_decay * w + momentum * v').

    Args:
        learning_rate: eta, a number or a schedule.
        momentum: in [0, 1).
        nesterov: whether to look ahead; needs momentum.
        weight_decay: strength of the L2 penalty weight_decay / 2 * sum(w^2) on weights.
        clip_norm: greatest norm of all gradients together; None for any.

    Raises:
        ValueError: a number is outside its range.

    Example:
        >>> from pellucid import optim
        >>> optim.sgd(0.1, momentum=0.9)
        sgd(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0, clip_norm=None)

    Source: Sutskever, Martens, Dahl, Hinton: On the importance of initialization and
    momentum in deep learning (2013); as PyTorch's SGD.
    """
    if nesterov and momentum == 0:
        raise ValueError("nesterov needs a momentum above 0")
    moving = [] if momentum == 0 else [trace(momentum, nesterov)]
    return chain(
        *_clip(clip_norm), *_decay(weight_decay), *moving, scale_by_learning_rate(learning_rate)
    )


@maker(OPTIMIZERS)
def adam(
    learning_rate: LearningRate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
) -> Optimizer:
    """Adam: steps of about eta per element, whatever the gradient's size.

    With g the gradient (plus weight_decay * w) and t counting from 1:
    m' = beta1 m + (1 - beta1) g, v' = beta2 v + (1 - beta2) g^2,
    w' = w - eta m' / (1 - beta1^t) / (sqrt(v' / (1 - beta2^t)) + eps).

    Args:
        learning_rate: eta, a number or a schedule.
        beta1: how long gradients are remembered, in [0, 1).
        beta2: how long their squares are, in [0, 1).
        eps: keeps the division safe.
        weight_decay: strength of the L2 penalty weight_decay / 2 * sum(w^2) on weights.
        clip_norm: greatest norm of all gradients together; None for any.

    Raises:
        ValueError: a number is outside its range.

    Example:
        >>> from pellucid import optim
        >>> optim.adam().arguments["beta2"]
        0.999

    Source: Kingma, Ba: Adam: a method for stochastic optimization (2015); as PyTorch's.
    """
    return chain(
        *_clip(clip_norm),
        *_decay(weight_decay),
        scale_by_adam(beta1, beta2, eps),
        scale_by_learning_rate(learning_rate),
    )


@maker(OPTIMIZERS)
def adamw(
    learning_rate: LearningRate = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    clip_norm: float | None = None,
) -> Optimizer:
    """Adam with decay apart from the gradient: w' = w - eta (adam(g) + weight_decay * w).

    Args:
        learning_rate: eta, a number or a schedule.
        beta1: how long gradients are remembered, in [0, 1).
        beta2: how long their squares are, in [0, 1).
        eps: keeps the division safe.
        weight_decay: share of each weight that is taken away, times eta; not of biases.
        clip_norm: greatest norm of all gradients together; None for any.

    Raises:
        ValueError: a number is outside its range.

    Example:
        >>> from pellucid import optim
        >>> optim.adamw(1e-3, weight_decay=0.1).name
        'adamw'

    Source: Loshchilov, Hutter: Decoupled weight decay regularization (2019).
    """
    return chain(
        *_clip(clip_norm),
        scale_by_adam(beta1, beta2, eps),
        *_decay(weight_decay),
        scale_by_learning_rate(learning_rate),
    )


def as_optimizer(given: Any) -> Optimizer:
    """An optimizer from what a user passes.

    Args:
        given: a name in `OPTIMIZERS`, an optimizer, or a function that makes one
            (`optim.adam` without parentheses).

    Raises:
        ValueError: no optimizer has that name.
        TypeError: it is none of these.
    """
    if isinstance(given, Optimizer):
        return given
    if isinstance(given, str):
        if given not in OPTIMIZERS:
            close = difflib.get_close_matches(given, OPTIMIZERS, 1, 0.5)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(
                f"no optimizer is named {given!r}{hint}; there are {', '.join(sorted(OPTIMIZERS))}"
            )
        return OPTIMIZERS[given]()
    if given in OPTIMIZERS.values():
        return given()
    raise TypeError(f"an optimizer is a name or made by optim.adam(...), received {given!r}")


__test__ = {"chain": chain, **OPTIMIZERS}  # examples that doctest runs
