"""`compile`: any function of tensors as machine code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.core.node import Node, is_tracing, placeholder, topological, tracing
from pellucid.core.program import Computation
from pellucid.core.tensor import Tensor, as_array, tensor
from pellucid.core.tree import leaves, rebuild

from .program import program


def compile(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, made when it is first called with arguments of a shape.

    The function is traced once for each combination of shapes and dtypes: it must
    consist of the library's operations, and what Python decides in it is decided
    then. Parameters that it reads from outside are read anew at each call.

    Args:
        f: function of tensors, or of lists, tuples and dictionaries of them, that
            returns a tensor or such a tree.

    Returns:
        Function with the arguments of f, given as tensors, arrays or numbers.

    Example:
        >>> import pellucid as pe
        >>> f = pe.compile(lambda x, y: pe.sqrt(x * x + y * y))
        >>> f(3.0, 4.0).item()
        5.0
    """
    programs: dict[Any, Any] = {}

    @functools.wraps(f)
    def run(*args: Any) -> Any:
        given = leaves(args)
        if is_tracing() or any(isinstance(a, Tensor) and _is_followed(a.node) for a in given):
            return f(*args)
        arrays = [np.ascontiguousarray(_array(a)).reshape(np.shape(_array(a))) for a in given]
        key = (_form(args), tuple((a.shape, a.dtype.str) for a in arrays))
        if key not in programs:
            programs[key] = _trace(f, args, arrays)
        made, result = programs[key]
        if made is None:
            return f(*args)
        outputs = [np.empty(n.shape, n.dtype) for n in made.computation.outputs]
        made.run(arrays, outputs)
        return rebuild(result, [tensor(o) for o in outputs])

    return run


def _is_followed(node: Node) -> bool:
    """It stands for a value, or a derivative is taken by it: both need the graph."""
    return node.value is None or (node.tracked and node.cell is None)


def _array(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else as_array(value)


def _form(tree: Any) -> Any:
    """The form of a tree, without its leaves, as something that can be a key."""
    if isinstance(tree, dict):
        return ("dict", *((k, _form(v)) for k, v in tree.items()))
    if isinstance(tree, list | tuple):
        return (type(tree).__name__, *map(_form, tree))
    return tree is None


def _trace(f: Callable[..., Any], args: Any, arrays: list[np.ndarray]) -> tuple[Any, Any]:
    inputs = [Tensor(placeholder(a.shape, a.dtype, f"argument {i}")) for i, a in enumerate(arrays)]
    with tracing():
        result = f(*rebuild(args, list(inputs)))
        outputs = [tensor(o) for o in leaves(result)]
    computation = Computation(tuple(t.node for t in inputs), tuple(o.node for o in outputs))
    known = [n for n in topological(computation.outputs) if n.value is not None]
    if any(_is_followed(n) for n in known):  # of a value from outside that a derivative is taken by
        return None, None
    return program(computation), result
