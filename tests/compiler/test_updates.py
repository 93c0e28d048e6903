"""Cells: read where they stand, changed together at the end of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler.program import CompiledProgram
from pellucid.core.node import leaf, placeholder, tracing
from pellucid.core.program import Computation, ReferenceProgram
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, apply, tensor
from tests.programs import bits, poison, processor, run, same_processors, threads
from tests.tables import FLOATS

STEPS = 3
SHAPES = {"a": (5, 17), "b": (5, 17), "c": (17, 5), "v": (33,), "s": (), "m": (4, 5)}
"""The cells that every case may use."""

Result = tuple[list[Any], dict[str, Any]]
CASES: dict[str, Callable[..., Result]] = {}


def case(name: str) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """A function of the cells and the inputs (x of each step, y of all) to outputs and updates."""

    def add_row(f: Callable[..., Result]) -> Callable[..., Result]:
        CASES[name] = f
        return f

    return add_row


case("nothing changes")(lambda a, x, **_: ([a + x], {}))
case("descent")(lambda a, x, **_: ([], {"a": a - x * 2.0}))
case("descent, seen")(lambda a, x, **_: ([a, a - x], {"a": a - x}))
case("by an input")(lambda a, x, **_: ([a], {"a": x}))
case("by a number")(lambda a, **_: ([a], {"a": tensor(np.full((5, 17), 2.0), a.dtype)}))
case("by the same number everywhere")(lambda a, **_: ([a], {"a": a * 0.0 + 1.0}))
case("by itself")(lambda a, **_: ([a], {"a": a}))
case("swap")(lambda a, b, **_: ([a - b], {"a": b, "b": a}))
case("swap and add")(lambda a, b, x, **_: ([], {"a": b + x, "b": a - x}))
case("turn")(lambda a, b, x, **_: ([a, b], {"a": b, "b": x}))
case("transpose into another")(lambda a, c, **_: ([a], {"a": c.T, "c": a.T}))
case("reversed")(lambda v, **_: ([v], {"v": v[::-1]}))
case("rolled")(lambda v, **_: ([v], {"v": pe.concatenate([v[1:], v[:1]])}))
case("rows exchanged")(lambda m, **_: ([m], {"m": apply("gather", m, ORDER)}))
case("rows added to")(lambda m, **_: ([m], {"m": apply("scatter_add", m, ORDER, m[::-1])}))
case("one after the other")(lambda a, b, x, **_: ([], {"b": b * 0.5 + x, "a": a - (b * 0.5 + x)}))
case("two from one")(lambda a, b, x, **_: ([(u := a + b)], {"a": u, "b": u}))
case("changed and read by a product")(
    lambda a, c, x, **_: ([a @ c, pe.sum(a)], {"a": a + x, "c": c - (c @ a) @ c})
)
case("changed in a product's epilogue")(lambda a, c, **_: ([a @ c], {"a": a - (a @ c) @ a * 0.125}))
case("changed in the epilogue of a product of one tile")(
    lambda a, b, y, **_: ([], {"a": a - y.T @ (y @ b)})
)
case("changed by a reduction of itself")(lambda a, **_: ([], {"a": a - pe.max(a, 1, True)}))
case("changed by a sum of it all")(lambda a, **_: ([pe.sum(a)], {"a": a - pe.sum(a)}))
case("read as a whole, changed by rows")(
    lambda v, a, **_: ([v], {"v": v + pe.sum(a) - v[::-1], "a": a - pe.sum(v)})
)
case("counting")(lambda s, **_: ([s], {"s": s + 1.0}))
case("counting with others")(lambda s, a, x, **_: ([a * s], {"s": s + 1.0, "a": a + s * x}))
case("number from an array")(lambda s, v, **_: ([s], {"s": pe.max(v) + s, "v": v - s}))
case("the same view twice")(
    lambda v, **_: ([v[:17], v[16:]], {"v": pe.concatenate([v[16:], v[:16]])})
)
case("a part seen, the whole changed")(lambda m, y, **_: ([m[1:3, ::2]], {"m": m * y}))
case("only read through a reshape")(lambda a, v, **_: ([a.reshape(17, 5)], {"a": a + 1.0, "v": -v}))
case("momentum")(
    lambda a, b, x, **_: ([pe.sum(a * a)], {"b": (z := b * 0.5 + x), "a": a - z * 0.25})
)

ORDER = tensor(np.array([2, 0, 0, 3], np.int32))


def built(f: Callable[..., Result], dtype: str) -> tuple[Computation, dict[str, Cell]]:
    rng = np.random.default_rng(4)
    values = {k: rng.integers(-3, 4, shape).astype(dtype) for k, shape in SHAPES.items()}
    cells = {name: Cell(value, name=name) for name, value in values.items()}
    x = placeholder((5, 17), np.dtype(dtype), "x")
    y = placeholder((4, 5), np.dtype(dtype), "y")
    with tracing():
        read = {name: Tensor(leaf(cell)) for name, cell in cells.items()}
        outputs, updates = f(**read, x=Tensor(x), y=Tensor(y))
        nodes = tuple(o.node for o in outputs)
        changes = tuple((cells[k], value.node) for k, value in updates.items())
    moving = frozenset([x, *(n for n in nodes if n.inputs)])
    return Computation((x, y), nodes, changes, moving), cells


def outcome(f: Callable[..., Result], dtype: str, program: Any = CompiledProgram) -> list[Any]:
    """Outputs, and what all cells hold in the end."""
    c, cells = built(f, dtype)
    for cell in cells.values():
        poison(cell)
    rng = np.random.default_rng(5)
    x = rng.integers(-3, 4, (STEPS, 5, 17)).astype(dtype)
    y = rng.integers(-2, 3, (4, 5)).astype(dtype)
    found = run(c, [x, y], steps=STEPS, program=program)
    return found + [np.array(cell.value) for cell in cells.values()]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_compiled_as_the_reference(name, dtype):
    f = CASES[name]
    right = outcome(f, dtype, ReferenceProgram)
    for found, wanted in zip(outcome(f, dtype), right, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", CASES)
def test_same_bits_when_every_kernel_is_shared(name, monkeypatch):
    expected = bits(outcome(CASES[name], "float32"))
    monkeypatch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
    monkeypatch.setattr("pellucid.compiler.cache.read", lambda name: None)  # made anew
    for cpu in same_processors():
        for count in (2, 3):
            with processor(cpu), threads(count):
                assert bits(outcome(CASES[name], "float32")) == expected


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 64), (2, 33), (13, 16)])
def test_a_product_of_a_single_tile_changes_a_cell_once(shape, count):
    """As the gradient of a layer with few inputs does, where the batch makes it worth sharing."""
    rows, columns = shape
    cell = Cell(np.zeros(shape, np.float32), name="w")
    x = placeholder((1000, rows), np.dtype(np.float32), "x")
    y = placeholder((1000, columns), np.dtype(np.float32), "y")
    with tracing():
        more = Tensor(leaf(cell)) + Tensor(x).T @ Tensor(y)
    c = Computation((x, y), (), ((cell, more.node),))
    with threads(count):
        run(c, [np.ones(x.shape, np.float32), np.ones(y.shape, np.float32)], steps=50)
    np.testing.assert_array_equal(cell.value, np.full(shape, 50_000.0))


def test_steps_one_by_one_are_steps_at_once():
    for name in ("momentum", "turn", "counting with others"):
        c, cells = built(CASES[name], "float32")
        d, others = built(CASES[name], "float32")
        x = np.random.default_rng(6).standard_normal((5, 5, 17)).astype(np.float32)
        y = np.zeros((4, 5), np.float32)
        run(c, [x, y], steps=5)
        for i in range(5):
            run(d, [x[i : i + 1], y], steps=1)
        for cell, other in zip(cells.values(), others.values(), strict=True):
            np.testing.assert_array_equal(cell.value, other.value)


def test_no_steps_change_nothing():
    c, cells = built(CASES["momentum"], "float32")
    before = np.array(cells["a"].value)
    (out,) = run(c, [np.ones((0, 5, 17), np.float32), np.ones((4, 5), np.float32)], steps=0)
    assert out.shape == (0,)
    np.testing.assert_array_equal(cells["a"].value, before)


def test_an_output_may_move_where_its_value_does_not():
    """`x * 1` is x, but one has an entry per step and the other none."""
    x = placeholder((3,), np.dtype(np.float32), "x")
    with tracing():
        same = (Tensor(x) * 1.0).node
        other = pe.stop_gradient(Tensor(same)).node
    c = Computation((x,), (same, x, other), (), frozenset([same]))
    value = np.array([1, 2, 3], np.float32)
    moved, kept, last = run(c, [value], steps=2)
    np.testing.assert_array_equal(moved, [value, value])
    np.testing.assert_array_equal(kept, value)
    np.testing.assert_array_equal(last, value)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((3, 4), np.float32), np.zeros(3), np.zeros((3, 2), np.float32).T[0], np.zeros(0)],
)
def test_arrays_that_do_not_fit_are_refused(wrong):
    x = placeholder((3,), np.dtype(np.float32), "x")
    made = CompiledProgram(Computation((x,), (x,)))
    fits = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="received an array"):
        made.run([wrong], [fits])
    with pytest.raises(ValueError, match="received an array"):
        made.run([fits], [wrong])
    with pytest.raises(ValueError, match="expected 1 arrays, received 0"):
        made.run([], [fits])


def test_a_value_that_does_not_fit_its_cell_is_refused():
    cell = Cell(np.zeros(3, np.float32), name="w")
    for wrong in (np.zeros(3), np.zeros(4, np.float32)):
        with pytest.raises(ValueError, match=r"w of float32\[3\] cannot be updated by <constant"):
            Computation((), (), ((cell, tensor(wrong).node),))
    node = leaf(cell)
    with pytest.raises(ValueError, match="a cell is updated twice"):
        Computation((), (), ((cell, node), (cell, node)))
