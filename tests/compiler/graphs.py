"""Random computations for hypothesis, each with the bounds of its results.

A graph grows from a few sources by operations drawn from `OPERATIONS`. An operation
whose result would be huge, or not determined by its operands within their bounds
(a comparison of two values that rounding may swap), is left out.

"whole" graphs hold whole numbers only, small enough that no operation rounds: whatever
the order of additions, there is one right answer, to the bit.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import pellucid as pe
from pellucid.autodiff import gradients
from pellucid.core.movement import pad
from pellucid.core.node import Node, leaf, placeholder, topological, tracing
from pellucid.core.program import Computation
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, add, apply, broadcast_to, cast, multiply, subtract, tensor

from .intervals import Bounds, evaluate, exactly

LENGTHS = (2, 1, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100, 1, 2, 3, 16, 0)
LARGEST = 4000  # elements of a value
MOST = {"real": 1e3, "whole": 2.0**20}
SHARP = 1e-3  # bounds wider than this part of a value's size tell too little


@dataclass(repr=False)
class Example:
    """A computation, what to feed it, and what must come out."""

    computation: Computation
    inputs: list[np.ndarray]
    cells: list[Cell]
    initial: list[np.ndarray]
    steps: int
    whole: bool
    shared_from: int
    outputs: list[list[Bounds]] = field(default_factory=list)
    """Bounds of each output at each step."""
    final: list[Bounds] = field(default_factory=list)
    """Bounds of what the cells hold at the end."""

    def __repr__(self) -> str:
        """The computation line by line: what a person needs to see what failed."""
        c = self.computation
        nodes = topological([*c.inputs, *c.results])
        name = {n: f"v{i}" for i, n in enumerate(nodes)}
        lines = [f"steps {self.steps}, shared from {self.shared_from} operations"]
        for n in nodes:
            what = n.name if n.cell is None else n.cell.name
            if n.value is not None and n.cell is None:
                what += f" {n.value}" if n.shape == () else " array"
            attrs = "".join(f" {k}={v}" for k, v in n.attrs if k not in ("name", "number"))
            moves = " stepped" if n in c.stepped else ""
            inputs = " ".join(name[i] for i in n.inputs)
            lines.append(f"{name[n]} = {what} {inputs}{attrs} {n.dtype}{list(n.shape)}{moves}")
        lines.append("outputs " + " ".join(name[n] for n in c.outputs))
        lines += [f"update {cell.name} by {name[n]}" for cell, n in c.updates]
        return "\n    ".join(lines)

    def reset(self) -> None:
        """Give the cells their first values again."""
        for cell, value in zip(self.cells, self.initial, strict=True):
            cell.assign(value)

    def simulate(self) -> bool:
        """Work out all bounds; False if a value at some step is of no use."""
        c = self.computation
        wanted = c.results
        state = {cell: exactly(v) for cell, v in zip(self.cells, self.initial, strict=True)}
        self.outputs = [[] for _ in c.outputs]
        for step in range(self.steps):
            feeds: dict[Any, Bounds] = dict(state)
            for node, array in zip(c.inputs, self.inputs, strict=True):
                feeds[node] = exactly(array[step] if node in c.stepped else array)
            found: dict[Node, Bounds] = {}
            evaluate(wanted, feeds, found, not self.whole)
            if not all(is_useful(n, b, self.whole) for n, b in found.items()):
                return False
            for bounds, node in zip(self.outputs, c.outputs, strict=True):
                bounds.append(found[node])
            for cell, node in c.updates:
                state[cell] = found[node]
        self.final = [state[cell] for cell in self.cells]
        return True


@np.errstate(all="ignore")
def is_useful(node: Node, bounds: Bounds, whole: bool) -> bool:
    """Small enough, and determined: a whole number or a boolean exactly."""
    if not node.shape or 0 not in node.shape:
        most = bounds.size.max()
        if node.dtype.kind != "u" and not most <= MOST["whole" if whole else "real"]:
            return False
        width = bounds.width.max()
        return bool(width == 0 if node.dtype.kind != "f" else width <= SHARP * (1 + most))
    return True


class Builder:
    """A graph that grows, and the choices that it grows by."""

    def __init__(self, draw: Callable[[Any], Any], whole: bool) -> None:
        self.draw = draw
        self.whole = whole
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.values: list[Tensor] = []
        self.inputs: list[tuple[Node, np.ndarray]] = []
        self.cells: list[Cell] = []
        self.bounds: dict[Node, Bounds] = {}
        self.known: dict[Any, Bounds] = {}

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.number(0, len(choices) - 1)]

    def pick(self, allowed: Callable[[Tensor], bool] = lambda t: t.dtype.kind == "f") -> Tensor:
        """One of the values; the latest is the simplest choice."""
        found = [t for t in self.values if allowed(t)]
        if self.number(0, 15):  # values without elements are few, and lead to more of them
            found = [t for t in found if t.size] or found
        if not found:
            raise Unsuitable
        return found[-1 - self.number(0, len(found) - 1)]

    def shape(self, most: int = 4) -> tuple[int, ...]:
        lengths = []
        for _ in range(self.number(0, most)):
            length = self.one_of(LENGTHS)
            if math.prod(lengths) * length > LARGEST:
                break
            lengths.append(length)
        return tuple(lengths)

    def array(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        if dtype.kind == "b":
            return self.rng.random(shape) < 0.5
        if dtype.kind in "iu":
            return self.rng.integers(0 if dtype.kind == "u" else -3, 12, shape, dtype)
        if self.whole:
            return self.rng.integers(-3, 4, shape).astype(dtype)
        return self.rng.uniform(-2, 2, shape).astype(dtype)

    def source(self, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """A new leaf with random contents: an input, a cell, a constant, one number everywhere."""
        array = self.array(shape, dtype)
        kind = self.one_of(("input", "cell", "constant", "number"))
        if kind == "input":
            node = placeholder(shape, array.dtype, f"x{len(self.inputs)}")
            self.inputs.append((node, array))
            self.known[node] = exactly(array)
            return Tensor(node)
        if kind == "cell":
            self.cells.append(Cell(array, name=f"c{len(self.cells)}"))
            self.known[self.cells[-1]] = exactly(array)
            return Tensor(leaf(self.cells[-1]))
        if kind == "number":
            return broadcast_to(tensor(self.array((), dtype), dtype), shape)
        return tensor(array, array.dtype)

    def admit(self, value: Tensor) -> bool:
        """Take a value in, if it can be used."""
        if value.size > LARGEST:
            return False
        found = dict(self.bounds)
        evaluate([value.node], self.known, found, not self.whole)
        if not all(is_useful(n, b, self.whole) for n, b in found.items() if n not in self.bounds):
            return False
        self.bounds = found
        self.values.append(value)
        return True


class Unsuitable(Exception):
    """No value fits what an operation needs."""


Operation = Callable[[Builder], Tensor]
OPERATIONS: dict[str, list[Operation]] = {"real": [], "whole": []}


def operation(*kinds: str, weight: int = 1) -> Callable[[Operation], Operation]:
    def add_row(f: Operation) -> Operation:
        for kind in kinds:
            OPERATIONS[kind] += [f] * weight
        return f

    return add_row


def fitting(b: Builder, x: Tensor) -> Tensor:
    """A second operand: of the same dtype, and of a shape that goes with x's."""

    def goes(t: Tensor) -> bool:
        pairs = zip(t.shape[::-1], x.shape[::-1], strict=False)
        return t.dtype == x.dtype and all(n == m or 1 in (n, m) for n, m in pairs)

    return b.pick(goes)


