"""The convergence theorem: every run on separable rows keeps within the bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pellucid.estimators import Perceptron, mistake_bound

SQUARE = [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_bound_by_hand():
    """v = (-0.5, 1, 1): distances 0.5 / 1.5; the longest row is (1, 1, 1)."""
    for intercept in (None, -0.5):
        bound = mistake_bound(SQUARE, [0, 1, 1, 1], [1, 1], intercept)
        assert bound == pytest.approx(3 / (0.5 / 1.5) ** 2)
    assert mistake_bound(SQUARE, [0, 1, 1, 1], [[3, 3]], [-1.5]) == pytest.approx(27)
    one_row_each = [[1.0, 0.0], [0.0, 2.0]]
    bound = mistake_bound(one_row_each, ["b", "a"], [1, -1], fit_intercept=False)
    assert bound == pytest.approx(4 / 0.5)


def test_a_start_on_the_way_lowers_the_bound_and_a_wrong_one_raises_it():
    def bound(direction: float, rate: float = 1.0) -> float:
        return mistake_bound(
            SQUARE,
            [0, 1, 1, 1],
            [1, 1],
            -0.5,
            coef_init=[direction, direction],
            intercept_init=-0.5 * direction,
            learning_rate=rate,
        )

    assert bound(100.0) == pytest.approx(0.0, abs=1e-9)
    assert bound(1.0) < 27.0 < bound(-1.0) < bound(-2.0)
    assert bound(-2.0, rate=2.0) == pytest.approx(bound(-1.0))


@pytest.mark.parametrize("s", [(0, 0, 0), (1, 2, 0), (-3, 1, 2), (0, 0, 9)])
def test_the_bound_solves_its_equation(s):
    """(a + k margin)^2 = |s|^2 + k R^2, and no greater k does."""
    k = mistake_bound(SQUARE, [0, 1, 1, 1], [1, 1], -0.5, coef_init=s[1:], intercept_init=s[0])
    length, margin = 1.5, 0.5 / 1.5
    a = (-0.5 * s[0] + s[1] + s[2]) / length
    square = s[0] ** 2 + s[1] ** 2 + s[2] ** 2
    assert (a + k * margin) ** 2 == pytest.approx(square + 3 * k)
    assert (a + (k + 1) * margin) ** 2 > square + 3 * (k + 1)


def test_a_row_on_the_hyperplane_leaves_no_margin():
    assert mistake_bound(SQUARE, [0, 1, 1, 1], [1, 1], 0.0) == math.inf


@settings(max_examples=100, deadline=None)
@given(
    st.data(),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.25, 1.0, 4.0]),
)
def test_every_run_on_separable_rows_converges_within_the_bound(data, features, bias, zero, rate):
    """Whole numbers, so that nothing is rounded: a separating v, a start, rows off v's plane."""
    whole = st.integers(-4, 4)
    vector = st.lists(whole, min_size=features, max_size=features)
    w, b = np.array(data.draw(vector)), data.draw(whole) if bias else 0
    rows = np.array(data.draw(st.lists(vector, min_size=2, max_size=12)))
    z = rows @ w + b
    X, y = rows[z != 0], (z > 0)[z != 0]
    assume(len(np.unique(y)) == 2)
    start = {} if zero else {"coef_init": data.draw(vector)}
    if bias and not zero:
        start["intercept_init"] = data.draw(whole)
    bound = mistake_bound(
        X, y, w, b if bias else None, fit_intercept=bias, learning_rate=rate, **start
    )
    assert bound < 100_000
    unit = Perceptron(rate, fit_intercept=bias, max_iter=int(bound) + 1).fit(X, y, **start)
    assert unit.converged_
    assert unit.n_mistakes_[0] <= bound * (1 + 1e-9)
    found = mistake_bound(
        X,
        y,
        unit.coef_,
        unit.intercept_ if bias else None,
        fit_intercept=bias,
        learning_rate=rate,
        **start,
    )
    assert unit.n_mistakes_[0] <= found * (1 + 1e-9), "the separator it found bounds it too"


@pytest.mark.parametrize("seed", range(30))
def test_random_clouds_keep_within_the_bound(seed):
    rng = np.random.default_rng(seed)
    features, margin = int(rng.integers(1, 30)), 10.0 ** rng.uniform(-2, 0)
    w, b = rng.normal(size=features), rng.normal()
    length = math.hypot(np.linalg.norm(w), b)
    X = rng.normal(size=(300, features))
    z = (X @ w + b) / length
    X, y = X[abs(z) > margin], (z > 0)[abs(z) > margin]
    assert len(np.unique(y)) == 2
    unit = Perceptron(max_iter=100_000).fit(X, y)
    bound = mistake_bound(X, y, w, b)
    assert bound <= (1 + (X * X).sum(1).max()) / margin**2 * (1 + 1e-9)
    assert 0 < unit.n_mistakes_[0] <= bound
    assert unit.n_mistakes_[0] <= mistake_bound(X, y, unit.coef_)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 1, 1],), {}, r"coef must be 2 finite numbers, .* received shape \(3,\)"),
        (([1, np.nan],), {}, "coef must be 2 finite numbers, .* received NaN"),
        (([0, 0], 0.0), {}, "the length of coef must be positive"),
        (([1, 1], [1, 2]), {}, "intercept must be a finite number"),
        (([1, 1], 1.0), {"fit_intercept": False}, "has no intercept"),
        (([1, 1], 1.0), {}, "row 0 .*, of class 0, lies on the side of the other"),
        (([1, 1],), {"learning_rate": 0}, "learning_rate must be positive"),
    ],
)
def test_what_does_not_separate_or_fit_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        mistake_bound(SQUARE, [0, 1, 1, 1], *arguments, **options)


def test_it_is_about_two_classes():
    with pytest.raises(ValueError, match="two classes, received 3"):
        mistake_bound(SQUARE, [0, 1, 2, 1], [1, 1])
