"""Searches: rules that try points, compare their losses, and keep the best.

One step is one evaluation of the loss and its gradient, at the point that the parameters
hold. `searching` decides with its method whether the point is accepted, and lets the
parameters move on to the next one to be tried. Losses can be compared only where they are
the same function at every step: all rows in every batch, nothing random in the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from pellucid.core.functions import absolute_is_finite, concatenate
from pellucid.core.tensor import Tensor, absolute, cast, max, promote, reshape, tensor, where
from pellucid.core.tree import map_tree

from .named import check_number
from .transform import DECIDES, Context, Optimizer, State, Tensors, Transformation

BEGINS, SEARCHES, CONVERGED, STUCK = range(4)
"""How far a search is; the last two are its ends."""

Memory = dict[str, Any]
"""What a method remembers: a tree of tensors, of arrays at the start."""


@dataclass(frozen=True)
class Point:
    """A point at which loss and gradient are known.

    Attributes:
        at: all parameters, one after another (n,).
        value: the loss there, with all penalties, ().
        slope: its gradient (n,).
    """

    at: Tensor
    value: Tensor
    slope: Tensor


class Method(Protocol):
    """What a search decides by. All its functions are traced: choices are made by `where`."""

    def start(self, at: np.ndarray) -> Memory:
        """What it remembers, before the first step from a point."""

    def accepts(self, trial: Point, best: Point, memory: Memory) -> Tensor:
        """Whether the point that was tried takes the place of the best one."""

    def move(
        self, trial: Point, before: Point, best: Point, accepted: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory, Tensor]:
        """Where to go from here.

        Args:
            trial: the point that was tried.
            before: the best point before it; in the first step the trial itself.
            best: the best point now.
            accepted: whether that is the trial.
            memory: what was remembered.

        Returns:
            The next point to try, what to remember, and whether there is none better.
        """


def searching(method: Method, name: str, tolerance: float) -> Optimizer:
    """An optimizer that tries points.

    Args:
        method: chooses and accepts them.
        name: of the optimizer.
        tolerance: the search ends where no element of the gradient is above it.
    """
    search = _Search(method, name, check_number("tolerance", tolerance))
    part = Transformation(
        init=search.init,
        update=search.update,
        weights=lambda state, parameters: _parts(tensor(state["at"]), parameters),
        loss=lambda state: tensor(state["loss"]),
        ended=search.ended,
        stage=DECIDES,
        full_batch=True,
        name=name,
    )
    return Optimizer((part,))


@dataclass(frozen=True)
class _Search:
    """What every search does, whatever its method; see `searching`."""

    method: Method
    name: str
    tolerance: float

    def init(self, parameters: Mapping[str, Tensor]) -> State:
        dtype = promote(*(p.dtype for p in parameters.values()))
        at = np.concatenate([p.numpy().astype(dtype).ravel() for p in parameters.values()])
        return {
            "at": at,
            "slope": np.zeros_like(at),
            "value": np.zeros((), dtype),
            "loss": np.zeros((), dtype),
            "status": np.asarray(BEGINS, np.uint32),
            "method": self.method.start(at),
        }

    def update(self, updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        old = map_tree(tensor, state)
        dtype = old["at"].dtype
        loss, value = (cast(v, dtype) for v in context.losses(self.name))
        at = _flat({name: context.parameters[name] for name in updates}, dtype)
        trial = Point(at, value, _flat(updates, dtype))
        best = Point(old["at"], old["value"], old["slope"])
        first, over = old["status"] == BEGINS, old["status"] > SEARCHES

        finite = absolute_is_finite(trial.value) & absolute_is_finite(max(absolute(trial.slope)))
        accepted = finite & self.method.accepts(trial, best, old["method"])
        accepted = (accepted | first) & ~over
        before = _either(first, trial, best)
        best = _either(accepted, trial, best)
        following, memory, stuck = self.method.move(trial, before, best, accepted, old["method"])

        flat = max(absolute(best.slope)) <= self.tolerance
        status = cast(where(flat, CONVERGED, where(stuck, STUCK, SEARCHES)), np.uint32)
        status = where(over, old["status"], status)
        following = where(status > SEARCHES, best.at, following)
        return _parts(following - trial.at, updates), {
            "at": best.at,
            "slope": best.slope,
            "value": best.value,
            "loss": where(accepted, loss, old["loss"]),
            "status": status,
            "method": map_tree(partial(where, over), old["method"], memory),
        }

    def ended(self, state: State) -> str | None:
        status = int(tensor(state["status"]).item())
        if status == STUCK:
            return f"{self.name} found no lower loss"
        return f"no gradient is above {self.tolerance:g}" if status == CONVERGED else None


def _flat(values: Tensors, dtype: np.dtype) -> Tensor:
    """Tensors as one vector."""
    return concatenate([reshape(cast(t, dtype), (-1,)) for t in values.values()])


def _parts(vector: Tensor, like: Mapping[str, Tensor]) -> Tensors:
    """The parts of a vector, by name, in the shapes and dtypes of others."""
    parts, start = {}, 0
    for name, t in like.items():
        parts[name] = cast(reshape(vector[start : start + t.size], t.shape), t.dtype)
        start += t.size
    return parts


def _either(condition: Tensor, one: Point, other: Point) -> Point:
    return Point(
        where(condition, one.at, other.at),
        where(condition, one.value, other.value),
        where(condition, one.slope, other.slope),
    )
