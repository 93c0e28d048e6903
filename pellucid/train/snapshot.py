"""What a run consists of: taken out of it for a checkpoint, and put back to go on.

That is every cell that its steps read or change, how many of them were taken, the
figures of the epoch under way, the history, and what callbacks remember. Orders of
rows and random numbers follow from the seed and the number of the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pellucid.core.node import topological
from pellucid.core.storage import Cell
from pellucid.files.quoting import quoted

from .callbacks import Callback
from .checkpoint import CheckpointError, Snapshot
from .fingerprint import difference
from .loop import Loop
from .run import INTERRUPTED, Run
from .step import TrainingState


class Parts(NamedTuple):
    """What a run is made of.

    Attributes:
        run: what the user will get.
        loop: takes the steps.
        state: what they change.
        figures: adds up the epoch under way, in `sums`.
        callbacks: in order.
    """

    run: Run
    loop: Loop
    state: TrainingState
    figures: Any
    callbacks: Sequence[Callback]


def cells_by_name(parts: Parts) -> dict[str, Cell]:
    """Every cell that a step reads or changes, those of the model by their place in it."""
    model = parts.state.model
    found = {
        f"model.{name}": t.node.cell
        for name, t in (model.parameters() | model.states()).items()
        if t.node.cell is not None
    }
    known = {id(cell) for cell in found.values()}
    step = parts.loop.step(parts.loop.batch).computation
    nodes = topological(step.results)
    others = [*(cell for cell, _ in step.updates), *(node.cell for node in nodes)]
    for cell in others:
        if cell is None or id(cell) in known:
            continue
        known.add(id(cell))
        name = f"training.{cell.name}"
        while name in found:
            name += "'"
        found[name] = cell
    return found


def taken(parts: Parts, fingerprint: Mapping[str, str]) -> Snapshot:
    """The run as it is now, between two steps."""
    run = parts.run
    arrays = {f"cells.{name}": np.array(c.value) for name, c in cells_by_name(parts).items()}
    arrays |= {f"history.{name}": np.array(column) for name, column in run.history.items()}
    if _is_within_an_epoch(parts):
        arrays["figures"] = np.array(parts.figures.sums)
    about = {
        "fingerprint": dict(fingerprint),
        "steps": parts.loop.done,
        "seconds": run.seconds,
        "stopped": run.stopped,
        "ended": run.stopped not in (None, INTERRUPTED),
        "all": run.stopped == run.all_epochs,
        "callbacks": [
            _taken_apart(callback.state(), f"callbacks.{number}", arrays)
            for number, callback in enumerate(_remembering(parts))
        ],
    }
    return Snapshot(arrays, about)


def _remembering(parts: Parts) -> list[Callback]:
    return [callback for callback in parts.callbacks if callback.keeps_state]


def _is_within_an_epoch(parts: Parts) -> bool:
    return bool(parts.loop.done % parts.loop.steps_per_epoch)


def put_back(parts: Parts, snapshot: Snapshot, fingerprint: Mapping[str, str]) -> None:
    """Put the run to where it was; after an error it is untouched.

    Args:
        parts: of the run, before its first step.
        snapshot: where it shall be.
        fingerprint: of the run.

    Raises:
        CheckpointError: the snapshot is of another run, or contradicts itself.
    """
    arrays, about = snapshot
    differs = difference(fingerprint, _typed(about, "fingerprint", dict))
    if differs is not None:
        raise CheckpointError(
            f"the run in it is another one: {differs}; give the same arguments and data, or "
            "another file to begin anew"
        )
    run, loop = parts.run, parts.loop
    steps = _typed(about, "steps", int)
    if not 0 <= steps <= loop.total:
        raise CheckpointError(
            f"the run in it has taken {quoted(steps)} steps, epochs={run.epochs} asks for "
            f"{loop.total}; give at least as many epochs"
        )
    cells = cells_by_name(parts)
    values = [_array(arrays, f"cells.{n}", c.value.shape, c.value.dtype) for n, c in cells.items()]
    if int(arrays["cells.training.step"]) != steps % 2**32:
        raise CheckpointError(f"it lacks the values after {steps} steps")
    epochs, within = divmod(steps, loop.steps_per_epoch)
    columns = [
        _array(arrays, f"history.{name}", (epochs,), np.array(column).dtype)
        for name, column in run.history.items()
    ]
    sums = _array(arrays, "figures", loop.record_shape, np.float64) if within else 0.0
    seconds, stopped = _typed(about, "seconds", int | float), about.get("stopped")
    if stopped is not None and not isinstance(stopped, str):
        raise CheckpointError("why it stopped is no text")
    if len(_typed(about, "callbacks", list)) != len(_remembering(parts)):
        raise CheckpointError("it lacks what a callback remembered")

    for cell, value in zip(cells.values(), values, strict=True):
        cell.value[...] = value
    loop.done = loop.begun = run.steps = steps
    parts.figures.sums = sums
    run.history.extend(np.column_stack(columns))
    run.seconds = float(seconds)
    if about.get("ended") and not (about.get("all") and steps < loop.total):
        run.stop(str(stopped))
    elif steps == loop.total:
        run.stop(run.all_epochs)


def put_back_callbacks(parts: Parts, snapshot: Snapshot) -> None:
    """Give callbacks, which have begun by now, what they remembered.

    Raises:
        CheckpointError: one cannot go on from it.
    """
    for callback, tree in zip(_remembering(parts), snapshot.about["callbacks"], strict=True):
        try:
            callback.restore(_put_together(tree, snapshot.arrays))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise CheckpointError(
                f"{type(callback).__name__} cannot go on from what it remembered: {error}"
            ) from error


def _typed(about: Mapping[str, Any], name: str, kind: Any) -> Any:
    value = about.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise CheckpointError(f"it lacks {name}")
    return value


def _array(
    arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...], dtype: Any
) -> np.ndarray:
    if name not in arrays:
        raise CheckpointError(f"it lacks {name}")
    array = arrays[name]
    if array.shape != shape or array.dtype != dtype:
        raise CheckpointError(
            f"{name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
        )
    return array


# -- what a callback remembers, as JSON values beside arrays --------------------------------


def _taken_apart(tree: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """The tree as JSON values; arrays are named in it, and added to the others."""
    if isinstance(tree, np.ndarray):
        arrays[name] = tree
        return {"array": name}
    if isinstance(tree, Mapping):
        if not all(isinstance(key, str) for key in tree):
            raise TypeError(f"what a callback remembers goes by names, received {list(tree)}")
        return {"map": {k: _taken_apart(v, f"{name}.{k}", arrays) for k, v in tree.items()}}
    if isinstance(tree, list | tuple):
        return [_taken_apart(v, f"{name}.{i}", arrays) for i, v in enumerate(tree)]
    if tree is None or isinstance(tree, bool | int | float | str):  # NumPy's float64 is a float
        return tree
    if isinstance(tree, np.number | np.bool_):
        return tree.item()
    raise TypeError(
        "a callback can remember numbers, texts, arrays, lists and dictionaries of these in a "
        f"checkpoint, received {tree!r}"
    )


def _put_together(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_put_together(v, arrays) for v in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]].copy()  # what was read from a file cannot be written to
    return {key: _put_together(v, arrays) for key, v in tree["map"].items()}
