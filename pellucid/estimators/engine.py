"""Networks with what was compiled for them: to be trained, and to be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.compiler import CompiledProgram, Objective, Patience, program, run_epochs
from pellucid.core.node import placeholder, topological
from pellucid.core.program import Live, Program
from pellucid.core.tensor import Tensor
from pellucid.core.tree import leaves
from pellucid.optim import Optimizer
from pellucid.train.step import Step, TrainingState, learned_dtype, trace_step

from .network import Network, draws_numbers
from .objective import penalized
from .orders import Orders

_MOST_TRAINERS = 8
"""Ways of training that one network keeps; the oldest goes first."""


class Same:
    """An object as part of a key: equal to itself only."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.of is other.of

    def __hash__(self) -> int:
        return id(self.of)


class Inside(nn.Module):
    """A network as far as the output of one of its parts.

    Args:
        model: the network.
        name: of the part, as `named_modules` has it.
    """

    def __init__(self, model: nn.Module, name: str) -> None:
        self.model = model
        self.name = name

    def forward(self, x: Any) -> Any:
        """What the part gives, the last time that it is called."""
        part = self.model.named_modules()[self.name]
        with nn.watch_calls() as calls:
            self.model(x)
        found = [call.output for call in calls if call.module is part]
        if not found:
            raise ValueError(f"the network does not call its part {self.name!r}")
        return found[-1]


