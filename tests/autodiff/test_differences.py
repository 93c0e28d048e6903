"""Differences: their values, the errors they tell of, and how often they evaluate."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.autodiff import central_difference, forward_difference

BOTH = {"forward": forward_difference, "central": central_difference}
SMOOTH = {
    "sin": (pe.sin, 0.7),
    "exp": (lambda x: pe.exp(3 * x), 0.5),
    "a cube": (lambda x: x**3, -1.5),
    "a quotient": (lambda x: x / (1 + x * x), 0.3),
}


@pytest.mark.parametrize("step", [1e-2, 1e-4, 1e-6, 1e-9])
@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("way", BOTH)
def test_the_error_is_within_what_is_estimated(way, name, step):
    f, at = SMOOTH[name]
    found = BOTH[way](f, at, step=step)
    exact = pe.grad(f)(np.float64(at)).item()
    # f itself may be some units in the last place off, its estimate counts one
    assert abs(found.value - exact) <= 1.1 * found.truncation + 8 * found.rounding
    assert found.error == found.truncation + found.rounding
    assert found.step == step


def test_the_error_of_truncation_goes_with_the_step_and_with_its_square():
    f, exact = (lambda x: pe.exp(x)), np.exp(1.0)
    for way, power in ((forward_difference, 1), (central_difference, 2)):
        errors = [abs(way(f, 1.0, step=h).value - exact) for h in (1e-2, 1e-3)]
        assert errors[0] / errors[1] == pytest.approx(10**power, rel=0.02)


def test_rounding_grows_as_the_step_shrinks():
    coarse, fine = (central_difference(pe.exp, 1.0, step=h) for h in (1e-3, 1e-9))
    assert fine.rounding > 1e5 * coarse.rounding
    assert abs(fine.value - np.e) > abs(central_difference(pe.exp, 1.0).value - np.e)
    assert central_difference(pe.exp, 1.0).step == 1e-6


def test_evaluations_are_counted():
    calls = []

    def f(x, y):
        calls.append(1)
        return (x * x).sum() * y

    x = np.ones((2, 3))
    forward, central = forward_difference(f, x, 2.0), None
    assert forward.evaluations == 7 and len(calls) == 7 + 6  # the estimate takes 6 more
    calls.clear()
    central = central_difference(f, x, 2.0)
    assert central.evaluations == 12 and len(calls) == 12 + 12
    assert central.value.shape == (2, 3)
    np.testing.assert_allclose(central.value, 4.0, rtol=1e-8)


def test_by_another_argument_and_by_tensors():
    found = central_difference(lambda x, y: (x * y).sum(), pe.tensor([1.0, 2.0]), 3, argument=1)
    assert found.value == pytest.approx(3.0, abs=1e-8) and found.value.shape == ()


def test_the_distance_is_the_one_that_was_walked():
    """Near 1e6 a step of 1e-6 is rounded: dividing by 2 h would be wrong in the fifth digit."""
    found = central_difference(lambda x: x, 1234567.1, step=1e-6)
    assert found.value == 1.0


@pytest.mark.parametrize("way", BOTH)
def test_errors(way):
    with pytest.raises(ValueError, match=r"single number as its result, received shape \(2,\)"):
        BOTH[way](lambda x: x, [1.0, 2.0])
    for step in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="must be above 0"):
            BOTH[way](lambda x: x, 1.0, step=step)
