"""Where workers meet, as LLVM IR; `threads.meeting` makes the record that they share."""

from __future__ import annotations

from .target import Target


def barrier(target: Target) -> str:
    """`meet(meeting, workers)`, a function that comes back when all workers have called it."""
    declared, pause = _pause(target)
    return "\n".join([*sorted(declared), BARRIER.replace("PAUSE", pause)])


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
