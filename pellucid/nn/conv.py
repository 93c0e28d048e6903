"""Convolution: a kernel that slides over signals, images and volumes, as function and as layers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pellucid.core.convolution import Geometry, convolution
from pellucid.core.tensor import Tensor, cast, parameter, promote, tensor

from .geometry import KINDS, PaddingLike, PerAxis, Window, check_layout
from .initializers import InitializerLike, he_uniform, initial, zeros
from .linear import positive_integer
from .module import Module


def conv(
    x: Any,
    kernel: Any,
    stride: PerAxis = 1,
    padding: PaddingLike = "valid",
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Tensor:
    """The sum of a window's elements times a kernel, wherever the window may stand.

    y[b, o, f] = sum over u and c of x[b, o stride + u dilation, c] kernel[u, c, f], x being
    padded with zeros; o and u have one component for each axis of space. The kernel is
    not turned about: mathematicians call this a correlation.

    Args:
        x: signals (batch, length, channels), images (batch, height, width, channels) or
            volumes (batch, depth, height, width, channels).
        kernel: (*size, channels / groups, features).
        stride: from one place of the window to the next; one number, or one per axis.
        padding: "valid": none. "same": as many places as the length divided by the stride,
            rounded up, an odd zero standing at the end. "causal", for signals: all zeros
            before. Or zeros on both sides of each axis, as numbers or pairs (before, after).
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided; features see the
            channels of their own part only.

    Returns:
        Tensor (batch, *places, features). Without padding, elements at the end that a
        whole window does not reach are left out.

    Raises:
        ValueError: shapes do not fit, the channels are not where they should be, or the
            window is larger than what it slides over.

    Example:
        >>> import pellucid as pe
        >>> x = pe.reshape(pe.arange(9), (1, 3, 3, 1))
        >>> pe.conv(x, pe.ones((2, 2, 1, 1)))[0, :, :, 0]
        Tensor([[ 8., 12.],
                [20., 24.]], dtype=float32)
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
    dtype = promote(x.dtype, kernel.dtype)
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float32)
    return slide(cast(x, dtype), cast(kernel, dtype), window, groups)


def slide(x: Tensor, kernel: Tensor, window: Window, groups: int) -> Tensor:
    """The convolution of a checked value with a kernel of its dtype."""
    sides = window.sides(x.shape[1:-1])
    geometry = Geometry(
        stride=window.stride,
        before=tuple(a for a, _ in sides),
        after=tuple(b for _, b in sides),
        between=(0,) * window.axes,
        dilation=window.dilation,
        groups=groups,
    )
    return convolution(x, kernel, geometry)


def check_groups(groups: Any, in_channels: int, out_channels: int) -> int:
    """Parts into which both channels and features can be divided.

    Raises:
        ValueError: they cannot.
    """
    groups = positive_integer("groups", groups)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups must divide in_channels and out_channels: {groups} groups do not divide "
            f"{in_channels} channels and {out_channels} features into equal parts"
        )
    return groups


