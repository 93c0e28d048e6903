"""Small networks in the manner of VGG: convolutions of 3 x 3 only, and pooling between them."""

from __future__ import annotations

from collections.abc import Sequence

from pellucid import nn
from pellucid.nn.linear import positive_integer

from .start import SMALL


def vgg(
    blocks: Sequence[Sequence[int]] = ((32, 32), (64, 64), (128, 128)),
    classes: int = 10,
    channels: int = 3,
    size: int = 32,
    dense: int = 128,
) -> nn.Sequential:
    """Blocks of convolutions of 3 x 3, each followed by pooling, then two dense layers.

    VGG-16 itself is `blocks=((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)` with
    a further dense layer, for images of 224 x 224.

    Args:
        blocks: features of each convolution, block by block.
        classes: number of outputs, logits.
        channels: of the images.
        size: their height and width, halved after each block.
        dense: units of the hidden dense layer.

    Returns:
        A model from (batch, size, size, channels) to (batch, classes).

    Raises:
        ValueError: size cannot be halved so often, or blocks are not lists of numbers.

    Example:
        >>> import pellucid as pe
        >>> pe.models.vgg(blocks=((8,), (16, 16)), size=8).summary((8, 8, 3)).output_shape
        (10,)

    Source: Simonyan, Zisserman: Very deep convolutional networks for large-scale image
    recognition (2015).
    """
    if not all(isinstance(block, Sequence) for block in blocks):
        raise ValueError(
            "blocks must hold the features of the convolutions of each block, such as "
            f"((32, 32), (64,)), received {blocks!r}"
        )
    if positive_integer("size", size) % 2 ** len(blocks):
        raise ValueError(f"size must be halved {len(blocks)} times, received {size}")
    layers: list[nn.Module] = []
    for block in blocks:
        for features in block:
            layers += [nn.Conv2d(channels, features, 3, padding="same"), nn.ReLU()]
            channels = features
        layers.append(nn.MaxPool2d(2))
        size //= 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(size * size * channels, dense),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(dense, classes, weight_init=SMALL),
    )
