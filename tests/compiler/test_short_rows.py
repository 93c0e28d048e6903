"""Short rows and few columns: lanes run along the number of the row, and no bit tells."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import pipeline
from pellucid.compiler.across import Across
from pellucid.compiler.short import ShortRows
from pellucid.core.functions import one_hot
from pellucid.core.movement import pad
from pellucid.core.node import placeholder, tracing
from pellucid.core.program import Computation
from pellucid.core.storage import LANES
from pellucid.core.tensor import Tensor, broadcast_to, parameter
from tests.programs import bits, processor, reference, run, same_processors, threads, trace


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def scores(x, bias):
    """What a classifier makes of its scores, and what else is made of rows."""
    x = x + bias
    own = one_hot(pe.argmax(bias, -1), x.shape[-1], x.dtype)
    picked = pe.sum(x * own, -1)
    return [
        pe.log_softmax(x),
        pe.max(x, -1),
        pe.sum(x, -1),
        pe.sum(x * x, -1, keepdims=True) * x,
        picked - pe.log(pe.sum(pe.exp(x - pe.max(x, -1, keepdims=True)), -1)),
        pe.sum((x > 0).astype(x.dtype), -1),
        x > 0,
    ]


def short(c: Computation) -> int:
    """How many kernels walk along short rows."""
    plan = pipeline.lower(c)
    return sum(ShortRows.fits(plan, kernel) for kernel in plan.kernels)


def special(x: np.ndarray) -> np.ndarray:
    """Some rows with numbers that sums and maxima must get right."""
    x[1], x[3, 0], x[4, -1], x[5, :2], x[7] = -0.0, np.nan, np.inf, -np.inf, -np.inf
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [2, 3, 5, 8, 10, 15, 16])
def test_a_row_gives_the_same_among_many(columns, dtype):
    """Fewer than 16 rows are walked one by one: an independent way to the same bits."""
    x, bias = special(numbers(57, columns, dtype=dtype)), numbers(columns, dtype=dtype, seed=1)
    c = trace(scores, x, bias)
    assert short(c) >= 2
    whole = run(c, [x, bias])
    for start in range(0, 57, 9):
        few = trace(scores, x[start : start + 9], bias)
        assert short(few) == 0
        part = run(few, [x[start : start + 9], bias])
        assert bits(part) == bits([array[start : start + 9] for array in whole])
    for found, right in zip(whole, reference(c, [x, bias]), strict=True):
        np.testing.assert_allclose(found, right, rtol=2e-5 if dtype == "float32" else 1e-12)
    assert whole[-1].dtype == bool and whole[-1].any() and not whole[-1].all()


@pytest.mark.parametrize("rows", [16, 17, 33, 100, 200])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_same_bits_on_any_threads(rows, leading):
    given = [numbers(*leading, rows, 7), numbers(7, seed=1)]
    found = set()
    for cpu in same_processors():
        for count in (1, 2, 3, 5):
            with processor(cpu), threads(count), pytest.MonkeyPatch.context() as patch:
                patch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
                patch.setattr("pellucid.compiler.cache.read", lambda name: None)
                found.add(bits(run(trace(scores, *given), given)))
    assert len(found) == 1


@pytest.mark.parametrize(
    "seen",
    [
        lambda x: pe.sum(pe.sin(x.T), 0),  # the rows lie across: lanes already run along them
        lambda x: pe.sum(pe.sin(x[::2, ::-1]), -1),
        lambda x: pe.sum(pe.sin(broadcast_to(x[:1], x.shape)), -1),
        lambda x: pe.sum(broadcast_to(x[:, :1], x.shape) * x, -1),
        lambda x: pe.sum((x < 0) & (x > -1), -1),
        lambda x: pe.max(x.astype(np.int32), -1),
        lambda x: pe.sum(x.reshape((-1, 2, 4)), (0, 2)),
        lambda x: pe.sum(pe.sin(x.T.reshape((4, -1, 8)).transpose(0, 2, 1)), 1),
    ],
)
def test_however_rows_lie(seen):
    x = numbers(80, 8, dtype="float64") * 2
    c = trace(seen, x)
    np.testing.assert_allclose(run(c, [x])[0], reference(c, [x])[0], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("shape", [(20, 0), (3, 20, 0), (0, 20, 3), (20, 0, 3), (20, 1), (20, 17)])
def test_no_elements_and_one_more_than_a_vector_has(shape):
    x = np.ones(shape, np.float32)
    c = trace(lambda x: [pe.sum(pe.sin(x), -1) + 1.0, pe.sum(x, -1)], x)
    for found, right in zip(run(c, [x]), reference(c, [x]), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-6)


def test_a_sum_that_changes_what_it_reads_is_done_once():
    """A cell that is read and written: the last 16 of 20 rows meet some rows twice."""
    w = parameter(numbers(20, dtype="float64"))
    x = placeholder((20, 3), np.dtype("float64"), "x")
    with tracing():
        new = w * 0.5 + pe.sum(pe.sin(Tensor(x)), -1)
    c = Computation((x,), (), ((w.node.cell, new.node),))
    given, before = numbers(20, 3, dtype="float64", seed=2), w.node.cell.value.copy()
    run(c, [given], steps=2)
    expected = (before * 0.5 + np.sin(given).sum(1)) * 0.5 + np.sin(given).sum(1)
    np.testing.assert_allclose(w.node.cell.value, expected, rtol=1e-13)


def test_sums_along_rows_are_one_walk():
    """Both are of values that the other one reads or makes."""
    x = numbers(50, 9)
    c = trace(lambda x: [pe.sum(pe.exp(x), -1), pe.sum(pe.where(x > 0, x, 0.0), -1)], x)
    assert [len(k.roots) for k in pipeline.lower(c).kernels if k.roots] == [2]
    long = trace(lambda x: [pe.sum(x, -1), pe.sum(x * x, -1)], numbers(5, 70))
    assert [len(k.roots) for k in pipeline.lower(long).kernels if k.roots] == [2]
    given = [numbers(5, 70)]
    for found, right in zip(run(long, given), reference(long, given), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5)


# -- products with few columns -------------------------------------------------


def product(x, g):
    """The gradient of a layer's weights, with something behind it."""
    return pe.tanh(pe.sin(x).T @ pe.cos(g)) * 2.0


