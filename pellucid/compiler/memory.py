"""Loads and stores of vectors, as LLVM IR: contiguous, spread, strided, and tails.

A tail reads and writes only the lanes that are valid, in pieces of 8, 4, 2 and 1,
unless the buffer has room for a whole vector.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from pellucid.core.storage import LANES

from .ir import Writer, element, vector


def memory_type(dtype: np.dtype) -> str:
    """LLVM type of an element in memory."""
    return "i8" if dtype.kind == "b" else element(dtype)


def pieces(valid: int) -> Iterator[tuple[int, int]]:
    """Start and length of the power-of-two runs that make up so many lanes."""
    start = 0
    for length in (16, 8, 4, 2, 1):
        if valid - start >= length:
            yield start, length
            start += length


def address(w: Writer, dtype: np.dtype, pointer: str, offset: str | int) -> str:
    """Pointer to the element at an offset."""
    if offset in (0, "0"):
        return pointer
    return w.let(f"getelementptr {memory_type(dtype)}, ptr {pointer}, i64 {offset}")


def load_scalar(w: Writer, dtype: np.dtype, pointer: str) -> str:
    """One element."""
    value = w.let(f"load {memory_type(dtype)}, ptr {pointer}")
    return w.let(f"icmp ne i8 {value}, 0") if dtype.kind == "b" else value


def spread(w: Writer, dtype: np.dtype, scalar: str) -> str:
    """A scalar in every lane."""
    t = w.vector(dtype)
    one = w.let(f"insertelement {t} poison, {element(dtype)} {scalar}, i32 0")
    return w.let(f"shufflevector {t} {one}, {t} poison, <{w.lanes} x i32> zeroinitializer")


def ask(w: Writer, pointer: str, *, write: bool = False, near: bool = True) -> None:
    """Ask for the line at an address ahead of its use.

    Args:
        w: where to write.
        pointer: the address; beyond all memory it does no harm.
        write: it is going to be written.
        near: it belongs into the nearest cache.
    """
    w.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    kind = f"i32 {int(write)}, i32 {3 if near else 2}, i32 1"
    w.line(f"call void @llvm.prefetch.p0(ptr {pointer}, {kind})")


def load(w: Writer, dtype: np.dtype, pointer: str, stride: int, valid: int, roomy: bool) -> str:
    """A vector whose lanes lie `stride` elements apart."""
    if stride == 0:
        return spread(w, dtype, load_scalar(w, dtype, pointer))
    m = memory_type(dtype)
    if stride != 1:
        return _load_lanes(w, dtype, pointer, stride, valid)
    if valid == w.lanes or roomy:
        value = w.let(f"load <{w.lanes} x {m}>, ptr {pointer}, align {max(dtype.itemsize, 1)}")
    else:
        value = _load_pieces(w, dtype, pointer, valid)
    if dtype.kind == "b":
        return w.let(f"icmp ne <{w.lanes} x i8> {value}, zeroinitializer")
    return value


def _load_pieces(w: Writer, dtype: np.dtype, pointer: str, valid: int) -> str:
    m = memory_type(dtype)
    t = f"<{w.lanes} x {m}>"
    value = "zeroinitializer"
    for start, length in pieces(valid):
        at = address(w, dtype, pointer, start)
        part = w.let(f"load <{length} x {m}>, ptr {at}, align {max(dtype.itemsize, 1)}")
        wide = ", ".join(f"i32 {i if i < length else 'poison'}" for i in range(w.lanes))
        part = w.let(
            f"shufflevector <{length} x {m}> {part}, <{length} x {m}> poison, "
            f"<{w.lanes} x i32> <{wide}>"
        )
        lanes = ", ".join(
            f"i32 {w.lanes + i - start if start <= i < start + length else i}"
            for i in range(w.lanes)
        )
        value = w.let(f"shufflevector {t} {value}, {t} {part}, <{w.lanes} x i32> <{lanes}>")
    return value


def _load_lanes(w: Writer, dtype: np.dtype, pointer: str, stride: int, valid: int) -> str:
    t = w.vector(dtype)
    value = "zeroinitializer"
    for lane in range(valid):
        scalar = load_scalar(w, dtype, address(w, dtype, pointer, lane * stride))
        value = w.let(f"insertelement {t} {value}, {element(dtype)} {scalar}, i32 {lane}")
    return value


def store(
    w: Writer, dtype: np.dtype, value: str, pointer: str, stride: int, valid: int, roomy: bool
) -> None:
    """Store a vector's valid lanes, `stride` elements apart."""
    m = memory_type(dtype)
    if dtype.kind == "b":
        value = w.let(f"zext <{w.lanes} x i1> {value} to <{w.lanes} x i8>")
    align = max(dtype.itemsize, 1)
    if stride == 1 and (valid == w.lanes or roomy):
        w.line(f"store <{w.lanes} x {m}> {value}, ptr {pointer}, align {align}")
    elif stride == 1:
        for start, length in pieces(valid):
            lanes = ", ".join(f"i32 {start + i}" for i in range(length))
            part = w.let(
                f"shufflevector <{w.lanes} x {m}> {value}, <{w.lanes} x {m}> poison, "
                f"<{length} x i32> <{lanes}>"
            )
            at = address(w, dtype, pointer, start)
            w.line(f"store <{length} x {m}> {part}, ptr {at}, align {align}")
    else:
        for lane in range(1 if stride == 0 else valid):
            scalar = w.let(f"extractelement <{w.lanes} x {m}> {value}, i32 {lane}")
            w.line(f"store {m} {scalar}, ptr {address(w, dtype, pointer, lane * stride)}")


