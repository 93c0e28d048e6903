"""Fusion: merge kernels whose loops agree, so that values pass in registers.

Fusing never changes a value's bits: each operation is rounded alike inside and
outside a merged kernel, and the order of a reduction depends on shapes alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pellucid.core.node import Node

from .kernels import Kernel, Plan, Store, made_in
from .views import Buffer, refines

SMALL_EPILOGUE = 4
"""A reduction along the lanes leaves one number per row; what follows is fused only if
so few rows are left, otherwise 16 rows at a time do better in a kernel of their own (only rows of
at most 16 elements are reduced so many at a time: see `short`)."""

_PREFERENCE = {"contract": 0, "reduce": 1, "map": 2, "random": 3, "scatter": 3}


def fuse(plan: Plan) -> Plan:
    """Merge each kernel with those before it, nearest first, as long as any fits."""
    link(plan)
    position = {k: i for i, k in enumerate(plan.kernels)}
    for kernel in list(plan.kernels):
        consumer = kernel if kernel in plan.before else None  # else it is taken in already
        while consumer is not None:
            current = consumer
            producers = sorted(
                plan.before[current], key=lambda k: (_PREFERENCE[k.kind], -position[k])
            )
            consumer = next(
                (m for p in producers if (m := merge(plan, p, current)) is not None), None
            )
            if consumer is not None:
                position[consumer] = position[current]
    join_siblings(plan)
    settle(plan)
    return plan


def join_siblings(plan: Plan) -> None:
    """Reductions of the same loops that meet the same values meet them once."""
    alike: dict[Any, dict[Kernel, set[Buffer]]] = defaultdict(dict)
    for kernel in list(plan.kernels):
        if kernel.kind != "reduce":
            continue
        others, joined = alike[kernel.domain, kernel.reduced_axes], kernel
        walked = _walked(plan, joined)
        for other, seen in list(others.items()):
            if seen & walked:
                found = merge(plan, other, joined, siblings=True)
                if found is not None:
                    del others[other]
                    joined, walked = found, _walked(plan, found)
        others[joined] = walked


def _walked(plan: Plan, kernel: Kernel) -> set[Buffer]:
    """What a reduction reads, or makes, with all of its loops."""
    large = math.prod(kernel.domain)
    made = [plan.views[n] for n in kernel.nodes]
    views = [*(read.view for read in plan.reads(kernel)), *made]
    return {view.buffer for view in views if math.prod(view.shape) == large}


def link(plan: Plan) -> None:
    """Writers before readers; readers of a cell before its update."""
    writers: dict[Buffer, list[Kernel]] = defaultdict(list)
    readers: dict[Buffer, list[Kernel]] = defaultdict(list)
    for kernel in plan.kernels:
        plan.before[kernel], plan.after[kernel] = set(), set()
        for node in kernel.nodes:
            writers[plan.views[node].buffer].append(kernel)
        for store in kernel.stores:
            writers[store.target.buffer].append(kernel)
        for read in plan.reads(kernel):
            readers[read.view.buffer].append(kernel)

    def precede(first: Kernel, second: Kernel) -> None:
        if first is not second:
            plan.before[second].add(first)
            plan.after[first].add(second)

    for buffer, sources in writers.items():
        for reader in readers[buffer]:
            if buffer.role != "cell" and reader in sources:
                continue  # it computes the value itself
            for writer in sources:
                if buffer.role == "cell":
                    precede(reader, writer)
                else:
                    precede(writer, reader)
        if buffer.role == "temporary":  # the background of a pad, the base of a scatter
            for i, first in enumerate(sources):
                if first.stores and first.stores[0].target.is_whole():
                    for later in sources[i + 1 :]:
                        precede(first, later)


def merge(
    plan: Plan, producer: Kernel, consumer: Kernel, *, siblings: bool = False
) -> Kernel | None:
    """The two as one kernel, if their loops agree and nothing stands between them.

    Args:
        plan: changed where they merge.
        producer, consumer: two kernels; the second does not come before the first.
        siblings: they are reductions over the same axes. Either may read what the other makes
            inside the loops; what it is reduced to is not known there, and `is_legal` refuses it.
    """
    if not siblings and not _loops_agree(producer, consumer):
        return None
    leader = producer if producer.roots else consumer
    if not leader.roots and len(producer.domain) > len(consumer.domain):
        leader = producer  # the finer loops
    result = Kernel(
        leader.kind,
        leader.domain,
        producer.nodes + consumer.nodes,
        producer.roots + consumer.roots if siblings else leader.roots,
        producer.stores + consumer.stores,
    )
    if not is_legal(plan, result) or _is_reached_otherwise(plan, producer, consumer):
        return None
    if siblings and _is_reached_otherwise(plan, consumer, producer):
        return None
    result.nodes = _in_order(plan, result.nodes)
    old = {producer, consumer}
    plan.before[result] = (plan.before[producer] | plan.before[consumer]) - old
    plan.after[result] = (plan.after[producer] | plan.after[consumer]) - old
    for k in plan.before[result]:
        plan.after[k] = (plan.after[k] - old) | {result}
    for k in plan.after[result]:
        plan.before[k] = (plan.before[k] - old) | {result}
    for k in old:
        del plan.before[k], plan.after[k]
    plan.kernels[plan.kernels.index(consumer)] = result
    plan.kernels.remove(producer)
    return result


def _in_order(plan: Plan, nodes: list[Node]) -> list[Node]:
    """Each node once, after those that it reads.

    What one of two kernels read from memory the other may have computed for itself (`spread`).
    """
    own, found = set(nodes), dict[Node, None]()

    def add(node: Node) -> None:
        for position in range(len(node.inputs)):
            owner = plan.operand(node, position).buffer.owner
            if owner in own and owner not in found:
                add(owner)
        found[node] = None

    for node in nodes:
        if node not in found:
            add(node)
    return list(found)


def follows(producer: Kernel, consumer: Kernel) -> bool:
    """The consumer's loops pass through the producer's value."""
    return _loops_agree(producer, consumer) and (
        bool(consumer.roots) or len(producer.domain) <= len(consumer.domain)
    )


def _loops_agree(p: Kernel, c: Kernel) -> bool:
    kinds = {p.kind, c.kind}
    if "random" in kinds or "scatter" in kinds or (p.roots and c.roots):
        return False
    if kinds == {"map"}:
        return refines(p.domain, c.domain) or refines(c.domain, p.domain)
    leader, other = (p, c) if p.roots else (c, p)
    if leader.kind == "contract":
        return refines(leader.domain, other.domain)
    if leader.domain == leader.outer:
        return False
    few = not leader.reduces_lanes or math.prod(leader.outer) <= SMALL_EPILOGUE
    return leader.passes(other.domain) or (refines(leader.outer, other.domain) and few)


def is_legal(plan: Plan, kernel: Kernel) -> bool:
    """Own values are read where they are made; a cell is read where it is changed."""
    written: dict[Buffer, list[Store]] = defaultdict(list)
    for store in kernel.stores:
        written[store.target.buffer].append(store)
    own = set(kernel.nodes)
    for read in plan.reads(kernel):
        is_own = read.view.buffer.owner in own
        by_number = read.node is not None and read.node.name == "gather"  # always from memory
        if is_own and (by_number or made_in(kernel, read.view, read.section) is None):
            return False
        for store in written.get(read.view.buffer, ()):
            at_place = (
                not by_number
                and read.view.buffer.role == "cell"
                and read.view.squeezed() == store.target.squeezed()
                and read.section == kernel.store_section(store)
            )
            if not at_place:
                return False
    return all(
        store.source is not None or len(stores) == 1
        for stores in written.values()
        for store in stores
    )


def _is_reached_otherwise(plan: Plan, start: Kernel, goal: Kernel) -> bool:
    """Whether a path through a third kernel leads from start to goal.

    It is looked for from both ends in turn: the shorter search decides.
    """
    forward, backward = _walk(plan.after, start, goal), _walk(plan.before, goal, start)
    return any(a or b for a, b in zip(forward, backward, strict=False))


def _walk(near: dict[Kernel, set[Kernel]], start: Kernel, goal: Kernel) -> Iterator[bool]:
    """Each step on the way from the start, but for the direct one: does it reach the goal?"""
    stack = [k for k in near[start] if k is not goal]
    seen = set(stack)
    while stack:
        for following in near[stack.pop()]:
            yield following is goal
            if following not in seen:
                seen.add(following)
                stack.append(following)


def settle(plan: Plan) -> None:
    """Values that another kernel reads are stored; reads and writes become final."""
    needed: set[Buffer] = set()
    for kernel in plan.kernels:
        kernel.reads = {
            read.view.buffer
            for read in plan.reads(kernel)
            if read.view.buffer.role != "literal"
            and made_in(kernel, read.view, read.section) is None
        }
        needed |= kernel.reads
    for kernel in plan.kernels:
        for node in kernel.nodes:
            whole = plan.views[node]
            if whole.buffer in needed:
                kernel.stores.append(Store(whole, whole))
        kernel.writes = {store.target.buffer for store in kernel.stores}
