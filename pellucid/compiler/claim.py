"""Lines of memory that other workers have read, taken back well before they are written.

A processor writes a line only when no other holds it. All workers read the parameters that one of
them updates, so each line has to be taken back in every step. Stores wait for that in turn, and
only of the next few lines is asked at the same time; a hint that a line will be written does
nothing where the line is at hand and others have it too. What helps is a store: a number of each
line goes back where it came from, many lines in a row, or while a product is being computed.
"""

from __future__ import annotations

import math

from .ir import Writer
from .kernels import Plan
from .memory import memory_type
from .views import Buffer

LARGEST = 1 << 17
"""Elements of a buffer up to which others may still hold what they read a step ago."""


def find_claims(plan: Plan) -> None:
    """Tell the kernels that workers share which cells they alone change and another one reads."""
    read = {b for k in plan.kernels for b in k.reads - k.writes if b.role == "cell"}
    for kernel in plan.kernels:
        if kernel not in plan.serial:
            changed = dict.fromkeys(s.target.buffer for s in kernel.stores if s.target.is_whole())
            near = [b for b in changed if math.prod(b.shape) <= LARGEST]
            kernel.claims = [b for b in near if b in read]


def claim(w: Writer, buffer: Buffer, pointer: str) -> None:
    """Take back the line at an address that this worker alone is going to write."""
    kind = memory_type(buffer.dtype)
    number = w.let(f"load volatile {kind}, ptr {pointer}")
    w.line(f"store volatile {kind} {number}, ptr {pointer}")
