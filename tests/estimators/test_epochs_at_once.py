"""Epochs that compiled code runs by itself, up to the last one: as Python runs them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from pellucid import estimators
from pellucid.compiler import Objective
from pellucid.estimators.engine import Trainer
from pellucid.estimators.learning import Learning
from pellucid.estimators.orders import Orders
from tests.programs import threads

RNG = np.random.default_rng(0)
X = RNG.standard_normal((157, 6))
SUMS = X @ RNG.standard_normal((6, 3))
TARGETS = {"classes": SUMS.argmax(1), "number": SUMS[:, 0], "numbers": SUMS, "labels": SUMS > 0}

CASES = {
    "three classes": ("classes", {"tol": 1e-3, "n_iter_no_change": 3}),
    "ends at the limit": ("classes", {"max_iter": 17}),
    "a small batch": ("classes", {"batch_size": 30, "tol": 1e-3, "n_iter_no_change": 2}),
    "no shuffling": ("classes", {"batch_size": 30, "shuffle": False, "tol": 2e-3}),
    "one batch": ("classes", {"batch_size": 157, "tol": 5e-3, "n_iter_no_change": 4}),
    "adaptive": (
        "number",
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05, "tol": 1e-3,
         "n_iter_no_change": 2},
    ),
    "invscaling": ("number", {"solver": "sgd", "learning_rate": "invscaling", "max_iter": 40}),
    "several numbers": ("numbers", {"alpha": 0.1, "tol": 1e-2, "n_iter_no_change": 2}),
    "several labels": ("labels", {"batch_size": 50, "tol": 1e-3, "n_iter_no_change": 2}),
    "dropout": ("classes", {"dropout": 0.2, "tol": 1e-3, "n_iter_no_change": 2}),
    "batch norm": ("classes", {"batch_norm": True, "batch_size": 40, "max_iter": 15}),
    "patient for ever": ("classes", {"n_iter_no_change": np.inf, "max_iter": 25}),
    "weights": ("classes", {"batch_size": 50, "tol": 1e-3, "class_weight": {0: 0, 1: 2, 2: 1}}),
    "float64": ("classes", {"dtype": "float64", "batch_size": 10, "tol": 1e-3}),
}  # fmt: skip


def learned(
    target: str, options: dict, warm: bool = False, draws: type = np.random.MT19937
) -> list:
    """All that learning leaves behind, with the state of the random numbers."""
    y, random = TARGETS[target], np.random.RandomState(draws(3))
    kind = "MLPRegressor" if target.startswith("number") else "MLPClassifier"
    net = getattr(estimators, kind)(
        hidden_layer_sizes=(8,), random_state=random, warm_start=warm, **options
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(1 + warm):
            net.fit(X, y)
    weights = [*net.coefs_, *net.intercepts_]
    told = net.loss_curve_, net.n_iter_, net.best_loss_, net.t_, net._no_improvement
    return [*told, [w.tobytes() for w in weights], random.randint(1 << 30)]


@pytest.fixture
def calls(monkeypatch):
    """Which epochs were run at once; with `calls.clear()` first, what follows counts."""
    own, found = Trainer.run_epochs, []

    def run_epochs(self, data, orders, epochs, *rest):
        losses = own(self, data, orders, epochs, *rest)
        found.append((epochs, len(losses)))
        return losses

    monkeypatch.setattr(Trainer, "run_epochs", run_epochs)
    return found


@pytest.mark.parametrize("name", CASES)
def test_as_one_after_the_other(name, calls):
    target, options = CASES[name]
    found = set()
    for count in (1, 2, 3):
        with threads(count):
            found.add(repr(learned(target, options)))
    assert bool(calls) == (name != "batch norm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learning, "_by_itself", False)
        assert found == {repr(learned(target, options))}


def test_two_fits_in_a_row(calls):
    options = {"tol": 1e-3, "n_iter_no_change": 3}
    warm = learned("classes", options, warm=True)
    assert len(calls) >= 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learning, "_by_itself", False)
        assert learned("classes", options, warm=True) == warm


def test_how_fast_steps_are_is_known_in_the_next_fit(calls):
    """The first fit feels its way, a fit of the same shapes again is a single call."""
    options = {"hidden_layer_sizes": (4,), "max_iter": 200, "n_iter_no_change": 200}

    def fit(rows: int) -> list:
        calls.clear()
        with threads(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = estimators.MLPRegressor(random_state=0, **options).fit(X[:rows], SUMS[:rows])
        return [w.tobytes() for w in net.coefs_]

    first = fit(150)
    assert calls[0] == (64, 64) and len(calls) > 1
    assert fit(150) == first
    assert calls == [(200, 200)]
    fit(140)
    assert calls[0] == (64, 64)


def test_of_another_generator(calls):
    found = learned("classes", {"max_iter": 20}, draws=np.random.PCG64)
    assert calls
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learning, "_by_itself", False)
        assert learned("classes", {"max_iter": 20}, draws=np.random.PCG64) == found


def test_limits_that_no_number_of_64_bits_holds(calls):
    options = {"tol": 1e-2, "max_iter": 2**70}
    net = estimators.MLPClassifier((4,), random_state=0, n_iter_no_change=2, **options)
    assert net.fit(X, TARGETS["classes"]).n_iter_ < 1000
    net = estimators.MLPRegressor(
        hidden_layer_sizes=(4,), random_state=0, n_iter_no_change=2**70, solver="sgd",
        learning_rate_init=1e9, **options,
    )  # fmt: skip
    with pytest.raises(ValueError, match="non-finite"):
        net.fit(X, TARGETS["number"])


def test_partial_fits(calls):
    def told() -> list:
        net = estimators.MLPClassifier((8,), random_state=1, batch_size=30)
        for _ in range(4):
            net.partial_fit(X, TARGETS["classes"], classes=[0, 1, 2])
        return [net.loss_curve_, [w.tobytes() for w in net.coefs_]]

    found = told()
    assert len(calls) == 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learning, "_by_itself", False)
        assert told() == found


def test_a_whole_fit_is_a_few_native_calls(calls):
    learned("classes", {"max_iter": 300, "tol": 0.0, "n_iter_no_change": 300})
    assert sum(done for _, done in calls) == 300 and len(calls) <= 12


def test_it_ends_with_the_epoch_whose_loss_is_no_number(calls):
    def message() -> str:
        with pytest.raises(
            ValueError, match="non-finite parameter weights: the loss of epoch"
        ) as e:
            learned("number", {"solver": "sgd", "learning_rate_init": 1e9, "max_iter": 50})
        return str(e.value)

    found = message()
    (asked, done), *_ = calls
    assert done < asked
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learning, "_by_itself", False)
        assert message() == found


def test_who_looks_sees_every_epoch(calls):
    seen: list[object] = []
    net = estimators.MLPClassifier((4,), max_iter=5, random_state=0, callbacks=[seen.append])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net.fit(X, TARGETS["classes"])
    assert len(seen) == 5 and not calls


def test_orders_lie_where_steps_read_them():
    for room in (None, 16, 32):
        orders, twin = (np.random.RandomState(1) for _ in range(2))
        given = Orders(37, 16, room, 99, orders)
        expected = np.arange(37)
        for epochs in (1, 3, 2):
            parts = given.next(epochs)
            for epoch in range(epochs):
                twin.shuffle(expected)
                if room is None:
                    rows = np.concatenate([p.reshape(-1) for p in parts[2 * epoch : 2 * epoch + 2]])
                    np.testing.assert_array_equal(rows, expected)
                    continue
                lines = parts[0][3 * epoch : 3 * epoch + 3]
                for line, count, first in zip(lines, (16, 16, 5), (0, 16, 32), strict=True):
                    np.testing.assert_array_equal(line[:count], expected[first : first + count])
                    assert (line[count:] == 99).all() or count == 16
                assert (lines[2][5:] == 99).all()


def test_a_loss_is_a_mean_over_rows_and_outputs():
    counts = np.array([4, 2], np.int32)
    records = np.array([[3.0, 4, 8], [1.0, 2, 8], [5.0, 4, 0], [7.0, 2, 0]], np.float32)
    one = Objective(counts, np.array([4.0, 4.0]), 1)
    np.testing.assert_allclose(one.losses(records), [(12 + 2) / 6, (20 + 14) / 6])
    two = Objective(counts, np.array([4.0, 4.0]), 2)
    shares = [8 / 4 / 4, 8 / 4 / 2]
    means = [(3 - shares[0]) / 2 + shares[0], (1 - shares[1]) / 2 + shares[1]]
    np.testing.assert_allclose(two.losses(records)[0], (means[0] * 4 + means[1] * 2) / 6)
