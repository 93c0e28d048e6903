"""Lines of memory that other workers have read, taken back well before they are written.

A processor writes a line only when no other holds it. All workers read the parameters that one of
them updates, so each line has to be taken back in every step. Stores wait for that in turn, and
only of the next few lines is asked at the same time; a hint that a line will be written does
nothing where the line is at hand and others have it too. What helps is a store: while a product
is computed, a number of each line goes back where it came from.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .body import LINE
from .ir import Writer
from .kernels import Kernel, Plan
from .memory import address, memory_type
from .nest import share
from .tiles import terms
from .views import Buffer

LARGEST = 1 << 19
"""Bytes of a buffer up to which others may still hold what they read a step ago."""

AT_A_TIME = 16
"""Most lines that are taken back with a tile for what comes after the product."""


def find_claims(plan: Plan) -> None:
    """Tell the products that workers share which lines to take back.

    They are those of what a product changes itself, or of what a kernel of the next phase does,
    which may update parameters by sums of what the product gave.
    """

    def size(buffer: Buffer) -> int:
        return math.prod(buffer.shape) * buffer.dtype.itemsize

    read = {b for k in plan.kernels for b in k.reads - k.writes if b.role == "cell"}
    before: list[Kernel] = []
    for phase in plan.phases:
        seen = {b for k in before for b in k.reads | k.writes}
        products = [k for k in before if _can_take(plan, k)]
        longest = max(products, key=lambda k: math.prod(k.domain) * terms(k.roots[0]), default=None)
        for kernel in phase:
            changed = dict.fromkeys(s.target.buffer for s in kernel.stores if s.target.is_whole())
            found = [b for b in changed if b in read and size(b) <= LARGEST]
            if _can_take(plan, kernel):
                kernel.claims = found
            elif longest and kernel.kind != "contract" and kernel not in plan.serial:
                by_rows = [b for b in found if b.shape[:1] == kernel.outer[:1]]
                longest.ahead += [b for b in by_rows if b not in seen]
        before = phase


def _can_take(plan: Plan, kernel: Kernel) -> bool:
    """Whether it is a product whose tiles each worker walks through once."""
    shared = kernel.kind == "contract" and kernel not in plan.serial and not kernel.blocks
    return shared and kernel.roots[0].name in ("matmul", "tensordot")


def claim(w: Writer, buffer: Buffer, pointer: str) -> None:
    """Take back the line at an address, to which no other worker may store in this phase."""
    kind = memory_type(buffer.dtype)
    number = w.let(f"load volatile {kind}, ptr {pointer}")
    w.line(f"store volatile {kind} {number}, ptr {pointer}")


class Ahead:
    """Takes back what this worker updates after a product, some of it with each tile.

    Args:
        w: where to write.
        buffers: of which it updates an even part of the rows.
        base: gives the pointer to a buffer.
        tiles: how many the product has.
    """

    def __init__(
        self, w: Writer, buffers: list[Buffer], base: Callable[[Buffer], str], tiles: int
    ) -> None:
        self.w, self.buffers, self.base, self.tiles = w, buffers, base, tiles
        self.ends = []
        for number, buffer in enumerate(buffers):
            first, end = (
                w.let(f"mul i64 {row}, {buffer.strides[0]}") for row in share(w, buffer.shape[0])
            )
            w.line(f"%ahead{number} = alloca i64")
            w.line(f"store i64 {first}, ptr %ahead{number}")
            self.ends.append(end)

    def take(self) -> None:
        """Take back the next lines; what is left at the end is too little."""
        w = self.w
        for number, (buffer, end) in enumerate(zip(self.buffers, self.ends, strict=True)):
            line = LINE // buffer.dtype.itemsize
            lines = buffer.shape[0] * buffer.strides[0] // line
            taken = min(-(-lines // self.tiles), AT_A_TIME)
            now = w.let(f"load i64, ptr %ahead{number}")
            following = w.let(f"add i64 {now}, {taken * line}")
            w.line(f"store i64 {following}, ptr %ahead{number}")
            with w.when(w.let(f"icmp sle i64 {following}, {end}")):
                first = address(w, buffer.dtype, self.base(buffer), now)
                for at in range(0, taken * line, line):
                    claim(w, buffer, address(w, buffer.dtype, first, at))
