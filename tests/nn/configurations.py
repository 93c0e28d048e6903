"""Convolutions and poolings of every kind with random arguments, and how PyTorch says the same."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pellucid as pe

Function = Callable[..., Any]
KINDS = ("conv", "conv_transpose", "max_pool", "avg_pool", "sum_pool")


@dataclass(frozen=True)
class Configuration:
    """A function of x and, of convolutions, a kernel; and where to evaluate it.

    Attributes:
        kind: which function, by its name in `pe`.
        shapes: of x, channels last, and of the kernel (*size, channels / groups, features).
        options: further arguments.
    """

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    options: dict[str, Any]

    @property
    def axes(self) -> int:
        """How many axes of space."""
        return len(self.shapes[0]) - 2

    def points(self, dtype: Any = np.float64, *, ties: bool = False) -> list[np.ndarray]:
        """x and the kernel; with ties most elements of x are met again."""
        rng = np.random.default_rng(zlib.crc32(repr(self).encode()))
        made = [rng.standard_normal(shape).astype(dtype) for shape in self.shapes]
        return [np.round(made[0]), *made[1:]] if ties else made

    def function(self, *values: Any) -> Any:
        """The library's."""
        return getattr(pe, self.kind)(*values, **self.options)

    def torch(self, torch: Any, *values: Any) -> Any:
        """PyTorch's, on tensors in our layout."""
        x = values[0].movedim(-1, 1).contiguous()
        options = dict(self.options)
        padding = options.pop("padding")
        return _TORCH[self.kind](torch, self, x, *values[1:], padding, options).movedim(1, -1)


def configurations(seed: int, count: int) -> list[Configuration]:
    """So many of them, of every kind in turn."""
    rng = np.random.default_rng(seed)
    found: list[Configuration] = []
    while len(found) < count:
        one = _draw(rng, KINDS[len(found) % len(KINDS)])
        if one is not None:
            found.append(one)
    return found


def _draw(rng: np.random.Generator, kind: str) -> Configuration | None:
    """One of a kind; None if its window does not fit."""
    axes = int(rng.integers(1, 4))

    def numbers(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(v) for v in rng.integers(low, high, axes))

    space, size = numbers(1, (20, 10, 6)[axes - 1]), numbers(1, 4)
    stride, dilation = numbers(1, 4), numbers(1, 3)
    x = (int(rng.integers(1, 4)), *space)
    if kind.endswith("pool"):
        options: dict[str, Any] = {"kernel_size": size, "ceil": bool(rng.random() < 0.4)}
        options["stride"] = None if rng.random() < 0.3 else stride
        padding = options["padding"] = _padding(rng, axes, [k - 1 for k in size])
        half = padding == "valid" or (isinstance(padding, int) and 2 * padding <= min(size))
        larger = all(n >= k for n, k in zip(space, size, strict=True))
        options["ceil"] &= half and larger  # PyTorch has it for such only
        if kind == "avg_pool":
            options["count_include_pad"] = bool(rng.random() < 0.5)
        shapes: tuple[tuple[int, ...], ...] = ((*x, int(rng.integers(1, 4))),)
        reached = size
    else:
        groups = int(rng.choice([1, 1, 2, 3]))
        channels, features = (int(v) for v in rng.integers(1, 4, 2))
        if rng.random() < 0.25:
            channels = features = 1  # in groups: depthwise
        options = {"stride": stride, "dilation": dilation, "groups": groups}
        options["padding"] = _padding(rng, axes, [2] * axes, causal=kind == "conv")
        shapes = ((*x, channels * groups), (*size, channels, features * groups))
        reached = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
        if kind == "conv_transpose" and options["padding"] != "same":
            most = [max(pair) for pair in zip(stride, dilation, strict=True)]
            options["output_padding"] = tuple(int(rng.integers(0, m)) for m in most)
    one = Configuration(kind, shapes, options)
    return one if _fits(one, space, reached) else None


def _padding(rng: np.random.Generator, axes: int, most: list[int], causal: bool = False) -> Any:
    """Any form that padding may have, with no more on a side than `most`."""
    choice = int(rng.integers(0, 5))
    if choice == 0:
        return "valid"
    if choice == 1:
        return "causal" if causal and axes == 1 and rng.random() < 0.5 else "same"
    if choice == 2:
        return int(rng.integers(0, min(most) + 1))
    pairs = tuple((int(rng.integers(0, m + 1)), int(rng.integers(0, m + 1))) for m in most)
    return pairs if choice == 3 or axes == 1 else tuple(a for a, _ in pairs)


