"""What checkpoints cost: the share of its time that the digits net spends on writing them.

    python -m benchmarks.checkpoints [--epochs 4000]

The time inside `Keeper` is measured, not the difference of two runs, which on a shared
machine is smaller than its noise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.train.datasets import load_digits
from pellucid.train.keeper import Keeper

EVERY = ("30 seconds", "5 seconds", "1 seconds", "100 epochs", "10 epochs")


class Watched:
    """Counts how often checkpoints are written, and how long that takes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._save = Keeper.save

    def save(self, keeper: Any) -> None:
        """In the place of `Keeper.save`."""
        started = time.perf_counter()
        self._save(keeper)
        self.seconds.append(time.perf_counter() - started)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4000)
    epochs = parser.parse_args().epochs
    digits = load_digits()
    for every in EVERY:
        watched = Watched()
        Keeper.save = lambda keeper, watched=watched: watched.save(keeper)  # type: ignore
        with tempfile.TemporaryDirectory() as folder:
            pe.random.set_seed(0)
            run = pe.fit(
                nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10)),
                digits.X,
                digits.y,
                epochs=epochs,
                optimizer=optim.adam(1e-3),
                checkpoint=train.Checkpoint(Path(folder) / "run.safetensors", every),
                verbose=False,
            )
        Keeper.save = watched._save  # type: ignore[method-assign]
        spent = sum(watched.seconds)
        print(
            f"{every:>10}: {len(watched.seconds):4} written, {run.seconds:6.2f} s in all, "
            f"{1e3 * statistics.median(watched.seconds):5.1f} ms each, "
            f"+{100 * spent / (run.seconds - spent):.1f} %"
        )


if __name__ == "__main__":
    main()
