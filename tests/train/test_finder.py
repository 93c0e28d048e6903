"""The search for a learning rate: what it sees, and that it leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler, nn, optim, train
from pellucid.core.random import seed_words
from pellucid.train.datasets import load_digits
from pellucid.train.finder import _explosion, _running_mean, _steepest
from pellucid.train.shuffle import shuffle_reference

X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


def network():
    pe.random.set_seed(0)
    return nn.Sequential(
        nn.Linear(3, 16), nn.BatchNorm(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
    )


def test_steps_are_those_of_training_with_a_growing_rate():
    """Plain descent on a line, by hand."""
    model = nn.Sequential(nn.Linear(3, 1, weight_init="zeros"))
    target = X @ np.array([1.0, -2.0, 0.5], np.float32)
    found = train.find_learning_rate(
        model, X, target, loss="mse", optimizer=optim.sgd(), low=1e-4, high=1.0, steps=30,
        batch_size=8, seed=5,
    )  # fmt: skip
    order = np.empty((5, 50), np.int32)
    shuffle_reference(order, seed_words(5), 0)
    batches = [epoch[at : at + 8] for epoch in order for at in range(0, 50, 8)]
    rates = np.geomspace(1e-4, 1.0, 30)
    w, b, losses = np.zeros(3), 0.0, []
    for rate, rows in zip(rates, batches, strict=False):
        apart = X[rows].astype(float) @ w + b - target[rows]
        losses.append((apart**2).mean())
        w -= rate * 2 * (apart[:, None] * X[rows]).mean(0)
        b -= rate * 2 * apart.mean()
    np.testing.assert_allclose(found.rates, rates, rtol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-3)
    assert not found.exploded


@pytest.mark.parametrize("high", [1e-3, 1e30])
def test_the_model_and_everything_else_are_as_before(high):
    model = network()
    train.fit(model, X, Y, epochs=1)
    nn.cross_entropy(model(X), Y).backward()
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    slopes = {name: t.grad for name, t in model.parameters().items()}
    output = model.predict(X)
    train.find_learning_rate(model, X, Y, high=high)
    assert {name: value.tobytes() for name, value in model.state_dict().items()} == before
    assert all(t.grad is slopes[name] for name, t in model.parameters().items())
    np.testing.assert_array_equal(model.predict(X), output)
    with_search, without = network(), network()
    train.find_learning_rate(with_search, X, Y, high=high)
    for again in (with_search, without):
        train.fit(again, X, Y, epochs=2)
    for name, value in without.state_dict().items():
        np.testing.assert_array_equal(with_search.state_dict()[name], value)


def test_random_numbers_are_as_before():
    pe.random.set_seed(3)
    expected = nn.Linear(4, 4).weight.numpy()
    model = network()
    pe.random.set_seed(3)
    train.find_learning_rate(model, X, Y)
    np.testing.assert_array_equal(nn.Linear(4, 4).weight.numpy(), expected)


def test_the_model_is_put_back_when_the_search_fails():
    class Breaks(nn.Module):
        def forward(self, x):
            if nn.is_training() and x.shape[0] == 2:
                raise RuntimeError("mine")
            return x

    model = nn.Sequential(nn.Linear(3, 2), Breaks())
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    with pytest.raises((RuntimeError, nn.LayerError), match="mine"):
        train.find_learning_rate(model, X, Y, batch_size=8)  # the last batch has two rows
    assert {name: value.tobytes() for name, value in model.state_dict().items()} == before


@pytest.mark.skipif(not compiler.can_compile(), reason="NumPy's products have other bits")
def test_the_same_bits_on_any_number_of_threads():
    found = set()
    for threads in (1, 2, 3):
        compiler.set_threads(threads)
        seen = train.find_learning_rate(network(), X, Y, batch_size=8)
        found.add((seen.losses.tobytes(), seen.suggestion))
    assert len(found) == 1


@pytest.mark.parametrize("name", ["adam", "sgd", "momentum", "rmsprop", "nadam", "lion"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_suggestion_trains_digits(name, seed):
    digits = load_digits()

    def fresh():
        pe.random.set_seed(seed)
        return nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Dropout(0.2), nn.Linear(100, 10))

    make = optim.OPTIMIZERS[name]
    found = train.find_learning_rate(fresh(), *digits[:2], optimizer=make(), seed=seed)
    assert found.rates[0] * 10 < found.suggestion < found.rates[-1] / 3
    run = train.fit(fresh(), *digits[:2], optimizer=make(found.suggestion), epochs=5)
    assert run.history["accuracy"][-1] > 0.8
    assert "suggestion" in repr(found)


def test_the_optimizers_own_rate_does_not_matter():
    searches = [
        train.find_learning_rate(network(), X, Y, optimizer=optim.adam(rate), batch_size=8)
        for rate in (1e-3, 5.0, optim.cosine(0.1, 10))
    ]
    assert len({search.losses.tobytes() for search in searches}) == 1


# -- its rules ------------------------------------------------------------------------------


def test_an_explosion_is_four_times_the_smallest_mean():
    losses = np.array([2.0] * 10 + [1.0] * 20 + [100.0] + [1.0] * 9)
    assert _explosion(losses, 40) == 30
    assert _explosion(losses[:30], 40) == 30
    assert _explosion(np.array([1.0, 0.9, np.nan, 0.5]), 20) == 2
    assert _explosion(np.array([1.0, 0.9, np.inf, 0.5]), 20) == 2
    assert _explosion(np.array([-1.0, -2.0, -3.0]), 20) == 3
    assert _explosion(np.array([-1.0, -1.0, 9.0]), 20) == 2


def test_a_running_mean_of_one_value_is_that_value():
    np.testing.assert_allclose(_running_mean(np.full(7, 3.0), 100), 3.0)
    slow = _running_mean(np.arange(50.0), 100)
    assert slow[0] == 0 and (np.diff(slow) > 0).all() and slow[-1] < 49


def test_the_steepest_fall_comes_before_the_smallest_loss():
    rates = np.geomspace(1e-3, 1, 40)
    curve = np.r_[[9.0, 5.0], np.full(8, 4.9), np.linspace(4.8, 1, 10), np.full(10, 0.9),
                  [9.0, 8.0, 1.0, 1.0], np.full(6, 2.0)]  # fmt: skip
    assert 10 <= np.argmin(abs(rates - _steepest(rates, curve, 40))) < 20
    assert _steepest(rates, np.linspace(1, 2, 40), 40) is None


def test_a_loss_that_never_falls_has_no_suggestion():
    model = nn.Sequential(nn.Linear(1, 1, weight_init="zeros"))
    found = train.find_learning_rate(model, np.zeros((8, 1)), np.zeros(8), loss="mse")
    assert found.suggestion is None
    assert "suggestion none" in repr(found)


# -- what it refuses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "expected a model"),
        ({"model": nn.Sequential(nn.ReLU())}, ValueError, "no parameters to learn"),
        ({"low": 0}, ValueError, "rates must grow from above 0: received low=0 and high=10"),
        ({"low": 1.0, "high": 0.1}, ValueError, "rates must grow"),
        ({"high": np.inf}, ValueError, "high must be a finite number"),
        ({"low": "tiny"}, TypeError, "low must be a number, received 'tiny'"),
        ({"steps": 19}, ValueError, "steps must be a whole number of at least 20"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number"),
        ({"y": Y[:5]}, ValueError, "y 5 rows"),
        ({"y": Y + 7}, ValueError, "class numbers must lie between"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight must have shape"),
        ({"class_weight": [1.0]}, ValueError, "class_weight needs one number for each of 2"),
        ({"optimizer": optim.chain(optim.l2(0.1))}, ValueError, "has 0 learning rates; expected"),
        ({"loss": lambda p, t: p[:, 0] / 0.0}, ValueError, "before any training"),
    ],
)
def test_bad_input_is_named(change, error, message):
    options = {"model": network(), "X": X, "y": Y} | change
    with pytest.raises(error, match=message):
        train.find_learning_rate(
            options.pop("model"), options.pop("X"), options.pop("y"), **options
        )
