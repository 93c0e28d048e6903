"""Epochs of a program, one after the other by one native call, until the loss falls no longer.

Before each epoch its rows are shuffled; after each the mean objective of its steps is looked at.
Python would do the same between native calls, but for tiny networks its part would be the larger
one.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .barrier import barrier
from .host import current
from .ir import element
from .native import native
from .program import CompiledProgram
from .reshuffle import Reshuffle


@dataclass
class Patience:
    """When epochs end: more than `most` in a row were no better, by `tol`, than the best before.

    Attributes:
        best: the least loss so far.
        stalled: epochs in a row that were no better.
        tol: by how much a loss must be less than the best.
        most: so many epochs in a row may be no better.
    """

    best: float
    stalled: int
    tol: float
    most: int


@dataclass
class Objective:
    """How the loss of an epoch follows from the records of its steps (objective, weights, penalty).

    It is the mean of the objective over the rows. Where the objective is a sum over several
    outputs, with a penalty, it is the mean over outputs of what is not the penalty.

    Attributes:
        counts: rows of each step, int32 (steps,).
        rooms: by which the record multiplies its penalty, float64 (steps,).
        outputs: over how many the loss is a mean.
    """

    counts: np.ndarray
    rooms: np.ndarray
    outputs: int

    def losses(self, records: np.ndarray) -> np.ndarray:
        """The loss of each epoch, of records (epochs * steps, 3), as compiled code works it out."""
        # (epochs, steps) each
        objective, weights, penalties = records.astype(np.float64).T.reshape(
            3, -1, len(self.counts)
        )
        if self.outputs > 1:
            share = penalties / self.rooms / weights
            objective = (objective - share) / self.outputs + share
        return np.add.accumulate(objective * self.counts, axis=1)[:, -1] / self.counts.sum()


TEXT = """
; numbers, from 0 on: the program, its table, steps of an epoch, epochs; the function that shuffles
; (or 0), where to, rows, batch, room, order, draw, state; records, counts, rooms, losses; epochs
; in a row that may stall, outputs. Given back: epochs done, epochs that stalled, whether it ended.
; figures: tol, the best loss, rows.
define void @epochs_KIND(ptr %numbers, ptr %figures, i64 %worker, i64 %workers, ptr %meeting) {
entry:
  %leads = icmp eq i64 %worker, 0
  %run = load ptr, ptr %numbers
  %table.at = getelementptr i64, ptr %numbers, i64 1
  %table = load ptr, ptr %table.at
  %steps.at = getelementptr i64, ptr %numbers, i64 2
  %steps = load i64, ptr %steps.at
  %epochs.at = getelementptr i64, ptr %numbers, i64 3
  %epochs = load i64, ptr %epochs.at
  %ended.at = getelementptr i64, ptr %numbers, i64 20
  br label %head
head:
  %epoch = phi i64 [0, %entry], [%following, %looked]
  br i1 %leads, label %order, label %take
order:
  call void @order(ptr %numbers, i64 %epoch)
  br label %take
take:
  %first = mul i64 %epoch, %steps
  %end = add i64 %first, %steps
  call void %run(ptr %table, i64 %worker, i64 %workers, i64 %first, i64 %end, ptr %meeting)
  call void @meet(ptr %meeting, i64 %workers)
  br i1 %leads, label %look, label %looked
look:
  call void @look(ptr %numbers, ptr %figures, i64 %epoch)
  br label %looked
looked:
  call void @meet(ptr %meeting, i64 %workers)
  %ended = load i64, ptr %ended.at
  %following = add i64 %epoch, 1
  %more = icmp slt i64 %following, %epochs
  %over = icmp ne i64 %ended, 0
  %goes = xor i1 %over, true
  %on = and i1 %more, %goes
  br i1 %on, label %head, label %done
done:
  ret void
}

