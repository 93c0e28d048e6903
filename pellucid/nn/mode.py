"""What surrounds a forward pass: training mode, updates of state, calls watched.

Each is a context entered by whoever runs the model; a layer asks, and never knows
who is there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pellucid.core.node import is_tracing
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

_training: ContextVar[bool] = ContextVar("training", default=False)
_updates: ContextVar[dict[Cell, Tensor] | None] = ContextVar("updates", default=None)
_calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)


def is_training() -> bool:
    """Whether layers behave as in training (dropout drops) or as in use (the default)."""
    return _training.get()


@contextlib.contextmanager
def training_mode(on: bool = True) -> Iterator[None]:
    """Within it layers behave as in training.

    Args:
        on: False for the behavior in use, within an outer training mode.

    Example:
        >>> from pellucid import nn
        >>> with nn.training_mode():
        ...     nn.is_training()
        True
        >>> nn.is_training()
        False
    """
    token = _training.set(on)
    try:
        yield
    finally:
        _training.reset(token)


@contextlib.contextmanager
def collect_updates() -> Iterator[dict[Cell, Tensor]]:
    """Within it new values of state are gathered instead of assigned.

    Yields:
        A dictionary from the cell of each state to its new value, complete once
        the forward pass is over. A state set twice keeps the last value.
    """
    found: dict[Cell, Tensor] = {}
    token = _updates.set(found)
    try:
        yield found
    finally:
        _updates.reset(token)


def set_state(state: Tensor, new_value: Tensor) -> None:
    """Give state a new value: at once in eager mode, at the step's end where collected."""
    cell = state.node.cell
    if cell is None or cell.tracked:
        raise TypeError("only state can be updated in a forward pass; make it with nn.state")
    if new_value.shape != state.shape:
        raise ValueError(
            f"state {cell.name!r} has shape {state.shape}, "
            f"received a new value of shape {new_value.shape}"
        )
    new_value = new_value.astype(state.dtype)
    collector = _updates.get()
    if collector is not None:
        collector[cell] = new_value
    elif is_tracing():
        raise RuntimeError(
            f"state {cell.name!r} is updated in a traced function whose updates nobody "
            "collects; enter nn.collect_updates() around the model's call"
        )
    else:
        cell.assign(new_value.numpy())


@dataclass(eq=False)
class Call:
    """One call of a layer, seen by `watch_calls`.

    Attributes:
        module: the layer.
        depth: calls around it.
        inputs: what it was given.
        output: what it returned; None while it runs, or if it failed.
    """

    module: Module
    depth: int
    inputs: tuple[Any, ...]
    output: Any = None


@contextlib.contextmanager
def watch_calls() -> Iterator[list[Call]]:
    """Within it every call of a layer is noted, in the order in which they begin.

    Yields:
        The list of calls, filled as they happen.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> with nn.watch_calls() as calls:
        ...     _ = nn.Sequential(nn.ReLU(), nn.Tanh())(pe.tensor([[1.0]]))
        >>> [call.module for call in calls[1:]]
        [ReLU(), Tanh()]
    """
    calls: list[Call] = []
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


_depth: ContextVar[int] = ContextVar("depth", default=0)


@contextlib.contextmanager
def noted(module: Module, inputs: tuple[Any, ...]) -> Iterator[Call | None]:
    """Notes a call for whoever watches; used by `Module.__call__`."""
    calls = _calls.get()
    if calls is None:
        yield None
        return
    call = Call(module, _depth.get(), inputs)
    calls.append(call)
    token = _depth.set(call.depth + 1)
    try:
        yield call
    finally:
        _depth.reset(token)
