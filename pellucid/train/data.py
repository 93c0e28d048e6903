"""Rows, targets and weights as programs take them, and which rows are held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.random import seed_words

from . import checks
from .decision import CLASSES
from .mapped import blocks, is_mapped, is_used_in_place, selected
from .predict import output_shape
from .split import shares_of_rest, split_rows
from .step import learned_dtype

Rows = list[np.ndarray]
"""X, y, and the weights of the rows if there are any."""


def prepared(
    model: nn.Module, loss: nn.Loss, X: Any, y: Any, sample_weight: Any = None, of: str = ""
) -> Rows:
    """Rows and targets, checked and brought into the form that programs take.

    Args:
        model: the model that they are for.
        loss: the loss that they are for.
        X: inputs (rows, ...).
        y: targets (rows, ...).
        sample_weight: weights of the rows (rows,), or None.
        of: which rows they are, for messages; "" for those to train on.

    Returns:
        X of the model's dtype (a memory map in its own), y as the loss takes it, and the
        weights if there are any; all C-contiguous.
    """
    X_name, y_name, weight_name = (f"{of} {part}".strip() for part in ("X", "y", "sample_weight"))
    dtype = learned_dtype(model)
    X = checks.inputs(X, dtype, X_name)
    targets = checks.numeric(y, y_name)
    checks.same_length(X, targets, X_name, y_name)
    checks.finite(targets, y_name)
    try:
        shape = output_shape(model, X)
        with np.errstate(over="ignore"):
            y = _checked_targets(loss, targets, shape, dtype, y_name)
    except nn.LayerError as error:
        error.reason += f" (with {X_name})" if of else ""
        raise
    except ValueError as error:
        raise ValueError(f"{of}: {error}") if of else error from None
    if sample_weight is None:
        return [X, y]
    return [X, y, checks.weights(sample_weight, len(X), dtype, weight_name)]


_CAST_IN_STEPS = ("values", "counts", "probabilities")
"""Kinds of targets that a step converts by itself."""


def _checked_targets(
    loss: nn.Loss, targets: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, name: str
) -> np.ndarray:
    """Targets as the loss takes them; those in a file are looked at block by block."""
    kind = loss.target.name
    # which of two signs is meant, all rows say together
    in_blocks = is_mapped(targets) and kind != "signs"
    stays = in_blocks and kind in _CAST_IN_STEPS and is_used_in_place(targets)
    found: Any = None
    for first, block in blocks(targets) if in_blocks else [(0, targets)]:
        with checks.counted_from(first):
            part = np.ascontiguousarray(loss.check(block, shape, dtype))
        checks.finite(
            part, name, block.reshape(part.shape) if block.size == part.size else None, first
        )
        if not in_blocks:
            return part
        if found is None:
            form = len(targets), *part.shape[1:]
            found = targets.reshape(form) if stays else np.empty(form, part.dtype)
        if not stays:
            found[first : first + len(part)] = part
    return found


def with_class_weights(
    loss: nn.Loss, class_weight: Any, model: nn.Module, X: np.ndarray
) -> nn.Loss:
    """The loss with the weights of the classes."""
    if class_weight is None:
        return loss
    if loss.class_weights is None:
        raise ValueError(f"loss {loss.name} has no classes to weigh; use sample_weight")
    two = loss.target.name in ("probabilities", "signs")
    classes = 2 if two else output_shape(model, X)[-1]
    given = np.array(checks.class_weights(class_weight, classes))
    return loss.with_options(class_weight=checks.scaled(given, "class_weight"))


def divided(
    model: nn.Module, loss: nn.Loss, rows: Rows, validation: Any, seed: int
) -> tuple[Rows, dict[str, Rows]]:
    """What to train on, and the sets to measure on, by name.

    Args:
        model: the model.
        loss: its loss.
        rows: all that there are to train on.
        validation: None, a fraction of the rows to hold out, (X, y), (X, y, weights), or
            a mapping from names to such; without a name it is "val".
        seed: of the rows held out.
    """
    words = seed_words(seed)
    if validation is None:
        return rows, {}
    several = isinstance(validation, Mapping)
    sets: dict[str, Rows] = {}
    fractions: dict[str, float] = {}
    for name, given in validation.items() if several else [("val", validation)]:
        if not isinstance(name, str) or not name:
            raise TypeError(f"validation sets go by names, received {name!r}")
        called = f"validation {name!r}" if several else "validation"
        if not isinstance(given, tuple | list):
            fractions[name] = checks.fraction(given, called)
        elif len(given) in (2, 3):
            weights = given[2] if len(given) == 3 else None
            sets[name] = prepared(model, loss, given[0], given[1], weights, of=called)
        else:
            raise ValueError(
                f"{called} must be (X, y) or (X, y, sample_weight), received {len(given)} parts"
            )
    if fractions:
        rows, held_out = _held_out(rows, fractions, _strata(loss, rows[1]), words)
        sets |= held_out
    return rows, {name: sets[name] for name in (validation if several else sets)}


def _held_out(
    rows: Rows, fractions: Mapping[str, float], strata: np.ndarray, words: np.ndarray
) -> tuple[Rows, dict[str, Rows]]:
    """The rows that stay, and those of each fraction."""
    shares = shares_of_rest(list(fractions.values()))
    if shares[0] <= 0:
        raise ValueError(f"validation fractions {fractions} leave nothing to train on")
    kept, *others = split_rows(strata, shares, words)
    for fraction, part in zip(fractions.values(), others, strict=True):
        if not len(part) or not len(kept):
            raise ValueError(
                f"validation={fraction:g} of {len(strata)} rows leaves {len(kept)} to train on "
                f"and {len(part)} to measure on; both need at least one"
            )
    sets = {
        name: [selected(array, part) for array in rows]
        for name, part in zip(fractions, others, strict=True)
    }
    return [selected(array, kept) for array in rows], sets


def _strata(loss: nn.Loss, y: np.ndarray) -> np.ndarray:
    """What is divided evenly: the classes, where each row has one; else all rows alike."""
    if loss.target.name in CLASSES:
        if y.dtype.kind != "f" and y.ndim == 1:
            return y
        if loss.target.name == "classes" and y.ndim == 2:
            return y.argmax(axis=1)
        if y.size == len(y):
            return (y.reshape(-1) > 0.5).astype(np.int32)
    return np.zeros(len(y), np.int32)