class Sliding(Module):
    """What layers with a kernel share: its weight (*size, in_channels / groups, features), bias."""

    axes: ClassVar[int]
    in_channels: int
    out_channels: int
    groups: int
    weight: Tensor
    bias: Tensor | None

    def _learn(
        self,
        channels: tuple[int, int],
        size: tuple[int, ...],
        groups: int,
        bias: bool,
        inits: tuple[InitializerLike, InitializerLike],
    ) -> None:
        self.in_channels = positive_integer("in_channels", channels[0])
        self.out_channels = positive_integer("out_channels", channels[1])
        self.groups = check_groups(groups, self.in_channels, self.out_channels)
        if not isinstance(bias, bool | np.bool_):
            raise TypeError(
                f"bias must be True or False, received {bias!r}; an activation is a layer of its "
                "own, after this one"
            )
        shape = (*size, self.in_channels // self.groups, self.out_channels)
        self.weight = parameter(initial(inits[0], shape), name="weight", role="weight")
        self.bias = None
        if bias:
            self.bias = parameter(initial(inits[1], shape[-1:]), name="bias", role="bias")

    def _checked(self, x: Any) -> Tensor:
        x = tensor(x)
        check_layout(x, self.axes, self.in_channels)
        return cast(x, self.weight.dtype)

    def _shifted(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias


class _Conv(Sliding):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: PaddingLike = "valid",
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        weight_init: InitializerLike = he_uniform,
        bias_init: InitializerLike = zeros,
    ) -> None:
        self.window = Window.of(self.axes, kernel_size, stride, padding, dilation)
        channels, inits = (in_channels, out_channels), (weight_init, bias_init)
        self._learn(channels, self.window.size, groups, bias, inits)

    def forward(self, x: Any) -> Tensor:
        return self._shifted(slide(self._checked(x), self.weight, self.window, self.groups))


class Conv2d(_Conv):
    """Convolution over images: each unit sees a window of the image, and all share their weights.

    y[b, i, j, f] = bias[f] + sum over u, v, c of x[b, i s + u d, j s + v d, c] weight[u, v, c, f]
    with stride s and dilation d; x (batch, height, width, in_channels), y (batch, height',
    width', out_channels), with height' = floor((height + padding - d (size - 1) - 1) / s) + 1.

    Args:
        in_channels: channels of the images.
        out_channels: features, one map of each.
        kernel_size: height and width of the window; one number for both.
        stride: from one place of the window to the next, down and across.
        padding: "valid": none; rows and columns at the end that a whole window does not
            reach are left out. "same": height' = height / stride, rounded up; of the zeros
            needed half stand before and half after, an odd one after, as in TensorFlow (and
            in PyTorch, which has it for stride 1 only). A number of zeros for all sides;
            (vertical, horizontal); or ((top, bottom), (left, right)).
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided, each feature seeing its
            own part only; `groups=in_channels` is the depthwise convolution.
        bias: whether a bias is added to each feature.
        weight_init: initial weights (height, width, in_channels / groups, out_channels), as
            for `Linear`; fan_in is height x width x in_channels / groups.
        bias_init: initial biases, likewise.

    Raises:
        ValueError: an argument is outside its range; called with what are not images with
            in_channels last, or smaller than the window.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> layer = nn.Conv2d(3, 8, 3, padding="same")
        >>> layer(np.zeros((5, 32, 32, 3))).shape, layer.weight.shape, layer.num_parameters
        ((5, 32, 32, 8), (3, 3, 3, 8), 224)

    Source: LeCun and others: Backpropagation applied to handwritten zip code recognition (1989).
    """

    axes = 2


class Conv1d(_Conv):
    """Convolution over signals: each unit sees a stretch of the signal.

    y[b, t, f] = bias[f] + sum over u, c of x[b, t stride + u dilation, c] weight[u, c, f];
    x (batch, length, in_channels), weight (size, in_channels / groups, out_channels).

    Args:
        in_channels: channels of the signals: how many numbers there are at each moment.
        out_channels: features.
        kernel_size: length of the window.
        stride: from one place of the window to the next.
        padding: "valid", "same", a number of zeros for both ends, or (before, after), as for
            `Conv2d`; "causal": all zeros before, so that y[t] depends on x[t] and earlier
            values only.
        dilation: from one element of the window to the next.
        groups: parts into which channels and features are divided.
        bias: whether a bias is added to each feature.
        weight_init: initial weights, as for `Linear`.
        bias_init: initial biases, likewise.

    Raises:
        ValueError: as for `Conv2d`.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.Conv1d(1, 4, 5, stride=2, padding="same")(np.zeros((2, 25, 1))).shape
        (2, 13, 4)

    Source: Waibel and others: Phoneme recognition using time-delay neural networks (1989).
    """

    axes = 1


class Conv3d(_Conv):
    """Convolution over volumes (batch, depth, height, width, channels); else as `Conv2d`.

    Args:
        in_channels: channels of the volumes.
        out_channels: features.
        kernel_size: depth, height and width of the window; one number for all.
        stride: from one place of the window to the next.
        padding: "valid", "same", a number of zeros for all sides, or three numbers or pairs.
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
        >>> nn.Conv3d(1, 2, (1, 3, 3))(np.zeros((2, 4, 8, 8, 1))).shape
        (2, 4, 6, 6, 2)
    """

    axes = 3