def written(c: Computation, registers: int = 32) -> int:
    """How many products have their rows along the lanes."""
    plan = pipeline.lower(c)
    return sum(k.kind == "contract" and Across.fits(plan, k, registers) for k in plan.kernels)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("terms", "rows", "columns"),
    [(133, 100, 3), (200, 100, 10), (2, 64, 2), (7, 33, 2), (50, 129, 5), (201, 300, 11)],
)
def test_products_of_few_columns_keep_their_bits(terms, rows, columns, dtype):
    given = [numbers(terms, rows, dtype=dtype), numbers(terms, columns, dtype=dtype, seed=1)]
    assert written(trace(product, *given)) == 1
    found = {}
    for usual in (False, True):
        for cpu in same_processors():
            for count in (1, 2, 3):
                with processor(cpu), threads(count), pytest.MonkeyPatch.context() as patch:
                    patch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
                    patch.setattr("pellucid.compiler.cache.read", lambda name: None)
                    if usual:
                        patch.setattr(Across, "fits", staticmethod(lambda *_: False))
                    c = trace(product, *given)
                    found[usual, cpu, count] = bits(run(c, given))
    assert len(set(found.values())) == 1
    exact = reference(c, given)[0]
    np.testing.assert_allclose(run(c, given)[0], exact, atol=1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize(
    ("rows", "columns", "turned"),
    [
        (100, 10, True),
        (100, 3, True),
        (100, 8, False),  # half a vector costs half as much on many processors
        (100, 15, False),
        (100, 1, False),
        (10, 3, False),  # rows fill no vector either
    ],
)
def test_products_are_turned_where_it_pays(rows, columns, turned):
    assert written(trace(product, numbers(64, rows), numbers(64, columns))) == turned


def test_a_product_whose_rows_do_not_lie_along_memory_is_not_turned():
    c = trace(lambda x, w: x @ w, numbers(100, 40), numbers(40, 3))
    assert written(c) == 0


def parts(x, g):
    """A batch of products."""
    return pe.sin(x).transpose(0, 2, 1) @ g * 2.0


def around(x, g):
    """What follows lies within something larger, and meets rows, columns and both."""
    y = product(x, g)
    y = y * pe.sin(x)[0][:, None] + pe.exp(g)[0] * y.T.T
    return [pad(y, (1, 0), (2, 1), (0, 0)), pe.concatenate([y, y[::-1]]), y.T * 3.0]


@pytest.mark.parametrize(
    ("made", "leading", "terms"),
    [(made, lead, n) for made, lead in ((product, ()), (parts, (2,))) for n in (0, 1, 2, 17)]
    + [(around, (), n) for n in (1, 2, 17)],
)
@pytest.mark.parametrize(("rows", "columns"), [(40, 3), (48, 10), (130, 2)])
def test_whatever_stands_around_a_product_of_few_columns(made, leading, rows, columns, terms):
    given = [numbers(*leading, terms, n, seed=n) for n in (rows, columns)]
    if terms > 2:
        given[0][..., 1, 3], given[1][..., 2, 1] = np.nan, np.inf
    found = set()
    for usual in (False, True):
        for count in (1, 3):
            with threads(count), pytest.MonkeyPatch.context() as patch:
                patch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
                patch.setattr("pellucid.compiler.cache.read", lambda name: None)
                if usual:
                    patch.setattr(Across, "fits", staticmethod(lambda *_: False))
                c = trace(made, *given)
                assert usual or terms < 2 or written(c) == 1
                results = run(c, given)
                found.add(bits(results))
    assert len(found) == 1
    for result, right in zip(results, reference(trace(made, *given), given), strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [33, 57, 100])
def test_an_update_behind_a_product_of_few_columns(rows):
    w = parameter(numbers(rows, 3, dtype="float64"))
    cell = w.node.cell
    around = np.full((2 * rows, LANES), 7.0)  # what lies behind the cell's own rows stays
    before = cell.value.copy()
    cell.value = around[:rows, :3]
    x, g = (placeholder((30, n), np.dtype("float64"), str(n)) for n in (rows, 3))
    with tracing():
        own = pe.sin(Tensor(x))
        c = Computation((x, g), (), ((cell, (w - 0.1 * (own.T @ Tensor(g) + w)).node),))
    assert written(c) == 1
    given = [numbers(30, rows, dtype="float64"), numbers(30, 3, dtype="float64", seed=3)]
    expected = before
    for _ in range(2):
        expected = expected - 0.1 * (np.sin(given[0]).T @ given[1] + expected)
    for count in (1, 2):
        with threads(count), pytest.MonkeyPatch.context() as patch:
            patch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
            patch.setattr("pellucid.compiler.cache.read", lambda name: None)
            cell.value[...] = before
            run(c, given, steps=2)
        np.testing.assert_allclose(cell.value, expected, rtol=1e-12, atol=1e-12)
        assert (around[rows:] == 7).all()


def test_one_hot_is_made_again_where_it_is_read():
    """It takes no value of its size: storing it would cost more."""
    labels = np.arange(50, dtype=np.int32) % 9

    def loss(x, labels):
        own = one_hot(labels, 9)
        return [pe.sum(pe.exp(x) * own, -1), pe.sum(pe.cos(x) * own, 0)]

    x = numbers(50, 9)
    plan = pipeline.lower(trace(loss, x, labels))
    kept = {b.shape for k in plan.kernels for b in k.writes if b.role == "temporary"}
    assert (50, 9) not in kept
