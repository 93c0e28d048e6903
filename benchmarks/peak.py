"""How many operations a second one core does at most: multiply-adds on registers alone."""

from __future__ import annotations

import ctypes
import statistics
from time import thread_time

import numpy as np

from pellucid.compiler import host, machine
from pellucid.compiler.code import Code
from pellucid.compiler.ir import Writer, vector
from pellucid.core.storage import LANES

TURNS = 1_000_000
FLOAT = np.dtype(np.float32)


def render(accumulators: int) -> str:
    """Return `multiply(out, a, b, turns)`: x = x * a + b on so many vectors, again and again."""
    w, kind = Writer(), vector(FLOAT)
    a, b = (w.let(f"load {kind}, ptr %{name}, align 4") for name in ("a", "b"))
    with w.loop("0", "%turns", carried=[(kind, b)] * accumulators) as loop:
        loop.following = [w.fma(FLOAT, x, a, b) for x in loop.values]
    total = b
    for x in loop.values:
        total = w.op("fadd", FLOAT, total, x)
    w.line(f"store {kind} {total}, ptr %out, align 4")
    head = "define void @multiply(ptr %out, ptr %a, ptr %b, i64 %turns) {\nentry:"
    return "\n".join([*sorted(w.declarations), head, *w.lines, "  ret void", "}"])


def flops(rounds: int = 7) -> float:
    """Return floating-point operations per second of one core: the best of some rounds."""
    processor = host.current()
    # enough chains to fill the pipeline, few enough to stay in registers beside a and b
    accumulators = min(16, processor.tile_registers(FLOAT.itemsize) - 2)
    pointer = ctypes.c_void_p
    prototype = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, ctypes.c_int64)
    code = Code(machine.assemble(render(accumulators), processor), processor)
    multiply = code.function("multiply", prototype)
    out, a, b = (np.full(LANES, value, np.float32) for value in (0.0, 0.5, 1.0))
    times = []
    for _ in range(rounds):
        start = thread_time()
        multiply(out.ctypes.data, a.ctypes.data, b.ctypes.data, TURNS)
        times.append(thread_time() - start)
    if not np.allclose(out, 1.0 + 2.0 * accumulators):  # x -> x / 2 + 1 stays at 2
        raise AssertionError(f"the loop gave {out}")
    return 2 * LANES * accumulators * TURNS / min(times)


if __name__ == "__main__":
    best = [flops(3) / 1e9 for _ in range(5)]
    print(
        f"{statistics.median(best):.0f} GFLOP/s (best of 3, five times: {min(best):.0f} to "
        f"{max(best):.0f})"
    )