class Engine:
    """A network, its trainers, and its parts in use.

    Args:
        network: it belongs to whoever holds this engine.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.model = network.model
        self.dtype = learned_dtype(self.model)
        self._tensors = {**self.model.parameters(), **self.model.states()}
        self.linear = {
            name: part
            for name, part in self.model.named_modules().items()
            if isinstance(part, nn.Linear)
        }
        drawn = {id(t) for linear, _ in network.drawn for t in (linear.weight, linear.bias)}
        self._initial = [
            (t, t.numpy().copy()) for t in self._tensors.values() if id(t) not in drawn
        ]
        self._trainers: dict[Hashable, Any] = {}
        self._sections: dict[tuple[int, int | str | None], nn.Module] = {}

    def reset(self) -> None:
        """Give back their initial values to all parameters but those that estimators draw."""
        for t, value in self._initial:
            t.assign(value)

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Take over values, by the names of the model's parameters and state."""
        for name, t in self._tensors.items():
            t.assign(values[name])

    def values(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and state, by name."""
        return {name: np.array(t.numpy(), order="C") for name, t in self._tensors.items()}

    def weights(self) -> list[np.ndarray]:
        """What is penalized: weights, never biases."""
        return [t.numpy() for t in self._tensors.values() if t.node.cell.role == "weight"]

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return sum(t.size for t in self._tensors.values())

    def is_finite(self) -> bool:
        """Whether every number is one."""
        return all(np.isfinite(t.numpy()).all() for t in self._tensors.values())

    def trainer(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What trains the network in the way that the key says; made if there is none yet."""
        if key not in self._trainers:
            self._trainers[key] = make()
            while len(self._trainers) > _MOST_TRAINERS:
                del self._trainers[next(iter(self._trainers))]
        return self._trainers[key]

    def output(self, X: np.ndarray, end: int | str | None = None, start: int = 0) -> np.ndarray:
        """What the network gives, or some of its layers.

        Args:
            X: numbers (rows, features).
            end: before which layer to end, or after which part; by default after all of them.
            start: with which layer to begin.
        """
        if end is None and start == 0:
            return self.model.predict(X)
        if (start, end) not in self._sections:
            self._sections[start, end] = (
                Inside(self.model, end)
                if isinstance(end, str)
                else nn.Sequential(*self.model.layers[start:end])
            )
        return self._sections[start, end].predict(X)

    def __reduce__(self) -> Any:
        """Copies and pickles of who holds it make an engine of their own."""
        return type(None), ()


SECONDS = 0.1
"""How long native code should run at a time: Ctrl-C and verbose output wait for its end."""


def next_pace(pace: int, steps: int, seconds: float) -> int:
    """Steps of the next native call: as many as take `SECONDS`, or 8 times as many as before.

    Args:
        pace: of the call before.
        steps, seconds: that it took.
    """
    return int(min(8 * max(pace, 1), max(1, steps * SECONDS / max(seconds, 1e-9))))


@dataclass
class Stepping:
    """A compiled step.

    Attributes:
        program: takes it.
        takes_rate: whether it is given a learning rate.
        pace: steps of whole epochs that take `SECONDS`; 0 if it has not run any yet.
    """

    program: Program
    takes_rate: bool
    pace: int = 0


class Trainer:
    """Steps of one rule on one network; rates and penalty are given anew with each call.

    Args:
        engine: with the network.
        loss: what is made small.
        rule: gives the optimizer for a learning rate, a tensor that each step receives.

    Attributes:
        draws: whether steps draw random numbers.
    """

    def __init__(
        self,
        engine: Engine,
        loss: nn.Loss,
        rule: Callable[[Tensor], Optimizer],
    ) -> None:
        self.dtype = engine.dtype
        self._rate = Tensor(placeholder((), self.dtype, "rate"))
        self._alpha = Tensor(placeholder((), self.dtype, "alpha"))
        self._count = placeholder((), np.dtype(np.int32), "count")
        parameters = engine.model.parameters()
        weights = [t for t in parameters.values() if t.node.cell.role == "weight"]
        self._objective = penalized(loss, weights, self._alpha)
        self.state = TrainingState(engine.model, rule(self._rate), 0)
        self._memory = [t.node.cell for t in leaves(self.state.memory)]
        self.draws = draws_numbers(engine.model)
        self._programs: dict[Hashable, Stepping] = {}

    def begin(self) -> None:
        """Forget all past steps."""
        self.resume(leaves(self.state.optimizer.init(self.state.parameters)), 0)

    def resume(self, memory: Sequence[np.ndarray], steps: int) -> None:
        """Go on from what `memory` gave after so many steps."""
        for cell, value in zip(self._memory, memory, strict=True):
            cell.assign(value)
        self.state.count.assign(np.uint32(steps))

    def memory(self) -> list[np.ndarray]:
        """What the optimizer remembers, copied."""
        return [np.array(cell.value) for cell in self._memory]

    def run(
        self,
        data: Sequence[np.ndarray],
        index: np.ndarray,
        counts: np.ndarray,
        rates: np.ndarray,
        alpha: float,
    ) -> np.ndarray:
        """Take steps.

        Args:
            data: X, y and weights of rows.
            index: numbers of the rows of each step (steps, batch).
            counts: how many of them, the first ones, count (steps,), int32;
                the others weigh nothing.
            rates: learning rate of each step (steps,).
            alpha: strength of the penalty.

        Returns:
            For each step the objective of its batch, the sum of weights, and the
            penalty's part in the objective times the rows of the batch (steps, 3).
        """
        found, inputs = self._inputs(data, index, counts, rates, alpha)
        records = np.empty((len(index), 3), self.dtype)
        found.program.run(inputs, [records], len(index))
        return records

    def epochs_at_once(self, data: Sequence[np.ndarray], orders: Orders) -> int:
        """How many epochs `run_epochs` should take by one call; 0 if nothing is known of them."""
        assert orders.room is not None
        known = self._programs.get(self._key(data, orders.room))
        if known is None or not known.pace:
            return 0
        assert isinstance(known.program, CompiledProgram)
        return known.program.trial(orders.steps) or known.pace // orders.steps

    def run_epochs(
        self,
        data: Sequence[np.ndarray],
        orders: Orders,
        epochs: int,
        rates: np.ndarray,
        alpha: float,
        objective: Objective,
        patience: Patience,
    ) -> np.ndarray:
        """Take the steps of epochs by one call of compiled code, until the patience is over.

        Args:
            data: X, y and weights of rows.
            orders: which rows each step sees.
            epochs: how many at most.
            rates: learning rate of each step (epochs * steps,).
            alpha: strength of the penalty.
            objective: makes losses of what steps report.
            patience: says when it ends.

        Returns:
            The losses of the epochs that were run.
        """
        shuffle, places = orders.shuffle, orders.places(epochs)
        index = places.reshape(epochs * orders.steps, -1)
        counts = np.tile(orders.counts, epochs)
        found, inputs = self._inputs(data, index, counts, rates, alpha)
        assert isinstance(found.program, CompiledProgram)
        records = np.empty((len(index), 3), self.dtype)
        own = None if shuffle is None else (shuffle, places)
        started = time.perf_counter()
        losses = run_epochs(found.program, inputs, records, own, objective, patience)
        steps, seconds = len(losses) * orders.steps, time.perf_counter() - started
        found.pace = next_pace(max(steps, found.pace), steps, seconds)
        return losses

    def _inputs(
        self,
        data: Sequence[np.ndarray],
        index: np.ndarray,
        counts: np.ndarray,
        rates: np.ndarray,
        alpha: float,
    ) -> tuple[Stepping, list[np.ndarray]]:
        """The step for such data, and what it is given."""
        found = self._step(data, index.shape[1])
        inputs = [*data, index, counts, np.asarray(alpha, self.dtype)]
        if found.takes_rate:
            inputs.append(rates.astype(self.dtype))
        return found, inputs

    def _key(self, data: Sequence[np.ndarray], batch: int) -> Hashable:
        return batch, *((a.shape, a.dtype) for a in data)

    def _step(self, data: Sequence[np.ndarray], batch: int) -> Stepping:
        key = self._key(data, batch)
        if key not in self._programs:
            step = trace_step(self.state, self._objective, {"penalty": self._penalty}, data, batch)
            self._programs[key] = self._with_options(step)
        return self._programs[key]

    def _penalty(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self._objective.penalty()

    def _with_options(self, step: Step) -> Stepping:
        """The program of a step that receives count, alpha, and a rate if its rule asks for one."""
        c, count, alpha, rate = step.computation, self._count, self._alpha.node, self._rate.node
        takes_rate = rate in set(topological(c.results))
        more = (count, alpha, rate) if takes_rate else (count, alpha)
        stepped = c.stepped | {count, rate} if takes_rate else c.stepped | {count}
        _, _, weights, index = c.inputs
        live = Live(count, index, weights)
        c = replace(c, inputs=(*c.inputs, *more), stepped=stepped, live=live)
        return Stepping(program(c), takes_rate)