def turned(w: Writer, dtype: np.dtype, vectors: list[str]) -> list[str]:
    """The square of 16 vectors about its diagonal: element j of vector i becomes i of j."""
    t = vector(dtype)
    for half in (8, 4, 2, 1):
        following = list(vectors)
        for i in range(LANES):
            if i & half:
                continue
            a, b = vectors[i], vectors[i + half]
            for into, high in ((i, 0), (i + half, half)):
                lanes = ", ".join(
                    f"i32 {lane - half + high + LANES if lane & half else lane + high}"
                    for lane in range(LANES)
                )
                following[into] = w.let(
                    f"shufflevector {t} {a}, {t} {b}, <{LANES} x i32> <{lanes}>"
                )
        vectors = following
    return vectors


def turn(
    w: Writer,
    dtype: np.dtype,
    target: tuple[str, int],
    source: tuple[str, int],
    size: tuple[int, int],
    roomy: tuple[bool, bool],
) -> None:
    """Copy a block turned about its diagonal, by a function that kernels share.

    Args:
        w, dtype: where to write, and of what.
        target: pointer to its first element, and elements from one row to the next.
        source: likewise; its rows are the target's columns.
        size: rows and columns of the target, at most 16 each.
        roomy: whether a row of the source may be read, and one of the target written, to the
            end of a vector.
    """
    name, text = _turning(dtype, size, roomy)
    w.declare(text)
    w.line(f"call void {name}(ptr {target[0]}, i64 {target[1]}, ptr {source[0]}, i64 {source[1]})")


@functools.cache
def _turning(dtype: np.dtype, size: tuple[int, int], roomy: tuple[bool, bool]) -> tuple[str, str]:
    """Name and text of the function behind `turn`."""
    w, (height, width) = Writer(), size

    def rows(pointer: str, pitch: str, count: int) -> Iterator[str]:
        """Where the rows begin; three multiples of the pitch are all that registers must hold."""
        ahead = [w.let(f"mul i64 {pitch}, {k}") for k in range(1, 5)]
        for row in range(count):
            if row and row % 4 == 0:
                pointer = address(w, dtype, pointer, ahead[3])
            yield address(w, dtype, pointer, ahead[row % 4 - 1]) if row % 4 else pointer

    vectors = [load(w, dtype, at, 1, height, roomy[0]) for at in rows("%source", "%columns", width)]
    vectors += ["poison"] * (LANES - width)
    for at, value in zip(rows("%target", "%rows", height), turned(w, dtype, vectors), strict=False):
        store(w, dtype, value, at, 1, width, roomy[1])
    name = f"@turn.{height}.{width}.{element(dtype)}.{roomy[0]:d}{roomy[1]:d}"
    head = f"define internal void {name}(ptr %target, i64 %rows, ptr %source, i64 %columns) {{"
    return name, "\n".join([head, "entry:", *w.lines, "  ret void", "}"])


def tree(w: Writer, dtype: np.dtype, value: str, combine: str) -> str:
    """The 16 lanes combined pairwise, lane i with lane i + 8, then 4, 2, 1, as a scalar.

    `combine` is "sum" or "max".
    """
    from .vector import EMIT

    t = vector(dtype)
    for half in (8, 4, 2, 1):
        # what the lanes above hold does not matter; rotated by `half` instead, LLVM 22 gives
        # wrong code for AVX-512 where the result is also compared
        lanes = ", ".join(f"i32 {i + half if i < half else 'poison'}" for i in range(LANES))
        other = w.let(f"shufflevector {t} {value}, {t} poison, <{LANES} x i32> <{lanes}>")
        value = EMIT[{"sum": "add", "max": "maximum"}[combine]](w, dtype, value, other)
    return w.let(f"extractelement {t} {value}, i32 0")
