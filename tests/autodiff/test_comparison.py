"""Three ways side by side: they agree, and tell the sizes and costs of what was done."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe

pytest.importorskip("sympy")

X = np.array([[0.3, -0.7], [1.1, 0.4]])
W = np.array([0.6, -0.4])
FUNCTIONS = {
    "a neuron": lambda x, w: pe.sigmoid(x @ w).sum(),
    "softmax": lambda x, w: pe.logsumexp(x @ w) - (x @ w)[1],
    "rectified": lambda x, w: pe.sum(pe.relu(x) * w),
    "a quotient": lambda x, w: pe.sum(x / (1 + w * w)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_three_ways_agree(name):
    found = pe.three_ways(FUNCTIONS[name], X, W)
    assert found.names == ("x_0_0", "x_0_1", "x_1_0", "x_1_1", "w_0", "w_1")
    np.testing.assert_array_equal(found.at, [*X.flat, *W])
    np.testing.assert_allclose(found.symbolic, found.backpropagation, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.central, found.backpropagation, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.forward, found.backpropagation, rtol=1e-5, atol=1e-5)
    assert found.value == pytest.approx(found.formula(X, W), rel=1e-12)


def test_costs_are_what_the_ways_take():
    calls = []

    def f(x, w):
        calls.append(1)
        return pe.sum(x @ w)

    found = pe.three_ways(f, X, W)
    assert found.forward_evaluations == 1 + 6
    assert found.central_evaluations == 2 * 6
    assert found.nodes == 4  # w as a column, product, column as a row, sum
    assert found.gradient_nodes > found.nodes
    assert found.operations == 7  # 2 products and a sum for each of 2 rows, and their sum
    assert found.derivative_operations == 2  # by x the weights themselves, by w sums of 2


def test_the_step_is_the_callers():
    rough, fine = (pe.three_ways(pe.sin, 0.5, step=h) for h in (1e-2, 1e-5))
    assert abs(rough.central - rough.symbolic) > 1e5 * abs(fine.central - fine.symbolic)
    assert rough.step == 1e-2 and "h = 0.01" in str(rough)


def test_the_table():
    found = pe.three_ways(lambda x, y, z: (x + y) * z, -2, 5, -4, step=2.0**-20)
    assert str(found).splitlines() == [
        "f(x, y, z) = z*(x + y) = -12",
        "df/dx = z",
        "df/dy = z",
        "df/dz = x + y",
        "",
        "   at  backpropagation  forward  off by  central  off by  symbolic  off by",
        "x  -2               -4       -4       0       -4       0        -4       0",
        "y   5               -4       -4       0       -4       0        -4       0",
        "z  -4                3        3       0        3       0         3       0",
        "",
        "backpropagation  one pass forward, one back",
        "forward          4 evaluations, h = 9.53674e-07",
        "central          6 evaluations, h = 9.53674e-07",
        "symbolic         3 formulas, one for each derivative",
        "size of graph    2 nodes; 4 with all derivatives",
        "size of formula  2 operations; 1 in all derivatives",
    ]
    assert repr(found) == str(found)


def test_at_a_kink_the_ways_differ_and_the_table_shows_it():
    found = pe.three_ways(pe.relu, 0.0)
    assert (found.backpropagation, found.forward) == (0.0, 1.0)
    assert (found.central, found.symbolic) == (0.5, 0.5)


def test_a_function_of_many_numbers_is_refused():
    with pytest.raises(ValueError, match="single number"):
        pe.three_ways(lambda x: x, [1.0, 2.0])
