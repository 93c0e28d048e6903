"""What a run costs: parameters, operations, time, memory, energy.

Clocks are read when a run begins and ends; operations are counted from the traced steps
when the cost is first asked for.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.core.operations import all_operations
from pellucid.core.program import Computation
from pellucid.core.storage import Cell, storage_size
from pellucid.core.tree import leaves

from .energy import Energy, EnergyMeter

if TYPE_CHECKING:
    from .evaluate import Evaluation
    from .loop import Loop
    from .step import TrainingState

ORIGINS = {
    "compiled": "made now",
    "cache": "from the cache",
    "memory": "ready from before",
    "reference": "on NumPy, nothing to compile",
}
"""Where a program's code was from, the slowest way first."""


@dataclass(frozen=True)
class Memory:
    """Bytes that a run's programs work on.

    Attributes:
        parameters: the model's parameters and other state that steps change, the padding of
            rows included.
        optimizer: what the optimizer remembers, likewise.
        temporaries: room for values on the way, in all programs together.
        data: rows to learn from and to measure on, their orders, and the records of steps.
    """

    parameters: int
    optimizer: int
    temporaries: int
    data: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.parameters + self.optimizer + self.temporaries + self.data


@dataclass(frozen=True, repr=False)
class Cost:
    """What a run cost; its text is a card.

    A run that was resumed from a checkpoint tells what it cost since then.

    Attributes:
        parameters: numbers learned.
        steps: steps taken.
        batch: rows of a step; the last of an epoch may have fewer.
        operations: floating-point operations of all steps, weighed as
            `pellucid.core.operations` says; measuring on validation sets is not counted.
        operations_per_step: those of a step with a whole batch.
        seconds: from the call of `fit` to the end of the last step.
        compile_seconds: of these, making programs ready.
        compiled: where their code was from: "compiled" now, "cache", "memory", "reference".
        run_seconds: of these, in native calls that take steps; shuffling is not in it.
        cpu_seconds: of all threads of this process, meanwhile.
        memory: what the programs work on.
        peak_bytes: the most memory that the whole process has held, since it began; None
            where the system does not tell.
        energy: what all that took.
    """

    parameters: int
    steps: int
    batch: int
    operations: int
    operations_per_step: int
    seconds: float
    compile_seconds: float
    compiled: str
    run_seconds: float
    cpu_seconds: float
    memory: Memory
    peak_bytes: int | None
    energy: Energy

    @property
    def flops_per_second(self) -> float:
        """Floating-point operations in a second of taking steps."""
        return self.operations / self.run_seconds if self.run_seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """All figures by name, as JSON can hold them."""
        return asdict(self) | {"flops_per_second": self.flops_per_second}

    def __str__(self) -> str:
        m, energy = self.memory, self.energy
        rest = max(self.seconds - self.compile_seconds - self.run_seconds, 0.0)
        seconds = [_amount(s, "s") for s in (self.compile_seconds, self.run_seconds, rest)]
        held = [_amount(b, "B") for b in (m.parameters, m.optimizer, m.temporaries, m.data)]
        rows = {
            "parameters": f"{self.parameters:,}",
            "operations": f"{_amount(self.operations, 'FLOP')}: {self.steps:,} steps of "
            f"{self.batch} rows, {_amount(self.operations_per_step, 'FLOP')} each",
            "time": f"{_amount(self.seconds, 's')}: compiling {seconds[0]} "
            f"({ORIGINS[self.compiled]}), steps {seconds[1]}, the rest {seconds[2]}",
            "processors": f"{_amount(self.cpu_seconds, 's')} of processor time",
            "speed": f"{_amount(self.flops_per_second, 'FLOP/s')} in steps",
            "memory": f"{_amount(m.total, 'B')}: parameters {held[0]}, optimizer {held[1]}, "
            f"on the way {held[2]}, data {held[3]}",
            "process": "peak unknown"
            if self.peak_bytes is None
            else f"{_amount(self.peak_bytes, 'B')} at most since it began",
            "energy": f"{_range(energy.low, energy.high, 'J')} "
            f"({_range(energy.low / 3600, energy.high / 3600, 'Wh')}), {energy.method}",
        }
        return "\n".join(f"{name:10}  {text}" for name, text in rows.items())

    __repr__ = __str__


