"""Optimizers: chains of transformations under the names they are known by."""

from __future__ import annotations

from .chain import chain
from .moments import (
    scale_by_adadelta,
    scale_by_adagrad,
    scale_by_adam,
    scale_by_adamax,
    scale_by_lion,
    scale_by_nadam,
    scale_by_rms,
    trace,
)
from .named import check_number, maker
from .penalties import add_decayed_weights, clip_by_norm
from .schedules import LearningRate
from .transform import OPTIMIZERS, Optimizer, Transformation, scale_by_learning_rate


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


@maker(OPTIMIZERS)
def momentum(
    learning_rate: LearningRate = 0.01, gamma: float = 0.9, average: bool = False
) -> Optimizer:
    """Gradient descent with momentum, in the two forms of the textbooks.

    v' = gamma v + eta g and w' = w - v'; with `average`, z' = gamma z + (1 - gamma) g
    and w' = w - eta z'. The first takes steps 1 / (1 - gamma) times as long.

    Args:
        learning_rate: eta, a number or a schedule.
        gamma: how long gradients are remembered, in [0, 1).
        average: whether what is remembered is a mean.

    Example:
        >>> from pellucid import optim
        >>> [t.name for t in optim.momentum(0.1).transformations]
        ['scale_by_learning_rate', 'trace']

    Source: Polyak: Some methods of speeding up the convergence of iteration methods
    (1964).
    """
    if average:
        return chain(trace(gamma, average=True), scale_by_learning_rate(learning_rate))
    return chain(scale_by_learning_rate(learning_rate), trace(gamma))


@maker(OPTIMIZERS)
def nesterov(learning_rate: LearningRate = 0.01, gamma: float = 0.9) -> Optimizer:
    """Momentum whose gradient is taken where momentum leads: at w - gamma v.

    v' = gamma v + eta g(w - gamma v) and w' = w - v'. The weights that the model holds
    are the point looked ahead to, w - gamma v, where its gradients are taken:
    they change by -(eta g + gamma v').

    Args:
        learning_rate: eta, a number or a schedule.
        gamma: how long gradients are remembered, in [0, 1).

    Example:
        >>> from pellucid import optim
        >>> optim.nesterov(0.1).name
        'nesterov'

    Source: Nesterov: A method for solving the convex programming problem with
    convergence rate O(1/k^2) (1983).
    """
    return chain(scale_by_learning_rate(learning_rate), trace(gamma, nesterov=True))


@maker(OPTIMIZERS)
def adagrad(learning_rate: LearningRate = 0.01, eps: float = 1e-10) -> Optimizer:
    """Adagrad: steps shrink with the root of the sum of all squared gradients.

    s' = s + g^2, w' = w - eta g / (sqrt(s') + eps).

    Args:
        learning_rate: eta, a number or a schedule.
        eps: keeps the division safe.

    Example:
        >>> from pellucid import optim
        >>> optim.adagrad(0.1)
        adagrad(learning_rate=0.1, eps=1e-10)

    Source: Duchi, Hazan, Singer: Adaptive subgradient methods (2011); as PyTorch's.
    """
    return chain(scale_by_adagrad(eps), scale_by_learning_rate(learning_rate))


@maker(OPTIMIZERS)
def adadelta(learning_rate: LearningRate = 1.0, rho: float = 0.9, eps: float = 1e-6) -> Optimizer:
    """Adadelta: the step's size follows the size of past steps; no rate to choose.

    v' = rho v + (1 - rho) g^2, d = g sqrt(a + eps) / sqrt(v' + eps),
    a' = rho a + (1 - rho) d^2, w' = w - eta d.

    Args:
        learning_rate: eta, a number or a schedule.
        rho: how long squares are remembered, in [0, 1).
        eps: starts the movement, and keeps the division safe.

    Example:
        >>> from pellucid import optim
        >>> optim.adadelta()
        adadelta(learning_rate=1.0, rho=0.9, eps=1e-06)

    Source: Zeiler: ADADELTA: an adaptive learning rate method (2012); as PyTorch's.
    """
    return chain(scale_by_adadelta(rho, eps), scale_by_learning_rate(learning_rate))


@maker(OPTIMIZERS)
def rmsprop(
    learning_rate: LearningRate = 0.01, decay: float = 0.99, eps: float = 1e-8
) -> Optimizer:
    """RMSprop: gradients over the root of the mean of their late squares.

    v' = decay v + (1 - decay) g^2, w' = w - eta g / (sqrt(v') + eps).

    Args:
        learning_rate: eta, a number or a schedule.
        decay: how long squares are remembered, in [0, 1).
        eps: keeps the division safe.

    Example:
        >>> from pellucid import optim
        >>> optim.rmsprop(0.001, decay=0.9)
        rmsprop(learning_rate=0.001, decay=0.9, eps=1e-08)

    Source: Tieleman, Hinton: Lecture 6.5 (2012); as PyTorch's RMSprop.
    """
    return chain(scale_by_rms(decay, eps), scale_by_learning_rate(learning_rate))


@maker(OPTIMIZERS)
def adamax(
    learning_rate: LearningRate = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> Optimizer:
    """Adam with the greatest late gradient in place of the mean of squares.

    m' = beta1 m + (1 - beta1) g, u' = max(beta2 u, |g| + eps),
    w' = w - eta / (1 - beta1^t) m' / u', t counting from 1.

    Args:
        learning_rate: eta, a number or a schedule.
        beta1: how long gradients are remembered, in [0, 1).
        beta2: how slowly the greatest is forgotten, in [0, 1).
        eps: keeps the division safe.

    Example:
        >>> from pellucid import optim
        >>> optim.adamax().name
        'adamax'

    Source: Kingma, Ba: Adam: a method for stochastic optimization (2015); as PyTorch's.
    """
    return chain(scale_by_adamax(beta1, beta2, eps), scale_by_learning_rate(learning_rate))


@maker(OPTIMIZERS)
def nadam(
    learning_rate: LearningRate = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> Optimizer:
    """Adam whose momentum looks ahead; its formula is with `scale_by_nadam`.

    Args:
        learning_rate: eta, a number or a schedule.
        beta1: how long gradients are remembered, in [0, 1).
        beta2: how long their squares are, in [0, 1).
        eps: keeps the division safe.
        momentum_decay: how fast the momentum grows towards beta1.

    Example:
        >>> from pellucid import optim
        >>> optim.nadam().arguments["momentum_decay"]
        0.004

    Source: Dozat: Incorporating Nesterov momentum into Adam (2016); as PyTorch's.
    """
    return chain(
        scale_by_nadam(beta1, beta2, eps, momentum_decay), scale_by_learning_rate(learning_rate)
    )


@maker(OPTIMIZERS)
def lion(
    learning_rate: LearningRate = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
) -> Optimizer:
    """Lion: every element moves by eta, in the direction of a mean of gradients.

    w' = w - eta (sign(beta1 m + (1 - beta1) g) + weight_decay * w),
    m' = beta2 m + (1 - beta2) g.

    Args:
        learning_rate: eta, a number or a schedule; a tenth of Adam's does.
        beta1: how much the past counts in the direction, in [0, 1).
        beta2: how long gradients are remembered, in [0, 1).
        weight_decay: share of each weight that is taken away, times eta; not of biases.

    Example:
        >>> from pellucid import optim
        >>> optim.lion().name
        'lion'

    Source: Chen and others: Symbolic discovery of optimization algorithms (2023).
    """
    return chain(
        scale_by_lion(beta1, beta2), *_decay(weight_decay), scale_by_learning_rate(learning_rate)
    )


__test__ = {**OPTIMIZERS}  # examples that doctest runs
