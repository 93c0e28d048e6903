"""Primitives next to each other: products of views, epilogues, copies that cannot be avoided.

Operands hold small whole numbers, so that nothing rounds and every order of additions
gives the same: compiled and reference are equal to the bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pellucid as pe
from pellucid.core.movement import pad
from pellucid.core.tensor import Tensor, apply, broadcast_to, tensor
from tests.programs import bits, processor, reference, run, same_processors, threads, trace
from tests.tables import FLOATS

CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {}


def case(name: str, f: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    assert name not in CASES
    CASES[name] = f, shapes


def whole(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + len(shape)).integers(-4, 5, shape).astype(dtype)


def ones(*shape: int) -> Tensor:
    """One number everywhere, as derivatives of sums have it."""
    return broadcast_to(tensor(1.0), shape)


# -- products whose operands are views ------------------------------------------

for m, k, n in [(1, 1, 1), (3, 16, 17), (17, 5, 33), (33, 100, 2)]:
    size = f"{m}x{k}x{n}"
    case(f"plain {size}", lambda x, y: x @ y, (m, k), (k, n))
    case(f"left transposed {size}", lambda x, y: x.T @ y, (k, m), (k, n))
    case(f"right transposed {size}", lambda x, y: x @ y.T, (m, k), (n, k))
    case(f"both transposed {size}", lambda x, y: x.T @ y.T, (k, m), (n, k))
    case(f"result transposed {size}", lambda x, y: (x @ y).T, (m, k), (k, n))
    case(f"bias, relu {size}", lambda x, y, b: pe.relu(x @ y + b), (m, k), (k, n), (n,))
    case(f"column bias {size}", lambda x, y, b: x @ y - b, (m, k), (k, n), (m, 1))
    case(f"residual {size}", lambda x, y, r: x @ y * 2.0 + r, (m, k), (k, n), (m, n))
    case(f"residual transposed {size}", lambda x, y, r: x @ y + r.T, (m, k), (k, n), (n, m))

case("same matrix twice", lambda x: x @ x, (17, 17))
case("with its transpose", lambda x: [x @ x.T, x.T @ x], (5, 33))
case("sliced rows", lambda x, y: x[1:4] @ y[:5], (6, 5), (9, 17))
case("sliced columns", lambda x, y: x[:, 1:4] @ y[:, 2:19], (6, 5), (3, 20))
case("every other", lambda x, y: x[::2, ::3] @ y[::2, ::2], (6, 9), (6, 33))
case("flipped", lambda x, y: x[::-1, ::-1] @ y[::-1, ::-1], (6, 5), (5, 17))
case("spread left", lambda x, y: broadcast_to(x, (6, 5)) @ y, (1, 5), (5, 17))
case("spread right", lambda x, y: x @ broadcast_to(y, (5, 17)), (3, 5), (5, 1))
case("ones left", lambda y: ones(3, 5) @ y, (5, 17))
case("ones right", lambda x: x @ ones(5, 17), (3, 5))
case("ones on both sides", lambda x: ones(3, 5) @ ones(5, 4) + x, (3, 4))
case("column of ones", lambda x: x @ ones(5, 1), (3, 5))
case("padded", lambda x, y: pad(x, (1, 0), (0, 2)) @ pad(y, (1, 0), (1, 3)), (3, 4), (4, 14))
case("joined", lambda x, y: pe.concatenate([x, x], 1) @ pe.concatenate([y, y]), (3, 4), (4, 17))
case("vectors", lambda x, y: [x @ y, y @ y, y @ x.T], (3, 17), (17,))
case("batch", lambda x, y: x @ y, (2, 3, 5), (2, 5, 17))
case("batch, one right", lambda x, y: x @ y, (2, 3, 5), (5, 17))
case("batch, one left", lambda x, y: x @ y, (3, 5), (4, 5, 17))
case("batch spread", lambda x, y: x @ y, (2, 1, 3, 5), (1, 4, 5, 2))
case("batch transposed", lambda x, y: x @ y.transpose(0, 2, 1), (2, 3, 5), (2, 17, 5))
case("batch axis moved", lambda x, y: x.transpose(1, 0, 2) @ y, (3, 2, 5), (2, 5, 4))
case("batch with bias", lambda x, y, b: pe.relu(x @ y + b), (2, 3, 5), (2, 5, 17), (17,))
case("row of a batch", lambda x, y: x[1] @ y[0, :, :3], (2, 3, 5), (2, 5, 17))
case("product of products", lambda x, y, z: x @ y @ z, (3, 5), (5, 17), (17, 2))
case("two products added", lambda x, y, z: x @ y + x @ z, (3, 5), (5, 17), (5, 17))
case("product read twice", lambda x, y: [(p := x @ y) + 1.0, pe.sum(p, 0), p.T], (5, 3), (3, 17))
case("long epilogue", lambda x, y, b: long_epilogue(x @ y, b), (19, 40), (40, 50), (50,))
case("gathered left", lambda x, y: apply("gather", x, NUMBERS) @ y, (5, 4), (4, 17))
case("gathered right", lambda x, y: y @ apply("gather", x, NUMBERS), (5, 17), (2, 3))
case("gathered residual", lambda x, y, r: x @ y + apply("gather", r, NUMBERS), *[(3, 3)] * 3)
case("no columns", lambda x, y: x @ y + 1.0, (3, 2), (2, 0))
case("no depth", lambda x, y: x @ y + 1.0, (3, 0), (0, 17))
case("no rows", lambda x, y: (x @ y).reshape(2, 0, 5), (0, 3), (3, 5))

NUMBERS = tensor(np.array([4, -7, 99], np.int32))  # outside: taken to the nearest end


def long_epilogue(p: Tensor, b: Tensor) -> Any:
    """More than is written out for each vector of a tile."""
    q = pe.relu(p + b)
    for i in range(12):
        q = pe.maximum(q * 0.5 + p, q - float(i))
    return [q, p < q]


# -- reductions --------------------------------------------------------------------

for shape in [(3, 17, 2), (17, 3, 16), (2, 33, 1), (1, 1, 17), (5, 2, 40)]:
    for axes in [a for r in (1, 2, 3) for a in itertools.combinations(range(3), r)]:
        at = f"over {axes} of {shape}".replace(", ", ",")
        case(f"sum {at}", lambda x, a=axes: pe.sum(x, a), shape)
        case(f"max {at}", lambda x, a=axes: pe.max(x, a), shape)
        case(f"sum of squares {at}", lambda x, a=axes: pe.sum(x * x, a, keepdims=True) + x, shape)

case("sum of a transpose", lambda x: [pe.sum(x.T, 0), pe.sum(x.T, 1)], (5, 33))
case("sum of a slice", lambda x: [pe.sum(x[1:4, 2:30], 1), pe.sum(x[::2, ::3], 0)], (5, 33))
case("sum of a spread", lambda x: pe.sum(broadcast_to(x, (5, 33)), (0, 1)), (1, 33))
case("sum of one number", lambda x: [pe.sum(ones(5, 33), 0), x], (1,))
case("sum and what is summed", lambda x: [(y := x * 3.0), pe.sum(y), pe.sum(y, 0)], (5, 33))
case("sum compared", lambda x: [(s := pe.sum(x)) - 1.0, s >= 0.0], (100,))  # once wrong code
case("rows compared", lambda x: [(s := pe.sum(x, 1)) - 1.0, s >= 0.0], (3, 17))
case("max of booleans", lambda x: [pe.max(x > 3.0), pe.max(x > 3.0, 0), pe.max(x > 9.0)], (5, 33))
case("position of the greatest", lambda x: [pe.argmax(x), pe.argmax(x, 0)], (7, 33))
case("mean over a power of two", lambda x: pe.mean(x, 0), (16, 5))
case("variance", lambda x: pe.var(x, 1), (5, 4))

# -- pieces put together and taken apart --------------------------------------------

case("join of slices", lambda x: pe.concatenate([x[:, 20:], x[:, :5], x[:, ::7]], 1), (3, 33))
case("join computed", lambda x, y: pe.concatenate([x + 1.0, y * 2.0, x @ y.T]), (5, 5), (5, 5))
case("join of a join", lambda x: pe.concatenate([pe.concatenate([x, x], 1), ones(2, 4)]), (2, 2))
case("join twice in one", lambda x: pe.concatenate([x, x, x]) + 1.0, (5, 3))
case("join, read in parts", lambda x, y: pe.concatenate([x, y])[1:-1, 1:] * 2.0, (3, 5), (2, 5))
case("join with nothing", lambda x, y: pe.concatenate([x, y, x]), (2, 3), (0, 3))
case("stack", lambda x, y: [pe.stack([x, y], a) for a in (0, 1, 2)], (3, 17), (3, 17))
case("pad of a slice", lambda x: pad(x[1:3, ::2], (1, 0), (2, 3), (1, 2)), (5, 17))
case("pad of nothing much", lambda x: pad(x, (0, 0), (0, 0), (3, 0)) + 1.0, (1, 17))
case("pad then sum", lambda x: pe.sum(pad(x * 2.0, (1, 1), (1, 1)), (0, 1)), (5, 17))
case("pad of a pad", lambda x: pad(pad(x, (1,), (0,)), (0,), (2,), (1,)), (5,))
case("views of views", lambda x: x.T[1:, ::-1].reshape(4, 2, 3).transpose(2, 0, 1)[::-1], (6, 5))
case("reshape of padded rows", lambda x: [x.reshape(5, 3), x.reshape(15), x + 1.0], (3, 5))
case("reshape of a transpose", lambda x: x.T.reshape(3, 5) + x, (3, 5))
case("reshape of a computed one", lambda x: (x * 2.0).reshape(17, 3) @ x, (3, 17))
case("reshape to many axes", lambda x: (x + 1.0).reshape(2, 3, 1, 2, 5), (6, 10))
case("rows, repeated and outside", lambda x: apply("gather", x, NUMBERS) + 1.0, (5, 33))
case("one row", lambda x: apply("gather", x * 2.0, tensor(1)), (5, 33))
case("single elements", lambda x: apply("gather", x, NUMBERS) * 2.0, (5,))
case("numbers from the data", lambda x: apply("gather", x, pe.argmax(x)), (5, 7))
case("numbers used as values", lambda x: gather_and_more(x), (5,))
case("rows of one number", lambda x: [apply("gather", ones(5, 3), NUMBERS), x], (1,))
case("scatter over a pad", lambda x: scatter(pad(x, (1, 0), (2, 0)), x[:3]), (3, 17))
case("scatter of one number", lambda x: scatter(x, ones(3, 17).astype(x.dtype)), (5, 17))
case("scatter into one number", lambda x: scatter(ones(5, 17).astype(x.dtype), x), (3, 17))
case("scatter of a transpose", lambda x: scatter(x, x.T[:3]), (5, 5))
case("scatter, base kept", lambda x: [scatter(x, x[:3]), x * 2.0], (5, 17))
case("scatter single elements", lambda x: scatter(x, x[:3]), (5,))
case("scatter at one row", lambda x: apply("scatter_add", x, tensor(2), x[0]), (5, 3))
case("nothing to scatter", lambda x: apply("scatter_add", x, NUMBERS[:0], x[:0]), (5, 3))
case("counting", lambda x: apply("iota", shape=(3, 17), axis=1).astype(x.dtype) * x, (3, 17))
case("constant array", lambda x: x * tensor(np.arange(17.0), x.dtype) + 1.0, (3, 17))
case("outputs that are inputs", lambda x, y: [x, y, x], (3, 5), (2,))
case("outputs that are numbers", lambda x: [tensor(2.0), ones(3, 2), x], (1,))


def gather_and_more(x: Tensor) -> Any:
    """The numbers of a gather made where its result is used."""
    index = (pe.absolute(x) / 2.0).astype(np.int32)
    return [(rows := apply("gather", x, index)) + index.astype(x.dtype), scatter(x, rows[:3])]


def scatter(base: Tensor, rows: Tensor) -> Tensor:
    return apply("scatter_add", base, NUMBERS, rows)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_compiled_as_the_reference(name, dtype):
    f, shapes = CASES[name]
    arrays = [whole(shape, dtype, i) for i, shape in enumerate(shapes)]
    c = trace(f, *arrays)
    for found, right in zip(run(c, arrays), reference(c, arrays), strict=True):
        np.testing.assert_array_equal(found, right)


SHARED = {
    "product": (lambda x, y, b: pe.relu(x @ y.T + b), (67, 40), (90, 40), (90,)),
    "small batch": (lambda x, y: pe.tanh(x @ y), (5, 300), (300, 90)),
    "softmax": (lambda x: pe.softmax(x) * x, (217, 150)),
    "sums": (lambda x: [pe.sum(x, 0), pe.sum(x, 1), pe.sum(x), pe.max(x * x, 0)], (217, 150)),
    "variance": (lambda x: pe.var(x, 0), (217, 150)),
    "pieces": (lambda x: pe.concatenate([x[:, ::2] * 2.0, pad(x, (0, 3), (0, 0))], 1), (217, 150)),
    "gather": (lambda x: apply("gather", x, pe.argmax(x)) * 2.0, (217, 150)),
    "short reduction": (lambda x: [pe.sum(x, 0), pe.sum(x, 0) * 2.0], (3, 20_001)),
    "long sum": (lambda x: pe.sum(x * x), (70_001,)),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SHARED)
def test_same_bits_for_any_number_of_threads_and_vector_width(name, dtype):
    f, *shapes = SHARED[name]
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    c = trace(f, *arrays)
    found = set()
    for cpu in same_processors():
        for count in (1, 2, 3):
            with processor(cpu), threads(count):
                found.add(bits(run(c, arrays)))
    assert len(found) == 1
    for array, right in zip(run(c, arrays), reference(c, arrays), strict=True):
        tolerance = 2e-4 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(array, right, rtol=tolerance, atol=tolerance)
