"""AvgPool1d to 3d and SumPool1d to 3d: the mean or the sum over each window."""

from __future__ import annotations

from typing import Any

from pellucid.core.tensor import Tensor

from .geometry import PaddingLike, PerAxis
from .pool import Pool, take_mean, take_sum


class _SumPool(Pool):
    def forward(self, x: Any) -> Tensor:
        return take_sum(self.checked(x), self.window)


class _AvgPool(Pool):
    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PaddingLike = "valid",
        ceil: bool = False,
        count_include_pad: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil)
        self.count_include_pad = bool(count_include_pad)

    def forward(self, x: Any) -> Tensor:
        return take_mean(self.checked(x), self.window, self.count_include_pad)


class AvgPool2d(_AvgPool):
    """The mean over each window of an image, for each channel.

    y[b, i, j, c] = sum over u, v of x[b, i s + u, j s + v, c] / n(i, j), n being the number
    of pixels that the window sees: the mean of a constant is that constant, at the edges too.

    Args:
        kernel_size: height and width of the window; one number for both.
        stride: from one window to the next; by default its size.
        padding: as for `MaxPool2d`; zeros stand there.
        ceil: whether a last window may stick out where elements would be left out.
        count_include_pad: whether zeros put around are counted, which is PyTorch's default;
            not so in TensorFlow, and not here.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.AvgPool2d(3, stride=2, padding="same")(np.ones((1, 4, 4, 1))).numpy()[0, :, :, 0]
        array([[1., 1.],
               [1., 1.]])

    Source: LeCun and others: Gradient-based learning applied to document recognition (1998).
    """

    axes = 2


class AvgPool1d(_AvgPool):
    """The mean over each window of a signal (batch, length, channels); else as `AvgPool2d`.

    Args:
        kernel_size: length of the window.
        stride: from one window to the next; by default its size.
        padding: "valid", "same", a number for both ends or (before, after).
        ceil: whether a last window may stick out where elements would be left out.
        count_include_pad: whether zeros put around are counted.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> from pellucid import nn
        >>> nn.AvgPool1d(2)([[[1.0], [5.0], [2.0], [4.0]]]).numpy()[0, :, 0]
        array([3., 3.], dtype=float32)
    """

    axes = 1


class AvgPool3d(_AvgPool):
    """The mean over each window of a volume; else as `AvgPool2d`.

    Args:
        kernel_size: depth, height and width of the window; one number for all.
        stride: from one window to the next; by default its size.
        padding: "valid", "same", numbers or pairs.
        ceil: whether a last window may stick out where elements would be left out.
        count_include_pad: whether zeros put around are counted.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.AvgPool3d(2)(np.ones((1, 4, 4, 4, 1))).shape
        (1, 2, 2, 2, 1)
    """

    axes = 3


class SumPool2d(_SumPool):
    """The sum over each window of an image, for each channel; zeros stand in the padding.

    y[b, i, j, c] = sum over u, v of x[b, i s + u, j s + v, c]: it counts what is there.

    Args:
        kernel_size: height and width of the window; one number for both.
        stride: from one window to the next; by default its size.
        padding: as for `MaxPool2d`.
        ceil: whether a last window may stick out where elements would be left out.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.SumPool2d(2)(np.ones((1, 4, 4, 1))).numpy()[0, :, :, 0]
        array([[4., 4.],
               [4., 4.]])
    """

    axes = 2


class SumPool1d(_SumPool):
    """The sum over each window of a signal (batch, length, channels); else as `SumPool2d`.

    Args:
        kernel_size: length of the window.
        stride: from one window to the next; by default its size.
        padding: "valid", "same", a number for both ends or (before, after).
        ceil: whether a last window may stick out where elements would be left out.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> from pellucid import nn
        >>> nn.SumPool1d(2)([[[1.0], [5.0], [2.0], [4.0]]]).numpy()[0, :, 0]
        array([6., 6.], dtype=float32)
    """

    axes = 1


class SumPool3d(_SumPool):
    """The sum over each window of a volume; else as `SumPool2d`.

    Args:
        kernel_size: depth, height and width of the window; one number for all.
        stride: from one window to the next; by default its size.
        padding: "valid", "same", numbers or pairs.
        ceil: whether a last window may stick out where elements would be left out.

    Raises:
        ValueError: as for `MaxPool2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.SumPool3d(2)(np.ones((1, 4, 4, 4, 1))).numpy()[0, 0, 0, 0]
        array([8.])
    """

    axes = 3
