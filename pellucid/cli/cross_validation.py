"""Cross-validation: every row is measured on once, by a model that did not learn from it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from pellucid.core.random import seed_words
from pellucid.train.split import split_rows
from pellucid.train.tables import DataError

from .data import Rows
from .recipe import Recipe

_COUNTS = ("rows", "correct")


def cross_validate(
    one_fold: Callable[[int, Rows, Rows], dict[str, float | None]],
    rows: Rows,
    recipe: Recipe,
    folds: int,
    seed: int,
) -> dict[str, Any]:
    """Figures of each fold, their means and their standard deviations.

    Each class has its share of every fold, to within one row.

    Args:
        one_fold: trains on the first rows, and gives figures of the second; it is told which fold
            this is, counted from 1.
        rows: all of them.
        recipe: knows the classes.
        folds: how many.
        seed: of the draw.

    Returns:
        `folds` (a list of figures), `mean` and `std` (by name; deviations divide by
        folds - 1; a figure that a fold does not have is left out of them).

    Raises:
        DataError: there are fewer rows than folds.
    """
    if len(rows.X) < folds:
        raise DataError(f"{rows.name} has {len(rows.X)} rows, too few for {folds} folds")
    groups = recipe.targets(rows) if recipe.labels else np.zeros(len(rows.X), np.int32)
    parts = split_rows(groups, [Fraction(1, folds)] * folds, seed_words(seed))
    found = []
    for number, part in enumerate(parts, 1):
        kept = np.setdiff1d(np.arange(len(rows.X)), part)
        found.append(one_fold(number, rows.take(kept), rows.take(part)))
    mean, std = {}, {}
    for name in found[0]:
        values = [value for figures in found if (value := figures[name]) is not None]
        if name not in _COUNTS and values:
            mean[name] = float(np.mean(values))
            std[name] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"folds": found, "mean": mean, "std": std}


def describe_folds(result: dict[str, Any]) -> str:
    """The means and deviations, a line each."""
    lines = [f"cross-validation, {len(result['folds'])} folds: mean and standard deviation"]
    width = max(map(len, result["mean"]))
    for name, mean in result["mean"].items():
        lines.append(f"  {name.ljust(width)}  {mean:.4f} ± {result['std'][name]:.4f}")
    return "\n".join(lines)
