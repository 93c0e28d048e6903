"""PyTorch's networks: the layers of `pellucid.models` one by one, with the channels first."""

from __future__ import annotations

import torch
from torch import nn

from .workloads import Workload


def network(workload: Workload) -> nn.Sequential:
    """Return a new network."""
    if workload.network == "mlp":
        return mlp(workload.sizes)
    return NETWORKS[workload.network](workload.example[-1], workload.classes)


def mlp(sizes: tuple[int, ...]) -> nn.Sequential:
    """Return dense layers with a ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def lenet5(channels: int, classes: int) -> nn.Sequential:
    """Return LeNet-5 for images of 28 x 28."""
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )


def convnet(channels: int, classes: int) -> nn.Sequential:
    """Return four normalized convolutions and a dense layer, for images of 32 x 32."""
    layers: list[nn.Module] = []
    for before, features in ((channels, 32), (32, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, features, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(features), nn.ReLU()]
        if before == features:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(4096, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes),
    )


class Residual(nn.Module):
    """The sum of what two paths give."""

    def __init__(self, inner: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.inner, self.shortcut = inner, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + self.shortcut(x)


def resnet20(channels: int, classes: int) -> nn.Sequential:
    """Return the residual network of 20 layers."""

    def normalized(before: int, features: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
        padding = size // 2
        convolution = nn.Conv2d(before, features, size, stride, padding, bias=False)
        return [convolution, nn.BatchNorm2d(features)]

    layers, before = [*normalized(channels, 16), nn.ReLU()], 16
    for features in (16, 32, 64):
        for _ in range(3):
            stride = 1 if before == features else 2
            first = normalized(before, features, 3, stride)
            inner = nn.Sequential(*first, nn.ReLU(), *normalized(features, features))
            shortcut = nn.Sequential(*(normalized(before, features, 1, 2) if stride > 1 else []))
            layers += [Residual(inner, shortcut), nn.ReLU()]
            before = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def series_resnet(channels: int, classes: int) -> nn.Sequential:
    """Return the residual network for series, three blocks of three convolutions."""

    def normalized(before: int, features: int, size: int) -> list[nn.Module]:
        # an even window pads by itself: the compiled code of padding="same" is far slower
        odd = size % 2
        padding = [] if odd else [nn.ConstantPad1d((size // 2 - 1, size // 2), 0.0)]
        convolution = nn.Conv1d(before, features, size, padding=odd * (size // 2), bias=False)
        return [*padding, convolution, nn.BatchNorm1d(features)]

    layers: list[nn.Module] = []
    for features in (64, 128, 128):
        inner, before = normalized(channels, features, 8), features
        for size in (5, 3):
            inner += [nn.ReLU(), *normalized(before, features, size)]
        beside = [nn.BatchNorm1d(features)]
        if channels != features:
            beside = normalized(channels, features, 1)
        layers += [Residual(nn.Sequential(*inner), nn.Sequential(*beside)), nn.ReLU()]
        channels = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, classes))


NETWORKS = {
    "lenet5": lenet5,
    "convnet": convnet,
    "resnet20": resnet20,
    "series_resnet": series_resnet,
}
