"""The rows that a workload trains on: real where they ship with a dependency, else random."""

from __future__ import annotations

import numpy as np

from .workloads import Workload

Rows = tuple[np.ndarray, np.ndarray]


def rows(workload: Workload) -> Rows:
    """Return features `(rows, *example)` in float32 and classes `(rows,)` in int64.

    Random features and classes cost the same arithmetic as real ones of that size.
    """
    if workload.name == "xor":
        patterns = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
        times = workload.rows // len(patterns)
        return np.tile(patterns, (times, 1)), np.tile(np.array([0, 1, 1, 0]), times)
    if workload.example == (64,):
        from sklearn.datasets import load_digits  # slow to load, and needed here only

        images, labels = load_digits(return_X_y=True)
        return (images / 16).astype(np.float32), labels.astype(np.int64)
    random = np.random.default_rng(0)
    x = random.random((workload.rows, *workload.example), dtype=np.float32)
    return x, random.integers(workload.classes, size=workload.rows)


def first_batch(workload: Workload, data: Rows) -> Rows:
    """Return the fixed batch on which a peer's bare step works."""
    x, y = data
    return x[: workload.batch].copy(), y[: workload.batch].copy()
