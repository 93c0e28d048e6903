"""Pellucid: whole calls of `fit`, with all that a user gets of it.

Shuffling, gathering the batch, metrics and history are inside the time, where a peer's bare step
works on one batch that lies ready.
"""

from __future__ import annotations

import math

import pellucid as pe
from pellucid import models, nn, optim

from .data import Rows
from .timing import Work
from .workloads import Workload


def prepare(workload: Workload, data: Rows, variant: str, threads: int) -> Work:
    """Return the work: a unit is an epoch of training, or one prediction."""
    del variant  # cold or warm, the calls are the same
    pe.set_threads(threads)
    x, y = data
    if workload.timed == "predict":
        model, row = network(workload), x[:1]

        def predict(n: int) -> None:
            for _ in range(n):
                model.predict(row)

        return Work(predict)

    def fit(epochs: int) -> None:
        pe.fit(
            network(workload),
            x,
            y,
            loss="cross_entropy",
            optimizer=getattr(optim, workload.optimizer)(workload.lr),
            epochs=epochs,
            batch_size=workload.batch,
            shuffle=True,
            seed=0,
        )

    return Work(fit, steps=math.ceil(len(x) / workload.batch))


def network(workload: Workload) -> nn.Module:
    """Return a new network: dense layers with a ReLU between them, or one of `models`."""
    if workload.network != "mlp":
        made: nn.Module = getattr(models, workload.network)(classes=workload.classes)
        return made
    layers: list[nn.Module] = []
    for inputs, outputs in zip(workload.sizes, workload.sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
