"""PyTorch: a bare step or prediction on a batch that lies ready, in three ways.

`eager` takes the optimizer's default, `fused` asks for its fused kernel; `compile` compiles the
forward pass and the loss, and with them the backward pass, and keeps the fused optimizer: of the
ways to compile a step it was the fastest throughout.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from .data import Rows, first_batch
from .timing import Work
from .workloads import Workload


def prepare(workload: Workload, data: Rows, variant: str, threads: int) -> Work:
    """Return the work: a unit is a step, or one prediction."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = network(workload)
    x, y = map(torch.from_numpy, first_batch(workload, data))
    if workload.timed == "predict":
        return prediction(model, x, variant)

    def mean_loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return cross_entropy(model(x), y)

    loss = torch.compile(mean_loss) if variant == "compile" else mean_loss
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[workload.optimizer]
    optimizer = kind(model.parameters(), lr=workload.lr, fused=None if variant == "eager" else True)

    def steps(n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            loss(x, y).backward()
            optimizer.step()

    return Work(steps)


def prediction(model: torch.nn.Module, x: torch.Tensor, variant: str) -> Work:
    """Return predictions of one row, a tensor already, in inference mode."""
    forward = torch.compile(model.eval()) if variant == "compile" else model.eval()

    def predict(n: int) -> None:
        with torch.inference_mode():
            for _ in range(n):
                forward(x)

    return Work(predict)


def network(workload: Workload) -> torch.nn.Sequential:
    """Return a new network with a ReLU between its layers."""
    layers: list[torch.nn.Module] = []
    for inputs, outputs in zip(workload.sizes, workload.sizes[1:], strict=False):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
