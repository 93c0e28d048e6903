"""A network that takes noise off images."""

from __future__ import annotations

from pellucid import nn
from pellucid.nn.linear import positive_integer


def denoiser(channels: int = 1, features: int = 32, depth: int = 5) -> nn.Sequential:
    """From noisy images to clean ones, of any size.

    A few convolutions of 3 x 3, those in the middle normalized over the batch, find what has
    to be added to the image: the noise with its sign turned, which is easier to learn than
    the image. Trained on noisy images as inputs and clean ones as targets.

    Args:
        channels: of the images.
        features: of the convolutions.
        depth: how many convolutions there are, at least 2.

    Returns:
        A model from (batch, height, width, channels) to the same shape.

    Raises:
        ValueError: there are fewer than 2 convolutions.

    Example:
        >>> import numpy as np
        >>> import pellucid as pe
        >>> pe.models.denoiser(depth=3)(np.zeros((1, 20, 30, 1))).shape
        (1, 20, 30, 1)

    Source: Zhang, Zuo, Chen, Meng, Zhang: Beyond a Gaussian denoiser: residual learning of
    deep CNN for image denoising (2017).
    """
    if positive_integer("depth", depth) < 2:
        raise ValueError(f"depth must be at least 2, received {depth}")
    layers: list[nn.Module] = [nn.Conv2d(channels, features, 3, padding="same"), nn.ReLU()]
    for _ in range(depth - 2):
        layers += [
            nn.Conv2d(features, features, 3, padding="same", bias=False),
            nn.BatchNorm(features),
            nn.ReLU(),
        ]
    layers.append(nn.Conv2d(features, channels, 3, padding="same", weight_init="glorot_uniform"))
    return nn.Sequential(nn.Residual(nn.Sequential(*layers)))
