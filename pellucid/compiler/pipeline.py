"""Read this first: the compiler, as a list of passes.

A `Computation` is a graph. `simplify` rewrites it by rules; `place` says where
every value lies and makes one kernel per node; `spread` has cheap values computed
where they are read; `fuse` merges kernels whose loops agree; `schedule` settles
order, phases and memory; `render` writes LLVM IR;
`machine` turns that into object code, `code` brings it into memory, and
`CompiledProgram` runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pellucid.core.program import Computation

from .fuse import fuse
from .kernels import Plan, place
from .render import render
from .schedule import schedule
from .simplify import simplify
from .spread import spread
from .target import Target

PASSES: tuple[Callable[[Any], Any], ...] = (simplify, place, spread, fuse, schedule)

Watch = Callable[[str, Any], None]


def lower(computation: Computation, watch: Watch | None = None) -> Plan:
    """The computation through every pass; `watch(name, form)` sees each result."""
    form: Any = computation
    for step in PASSES:
        form = step(form)
        if watch is not None:
            watch(step.__name__, form)
    plan: Plan = form
    return plan


def to_text(
    computation: Computation, target: Target, watch: Watch | None = None
) -> tuple[Plan, str]:
    """The plan, and the LLVM IR that carries it out."""
    plan = lower(computation, watch)
    return plan, render(plan, target)
