"""`python -m benchmarks.costs`: what each optimizer, activation and regularizer costs a step.

Each takes its place in the step of an MNIST-sized net (those that need all rows: of a smaller one),
and is measured in turn with plain SGD and ReLU, round by round. Beside it stands what its own
arithmetic and memory traffic take, measured by a program of its own. Writes docs/costs.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, thread_time

import numpy as np

import pellucid as pe
from pellucid import nn, optim
from pellucid.autodiff import gradients
from pellucid.core.node import leaf, tracing
from pellucid.core.program import Computation
from pellucid.core.random import RandomScope, random_scope
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, tensor
from pellucid.core.tree import leaves
from pellucid.train.feed import WholeArrays
from pellucid.train.loop import Loop
from pellucid.train.programs import program
from pellucid.train.step import TrainingState, trace_step

from .results import processor

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "costs.md"
LIMIT = 1.3
"""How many times the plain step a step may take, besides its own arithmetic and traffic."""

PARTS = 1.0, 0.5, 1.0, 0.5
"""Shares of the time of a measurement: the plain step and part of it, the candidate's."""

Run = Callable[[int], object]


@dataclass(frozen=True)
class Net:
    """The plain step: one hidden layer, so many rows in all and in a batch."""

    features: int
    hidden: int
    classes: int
    rows: int
    batch: int

    def data(self) -> list[np.ndarray]:
        """Random rows and classes."""
        rng = np.random.default_rng(0)
        X = rng.random((self.rows, self.features), dtype=np.float32)
        return [X, rng.integers(self.classes, size=self.rows).astype(np.int32)]


MNIST = Net(784, 128, 10, 60_000, 32)
DIGITS = Net(64, 100, 10, 1_797, 1_797)


@dataclass(frozen=True)
class Candidate:
    """What is put into the plain step: a rule, hidden layers, or a loss."""

    name: str
    group: str
    rule: Callable[[], optim.Optimizer] = optim.sgd
    hidden: Callable[[], Sequence[nn.Module]] = lambda: [nn.ReLU()]
    loss: nn.Loss = nn.cross_entropy
    net: Net = MNIST

    def model(self) -> nn.Module:
        pe.random.set_seed(0)
        net = self.net
        ends = nn.Linear(net.features, net.hidden), nn.Linear(net.hidden, net.classes)
        return nn.Sequential(ends[0], *self.hidden(), ends[1])

    def whole(self, data: Sequence[np.ndarray]) -> Run:
        """The training step, with its rows gathered from the data."""
        state = TrainingState(self.model(), self.rule(), 0)
        trace = partial(trace_step, state, self.loss, {}, data)
        feed = WholeArrays(data, self.net.batch, 10**6, self.group != "search", 0)
        return Loop(trace, feed).advance

    def alone(self) -> Run:
        """The part that it takes in the step, and nothing else."""
        part = {"loss": self._loss_alone, "layer": self._hidden_alone}.get(
            self.group, self._rule_alone
        )
        found = program(part())
        return lambda steps: found.run([], [], steps)

    def state_bytes(self) -> int:
        """What the rule remembers; each step reads and writes it."""
        state = TrainingState(self.model(), self.rule(), 0)
        return sum(t.node.cell.value.nbytes for t in leaves(state.memory))

    def _rule_alone(self) -> Computation:
        """The update, with gradients that lie ready."""
        state = TrainingState(self.model(), self.rule(), 0)
        slopes = {name: _filled(t.shape) for name, t in state.parameters.items()}
        with tracing():
            changes, memory = state.optimizer.update(
                slopes, state.memory, state.parameters, state.count, _filled(())
            )
            new = {t: t + changes[name] for name, t in state.parameters.items()}
            new |= dict(zip(leaves(state.memory), map(tensor, leaves(memory)), strict=True))
            new[state.count] = state.count + 1
        return _updating(new)

    def _hidden_alone(self) -> Computation:
        """The hidden layers forward and backward, each row's result written."""
        shape = self.net.batch, self.net.hidden
        model, x, g = nn.Sequential(*self.hidden()), _filled(shape), _filled(shape)
        seed, count = Tensor(leaf(Cell(np.zeros(2, np.uint32)))), _count()
        with tracing(), nn.training_mode(), random_scope(RandomScope(seed, count)):
            with nn.collect_updates() as buffers:
                y = model(x)
            learned = list(model.parameters().values())
            found = gradients([y], [g], [x, *learned])
        new = {_filled(t.shape): t for t in (y, *found)}
        new |= {Tensor(leaf(cell)): t for cell, t in buffers.items()}
        new[count] = count + 1
        return _updating(new)

    def _loss_alone(self) -> Computation:
        """The loss and its gradient."""
        x = _filled((self.net.batch, self.net.classes))
        y = Tensor(leaf(Cell(np.arange(self.net.batch, dtype=np.int32) % self.net.classes)))
        with tracing():
            value = self.loss(x, y)
            (slope,) = gradients([value], [tensor(1.0)], [x])
        return _updating({_filled(()): value, _filled(x.shape): slope})