@operation("real", "whole", weight=3)
def binary(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.dtype.kind in "fi")
    f = b.one_of((add, multiply, subtract, pe.maximum, pe.minimum))
    y = fitting(b, x) if b.number(0, 3) else b.one_of((2.0, 1.0, -1.0, 3.0, 0.0))
    x, y = (x, y) if b.number(0, 1) else (y, x)
    return f(x, y)


@operation("real", "whole")
def unary(b: Builder) -> Tensor:
    f = b.one_of((lambda x: -x, pe.relu, pe.absolute, pe.floor, pe.stop_gradient))
    return f(b.pick())


@operation("real", weight=2)
def rounding_unary(b: Builder) -> Tensor:
    f = b.one_of((pe.tanh, pe.exp, pe.sigmoid, pe.erf, pe.sin, pe.cos, pe.expm1, pe.relu))
    return f(b.pick())


@operation("real")
def safe_division(b: Builder) -> Tensor:
    x = b.pick()
    kind = b.number(0, 5)
    if kind == 0:
        return x / (pe.absolute(fitting(b, x)) + 0.5)
    if kind == 1:
        return x / b.one_of((4.0, -0.5, 3.0))
    positive = pe.absolute(x) + 0.25
    if kind == 2:
        return pe.log(positive)
    if kind == 3:
        return pe.sqrt(positive)
    if kind == 4:
        return positive ** b.one_of((0.7, -1.0, 1.5))
    return pe.log1p(positive)


@operation("real", "whole")
def choice(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.dtype.kind in "fi")
    y = fitting(b, x)
    condition = b.one_of((x < y, x >= 0, x == y, y != 1))
    if b.number(0, 2) == 0:
        condition = (condition & (x > -1)) | ~(y <= 1)
    if b.number(0, 3) == 0:
        return condition
    return pe.where(condition, x, b.one_of((y, 0.0)))


