"""Rows of the table that move elements, reduce them, or multiply matrices.

Views (`reshape`, `transpose`, `broadcast_to`, `slice`, `flip`) need no work when
compiled unless a copy is unavoidable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .node import Node, Shape, define
from .tensor import Tensor, apply, broadcast_to, cast, reshape, sum, tensor, transpose, where

Rule = tuple[Shape, np.dtype]


def expand(g: Tensor, shape: Shape, axes: tuple[int, ...]) -> Tensor:
    """A reduced value brought back to the shape before the reduction."""
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    return broadcast_to(reshape(g, kept), shape)


# -- reductions -------------------------------------------------------------


def _reduced(x: Node, axes: tuple[int, ...]) -> Rule:
    return tuple(n for a, n in enumerate(x.shape) if a not in axes), x.dtype


def _max_rule(x: Node, axes: tuple[int, ...]) -> Rule:
    if any(x.shape[a] == 0 for a in axes):
        raise ValueError(f"the maximum of no elements is undefined (shape {x.shape}, axes {axes})")
    return _reduced(x, axes)


def _max_vjp(g: Tensor, ans: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    winners = x == expand(ans, x.shape, axes)
    share = g / sum(cast(winners, g.dtype), axes)
    return where(winners, expand(share, x.shape, axes), 0.0)


define(
    "sum",
    "reduction",
    _reduced,
    lambda x, axes: np.sum(x, axis=axes, dtype=x.dtype),
    (lambda g, ans, x, axes: expand(g, x.shape, axes),),
)
define("max", "reduction", _max_rule, lambda x, axes: np.max(x, axis=axes), (_max_vjp,))


# -- views ------------------------------------------------------------------


def _broadcast_rule(x: Node, shape: Shape) -> Rule:
    if len(x.shape) != len(shape) or any(
        a != b and a != 1 for a, b in zip(x.shape, shape, strict=True)
    ):
        raise ValueError(f"shape {x.shape} cannot be broadcast to {shape}")
    return shape, x.dtype


def _broadcast_vjp(g: Tensor, ans: Tensor, x: Tensor, shape: Shape) -> Tensor:
    axes = tuple(a for a, n in enumerate(x.shape) if n != shape[a])
    return reshape(sum(g, axes), x.shape)


def _slice_rule(x: Node, start: Shape, stop: Shape, step: Shape) -> Rule:
    lengths = zip(start, stop, step, strict=True)
    return tuple(max(0, -(-(b - a) // s)) for a, b, s in lengths), x.dtype


def _slices(start: Shape, stop: Shape, step: Shape) -> tuple[slice, ...]:
    return tuple(map(slice, start, stop, step))


def _slice_vjp(g: Tensor, ans: Tensor, x: Tensor, start: Shape, stop: Shape, step: Shape) -> Tensor:
    spread = [(n - 1) * s + 1 if n else 0 for n, s in zip(g.shape, step, strict=True)]
    after = tuple(n - a - w for n, a, w in zip(x.shape, start, spread, strict=True))
    return pad(g, start, after, tuple(s - 1 for s in step))


def pad(x: Tensor, before: Shape, after: Shape, between: Shape | None = None) -> Tensor:
    """The tensor with zeros before, after and between its elements along each axis."""
    return apply("pad", x, before=before, after=after, between=between or (0,) * x.ndim)


def _pad_rule(x: Node, before: Shape, after: Shape, between: Shape) -> Rule:
    inner = [n + max(0, n - 1) * i for n, i in zip(x.shape, between, strict=True)]
    return tuple(b + n + a for b, n, a in zip(before, inner, after, strict=True)), x.dtype


def _pad_place(x: Any, before: Shape, between: Shape) -> tuple[slice, ...]:
    return tuple(
        slice(b, b + (n - 1) * (i + 1) + 1 if n else b, i + 1)
        for n, b, i in zip(x.shape, before, between, strict=True)
    )


def _pad_reference(x: np.ndarray, before: Shape, after: Shape, between: Shape) -> np.ndarray:
    inner = [n + max(0, n - 1) * i for n, i in zip(x.shape, between, strict=True)]
    out = np.zeros([b + n + a for b, n, a in zip(before, inner, after, strict=True)], x.dtype)
    out[_pad_place(x, before, between)] = x
    return out


def _pad_vjp(
    g: Tensor, ans: Tensor, x: Tensor, before: Shape, after: Shape, between: Shape
) -> Tensor:
    place = _pad_place(x, before, between)
    starts, stops, steps = (tuple(getattr(s, k) for s in place) for k in ("start", "stop", "step"))
    return apply("slice", g, start=starts, stop=stops, step=steps)


define(
    "reshape",
    "view",
    lambda x, shape: (shape, x.dtype),
    lambda x, shape: np.reshape(x, shape),
    (lambda g, ans, x, shape: reshape(g, x.shape),),
)
define(
    "transpose",
    "view",
    lambda x, axes: (tuple(x.shape[a] for a in axes), x.dtype),
    lambda x, axes: np.transpose(x, axes),
    (lambda g, ans, x, axes: transpose(g, tuple(int(a) for a in np.argsort(axes))),),
)
define(
    "broadcast_to",
    "view",
    _broadcast_rule,
    lambda x, shape: np.broadcast_to(x, shape),
    (_broadcast_vjp,),
)
define(
    "slice",
    "view",
    _slice_rule,
    lambda x, start, stop, step: x[_slices(start, stop, step)],
    (_slice_vjp,),
)
define(
    "flip",
    "view",
    lambda x, axes: (x.shape, x.dtype),
    lambda x, axes: np.flip(x, axes),
    (lambda g, ans, x, axes: apply("flip", g, axes=axes),),
)


def _diagonal_vjp(g: Tensor, ans: Tensor, x: Tensor, first: int, second: int) -> Tensor:
    one, other = (apply("iota", shape=x.shape, axis=a) for a in (first, second))
    kept = x.shape[:second] + (1,) + x.shape[second + 1 :]
    return where(one == other, broadcast_to(reshape(g, kept), x.shape), 0.0)


def _diagonal_rule(x: Node, first: int, second: int) -> Rule:
    if not 0 <= first < second < len(x.shape) or x.shape[first] != x.shape[second]:
        raise ValueError(f"axes {first} and {second} of shape {x.shape} have no common diagonal")
    return x.shape[:second] + x.shape[second + 1 :], x.dtype


define(
    "diagonal",
    "view",
    _diagonal_rule,
    lambda x, first, second: np.moveaxis(np.diagonal(x, 0, first, second), -1, first),
    (_diagonal_vjp,),
)

# -- other movement ---------------------------------------------------------

define("pad", "movement", _pad_rule, _pad_reference, (_pad_vjp,))


def _concatenate_rule(*xs: Node, axis: int) -> Rule:
    first = xs[0]
    for x in xs[1:]:
        same = len(x.shape) == len(first.shape) and all(
            a == b or i == axis for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True))
        )
        if not same or x.dtype != first.dtype:
            raise ValueError(
                f"concatenation along axis {axis} needs equal other axes, received "
                f"{[x.shape for x in xs]}"
            )
    total = 0
    for x in xs:
        total += x.shape[axis]
    return first.shape[:axis] + (total,) + first.shape[axis + 1 :], first.dtype


def _concatenate_vjp(i: int) -> Any:
    def vjp(g: Tensor, ans: Tensor, *xs: Tensor, axis: int) -> Tensor:
        offset = int(np.sum([x.shape[axis] for x in xs[:i]], dtype=np.int64))
        start = tuple(offset if a == axis else 0 for a in range(g.ndim))
        stop = tuple(offset + xs[i].shape[axis] if a == axis else n for a, n in enumerate(g.shape))
        return apply("slice", g, start=start, stop=stop, step=(1,) * g.ndim)

    return vjp


define(
    "concatenate",
    "movement",
    _concatenate_rule,
    lambda *xs, axis: np.concatenate(xs, axis),
    _concatenate_vjp,
)


def _gather_rule(x: Node, index: Node) -> Rule:
    if not x.shape or index.dtype.kind not in "iu":
        raise ValueError(f"gather needs rows and whole-number indices, received {x}, {index}")
    if x.shape[0] == 0 and 0 not in index.shape:
        raise ValueError("cannot take rows from a tensor that has none")
    return index.shape + x.shape[1:], x.dtype


def _clamped(index: np.ndarray, rows: int) -> np.ndarray:
    return np.clip(index, 0, max(rows - 1, 0))


def _scatter_add(base: np.ndarray, index: np.ndarray, update: np.ndarray) -> np.ndarray:
    out = base.copy()
    np.add.at(out, _clamped(index, len(base)), update)
    return out


def _scatter_rule(base: Node, index: Node, update: Node) -> Rule:
    if update.shape != index.shape + base.shape[1:] or update.dtype != base.dtype:
        raise ValueError(f"scatter_add cannot place {update} at {index} in {base}")
    return base.shape, base.dtype


# Indices outside the table are taken to its nearest end: a compiled program must not
# read beyond it. `take` and the losses check indices that are known.
define(
    "gather",
    "movement",
    _gather_rule,
    lambda x, index: x[_clamped(index, len(x))],
    (
        lambda g, ans, x, index: apply(
            "scatter_add", broadcast_to(tensor(0.0, g.dtype), x.shape), index, g
        ),
        None,
    ),
)
define(
    "scatter_add",
    "movement",
    _scatter_rule,
    _scatter_add,
    (
        lambda g, ans, base, index, update: g,
        None,
        lambda g, ans, base, index, update: apply("gather", g, index),
    ),
)
define(
    "iota",
    "elementwise",
    lambda shape, axis: (shape, np.dtype(np.int32)),
    lambda shape, axis: np.broadcast_to(
        np.arange(shape[axis], dtype=np.int32).reshape(
            [-1 if a == axis else 1 for a in range(len(shape))]
        ),
        shape,
    ),
)

# -- contraction ------------------------------------------------------------


def _swap(x: Tensor) -> Tensor:
    return transpose(x, tuple(range(x.ndim - 2)) + (x.ndim - 1, x.ndim - 2))


def _matmul_rule(x: Node, y: Node) -> Rule:
    if x.shape[:-2] != y.shape[:-2] or x.shape[-1] != y.shape[-2] or x.dtype != y.dtype:
        raise ValueError(f"matmul cannot multiply {x} and {y}")
    return x.shape[:-1] + y.shape[-1:], x.dtype


define(
    "matmul",
    "contraction",
    _matmul_rule,
    np.matmul,
    (
        lambda g, ans, x, y: apply("matmul", g, _swap(y)),
        lambda g, ans, x, y: apply("matmul", _swap(x), g),
    ),
)
