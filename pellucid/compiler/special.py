"""Kernels of two primitives with loops of their own: random bits and scatter-add."""

from __future__ import annotations

import math

import numpy as np

from pellucid.core.random import BLOCK, MULTIPLIERS, ROUNDS, WEYL
from pellucid.core.storage import LANES

from . import memory
from .body import Body, Position, load_index
from .ir import Writer, splat
from .kernels import Kernel, Plan
from .nest import share
from .vector import EMIT
from .views import Buffer

UINT32 = np.dtype(np.uint32)


def mul_words(w: Writer, word: str, multiplier: int) -> tuple[str, str]:
    """High and low word of a 32 by 32 bit product, lane by lane."""
    wide = w.let(f"zext <{LANES} x i32> {word} to <{LANES} x i64>")
    product = w.let(f"mul <{LANES} x i64> {wide}, splat (i64 {multiplier})")
    shifted = w.let(f"lshr <{LANES} x i64> {product}, splat (i64 32)")
    high = w.let(f"trunc <{LANES} x i64> {shifted} to <{LANES} x i32>")
    return high, w.let(f"trunc <{LANES} x i64> {product} to <{LANES} x i32>")


def philox(w: Writer, counter: list[str], key: list[str]) -> list[str]:
    """Four words per lane; see `pellucid.core.random.philox`. The key's words are scalars."""
    c = list(counter)
    for turn in range(ROUNDS):
        k = [
            memory.spread(w, UINT32, w.let(f"add i32 {word}, {(turn * weyl) & 0xFFFFFFFF}"))
            for word, weyl in zip(key, WEYL, strict=True)
        ]
        a_high, a_low = mul_words(w, c[0], MULTIPLIERS[0])
        b_high, b_low = mul_words(w, c[2], MULTIPLIERS[1])
        c = [
            w.op("xor", UINT32, w.op("xor", UINT32, b_high, c[1]), k[0]),
            b_low,
            w.op("xor", UINT32, w.op("xor", UINT32, a_high, c[3]), k[1]),
            a_low,
        ]
    return c


