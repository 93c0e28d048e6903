"""The form of a kernel: all that its text depends on.

Deep networks repeat their layers: kernels of one form are one function, and it is written once.
So a form must hold whatever a writer looks at; what it leaves out is which nodes and buffers
they are, beyond numbers in the order in which they are met.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.node import Node

from .kernels import Kernel, Plan
from .views import Buffer, View

Form = tuple[Any, ...]


def form_of(plan: Plan, kernel: Kernel) -> tuple[Form, list[Buffer]]:
    """The form of a kernel within its plan, and the buffers that stand behind its numbers."""
    numbers: dict[Buffer, int] = {plan.desks: 0}

    def seen(view: View | None) -> Form | None:
        if view is None:
            return None
        number = numbers.setdefault(view.buffer, len(numbers))
        return number, view.offset, view.shape, view.strides

    def node_form(node: Node) -> Form:
        operands = tuple(
            (x.shape, x.dtype, seen(plan.operand(node, i))) for i, x in enumerate(node.inputs)
        )
        whole = node.name, repr(node.attrs), node.shape, node.dtype
        return *whole, operands, seen(plan.views[node])

    places = {node: i for i, node in enumerate(kernel.nodes)}
    form = (
        kernel.kind,
        kernel.domain,
        kernel not in plan.serial,
        tuple(node_form(node) for node in kernel.nodes),
        tuple(places[root] for root in kernel.roots),
        tuple((seen(store.source), seen(store.target)) for store in kernel.stores),
        kernel.blocks,
        kernel.bound,
        seen(plan.count.whole()) if plan.count and kernel.bound else None,
        seen(kernel.scratch.whole()) if kernel.scratch else None,
        tuple(seen(buffer.whole()) for buffer in kernel.claims),
        tuple(seen(buffer.whole()) for buffer in kernel.ahead),
    )
    buffers = list(numbers)
    return (*form, *(_memory_form(buffer, places) for buffer in buffers)), buffers


def _memory_form(buffer: Buffer, places: dict[Node, int]) -> Form:
    """What is known of a buffer; of a number its bits, as 0 and -0 are equal and NaN is not."""
    bits = None if buffer.literal is None else np.asarray(buffer.literal).tobytes()
    owner = buffer.owner
    held = None if owner is None else (places.get(owner), owner.shape)
    laid_out = buffer.shape, buffer.dtype, buffer.strides, buffer.frame
    return buffer.role, *laid_out, buffer.stepped, bits, held
