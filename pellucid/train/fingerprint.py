"""What makes a run the run that it is: its arguments and its data, as short texts.

A run that is resumed must have the fingerprint of the run that was interrupted.
Functions count by their name, data by shape, dtype and the rows of a sample.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import compiler, nn

from .callbacks import Callback

SAMPLE = 256
"""Rows of which the values count."""


def fingerprint(
    arguments: Mapping[str, Any],
    sets: Mapping[str, Sequence[np.ndarray]],
    callbacks: Iterable[Callback],
) -> dict[str, str]:
    """Texts that differ where runs differ, by what they tell of.

    Args:
        arguments: of the run, by name.
        sets: X, y, and weights if there are any, by the name of the set.
        callbacks: those of the run; the ones that keep no state do not count.
    """
    found = {name: _text(value) for name, value in arguments.items()}
    for name, arrays in sets.items():
        for part, array in zip(("X", "y", "sample_weight"), arrays, strict=False):
            called = f"{name} {part}".strip()
            found[called] = f"{array.dtype} {array.shape}"
            found[f"the values of {called}"] = _digest(array)
    kept = [c for c in callbacks if c.keeps_state]
    found["callbacks"] = ", ".join(f"{type(c).__name__}({_settings(c)})" for c in kept)
    found["arithmetic"] = "compiled" if compiler.can_compile() else "reference"
    return found


def difference(ours: Mapping[str, str], theirs: Mapping[str, Any]) -> str | None:
    """The first thing in which two fingerprints differ, in words; None if they do not.

    Args:
        ours: of the run that asks.
        theirs: of the run in the file.
    """
    for name in [*ours, *(theirs.keys() - ours.keys())]:
        here, there = ours.get(name, "none"), str(theirs.get(name, "none"))
        if here == there:
            continue
        if name.startswith("the values of"):
            return f"{name} are others than those it was begun with"
        place = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), 0)
        return f"it was begun with {name} {_cut(there, place)}, this one has {_cut(here, place)}"
    return None


def _text(value: Any) -> str:
    if isinstance(value, nn.Module):
        return _architecture(value)
    if hasattr(value, "description"):
        return json.dumps(value.description(), default=repr)
    return json.dumps(value, default=str)


def _architecture(model: nn.Module) -> str:
    try:
        described: Any = model.architecture()
    except nn.CannotSaveError:  # a function of the user's is in it
        described = type(model).__name__
    tensors = model.parameters() | model.states()
    shapes = {name: f"{t.dtype} {t.shape}" for name, t in tensors.items()}
    return json.dumps([described, shapes], default=str)


def _settings(callback: Callback) -> str:
    """What its constructor takes, where it is kept under the same name."""
    names = list(inspect.signature(type(callback).__init__).parameters)[1:]
    held = vars(callback)
    return ", ".join(f"{name}={held[name]!r}" for name in names if name in held)


def _digest(array: np.ndarray) -> str:
    """Of the values of a few rows, evenly spread, the first and the last among them."""
    rows = np.unique(np.linspace(0, len(array) - 1, SAMPLE).astype(np.int64))
    sample = np.ascontiguousarray(array[rows])
    return hashlib.sha256(sample.astype(sample.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _cut(text: str, place: int, before: int = 24, after: int = 36) -> str:
    """A long text around a place."""
    if len(text) <= before + after:
        return text
    first, last = max(0, place - before), place + after
    return f"{'...' if first else ''}{text[first:last]}{'...' if last < len(text) else ''}"
