"""Residual networks for small images."""

from __future__ import annotations

from pellucid import nn
from pellucid.nn.linear import positive_integer

from .start import SMALL


def resnet(depth: int = 20, classes: int = 10, channels: int = 3) -> nn.Sequential:
    """A residual network of so many layers for images such as CIFAR's, 32 x 32.

    A convolution with 16 features, then three stages of (depth - 2) / 6 blocks with 16, 32
    and 64 features; the first block of the second and the third stage halves the image. A
    block is two convolutions of 3 x 3, each normalized, beside a shortcut; where it changes
    the shape, the shortcut is a convolution of 1 x 1, normalized (option B of the paper).

    Args:
        depth: layers with weights, 6 n + 2.
        classes: number of outputs, logits.
        channels: of the images.

    Returns:
        A model from (batch, height, width, channels) to (batch, classes).

    Raises:
        ValueError: the depth is not 6 n + 2.

    Example:
        >>> import pellucid as pe
        >>> pe.models.resnet(8).summary((32, 32, 3)).output_shape
        (10,)

    Source: He, Zhang, Ren, Sun: Deep residual learning for image recognition (2016).
    """
    blocks, rest = divmod(positive_integer("depth", depth) - 2, 6)
    if rest or blocks < 1:
        raise ValueError(f"depth must be 8, 14, 20 or another 6 n + 2, received {depth}")
    layers: list[nn.Module] = [*_convolution(channels, 16), nn.ReLU()]
    before = 16
    for features in (16, 32, 64):
        for _ in range(blocks):
            layers += _block(before, features)
            before = features
    return nn.Sequential(*layers, nn.GlobalAvgPool(), nn.Linear(64, classes, weight_init=SMALL))


def resnet20(classes: int = 10, channels: int = 3) -> nn.Sequential:
    """The residual network of 20 layers; see `resnet`.

    Args:
        classes: number of outputs, logits.
        channels: of the images.

    Returns:
        A model from (batch, height, width, channels) to (batch, classes).

    Example:
        >>> import pellucid as pe
        >>> pe.models.resnet20().num_parameters
        272474
    """
    return resnet(20, classes, channels)


def _convolution(before: int, features: int, size: int = 3, stride: int = 1) -> list[nn.Module]:
    padding = size // 2
    return [
        nn.Conv2d(before, features, size, stride, padding, bias=False),
        nn.BatchNorm(features),
    ]


def _block(before: int, features: int) -> list[nn.Module]:
    """Two convolutions beside a shortcut; from the second stage on the first one halves."""
    stride = 1 if before == features else 2
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(*_convolution(before, features, 1, stride))
    inner = nn.Sequential(
        *_convolution(before, features, 3, stride), nn.ReLU(), *_convolution(features, features)
    )
    return [nn.Residual(inner, shortcut), nn.ReLU()]
