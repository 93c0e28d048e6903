"""`RandomState.shuffle` of NumPy, again and again, as machine code: the same draws and orders.

Words come from the generator itself, by the function that it offers to compiled code.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .native import native
from .program import can_compile

TEXT = """
; As many epochs: `order` is shuffled, and written to `out` a batch after the other, each of which
; has room for more. A place i of the order, from the last on, changes with one drawn from 0 to i:
; of a word as many bits as i has, until they are not more than i. A draw that is too large changes
; i with itself, so that nothing depends on a guess.
define void @reshuffle(ptr %out, i64 %epochs, i64 %n, i64 %batch, i64 %room, ptr %order,
    ptr %next, ptr %state) {
entry:
  %last = sub i64 %n, 1
  br label %epochs.head
epochs.head:
  %epoch = phi i64 [0, %entry], [%epoch.next, %epochs.end]
  %first = phi ptr [%out, %entry], [%row, %epochs.end]
  %more = icmp slt i64 %epoch, %epochs
  br i1 %more, label %places.head, label %done
places.head:
  %i = phi i64 [%last, %epochs.head], [%i.next, %places.body]
  %left = icmp sgt i64 %i, 0
  br i1 %left, label %places.body, label %batches.head
places.body:
  %word = call i32 %next(ptr %state)
  %small = trunc i64 %i to i32
  %zeros = call i32 @llvm.ctlz.i32(i32 %small, i1 true)
  %mask = lshr i32 -1, %zeros
  %drawn = and i32 %word, %mask
  %fits = icmp ule i32 %drawn, %small
  %chosen = select i1 %fits, i32 %drawn, i32 %small
  %j = zext i32 %chosen to i64
  %here = getelementptr i32, ptr %order, i64 %i
  %there = getelementptr i32, ptr %order, i64 %j
  %a = load i32, ptr %here
  %b = load i32, ptr %there
  store i32 %b, ptr %here
  store i32 %a, ptr %there
  %step = zext i1 %fits to i64
  %i.next = sub i64 %i, %step
  br label %places.head
batches.head:
  %start = phi i64 [0, %places.head], [%stop, %batches.end]
  %row = phi ptr [%first, %places.head], [%row.next, %batches.end]
  %rest = icmp slt i64 %start, %n
  br i1 %rest, label %batches.body, label %epochs.end
batches.body:
  %stop = add i64 %start, %batch
  %row.next = getelementptr i32, ptr %row, i64 %room
  %end = call i64 @llvm.smin.i64(i64 %stop, i64 %n)
  br label %copy.head
copy.head:
  %k = phi i64 [%start, %batches.body], [%k.next, %copy.body]
  %within = icmp slt i64 %k, %end
  br i1 %within, label %copy.body, label %batches.end
copy.body:
  %place = sub i64 %k, %start
  %from = getelementptr i32, ptr %order, i64 %k
  %to = getelementptr i32, ptr %row, i64 %place
  %number = load i32, ptr %from
  store i32 %number, ptr %to
  %k.next = add i64 %k, 1
  br label %copy.head
batches.end:
  br label %batches.head
epochs.end:
  %epoch.next = add i64 %epoch, 1
  br label %epochs.head
done:
  ret void
}
declare i32 @llvm.ctlz.i32(i32, i1)
declare i64 @llvm.smin.i64(i64, i64)
"""

ARGUMENTS = (ctypes.c_void_p, *[ctypes.c_int64] * 4, *[ctypes.c_void_p] * 3)


@functools.cache
def _native() -> Callable[..., None]:
    return native("reshuffle", lambda: TEXT, ctypes.CFUNCTYPE(None, *ARGUMENTS))


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class Reshuffle:
    """An order that is shuffled again and again, as by `random.shuffle(order)`, and cut in batches.

    Args:
        n: how many numbers, from 0 on, it begins with.
        batch: of how many at a time.
        random: draws; whatever else it is asked in between, both go on as with its own shuffles.

    Attributes:
        order: the last one, int32 (n,).
        generator: that `random` draws from; None where it has to shuffle by itself, as it is of
            another kind, or nothing can be compiled.
        draw: addresses of the function that draws a word, and of its state.
    """

    def __init__(self, n: int, batch: int, random: np.random.RandomState) -> None:
        self.order = np.arange(n, dtype=np.int32)
        self.batch = batch
        plain = type(random) is np.random.RandomState  # a kind of one's own may shuffle otherwise
        known = getattr(random, "_bit_generator", None)
        self.generator: Any = known if plain and can_compile() else None
        self._random = random
        if self.generator is not None:
            words = self.generator.ctypes
            self.draw = _address(words.next_uint32), int(words.state_address)

    def fill(self, out: np.ndarray) -> None:
        """Write the next orders: int32 (epochs, batches, room); what is behind a batch stays."""
        n, batch = len(self.order), self.batch
        fits = out.dtype == np.int32 and out.flags.c_contiguous and out.ndim == 3
        if not fits or out.shape[1] != -(-n // batch) or out.shape[2] < batch:
            raise ValueError(
                f"orders of {n} rows in batches of {batch} go to a contiguous int32 array (epochs, "
                f"{-(-n // batch)}, at least {batch}), received {out.dtype}{list(out.shape)}"
            )
        if self.generator is None:
            for epoch in out:
                self._random.shuffle(self.order)
                for row, first in zip(epoch, range(0, n, batch), strict=True):
                    part = self.order[first : first + batch]
                    row[: len(part)] = part
            return
        at = out.ctypes.data, len(out), n, batch, out.shape[2], self.order.ctypes.data
        with self.generator.lock:
            _native()(*at, *self.draw)

    def told(self, out: np.ndarray) -> dict[str, int]:
        """What compiled code needs to fill such an array: numbers and addresses, by name."""
        draw, state = self.draw
        return {
            "shuffle": _address(_native()), "out": out.ctypes.data, "rows": len(self.order),
            "batch": self.batch, "room": out.shape[-1], "order": self.order.ctypes.data,
            "draw": draw, "state": state,
        }  # fmt: skip