def _filled(shape: tuple[int, ...]) -> Tensor:
    values = np.random.default_rng(1).standard_normal(shape) * 0.01
    return Tensor(leaf(Cell(np.asarray(values, np.float32))))


def _count() -> Tensor:
    return Tensor(leaf(Cell(np.zeros((), np.uint32))))


def _updating(new: dict[Tensor, Tensor]) -> Computation:
    return Computation((), (), tuple((old.node.cell, value.node) for old, value in new.items()))


PLAIN = {
    **{group: Candidate("plain", group) for group in ("rule", "layer", "loss")},
    "search": Candidate("plain", "search", net=DIGITS),
}

_REGULARIZERS = (
    ("dropout", lambda: [nn.ReLU(), nn.Dropout(0.2)]),
    ("Gaussian noise", lambda: [nn.ReLU(), nn.GaussianNoise(0.1)]),
    ("batch normalization", lambda: [nn.BatchNorm(MNIST.hidden), nn.ReLU()]),
    ("layer normalization", lambda: [nn.LayerNorm(MNIST.hidden), nn.ReLU()]),
)

_PARTS: dict[str, Callable[[], optim.Optimizer]] = {
    "L1": lambda: optim.chain(optim.sgd(), optim.l1(1e-4)),
    "L2": lambda: optim.chain(optim.l2(1e-4), optim.sgd()),
    "max norm": lambda: optim.chain(optim.sgd(), optim.max_norm(3.0)),
    "clip by value": lambda: optim.chain(optim.clip_by_value(1.0), optim.sgd()),
    "clip by norm": lambda: optim.chain(optim.clip_by_norm(1.0), optim.sgd()),
    "averaged weights": lambda: optim.chain(optim.sgd(), optim.average_weights()),
    "accumulated gradients": lambda: optim.accumulate(optim.sgd(), 4),
}


def candidates() -> list[Candidate]:
    """Return everything that is measured."""
    found = []
    for name, make in optim.OPTIMIZERS.items():
        if make().full_batch:
            found.append(Candidate(name, "search", rule=make, net=DIGITS))
        elif name != "sgd":
            found.append(Candidate(name, "rule", rule=make))
    for name, make in nn.ACTIVATIONS.items():
        if name not in ("relu", "step"):  # a step's derivative is 0: nothing is learned through it
            found.append(Candidate(name, "layer", hidden=lambda make=make: [make()]))
    found.append(Candidate("prelu", "layer", hidden=lambda: [nn.PReLU()]))
    found += [Candidate(name, "layer", hidden=hidden) for name, hidden in _REGULARIZERS]
    found += [Candidate(name, "rule", rule=rule) for name, rule in _PARTS.items()]
    smooth = nn.cross_entropy.with_options(label_smoothing=0.1)
    return [*found, Candidate("label smoothing", "loss", loss=smooth)]


@dataclass
class Cost:
    """What was measured of one candidate; times in seconds of processor time per step."""

    name: str
    group: str
    step: float
    ratio: float
    own: float
    plain: float
    state: int

    @property
    def beyond(self) -> float:
        """How many times the plain step it takes, besides its own arithmetic and traffic."""
        return self.ratio - self.own / self.plain

    def __str__(self) -> str:
        verdict = "" if self.beyond <= LIMIT else " **above**"
        return (
            f"| {self.name} | {1e6 * self.step:.1f} | {self.ratio:.2f} | {1e6 * self.own:.1f} | "
            f"{self.beyond:.2f}{verdict} | {self.state / 1024:,.0f} |"
        )