class Bill:
    """A cost that is worked out when it is first asked for: counting is no part of a run.

    Args:
        work_out: gives the cost.
    """

    def __init__(self, work_out: Callable[[], Cost]) -> None:
        self._work_out: Callable[[], Cost] | None = work_out
        self._cost: Cost | None = None

    @property
    def cost(self) -> Cost:
        """The cost; from now on nothing of the steps is kept."""
        if self._cost is None:
            assert self._work_out is not None
            self._cost, self._work_out = self._work_out(), None
        return self._cost

    def __getstate__(self) -> dict[str, Any]:
        return {"_cost": self.cost, "_work_out": None}  # a graph cannot be copied


_LIGHT = 1 << 20
"""Bytes of the optimizer's memory that a graph may keep alive until its operations are counted."""


class Meter:
    """Measures a run, from now on."""

    def __init__(self) -> None:
        self._started, self._processors = time.perf_counter(), time.process_time()
        self._energy = EnergyMeter()

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return time.perf_counter() - self._started

    def look(self) -> None:
        """Called now and then, so that no counter wraps around unseen."""
        self._energy.look()

    def bill(
        self, loop: Loop, state: TrainingState, evaluations: Sequence[Evaluation] = ()
    ) -> Bill:
        """What the run has cost until now.

        Args:
            loop: its steps.
            state: what they change.
            evaluations: what measures on rows besides.
        """
        seconds, cpu_seconds = self.seconds, time.process_time() - self._processors
        programs = [*loop.programs, *(p for e in evaluations for p in e.programs)]
        origins = {p.origin for p in programs}
        measured = {
            "steps": loop.done - loop.begun,
            "batch": loop.batch,
            "seconds": seconds,
            "compile_seconds": sum(p.seconds for p in programs),
            "compiled": next((o for o in ORIGINS if o in origins), "memory"),
            "run_seconds": loop.seconds,
            "cpu_seconds": cpu_seconds,
            "peak_bytes": peak_bytes(),
            "energy": self._energy.total(seconds, cpu_seconds),
        }
        held = {
            "temporaries": sum(p.temporaries for p in programs),
            "data": loop.memory + sum(e.memory for e in evaluations),
        }
        steps = [(loop.step(n).computation, taken) for n, taken in loop.taken().items()]
        optimizer = [t.node.cell for t in leaves(state.memory)]
        bill = Bill(partial(_worked_out, measured, held, optimizer, steps))
        if sum(cell.value.nbytes for cell in optimizer) > _LIGHT:
            bill.cost  # noqa: B018 - now: the graph would keep all that alive
        return bill


def _worked_out(
    measured: dict[str, Any],
    held: dict[str, int],
    optimizer: Sequence[Cell],
    steps: Sequence[tuple[Computation, int]],
) -> Cost:
    """The cost: what was measured, and what can be counted."""
    each = [all_operations(c.results) for c, _ in steps]
    changed = [cell for cell, _ in steps[0][0].updates]
    return Cost(
        parameters=sum(cell.value.size for cell in changed if cell.tracked),
        operations=sum(n * taken for n, (_, taken) in zip(each, steps, strict=True)),
        operations_per_step=each[0],
        memory=Memory(_bytes(set(changed) - set(optimizer)), _bytes(optimizer), **held),
        **measured,
    )


def _bytes(cells: Iterable[Cell]) -> int:
    sizes = ((storage_size(c.value.shape, c.value.dtype), c.value.dtype.itemsize) for c in cells)
    return sum(size * itemsize for size, itemsize in sizes)


def peak_bytes() -> int | None:
    """The most memory that this process has held since it began; None where nobody tells.

    On Linux as the kernel counts it for this program: what `getrusage` says begins with the size of
    the process that started it.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource  # not on every system
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


_PREFIXES = ("n", "µ", "m", "", "k", "M", "G", "T", "P", "E")


def _amount(value: float, unit: str) -> str:
    """Three digits, and a prefix for the thousands."""
    thousands = math.floor(math.log10(value) / 3) if value > 0 else 0
    thousands = min(max(thousands, -3), 6)
    number = value / 1000.0**thousands
    text = f"{number:.3g}" if number < 999.5 else f"{number:.0f}"
    return f"{text} {_PREFIXES[thousands + 3]}{unit}"


def _range(low: float, high: float, unit: str) -> str:
    return " to ".join(_amount(v, unit) for v in dict.fromkeys((low, high)))
