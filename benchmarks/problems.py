"""Small problems that every optimizer must solve, and the rates at which each solves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pellucid as pe
from pellucid import nn, optim
from pellucid.train import evaluate, fit
from pellucid.train.run import Run


class Function(nn.Module):
    """A function of one vector, which is what the model learns; its prediction is the value."""

    def __init__(self, f: Callable[[Any], Any], start: Any) -> None:
        self.f = f
        self.w = pe.parameter(np.asarray(start, np.float64), role="bias")

    def forward(self, x):
        return self.f(self.w).reshape(1) + 0.0 * x[:, 0]


@dataclass(frozen=True)
class Problem:
    """A model, its data, and when it is solved.

    `make` gives a new model, X and y; it is solved where `figure` (a column of the history) is
    at most `target`, or, for the accuracy, at least. A step takes `batch` rows.
    """

    name: str
    about: str
    make: Callable[[], tuple[nn.Module, np.ndarray, np.ndarray]]
    loss: Any
    figure: str
    target: float
    batch: int = 1

    def solved(self, figures: Any) -> Any:
        """Whether figures reach the target."""
        figures = np.asarray(figures)
        return figures >= self.target if self.figure == "accuracy" else figures <= self.target

    def run(self, rule: optim.Optimizer, steps: int) -> tuple[Run, float]:
        """Train for about so many steps; the run, and the final model's figure."""
        model, X, y = self.make()
        batch = len(X) if rule.full_batch else self.batch
        epochs = max(1, steps // -(-len(X) // batch))
        run = fit(model, X, y, loss=self.loss, optimizer=rule, epochs=epochs, batch_size=batch)
        return run, evaluate(model, X, y, loss=self.loss)[self.figure]


def _quadratic(w: Any) -> Any:
    """w A w / 2, the eigenvalues of A from 1 to 1000 along directions askew to the axes."""
    rng = np.random.default_rng(0)
    axes, _ = np.linalg.qr(rng.standard_normal((10, 10)))
    return 0.5 * (pe.tensor(np.logspace(0, 3, 10)) * (w @ pe.tensor(axes)) ** 2).sum()


def _rosenbrock(w: Any) -> Any:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] * w[0]) ** 2


def _function(f: Callable[[Any], Any], start: Any) -> Callable[[], Any]:
    return lambda: (Function(f, start), np.zeros((1, 1)), np.zeros(1))


def _network(*widths: int) -> nn.Module:
    pe.random.set_seed(1)
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def _xor() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return _network(2, 8, 2), X, np.array([0, 1, 1, 0])


def _spirals() -> tuple[nn.Module, np.ndarray, np.ndarray]:
    """Two arms of 97 points, each once and a half around the other."""
    turn = np.linspace(0.5, 3.5, 97) * np.pi
    arm = np.stack([turn * np.cos(turn), turn * np.sin(turn)], 1) / (3.5 * np.pi)
    X = np.concatenate([arm, -arm]).astype(np.float32)
    return _network(2, 32, 32, 2), 2 * X, np.repeat([0, 1], 97)


def _value(prediction: Any, target: Any) -> Any:
    return prediction


PROBLEMS = (
    Problem(
        "quadratic",
        "10 dimensions, condition 1000, from (1, ..., 1): loss 1e-3",
        _function(_quadratic, np.ones(10)),
        _value,
        "loss",
        1e-3,
    ),
    Problem(
        "rosenbrock",
        "Rosenbrock's function from (-1.2, 1): loss 1e-4",
        _function(_rosenbrock, [-1.2, 1.0]),
        _value,
        "loss",
        1e-4,
    ),
    Problem(
        "xor",
        "2-8-2, tanh, batch 4: loss 0.05, where no row can be wrong",
        _xor,
        "cross_entropy",
        "loss",
        0.05,
        4,
    ),
    Problem(
        "spirals",
        "two spirals of 97 points, 2-32-32-2, tanh, batch 32: accuracy 99 %",
        _spirals,
        "cross_entropy",
        "accuracy",
        0.99,
        32,
    ),
)


@dataclass(frozen=True)
class Row:
    """An optimizer, and for each problem a learning rate and the steps in which it solves it.

    Rules whose steps do not become shorter towards a least value by themselves (`falls`) get a
    rate that falls to 0 over these steps, where a function is minimized.
    """

    name: str
    make: Callable[[Any], optim.Optimizer]
    settings: dict[str, tuple[float, int]]
    falls: bool = False
    batches: int = 1  # for each of the rule's steps

    def rule(self, problem: Problem) -> optim.Optimizer:
        """The optimizer, with the rate for this problem."""
        rate, steps = self.settings[problem.name]
        if self.falls and problem.batch == 1:
            return self.make(optim.linear(rate, steps // self.batches))
        return self.make(rate)


def _settings(*settings: tuple[float, int]) -> dict[str, tuple[float, int]]:
    return dict(zip((problem.name for problem in PROBLEMS), settings, strict=True))


ROWS = (
    Row("sgd", optim.sgd, _settings((1e-3, 4200), (1e-3, 11_000), (3.0, 27), (0.3, 2300))),
    Row("momentum", optim.momentum, _settings((3e-3, 130), (3e-3, 330), (3.0, 12), (0.1, 1200))),
    Row("nesterov", optim.nesterov, _settings((1e-3, 390), (1e-3, 1100), (1.0, 12), (0.1, 1100))),
    Row("adagrad", optim.adagrad, _settings((0.6, 1300), (0.6, 5400), (1.0, 10), (0.3, 610))),
    Row(
        "adadelta",
        optim.adadelta,
        _settings((30.0, 1200), (0.9, 5800), (100.0, 19), (30.0, 460)),
        falls=True,
    ),
    Row(
        "rmsprop",
        optim.rmsprop,
        _settings((0.03, 1200), (0.01, 3900), (0.1, 10), (0.03, 360)),
        falls=True,
    ),
    Row("adam", optim.adam, _settings((3.0, 230), (1.0, 760), (0.3, 13), (0.03, 580)), falls=True),
    Row(
        "adamw", optim.adamw, _settings((3.0, 230), (1.0, 760), (0.3, 13), (0.03, 760)), falls=True
    ),
    Row(
        "adamax",
        optim.adamax,
        _settings((3.0, 760), (1.0, 2600), (0.6, 15), (0.1, 850)),
        falls=True,
    ),
    Row(
        "nadam",
        optim.nadam,
        _settings((0.3, 760), (0.06, 2600), (1.0, 11), (0.03, 750)),
        falls=True,
    ),
    Row(
        "lion",
        optim.lion,
        _settings((0.01, 1200), (0.01, 1200), (0.3, 14), (0.01, 500)),
        falls=True,
    ),
    Row(
        "accumulate",  # Adam on every fourth batch
        lambda rate: optim.accumulate(optim.adam(rate), steps=4),
        _settings((3.0, 760), (1.0, 3900), (0.3, 48), (0.06, 1100)),
        falls=True,
        batches=4,
    ),
    Row(
        "average_weights",  # of Adam
        lambda rate: optim.chain(optim.adam(rate), optim.average_weights(0.9)),
        _settings((3.0, 230), (1.0, 760), (0.6, 14), (0.03, 580)),
        falls=True,
    ),
    Row(
        "backtracking",
        optim.backtracking,
        _settings((1.0, 4100), (1.0, 8100), (1.0, 49), (1.0, 8200)),
    ),
    Row("lbfgs", optim.lbfgs, _settings((1.0, 33), (1.0, 48), (1.0, 11), (1.0, 120))),
)