@operation("real", "whole")
def choice_by_mask(b: Builder) -> Tensor:
    c = b.pick(lambda t: t.dtype.kind == "b")
    if b.number(0, 4) == 0 and c.size:
        return pe.max(c)
    return b.one_of((~c, cast(c, np.float32), cast(c, np.int32), pe.where(c, 1.0, 0.0)))


@operation("real", "whole")
def conversion(b: Builder) -> Tensor:
    x = b.pick(lambda t: True)
    return cast(x, b.one_of((np.float32, np.float64, np.int32, np.int64, bool)))


@operation("real", "whole")
def other_shape(b: Builder) -> Tensor:
    """Axes split and merged at random places."""
    x = b.pick(lambda t: 0 not in t.shape)
    flat, factors = x.size, []
    while flat > 1 and len(factors) < 4:
        divisors = [d for d in range(2, flat + 1) if flat % d == 0]
        factors.append(b.one_of(divisors[::-1]))
        flat //= factors[-1]
    if flat > 1:
        factors.append(flat)
    if b.number(0, 2) == 0:
        factors.insert(b.number(0, len(factors)), 1)
    return x.reshape(tuple(factors))


@operation("real", "whole")
def permutation(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.ndim > 1)
    axes = list(range(x.ndim))
    if x.ndim == 2 or b.number(0, 1):
        return x.transpose(*axes[::-1])
    return x.transpose(*b.draw(st.permutations(axes)))


@operation("real", "whole")
def part(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.ndim > 0)
    items: list[Any] = []
    for length in x.shape:
        kind = b.number(0, 4)
        start, stop = b.number(0, length), b.number(0, length)
        step = b.one_of((1, 2, 3, -1, -2))
        if kind < 2:
            items.append(slice(None))
        elif kind == 2 or not length:
            items.append(slice(start, stop, step) if step < 0 else slice(start, None, step))
        elif kind == 3:
            items.append(slice(min(start, stop), max(start, stop), abs(step)))
        else:
            items.append(start % length)
    return x[tuple(items)]


@operation("real", "whole")
def flipped(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.ndim > 0)
    return apply("flip", x, axes=(b.number(0, x.ndim - 1),))


@operation("real", "whole")
def spread(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.ndim < 4)
    shape = tuple(b.one_of((2, 3, 17)) if n == 1 else n for n in x.shape)
    return broadcast_to(x, (b.one_of((1, 2, 5)), *shape))


@operation("real", "whole")
def padded(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.ndim > 0)
    before, after, between = (
        tuple(b.number(0, 2) for _ in x.shape) if b.number(0, 1) else (0,) * x.ndim
        for _ in range(3)
    )
    return pad(x, before, after, between)


@operation("real", "whole")
def joined(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.ndim > 0)
    axis = b.number(0, x.ndim - 1)
    others = [x]
    for _ in range(b.number(1, 2)):
        others.append(
            b.pick(
                lambda t: (
                    t.dtype == x.dtype
                    and t.ndim == x.ndim
                    and all(
                        n == m or a == axis
                        for a, (n, m) in enumerate(zip(t.shape, x.shape, strict=True))
                    )
                )
            )
        )
    return pe.concatenate(others, axis)


@operation("real", "whole", weight=3)
def reduction(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.dtype.kind in "fi" and t.ndim > 0)
    axes = tuple(a for a in range(x.ndim) if b.number(0, 1)) or (b.number(0, x.ndim - 1),)
    kept = bool(b.number(0, 1))
    if b.number(0, 1) and all(x.shape[a] for a in axes):
        return pe.max(x, axes, kept)
    return pe.sum(x, axes, kept)


@operation("real")
def softmax(b: Builder) -> Tensor:
    x = b.pick(lambda t: t.dtype.kind == "f" and t.ndim > 0 and 0 not in t.shape)
    return b.one_of((pe.softmax, pe.log_softmax, pe.logsumexp))(x, b.number(0, x.ndim - 1))


@operation("real", "whole", weight=3)
def product(b: Builder) -> Tensor:
    """With another value, or with new weights; often transposed, sliced or followed by a bias."""
    x = b.pick(lambda t: t.dtype.kind == "f" and t.ndim > 1)
    y = b.pick(lambda t: t.dtype == x.dtype and t.ndim > 1)
    if b.number(0, 1):
        y = b.source((x.shape[-1], b.one_of(LENGTHS)), x.dtype)
    elif x.ndim == y.ndim == 2:
        x, y = b.one_of(((x, y), (x, y.T), (x.T, y), (y, x)))
    if x.shape[-1] != y.shape[-2]:
        shorter = min(x.shape[-1], y.shape[-2])
        x, y = x[..., :shorter], y[..., :shorter, :]
    try:
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise Unsuitable from None
    if y.ndim > 2 and math.prod((*x.shape[:-1], *y.shape[:-2], y.shape[-1])) > LARGEST:
        raise Unsuitable
    result = x @ y
    if b.number(0, 2) == 0:
        result = pe.relu(result + b.source(result.shape[-1:], x.dtype))
    return result


