"""Kernels of two primitives with loops of their own: random bits and scatter-add."""

from __future__ import annotations

import math

import numpy as np

from pellucid.core.random import BLOCK, MULTIPLIERS, ROUNDS, WEYL
from pellucid.core.storage import LANES

from . import memory
from .body import Body, load_index
from .ir import Writer, splat
from .kernels import Kernel, Plan
from .nest import share
from .vector import EMIT
from .views import Buffer, View

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


def _scalar(body: Body, buffer: Buffer, offset: int) -> str:
    pointer = memory.address(body.w, UINT32, body.base(buffer), offset)
    return memory.load_scalar(body.w, UINT32, pointer)


def write_scatter(w: Writer, plan: Plan, kernel: Kernel) -> dict[Buffer, str]:
    """scatter_add, its base already copied: rows are added one index after the other."""
    node = kernel.root
    assert node is not None
    index, update, target = plan.operand(node, 1), plan.operand(node, 2), plan.views[node]
    body = Body(w, plan, kernel, list(update.shape), {})
    leading, rank = len(index.shape), len(update.shape)

    def pointer(view: View, indices: list[str | int]) -> str:
        offset: str | int = view.offset
        for i, stride in zip(indices, view.strides, strict=True):
            offset = body.plus(offset, body.times(i, stride)) if stride else offset
        return memory.address(w, view.dtype, body.base(view.buffer), offset)

    def add(row: str, indices: list[str | int], valid: int) -> None:
        """Add one vector of the update to the row's."""
        place = [row, *indices[leading:]]
        strides = (update.strides[-1], target.strides[-1]) if rank > leading else (0, 0)
        if update.buffer.role == "literal":
            more = splat(node.dtype, update.buffer.literal)
        else:
            roomy = update.buffer.has_slack
            more = memory.load(w, node.dtype, pointer(update, indices), strides[0], valid, roomy)
        at = pointer(target, place)
        before = memory.load(w, node.dtype, at, strides[1], valid, roomy=True)
        total = EMIT["add"](w, node.dtype, before, more)
        memory.store(w, node.dtype, total, at, strides[1], valid, roomy=False)

    def walk(indices: list[str | int], row: str) -> None:
        axis = len(indices)
        if axis == leading:
            if index.buffer.role == "literal":
                found = str(index.buffer.literal)
            else:
                found = load_index(w, index.dtype, pointer(index, indices))
            row = body.clamped(index.dtype, found, node.shape[0])
        if axis == rank:
            add(row, indices, 1)
        elif axis == rank - 1 and axis >= leading:
            blocks, tail = divmod(update.shape[-1], LANES)
            if blocks:
                with w.loop("0", str(blocks)) as loop:
                    add(row, [*indices, w.let(f"mul i64 {loop.index}, {LANES}")], LANES)
            if tail:
                add(row, [*indices, blocks * LANES], tail)
        else:
            with w.loop("0", str(update.shape[axis])) as loop:
                walk([*indices, loop.index], row)

    if 0 not in update.shape:
        walk([], "")
    return body.pointers
