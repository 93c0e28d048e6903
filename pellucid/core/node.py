"""Nodes of the computational graph, and the table of primitives they name.

A node is immutable: a primitive, its inputs, its attributes, and the shape and
dtype that follow. Under a trace equal nodes are one node. Outside a trace a
node also holds its value, computed at once by the primitive's NumPy reference:
that is eager mode.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .storage import Cell

Shape = tuple[int, ...]
Attributes = tuple[tuple[str, Any], ...]

KINDS = (
    "leaf",
    "elementwise",
    "reduction",
    "view",
    "movement",
    "contraction",
    "random",
    "composite",  # the compiler makes other rows of it first
)


@dataclass(frozen=True, slots=True)
class Primitive:
    """One row of the table.

    `rule(*inputs, **attrs)` gives the result's shape and dtype or raises a clear
    error; `reference(*arrays, **attrs)` is the definition, in NumPy; `vjp` holds
    one function per input, `(g, ans, *inputs, **attrs) -> cotangent` on tensors,
    or None where the primitive is not differentiable; `kind` says how the
    compiler lowers it.
    """

    name: str
    kind: str
    rule: Callable[..., tuple[Shape, np.dtype]]
    reference: Callable[..., np.ndarray]
    vjp: tuple[Callable[..., Any] | None, ...] | Callable[..., Any] | None = None


TABLE: dict[str, Primitive] = {}


def define(name: str, kind: str, rule: Any, reference: Any, vjp: Any = None) -> None:
    """Add a row to the table of primitives."""
    if kind not in KINDS:
        raise ValueError(f"primitive {name}: kind must be one of {KINDS}, received {kind!r}")
    if name in TABLE:
        raise ValueError(f"primitive {name} is defined twice")
    TABLE[name] = Primitive(name, kind, rule, reference, vjp)


class Node:
    """A primitive applied to nodes; made by `make`, `leaf` and `placeholder` only."""

    __slots__ = (
        "__weakref__",
        "attrs",
        "cell",
        "dtype",
        "inputs",
        "primitive",
        "shape",
        "tracked",
        "value",
    )

    def __init__(
        self,
        primitive: Primitive,
        inputs: tuple[Node, ...],
        attrs: Attributes,
        shape: Shape,
        dtype: np.dtype,
        *,
        value: np.ndarray | None = None,
        cell: Cell | None = None,
        tracked: bool = False,
    ) -> None:
        self.primitive = primitive
        self.inputs = inputs
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.value = value
        self.cell = cell
        self.tracked = tracked

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.primitive.name

    def attr(self, key: str) -> Any:
        """The attribute of that name."""
        return dict(self.attrs)[key]

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles hold the value, and forget what it was computed from."""
        if self.cell is not None:
            return leaf, (self.cell,)
        if self.value is None:
            raise TypeError("a tensor of a traced function has no value to copy or pickle")
        return constant, (self.value,)

    def __repr__(self) -> str:
        attrs = "".join(f" {key}={value}" for key, value in self.attrs)
        return f"<{self.name}{attrs} {self.dtype.name}{list(self.shape)}>"


_leaf_rule = lambda **_: ((), np.dtype(np.float32))  # noqa: E731 - leaves state their own shape
define("placeholder", "leaf", _leaf_rule, lambda **_: None)
define("constant", "leaf", _leaf_rule, lambda **_: None)

_tracing: contextvars.ContextVar[bool] = contextvars.ContextVar("tracing", default=False)
_shared: weakref.WeakValueDictionary[Any, Node] = weakref.WeakValueDictionary()
_unique = itertools.count()


def is_tracing() -> bool:
    """Whether operations build graph only, without values."""
    return _tracing.get()


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Within it operations build nodes without values, shared when equal."""
    token = _tracing.set(True)
    try:
        yield
    finally:
        _tracing.reset(token)


def unique_number() -> int:
    """A number that this process has not used before."""
    return next(_unique)


def make(name: str, inputs: tuple[Node, ...], **attrs: Any) -> Node:
    """The node that applies a primitive; evaluated at once unless under a trace."""
    primitive = TABLE[name]
    key_attrs = tuple(sorted(attrs.items()))
    symbolic = is_tracing() or any(n.value is None for n in inputs)
    key = (name, tuple(map(id, inputs)), key_attrs)
    if symbolic:
        known = _shared.get(key)
        if known is not None:
            return known
    shape, dtype = primitive.rule(*inputs, **attrs)
    tracked = any(n.tracked for n in inputs)
    if symbolic:
        node = Node(primitive, inputs, key_attrs, shape, dtype, tracked=tracked)
        _shared[key] = node
        return node
    value = evaluate_one(primitive, [n.value for n in inputs], attrs, shape, dtype)
    if not tracked:  # nothing to differentiate: let go of the inputs
        return Node(TABLE["constant"], (), (), shape, dtype, value=value)
    return Node(primitive, inputs, key_attrs, shape, dtype, value=value, tracked=True)


def evaluate_one(
    primitive: Primitive, values: list[Any], attrs: dict[str, Any], shape: Shape, dtype: np.dtype
) -> np.ndarray:
    """One primitive on NumPy arrays, by its reference."""
    with np.errstate(all="ignore"):  # IEEE results, as compiled code gives them
        value = np.asarray(primitive.reference(*values, **attrs))
    if value.shape != shape:
        raise AssertionError(f"{primitive.name}: the rule says {shape}, NumPy {value.shape}")
    return value if value.dtype == dtype else value.astype(dtype)


def leaf(cell: Cell) -> Node:
    """The node that reads a cell."""
    value = cell.value
    return Node(
        TABLE["constant"],
        (),
        (),
        value.shape,
        value.dtype,
        value=value,
        cell=cell,
        tracked=cell.tracked,
    )


def constant(value: np.ndarray) -> Node:
    """A leaf with a fixed value; equal scalars are one node."""
    if value.ndim == 0:
        key = ("constant", value.dtype.str, value.tobytes())
        node = _shared.get(key)
        if node is None:
            node = Node(TABLE["constant"], (), (), (), value.dtype, value=value)
            _shared[key] = node
        return node
    return Node(TABLE["constant"], (), (), value.shape, value.dtype, value=value)


def placeholder(shape: Shape, dtype: np.dtype, name: str = "") -> Node:
    """A leaf whose value is given when the graph is run."""
    attrs = (("name", name), ("number", unique_number()))
    return Node(TABLE["placeholder"], (), attrs, tuple(shape), np.dtype(dtype), tracked=True)


def topological(outputs: Iterable[Node], stop: frozenset[Node] = frozenset()) -> list[Node]:
    """All nodes that the outputs need, each after its inputs."""
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            if node not in stop:
                stack.extend((n, False) for n in reversed(node.inputs) if id(n) not in seen)
    return order
