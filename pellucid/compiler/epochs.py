"""Epochs of a program, one after the other by one native call, until the loss falls no longer.

Before each epoch its rows are shuffled; after each the mean objective of its steps is looked at.
Python would do the same between native calls, but for tiny networks its part would be the larger
one.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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


NUMBERS = {
    "run": "ptr", "table": "ptr", "steps": "i64", "epochs": "i64",
    "shuffle": "ptr", "out": "ptr", "rows": "i64", "batch": "i64", "room": "i64", "order": "ptr",
    "draw": "ptr", "state": "ptr",
    "records": "ptr", "counts": "ptr", "rooms": "ptr", "losses": "ptr", "outputs": "i64",
    "total": "double", "tol": "double", "patience": "i64",
    "best": "double", "stalled": "i64", "done": "i64", "ended": "i64",
}  # fmt: skip
"""What the call is given, each in 8 bytes, and its type: the program, its table, steps of an
epoch, epochs; the function that shuffles (or 0) and what it is given; what a loss is made of; when
to stop. From "best" on it is changed."""

PLACES = list(NUMBERS)

FOR_EVER = 2**62
"""Epochs that nobody lives to see."""

TEXT = """
define void @epochs_KIND(ptr %numbers, i64 %worker, i64 %workers, ptr %meeting) {
entry:
  %leads = icmp eq i64 %worker, 0
  TAKE run table steps epochs
  %ended.at = getelementptr i64, ptr %numbers, i64 PLACE(ended)
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
  call void @look(ptr %numbers, i64 %epoch)
  br label %looked
looked:
  call void @meet(ptr %meeting, i64 %workers)
  %ended = load i64, ptr %ended.at
  %following = add i64 %epoch, 1
  %more = icmp slt i64 %following, %epochs
  %open = icmp eq i64 %ended, 0
  %on = and i1 %more, %open
  br i1 %on, label %head, label %done
done:
  ret void
}

; Shuffle the rows of an epoch.
define internal void @order(ptr %numbers, i64 %epoch) {
entry:
  TAKE shuffle steps out rows batch room order draw state
  %none = icmp eq ptr %shuffle, null
  br i1 %none, label %done, label %fill
fill:
  %size = mul i64 %steps, %room
  %offset = mul i64 %epoch, %size
  %here = getelementptr i32, ptr %out, i64 %offset
  call void %shuffle(ptr %here, i64 1, i64 %rows, i64 %batch, i64 %room, ptr %order, ptr %draw,
      ptr %state)
  br label %done
done:
  ret void
}

; The loss of an epoch, and whether it was the last one: see `Objective` and `Patience`.
define internal void @look(ptr %numbers, i64 %epoch) {
entry:
  TAKE steps records counts rooms losses patience outputs stalled best tol total
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
  %loss = fdiv double %sum, %total
  %loss.at = getelementptr double, ptr %losses, i64 %epoch
  store double %loss, ptr %loss.at
  %bound = fsub double %best, %tol
  %stalls = fcmp ogt double %loss, %bound
  %stalled.more = add i64 %stalled, 1
  %stalled.new = select i1 %stalls, i64 %stalled.more, i64 0
  store i64 %stalled.new, ptr %stalled.at
  %better = fcmp olt double %loss, %best
  %best.new = select i1 %better, double %loss, double %best
  store double %best.new, ptr %best.at
  %done.at = getelementptr i64, ptr %numbers, i64 PLACE(done)
  %done = add i64 %epoch, 1
  store i64 %done, ptr %done.at
  %enough = icmp sgt i64 %stalled.new, %patience
  %nothing = fsub double %loss, %loss
  %finite = fcmp oeq double %nothing, 0.0
  %over = select i1 %finite, i1 %enough, i1 true
  %ended = zext i1 %over to i64
  %ended.at = getelementptr i64, ptr %numbers, i64 PLACE(ended)
  store i64 %ended, ptr %ended.at
  ret void
}
"""


def render_epochs(kind: str) -> str:
    """The module, for records of a kind of number: "float" or "double"."""
    text = re.sub(r"  TAKE (.*)", lambda found: _taken(found[1].split()), TEXT)
    text = re.sub(r"PLACE\((\w+)\)", lambda found: str(PLACES.index(found[1])), text)
    widen = "fpext" if kind == "float" else "bitcast"  # float64 stays what it is
    return barrier(current()) + text.replace("WIDEN", widen).replace("KIND", kind)


def _taken(names: Sequence[str]) -> str:
    """Where some of the numbers are, and what they are."""
    lines = []
    for name in names:
        place = PLACES.index(name)
        lines.append(f"  %{name}.at = getelementptr i64, ptr %numbers, i64 {place}")
        lines.append(f"  %{name} = load {NUMBERS[name]}, ptr %{name}.at")
    return "\n".join(lines)


@functools.cache
def _native(kind: str) -> Callable[..., None]:
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    prototype = ctypes.CFUNCTYPE(None, pointer, number, number, pointer)
    return native(f"epochs_{kind}", lambda: render_epochs(kind), prototype)


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
            Its generator is known.
        objective: makes losses of records.
        patience: says when it ends.

    Returns:
        The losses of the epochs that were run.
    """
    steps = len(objective.counts)
    losses = np.empty(len(records) // steps)
    table = program.table_for(inputs, [records], len(records))
    numbers = np.zeros((), [(n, "f8" if kind == "double" else "i8") for n, kind in NUMBERS.items()])
    told: dict[str, float] = {
        "run": program.address, "steps": steps, "epochs": len(losses),
        "outputs": objective.outputs, "total": objective.counts.sum(),
        "tol": patience.tol, "patience": min(patience.most, FOR_EVER),
        "best": patience.best, "stalled": patience.stalled,
    }  # fmt: skip
    arrays = {
        "table": table, "records": records, "losses": losses,
        "counts": objective.counts, "rooms": objective.rooms,
    }  # fmt: skip
    told |= {name: array.ctypes.data for name, array in arrays.items()}
    lock: Any = contextlib.nullcontext()
    if orders is not None:
        shuffle, places = orders
        told |= shuffle.told(places)
        lock = shuffle.generator.lock
    for name, value in told.items():
        numbers[name] = value
    function, at = _native(element(records.dtype)), numbers.ctypes.data
    with program.lock, lock:
        program.on_workers(
            lambda *who: function(at, *who),
            len(records),
            taken=lambda: steps * int(numbers["done"]),
        )
    return losses[: int(numbers["done"])]
