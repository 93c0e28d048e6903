"""What "adam" and "sgd" mean to scikit-learn: rules of learning, and the rate of every step.

Rates are worked out in float64 outside the compiled steps, which receive one number each:
other rates, and rates that depend on how learning goes, need no new program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, absolute, sqrt, tensor, where
from pellucid.optim import Context, Transformation

Tensors = dict[str, Tensor]

_NOTHING = {np.dtype(np.float32): 2.0**-100, np.dtype(np.float64): 2.0**-1000}
"""Sizes at which a mean that only decays becomes 0: denormal numbers slow a processor down."""


def _zeros(parameters: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: np.zeros(p.shape, p.dtype) for name, p in parameters.items()}


def _settled(mean: Tensor) -> Tensor:
    return where(absolute(mean) < _NOTHING[mean.dtype], 0.0, mean)


def adam_moments(beta_1: float, beta_2: float, epsilon: float) -> Transformation:
    """m / (sqrt(v) + epsilon), with m and v the running means of gradients and their squares.

    m' = beta_1 m + (1 - beta_1) g and v' = beta_2 v + (1 - beta_2) g^2. The means start at
    0; what corrects that is part of the rate (see `Rates`), so that epsilon is not
    corrected. `optim.adam` corrects before it adds epsilon.
    """

    def update(updates: Tensors, state: dict[str, Any], context: Context) -> Any:
        new, means, squares = {}, {}, {}
        for name, g in updates.items():
            m = _settled(beta_1 * tensor(state["m"][name]) + (1.0 - beta_1) * g)
            v = _settled(beta_2 * tensor(state["v"][name]) + (1.0 - beta_2) * g * g)
            new[name] = context.scaled(1.0, g.dtype) * m / (sqrt(v) + epsilon)
            means[name], squares[name] = m, v
        return new, {"m": means, "v": squares}

    return Transformation(
        init=lambda parameters: {"m": _zeros(parameters), "v": _zeros(parameters)}, update=update
    )


def velocity(momentum: float, nesterov: bool) -> Transformation:
    """v' = momentum v + u for the scaled gradients u = -rate g, or u + momentum v' (Nesterov)."""

    def update(updates: Tensors, state: dict[str, Any], context: Context) -> Any:
        new = {
            name: _settled(momentum * tensor(state["v"][name]) + u) for name, u in updates.items()
        }
        found = {name: u + momentum * new[name] for name, u in updates.items()} if nesterov else new
        return found, {"v": new}

    return Transformation(init=lambda parameters: {"v": _zeros(parameters)}, update=update)


@dataclass
class Rates:
    """The learning rate of every step of "adam" and "sgd".

    Attributes:
        solver: "adam": initial sqrt(1 - beta_2^t) / (1 - beta_1^t), t counting from 1; else
            as `schedule` says.
        schedule: "constant", "invscaling" or "adaptive".
        initial: the first rate.
        power: of "invscaling": initial / (rows seen + 1)^power, from the second epoch on.
        beta_1: of "adam".
        beta_2: of "adam".
        steps: taken so far.
        current: the rate of the next epoch of "sgd".
    """

    solver: str
    schedule: str
    initial: float
    power: float
    beta_1: float
    beta_2: float
    steps: int = 0
    current: float = 0.0

    def __post_init__(self) -> None:
        self.current = self.initial

    def ahead(self, epochs: int, steps: int, rows: int, seen: int) -> np.ndarray:
        """The rates of the next epochs.

        Args:
            epochs: how many.
            steps: of each epoch.
            rows: of each epoch.
            seen: rows seen before.

        Returns:
            float64 (epochs * steps,).
        """
        if self.solver == "adam":
            t = np.arange(self.steps + 1, self.steps + epochs * steps + 1, dtype=np.float64)
            return self.initial * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        rates = np.full(epochs, self.current)
        if self.schedule == "invscaling":
            later = seen + rows * np.arange(1, epochs) + 1.0
            rates[1:] = self.initial / later**self.power
        return np.repeat(rates, steps)

    def advance(self, epochs: int, steps: int, seen: int) -> None:
        """Note the end of epochs, after which so many rows have been seen."""
        self.steps += epochs * steps
        if self.solver == "sgd" and self.schedule == "invscaling":
            self.current = self.initial / (seen + 1.0) ** self.power

    def lower(self) -> bool:
        """Divide an adaptive rate by 5; False where it is small enough, or not adaptive."""
        if self.solver != "sgd" or self.schedule != "adaptive" or self.current <= 1e-6:
            return False
        self.current /= 5.0
        return True
