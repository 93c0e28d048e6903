"""Moving averages of the weights, in eager steps and through `fit`."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train


def weighted(history: list[np.ndarray], decay: float) -> np.ndarray:
    """The average as the docstring sums it up."""
    shares = decay ** np.arange(len(history))[::-1]
    return np.tensordot(shares / shares.sum(), np.array(history), 1)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99, 0.9999])
@pytest.mark.parametrize("make", [lambda: optim.sgd(0.3), lambda: optim.adam(0.1)])
def test_the_average_of_all_weights_so_far(make, decay):
    plain, rule = make(), optim.chain(make(), optim.average_weights(decay))
    rng = np.random.default_rng(1)
    first = rng.standard_normal((3, 2))
    theirs, ours = {"w": pe.parameter(first)}, {"w": pe.parameter(first)}
    before, state = plain.init(theirs), rule.init(ours)
    np.testing.assert_array_equal(rule.weights(state, ours)["w"].numpy(), first)
    history = []
    for step in range(60):
        g = {"w": pe.tensor(rng.standard_normal((3, 2)))}
        changes, before = plain.update(g, before, theirs, step)
        optim.apply_updates(theirs, changes)
        changes, state = rule.update(g, state, ours, step)
        optim.apply_updates(ours, changes)
        history.append(theirs["w"].numpy().copy())
        np.testing.assert_array_equal(ours["w"].numpy(), history[-1])  # training is as before
        found = rule.weights(state, ours)["w"].numpy()
        np.testing.assert_allclose(found, weighted(history, decay), rtol=1e-12, atol=1e-14)


def test_settled_weights_are_averaged():
    rule = optim.chain(optim.sgd(1.0), optim.max_norm(1.0), optim.average_weights(0.9))
    weights = {"w": pe.parameter(np.full((2, 1), 50.0))}
    _, state = rule.update({"w": pe.tensor(np.zeros((2, 1)))}, rule.init(weights), weights, 0)
    norm = np.linalg.norm(rule.weights(state, weights)["w"].numpy())
    assert norm == pytest.approx(1.0)


def test_after_fit_the_model_holds_the_averages():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3)).astype(np.float32)
    y = X @ np.array([1.0, -2.0, 0.5], np.float32)

    def trained(rule, epochs):
        model = nn.Sequential(nn.Linear(3, 1, weight_init="zeros"))
        train.fit(model, X, y, loss="mse", optimizer=rule, epochs=epochs, batch_size=40)
        return model.state_dict()

    history = [trained(optim.sgd(0.1), epochs) for epochs in range(1, 8)]
    found = trained(optim.chain(optim.sgd(0.1), optim.average_weights(0.8)), 7)
    for name, value in found.items():
        expected = weighted([h[name] for h in history], 0.8)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_averages_are_steadier_than_the_weights():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 5)).astype(np.float32)
    y = (X.sum(1) + 2 * rng.standard_normal(400)).astype(np.float32)
    best = np.linalg.lstsq(np.c_[X, np.ones(400)], y, rcond=None)[1][0] / 400

    def excess(rule):
        model = nn.Sequential(nn.Linear(5, 1))
        train.fit(model, X, y, loss="mse", optimizer=rule, epochs=40, batch_size=4)
        return train.evaluate(model, X, y, loss="mse")["loss"] - best

    plain = excess(optim.sgd(0.05))
    averaged = excess(optim.chain(optim.sgd(0.05), optim.average_weights(0.99)))
    assert 0 <= averaged < 0.1 * plain


def test_decay_is_checked():
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\), received 1"):
        optim.average_weights(1.0)
