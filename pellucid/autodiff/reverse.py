"""Backpropagation: a graph in, a graph with its derivatives out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pellucid.core.node import Node, topological
from pellucid.core.tensor import Tensor, broadcast_to, tensor

from . import recompute


def gradients(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], wanted: Sequence[Tensor]
) -> list[Tensor]:
    """Cotangents of the wanted tensors, from those of the outputs.

    Walks the graph once, from the outputs back. Each node hands its upstream
    gradient, times its local one, to its inputs; a node used several times adds
    what it receives, in the order of the walk.

    Args:
        outputs: tensors to differentiate.
        cotangents: upstream gradient of each output, in its shape.
        wanted: tensors of the graph to differentiate with respect to.

    Returns:
        One tensor per wanted tensor, zeros where no output depends on it.
    """
    received = _received(outputs, cotangents, wanted)
    return [
        received[t.node] if t.node in received else broadcast_to(tensor(0.0, t.dtype), t.shape)
        for t in wanted
    ]


def gradients_of_loss(loss: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients to learn by: those of one number, by parameter name.

    A parameter that acts on the loss only through steps (a threshold, a comparison, a
    count of errors) has the derivative 0 everywhere; learning by it is refused. One
    behind `stop_gradient` is left alone on purpose, and gets zeros, as one that the loss
    does not depend on.

    Args:
        loss: a tensor with one element.
        parameters: by name.

    Returns:
        One gradient per parameter, in its shape.

    Raises:
        ValueError: a parameter is cut off by a step; names all that are.
    """
    one = broadcast_to(tensor(1.0, loss.dtype), loss.shape)
    received = _received([loss], [one], list(parameters.values()))
    lost = {name: t for name, t in parameters.items() if t.node not in received}
    acts = _acting_on(loss.node) if lost else set()
    cut = [name for name, t in lost.items() if t.node in acts]
    if cut:
        raise ValueError(
            f"{', '.join(cut)} cannot learn by gradients: the loss depends on "
            f"{'it' if len(cut) == 1 else 'them'} only through a step or a count, whose "
            "derivative is 0; take a smooth activation (sigmoid, ReLU) or loss (cross-entropy, "
            "hinge) instead"
        )
    return {
        name: received.get(t.node, broadcast_to(tensor(0.0, t.dtype), t.shape))
        for name, t in parameters.items()
    }


def _acting_on(output: Node) -> set[Node]:
    """The nodes that a node depends on other than through `stop_gradient`."""
    order = topological([output])
    acting = {output}
    for node in reversed(order):
        if node in acting and node.name != "stop_gradient":
            acting.update(node.inputs)
    return acting


def _received(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], wanted: Sequence[Tensor]
) -> dict[Node, Tensor]:
    """What reaches the nodes that lead to those wanted; nothing for one that none reaches."""
    targets = {t.node for t in wanted}
    order = topological([t.node for t in outputs])
    leads_to_target: set[Node] = set()
    for node in order:
        if node in targets or any(n in leads_to_target for n in node.inputs):
            leads_to_target.add(node)

    received: dict[Node, Tensor] = {}

    def receive(node: Node, cotangent: Tensor) -> None:
        received[node] = received[node] + cotangent if node in received else cotangent

    for output, cotangent in zip(outputs, cotangents, strict=True):
        if output.node in leads_to_target:
            receive(output.node, cotangent)
    for node in reversed(order):
        if node not in received or node not in leads_to_target:
            continue
        if recompute.is_end(node):
            for source, cotangent in _through_again(node, received[node], leads_to_target):
                receive(source, cotangent)
            continue
        for position, source in enumerate(node.inputs):
            if source in leads_to_target:
                local = _local(node, position, received[node])
                if local is not None:
                    receive(source, local)
    return received


def _through_again(end: Node, upstream: Tensor, wanted: set[Node]) -> list[tuple[Node, Tensor]]:
    """What a checkpointed piece hands to the values that it is computed from, by a second copy."""
    output, entries = recompute.again(end, upstream)
    asked = {source: entry for source, entry in entries.items() if source in wanted}
    found = _received([output], [upstream], list(asked.values()))
    return [(source, found[e.node]) for source, e in asked.items() if e.node in found]


def _local(node: Node, position: int, upstream: Tensor) -> Tensor | None:
    """What a node hands to one of its inputs."""
    rules = node.primitive.vjp
    if rules is None:
        return None
    rule = rules(position) if callable(rules) else rules[position]
    if rule is None:
        return None
    result: Tensor | None = rule(
        upstream, Tensor(node), *map(Tensor, node.inputs), **dict(node.attrs)
    )
    return result


def backward(self: Tensor) -> None:
    """Add the gradient of this one number to `grad` of every parameter behind it.

    Raises:
        ValueError: the tensor is not a single number, no parameter leads to it, or one
            leads to it only through steps, whose derivative is 0.

    Example:
        >>> import pellucid as pe
        >>> w = pe.parameter([1.0, 2.0])
        >>> (w * w).sum().backward()
        >>> w.grad
        array([2., 4.], dtype=float32)
    """
    if self.size != 1:
        raise ValueError(
            f"backward starts from a single number, received shape {self.shape}; "
            "take a sum or a mean first"
        )
    parameters = [
        Tensor(n) for n in topological([self.node]) if n.cell is not None and n.cell.tracked
    ]
    if not parameters:
        raise ValueError("no parameter leads to this tensor; make one with pe.parameter")
    named = {f"parameter {i} {p.shape}": p for i, p in enumerate(parameters)}
    found = gradients_of_loss(self, named)
    for name, gradient in found.items():
        cell = named[name].node.cell
        assert cell is not None
        value = np.array(gradient.numpy())
        cell.grad = value if cell.grad is None else cell.grad + value


Tensor.backward = backward  # the method's home is here: core knows no derivatives
