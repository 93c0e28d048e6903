"""Checkpoints: pieces of a graph that are computed again in the backward pass, not kept for it.

The end of a piece is an `alias` that remembers where the piece begins. Backpropagation
that comes to it makes a second copy of the piece, from its inputs, and goes back through
that one (see `reverse`). The copy waits for the gradient that asks for it, so that what
the first one computed in between is not needed any more.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from pellucid.core.node import Node, make, topological, unique_number
from pellucid.core.tensor import Tensor, apply, maximum, reshape, tensor, where

_starts: weakref.WeakKeyDictionary[Node, tuple[Node, ...]] = weakref.WeakKeyDictionary()


def checkpoint(f: Callable[..., Any], *inputs: Any) -> Tensor:
    """f(*inputs), whose intermediate values are computed again when gradients need them.

    A deep network keeps the values of all its layers for the backward pass. With a
    checkpoint around each block only the blocks' inputs are kept, for one more forward
    pass in all; values and gradients are the same to the bit.

    Args:
        f: function of tensors that returns a tensor; what it reads besides its inputs, such
            as parameters, is differentiated too.
        inputs: tensors or arrays.

    Returns:
        What f returns. In eager mode, where every value is kept, nothing is gained.

    Example:
        >>> import pellucid as pe
        >>> f = lambda x: pe.checkpoint(lambda v: pe.exp(pe.sin(v)), x).sum()
        >>> pe.grad(f)(pe.tensor([0.0, 1.0]))
        Tensor([1.       , 1.2533808], dtype=float32)

    Source: Chen, Xu, Zhang, Guestrin: Training deep nets with sublinear memory cost (2016).
    """
    given = tuple(tensor(x) for x in inputs)
    result = f(*given)
    if not isinstance(result, Tensor):
        raise TypeError(
            f"a checkpoint needs a function that returns one tensor, received "
            f"{type(result).__name__}"
        )
    end = make("alias", (result.node,), number=unique_number())
    if end.inputs:  # else nothing in it can be differentiated
        _starts[end] = tuple(t.node for t in given)
    return Tensor(end)


def is_end(node: Node) -> bool:
    """Whether a checkpointed piece ends here."""
    return node in _starts


def again(end: Node, upstream: Tensor) -> tuple[Tensor, dict[Node, Tensor]]:
    """A second copy of the piece that ends here, to be computed once a gradient is known.

    Args:
        end: the end of a piece.
        upstream: the gradient that has come to it.

    Returns:
        The result of the copy; and for each value that the piece is computed from, where it
        enters the copy.
    """
    (result,), starts = end.inputs, frozenset(_starts[end])
    order = topological([result], starts)
    inside = set(starts)
    for node in order:
        if any(source in inside for source in node.inputs) and node not in starts:
            inside.add(node)
    entries = {start: _after(Tensor(start), upstream) for start in starts}
    new = {start: entry.node for start, entry in entries.items()}

    def copy_of(source: Node) -> Node:
        if source not in new and source.tracked:  # made outside, and differentiated too
            entries[source] = Tensor(make("alias", (source,), number=unique_number()))
            new[source] = entries[source].node
        return new.get(source, source)

    for node in order:
        if node not in inside or node in starts:
            continue
        new[node] = make(node.name, tuple(map(copy_of, node.inputs)), **dict(node.attrs))
        if node in _starts:  # a checkpoint within this one
            _starts[new[node]] = tuple(map(copy_of, _starts[node]))
    return Tensor(copy_of(result)), entries


def _after(x: Tensor, gradient: Tensor) -> Tensor:
    """x itself, as a node of its own that cannot be known before the gradient is."""
    if x.size == 0 or gradient.size == 0:
        return Tensor(make("alias", (x.node,), number=unique_number()))
    zeros, ones = (0,) * gradient.ndim, (1,) * gradient.ndim
    first = reshape(apply("slice", gradient, start=zeros, stop=ones, step=ones), ())
    return where(first == first, x, maximum(x, x))  # x in either case
