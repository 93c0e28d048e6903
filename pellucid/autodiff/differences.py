"""Numeric derivatives: differences of values, with the error that the step brings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, tensor

STEP = 1e-6
"""h, where none is given."""

UNIT = 2.0**-53
"""Half a unit in the last place of a float64 number near 1: what one rounding may change."""


@dataclass(frozen=True)
class Differences:
    """A derivative found by differences, and how far it may be off.

    A long step cuts curvature off, a short one leaves few digits of the difference.

    Attributes:
        value: the quotients, in the argument's shape.
        truncation: estimate of what the step's length adds, by comparing with a step
            twice as long.
        rounding: what rounding may add if f itself is right to the last place.
        step: h.
        evaluations: how often f is evaluated for `value`; the estimate of the truncation
            takes about as many again.
    """

    value: np.ndarray
    truncation: np.ndarray
    rounding: np.ndarray
    step: float
    evaluations: int

    @property
    def error(self) -> np.ndarray:
        """Estimate of the whole error."""
        return self.truncation + self.rounding


def forward_difference(
    f: Callable[..., Any], *args: Any, argument: int = 0, step: float = STEP
) -> Differences:
    """The derivative of f by forward differences, (f(x + h) - f(x)) / h, in float64.

    The error of truncation falls with h, that of rounding grows with 1 / h; n numbers
    take n + 1 evaluations.

    Args:
        f: function of tensors that returns a single number.
        args: where to differentiate; numbers or arrays, taken as float64.
        argument: position of the argument to differentiate by.
        step: h.

    Returns:
        The quotients with their errors; see `Differences`.

    Raises:
        ValueError: f does not return a single number, or the step is not above 0.

    Example:
        >>> import pellucid as pe
        >>> found = pe.autodiff.forward_difference(lambda x: x * x, 3.0, step=1e-3)
        >>> print(f"{found.value:.4f}, off by {found.error:.1e}; {found.evaluations} evaluations")
        6.0010, off by 1.0e-03; 2 evaluations
    """
    return _differences(f, args, argument, step, central=False)


def central_difference(
    f: Callable[..., Any], *args: Any, argument: int = 0, step: float = STEP
) -> Differences:
    """The derivative of f by central differences, (f(x + h) - f(x - h)) / 2h, in float64.

    The error of truncation falls with the square of h, that of rounding grows with
    1 / h; n numbers take 2 n evaluations.

    Args:
        f: function of tensors that returns a single number.
        args: where to differentiate; numbers or arrays, taken as float64.
        argument: position of the argument to differentiate by.
        step: h.

    Returns:
        The quotients with their errors; see `Differences`.

    Raises:
        ValueError: f does not return a single number, or the step is not above 0.

    Example:
        >>> import pellucid as pe
        >>> found = pe.autodiff.central_difference(lambda x: x * x * x, 2.0, step=1e-3)
        >>> print(f"{found.value:.6f}, off by {found.error:.1e}; {found.evaluations} evaluations")
        12.000001, off by 1.0e-06; 2 evaluations
    """
    return _differences(f, args, argument, step, central=True)


def as_points(args: tuple[Any, ...]) -> list[np.ndarray]:
    """The arguments as float64 arrays."""
    return [np.array(a.numpy() if isinstance(a, Tensor) else a, np.float64) for a in args]


def single_number(value: Any) -> Tensor:
    """The value, which must have one element."""
    value = tensor(value)
    if value.size != 1:
        raise ValueError(
            f"a derivative needs a function with a single number as its result, "
            f"received shape {value.shape}; take a sum or a mean"
        )
    return value


def _differences(
    f: Callable[..., Any], args: tuple[Any, ...], argument: int, step: float, *, central: bool
) -> Differences:
    if not step > 0:
        raise ValueError(f"the step of a difference must be above 0, received {step!r}")
    points = as_points(args)

    def at(index: tuple[int, ...], distance: float) -> tuple[float, float]:
        """The coordinate as float64 holds it after the move, and f there."""
        moved = [p.copy() for p in points]
        moved[argument][index] += distance
        value = float(single_number(f(*map(tensor, moved))).numpy().reshape(()))
        return float(moved[argument][index]), value

    shape = points[argument].shape
    near, far, rounding = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    start = None if central else single_number(f(*map(tensor, points))).numpy().item()
    for index in np.ndindex(shape):
        for h, quotients in ((step, near), (2 * step, far)):
            above, high = at(index, h)
            below, low = at(index, -h) if start is None else (float(points[argument][index]), start)
            distance = above - below  # not 2 h: x + h and x - h are rounded too
            quotients[index] = (high - low) / distance
            if h == step:
                rounding[index] = UNIT * (abs(high) + abs(low)) / distance
    # the error grows with h, or with its square: the longer step has two, or four, times as much
    truncation = np.abs(far - near) / (3 if central else 1)
    evaluations = 2 * near.size if central else near.size + 1
    return Differences(near, truncation, rounding, step, evaluations)
