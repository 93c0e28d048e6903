"""Rows of the primitives whose windows slide, and of what networks over images need besides."""

from __future__ import annotations

from typing import Any

from tests.tables import ALL, NUMBERS

from .cases import Case, Row

TENSORDOT = Row(
    [
        Case((x, y), {"batch": batch, "depth": depth})
        for x, y, batch, depth in [
            ((3, 5), (5, 17), 0, 1),
            ((17, 33), (33, 16), 0, 1),
            ((2, 3, 5), (5, 4), 0, 1),
            ((2, 3, 5), (3, 5, 4), 0, 2),
            ((4, 2, 3), (2, 3, 2, 5), 0, 2),
            ((2, 3, 5), (2, 5, 17), 1, 1),
            ((2, 3, 4, 5), (2, 4, 5, 3), 1, 2),
            ((2, 3, 4, 5), (2, 3, 5, 2, 3), 2, 1),
            ((5,), (5, 3), 0, 1),
            ((3, 5), (5,), 0, 1),
            ((3,), (3,), 0, 1),
            ((3,), (2,), 0, 0),
            ((1, 1, 100), (1, 100, 1), 0, 2),
            ((0, 3), (3, 2), 0, 1),
            ((2, 0), (0, 3), 0, 1),
        ]
    ],
    Case(((40, 2, 35), (2, 35, 90)), {"batch": 0, "depth": 2}),
)


def sliding(x: tuple[int, ...], size: Any, stride: Any = 1, dilation: Any = 1) -> Case:
    axes = len(x) - 2
    each = [v if isinstance(v, tuple) else (v,) * axes for v in (size, stride, dilation)]
    return Case((x,), dict(zip(("size", "stride", "dilation"), each, strict=True)))


WINDOWS = Row(
    [
        sliding((2, 5, 3), 1),
        sliding((2, 5, 3), 3),
        sliding((1, 9, 17), 2, 2),
        sliding((2, 7, 1), 3, 3, 2),
        sliding((1, 4, 2), 4),
        sliding((0, 4, 2), 3),
        sliding((2, 4, 5, 3), 2),
        sliding((2, 6, 5, 16), (3, 1), (1, 2)),
        sliding((1, 7, 6, 2), (2, 3), (3, 1), (2, 2)),
        sliding((1, 3, 4, 5, 2), (2, 3, 1), (1, 1, 2)),
    ],
    sliding((9, 20, 20, 16), 3),
    dtypes=ALL,
)


