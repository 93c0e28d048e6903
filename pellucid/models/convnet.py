"""A small convolutional network with batch normalization."""

from __future__ import annotations

from pellucid import nn
from pellucid.nn.linear import positive_integer

from .start import SMALL


def convnet(classes: int = 10, channels: int = 3, size: int = 32) -> nn.Sequential:
    """Four convolutions of 3 x 3 with 32, 32, 64 and 64 features, then a dense layer of 128.

    Each convolution is normalized over the batch (so it needs no bias of its own) and
    followed by ReLU; every second one by pooling.

    Args:
        classes: number of outputs, logits.
        channels: of the images.
        size: their height and width, a multiple of 4.

    Returns:
        A model from (batch, size, size, channels) to (batch, classes).

    Raises:
        ValueError: size is not a multiple of 4.

    Example:
        >>> import pellucid as pe
        >>> pe.models.convnet().summary((32, 32, 3)).output_shape
        (10,)
    """
    if positive_integer("size", size) % 4:
        raise ValueError(f"size must be a multiple of 4, it is halved twice; received {size}")
    return nn.Sequential(
        *_stage(channels, 32),
        *_stage(32, 64),
        nn.Flatten(),
        nn.Linear(64 * (size // 4) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes, weight_init=SMALL),
    )


def _stage(before: int, features: int) -> list[nn.Module]:
    """Two convolutions and a pooling."""
    layers: list[nn.Module] = []
    for channels in (before, features):
        layers += [
            nn.Conv2d(channels, features, 3, padding="same", bias=False),
            nn.BatchNorm(features),
            nn.ReLU(),
        ]
    return [*layers, nn.MaxPool2d(2)]
