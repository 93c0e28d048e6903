"""The reference interpreter: a graph run by NumPy, one primitive at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .node import Node, evaluate_one, topological


def evaluate(outputs: Sequence[Node], feeds: Mapping[Node, np.ndarray]) -> list[np.ndarray]:
    """Values of the outputs, given those of the placeholders.

    Raises:
        KeyError: a placeholder was given no value.
    """
    every = evaluate_all(outputs, feeds)
    return [every[o] for o in outputs]


def evaluate_all(
    outputs: Sequence[Node], feeds: Mapping[Node, np.ndarray]
) -> dict[Node, np.ndarray]:
    """The value of every node that the outputs need."""
    values: dict[Node, np.ndarray] = {}
    for node in topological(outputs):
        if node in feeds:
            values[node] = feeds[node]
        elif node.value is not None:
            values[node] = node.value
        elif node.name == "placeholder":
            raise KeyError(f"placeholder {node.attr('name')!r} was given no value")
        else:
            inputs = [values[n] for n in node.inputs]
            values[node] = evaluate_one(
                node.primitive, inputs, dict(node.attrs), node.shape, node.dtype
            )
    return values
