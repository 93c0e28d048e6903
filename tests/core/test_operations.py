"""What a computation costs: each primitive has a row, sizes are counted as by hand."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.core import TABLE
from pellucid.core.node import placeholder, tracing
from pellucid.core.operations import COSTS, all_operations, operations
from pellucid.core.tensor import Tensor, apply


def test_every_primitive_has_a_row():
    assert set(COSTS) == set(TABLE)


def of(f, *shapes, dtype=np.float32) -> int:
    inputs = [Tensor(placeholder(s, np.dtype(dtype))) for s in shapes]
    with tracing():
        return all_operations([f(*inputs).node])


COUNTED = {
    "sum of two": (lambda x, y: x + y, [(3, 5), (3, 5)], 15),
    "a row added to each": (lambda x, y: x + y, [(3, 5), (5,)], 15),
    "quotients": (lambda x: 1 / x, [(3, 5)], 4 * 15),
    "roots": (pe.sqrt, [(7,)], 4 * 7),
    "sigmoids": (pe.sigmoid, [(3, 5)], 8 * 15),
    "powers": (lambda x, y: x**y, [(4,), (4,)], 8 * 4),
    "a square": (lambda x: x**2, [(4,)], 4),
    "a sum": (pe.sum, [(3, 5)], 15),
    "sums of rows": (lambda x: pe.sum(x, 1), [(3, 5)], 15),
    "a greatest": (pe.max, [(3, 5)], 15),
    "a mean": (pe.mean, [(3, 5)], 15 + 4),
    "softmax": (pe.softmax, [(2, 10)], 20 + 20 + 8 * 20 + 20 + 4 * 20),
    "a product": (lambda x, y: x @ y, [(3, 5), (5, 7)], 2 * 3 * 5 * 7),
    "products of batches": (lambda x, y: x @ y, [(4, 3, 5), (4, 5, 7)], 4 * 2 * 3 * 5 * 7),
    "a view": (lambda x: x.T.reshape(15)[::2], [(3, 5)], 0),
    "a choice": (lambda x: pe.where(x > 0, x, 0.0), [(3, 5)], 15),  # the comparisons
    "rows by number": (lambda x: pe.take(x, [0, 2]), [(3, 5)], 0),
    "a convolution": (
        lambda x, w: pe.conv(x, w),
        [(2, 9, 8, 3), (3, 3, 3, 16)],
        2 * (2 * 7 * 6 * 16) * (3 * 3 * 3),
    ),
    "pooling": (lambda x: pe.max_pool(x, 2), [(2, 4, 6, 3)], 2 * 2 * 3 * 3 * 4),
    "used twice": (lambda x: pe.exp(x) * pe.exp(x), [(5,)], 8 * 5 + 5),
    "without elements": (lambda x: pe.exp(x), [(0, 3)], 0),
}


@pytest.mark.parametrize("name", COUNTED)
def test_operations_are_counted_as_by_hand(name):
    f, shapes, expected = COUNTED[name]
    assert of(f, *shapes) == expected


def test_derivatives_of_a_convolution_take_as_much_as_itself():
    x, w = (2, 9, 8, 3), (3, 3, 3, 16)
    once = of(lambda x, w: pe.conv(x, w), x, w)
    kernel = of(lambda x, w: pe.vjp(lambda v: pe.conv(x, v), w)[1](np.ones((2, 7, 6, 16)))[0], x, w)
    assert kernel == once


def test_scattering_adds_each_update():
    def f(x, u):
        return apply("scatter_add", x, pe.tensor([0, 0, 2]), u)

    assert of(f, (4, 5), (3, 5)) == 15


def test_whole_numbers_count_nothing():
    assert of(lambda x: (x + 1) * x, (5,), dtype=np.int32) == 0
    assert of(lambda x: pe.one_hot(x, 10), (5,), dtype=np.int32) == 0
    assert of(lambda x: x.astype(np.int32) + 1, (5,)) == 0


def test_an_eager_value_costs_nothing_any_more():
    assert operations((pe.tensor([1.0, 2.0]) * 3.0).node) == 0
