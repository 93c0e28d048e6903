"""Transposed convolution: from a map of features back to a larger one, as function and layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.convolution import Geometry, convolution
from pellucid.core.tensor import Tensor, apply, cast, promote, tensor

from .conv import Sliding, check_groups
from .geometry import KINDS, PaddingLike, PerAxis, Shape, Window, by, check_layout
from .initializers import InitializerLike, he_uniform, zeros


def conv_transpose(
    x: Any,
    kernel: Any,
    stride: PerAxis = 1,
    padding: PaddingLike = "valid",
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """Each element spreads a kernel over its window: the way back through `conv`.

    y[b, o stride + u dilation - before, f] += x[b, o, c] kernel[u, c, f]: as the gradient of a
    convolution with that stride, padding and dilation reaches its input.

    Args:
        x: signals, images or volumes (batch, *space, channels).
        kernel: (*size, channels / groups, features).
        stride: from one element's window to the next one's.
        padding: "valid": none; the result has length (n - 1) stride + dilation (size - 1) + 1.
            "same": n stride. Numbers or pairs (before, after): so much is cut off there.
        output_padding: so much longer is the result at its end; less than the stride or
            the dilation.
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided.

    Returns:
        Tensor (batch, *lengths, features).

    Raises:
        ValueError: shapes do not fit, or nothing would be left.

    Example:
        >>> import pellucid as pe
        >>> x = pe.reshape(pe.tensor([1.0, 2.0]), (1, 2, 1))
        >>> pe.conv_transpose(x, pe.ones((3, 1, 1)), stride=2)[0, :, 0]
        Tensor([1., 1., 3., 2., 2.], dtype=float32)

    Source: Zeiler and others: Deconvolutional networks (2010); Dumoulin, Visin: A guide to
    convolution arithmetic for deep learning (2016).
    """
    x, kernel = tensor(x), tensor(kernel)
    axes = kernel.ndim - 2
    if axes not in KINDS:
        raise ValueError(
            "expected a kernel of shape (*size, channels / groups, features) with 1 to 3 axes of "
            f"size, received {kernel.shape}"
        )
    check_groups(groups, kernel.shape[-2] * groups, kernel.shape[-1])
    check_layout(x, axes, kernel.shape[-2] * groups)
    window = Window.of(axes, kernel.shape[:-2], stride, padding, dilation)
    more = longer(output_padding, window)
    dtype = promote(x.dtype, kernel.dtype)
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float32)
    return spread(cast(x, dtype), cast(kernel, dtype), window, more, groups)


def longer(output_padding: Any, window: Window) -> Shape:
    """How much longer the result is made at its end, along each axis.

    Raises:
        ValueError: it is negative, or so much that nothing could stand there.
    """
    given = output_padding
    more = tuple(given) if isinstance(given, tuple | list) else (given,) * window.axes
    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in more)
    if window.padding == "causal":
        raise ValueError(
            "padding must be 'valid', 'same', a number or pairs here, received 'causal'"
        )
    if len(more) != window.axes or not whole:
        raise ValueError(
            f"output_padding must be one whole number, or {window.axes} of them, received {given!r}"
        )
    most = tuple(max(s, d) for s, d in zip(window.stride, window.dilation, strict=True))
    if any(not 0 <= v < m for v, m in zip(more, most, strict=True)):
        raise ValueError(
            f"output_padding must be at least 0 and less than the stride or the dilation "
            f"{most}, received {given!r}"
        )
    if window.padding == "same" and any(more):
        raise ValueError(
            "output_padding and padding='same' do not go together: the length is settled, "
            "length x stride"
        )
    return tuple(int(v) for v in more)


def spread(x: Tensor, kernel: Tensor, window: Window, more: Shape, groups: int) -> Tensor:
    """The transposed convolution of a checked value with a kernel of its dtype.

    It is a convolution with the kernel turned about, of the value with stride - 1 zeros
    between its elements.
    """
    steps = [(n - 1) * s for n, s in zip(x.shape[1:-1], window.stride, strict=True)]
    if window.padding == "same":
        cut = [max(0, r + 1 - s) // 2 for r, s in zip(window.reach, window.stride, strict=True)]
        lengths = [n * s for n, s in zip(x.shape[1:-1], window.stride, strict=True)]
    else:
        pairs = ((0, 0),) * window.axes if isinstance(window.padding, str) else window.padding
        cut = [low for low, _ in pairs]
        lengths = [
            m + r + 1 - low - high + p
            for m, r, (low, high), p in zip(steps, window.reach, pairs, more, strict=True)
        ]
    if min(lengths) < 1:
        raise ValueError(
            f"padding={window.padding} cuts off all that {KINDS[window.axes]} of "
            f"{by(x.shape[1:-1])} become; cut off less"
        )
    before = tuple(r - low for r, low in zip(window.reach, cut, strict=True))
    after = tuple(
        n + r - m - 1 - low
        for n, r, m, low in zip(lengths, window.reach, steps, before, strict=True)
    )
    geometry = Geometry(
        stride=(1,) * window.axes,
        before=before,
        after=after,
        between=tuple(s - 1 for s in window.stride),
        dilation=window.dilation,
        groups=groups,
    )
    return convolution(x, apply("flip", kernel, axes=tuple(range(window.axes))), geometry)


class _ConvTranspose(Sliding):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: PaddingLike = "valid",
        output_padding: PerAxis = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        weight_init: InitializerLike = he_uniform,
        bias_init: InitializerLike = zeros,
    ) -> None:
        self.window = Window.of(self.axes, kernel_size, stride, padding, dilation)
        self.more = longer(output_padding, self.window)
        channels, inits = (in_channels, out_channels), (weight_init, bias_init)
        self._learn(channels, self.window.size, groups, bias, inits)

    def forward(self, x: Any) -> Tensor:
        y = spread(self._checked(x), self.weight, self.window, self.more, self.groups)
        return self._shifted(y)


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution over images: every element spreads a kernel over its window.

    y[b, i s + u d - p, j s + v d - p, f] = bias[f] + sum of x[b, i, j, c] weight[u, v, c, f],
    with stride s, dilation d and p cut off; x (batch, height, width, in_channels), y of
    height (height - 1) s - 2 p + d (size - 1) + 1 + output_padding.

    Args:
        in_channels: channels of the images.
        out_channels: features.
        kernel_size: height and width of the window; one number for both.
        stride: from one element's window to the next one's: how much larger the result is.
        padding: "valid": nothing is cut off. "same": the result is stride times as large.
            A number that is cut off on all sides, or numbers or pairs for the two axes.
        output_padding: so many rows and columns more at the end, where several lengths
            would lead to the same one under `Conv2d` with that stride.
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided.
        bias: whether a bias is added to each feature.
        weight_init: initial weights (height, width, in_channels / groups, out_channels), as
            for `Linear`; the order of axes is that of `Conv2d`, not its reverse.
        bias_init: initial biases, likewise.

    Raises:
        ValueError: as for `Conv2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.ConvTranspose2d(8, 3, 3, stride=2, padding="same")(np.zeros((5, 7, 7, 8))).shape
        (5, 14, 14, 3)

    Source: Zeiler and others: Deconvolutional networks (2010).
    """

    axes = 2


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution over signals (batch, length, channels); else as `ConvTranspose2d`.

    Args:
        in_channels: channels of the signals.
        out_channels: features.
        kernel_size: length of the window.
        stride: from one element's window to the next one's.
        padding: "valid", "same", a number that is cut off at both ends, or (before, after).
        output_padding: so much longer is the result at its end.
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided.
        bias: whether a bias is added to each feature.
        weight_init: initial weights (length, in_channels / groups, out_channels).
        bias_init: initial biases, likewise.

    Raises:
        ValueError: as for `Conv2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.ConvTranspose1d(4, 1, 4, stride=2, padding=1)(np.zeros((2, 10, 4))).shape
        (2, 20, 1)
    """

    axes = 1


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution over volumes (batch, depth, height, width, channels).

    All else is as for `ConvTranspose2d`.

    Args:
        in_channels: channels of the volumes.
        out_channels: features.
        kernel_size: depth, height and width of the window; one number for all.
        stride: from one element's window to the next one's.
        padding: "valid", "same", a number that is cut off on all sides, or numbers or pairs.
        output_padding: so much longer is the result at the end of each axis.
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided.
        bias: whether a bias is added to each feature.
        weight_init: initial weights (depth, height, width, in_channels / groups, features).
        bias_init: initial biases, likewise.

    Raises:
        ValueError: as for `Conv2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.ConvTranspose3d(2, 1, 2, stride=2)(np.zeros((1, 3, 4, 4, 2))).shape
        (1, 6, 8, 8, 1)
    """

    axes = 3
