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

from pellucid.core.tensor import Tensor, absolute, cast, tensor

from .named import Named, maker
from .schedules import LearningRate, as_schedule

Tensors = dict[str, Tensor]
State = dict[str, Any]

TRANSFORMATIONS: dict[str, Callable[..., Transformation]] = {}
"""Makers of transformations by name."""

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {}
"""Makers of optimizers by name; each takes `learning_rate` first."""

COMBINATIONS: dict[str, Callable[..., Optimizer]] = {}
"""Makers of optimizers from transformations and other optimizers, by name."""

MAKES, SETTLES, DECIDES, LOOKS = range(4)
"""What a transformation is to the new values of the parameters; see `Transformation.stage`."""


class Context:
    """What a transformation may look at besides gradients and its own state.

    Args:
        parameters: current values, by name.
        step: steps taken before this one, a whole number of shape ().
        scales: factors that the updates must be multiplied with, as functions of t.
        rates: factors of the whole chain; their product is the learning rate, negative.
        loss: of the batch, where it is known.
        penalties: what the transformations before this one add to it.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        step: Tensor,
        scales: Sequence[Callable[[Tensor], Tensor]] = (),
        rates: Sequence[Callable[[Tensor], Tensor]] = (),
        loss: Tensor | None = None,
        penalties: Sequence[Tensor] = (),
    ) -> None:
        self.parameters = parameters
        self.step = step
        self.scales = tuple(scales)
        self.rates = tuple(rates)
        self.loss = loss
        self.penalties = tuple(penalties)

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

    def losses(self, name: str) -> tuple[Tensor, Tensor]:
        """The loss of the batch, alone and with all penalties.

        Args:
            name: of the transformation that asks, for the message.

        Raises:
            ValueError: the loss was not given.
        """
        if self.loss is None:
            raise ValueError(
                f"{name} compares losses, and received none; give Optimizer.update the loss of "
                "the batch as loss=..."
            )
        return self.loss, functools.reduce(lambda a, b: a + b, self.penalties, self.loss)

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
        init: `parameters -> state`: by kind of state a dictionary by parameter name, or
            any other tree of arrays; empty where nothing is remembered.
        update: `(updates, state, context) -> (updates, new state)`. It multiplies
            its result with the scales of the context.
        scale: for one that only scales, instead of both: `t -> factor`.
        adds: the result is the incoming updates plus something, so that the scales
            may be applied to what comes in.
        stage: MAKES updates, SETTLES the new values of the parameters, DECIDES on them
            all by itself, or only LOOKS at them; the parts of a chain stand in this order.
        weights: `(state, parameters) -> parameters`, what the model shall hold when it
            is used, where these are not the values at which gradients are taken.
        penalty: `context -> value`, where the update adds the gradient of that value.
        full_batch: whether losses of different steps are compared, so that each must see
            all rows.
        loss: `state -> loss`, that of `weights`, where not each step is an advance.
        ended: `state -> reason`, why no further step will change anything; None while they do.
    """

    kind: ClassVar[str] = "transformation"
    init: Callable[[Mapping[str, Tensor]], State] = lambda parameters: {}
    update: Callable[[Tensors, State, Context], tuple[Tensors, State]] | None = None
    scale: Callable[[Tensor], Tensor] | None = None
    adds: bool = False
    stage: int = MAKES
    weights: Callable[[State, Mapping[str, Tensor]], Tensors] | None = None
    penalty: Callable[[Context], Tensor] | None = None
    full_batch: bool = False
    loss: Callable[[State], Tensor] | None = None
    ended: Callable[[State], str | None] | None = None


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
            of state, and mostly parameter.
        """
        found = {key: t.init(parameters) for key, t in self._keyed()}
        return {key: state for key, state in found.items() if state}

    def update(
        self,
        gradients: Mapping[str, Tensor],
        state: State,
        parameters: Mapping[str, Tensor],
        step: Any,
        loss: Tensor | None = None,
    ) -> tuple[Tensors, State]:
        """The change of each parameter in one step.

        Args:
            gradients: of the loss, by parameter name.
            state: what `init` or the last `update` gave; leaves are arrays or tensors.
            parameters: current values, by name.
            step: steps taken before this one, a whole number of shape ().
            loss: of the batch; needed where `full_batch`.

        Returns:
            What to add to each parameter, and the new state, in the state's form.
        """
        step = tensor(step)
        updates, new_state = dict(gradients), {}
        first, plan = self._plan()
        rates = [t.scale for t in self.transformations if t.scale is not None]
        context = Context(parameters, step, first, rates)
        updates = {k: times(context.scaled(1.0, g.dtype), g) for k, g in updates.items()}
        penalties: list[Tensor] = []
        for key, t, scales in plan:
            context = Context(parameters, step, scales, rates, loss, penalties)
            assert t.update is not None  # those that only scale have no place in the plan
            updates, kept = t.update(updates, state.get(key, {}), context)
            if kept:
                new_state[key] = kept
            if t.penalty is not None and self.full_batch:
                penalties.append(t.penalty(context))
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

    @property
    def has_weights(self) -> bool:
        """Whether the model is used with other weights than it is trained at."""
        return any(t.weights is not None for t in self.transformations)

    def weights(self, state: State, parameters: Mapping[str, Tensor]) -> Tensors:
        """What the model shall hold when it is used: to predict, to be measured, to be saved.

        Args:
            state: what the last `update` gave.
            parameters: the values at which the next gradients will be taken.

        Returns:
            Values by name; the parameters where no part wants others.
        """
        found = dict(parameters)
        for key, t in self._keyed():
            if t.weights is not None:
                found = t.weights(state.get(key, {}), found)
        return found

    @property
    def full_batch(self) -> bool:
        """Whether it compares the losses of different steps, so that each must see all rows."""
        return any(t.full_batch for t in self.transformations)

    def loss(self, state: State, loss: Tensor) -> Tensor:
        """The loss of what the model is used with, as far as this rule knows it.

        Args:
            state: what the last `update` gave.
            loss: of the batch at the parameters before it, which is the answer where no part
                knows better.
        """
        for key, t in self._keyed():
            if t.loss is not None:
                loss = t.loss(state[key])
        return loss

    def ended(self, state: State) -> str | None:
        """Why no further step will change anything; None while they do."""
        reasons = [t.ended(state[key]) for key, t in self._keyed() if t.ended is not None]
        return next(filter(None, reasons), None)

    def _keyed(self) -> list[tuple[str, Transformation]]:
        """The transformations with a name for each that is its own."""
        names = [t.name for t in self.transformations]
        return [
            (t.name if names.count(t.name) == 1 else f"{t.name}_{names[:i].count(t.name)}", t)
            for i, t in enumerate(self.transformations)
        ]

    def _plan(self) -> tuple[list[Any], list[tuple[str, Transformation, list[Any]]]]:
        """Who applies which scales: the scales of the gradients, then those of each part.

        From the last to the first: a scale waits for someone to take it. One that
        adds applies it to what it adds, and lets it wait on.
        """
        waiting: list[Any] = []
        plan = []
        for key, t in reversed(self._keyed()):
            if t.scale is not None:
                waiting = [t.scale, *waiting]
                continue
            plan.append((key, t, waiting))
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


@maker(TRANSFORMATIONS)
def scale_by_learning_rate(learning_rate: LearningRate) -> Transformation:
    """Multiplies by -rate(t): downhill.

    Args:
        learning_rate: a number, or a schedule.
    """
    schedule = as_schedule(learning_rate)
    return Transformation(scale=lambda t: -schedule(t))
