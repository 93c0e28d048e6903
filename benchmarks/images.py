"""Networks over images and signals on the data they were made for: accuracies, times, curves.

    python -m benchmarks.images choose TASK      # the learning rate, on rows held out of training
    python -m benchmarks.images train TASK SEED  # on all training rows, with the rate chosen
    python -m benchmarks.images report           # tables and figure into docs/images.md

`choose` and `train` each add a line to `images.jsonl`, so that a long study is made of short
pieces. No test row chooses anything: they are measured after each epoch for the curves, and what
counts is the last figure.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pellucid as pe
from pellucid import models, nn, optim
from pellucid.train import Run, split
from pellucid.train.datasets import Split
from pellucid.train.images import channel_scaling, load_cifar10, load_mnist
from pellucid.train.series import read_series

from . import images_report as report
from .results import commit, processor, rounded

ROOT = Path(__file__).resolve().parents[1]
RECORDS = Path(__file__).with_name("images.jsonl")
HELD_OUT = 0.2
"""Share of the training rows on which the learning rate is chosen."""

Rows = tuple[np.ndarray, np.ndarray]


# -- the data -------------------------------------------------------------------------------------


def series(name: str) -> Callable[[Path], Split]:
    """Return the reader of a set of the UCR archive."""

    def read(folder: Path) -> Split:
        train = read_series(folder / "ucr" / f"{name}_TRAIN.txt")
        test = read_series(folder / "ucr" / f"{name}_TEST.txt", train.classes)
        return Split(train.X, train.y, test.X, test.y)

    return read


def cifar10(folder: Path) -> Split:
    """Return the 10,000 images of CIFAR-10's first file, and the test images that there are."""
    data = load_cifar10(folder / "cifar10")
    return data._replace(X=data.X[:10_000], y=data.y[:10_000])


# -- the tasks ------------------------------------------------------------------------------------


def adam(rate: float, steps: int) -> optim.Optimizer:
    """Return Adam, its rate rising to `rate` and falling to almost nothing."""
    return optim.adam(optim.one_cycle(rate, steps))


def momentum(rate: float, steps: int) -> optim.Optimizer:
    """Return momentum of 0.9 with a penalty on squared weights, the rate as for `adam`."""
    return optim.chain(optim.l2(5e-4), optim.momentum(optim.one_cycle(rate, steps)))