@operation("real", "whole")
def rows_by_number(b: Builder) -> Tensor:
    """Numbers may repeat and lie outside the table."""
    x = b.pick(lambda t: t.ndim > 0 and t.shape[0] > 0)
    whole = b.source(b.one_of(((3,), (17,), (), (2, 2), (0,))), b.one_of((np.int32, np.int64)))
    index = b.pick(lambda t: t.dtype.kind == "i" and t.ndim < 3) if b.number(0, 2) == 0 else whole
    if b.number(0, 2):
        return apply("gather", x, index)
    base = broadcast_to(tensor(0, x.dtype), x.shape)
    if x.dtype.kind == "b":
        raise Unsuitable
    return apply("scatter_add", b.one_of((base, x)), index, apply("gather", x, index))


@operation("real", weight=2)
def derivative(b: Builder) -> Tensor:
    """Backpropagation from one value to another."""
    y, x = b.pick(), b.pick()
    (found,) = gradients([y], [broadcast_to(tensor(0.5, y.dtype), y.shape)], [x])
    return found


@operation("real", "whole")
def another_source(b: Builder) -> Tensor:
    return b.source(b.shape(), b.one_of((np.float32, np.float64)))


@operation("real", "whole")
def counting(b: Builder) -> Tensor:
    shape = (*b.shape(2), b.one_of((2, 5, 33)))
    return apply("iota", shape=shape, axis=b.number(0, len(shape) - 1))


@operation("real", "whole")
def chance(b: Builder) -> Tensor:
    seed, step = tensor(np.array([3, 5], np.uint32)), tensor(np.uint32(b.number(0, 3)))
    drawn = apply("random_bits", seed, step, stream=b.number(0, 2), shape=b.shape(3), bits=4)
    return cast(drawn, b.one_of((np.float32, np.int32)))


@st.composite
def examples(draw: Callable[[Any], Any], kind: str) -> Example:
    """Computations of 2 to 25 drawn operations, with several outputs, updates and steps."""
    whole = kind == "whole"
    b = Builder(draw, whole)
    main = b.one_of((np.float32, np.float64))
    for _ in range(b.number(1, 3)):
        b.admit(b.source(b.shape(), main))
    if b.number(0, 2) == 0:
        b.admit(b.source(b.shape(2), b.one_of((bool, np.int32, np.int64))))
    first = len(b.values)
    with tracing():
        wanted = first + b.number(2, 25)
        for _ in range(3 * wanted):
            if len(b.values) < wanted:
                with contextlib.suppress(Unsuitable):
                    b.admit(b.one_of(OPERATIONS[kind])(b))
        used = {i for t in b.values for i in t.node.inputs}
        ends = [t for t in b.values if t.node not in used]
        outputs = ends[-4:] + [b.pick(lambda t: True) for _ in range(b.number(0, 2))]
        updates = []
        for cell in b.cells:
            shape, dtype = cell.value.shape, cell.value.dtype
            fits = [t for t in b.values if t.shape == shape and t.dtype == dtype]
            if fits and b.number(0, 2) == 0:
                value = fits[-1 - b.number(0, len(fits) - 1)]
                if b.number(0, 1) and dtype.kind == "f":
                    value = pe.clip(value, -3.0, 3.0)
                updates.append((cell, value.node))
    steps = b.number(1, 3)
    stepped = {n for n, _ in b.inputs if steps > 1 and b.number(0, 1)}
    computed = {t.node for t in b.values[first:]} - {n for n, _ in b.inputs}
    stepped |= {o.node for o in outputs if o.node in computed and steps > 1 and b.number(0, 1)}
    arrays = [
        np.stack([a, *(b.array(a.shape, a.dtype) for _ in range(steps - 1))]) if n in stepped else a
        for n, a in b.inputs
    ]
    computation = Computation(
        tuple(n for n, _ in b.inputs),
        tuple(o.node for o in outputs),
        tuple(updates),
        frozenset(stepped),
    )
    initial = [np.array(c.value) for c in b.cells]
    example = Example(computation, arrays, b.cells, initial, steps, whole, b.one_of((20_000, 0)))
    if not example.simulate():  # later steps wander off: the first is of use by itself
        arrays = [a[0] if n in stepped else a for (n, _), a in zip(b.inputs, arrays, strict=True)]
        computation = Computation(
            computation.inputs, computation.outputs, computation.updates, frozenset()
        )
        example = Example(computation, arrays, b.cells, initial, 1, whole, example.shared_from)
        assert example.simulate()
    return example
