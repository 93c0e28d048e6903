"""PyTorch: a bare step or prediction on a batch that lies ready, in several ways.

`eager` takes the optimizer's default, `fused` asks for its fused kernel, `last` lays images out
with the channels last besides; `compile` compiles the forward pass and the loss, and with them
the backward pass, and keeps the fused optimizer: of the ways to compile a step it was the fastest
throughout. `compile-last` does both.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from .data import Rows, first_batch
from .timing import Work
from .torch_networks import network
from .workloads import Workload


def prepare(workload: Workload, data: Rows, variant: str, threads: int) -> Work:
    """Return the work: a unit is a step, or one prediction."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = network(workload)
    features, classes = first_batch(workload, data)
    x, y = arranged(features, variant), torch.from_numpy(classes)
    if variant.endswith("last"):
        model = model.to(memory_format=torch.channels_last)
    if workload.timed == "predict":
        return prediction(model, x, variant)

    def mean_loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return cross_entropy(model(x), y)

    loss = torch.compile(mean_loss) if variant.startswith("compile") else mean_loss
    optimizer = optimizer_of(workload, model, fused=None if variant == "eager" else True)

    def steps(n: int) -> None:
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            loss(x, y).backward()
            optimizer.step()

    return Work(steps)


def arranged(rows: np.ndarray, variant: str) -> torch.Tensor:
    """Return rows with the channels as their second axis, and in memory where the variant says."""
    x = torch.from_numpy(rows)
    if x.ndim == 2:
        return x
    x = x.movedim(-1, 1)
    return x.contiguous(
        memory_format=torch.channels_last if variant.endswith("last") else torch.contiguous_format
    )


def optimizer_of(
    workload: Workload, model: torch.nn.Module, fused: bool | None
) -> torch.optim.Optimizer:
    """Return the optimizer of a workload."""
    parameters, lr = model.parameters(), workload.lr
    if workload.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=lr, fused=fused)
    momentum = 0.9 if workload.optimizer == "momentum" else 0.0
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, fused=fused)


def prediction(model: torch.nn.Module, x: torch.Tensor, variant: str) -> Work:
    """Return predictions of one row, a tensor already, in inference mode."""
    forward = torch.compile(model.eval()) if variant.startswith("compile") else model.eval()

    def predict(n: int) -> None:
        with torch.inference_mode():
            for _ in range(n):
                forward(x)

    return Work(predict)
