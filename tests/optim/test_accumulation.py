"""Accumulated gradients: a larger batch in parts, and nothing in between."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.core.tree import leaves
from pellucid.train.step import TrainingState

RULES = {
    "sgd": lambda: optim.sgd(0.2),
    "adam": lambda: optim.adam(0.02),
    "scheduled": lambda: optim.momentum(optim.step_decay(0.1, 0.5, every=3)),
    "chain": lambda: optim.chain(
        optim.clip_by_norm(0.5), optim.l2(0.01), optim.sgd(0.2), optim.l1(0.01)
    ),
    "averaged": lambda: optim.chain(optim.sgd(0.2), optim.average_weights(0.8)),
}


def trained(rule, batch_size: int, dtype, epochs: int = 5):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((96, 5)), rng.integers(0, 3, 96)
    pe.random.set_seed(0)
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3)).astype(dtype)
    train.fit(model, X, y, optimizer=rule, epochs=epochs, batch_size=batch_size, shuffle=False)
    return model.state_dict()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-12)])
def test_four_batches_are_one_that_is_four_times_larger(name, dtype, tolerance):
    large = trained(RULES[name](), 32, dtype)
    parts = trained(optim.accumulate(RULES[name](), steps=4), 8, dtype)
    for key, value in large.items():
        np.testing.assert_allclose(parts[key], value, rtol=tolerance, atol=tolerance, err_msg=key)


def test_in_between_nothing_changes():
    rule, rng = optim.accumulate(optim.adam(0.1), steps=3), np.random.default_rng(0)
    weights = {"w": pe.parameter(rng.standard_normal(4))}
    state = rule.init(weights)
    inner = optim.adam(0.1)
    total = np.zeros(4)
    theirs, memory = {"w": pe.parameter(weights["w"].numpy())}, inner.init(weights)
    for step in range(7):
        before = [np.array(leaf) for leaf in leaves(state["accumulate"]["rule"])]
        g = rng.standard_normal(4)
        updates, state = rule.update({"w": pe.tensor(g)}, state, weights, step)
        after = [np.array(leaf) for leaf in leaves(state["accumulate"]["rule"])]
        total = total + g if step % 3 else g
        if step % 3 < 2:
            assert not updates["w"].numpy().any()
            assert all((a == b).all() for a, b in zip(before, after, strict=True))
        else:
            mean = {"w": pe.tensor(total / 3)}
            expected, memory = inner.update(mean, memory, theirs, step // 3)
            np.testing.assert_allclose(updates["w"].numpy(), expected["w"].numpy(), rtol=1e-12)
            assert not state["accumulate"]["sum"]["w"].numpy().any()
        optim.apply_updates(weights, updates)
        optim.apply_updates(theirs, updates)


def test_one_batch_is_the_rule_itself():
    plain, single = (
        trained(r, 16, np.float32) for r in (optim.adam(), optim.accumulate("adam", 1))
    )
    assert all((plain[k] == single[k]).all() for k in plain)


def test_what_is_left_over_is_not_applied():
    two = trained(optim.accumulate(optim.sgd(0.1), 4), 12, np.float32, epochs=1)  # 8 batches
    three = trained(optim.accumulate(optim.sgd(0.1), 5), 12, np.float32, epochs=1)
    first = trained(optim.sgd(0.0), 12, np.float32, epochs=1)
    assert any((two[k] != first[k]).any() for k in two)
    rest = trained(optim.accumulate(optim.sgd(0.1), 9), 12, np.float32, epochs=1)
    assert all((rest[k] == first[k]).all() for k in rest)
    assert any((three[k] != two[k]).any() for k in two)


def test_the_counts_are_whole_numbers():
    model = nn.Sequential(nn.Linear(2, 1))
    state = TrainingState(model, optim.accumulate("sgd", 2), 0).memory["accumulate"]
    assert state["seen"].dtype == state["taken"].dtype == np.uint32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.accumulate("adam", 0), "steps must be a whole number of at least 1"),
        (lambda: optim.accumulate("adan"), "did you mean 'adam'"),
        (
            lambda: optim.chain(optim.accumulate("sgd"), optim.l1(0.1)),
            "l1 cannot follow accumulate, which decides on the new weights by itself",
        ),
        (
            lambda: optim.chain(optim.accumulate("sgd"), optim.accumulate("sgd")),
            "accumulate cannot follow accumulate",
        ),
        (
            lambda: optim.chain(optim.l1(0.1), optim.accumulate("sgd")),
            "l1 cannot come before accumulate",
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_gradients_may_be_clipped_before_and_weights_averaged_after():
    rule = optim.chain(
        optim.clip_by_value(1.0), optim.accumulate(optim.sgd(1.0), 2), optim.average_weights(0.5)
    )
    weights = {"w": pe.parameter([0.0])}
    state = rule.init(weights)
    for step, g in enumerate([5.0, 0.5]):
        updates, state = rule.update({"w": pe.tensor([g])}, state, weights, step)
        optim.apply_updates(weights, updates)
    assert weights["w"].item() == -0.75
    assert rule.weights(state, weights)["w"].item() == pytest.approx(-0.75 / 1.5)
