"""LeNet-5."""

from __future__ import annotations

from pellucid import nn

from .start import SMALL


def lenet5(classes: int = 10, channels: int = 1) -> nn.Sequential:
    """Two convolutions with pooling, then three dense layers, for images of 28 x 28 pixels.

    As LeCun's of 1998, with ReLU and maxima in the place of sigmoids and means.

    Args:
        classes: number of outputs, logits.
        channels: of the images.

    Returns:
        A model from (batch, 28, 28, channels) to (batch, classes).

    Example:
        >>> import pellucid as pe
        >>> pe.models.lenet5().num_parameters
        61706

    Source: LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document
    recognition (1998).
    """
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
        nn.Linear(84, classes, weight_init=SMALL),
    )
