"""Rows of the layers that work on signals, images and volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pellucid import nn

from .layer_sample import Function, LayerSample

Torch = Callable[[Any, dict[str, Any]], Function]


def channels_first(f: Function) -> Function:
    """A function of images with channels first as one of images with channels last."""
    return lambda x: f(x.movedim(-1, 1)).movedim(1, -1)


def _conv(name: str, **options: Any) -> Torch:
    def make(torch: Any, s: dict[str, Any]) -> Function:
        kernel = s["weight"].movedim(-1, 0).movedim(-1, 1)
        if "transpose" in name:
            kernel = kernel.movedim(1, 0)  # without groups: (in, out, ...)
        function = getattr(torch.nn.functional, name)
        return channels_first(lambda x: function(x, kernel, s.get("bias"), **options))

    return make


def _space(name: str, *args: Any, **options: Any) -> Torch:
    return lambda torch, s: channels_first(
        lambda x: getattr(torch.nn.functional, name)(x, *args, **options)
    )


def _global(name: str) -> Torch:
    return lambda torch, s: lambda x: getattr(x, name)(tuple(range(1, x.ndim - 1)))


def _group_norm(groups: int) -> Torch:
    return lambda torch, s: channels_first(
        lambda x: torch.nn.functional.group_norm(x, groups, s["gamma"], s["beta"])
    )


def _plain_flip(torch: Any, s: dict[str, Any]) -> Function:
    return lambda x: x.flip(1)


SPACE: dict[str, list[LayerSample]] = {
    "GroupNorm": [
        LayerSample(lambda: nn.GroupNorm(2, 6), (4, 6), _group_norm(2)),
        LayerSample(lambda: nn.GroupNorm(1, 3), (2, 5, 3), _group_norm(1)),
        LayerSample(lambda: nn.GroupNorm(3, 3), (2, 5, 3), _group_norm(3)),
        LayerSample(lambda: nn.GroupNorm(2, 4, eps=0.1), (4,)),
    ],
    "Conv1d": [
        LayerSample(lambda: nn.Conv1d(2, 3, 4), (9, 2), _conv("conv1d")),
        LayerSample(
            lambda: nn.Conv1d(2, 3, 3, stride=2, padding=1, bias=False),
            (8, 2),
            _conv("conv1d", stride=2, padding=1),
        ),
        LayerSample(lambda: nn.Conv1d(1, 2, 3, dilation=2, padding="causal"), (7, 1)),
        LayerSample(lambda: nn.Conv1d(1, 17, 1), (1, 1), _conv("conv1d")),
    ],
    "Conv2d": [
        LayerSample(
            lambda: nn.Conv2d(3, 4, 3, padding="same"), (5, 6, 3), _conv("conv2d", padding="same")
        ),
        LayerSample(
            lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), groups=2, bias_init="small_positive"),
            (7, 5, 4),
            _conv("conv2d", stride=(2, 1), padding=(1, 0), groups=2),
        ),
        LayerSample(
            lambda: nn.Conv2d(5, 5, 3, padding=((1, 1), (1, 1)), groups=5, bias=False),
            (4, 4, 5),
            _conv("conv2d", padding=1, groups=5),
        ),
        LayerSample(lambda: nn.Conv2d(16, 20, 3, stride=2, padding="same"), (9, 8, 16)),
    ],
    "Conv3d": [
        LayerSample(lambda: nn.Conv3d(2, 3, (1, 2, 3)), (2, 3, 4, 2), _conv("conv3d")),
        LayerSample(
            lambda: nn.Conv3d(1, 2, 3, padding=1, stride=2),
            (4, 3, 4, 1),
            _conv("conv3d", padding=1, stride=2),
        ),
    ],
    "ConvTranspose1d": [
        LayerSample(
            lambda: nn.ConvTranspose1d(2, 3, 4, stride=3, padding=1, output_padding=2),
            (5, 2),
            _conv("conv_transpose1d", stride=3, padding=1, output_padding=2),
        ),
    ],
    "ConvTranspose2d": [
        LayerSample(
            lambda: nn.ConvTranspose2d(3, 2, (3, 2), dilation=2),
            (3, 4, 3),
            _conv("conv_transpose2d", dilation=2),
        ),
        LayerSample(
            lambda: nn.ConvTranspose2d(2, 1, 4, stride=2, padding="same", bias=False),
            (3, 4, 2),
            _conv("conv_transpose2d", stride=2, padding=1),
        ),
        LayerSample(lambda: nn.ConvTranspose2d(4, 6, 2, 2, groups=2), (3, 3, 4)),
    ],
    "ConvTranspose3d": [
        LayerSample(
            lambda: nn.ConvTranspose3d(1, 2, 2, stride=2),
            (2, 3, 2, 1),
            _conv("conv_transpose3d", stride=2),
        ),
    ],
    "MaxPool1d": [
        LayerSample(lambda: nn.MaxPool1d(2), (7, 3), _space("max_pool1d", 2)),
        LayerSample(
            lambda: nn.MaxPool1d(3, stride=1, padding=1), (7, 3), _space("max_pool1d", 3, 1, 1)
        ),
    ],
    "MaxPool2d": [
        LayerSample(lambda: nn.MaxPool2d(2), (4, 6, 3), _space("max_pool2d", 2)),
        LayerSample(
            lambda: nn.MaxPool2d(3, 2, ceil=True),
            (6, 8, 2),
            _space("max_pool2d", 3, 2, ceil_mode=True),
        ),
        LayerSample(lambda: nn.MaxPool2d((2, 3), padding="same"), (3, 5, 1)),
    ],
    "MaxPool3d": [LayerSample(lambda: nn.MaxPool3d(2), (2, 3, 4, 3), _space("max_pool3d", 2))],
    "AvgPool1d": [
        LayerSample(
            lambda: nn.AvgPool1d(3, 2, 1),
            (8, 2),
            _space("avg_pool1d", 3, 2, 1, count_include_pad=False),
        ),
    ],
    "AvgPool2d": [
        LayerSample(lambda: nn.AvgPool2d(2), (4, 6, 3), _space("avg_pool2d", 2)),
        LayerSample(
            lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=True),
            (5, 6, 2),
            _space("avg_pool2d", 3, 2, 1),
        ),
        LayerSample(lambda: nn.AvgPool2d(3, 2, padding="same"), (5, 6, 17)),
    ],
    "AvgPool3d": [
        LayerSample(
            lambda: nn.AvgPool3d(2, ceil=True),
            (3, 3, 4, 2),
            _space("avg_pool3d", 2, ceil_mode=True),
        ),
    ],
    "SumPool1d": [LayerSample(lambda: nn.SumPool1d(3, stride=1), (5, 2))],
    "SumPool2d": [
        LayerSample(lambda: nn.SumPool2d(2), (4, 4, 3)),
        LayerSample(lambda: nn.SumPool2d(3, 2, "same"), (4, 5, 3)),
    ],
    "SumPool3d": [LayerSample(lambda: nn.SumPool3d((1, 2, 2)), (2, 4, 4, 1))],
    "GlobalMaxPool": [LayerSample(nn.GlobalMaxPool, (4, 5, 3), _global("amax"))],
    "GlobalAvgPool": [
        LayerSample(nn.GlobalAvgPool, (4, 5, 3), _global("mean")),
        LayerSample(nn.GlobalAvgPool, (7, 17), _global("mean")),
    ],
    "GlobalSumPool": [LayerSample(nn.GlobalSumPool, (2, 3, 2, 3), _global("sum"))],
    "AdaptiveAvgPool": [
        LayerSample(lambda: nn.AdaptiveAvgPool(3), (7, 2), _space("adaptive_avg_pool1d", 3)),
        LayerSample(
            lambda: nn.AdaptiveAvgPool((2, 3)), (5, 7, 2), _space("adaptive_avg_pool2d", (2, 3))
        ),
        LayerSample(lambda: nn.AdaptiveAvgPool(2), (4, 6, 2), _space("adaptive_avg_pool2d", 2)),
        LayerSample(lambda: nn.AdaptiveAvgPool(4), (3, 2), _space("adaptive_avg_pool1d", 4)),
    ],
    "Upsample": [
        LayerSample(nn.Upsample, (3, 4, 2), _space("interpolate", scale_factor=2)),
        LayerSample(
            lambda: nn.Upsample((2, 3), "bilinear"),
            (3, 4, 2),
            _space("interpolate", scale_factor=(2, 3), mode="bilinear"),
        ),
        LayerSample(
            lambda: nn.Upsample(4, mode="bilinear"),
            (5, 2),
            _space("interpolate", scale_factor=4, mode="linear"),
        ),
        LayerSample(
            lambda: nn.Upsample((1, 2, 2), "bilinear"),
            (2, 1, 3, 2),
            _space("interpolate", scale_factor=(1, 2, 2), mode="trilinear"),
        ),
    ],
    "ZeroPad": [
        LayerSample(lambda: nn.ZeroPad(((1, 0), (2, 3))), (3, 4, 2), _space("pad", (2, 3, 1, 0))),
        LayerSample(lambda: nn.ZeroPad(1), (3, 2), _space("pad", (1, 1))),
        LayerSample(lambda: nn.ZeroPad((1, 2)), (3, 2), _space("pad", (1, 2))),
    ],
    "RandomFlip": [
        LayerSample(nn.RandomFlip, (3, 4, 2), lambda torch, s: lambda x: x),
        LayerSample(nn.RandomFlip, (3, 4, 2), training=True),
        LayerSample(lambda: nn.RandomFlip(1, axis=1), (5,), _plain_flip, training=True),
    ],
    "RandomShift": [
        LayerSample(lambda: nn.RandomShift(2), (4, 5, 3), lambda torch, s: lambda x: x),
        LayerSample(lambda: nn.RandomShift(2), (4, 5, 3), training=True),
        LayerSample(lambda: nn.RandomShift((3,)), (4, 2), training=True),
    ],
    "RandomCrop": [
        LayerSample(lambda: nn.RandomCrop(3), (4, 6, 2), lambda torch, s: lambda x: x[:, :3, 1:4]),
        LayerSample(lambda: nn.RandomCrop((3, 5), padding=2), (4, 6, 2), training=True),
        LayerSample(lambda: nn.RandomCrop(4), (4, 3), training=True),
    ],
    "Cutout": [
        LayerSample(lambda: nn.Cutout(3), (4, 6, 2), lambda torch, s: lambda x: x),
        LayerSample(lambda: nn.Cutout((3, 2)), (4, 6, 2), training=True),
        LayerSample(lambda: nn.Cutout(2), (7, 1), training=True),
    ],
    "Reshape": [
        LayerSample(
            lambda: nn.Reshape((2, 3, 1)), (6,), lambda torch, s: lambda x: x.reshape(-1, 2, 3, 1)
        ),
        LayerSample(lambda: nn.Reshape(6), (2, 3), lambda torch, s: lambda x: x.reshape(-1, 6)),
    ],
    "Checkpoint": [
        LayerSample(lambda: nn.Checkpoint(nn.Sequential(nn.Linear(3, 4), nn.Tanh())), (3,)),
        LayerSample(
            lambda: nn.Checkpoint(nn.Sequential(nn.Linear(5, 5), nn.BatchNorm(5), nn.Dropout())),
            (5,),
            training=True,
        ),
    ],
    "Residual": [
        LayerSample(lambda: nn.Residual(nn.Tanh()), (5,), lambda torch, s: lambda x: x + x.tanh()),
        LayerSample(lambda: nn.Residual(nn.Linear(3, 2), nn.Linear(3, 2, bias=False)), (3,)),
        LayerSample(
            lambda: nn.Residual(nn.Conv2d(2, 3, 3, 2, 1), nn.Conv2d(2, 3, 1, 2)), (5, 5, 2)
        ),
    ],
}
