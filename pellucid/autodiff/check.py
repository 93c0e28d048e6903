"""Gradient checks: every derivative against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, tensor

from .transforms import vjp


def check_grads(
    f: Callable[..., Any],
    *args: Any,
    order: int = 2,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Check the derivatives of f along a random direction, in float64.

    Compares the gradient's component along a random direction v with the central
    difference (f(x + h v) - f(x - h v)) / 2h, then the same for the gradient
    itself as a function, up to the order asked for.

    Args:
        f: function of tensors that returns a tensor.
        args: where to check it; arrays or tensors, taken as float64.
        order: highest derivative to check.
        step: h.
        tolerance: greatest difference, relative to 1 + the sizes compared.
        seed: of the random directions.

    Raises:
        AssertionError: a derivative is wrong; the message shows both numbers.

    Example:
        >>> import pellucid as pe
        >>> pe.check_grads(lambda x: pe.tanh(x).sum(), pe.tensor([0.3, -1.0]))
    """
    rng = np.random.default_rng(seed)
    points = [np.array(a.numpy() if isinstance(a, Tensor) else a, np.float64) for a in args]
    _check(f, points, order, step, tolerance, rng, level=1)


def _check(
    f: Callable[..., Any],
    points: list[np.ndarray],
    order: int,
    step: float,
    tolerance: float,
    rng: np.random.Generator,
    level: int,
) -> None:
    shape = tensor(f(*map(tensor, points))).shape
    weights = tensor(rng.standard_normal(shape))
    direction = [rng.standard_normal(p.shape) for p in points]

    def scalar(*xs: Any) -> Tensor:
        return (tensor(f(*xs)) * weights).sum()

    def gradient_dot_direction(*xs: Any) -> Tensor:
        value, pull = vjp(scalar, *xs)
        parts = [(g * tensor(d)).sum() for g, d in zip(pull(tensor(1.0)), direction, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def along(h: float) -> float:
        moved = [tensor(p + h * d) for p, d in zip(points, direction, strict=True)]
        return float(scalar(*moved))

    numeric = (along(step) - along(-step)) / (2 * step)
    exact = float(gradient_dot_direction(*map(tensor, points)))
    scale = 1.0 + abs(numeric) + abs(exact)
    if not abs(numeric - exact) <= tolerance * scale:
        raise AssertionError(
            f"derivative of order {level}: backpropagation gives {exact:.9g} along a random "
            f"direction, the central difference with step {step:g} gives {numeric:.9g}"
        )
    if level < order:
        _check(gradient_dot_direction, points, order, step, tolerance, rng, level + 1)
