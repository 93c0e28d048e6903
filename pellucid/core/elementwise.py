"""Rows of the table: one value in, one value out, at each position.

Derivatives are `lambda g, ans, *inputs: cotangent`, one per input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .node import Node, define
from .tensor import broadcast_to, cast, cos, exp, log, sin, tensor, where

BOOL = np.dtype(bool)


def _same(*inputs: Node) -> tuple[tuple[int, ...], np.dtype]:
    first = inputs[0]
    for other in inputs[1:]:
        if other.shape != first.shape or other.dtype != first.dtype:
            raise ValueError(f"an elementwise operation needs equal operands, received {inputs}")
    return first.shape, first.dtype


def _to_bool(*inputs: Node) -> tuple[tuple[int, ...], np.dtype]:
    return _same(*inputs)[0], BOOL


def _where_rule(condition: Node, x: Node, y: Node) -> tuple[tuple[int, ...], np.dtype]:
    _same(x, y)
    if condition.shape != x.shape or condition.dtype != BOOL:
        raise ValueError(f"where needs a boolean condition of shape {x.shape}: {condition}")
    return x.shape, x.dtype


def _full(value: float, like: Any) -> Any:
    return broadcast_to(tensor(value, like.dtype), like.shape)


def _zeros(like: Any) -> Any:
    return _full(0.0, like)


def unary(name: str, reference: Any, vjp: Any, rule: Any = _same) -> None:
    """A row with one input."""
    define(name, "elementwise", rule, reference, (vjp,))


def binary(name: str, reference: Any, vjp_x: Any, vjp_y: Any, rule: Any = _same) -> None:
    """A row with two inputs."""
    define(name, "elementwise", rule, reference, (vjp_x, vjp_y))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype)


def _erf(x: np.ndarray) -> np.ndarray:
    """Abramowitz and Stegun 7.1.6 for small x, Laplace's continued fraction for large."""
    z = np.abs(x.astype(np.float64))
    near = np.minimum(z, 2.2)
    series, term = near.copy(), near.copy()
    for n in range(1, 60):
        term = term * (2 * near * near) / (2 * n + 1)
        series = series + term
    series = series * np.exp(-near * near)
    fraction = np.zeros_like(z)
    safe = np.maximum(z, 1.0)
    for n in range(60, 0, -1):
        fraction = (n / 2) / (safe + fraction)
    tail = 1 - np.exp(-safe * safe) / (np.sqrt(np.pi) * (safe + fraction))
    value = np.where(z < 2.2, series * 2 / np.sqrt(np.pi), tail)
    return np.where(np.isnan(z), z, np.copysign(np.where(z > 30, 1.0, value), x)).astype(x.dtype)


def _cast(x: np.ndarray, dtype: str) -> np.ndarray:
    """Towards zero for whole numbers; beyond their range the nearest, and 0 for NaN."""
    target = np.dtype(dtype)
    if x.dtype.kind != "f" or target.kind not in "iu":
        return x.astype(target)
    limits = np.iinfo(target)
    low, high = x <= limits.min, x >= float(limits.max)
    inside = np.where(low | high | np.isnan(x), 0, x).astype(target)
    return np.where(low, limits.min, np.where(high, limits.max, inside)).astype(target)


def _relu(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0, np.zeros_like(x), x)  # NaN stays NaN


def _safe_log(x: Any) -> Any:
    return log(where(x > 0, x, 1.0))


def _half_at_tie(g: Any, x: Any, y: Any, wins: Any) -> Any:
    return where(wins, g, where(x == y, g * 0.5, _zeros(g)))


_2_SQRT_PI = 1.1283791670955126

unary("negative", np.negative, lambda g, ans, x: -g)
unary("exp", np.exp, lambda g, ans, x: g * ans)
unary("expm1", np.expm1, lambda g, ans, x: g * (ans + 1))
unary("log", np.log, lambda g, ans, x: g / x)
unary("log1p", np.log1p, lambda g, ans, x: g / (1 + x))
unary("sqrt", np.sqrt, lambda g, ans, x: g * 0.5 / ans)
unary("sin", np.sin, lambda g, ans, x: g * cos(x))
unary("cos", np.cos, lambda g, ans, x: -g * sin(x))
unary("tanh", np.tanh, lambda g, ans, x: g * (1 - ans * ans))
unary("sigmoid", _sigmoid, lambda g, ans, x: g * (ans * (1 - ans)))
unary("erf", _erf, lambda g, ans, x: g * (_2_SQRT_PI * exp(-x * x)))
unary("floor", np.floor, None)
unary(
    "absolute",
    np.abs,
    lambda g, ans, x: where(x > 0, g, where(x < 0, -g, _zeros(g))),
)
# max(x, 0) by its own row: the derivative reads the answer, so x need not be kept.
unary("relu", _relu, lambda g, ans, x: where(ans > 0, g, _zeros(g)))

binary("add", np.add, lambda g, ans, x, y: g, lambda g, ans, x, y: g)
binary("subtract", np.subtract, lambda g, ans, x, y: g, lambda g, ans, x, y: -g)
binary("multiply", np.multiply, lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)
binary("divide", np.divide, lambda g, ans, x, y: g / y, lambda g, ans, x, y: -g * ans / y)
binary(
    "power",
    np.power,
    lambda g, ans, x, y: where(y == 0, _zeros(g), g * y * x ** (y - 1)),
    lambda g, ans, x, y: g * ans * _safe_log(x),
)
binary(
    "maximum",
    np.maximum,
    lambda g, ans, x, y: _half_at_tie(g, x, y, x > y),
    lambda g, ans, x, y: _half_at_tie(g, x, y, x < y),
)
binary(
    "minimum",
    np.minimum,
    lambda g, ans, x, y: _half_at_tie(g, x, y, x < y),
    lambda g, ans, x, y: _half_at_tie(g, x, y, x > y),
)

binary("less", np.less, None, None, _to_bool)
binary("less_equal", np.less_equal, None, None, _to_bool)
binary("equal", np.equal, None, None, _to_bool)
binary("logical_and", np.logical_and, None, None)
binary("logical_or", np.logical_or, None, None)
unary("logical_not", np.logical_not, None)

define(
    "where",
    "elementwise",
    _where_rule,
    np.where,
    (
        None,
        lambda g, ans, c, x, y: where(c, g, _zeros(g)),
        lambda g, ans, c, x, y: where(c, _zeros(g), g),
    ),
)
define(
    "cast",
    "elementwise",
    lambda x, dtype: (x.shape, np.dtype(dtype)),
    _cast,
    (lambda g, ans, x, dtype: cast(g, x.dtype) if x.dtype.kind == "f" else None,),
)
define("stop_gradient", "elementwise", _same, lambda x: x, (None,))
# A name for a value that is like no other: what a derivative is taken with respect to.
define(
    "alias",
    "elementwise",
    lambda x, number: (x.shape, x.dtype),
    lambda x, number: x,
    (lambda g, ans, x, number: g,),
)
