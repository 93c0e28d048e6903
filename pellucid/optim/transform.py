"""Gradient transformations, and the chain that makes an optimizer of them.

A transformation is a pair of pure functions, `init` and `update`, from gradients to
updates; a parameter's new value is the old one plus its update. None knows who runs
it: the same functions work on values and inside a traced step.

A chain folds what only scales into what comes before it. `scale_by_adam` followed
by `scale_by_learning_rate` would divide each element and then multiply it; instead
the scale, one number for the step, is handed to `scale_by_adam`, which multiplies
it into a factor that it applies anyway.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from pellucid.core import portable
from pellucid.core.tensor import (
    Tensor,
    absolute,
    cast,
    expm1,
    minimum,
    promote,
    sqrt,
    sum,
    tensor,
    where,
)

from .named import Named, check_number, maker
from .schedules import LearningRate, as_schedule

Tensors = dict[str, Tensor]
State = dict[str, Any]

TRANSFORMATIONS: dict[str, Callable[..., Transformation]] = {}
"""Makers of transformations by name."""


class Context:
    """What a transformation may look at besides gradients and its own state.

    Args:
        parameters: current values, by name.
        step: steps taken before this one, a whole number of shape ().
        scales: factors that the updates must be multiplied with, as functions of t.
        rates: factors of the whole chain; their product is the learning rate, negative.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        step: Tensor,
        scales: Sequence[Callable[[Tensor], Tensor]] = (),
        rates: Sequence[Callable[[Tensor], Tensor]] = (),
    ) -> None:
        self.parameters = parameters
        self.step = step
        self.scales = tuple(scales)
        self.rates = tuple(rates)

    def t(self, dtype: np.dtype) -> Tensor:
        """Steps taken before this one, of a floating dtype."""
        return cast(self.step, dtype)

    def scaled(self, factor: float | Tensor, dtype: np.dtype) -> float | Tensor:
        """A factor of the updates, times the scales."""
        for scale in self.scales:
            folded = scale(self.t(dtype))
            factor = folded if isinstance(factor, float) and factor == 1.0 else factor * folded
        return factor

    def rate(self, dtype: np.dtype) -> Tensor:
        """The learning rate of this step."""
        t = self.t(dtype)
        return absolute(functools.reduce(lambda a, f: a * f(t), self.rates, tensor(1.0, dtype)))

    def is_weight(self, name: str) -> bool:
        """Whether penalties and constraints apply to a parameter: to weights, never to biases."""
        cell = self.parameters[name].node.cell
        return cell is not None and cell.role == "weight"


def times(factor: float | Tensor, x: Tensor) -> Tensor:
    """The product; x itself where the factor is the number 1."""
    return x if isinstance(factor, float) and factor == 1.0 else factor * x


@dataclass(frozen=True, repr=False)
class Transformation(Named):
    """A step from gradients towards updates.

    Attributes:
        init: `parameters -> state`, a dictionary by parameter name for each kind of
            state; empty where nothing is remembered.
        update: `(updates, state, context) -> (updates, new state)`. It multiplies
            its result with the scales of the context.
        scale: for one that only scales, instead of both: `t -> factor`.
        adds: the result is the incoming updates plus something, so that the scales
            may be applied to what comes in.
        last: it settles the new values of the parameters, so that nothing else may follow.
    """

    kind: ClassVar[str] = "transformation"
    init: Callable[[Mapping[str, Tensor]], State] = lambda parameters: {}
    update: Callable[[Tensors, State, Context], tuple[Tensors, State]] | None = None
    scale: Callable[[Tensor], Tensor] | None = None
    adds: bool = False
    last: bool = False