def pairs_of(one: Configuration, space: Any, reached: Any, stride: Any) -> list[tuple[int, int]]:
    """The padding in numbers, by the formulas of TensorFlow's documentation."""
    padding = one.options["padding"]
    if padding == "valid":
        return [(0, 0)] * one.axes
    if padding == "causal":
        return [(reached[0] - 1, 0)]
    if padding == "same":
        total = [
            max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
            for n, k, s in zip(space, reached, stride, strict=True)
        ]
        return [(t // 2, t - t // 2) for t in total]
    each = (padding,) * one.axes if isinstance(padding, int) else padding
    return [(v, v) if isinstance(v, int) else v for v in each]


def _fits(one: Configuration, space: Any, reached: Any) -> bool:
    stride = one.options["stride"] or one.options["kernel_size"]
    pairs = pairs_of(one, space, reached, stride)
    if one.kind == "conv_transpose":
        if one.options["padding"] == "same":
            return True
        more = one.options["output_padding"]
        numbers = zip(space, stride, reached, pairs, more, strict=True)
        return all((n - 1) * s + k - sum(pair) + m >= 1 for n, s, k, pair, m in numbers)
    return all(n + sum(pair) >= k for n, pair, k in zip(space, pairs, reached, strict=True))


def _flat(pairs: list[tuple[int, int]]) -> list[int]:
    return [v for pair in reversed(pairs) for v in pair]


def _torch_conv(torch: Any, one: Configuration, x: Any, w: Any, padding: Any, options: Any) -> Any:
    F = torch.nn.functional
    reached = [(k - 1) * d + 1 for k, d in zip(w.shape, options["dilation"], strict=False)]
    pairs = pairs_of(one, x.shape[2:], reached, options["stride"])
    kernel = w.movedim(-1, 0).movedim(-1, 1).contiguous()
    function = (F.conv1d, F.conv2d, F.conv3d)[one.axes - 1]
    if all(a == b for a, b in pairs):
        return function(x, kernel, padding=[a for a, _ in pairs], **options)
    return function(F.pad(x, _flat(pairs)), kernel, **options)


def _torch_transpose(
    torch: Any, one: Configuration, x: Any, w: Any, padding: Any, options: Any
) -> Any:
    F = torch.nn.functional
    groups, stride = options["groups"], options["stride"]
    kernel = w.unflatten(-1, (groups, -1))  # (*K, C/G, G, F/G)
    kernel = kernel.movedim(-2, 0).movedim(-2, 1).movedim(-1, 2).flatten(0, 1).contiguous()
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[one.axes - 1]
    more = options.pop("output_padding", (0,) * one.axes)
    reached = [(k - 1) * d + 1 for k, d in zip(w.shape, options["dilation"], strict=False)]
    if padding == "same":  # as a convolution of the larger one would be padded
        pairs = pairs_of(
            one, [n * s for n, s in zip(x.shape[2:], stride, strict=True)], reached, stride
        )
        more = [max(0, s - k) for s, k in zip(stride, reached, strict=True)]
    else:
        pairs = pairs_of(one, x.shape[2:], reached, stride)
        if all(a == b for a, b in pairs):
            return function(
                x, kernel, padding=[a for a, _ in pairs], output_padding=more, **options
            )
    cut = [(-a, m - b) for (a, b), m in zip(pairs, more, strict=True)]
    return F.pad(function(x, kernel, **options), _flat(cut))


def _pool(one: Configuration, x: Any, options: Any, fill: float, torch: Any) -> Any:
    """x and the arguments; with its padding around it where PyTorch does not take that."""
    size, stride = options["kernel_size"], options["stride"] or options["kernel_size"]
    pairs = pairs_of(one, x.shape[2:], size, stride)
    arguments = {"kernel_size": size, "stride": stride, "ceil_mode": options["ceil"]}
    lengths = zip(x.shape[2:], pairs, size, strict=True)
    if all(a == b and 2 * a <= k <= n for n, (a, b), k in lengths):
        return x, {**arguments, "padding": [a for a, _ in pairs]}
    return torch.nn.functional.pad(x, _flat(pairs), value=fill), arguments


def _torch_max(torch: Any, one: Configuration, x: Any, padding: Any, options: Any) -> Any:
    F = torch.nn.functional
    x, arguments = _pool(one, x, options, -np.inf, torch)
    return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[one.axes - 1](x, **arguments)


def _torch_avg(torch: Any, one: Configuration, x: Any, padding: Any, options: Any) -> Any:
    F = torch.nn.functional
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[one.axes - 1]
    counted = options["count_include_pad"]
    given, arguments = _pool(one, x, options, 0.0, torch)
    if "padding" in arguments:
        return function(given, count_include_pad=counted, **arguments)
    ones, _ = _pool(one, torch.ones_like(x), options, 0.0, torch)
    mean = function(given, **arguments)
    return mean if counted else mean / function(ones, **arguments)


def _torch_sum(torch: Any, one: Configuration, x: Any, padding: Any, options: Any) -> Any:
    F = torch.nn.functional
    x, arguments = _pool(one, x, options, 0.0, torch)
    if one.axes > 1:
        return (F.avg_pool2d, F.avg_pool3d)[one.axes - 2](x, divisor_override=1, **arguments)
    ceil = arguments.pop("ceil_mode")
    flat = {key: (int(key != "padding"), *v) for key, v in arguments.items()}
    return F.avg_pool2d(x.unsqueeze(2), divisor_override=1, ceil_mode=ceil, **flat).squeeze(2)


_TORCH: dict[str, Function] = {
    "conv": _torch_conv,
    "conv_transpose": _torch_transpose,
    "max_pool": _torch_max,
    "avg_pool": _torch_avg,
    "sum_pool": _torch_sum,
}