def timed(run: Run, steps: int) -> float:
    """Return the time of a step: of the processor, or with several threads by the clock."""
    clock = thread_time if pe.get_threads() == 1 else perf_counter
    start = clock()
    run(steps)
    return (clock() - start) / steps


def steps_for(run: Run, seconds: float) -> int:
    """Return how many steps take about so long."""
    run(3)
    steps = 10
    while (each := timed(run, steps)) * steps < seconds / 4 and steps < 30_000:
        steps *= 2
    return max(1, min(60_000, int(seconds / each)))


def measure(chosen: Iterable[Candidate], rounds: int, seconds: float) -> list[Cost]:
    """Return the costs; in each round every candidate is measured next to the plain step."""
    data = {net: net.data() for net in (MNIST, DIGITS)}
    plain = {group: (c.whole(data[c.net]), c.alone()) for group, c in PLAIN.items()}
    rows = []
    for c in chosen:
        runs = *plain[c.group], c.whole(data[c.net]), c.alone()
        counts = [steps_for(run, part * seconds) for run, part in zip(runs, PARTS, strict=True)]
        rows.append((c, list(zip(runs, counts, strict=True))))
    times: dict[str, list[list[float]]] = {c.name: [] for c, _ in rows}
    for _ in range(rounds):
        for c, runs in rows:
            times[c.name].append([timed(run, count) for run, count in runs])
    costs = []
    for c, _ in rows:
        whole, alone, step, part = np.array(times[c.name]).T
        ratio, own = np.median(step / whole), max(np.median(part - alone), 0.0)
        figures = map(float, (np.median(step), ratio, own, np.median(whole)))
        costs.append(Cost(c.name, c.group, *figures, c.state_bytes()))
    return costs


def table(costs: Iterable[Cost]) -> str:
    """Return the costs as a table in Markdown."""
    head = "| | µs a step | times plain | own µs | beyond | state KiB |"
    return "\n".join([head, "|---|---|---|---|---|---|", *map(str, costs)])


TEXT = """# What a step costs

Optimizers, activations and regularizers in place of or beside plain SGD and ReLU, in the training
step of 784-128-10, batch 32, 60,000 random rows. Written by `python -m benchmarks.costs`.

- **times plain**: how many times longer the step takes than with SGD and ReLU, which takes
  {plain:.1f} µs; the median of the ratios, each measured next to the other.
- **own**: what its own arithmetic and memory traffic take beyond those of SGD or ReLU, measured by
  a program of their own: the update of parameters whose gradients lie ready, the hidden
  layer forward and backward, or the loss.
- **beyond**: times plain without that. The aim is at most {limit}.
- **state**: what the rule remembers; each step reads it and writes it.

{table}

Searches need all rows in every step: 64-100-10, 1,797 random rows, where plain SGD takes
{plain_search:.0f} µs.

{searches}

Processor time on {processor}, one thread, medians of {rounds} rounds.
"""


def main() -> None:
    """Measure, print, and write the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costs", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these; nothing is written")
    parser.add_argument("--threads", type=int, default=1, help="one; with more nothing is written")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (15)")
    parser.add_argument("--seconds", type=float, default=0.02, help="of each measurement (.02)")
    options = parser.parse_args()
    pe.set_threads(options.threads)
    chosen = [c for c in candidates() if options.only is None or c.name in options.only]
    costs = measure(chosen, options.rounds, options.seconds)
    print(table(costs))
    if options.only is None and options.threads == 1:
        searches = [cost for cost in costs if cost.group == "search"]
        others = [cost for cost in costs if cost.group != "search"]
        plain, plain_search = (
            1e6 * statistics.median(c.plain for c in part) for part in (others, searches)
        )
        text = TEXT.format(
            plain=plain,
            plain_search=plain_search,
            limit=LIMIT,
            table=table(others),
            searches=table(searches),
            processor=processor(),
            rounds=options.rounds,
        )
        DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
