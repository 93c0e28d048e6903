"""A convolutional autoencoder."""

from __future__ import annotations

from pellucid import nn
from pellucid.nn.linear import positive_integer


def autoencoder(code: int = 32, channels: int = 1, size: int = 28) -> nn.Sequential:
    """From an image to a few numbers that describe it, and back to the image.

    Two convolutions halve the image, a dense layer makes the code of it; the way back is a
    dense layer and two transposed convolutions. Trained on the images as their own targets.

    Args:
        code: how many numbers describe an image.
        channels: of the images.
        size: their height and width, a multiple of 4.

    Returns:
        A model of two parts: `model[0]` from (batch, size, size, channels) to (batch, code),
        `model[1]` from there back.

    Raises:
        ValueError: size is not a multiple of 4.

    Example:
        >>> import numpy as np
        >>> import pellucid as pe
        >>> model = pe.models.autoencoder(code=8)
        >>> x = np.zeros((2, 28, 28, 1))
        >>> model[0](x).shape, model(x).shape
        ((2, 8), (2, 28, 28, 1))

    Source: Masci, Meier, Ciresan, Schmidhuber: Stacked convolutional auto-encoders (2011).
    """
    if positive_integer("size", size) % 4:
        raise ValueError(f"size must be a multiple of 4, it is halved twice; received {size}")
    small = size // 4
    encoder = nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding="same"),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding="same"),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * small * small, code),
    )
    decoder = nn.Sequential(
        nn.Linear(code, 32 * small * small),
        nn.ReLU(),
        nn.Reshape((small, small, 32)),
        nn.ConvTranspose2d(32, 16, 3, stride=2, padding="same"),
        nn.ReLU(),
        nn.ConvTranspose2d(16, channels, 3, stride=2, padding="same"),
    )
    return nn.Sequential(encoder, decoder)
