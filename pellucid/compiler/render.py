"""The whole program as LLVM IR text: kernels, the loop over steps, meetings of workers."""

from __future__ import annotations

from typing import NamedTuple

from . import winograd
from .across import Across
from .barrier import barrier
from .blocked import Blocked
from .contract import Contraction
from .forms import Form, form_of
from .ir import Writer, fitting
from .kernels import Kernel, Plan
from .memory import memory_type
from .nest import Nest
from .short import ShortRows
from .special import write_random, write_scatter
from .target import Target
from .views import Buffer


class Call(NamedTuple):
    """A kernel's function, and where in the table of addresses those of its buffers begin.

    Attributes:
        name: of the function; kernels that differ in nothing but their buffers share it.
        first: place of the first address.
    """

    name: str
    first: int


def render(plan: Plan, target: Target) -> str:
    """The program's module."""
    parts, calls = _functions(plan, target)
    return "\n".join([*parts, barrier(target), _run(plan, calls)])


def render_apart(plan: Plan, target: Target) -> str:
    """A module in which each kernel can be called alone, to measure it.

    `kernel0(table, worker, workers)` and so on, in the order of the phases, at the first step.
    """
    parts, calls = _functions(plan, target)
    for number, call in enumerate(calls.values()):
        w = Writer()
        _call(w, call, "0")
        head = f"define void @kernel{number}(ptr %table, i64 %worker, i64 %workers) {{"
        parts.append("\n".join([head, "entry:", *w.lines, "  ret void", "}"]))
    return "\n".join(parts)


def _functions(plan: Plan, target: Target) -> tuple[list[str], dict[Kernel, Call]]:
    """Declarations and functions of the kernels, and how each kernel is called.

    Settles the program's table of addresses: those of each kernel's buffers, in turn.
    """
    declarations: set[str] = set()
    functions: dict[str, str] = {}
    known: dict[Form, tuple[str, list[int]]] = {}  # name, and which of the form's buffers it takes
    calls: dict[Kernel, Call] = {}
    plan.table = []
    for kernel in (k for phase in plan.phases for k in phase):
        form, buffers = form_of(plan, kernel)
        if form not in known:
            text, taken = _kernel(plan, kernel, target, declarations)
            name = functions.setdefault(text, f"k{len(functions)}")
            known[form] = name, [buffers.index(b) for b in taken]
        name, numbers = known[form]
        calls[kernel] = Call(name, len(plan.table))
        plan.table += [buffers[n] for n in numbers]
    parts = [f"define internal void @{name}{text}" for text, name in functions.items()]
    return [*sorted(declarations), *parts], calls


def _kernel(
    plan: Plan, kernel: Kernel, target: Target, declarations: set[str]
) -> tuple[str, tuple[Buffer, ...]]:
    """A kernel's function without its name, and the buffers whose addresses it is given."""
    w = Writer()
    shared = kernel not in plan.serial
    if kernel.kind in ("map", "reduce"):
        nest = (ShortRows if ShortRows.fits(plan, kernel) else Nest)(w, plan, kernel, shared)
        nest.write()
        pointers = nest.body.pointers
    elif kernel.kind == "contract":
        contraction = _contraction(w, plan, kernel, target)
        contraction.write()
        pointers = contraction.body.pointers
    elif kernel.kind == "random":
        pointers = write_random(w, plan, kernel, shared)
    else:
        pointers = write_scatter(w, plan, kernel)
    declarations |= w.declarations
    head = "(ptr %addresses, i64 %step, i64 %worker, i64 %workers) {"
    lines = [head, "entry:", *_addresses(pointers), *w.lines, "  ret void", "}"]
    return "\n".join(lines), tuple(pointers)


def _contraction(
    w: Writer, plan: Plan, kernel: Kernel, target: Target
) -> Contraction | winograd.Writing:
    """What writes a contraction: the way that suits its shape."""
    root, shared = kernel.root, kernel not in plan.serial
    assert root is not None
    size, columns = root.dtype.itemsize, root.shape[-1] if root.shape else 1
    whole = target.tile_registers(size)
    if Across.fits(plan, kernel, whole):
        return Across(w, plan, kernel, shared, whole)
    writer = winograd.WRITERS.get(root.name, Blocked if kernel.blocks else Contraction)
    return writer(w, plan, kernel, shared, target.tile_registers(size, fitting(columns)))


def _addresses(pointers: dict[Buffer, str]) -> list[str]:
    """Load the addresses of a kernel's buffers, moved on to this step's entry."""
    lines = []
    for number, (buffer, name) in enumerate(pointers.items()):
        base = f"{name}.first" if buffer.stepped else name
        lines.append(f"  {name}.at = getelementptr ptr, ptr %addresses, i64 {number}")
        lines.append(f"  {base} = load ptr, ptr {name}.at")
        if buffer.stepped:
            kind = memory_type(buffer.dtype)
            lines.append(f"  {name}.moved = mul i64 %step, {buffer.step_size}")
            lines.append(f"  {name} = getelementptr {kind}, ptr {base}, i64 {name}.moved")
    return lines


def _call(w: Writer, call: Call, step: str) -> None:
    """Say where the addresses of its buffers are, and call."""
    at = w.let(f"getelementptr ptr, ptr %table, i64 {call.first}")
    w.line(f"call void @{call.name}(ptr {at}, i64 {step}, i64 %worker, i64 %workers)")


def _run(plan: Plan, calls: dict[Kernel, Call]) -> str:
    """`run(table, worker, workers, first, end, meeting)`: steps from one to another, in phases."""
    w = Writer()
    leads = w.let("icmp eq i64 %worker, 0")
    with w.loop("%first", "%end") as loop:
        for phase in plan.phases:
            w.line("call void @meet(ptr %meeting, i64 %workers)")
            for kernel in phase:
                if kernel not in plan.serial:
                    _call(w, calls[kernel], loop.index)
            alone = [k for k in phase if k in plan.serial]
            if alone:
                with w.when(leads):
                    for kernel in alone:
                        _call(w, calls[kernel], loop.index)
    head = (
        "define void @run(ptr %table, i64 %worker, i64 %workers, i64 %first, i64 %end, "
        "ptr %meeting) {"
    )
    return "\n".join([head, "entry:", *w.lines, "  ret void", "}"])