; Shuffle the rows of an epoch.
define internal void @order(ptr %numbers, i64 %epoch) {
entry:
  %shuffle.at = getelementptr i64, ptr %numbers, i64 4
  %shuffle = load ptr, ptr %shuffle.at
  %none = icmp eq ptr %shuffle, null
  br i1 %none, label %done, label %fill
fill:
  %steps.at = getelementptr i64, ptr %numbers, i64 2
  %steps = load i64, ptr %steps.at
  %out.at = getelementptr i64, ptr %numbers, i64 5
  %out = load ptr, ptr %out.at
  %rows.at = getelementptr i64, ptr %numbers, i64 6
  %rows = load i64, ptr %rows.at
  %batch.at = getelementptr i64, ptr %numbers, i64 7
  %batch = load i64, ptr %batch.at
  %room.at = getelementptr i64, ptr %numbers, i64 8
  %room = load i64, ptr %room.at
  %order.at = getelementptr i64, ptr %numbers, i64 9
  %order = load ptr, ptr %order.at
  %draw.at = getelementptr i64, ptr %numbers, i64 10
  %draw = load ptr, ptr %draw.at
  %state.at = getelementptr i64, ptr %numbers, i64 11
  %state = load ptr, ptr %state.at
  %size = mul i64 %steps, %room
  %offset = mul i64 %epoch, %size
  %here = getelementptr i32, ptr %out, i64 %offset
  call void %shuffle(ptr %here, i64 1, i64 %rows, i64 %batch, i64 %room, ptr %order, ptr %draw,
      ptr %state)
  br label %done
done:
  ret void
}

