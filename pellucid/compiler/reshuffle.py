"""`RandomState.shuffle` of NumPy, again and again, as machine code: the same draws and orders.

Words come from the generator itself, by the function that it offers to compiled code.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np

from .native import native

TEXT = """
; Each row of `out` becomes `first`, shuffled once more than the row before. A place i, from the
; last on, changes with one drawn from 0 to i: of a word as many bits as i has, until they are not
; more than i. A draw that is too large changes i with itself, so that nothing depends on a guess.
define void @reshuffle(ptr %out, i64 %n, i64 %epochs, i64 %pitch, ptr %first, ptr %next,
    ptr %state) {
entry:
  %last = sub i64 %n, 1
  br label %epochs.head
epochs.head:
  %epoch = phi i64 [0, %entry], [%epoch.next, %epochs.end]
  %before = phi ptr [%first, %entry], [%row, %epochs.end]
  %more = icmp slt i64 %epoch, %epochs
  br i1 %more, label %epochs.body, label %done
epochs.body:
  %offset = mul i64 %epoch, %pitch
  %row = getelementptr i32, ptr %out, i64 %offset
  br label %copy.head
copy.head:
  %k = phi i64 [0, %epochs.body], [%k.next, %copy.body]
  %rest = icmp slt i64 %k, %n
  br i1 %rest, label %copy.body, label %places.head
copy.body:
  %from = getelementptr i32, ptr %before, i64 %k
  %to = getelementptr i32, ptr %row, i64 %k
  %number = load i32, ptr %from
  store i32 %number, ptr %to
  %k.next = add i64 %k, 1
  br label %copy.head
places.head:
  %i = phi i64 [%last, %copy.head], [%i.next, %places.body]
  %left = icmp sgt i64 %i, 0
  br i1 %left, label %places.body, label %epochs.end
places.body:
  %word = call i32 %next(ptr %state)
  %small = trunc i64 %i to i32
  %zeros = call i32 @llvm.ctlz.i32(i32 %small, i1 true)
  %mask = lshr i32 -1, %zeros
  %drawn = and i32 %word, %mask
  %fits = icmp ule i32 %drawn, %small
  %chosen = select i1 %fits, i32 %drawn, i32 %small
  %j = zext i32 %chosen to i64
  %here = getelementptr i32, ptr %row, i64 %i
  %there = getelementptr i32, ptr %row, i64 %j
  %a = load i32, ptr %here
  %b = load i32, ptr %there
  store i32 %b, ptr %here
  store i32 %a, ptr %there
  %step = zext i1 %fits to i64
  %i.next = sub i64 %i, %step
  br label %places.head
epochs.end:
  %epoch.next = add i64 %epoch, 1
  br label %epochs.head
done:
  ret void
}
declare i32 @llvm.ctlz.i32(i32, i1)
"""

ARGUMENTS = (ctypes.c_void_p, *[ctypes.c_int64] * 3, *[ctypes.c_void_p] * 3)


@functools.cache
def _native() -> Callable[..., None]:
    return native("reshuffle", lambda: TEXT, ctypes.CFUNCTYPE(None, *ARGUMENTS))


class Reshuffle:
    """An order that is shuffled again and again, as by `random.shuffle(order)`.

    Args:
        n: how many numbers, from 0 on, it begins with.
        random: draws; whatever else it is asked in between, both go on as with its own shuffles.
    """

    def __init__(self, n: int, random: np.random.RandomState) -> None:
        self._order = np.arange(n, dtype=np.int32)
        self._random = random
        self._generator = getattr(random, "_bit_generator", None)
        if self._generator is not None:
            words = self._generator.ctypes
            self._draw = ctypes.cast(words.next_uint32, ctypes.c_void_p), words.state_address

    def fill(self, out: np.ndarray) -> None:
        """Write the next orders at the beginning of each row of an int32 array (orders, places)."""
        n = len(self._order)
        if out.dtype != np.int32 or not out.flags.c_contiguous or out.ndim != 2 or out.shape[1] < n:
            raise ValueError(
                f"orders of {n} rows go to a contiguous int32 array of as many columns, received "
                f"{out.dtype}{list(out.shape)}"
            )
        if self._generator is None:
            for row in out:
                self._random.shuffle(self._order)
                row[:n] = self._order
            return
        with self._generator.lock:
            _native()(out.ctypes.data, n, *out.shape, self._order.ctypes.data, *self._draw)
        self._order[:] = out[-1, :n]