@dataclass(frozen=True, repr=False)
class Optimizer(Named):
    """Gradients in, updates out, with a state in between.

    Attributes:
        transformations: applied in this order.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import optim
        >>> w = pe.parameter([1.0])
        >>> rule = optim.sgd(0.1)
        >>> state = rule.init({"w": w})
        >>> updates, state = rule.update({"w": pe.tensor([2.0])}, state, {"w": w}, 0)
        >>> optim.apply_updates({"w": w}, updates)
        >>> w
        Tensor([0.8], dtype=float32)
    """

    kind: ClassVar[str] = "optimizer"
    transformations: tuple[Transformation, ...]

    def init(self, parameters: Mapping[str, Tensor]) -> State:
        """The state before the first step.

        Args:
            parameters: by name.

        Returns:
            A tree of dictionaries with NumPy arrays as leaves: transformation, kind
            of state, parameter.
        """
        found = {key: t.init(parameters) for key, t in self._keyed()}
        return {key: state for key, state in found.items() if state}

    def update(
        self,
        gradients: Mapping[str, Tensor],
        state: State,
        parameters: Mapping[str, Tensor],
        step: Any,
    ) -> tuple[Tensors, State]:
        """The change of each parameter in one step.

        Args:
            gradients: of the loss, by parameter name.
            state: what `init` or the last `update` gave; leaves are arrays or tensors.
            parameters: current values, by name.
            step: steps taken before this one, a whole number of shape ().

        Returns:
            What to add to each parameter, and the new state, in the state's form.
        """
        step = tensor(step)
        updates, new_state = dict(gradients), {}
        first, plan = self._plan()
        rates = [t.scale for t in self.transformations if t.scale is not None]
        context = Context(parameters, step, first, rates)
        updates = {k: times(context.scaled(1.0, g.dtype), g) for k, g in updates.items()}
        for key, update, scales in plan:
            context = Context(parameters, step, scales, rates)
            updates, kept = update(updates, state.get(key, {}), context)
            if kept:
                new_state[key] = kept
        return updates, new_state

    def with_rate(self, change: Callable[[Tensor, Tensor], Tensor]) -> Optimizer:
        """The same optimizer with a learning rate that is made of its own.

        Args:
            change: `(rate, t) -> rate` on tensors of shape () and a floating dtype; t
                counts the steps before this one.

        Raises:
            ValueError: it does not have one learning rate.

        Example:
            >>> from pellucid import optim
            >>> rule = optim.sgd(0.1).with_rate(lambda rate, t: rate / (1.0 + t))
        """
        found = [i for i, t in enumerate(self.transformations) if t.scale is not None]
        if len(found) != 1:
            raise ValueError(
                f"{self!r} has {len(found)} learning rates; expected one, which can be changed"
            )
        (at,) = found
        scale: Any = self.transformations[at].scale
        changed = replace(self.transformations[at], scale=lambda t: -change(-scale(t), t))
        return replace(
            self,
            transformations=(*self.transformations[:at], changed, *self.transformations[at + 1 :]),
        )

    def _keyed(self) -> list[tuple[str, Transformation]]:
        """The transformations with a name for each that is its own."""
        names = [t.name for t in self.transformations]
        return [
            (t.name if names.count(t.name) == 1 else f"{t.name}_{names[:i].count(t.name)}", t)
            for i, t in enumerate(self.transformations)
        ]

    def _plan(self) -> tuple[list[Any], list[tuple[str, Any, list[Any]]]]:
        """Who applies which scales: the scales of the gradients, then those of each update.

        From the last to the first: a scale waits for someone to take it. One that
        adds applies it to what it adds, and lets it wait on.
        """
        waiting: list[Any] = []
        plan = []
        for key, t in reversed(self._keyed()):
            if t.scale is not None:
                waiting = [t.scale, *waiting]
                continue
            plan.append((key, t.update, waiting))
            if not t.adds:
                waiting = []
        return waiting, plan[::-1]


def apply_updates(parameters: Mapping[str, Tensor], updates: Mapping[str, Tensor]) -> None:
    """Add updates to parameters, in place, in eager mode.

    Args:
        parameters: by name.
        updates: by name, of the same shapes.
    """
    for name, update in updates.items():
        parameters[name].assign((parameters[name] + update).numpy())


def zeros_like(parameters: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """An array of zeros for each parameter."""
    return {name: np.zeros(p.shape, p.dtype) for name, p in parameters.items()}


# -- the transformations ------------------------------------------------------------


@maker(TRANSFORMATIONS)
def scale_by_learning_rate(learning_rate: LearningRate) -> Transformation:
    """Multiplies by -rate(t): downhill.

    Args:
        learning_rate: a number, or a schedule.
    """
    schedule = as_schedule(learning_rate)
    return Transformation(scale=lambda t: -schedule(t))


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

    return Transformation(update=update, adds=True)


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
def trace(momentum: float, nesterov: bool = False, average: bool = False) -> Transformation:
    """Momentum: gradients add up to a velocity, or to a running mean.

    v' = momentum * v + g, with `average` v' = momentum * v + (1 - momentum) * g;
    the update is v', or g + momentum * v' by Nesterov's rule.

    Args:
        momentum: in [0, 1).
        nesterov: whether to look ahead.
        average: whether v is a mean instead of a sum.
    """
    gamma = check_number("momentum", momentum, 0.0, 1.0, below_high=True)

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        share = 1.0 - gamma if average else 1.0
        velocity = {
            name: settled(gamma * tensor(state["v"][name]) + times(share, g))
            for name, g in updates.items()
        }
        if nesterov:
            found = {name: g + gamma * velocity[name] for name, g in updates.items()}
        else:
            found = velocity
        new = {name: times(context.scaled(1.0, u.dtype), u) for name, u in found.items()}
        return new, {"v": velocity}

    return Transformation(init=lambda parameters: {"v": zeros_like(parameters)}, update=update)


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
    b1 = check_number("beta1", beta1, 0.0, 1.0, below_high=True)
    b2 = check_number("beta2", beta2, 0.0, 1.0, below_high=True)
    eps = check_number("eps", eps)

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        @functools.cache
        def factors(dtype: np.dtype) -> tuple[Any, Any]:
            t = context.t(dtype) + 1.0
            bias1, bias2 = (one_minus_power(b, t) for b in (b1, b2))
            return context.scaled(1.0 / bias1, dtype), 1.0 / sqrt(bias2)

        new: Tensors = {}
        means: Tensors = {}
        squares: Tensors = {}
        for name, g in updates.items():
            m = settled(b1 * tensor(state["m"][name]) + (1.0 - b1) * g)
            v = settled(b2 * tensor(state["v"][name]) + (1.0 - b2) * g * g)
            size, spread = factors(g.dtype)
            new[name] = size * m / (sqrt(v) * spread + eps)
            means[name], squares[name] = m, v
        return new, {"m": means, "v": squares}

    return Transformation(
        init=lambda parameters: {"m": zeros_like(parameters), "v": zeros_like(parameters)},
        update=update,
    )


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
