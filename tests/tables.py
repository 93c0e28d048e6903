"""The rows of the tables that tests over primitives share: sizes, special values, fillings."""

from __future__ import annotations

import numpy as np

EDGES = (0, 1, 2, 15, 16, 17, 33, 100)
"""Lengths at which vectors of 16 and tiles of any size begin and end."""

SHAPES = (
    (),
    *((n,) for n in EDGES),
    (3, 0),
    (0, 3),
    (1, 1),
    (1, 17),
    (17, 1),
    (5, 15),
    (2, 16),
    (3, 33),
    (2, 1, 17),
    (2, 3, 5),
    (2, 1, 3, 2),
)

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 1e-30)

FLOATS = ("float32", "float64")
NUMBERS = (*FLOATS, "int32", "int64", "uint32")
ALL = (*NUMBERS, "bool")


def filled(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: object, low: float, high: float
) -> np.ndarray:
    """Random values: between the bounds where they are floating."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -20, 20, shape).astype(dtype)
    return rng.uniform(low, high, shape).astype(dtype)
