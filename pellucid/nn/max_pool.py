"""MaxPool1d, MaxPool2d, MaxPool3d: the greatest element of each window."""

from __future__ import annotations

from typing import Any

from pellucid.core.tensor import Tensor

from .pool import Pool, take_max


class _MaxPool(Pool):
    def forward(self, x: Any) -> Tensor:
        return take_max(self.checked(x), self.window)


class MaxPool2d(_MaxPool):
    """The greatest element of each window of an image, for each channel.

    y[b, i, j, c] = max over u, v of x[b, i s + u, j s + v, c]: whether a feature is there
    matters more than where exactly, so that small shifts change little.

    Args:
        kernel_size: height and width of the window; one number for both.
        stride: from one window to the next; by default its size, side by side.
        padding: "valid": none; rows and columns at the end that no whole window reaches are
            left out, as of 7 rows under windows of 2. "same": height / stride, rounded up.
            Numbers or pairs, less than the window; minus infinity stands there.
        ceil: whether a last window may stick out where elements would be left out.

    Raises:
        ValueError: an argument is outside its range; called with what are not images
            (batch, height, width, channels), or smaller than the window.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
        >>> nn.MaxPool2d(2)(x).numpy()[0, :, :, 0]
        array([[ 5.,  7.],
               [13., 15.]])

    Source: Riesenhuber, Poggio: Hierarchical models of object recognition in cortex (1999).
    """

    axes = 2


class MaxPool1d(_MaxPool):
    """The greatest element of each window of a signal (batch, length, channels).

    With windows |u| <= k at every moment: `MaxPool1d(2 * k + 1, stride=1, padding=k)`.

    Args:
        kernel_size: length of the window.
        stride: from one window to the next; by default its size.
        padding: "valid", "same", a number for both ends or (before, after), as `MaxPool2d`.
        ceil: whether a last window may stick out where elements would be left out.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> from pellucid import nn
        >>> nn.MaxPool1d(3, stride=1, padding=1)([[[1.0], [5.0], [2.0], [3.0]]]).numpy()[0, :, 0]
        array([5., 5., 5., 3.], dtype=float32)
    """

    axes = 1


class MaxPool3d(_MaxPool):
    """The greatest element of each window of a volume (batch, depth, height, width, channels).

    Args:
        kernel_size: depth, height and width of the window; one number for all.
        stride: from one window to the next; by default its size.
        padding: "valid", "same", numbers or pairs, as for `MaxPool2d`.
        ceil: whether a last window may stick out where elements would be left out.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.MaxPool3d(2)(np.zeros((1, 4, 6, 8, 5))).shape
        (1, 2, 3, 4, 5)
    """

    axes = 3
