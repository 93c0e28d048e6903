"""Every schedule against its formula, on values and in a trace."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import optim
from pellucid.core.interpreter import evaluate
from pellucid.core.node import placeholder, tracing
from pellucid.core.tensor import Tensor

from .samples import SCHEDULES, rows

SAMPLES = dict(rows(SCHEDULES))
each_schedule = pytest.mark.parametrize(("make", "formula"), SAMPLES.values(), ids=SAMPLES)
STEPS = (*range(25), 100, 1000)


def test_every_schedule_has_a_row():
    assert set(SCHEDULES) == set(optim.SCHEDULES)


@each_schedule
def test_formula(make, formula):
    schedule = make()
    for t in STEPS:
        assert float(schedule(np.float64(t))) == pytest.approx(formula(t), rel=1e-12, abs=1e-16)
        assert float(schedule(t)) == pytest.approx(formula(t), rel=2e-5, abs=2e-8)


@each_schedule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_traced(make, formula, dtype):
    with tracing():
        t = Tensor(placeholder((), np.dtype(dtype), "t"))
        rate = make()(t)
    assert (rate.shape, rate.dtype) == ((), np.dtype(dtype))
    (found,) = evaluate([rate.node], {t.node: np.asarray(9, dtype)})
    assert float(found) == pytest.approx(formula(9), rel=1e-5)


def test_any_function_of_the_step_will_do():
    def halving(t):
        return 0.5**t

    rule = optim.sgd(halving)
    assert repr(rule).startswith("sgd(learning_rate=halving, ")
    assert rule.description()["arguments"]["learning_rate"] == {"function": "halving"}
    assert float(optim.as_schedule(halving)(2)) == 0.25
    assert float(optim.as_schedule(lambda t: 3)(2)) == 3.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.constant(-1), r"learning_rate must lie in \[0, inf\), received -1"),
        (lambda: optim.step_decay(0.1, 0.0), r"factor must lie in \(0, 1\], received 0"),
        (lambda: optim.step_decay(0.1, every=0), "every must be a whole number of at least 1"),
        (lambda: optim.exponential(0.1, 1.5), "factor must lie in"),
        (lambda: optim.inverse_time(0.1, -1), "decay must lie in"),
        (
            lambda: optim.linear(0.1, 2.5),
            "steps must be a whole number of at least 1, received 2.5",
        ),
        (lambda: optim.cosine(0.1, 0), "steps must be a whole number of at least 1, received 0"),
        (lambda: optim.polynomial(0.1, 5, power=0), r"power must lie in \(0, inf\), received 0"),
        (lambda: optim.cosine_restarts(0.1, 0), "period must be a whole number of at least 1"),
        (lambda: optim.one_cycle(0.1, 10, rise=0.1), r"rise must lie in \(0.1, 1\), received 0.1"),
        (lambda: optim.warmup_cosine(0.1, 5, 5), "steps must be a whole number of at least 6"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
