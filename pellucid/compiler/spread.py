"""Cheap values are computed again where they are read, instead of being stored for others.

A large value costs a write and a read from each reader; a few additions and products cost
nothing beside that. A value is *light* where it is made by cheap operations from at most
two large values that lie in memory anyway. What can follow a contraction or a reduction
in its own kernel is left there.
"""

from __future__ import annotations

import math
from collections import defaultdict

from pellucid.core.node import Node

from .fuse import follows, is_legal
from .kernels import Kernel, Plan
from .views import Buffer

CHEAP = {
    "add", "subtract", "multiply", "negative", "absolute", "relu", "maximum", "where", "cast",
    "less", "less_equal", "equal", "logical_and", "logical_or", "logical_not", "iota",
}  # fmt: skip

LARGE, SOME = 1 << 12, 1 << 8
"""Elements from which a value is worth the trouble, and from which one is that takes no other of
its size."""

MOST_LEAVES, MOST_OPERATIONS = 2, 12


def spread(plan: Plan) -> Plan:
    """Copy light values into the kernels that read them, the last made first."""
    readers: dict[Buffer, set[Kernel]] = defaultdict(set)
    for kernel in plan.kernels:
        for read in plan.reads(kernel):
            readers[read.view.buffer].add(kernel)
    for kernel in reversed(_light(plan, readers)):
        (node,) = kernel.nodes
        own = readers[plan.views[node].buffer]
        grown = {reader: _with(kernel, reader) for reader in own}
        if not own or not all(
            follows(kernel, reader) and is_legal(plan, grown[reader]) for reader in own
        ):
            continue
        plan.kernels.remove(kernel)
        reads = {read.view.buffer for read in plan.reads(kernel)}
        for reader in own:
            reader.nodes = grown[reader].nodes
        for buffer in reads:
            readers[buffer] = (readers[buffer] | own) - {kernel}
    return plan


def _with(light: Kernel, reader: Kernel) -> Kernel:
    """The reader, computing the light value itself."""
    more = [n for n in light.nodes if n not in reader.nodes]
    return Kernel(reader.kind, reader.domain, more + reader.nodes, reader.roots, reader.stores)


def _light(plan: Plan, readers: dict[Buffer, set[Kernel]]) -> list[Kernel]:
    """Kernels of light values, in the order of the plan."""
    carried: set[Node] = set()  # what follows a contraction or a reduction in its kernel
    leaves: dict[Node, frozenset[Buffer]] = {}
    costs: dict[Node, int] = {}
    found = []
    for kernel in plan.kernels:
        if kernel.roots:
            carried.update(kernel.roots)
        if kernel.kind != "map" or len(kernel.nodes) != 1 or kernel.stores:
            continue
        (node,) = kernel.nodes
        size, cost, own = math.prod(node.shape), 1, frozenset[Buffer]()
        for read in plan.reads(kernel):
            buffer = read.view.buffer
            if buffer.role == "literal" or math.prod(read.view.shape) < size:
                continue
            source = buffer.owner
            if source in carried and len(readers[buffer]) == 1:
                carried.add(node)
            if source in leaves:
                own, cost = own | leaves[source], cost + costs[source]
            elif math.prod(buffer.shape) * 2 > size:
                own |= {buffer}
        few = len(own) <= MOST_LEAVES and cost <= MOST_OPERATIONS
        worthy = size >= (LARGE if own else SOME)
        if node.name in CHEAP and worthy and node not in carried and few:
            leaves[node], costs[node] = own, cost
            found.append(kernel)
    return found
