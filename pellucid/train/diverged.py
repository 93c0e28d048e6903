"""When a loss stops being a number: going back to the step where it happened.

A run repeats to the bit, so a copy of its values and the number of a step are
enough to see that step again, with every intermediate value.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.core.node import Node, topological
from pellucid.core.program import Computation

from .loop import Loop
from .mapped import blocks
from .programs import program
from .step import Step, TrainingState, cells_of, restore

if TYPE_CHECKING:
    from .run import Run

_COPY_SHARE = 0.01
"""Part of the time that copies of the values may take."""

_LARGE_INPUT = 100.0


class TrainingDiverged(FloatingPointError):
    """The loss or a parameter became NaN or infinite; the model keeps its last finite values.

    Attributes:
        step: the step at which it happened, counted from 1.
        epoch: its epoch, counted from 1.
        layer: name of the first layer, or parameter, whose values are not finite.
        run: the run up to there.
    """

    def __init__(self, message: str, step: int, epoch: int, layer: str) -> None:
        super().__init__(message)
        self.step = step
        self.epoch = epoch
        self.layer = layer
        self.run: Run | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the run: an error that cannot be sent hangs the pool of processes it is from."""
        return type(self), (str(self), self.step, self.epoch, self.layer)


class Guard:
    """Looks at what each slice recorded; goes back and explains when a loss is not finite.

    Args:
        loop: what runs the steps.
        state: what they change.
    """

    def __init__(self, loop: Loop, state: TrainingState) -> None:
        self.loop = loop
        self.state = state
        self._cells = state.cells
        self._learned = cells_of(state.model)
        for name, t in state.parameters.items():
            if not np.isfinite(t.numpy()).all():
                raise ValueError(f"parameter {name} of the model is not finite before training")
        self._factor = None if state.rate is None else state.rate.factor.value.item()
        self._copies = [np.empty_like(cell.value) for cell in self._cells]
        self._keep()

    def look(self, records: np.ndarray) -> None:
        """Check the steps just taken.

        Args:
            records: theirs.

        Raises:
            TrainingDiverged: a loss is not finite.
        """
        if not np.isfinite(records[:, 0]).all():
            raise self._explanation()
        if (time.perf_counter() - self._since) * _COPY_SHARE > self._cost:
            self.finish()
            self._keep()

    def follow_rate(self) -> None:
        """Start from here where a callback has changed the learning rate: steps repeat by it."""
        factor = None if self.state.rate is None else self.state.rate.factor.value.item()
        if factor != self._factor:
            self._factor = factor
            self.finish()
            self._keep()

    def finish(self) -> None:
        """Check the parameters.

        Raises:
            TrainingDiverged: one is not finite.
        """
        if not self._is_finite():
            raise self._explanation()

    def _keep(self) -> None:
        start = time.perf_counter()
        for copy, cell in zip(self._copies, self._cells, strict=True):
            np.copyto(copy, cell.value)
        self._at = self.loop.done
        self._since = time.perf_counter()
        self._cost = self._since - start

    def _is_finite(self) -> bool:
        return all(np.isfinite(cell.value).all() for cell in self._learned)

    def _go_to(self, step: int) -> int | None:
        """Take the run to where it was before a step; the first step with a bad loss on the way."""
        restore(self._cells, self._copies)
        self.loop.done = self._at
        while self.loop.done < step:
            first = self.loop.done
            wanted = self.loop.slice_length(step - first, one_epoch=False)
            bad = ~np.isfinite(self.loop.advance(wanted)[:, 0])
            if bad.any():
                return first + int(np.argmax(bad))
        return None

    def _culprit(self) -> int:
        """The first step whose loss, or whose new parameters, are not finite."""
        end = self.loop.done
        found = self._go_to(end)
        bad = end if found is None else found
        self._go_to(bad)
        if self._is_finite() and bad < end:
            return bad
        good = self._at  # finite before this step, not finite before step `bad`
        while bad - good > 1:
            middle = (good + bad) // 2
            self._go_to(middle)
            good, bad = (middle, bad) if self._is_finite() else (good, middle)
        return good

    def _explanation(self) -> TrainingDiverged:
        number = self._culprit()
        self._go_to(number)  # the values of the last finite step stay
        rows = self.loop.rows_of(number)
        step = self.loop.step(len(rows))
        layer, what = _first_not_finite(step, self.state, [*self.loop.data, rows])
        epoch = number // self.loop.steps_per_epoch + 1
        message = (
            f"training diverged at step {number + 1:,} (epoch {epoch}): {what}. The model keeps "
            f"the values from before this step. {_advice(self.loop.data[0], self.state)}"
        )
        return TrainingDiverged(message, number + 1, epoch, layer)


def _first_not_finite(
    step: Step, state: TrainingState, inputs: list[np.ndarray]
) -> tuple[str, str]:
    """Name of the first place where a value is not finite, and a description of it."""
    modules = state.model.named_modules()
    places: list[tuple[Node, str, str]] = []
    order = {node: i for i, node in enumerate(topological([step.loss]))}
    innermost = {node: name for name, node in step.outputs}  # an inner call comes after an outer
    for node in sorted(innermost, key=lambda n: order.get(n, -1)):
        name = innermost[node] or "model"
        places.append((node, name, f"the output of layer {name}, {modules[innermost[node]]!r},"))
    places.append((step.loss, "loss", "the loss itself"))
    for name, node in reversed(list(step.gradients.items())):
        places.append((node, name, f"the gradient of parameter {name}"))
    for name, node in reversed(list(step.updated.items())):
        places.append((node, name, f"the new value of parameter {name}"))

    nodes = tuple(dict.fromkeys(node for node, _, _ in places))
    values = {n: np.empty(n.shape, n.dtype) for n in nodes}
    program(Computation(step.computation.inputs, nodes)).run(inputs, list(values.values()))
    for node, name, what in places:
        value = values[node]
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            kind = "NaN" if np.isnan(value).any() else "infinity"
            return name, f"{what} is the first that is not finite, with {kind}"
    return "", "no single layer is to blame"


def _advice(X: np.ndarray, state: TrainingState) -> str:
    largest = max(float(np.abs(rows).max()) for _, rows in blocks(X))
    if largest > _LARGE_INPUT:
        return f"Scale the inputs, the largest of which is {largest:.3g}, or lower the rate."
    rate = state.optimizer.arguments.get("learning_rate")
    above = f" (it is {rate:g})" if isinstance(rate, int | float) else ""
    return f"Lower the learning rate{above}, or clip the gradients with clip_norm=1.0."
