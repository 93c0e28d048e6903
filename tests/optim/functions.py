"""Functions to be minimized by `fit`: a model whose prediction for its one row is the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pellucid as pe
from pellucid import nn, train
from pellucid.core.tensor import Tensor


class Function(nn.Module):
    """A function of one vector, which is the model's parameter."""

    def __init__(self, f: Callable[[Tensor], Tensor], start: Any, dtype: Any = np.float64) -> None:
        self.f = f
        self.w = pe.parameter(np.asarray(start, dtype), role="bias")

    def forward(self, x):
        return self.f(self.w).reshape(1) + 0.0 * x[:, 0]


def minimized(f, start, rule, steps, dtype=np.float64, **options):
    """Where so many steps lead, and the run."""
    model = Function(f, start, dtype)
    run = train.fit(
        model,
        np.zeros((1, 1)),
        np.zeros(1),
        loss=lambda prediction, target: prediction,
        optimizer=rule,
        epochs=steps,
        **options,
    )
    return model.w.numpy().astype(np.float64), run


def rosenbrock(w):
    return ((1 - w[:-1]) ** 2 + 100 * (w[1:] - w[:-1] * w[:-1]) ** 2).sum()


def beale(w):
    x, y = w[0], w[1]
    return (
        (1.5 - x + x * y) ** 2 + (2.25 - x + x * y * y) ** 2 + (2.625 - x + x * y * y * y) ** 2
    ).sum()


def powell(w):
    a, b, c, d = (w[i] for i in range(4))
    return ((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4).sum()


def ill_conditioned(w):
    return 0.5 * (pe.tensor(np.logspace(0, 4, w.shape[0])) * w * w).sum()


def wells(w):
    return 0.5 * (w * w * w * w - 16 * w * w + 5 * w).sum()


def barrier(w):
    """Infinite or not a number outside 0 < w < 1."""
    slopes = pe.tensor(np.arange(1.0, 1.0 + w.shape[0]))
    return (slopes * w - pe.log(1.0 - w) - 2 * pe.log(w)).sum()


def corners(w):
    """No derivative where it is least, 1 at w = 1 / 3."""
    w = w - 1.0 / 3.0
    return pe.where(w > 0.0, w, -2.0 * w).sum() + 1.0


# A function and where to start, by name.
PROBLEMS: dict[str, tuple[Callable[..., Any], Any]] = {
    "rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "rosenbrock of 10": (rosenbrock, np.tile([-1.2, 1.0], 5)),
    "rosenbrock of 50": (rosenbrock, np.tile([-1.2, 1.0], 25)),
    "ill-conditioned": (ill_conditioned, np.ones(10)),
    "beale": (beale, [1.0, 1.0]),
    "powell": (powell, [3.0, -1.0, 0.0, 1.0]),
    "wells": (wells, np.linspace(-1.0, 3.0, 8)),
    "barrier": (barrier, [0.5, 0.01, 0.99, 0.9]),
}
