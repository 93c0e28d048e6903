"""The order of an epoch's rows, as machine code; its definition is in `train.shuffle`."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np

from pellucid.core.random import MULTIPLIERS, ROUNDS, WEYL

from .ir import Writer
from .native import native

ARGUMENTS = (ctypes.c_void_p, *[ctypes.c_int64] * 6)


def render_shuffle() -> str:
    """`shuffle(out, n, epochs, first_epoch, stream, seed 0, seed 1)`: a Fisher-Yates per epoch."""
    w = Writer()
    blocks = w.let("sdiv i64 %n3, 4")
    with w.loop("0", "%epochs") as epoch:
        offset = w.let(f"mul i64 {epoch.index}, %n")
        row = w.let(f"getelementptr i32, ptr %out, i64 {offset}")
        with w.loop("0", "%n") as place:
            entry = w.let(f"getelementptr i32, ptr {row}, i64 {place.index}")
            number = w.let(f"trunc i64 {place.index} to i32")
            w.line(f"store i32 {number}, ptr {entry}")
        number = w.let(f"add i64 %first, {epoch.index}")
        number = w.let(f"and i64 {number}, 4294967295")
        with w.loop("0", blocks) as turn:
            backwards = w.let(f"sub i64 {blocks}, {turn.index}")
            block = w.let(f"sub i64 {backwards}, 1")
            low = w.let(f"and i64 {block}, 4294967295")
            words = _philox(w, [low, number, "%stream", "0"], ["%seed0", "%seed1"])
            for q in (3, 2, 1, 0):
                i = w.let(f"mul i64 {block}, 4")
                i = w.let(f"add i64 {i}, {q}")
                inside = w.let(f"icmp slt i64 {i}, %n")
                moves = w.let(f"icmp sgt i64 {i}, 0")
                with w.when(w.let(f"and i1 {inside}, {moves}")):
                    _exchange(w, row, i, words[q])
    head = (
        "define void @shuffle(ptr %out, i64 %n, i64 %epochs, i64 %first, i64 %stream, "
        "i64 %seed0, i64 %seed1) {\nentry:\n  %n3 = add i64 %n, 3"
    )
    return "\n".join([head, *w.lines, "  ret void", "}"])


def _philox(w: Writer, counter: list[str], key: list[str]) -> list[str]:
    """Four words of one counter; scalars of 32 bits held in i64."""
    mask = 0xFFFFFFFF
    c = counter
    for turn in range(ROUNDS):
        k = []
        for word, weyl in zip(key, WEYL, strict=True):
            moved = w.let(f"add i64 {word}, {turn * weyl & mask}")
            k.append(w.let(f"and i64 {moved}, {mask}"))
        a = w.let(f"mul i64 {c[0]}, {MULTIPLIERS[0]}")
        b = w.let(f"mul i64 {c[2]}, {MULTIPLIERS[1]}")
        high_b, high_a = w.let(f"lshr i64 {b}, 32"), w.let(f"lshr i64 {a}, 32")
        first = w.let(f"xor i64 {w.let(f'xor i64 {high_b}, {c[1]}')}, {k[0]}")
        third = w.let(f"xor i64 {w.let(f'xor i64 {high_a}, {c[3]}')}, {k[1]}")
        c = [first, w.let(f"and i64 {b}, {mask}"), third, w.let(f"and i64 {a}, {mask}")]
    return c


def _exchange(w: Writer, row: str, i: str, word: str) -> None:
    following = w.let(f"add i64 {i}, 1")
    j = w.let(f"lshr i64 {w.let(f'mul i64 {word}, {following}')}, 32")
    here = w.let(f"getelementptr i32, ptr {row}, i64 {i}")
    there = w.let(f"getelementptr i32, ptr {row}, i64 {j}")
    a, b = w.let(f"load i32, ptr {here}"), w.let(f"load i32, ptr {there}")
    w.line(f"store i32 {b}, ptr {here}")
    w.line(f"store i32 {a}, ptr {there}")


@functools.cache
def _native() -> Callable[..., None]:
    return native("shuffle", render_shuffle, ctypes.CFUNCTYPE(None, *ARGUMENTS))


def shuffle(out: np.ndarray, seed_words: np.ndarray, first_epoch: int, stream: int) -> None:
    """Fill each row of an int32 array (epochs, n) with the order of one epoch."""
    if out.dtype != np.int32 or not out.flags.c_contiguous or out.ndim != 2:
        raise ValueError(f"orders go to a contiguous int32 array (epochs, n), received {out.dtype}")
    epochs, n = out.shape
    seed = int(seed_words[0]), int(seed_words[1])
    _native()(out.ctypes.data, n, epochs, first_epoch, stream, *seed)