def convolved(
    x: tuple[int, ...],
    w: tuple[int, ...],
    stride: Any = 1,
    before: Any = 0,
    after: Any = 0,
    between: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Case:
    axes = len(x) - 2
    given = {"stride": stride, "before": before, "after": after, "between": between}
    given["dilation"] = dilation
    attrs = {k: v if isinstance(v, tuple) else (v,) * axes for k, v in given.items()}
    return Case((x, w), {**attrs, "groups": groups})


CONVOLUTION = Row(
    [
        convolved((2, 9, 3), (3, 3, 5)),
        convolved((1, 9, 1), (4, 1, 17), 2),
        convolved((2, 7, 2), (3, 2, 4), before=2),
        convolved((2, 6, 5, 3), (3, 3, 3, 16), before=1, after=1),
        convolved((2, 5, 6, 4), (2, 3, 2, 6), (2, 1), (1, 0), (0, 2), groups=2),
        convolved((1, 5, 5, 5), (3, 3, 1, 5), before=1, after=1, groups=5),
        convolved((1, 7, 6, 3), (2, 2, 1, 6), (1, 2), dilation=(3, 2), groups=3),
        convolved((1, 3, 4, 2), (3, 2, 2, 3), 1, 2, 2, between=(1, 2)),
        convolved((1, 6, 7, 2), (2, 2, 2, 3), before=(-1, 1), after=(1, -2)),
        convolved((1, 4, 4, 3), (1, 1, 3, 33)),
        convolved((1, 4, 4, 16), (4, 4, 16, 1)),
        convolved((1, 3, 4, 3, 2), (2, 3, 1, 2, 3), (1, 1, 2), (0, 1, 0), (1, 0, 0)),
        convolved((2, 3, 3, 4, 1), (3, 2, 2, 1, 2), before=1, after=1),
        convolved((0, 5, 5, 2), (3, 3, 2, 4)),
        convolved((1, 12, 12, 33), (3, 3, 33, 17), 3, 1, 1),
    ],
    convolved((4, 12, 13, 16), (3, 3, 16, 20), before=1, after=1),
)
MAX_POOL = Row(
    [
        Case((x,), {"size": size, "stride": stride})
        for x, size, stride in [
            ((2, 6, 3), (2,), (2,)),
            ((2, 7, 3), (2,), (2,)),
            ((1, 9, 1), (3,), (1,)),
            ((1, 5, 17), (5,), (1,)),
            ((0, 4, 2), (2,), (2,)),
            ((2, 4, 6, 3), (2, 2), (2, 2)),
            ((2, 5, 7, 16), (2, 2), (2, 2)),
            ((1, 6, 6, 2), (3, 3), (2, 2)),
            ((1, 5, 6, 3), (3, 2), (1, 3)),
            ((1, 4, 4, 33), (1, 2), (1, 1)),
            ((2, 4, 2, 6, 1), (2, 2, 2), (2, 2, 2)),
            ((1, 3, 4, 5, 2), (2, 3, 2), (1, 1, 3)),
        ]
    ],
    Case(((16, 24, 24, 16),), {"size": (2, 2), "stride": (2, 2)}),
    dtypes=NUMBERS,
)


def kernel_gradient(
    x: tuple[int, ...], w: tuple[int, ...], places: tuple[int, ...], **given: Any
) -> Case:
    attrs = convolved(x, w, **given).attrs
    return Case((x, (x[0], *places, w[-1])), {**attrs, "size": w[:-2]})


KERNEL_GRADIENT = Row(
    [
        kernel_gradient((2, 9, 3), (3, 3, 5), (7,)),
        kernel_gradient((1, 9, 1), (4, 1, 17), (3,), stride=2),
        kernel_gradient((2, 8, 2), (3, 2, 4), (8,), before=1, after=1),
        kernel_gradient((2, 6, 8, 3), (3, 3, 3, 2), (6, 8), before=1, after=1),
        kernel_gradient((1, 6, 9, 2), (3, 2, 2, 3), (4, 4), stride=(1, 2)),
        kernel_gradient((2, 5, 6, 16), (3, 3, 16, 16), (3, 4)),
        kernel_gradient((1, 4, 4, 4), (2, 3, 2, 6), (3, 2), groups=2),
        kernel_gradient((1, 5, 5, 5), (3, 3, 1, 5), (5, 5), before=1, after=1, groups=5),
        kernel_gradient((1, 7, 6, 3), (2, 2, 3, 1), (4, 2), dilation=(3, 4)),
        kernel_gradient((0, 5, 5, 2), (3, 3, 2, 4), (3, 3)),
    ],
    kernel_gradient((4, 12, 13, 16), (3, 3, 16, 20), (12, 13), before=1, after=1),
)
DIAGONAL = Row(
    [
        Case((shape,), {"first": first, "second": second})
        for shape, first, second in [
            ((3, 3), 0, 1),
            ((1, 1, 17), 0, 1),
            ((2, 4, 4, 5), 1, 2),
            ((4, 2, 4, 3), 0, 2),
            ((0, 0, 2), 0, 1),
        ]
    ],
    Case(((40, 9, 9, 60),), {"first": 1, "second": 2}),
    dtypes=ALL,
)
STANDARDIZE = Row(
    [
        Case((shape,), {"axes": axes, "eps": 1e-3})
        for shape, axes in [
            ((5,), (0,)),
            ((4, 17), (0,)),
            ((4, 17), (1,)),
            ((3, 4, 5, 2), (0, 1, 2)),
            ((2, 6, 3), (1, 2)),
            ((0, 3), (0,)),
            ((2, 0), (0,)),
            ((1, 3), (0,)),
        ]
    ],
    Case(((64, 9, 9, 33),), {"axes": (0, 1, 2), "eps": 1e-3}),
)

TILES = [
    # batch, tiles, places of a tile, size, channels, features
    (1, (1, 1), (2, 2), (3, 3), 16, 16),
    (2, (2, 4), (2, 2), (3, 3), 16, 32),
    (3, (3, 1), (2, 2), (3, 3), 48, 16),
    (6, (1, 2), (2, 2), (3, 3), 16, 16),
    (1, (8, 7), (2, 2), (3, 3), 32, 64),
    (0, (2, 2), (2, 2), (3, 3), 16, 16),
    (1, (1, 1), (4, 4), (3, 3), 16, 16),
    (2, (3, 2), (4, 4), (3, 3), 32, 48),
    (2, (2, 3), (4, 2), (3, 3), 16, 32),
    (1, (2, 2), (2, 2), (5, 5), 16, 16),
    (2, (2, 3), (3, 1), (2, 1), 16, 16),
    (2, (1, 4), (1, 6), (1, 3), 32, 16),
    (3, (1, 5), (1, 5), (1, 4), 16, 16),
    (1, (2, 3), (1, 3), (1, 5), 16, 32),
    (2, (4, 1), (3, 1), (3, 1), 16, 16),
    (1, (7, 3), (1, 2), (3, 3), 16, 16),
    (2, (1, 9), (1, 1), (1, 5), 16, 32),
]


def tiled(case: tuple[Any, ...], parts: int = 0) -> Case:
    batch, tiles, places, size, channels, features = case
    y = [n * m for n, m in zip(tiles, places, strict=True)]
    x = (batch, *(n + k - 1 for n, k in zip(y, size, strict=True)), channels)
    if parts:
        attrs = {"places": places, "size": size, "parts": parts}
        return Case((x, (batch, *y, features)), attrs)
    coordinates = [m + k - 1 for m, k in zip(places, size, strict=True)]
    return Case((x, (*coordinates, channels, features)), {"places": places})


WINOGRAD = Row(
    [tiled(case) for case in TILES],
    tiled((4, (4, 3), (4, 4), (3, 3), 32, 48)),
)
WINOGRAD_GRADIENT = Row(
    [tiled(case, parts=max(case[0] // 2, 1)) for case in TILES if case[0] != 3]
    + [tiled(case, parts=3) for case in TILES if case[0] == 3],
    tiled((4, (4, 3), (4, 4), (3, 3), 32, 48), parts=4),
)
WINOGRAD_KERNEL = Row(
    [
        Case(((*size, channels, features),), {"places": places})
        for _, _, places, size, channels, features in TILES
    ],
    Case(((3, 3, 64, 128),), {"places": (4, 4)}),
)

SLIDING = {
    "winograd": WINOGRAD,
    "winograd_gradient": WINOGRAD_GRADIENT,
    "winograd_kernel": WINOGRAD_KERNEL,
    "kernel_gradient": KERNEL_GRADIENT,
    "diagonal": DIAGONAL,
    "standardize": STANDARDIZE,
    "tensordot": TENSORDOT,
    "windows": WINDOWS,
    "convolution": CONVOLUTION,
    "max_pool": MAX_POOL,
}