; The loss of an epoch, and whether it was the last one; `Objective` and `Patience` say how.
define internal void @look(ptr %numbers, ptr %figures, i64 %epoch) {
entry:
  %steps.at = getelementptr i64, ptr %numbers, i64 2
  %steps = load i64, ptr %steps.at
  %records.at = getelementptr i64, ptr %numbers, i64 12
  %records = load ptr, ptr %records.at
  %counts.at = getelementptr i64, ptr %numbers, i64 13
  %counts = load ptr, ptr %counts.at
  %rooms.at = getelementptr i64, ptr %numbers, i64 14
  %rooms = load ptr, ptr %rooms.at
  %losses.at = getelementptr i64, ptr %numbers, i64 15
  %losses = load ptr, ptr %losses.at
  %most.at = getelementptr i64, ptr %numbers, i64 16
  %most = load i64, ptr %most.at
  %outputs.at = getelementptr i64, ptr %numbers, i64 17
  %outputs = load i64, ptr %outputs.at
  %several = icmp sgt i64 %outputs, 1
  %parts = sitofp i64 %outputs to double
  %before = mul i64 %epoch, %steps
  br label %head
head:
  %step = phi i64 [0, %entry], [%step.next, %body]
  %sum = phi double [0.0, %entry], [%sum.next, %body]
  %left = icmp slt i64 %step, %steps
  br i1 %left, label %body, label %end
body:
  %number = add i64 %before, %step
  %place = mul i64 %number, 3
  %objective.at = getelementptr KIND, ptr %records, i64 %place
  %weights.at = getelementptr KIND, ptr %objective.at, i64 1
  %penalty.at = getelementptr KIND, ptr %objective.at, i64 2
  %objective.own = load KIND, ptr %objective.at
  %weights.own = load KIND, ptr %weights.at
  %penalty.own = load KIND, ptr %penalty.at
  %objective = WIDEN KIND %objective.own to double
  %weights = WIDEN KIND %weights.own to double
  %penalty = WIDEN KIND %penalty.own to double
  %room.at = getelementptr double, ptr %rooms, i64 %step
  %room = load double, ptr %room.at
  %each = fdiv double %penalty, %room
  %share = fdiv double %each, %weights
  %rest = fsub double %objective, %share
  %part = fdiv double %rest, %parts
  %mean = fadd double %part, %share
  %value = select i1 %several, double %mean, double %objective
  %count.at = getelementptr i32, ptr %counts, i64 %step
  %count.own = load i32, ptr %count.at
  %count = sitofp i32 %count.own to double
  %term = fmul double %value, %count
  %sum.next = fadd double %sum, %term
  %step.next = add i64 %step, 1
  br label %head
end:
  %total.at = getelementptr double, ptr %figures, i64 2
  %total = load double, ptr %total.at
  %loss = fdiv double %sum, %total
  %loss.at = getelementptr double, ptr %losses, i64 %epoch
  store double %loss, ptr %loss.at
  %tol = load double, ptr %figures
  %best.at = getelementptr double, ptr %figures, i64 1
  %best = load double, ptr %best.at
  %bound = fsub double %best, %tol
  %stalls = fcmp ogt double %loss, %bound
  %stalled.at = getelementptr i64, ptr %numbers, i64 19
  %stalled = load i64, ptr %stalled.at
  %stalled.more = add i64 %stalled, 1
  %stalled.new = select i1 %stalls, i64 %stalled.more, i64 0
  store i64 %stalled.new, ptr %stalled.at
  %better = fcmp olt double %loss, %best
  %best.new = select i1 %better, double %loss, double %best
  store double %best.new, ptr %best.at
  %done.at = getelementptr i64, ptr %numbers, i64 18
  %done = add i64 %epoch, 1
  store i64 %done, ptr %done.at
  %enough = icmp sgt i64 %stalled.new, %most
  %nothing = fsub double %loss, %loss
  %finite = fcmp oeq double %nothing, 0.0
  %over = select i1 %finite, i1 %enough, i1 true
  %ended = zext i1 %over to i64
  %ended.at = getelementptr i64, ptr %numbers, i64 20
  store i64 %ended, ptr %ended.at
  ret void
}
"""


@functools.cache
def _native(kind: str) -> Callable[..., None]:
    def render() -> str:
        widen = "fpext" if kind == "float" else "bitcast"  # float64 stays what it is
        return "\n".join([barrier(current()), TEXT.replace("WIDEN", widen).replace("KIND", kind)])

    pointer, number = ctypes.c_void_p, ctypes.c_int64
    prototype = ctypes.CFUNCTYPE(None, pointer, pointer, number, number, pointer)
    return native(f"epochs_{kind}", render, prototype)


def run_epochs(
    program: CompiledProgram,
    inputs: Sequence[np.ndarray],
    records: np.ndarray,
    orders: tuple[Reshuffle, np.ndarray] | None,
    objective: Objective,
    patience: Patience,
) -> np.ndarray:
    """Run epochs until the patience is over, or a loss is no finite number.

    Args:
        program: a step.
        inputs: its inputs, for as many epochs as there is room in the records.
        records: its one output, float32 or float64 (epochs * steps, 3).
        orders: shuffles rows before each epoch into that one of the inputs; None if they stay.
        objective: makes losses of records.
        patience: says when it ends.

    Returns:
        The losses of the epochs that were run.
    """
    steps = len(objective.counts)
    epochs = len(records) // steps
    losses = np.empty(epochs)
    table = program.table_for(inputs, [records], len(records))
    shuffling, lock = [0] * 8, contextlib.nullcontext()
    if orders is not None:
        shuffle, places = orders
        shuffling, lock = shuffle.addresses(places), shuffle.generator.lock
    arrays = records, objective.counts, objective.rooms, losses
    numbers = np.array(
        [program.address, table.ctypes.data, steps, epochs, *shuffling]
        + [array.ctypes.data for array in arrays]
        + [patience.most, objective.outputs, 0, patience.stalled, 0],
        np.int64,
    )
    figures = np.array([patience.tol, patience.best, objective.counts.sum()])
    function, at = _native(element(records.dtype)), (numbers.ctypes.data, figures.ctypes.data)
    with program.lock, lock:
        program.on_workers(
            lambda *who: function(*at, *who), len(records), taken=lambda: steps * int(numbers[18])
        )
    return losses[: numbers[18]]
