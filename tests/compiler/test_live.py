"""Rows that count: products leave out the others, and no result tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import pellucid as pe
from pellucid.autodiff import gradients
from pellucid.compiler import pipeline
from pellucid.core.node import placeholder, tracing
from pellucid.core.program import Computation, Live
from pellucid.core.tensor import Tensor, apply, parameter, tensor
from tests.programs import bits, processor, reference, run, same_processors, threads

ROWS, BATCH, COUNTS = 150, 96, (50, 1, 96, 0, 49, 95)


def network(sizes: tuple[int, ...], dtype: str) -> Computation:
    """The loss of a batch, a mean with weights, and its gradients; row ROWS weighs nothing."""
    rng = np.random.default_rng(0)
    X, y, weights, index, count = (
        placeholder((ROWS + 1, sizes[0]), np.dtype(dtype), "X"),
        placeholder((ROWS + 1, sizes[-1]), np.dtype(dtype), "y"),
        placeholder((ROWS + 1,), np.dtype(dtype), "weights"),
        placeholder((BATCH,), np.dtype(np.int32), "index"),
        placeholder((), np.dtype(np.int32), "count"),
    )
    learned = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        drawn = rng.standard_normal((a, b)) / np.sqrt(a)
        learned.append(parameter(drawn.astype(dtype)))
        learned.append(parameter(rng.standard_normal(b).astype(dtype), role="bias"))
    with tracing():
        x, wanted, weight = (apply("gather", Tensor(n), Tensor(index)) for n in (X, y, weights))
        for i in range(0, len(learned), 2):
            x = (pe.relu(x) if i else x) @ learned[i] + learned[i + 1]
        terms = pe.sum(pe.log(1.0 + pe.exp(-x)) + (1.0 - wanted) * x, 1)
        loss = pe.sum(weight * terms) / pe.maximum(pe.sum(weight), 1e-3)
        found = [loss, *gradients([loss], [tensor(1.0)], learned)]
    outputs = tuple(f.node for f in found)
    inputs = X, y, weights, index, count
    stepped = frozenset((index, count, *outputs))
    return Computation(inputs, outputs, (), stepped, Live(count, index, weights))


def data(sizes: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((ROWS + 1, sizes[0])).astype(dtype)
    y = (rng.random((ROWS + 1, sizes[-1])) < 0.5).astype(dtype)
    weights = rng.random(ROWS + 1).astype(dtype)
    weights[ROWS] = 0
    index = rng.integers(ROWS, size=(len(COUNTS), BATCH)).astype(np.int32)
    for row, count in zip(index, COUNTS, strict=True):
        row[count:] = ROWS
    return [X, y, weights, index, np.array(COUNTS, np.int32)]


def bounds(c: Computation) -> list[str]:
    return [k.bound for k in pipeline.lower(c).kernels if k.kind == "contract"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("sizes", "bound"),
    [
        ((30, 100, 1), ["rows", "depth"]),  # a sum of two halves
        ((64, 100, 10), ["rows", "rows", "rows", "depth", "depth"]),
        ((200, 150, 3), ["rows", "rows", "rows", "depth", "depth"]),  # one sum
        ((20, 17, 33, 5), ["rows"] * 5 + ["depth"] * 3),
        ((3, 2), ["rows", "depth"]),
    ],
)
def test_no_result_depends_on_what_is_left_out(sizes, bound, dtype):
    c, given = network(sizes, dtype), data(sizes, dtype)
    assert sorted(bounds(c)) == sorted(bound)
    assert not any(bounds(replace(c, live=None)))
    steps = len(COUNTS)
    found = {bits(run(replace(c, live=None), given, steps=steps))}
    for name in same_processors():
        for count in (1, 2, 3, 5):
            with processor(name), threads(count), pytest.MonkeyPatch.context() as patch:
                patch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
                patch.setattr("pellucid.compiler.cache.read", lambda name: None)
                found.add(bits(run(c, given, steps=steps)))
    assert len(found) == 1
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    for a, b in zip(run(c, given, steps=steps), reference(c, given, steps=steps), strict=True):
        np.testing.assert_allclose(a, b, rtol=100 * tolerance, atol=tolerance)


@pytest.mark.parametrize("count", [0, 1, 20, 63, 64])
def test_products_are_nothing_in_rows_that_do_not_count(count):
    """And what follows them is computed of that, whatever the tiles: here 0 + 1."""
    X = placeholder((4, 16), np.dtype(np.float32), "X")
    weights = placeholder((4,), np.dtype(np.float32), "weights")
    index = placeholder((64,), np.dtype(np.int32), "index")
    number = placeholder((), np.dtype(np.int32), "count")
    w = parameter(np.ones((16, 40), np.float32))
    with tracing():
        y = apply("gather", Tensor(X), Tensor(index)) @ w + 1.0
    c = Computation((X, weights, index, number), (y.node,), live=Live(number, index, weights))
    given = [np.ones((4, 16), np.float32), np.ones(4, np.float32), np.zeros(64, np.int32)]
    for name in same_processors():
        for workers in (1, 2, 3):
            with processor(name), threads(workers), pytest.MonkeyPatch.context() as patch:
                patch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
                patch.setattr("pellucid.compiler.cache.read", lambda name: None)
                (found,) = run(c, [*given, np.array(count, np.int32)])
            assert (found[:count] == 17).all() and (found[count:] == 1).all()


def test_a_sum_that_weights_have_nothing_to_do_with_is_whole():
    """What all rows give is asked for: those that do not count as well."""
    X = placeholder((40, 8), np.dtype(np.float64), "X")
    weights = placeholder((40,), np.dtype(np.float64), "weights")
    index = placeholder((32,), np.dtype(np.int32), "index")
    count = placeholder((), np.dtype(np.int32), "count")
    with tracing():
        x = apply("gather", Tensor(X), Tensor(index))
        scaled = x * apply("gather", Tensor(weights), Tensor(index)).reshape(-1, 1)
        outputs = (x.T @ x).node, (pe.exp(x.T) @ scaled).node
    c = Computation((X, weights, index, count), outputs, live=Live(count, index, weights))
    assert sorted(bounds(c)) == ["", "depth"]
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((40, 8)), np.ones(40), np.arange(32, dtype=np.int32)]
    given[1][20:] = 0
    given.append(np.array(20, np.int32))
    for a, b in zip(run(c, given), reference(c, given), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
