"""Order and memory: which kernels run when, who waits for whom, and where values lie.

Kernels are grouped into phases. Within a phase every worker runs its share of
each kernel without waiting; between phases workers meet. A kernel too small to
share runs on the first worker alone, and such kernels may follow each other
within a phase.
"""

from __future__ import annotations

import math
from collections import defaultdict

from pellucid.core.storage import ALIGNMENT, storage_size

from . import winograd
from .claim import find_claims
from .desk import tables_of
from .kernels import Kernel, Plan
from .live import bound_rows
from .tiles import depth_of, terms
from .views import Buffer, temporary

SHARED_FROM = 20_000
"""Operations from which sharing a kernel pays for the meeting after it."""


def work(kernel: Kernel) -> float:
    """Roughly how many operations a kernel performs on single elements."""
    elements = math.prod(kernel.domain)
    per_element = sum(8 if node.name in SLOW else 1 for node in kernel.nodes) + len(kernel.stores)
    if kernel.kind == "contract":
        assert kernel.root is not None
        depth = terms(kernel.root)
        lanes = -(-kernel.domain[-1] // 16) * 16 if kernel.domain else 16
        return elements / max(kernel.domain[-1] if kernel.domain else 1, 1) * lanes * depth * 2
    if kernel.kind == "random":
        return elements * 8
    return elements * per_element


SLOW = {
    "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf", "power", "divide",
    "sqrt", "gather",
}  # fmt: skip


MOSTLY = 0.4
"""Share of zeros in a value from which they are kept rather than stored anew."""

BLOCK = 1 << 19
"""Bytes of both operands that a contraction should work on at a time: part of a core's cache."""


def schedule(plan: Plan) -> Plan:
    """Settle blocks and phases, what workers take back, then memory."""
    _keep_backgrounds(plan)
    for kernel in plan.kernels:
        if kernel.root is not None and kernel.root.name in winograd.WRITERS:
            _give_desk(plan, kernel)
        elif kernel.kind == "contract":
            _cut_depth(plan, kernel)
    bound_rows(plan)
    plan.serial = {k for k in plan.kernels if work(k) < SHARED_FROM or not _can_be_shared(k)}
    plan.phases = _phases(plan)
    find_claims(plan)
    _allocate(plan)
    return plan


def _keep_backgrounds(plan: Plan) -> None:
    """Zeros around a value stay from step to step, where nobody else is given their place.

    Memory begins as zeros. What is kept costs memory: only what is small, or zeros for the most.
    """
    zeros: dict[Buffer, list[Kernel]] = defaultdict(list)
    for kernel in plan.kernels:
        if not kernel.nodes and [store.source for store in kernel.stores] == [None]:
            zeros[kernel.stores[0].target.buffer].append(kernel)
    filling = {kernel for kernels in zeros.values() for kernel in kernels}
    used = {b for k in plan.kernels if k not in filling for b in k.reads | k.writes}
    for buffer, kernels in zeros.items():
        share = sum(math.prod(kernel.domain) for kernel in kernels) / max(
            math.prod(buffer.shape), 1
        )
        if buffer.role == "temporary" and (share > MOSTLY or _bytes(buffer) <= BLOCK):
            if buffer in used:  # else the value within never leaves its kernel
                plan.kept.append(buffer)
            for kernel in kernels:
                plan.remove(kernel)


def _cut_depth(plan: Plan, kernel: Kernel) -> None:
    """A long walk that every tile repeats is cut: all tiles walk one block, then the next."""
    root = kernel.root
    assert root is not None
    left, right = plan.operand(root, 0), plan.operand(root, 1)
    if 0 in root.shape:
        return
    operands = sum(_bytes(buffer) for buffer in {left.buffer, right.buffer})
    scratch = temporary((math.prod(root.shape[:-1]), -(-root.shape[-1] // 16) * 16), root.dtype)
    if operands < 2 * BLOCK or 4 * _bytes(scratch) > operands:
        return
    kernel.blocks = min(depth_of(root, left, right)[0].length, -(-operands // BLOCK))
    kernel.scratch = scratch
    kernel.writes.add(scratch)


def _give_desk(plan: Plan, kernel: Kernel) -> None:
    """Each worker's own memory is as large as the largest that a kernel asks for."""
    assert kernel.root is not None
    size = sum(table.size for table in tables_of(kernel.root))
    size *= kernel.root.dtype.itemsize
    if size:
        plan.desk = max(plan.desk, -(-size // ALIGNMENT) * ALIGNMENT)
        kernel.writes.add(plan.desks)


def _can_be_shared(kernel: Kernel) -> bool:
    """A scatter goes in order; a reduction to a single number has nothing to divide."""
    if kernel.kind == "scatter" or not kernel.domain:
        return False
    return not (kernel.reduces_lanes and not kernel.outer)


def _phases(plan: Plan) -> list[list[Kernel]]:
    """As few phases as the dependencies allow, taking kernels in their given order."""
    waiting = list(plan.kernels)
    done: set[Kernel] = set()
    phases = []
    while waiting:
        phase: list[Kernel] = []
        members: set[Kernel] = set()
        progress = True
        while progress:
            progress = False
            for kernel in waiting:
                fresh = plan.before[kernel] - done
                if fresh <= members and all(
                    k in plan.serial and kernel in plan.serial for k in fresh
                ):
                    phase.append(kernel)
                    members.add(kernel)
                    progress = True
            waiting = [k for k in waiting if k not in members]
        if not phase:
            raise AssertionError(f"kernels wait for each other: {[k.nodes for k in waiting]}")
        done |= members
        phases.append(phase)
    return _delayed(plan, phases)


def _delayed(plan: Plan, phases: list[list[Kernel]]) -> list[list[Kernel]]:
    """What waits for nobody is done just before it is needed, so that it fills memory late."""
    when = {k: i for i, phase in enumerate(phases) for k in phase}
    for kernel in [k for k in phases[0] if not plan.before[k]] if phases else []:
        needed = min((when[k] for k in plan.after[kernel]), default=0)
        if needed > 1:
            phases[0].remove(kernel)
            phases[needed - 1].append(kernel)
    return [phase for phase in phases if phase]


def _allocate(plan: Plan) -> None:
    """Give each temporary a place; those not alive in the same phase may share it.

    Where zeros are kept comes first, and is not shared.
    """
    alive: dict[Buffer, tuple[int, int]] = {}
    single = all(k in plan.serial for k in plan.kernels)
    when = 0
    for phase in plan.phases:
        for kernel in phase:
            for buffer in kernel.reads | kernel.writes:
                if buffer.role == "temporary":
                    first, _ = alive.get(buffer, (when, when))
                    alive[buffer] = (first, when)
            if single:  # nobody else is at work: each kernel is a phase of its own
                when += 1
        when += 1
    for buffer in plan.kept:
        del alive[buffer]
        plan.offsets[buffer] = plan.zeros
        plan.zeros += _bytes(buffer)
    plan.memory = plan.zeros
    placed: list[tuple[int, int, Buffer]] = []
    order = {b: i for i, b in enumerate(alive)}
    for buffer in sorted(alive, key=lambda b: (-_bytes(b), alive[b], order[b])):
        first, last = alive[buffer]
        size, at = _bytes(buffer), plan.zeros
        for start, end, other in sorted(placed, key=lambda p: p[0]):
            if alive[other][0] <= last and first <= alive[other][1]:
                if at + size <= start:
                    break
                at = max(at, end)
        placed.append((at, at + size, buffer))
        plan.offsets[buffer] = at
        plan.memory = max(plan.memory, at + size)


def _bytes(buffer: Buffer) -> int:
    itemsize = buffer.dtype.itemsize
    packed = math.prod(buffer.shape) + 16
    size = max(storage_size(buffer.shape, buffer.dtype), packed) * itemsize
    return -(-size // ALIGNMENT) * ALIGNMENT