def write_random(w: Writer, plan: Plan, kernel: Kernel, shared: bool) -> dict[Buffer, str]:
    """Random bits: one evaluation fills four vectors along a row."""
    node = kernel.root
    assert node is not None
    if 0 in node.shape:
        return {}
    columns = node.shape[-1] if node.shape else 1
    rows = math.prod(node.shape[:-1])
    body = Body(w, plan, kernel, [rows, columns], {})
    key_view, step_view = plan.operand(node, 0), plan.operand(node, 1)
    key = [
        _scalar(body, key_view.buffer, key_view.offset + i * key_view.strides[0]) for i in (0, 1)
    ]
    if step_view.buffer.role == "literal":
        step = str(int(step_view.buffer.literal))  # type: ignore[call-overload]
    else:
        step = _scalar(body, step_view.buffer, step_view.offset)
    (target,) = [s.target for s in kernel.stores]
    pitch = target.strides[-2] if len(node.shape) >= 2 else 0
    blocks = -(-columns // BLOCK)
    start, stop = share(w, rows) if shared else ("0", str(rows))
    shift = splat(UINT32, 32 - node.attr("bits"))
    with w.loop(start, stop) as row:
        row_word = memory.spread(w, UINT32, w.let(f"trunc i64 {row.index} to i32"))
        at_row = body.times(row.index, pitch) if pitch else 0
        for block in range(blocks):
            lanes = ", ".join(f"i32 {block * LANES + i}" for i in range(LANES))
            counter = [
                f"<{lanes}>",
                row_word,
                splat(UINT32, node.attr("stream")),
                memory.spread(w, UINT32, step),
            ]
            for n, word in enumerate(philox(w, counter, key)):
                first = block * BLOCK + n * LANES
                valid = min(LANES, columns - first)
                if valid > 0:
                    value = w.op("lshr", UINT32, word, shift) if node.attr("bits") < 32 else word
                    pointer = memory.address(
                        w, UINT32, body.base(target.buffer), body.plus(at_row, first)
                    )
                    memory.store(w, UINT32, value, pointer, 1, valid, roomy=False)
    return body.pointers


def _scalar(body: Body, buffer, offset: int) -> str:  # type: ignore[no-untyped-def]
    pointer = memory.address(body.w, UINT32, body.base(buffer), offset)
    return memory.load_scalar(body.w, UINT32, pointer)


def write_scatter(w: Writer, plan: Plan, kernel: Kernel) -> dict[Buffer, str]:
    """scatter_add: the base is copied, then rows are added one index after the other."""
    node = kernel.root
    assert node is not None
    base, index, update = (plan.operand(node, i) for i in range(3))
    (target,) = [s.target for s in kernel.stores]
    trailing = node.shape[1:]
    if 0 in node.shape:
        return {}
    copy = Body(w, plan, kernel, list(node.shape), {"root": _kept(node.shape)})
    _each(w, copy, list(node.shape), [base, target], lambda x: (x[0], 1))
    count = index.shape
    if 0 in count:
        return copy.pointers
    add = Body(w, plan, kernel, [*count, *trailing], {})
    add.pointers = copy.pointers
    rows = node.shape[0]

    def place(at: Position) -> str:
        offset: str | int = index.offset
        for i, stride in zip(at.indices, index.strides, strict=False):
            offset = add.plus(offset, add.times(i, stride))
        pointer = memory.address(w, index.dtype, add.base(index.buffer), offset)
        return add._clamped(index.dtype, load_index(w, index.dtype, pointer), rows)

    at = Position([0] * (len(count) + len(trailing)))
    _scatter_loops(w, add, node, update, target, at, 0, len(count), place)
    return add.pointers


def _kept(shape: tuple[int, ...]) -> list[int]:
    return [a for a, n in enumerate(shape) if n != 1]


def _each(w, body, lengths, views, choose) -> None:  # type: ignore[no-untyped-def]
    """Copy the first view to the second, element vectors along the last axis."""
    source, target = views
    dtype = target.dtype

    def nest(axis: int, indices: list[str | int]) -> None:
        if axis < len(lengths) - 1:
            with w.loop("0", str(lengths[axis])) as loop:
                nest(axis + 1, [*indices, loop.index])
            return
        _row(w, lengths[-1], lambda lane, valid: memory.store(
            w, dtype,
            _load_at(body, source, [*indices, lane], valid),
            _pointer(body, target, [*indices, lane]), target.strides[-1], valid, False,
        ))

    nest(0, [])


def _row(w, length, visit) -> None:  # type: ignore[no-untyped-def]
    blocks, tail = divmod(length, LANES)
    if blocks:
        with w.loop("0", str(blocks)) as loop:
            visit(w.let(f"mul i64 {loop.index}, {LANES}"), LANES)
    if tail:
        visit(blocks * LANES, tail)


def _pointer(body, view, indices) -> str:  # type: ignore[no-untyped-def]
    offset: str | int = view.offset
    for i, stride in zip(indices, view.strides, strict=True):
        if stride:
            offset = body.plus(offset, body.times(i, stride))
    return memory.address(body.w, view.dtype, body.base(view.buffer), offset)


def _load_at(body, view, indices, valid) -> str:  # type: ignore[no-untyped-def]
    if view.buffer.role == "literal":
        return splat(view.dtype, view.buffer.literal)
    pointer = _pointer(body, view, indices)
    return memory.load(body.w, view.dtype, pointer, view.strides[-1], valid, view.buffer.has_slack)


def _scatter_loops(w, body, node, update, target, at, axis, leading, place) -> None:  # type: ignore[no-untyped-def]
    lengths = body.lengths
    if axis < leading:
        with w.loop("0", str(lengths[axis])) as loop:
            at.indices[axis] = loop.index
            _scatter_loops(w, body, node, update, target, at, axis + 1, leading, place)
        return
    row = place(at)
    trailing = lengths[leading:]
    dtype = node.dtype

    def visit(indices: list[str | int], valid: int) -> None:
        here = [row, *indices]
        before = _load_at(body, target, here, valid) if indices else _load_one(body, target, here)
        source = [*at.indices[:leading], *indices]
        value = (
            _load_at(body, update, source, valid) if indices else _load_one(body, update, source)
        )
        total = EMIT["add"](w, dtype, before, value)
        stride = target.strides[-1] if indices else 0
        memory.store(w, dtype, total, _pointer(body, target, here), stride, valid, False)

    def nest(depth: int, indices: list[str | int]) -> None:
        if depth < len(trailing) - 1:
            with w.loop("0", str(trailing[depth])) as loop:
                nest(depth + 1, [*indices, loop.index])
        elif trailing:
            _row(w, trailing[-1], lambda lane, valid: visit([*indices, lane], valid))
        else:
            visit([], 1)

    nest(0, [])


def _load_one(body, view, indices) -> str:  # type: ignore[no-untyped-def]
    if view.buffer.role == "literal":
        return splat(view.dtype, view.buffer.literal)
    return memory.load(body.w, view.dtype, _pointer(body, view, indices), 0, 1, False)
