"""Gradients of several batches put together for one step of a rule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, tensor, where
from pellucid.core.tree import map_tree

from .chain import as_optimizer
from .named import check_count, maker
from .transform import (
    COMBINATIONS,
    DECIDES,
    Context,
    Optimizer,
    State,
    Tensors,
    Transformation,
    zeros_like,
)


@maker(COMBINATIONS)
def accumulate(rule: Any, steps: int = 4) -> Optimizer:
    """Applies a rule once for every few batches, to the mean of their gradients.

    With batches of equal size it is the rule on a batch so many times larger, to
    rounding, in the memory of a small one. In the steps between, neither parameters nor
    the rule's state change; the rule counts its own steps, and so do its schedules.
    Gradients left over at the end of a run are not applied. Put penalties and limits into
    the rule, where they act once for each of its steps.

    Args:
        rule: an optimizer, or its name.
        steps: number of batches for each step of the rule.

    Raises:
        ValueError: steps is no whole number of at least 1, or the rule needs all rows at once.

    Example:
        >>> from pellucid import optim
        >>> rule = optim.accumulate(optim.sgd(0.1, clip_norm=1.0), steps=8)
        >>> rule.transformations[0].arguments["steps"]
        8
    """
    inner, steps = as_optimizer(rule), check_count("steps", steps)
    if inner.full_batch:
        raise ValueError(
            f"{inner.name} compares losses of all rows; accumulate takes parts of them"
        )

    def init(parameters: Mapping[str, Tensor]) -> State:
        return {
            "sum": zeros_like(parameters),
            "seen": np.zeros((), np.uint32),
            "taken": np.zeros((), np.uint32),
            "rule": inner.init(parameters),
        }

    def update(updates: Tensors, state: State, context: Context) -> tuple[Tensors, State]:
        seen, taken = tensor(state["seen"]), tensor(state["taken"])
        due = seen == steps - 1
        sums = {name: tensor(state["sum"][name]) + g for name, g in updates.items()}
        means = {name: total * (1.0 / steps) for name, total in sums.items()}
        found, memory = inner.update(means, state["rule"], context.parameters, taken)
        return {name: where(due, u, 0.0) for name, u in found.items()}, {
            "sum": {name: where(due, 0.0, total) for name, total in sums.items()},
            "seen": where(due, 0, seen + 1),
            "taken": where(due, taken + 1, taken),
            "rule": map_tree(partial(where, due), memory, state["rule"]),
        }

    def weights(state: State, parameters: Mapping[str, Tensor]) -> Tensors:
        return inner.weights(state["rule"], parameters)

    accumulation = Transformation(
        init=init,
        update=update,
        weights=weights if inner.has_weights else None,
        stage=DECIDES,
        name="accumulate",
        arguments={"rule": inner, "steps": steps},
    )
    return Optimizer((accumulation,))


__test__ = {"accumulate": accumulate}  # an example that doctest runs
