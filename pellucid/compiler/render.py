"""The whole program as LLVM IR text: kernels, the loop over steps, meetings of workers."""

from __future__ import annotations

from .contract import Contraction
from .ir import Writer
from .kernels import Kernel, Plan
from .memory import memory_type
from .nest import Nest
from .special import write_random, write_scatter
from .target import Target
from .views import Buffer

ARGUMENTS = "ptr %table, i64 %worker, i64 %workers, i64 %step"


def number_buffers(plan: Plan) -> list[Buffer]:
    """Give each buffer its slot in the table of addresses."""
    used = {b: None for phase in plan.phases for k in phase for b in (*k.reads, *k.writes)}
    order = sorted(used, key=lambda b: (b.role, b.number, plan.offsets.get(b, 0)))
    # one address may serve several temporaries in turn, but each keeps its own slot
    for slot, buffer in enumerate(order):
        buffer.slot = slot
    return order


def render(plan: Plan, target: Target) -> str:
    """The program's module."""
    number_buffers(plan)
    declarations: set[str] = set()
    parts, names = [], {}
    for number, kernel in enumerate(k for phase in plan.phases for k in phase):
        names[kernel] = f"k{number}"
        parts.append(_kernel(plan, kernel, names[kernel], target, declarations))
    parts.append(_run(plan, names))
    pause, pause_text = _pause(target)
    declarations |= pause
    return "\n".join([*sorted(declarations), BARRIER.replace("PAUSE", pause_text), *parts])


def _kernel(plan: Plan, kernel: Kernel, name: str, target: Target, declarations: set[str]) -> str:
    w = Writer()
    shared = kernel not in plan.serial
    if kernel.kind in ("map", "reduce"):
        nest = Nest(w, plan, kernel, shared)
        nest.write()
        pointers = nest.body.pointers
    elif kernel.kind == "contract":
        assert kernel.root is not None
        registers = target.tile_registers(kernel.root.dtype.itemsize)
        contraction = Contraction(w, plan, kernel, shared, registers)
        contraction.write()
        pointers = contraction.body.pointers
    elif kernel.kind == "random":
        pointers = write_random(w, plan, kernel, shared)
    else:
        pointers = write_scatter(w, plan, kernel)
    declarations |= w.declarations
    head = [f"define internal void @{name}({ARGUMENTS}) {{", "entry:"]
    for buffer, pointer in pointers.items():
        head += _address(buffer, pointer)
    return "\n".join([*head, *w.lines, "  ret void", "}"])


def _address(buffer: Buffer, name: str) -> list[str]:
    """Load a buffer's address, moved on to this step's entry."""
    slot = f"%s{buffer.slot}"
    lines = [f"  {slot} = getelementptr ptr, ptr %table, i64 {buffer.slot}"]
    if not buffer.stepped:
        return [*lines, f"  {name} = load ptr, ptr {slot}"]
    return [
        *lines,
        f"  {slot}.0 = load ptr, ptr {slot}",
        f"  {slot}.1 = mul i64 %step, {buffer.step_size}",
        f"  {name} = getelementptr {memory_type(buffer.dtype)}, ptr {slot}.0, i64 {slot}.1",
    ]


def _run(plan: Plan, names: dict[Kernel, str]) -> str:
    """`run(table, worker, workers, steps, meeting)`: every step, phase by phase."""
    w = Writer()
    call = "call void @{}(ptr %table, i64 %worker, i64 %workers, i64 {})"
    first = w.let("icmp eq i64 %worker, 0")
    with w.loop("0", "%steps") as loop:
        for phase in plan.phases:
            w.line("call void @meet(ptr %meeting, i64 %workers)")
            for kernel in phase:
                if kernel not in plan.serial:
                    w.line(call.format(names[kernel], loop.index))
            alone = [k for k in phase if k in plan.serial]
            if alone:
                with w.when(first):
                    for kernel in alone:
                        w.line(call.format(names[kernel], loop.index))
    head = "define void @run(ptr %table, i64 %worker, i64 %workers, i64 %steps, ptr %meeting) {"
    return "\n".join([head, "entry:", *w.lines, "  ret void", "}"])


def _pause(target: Target) -> tuple[set[str], str]:
    """Tell the processor that it waits, where it can be told."""
    if target.family in ("x86_64", "i686", "amd64"):
        return {"declare void @llvm.x86.sse2.pause()"}, "call void @llvm.x86.sse2.pause()"
    if target.family in ("aarch64", "arm64"):
        return {"declare void @llvm.aarch64.hint(i32)"}, "call void @llvm.aarch64.hint(i32 1)"
    return set(), ""


BARRIER = """
; All workers meet here. The record holds: how many have come, the number of the meeting,
; and the address of a function that gives the processor away (0: none). Each wait spins a
; bounded while, then gives way each time, so that a loaded machine does not stall.
define internal void @meet(ptr %meeting, i64 %workers) {
entry:
  %alone = icmp sle i64 %workers, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %number = getelementptr i64, ptr %meeting, i64 8
  %now = load atomic i64, ptr %number acquire, align 8
  %old = atomicrmw add ptr %meeting, i64 1 acq_rel
  %come = add i64 %old, 1
  %last = icmp eq i64 %come, %workers
  br i1 %last, label %open, label %wait
open:
  store atomic i64 0, ptr %meeting monotonic, align 8
  %next = add i64 %now, 1
  store atomic i64 %next, ptr %number release, align 8
  br label %done
wait:
  %turns = phi i64 [0, %arrive], [%more, %again]
  PAUSE
  %seen = load atomic i64, ptr %number acquire, align 8
  %opened = icmp ne i64 %seen, %now
  br i1 %opened, label %done, label %patience
patience:
  %more = add i64 %turns, 1
  %long = icmp sgt i64 %more, 100
  br i1 %long, label %give, label %again
give:
  %place = getelementptr i64, ptr %meeting, i64 16
  %way = load ptr, ptr %place
  %can = icmp ne ptr %way, null
  br i1 %can, label %yield, label %again
yield:
  %ignored = call i32 %way()
  br label %again
again:
  br label %wait
done:
  ret void
}
"""
