"""A residual network for time series."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid import nn

from .start import SMALL


def series_resnet(
    classes: int,
    channels: int = 1,
    widths: Sequence[int] = (64, 128, 128),
    sizes: Sequence[int] = (8, 5, 3),
) -> nn.Sequential:
    """Three residual blocks over a signal, then the mean over time and a dense layer.

    A block is a convolution for each of the sizes, each normalized over the batch, beside a
    shortcut, normalized too; where the features change, the shortcut is a convolution of
    length 1. The strong baseline of Wang and others; `widths=(32, 64, 64)` is a smaller one.

    Args:
        classes: number of outputs, logits.
        channels: of the signals.
        widths: features of each block.
        sizes: lengths of the windows within a block.

    Returns:
        A model from (batch, length, channels) of any length to (batch, classes).

    Raises:
        ValueError: widths or sizes are not lists of whole numbers.

    Example:
        >>> import pellucid as pe
        >>> pe.models.series_resnet(2, widths=(8, 16)).summary((150, 1)).output_shape
        (2,)

    Source: Wang, Yan, Oates: Time series classification from scratch with deep neural
    networks: a strong baseline (2017).
    """
    for name, numbers in (("widths", widths), ("sizes", sizes)):
        if not isinstance(numbers, Sequence) or not numbers:
            raise ValueError(f"{name} must be one or more whole numbers, received {numbers!r}")
    layers: list[nn.Module] = []
    for features in widths:
        inner: list[nn.Module] = []
        before = channels
        for size in sizes:
            inner += [nn.ReLU()] if inner else []
            inner += _convolution(before, features, size)
            before = features
        beside: list[nn.Module] = [nn.BatchNorm(features)]
        if channels != features:
            beside = _convolution(channels, features, 1)
        layers += [nn.Residual(nn.Sequential(*inner), nn.Sequential(*beside)), nn.ReLU()]
        channels = features
    return nn.Sequential(
        *layers, nn.GlobalAvgPool(), nn.Linear(channels, classes, weight_init=SMALL)
    )


def _convolution(before: int, features: int, size: int) -> list[nn.Module]:
    return [
        nn.Conv1d(before, features, size, padding="same", bias=False),
        nn.BatchNorm(features),
    ]
