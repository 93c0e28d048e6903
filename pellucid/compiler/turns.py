"""Several programs one after another by one native call, so that workers are woken once."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Sequence

import numpy as np

from pellucid.core.program import Program

from .ir import Writer
from .native import native
from .program import CompiledProgram

Part = tuple[Program, Sequence[np.ndarray], Sequence[np.ndarray], int]
"""A program, its inputs and outputs, and how many steps."""


def render_turns() -> str:
    """`turns(functions, tables, steps, count, worker, workers, meeting)`."""
    w = Writer()
    with w.loop("0", "%count") as loop:
        at = [
            w.let(f"getelementptr i64, ptr %{array}, i64 {loop.index}")
            for array in ("functions", "tables", "steps")
        ]
        function, table = (w.let(f"load ptr, ptr {place}") for place in at[:2])
        steps = w.let(f"load i64, ptr {at[2]}")
        w.line(
            f"call void {function}(ptr {table}, i64 %worker, i64 %workers, i64 0, i64 {steps}, "
            "ptr %meeting)"
        )
    head = (
        "define void @turns(ptr %functions, ptr %tables, ptr %steps, i64 %count, "
        "i64 %worker, i64 %workers, ptr %meeting) {\nentry:"
    )
    return "\n".join([head, *w.lines, "  ret void", "}"])


@functools.cache
def _native() -> Callable[..., None]:
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    prototype = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, number, number, number, pointer)
    return native("turns", render_turns, prototype)


def run_in_turn(parts: Sequence[Part]) -> None:
    """Run programs one after the other, each for its number of steps."""
    programs = [part[0] for part in parts]
    if len(parts) < 2 or not all(isinstance(p, CompiledProgram) for p in programs):
        for program, inputs, outputs, steps in parts:
            program.run(inputs, outputs, steps)
        return
    distinct = {id(p): p for p in programs if isinstance(p, CompiledProgram)}
    with contextlib.ExitStack() as stack:
        for number in sorted(distinct):
            stack.enter_context(distinct[number].lock)
        tables = [
            p.table_for(inputs, outputs, steps)
            for p, inputs, outputs, steps in parts
            if isinstance(p, CompiledProgram)
        ]
        functions = np.array([distinct[id(p)].address for p in programs], np.int64)
        places = np.array([t.ctypes.data for t in tables], np.int64)
        counts = np.array([part[3] for part in parts], np.int64)
        arguments = functions.ctypes.data, places.ctypes.data, counts.ctypes.data, len(parts)
        # the program that does most of the work says on how many workers
        leader = max(parts, key=lambda part: part[3])[0]
        turns = _native()
        distinct[id(leader)].on_workers(
            lambda worker, workers, meeting: turns(*arguments, worker, workers, meeting),
            int(counts.sum()),
            distinct.values(),
        )
