"""How good a model is on rows with known targets, in words and figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.train import evaluate

from .data import Rows
from .recipe import Recipe


def score(model: nn.Module, recipe: Recipe, rows: Rows) -> dict[str, float | None]:
    """Figures of a model on rows.

    Args:
        model: the model.
        recipe: its recipe.
        rows: inputs and targets.

    Returns:
        `rows`; for classes `loss`, `accuracy`, `correct`, `roc_auc` (the area under the ROC
        curve; of several classes the mean, each against the rest; None where all rows are
        of one class) and `f1` of the second of two classes, or `f1_macro`, the mean of
        those of several; for quantities, in their own
        units, `rmse` (the root of the mean squared error), `mae` (the mean absolute
        error) and `r2` (the share of the variance that is explained).
    """
    answers = recipe.answers(model, rows)  # each of them a number, or it is told
    X, y = recipe.inputs(rows), recipe.targets(rows)
    if recipe.labels:
        f1 = "f1" if len(recipe.labels) == 2 else "f1_macro"
        found = evaluate(model, X, y, metrics=["accuracy", f1, "roc_auc"])
        if math.isnan(found["roc_auc"]):
            found["roc_auc"] = None
        return {"rows": len(X), **found, "correct": round(found["accuracy"] * len(X))}
    true = recipe.quantities(y)
    apart = answers - true
    spread = float(((true - true.mean(axis=0)) ** 2).sum())
    return {
        "rows": len(X),
        "rmse": float(np.sqrt((apart**2).mean())),
        "mae": float(np.abs(apart).mean()),
        "r2": 1.0 - float((apart**2).sum()) / spread if spread else 0.0,
    }


def describe(figures: dict[str, Any]) -> str:
    """Figures as a line."""
    if "accuracy" in figures:
        f1 = f"F1 {figures['f1']:.4f}" if "f1" in figures else f"mean F1 {figures['f1_macro']:.4f}"
        area = "" if figures["roc_auc"] is None else f", ROC AUC {figures['roc_auc']:.4f}"
        return (
            f"{figures['accuracy']:.2%} right ({figures['correct']:,} of {figures['rows']:,}), "
            f"loss {figures['loss']:.4f}, {f1}{area}"
        )
    return (
        f"typical error (RMSE) {figures['rmse']:.5g}, mean absolute error {figures['mae']:.5g}, "
        f"R2 {figures['r2']:.4f} on {figures['rows']:,} rows"
    )