@dataclass(frozen=True)
class Task:
    """A network, what it learns from, and how.

    Attributes:
        title: in the tables.
        setting: what is done, in words.
        read: from the folder of all data to rows to train on and to test on.
        network: makes a new one, with layers in front that change examples while training.
        rates: the greatest learning rates among which held-out rows choose.
        epochs: how often the training rows are gone through.
        short: epochs of a trial while choosing.
        batch: rows of a step.
        trials: so often are rows held out to choose, others each time.
        rule: from the greatest learning rate and the number of steps to the optimizer.
        goal: the accuracy on test rows that is to be reached; None where it is not known.
    """

    title: str
    setting: str
    read: Callable[[Path], Split]
    network: Callable[[], nn.Module]
    rates: tuple[float, ...]
    epochs: int
    short: int
    batch: int
    trials: int = 1
    rule: Callable[[float, int], optim.Optimizer] = adam
    goal: float | None = None

    def fit(self, rows: Rows, others: Rows, rate: float, seed: int, epochs: int) -> Run:
        """Return a run over rows; others are measured after each epoch."""
        pe.random.set_seed(seed)
        scaling = channel_scaling(rows[0])
        steps = epochs * -(-len(rows[0]) // self.batch)
        return pe.fit(
            self.network(),
            scaling.apply(rows[0]),
            rows[1],
            optimizer=self.rule(rate, steps),
            epochs=epochs,
            batch_size=self.batch,
            validation=(scaling.apply(others[0]), others[1]),
            seed=seed,
        )


def moved(pixels: int, flip: bool, network: nn.Module) -> nn.Module:
    """Return the network behind layers that shift images, and flip them, while training."""
    layers: list[nn.Module] = [nn.RandomShift(pixels)]
    return nn.Sequential(*layers, *([nn.RandomFlip()] if flip else []), network)


TASKS = {
    "mnist": Task(
        "LeNet-5 on MNIST",
        "shifts by up to 1 pixel",
        lambda folder: load_mnist(folder / "mnist"),
        lambda: moved(1, False, models.lenet5()),
        rates=(1e-3, 3e-3, 1e-2),
        epochs=10,
        short=3,
        batch=64,
        goal=0.99,
    ),
    "fashion": Task(
        "small CNN on Fashion-MNIST",
        "convolutions of 32 and 64 features, dense 128; shifts by up to 1 pixel, flips",
        lambda folder: load_mnist(folder / "fashion-mnist"),
        lambda: moved(1, True, models.vgg(((32,), (64,)), channels=1, size=28)),
        rates=(1e-3, 3e-3, 1e-2),
        epochs=15,
        short=3,
        batch=64,
        goal=0.915,
    ),
    "cifar-convnet": Task(
        "CNN with batch norm on 10,000 of CIFAR-10",
        "shifts by up to 4 pixels, flips",
        cifar10,
        lambda: moved(4, True, models.convnet()),
        rates=(1e-3, 3e-3, 1e-2),
        epochs=40,
        short=8,
        batch=64,
        goal=0.65,
    ),
    "cifar-resnet20": Task(
        "ResNet-20 on 10,000 of CIFAR-10",
        "momentum 0.9, L2 penalty 0.0005; shifts by up to 4 pixels, flips",
        cifar10,
        lambda: moved(4, True, models.resnet20()),
        rates=(0.03, 0.1, 0.3),
        epochs=30,
        short=5,
        batch=128,
        rule=momentum,
    ),
    "gunpoint": Task(
        "1-D residual network on GunPoint",
        "as they are",
        series("GunPoint"),
        lambda: models.series_resnet(2),
        rates=(3e-4, 1e-3, 3e-3),
        epochs=150,
        short=150,
        batch=16,
        trials=5,
        goal=0.98,
    ),
    "synthetic-control": Task(
        "1-D residual network on SyntheticControl",
        "as they are",
        series("SyntheticControl"),
        lambda: models.series_resnet(6),
        rates=(3e-4, 1e-3, 3e-3),
        epochs=40,
        short=40,
        batch=16,
        trials=3,
        goal=0.98,
    ),
}


# -- the study ------------------------------------------------------------------------------------


def losses(task: Task, data: Split) -> dict[float, float]:
    """Return the mean loss of held-out training rows for each rate."""
    found: dict[float, list[float]] = {rate: [] for rate in task.rates}
    for trial in range(task.trials):
        kept, held_out = split(data.X, data.y, fractions=(1 - HELD_OUT, HELD_OUT), seed=trial)
        for rate in task.rates:
            run = task.fit(kept, held_out, rate, trial, task.short)
            found[rate].append(run.history.last("val_loss"))
            print(f"rate {rate:g}, trial {trial}: {run.history.row(-1)}", flush=True)
    return {rate: statistics.mean(values) for rate, values in found.items()}


def choose(name: str, task: Task, data: Split) -> dict[str, Any]:
    """Return the record of a choice: the rate with the least loss on held-out rows."""
    start = time.perf_counter()
    of_rates = losses(task, data)
    return {
        "kind": "choice",
        "task": name,
        "rate": min(of_rates, key=lambda rate: of_rates[rate]),
        "losses": {f"{rate:g}": rounded(loss) for rate, loss in of_rates.items()},
        "epochs": task.short,
        "seconds": rounded(time.perf_counter() - start),
    }


def train(name: str, task: Task, data: Split, rate: float, seed: int) -> dict[str, Any]:
    """Return the record of a run over all training rows."""
    run = task.fit((data.X, data.y), (data.X_test, data.y_test), rate, seed, task.epochs)
    columns = ("loss", "accuracy", "val_loss", "val_accuracy")
    curves = {column: [round(v, 5) for v in run.history[column]] for column in columns}
    return {
        "kind": "run",
        "task": name,
        "seed": seed,
        "rate": rate,
        "rows": [len(data.X), len(data.X_test)],
        "parameters": run.cost.parameters,
        "seconds": rounded(run.seconds),
        "milliseconds per step": rounded(1e3 * run.cost.run_seconds / run.steps),
        "curves": curves,
    }


def append(record: dict[str, Any]) -> None:
    """Add a line to the records, with the commit and the processor."""
    line = record | {"commit": commit(), "processor": processor()}
    with RECORDS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.images", description=__doc__.splitlines()[0]
    )
    default = os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder of all data")
    works = parser.add_subparsers(dest="work", required=True)
    texts = {"choose": "choose the learning rate", "train": "train on all training rows"}
    for work, text in texts.items():
        command = works.add_parser(work, help=text)
        command.add_argument("task", choices=TASKS)
        if work == "train":
            command.add_argument("seed", type=int, nargs="?", default=0)
    command = works.add_parser("report", help="write tables and figure")
    command.add_argument("--output", type=Path, default=ROOT / "docs" / "images.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do one piece of the study, or write what came out."""
    options = parse(arguments)
    records = report.read(RECORDS)
    if options.work == "report":
        report.write(options.output, report.tables(records, TASKS))
        report.draw(options.output.with_suffix(".png"), records, TASKS)
        return
    name, task = options.task, TASKS[options.task]
    data = task.read(options.data)
    if options.work == "choose":
        record = choose(name, task, data)
    else:
        rate = report.choice(records, name)["rate"]
        record = train(name, task, data, rate, options.seed)
        print(f"{100 * record['curves']['val_accuracy'][-1]:.2f} % of the test rows are right")
    append(record)


if __name__ == "__main__":
    main()
