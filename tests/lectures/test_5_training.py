"""Section 5: step rules, optimizers, regularization, normalization, initialization."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim
from pellucid.train.diverged import TrainingDiverged

RNG = np.random.default_rng(0)
X = RNG.normal(size=(128, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def net(weight_init="glorot_uniform") -> nn.Sequential:
    pe.random.set_seed(0)
    return nn.Sequential(
        nn.Linear(6, 16, weight_init=weight_init),
        nn.Tanh(),
        nn.Linear(16, 2, weight_init=weight_init),
    )


def final_loss(model, **options) -> float:
    return pe.fit(model, X, Y, epochs=60, **options).history.last("loss")


@pytest.mark.parametrize("name", sorted(optim.OPTIMIZERS))
def test_every_optimizer_lowers_the_loss_of_a_net(name):
    model = net()
    before = nn.cross_entropy(model(X), Y).item()
    rate = {"lion": 0.002, "adadelta": 1.0, "adagrad": 0.1}.get(name, 0.02)
    rule = optim.OPTIMIZERS[name](rate)
    batch_size = len(X) if rule.full_batch else 32
    assert final_loss(model, optimizer=rule, batch_size=batch_size) < 0.95 * before


@pytest.mark.parametrize("batch_size", [1, 16, 128])
def test_stochastic_mini_batch_and_full_batch_descent(batch_size):
    rate = 0.02 * batch_size**0.5
    assert final_loss(net(), optimizer=optim.sgd(rate), batch_size=batch_size) < 0.69


def test_too_small_and_too_large_a_learning_rate():
    def line(rate: float) -> float:
        model = nn.Linear(6, 1, weight_init="zeros")
        run = pe.fit(
            model, X, X[:, 0], loss="squared_error", optimizer=optim.sgd(rate), batch_size=128
        )
        return run.history.last("loss")

    assert line(1e-5) == pytest.approx(line(0.0), rel=1e-3)
    assert line(0.5) < 0.01 * line(0.0)
    assert line(4.0) > 100 * line(0.0)


@pytest.mark.parametrize("first", [1e-4, 1.0, 1e4])
def test_backtracking_finds_the_length_of_its_steps(first):
    model = nn.Linear(6, 1, weight_init="zeros")
    rule = optim.backtracking(first)
    run = pe.fit(
        model, X, X[:, 0], loss="squared_error", optimizer=rule, epochs=200, batch_size=128
    )
    losses = np.array(run.history["loss"])
    assert losses[-1] < 1e-6
    assert (np.diff(losses) <= 0).all()


def test_zero_and_constant_weights_stay_symmetric():
    zeros = net("zeros")
    final_loss(zeros)
    assert not zeros[0].weight.numpy().any()
    same = net(nn.initializers.constant(0.3))
    final_loss(same)
    assert np.ptp(same[0].weight.numpy(), axis=1).max() < 1e-6


def test_large_weights_explode():
    pe.random.set_seed(0)
    layers = [nn.Linear(6, 6, weight_init="large") for _ in range(16)]
    with pytest.raises(TrainingDiverged):
        pe.fit(nn.Sequential(*layers), X, X, loss="squared_error", optimizer=optim.sgd(0.1))


def test_orthogonal_weights_keep_lengths_through_forty_layers():
    pe.random.set_seed(0)
    layers = [nn.Linear(6, 6, weight_init="orthogonal") for _ in range(40)]
    lengths = np.linalg.norm(nn.Sequential(*layers)(X).numpy(), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(X, axis=1), rtol=1e-4)


def test_normalization_noise_dropout_and_penalties_train_together_compiled():
    def trained() -> dict[str, np.ndarray]:
        pe.random.set_seed(0)
        model = nn.Sequential(
            nn.GaussianNoise(0.1),
            nn.Linear(6, 32),
            nn.BatchNorm(32),
            nn.PReLU(),
            nn.Dropout(0.1, inverted=False),
            nn.Maxout(32, 16),
            nn.LayerNorm(16),
            nn.Linear(16, 2),
        )
        rule = optim.chain(
            optim.clip_by_value(1.0),
            optim.l2(1e-4),
            optim.nadam(optim.one_cycle(0.02, 240)),
            optim.l1(0.2),
            optim.max_norm(3.0),
        )
        run = pe.fit(model, X, Y, optimizer=rule, epochs=60)
        assert run.history.last("loss") < 0.6
        return model.state_dict()

    values = trained()
    moving = values["layers.2.moving_mean"]
    assert moving.any()
    assert (values["layers.1.weight"] == 0).any()
    assert np.linalg.norm(values["layers.1.weight"], axis=0).max() <= 3 + 1e-5
    again = trained()
    assert all((values[name] == again[name]).all() for name in values)


def test_early_stopping_keeps_the_best_weights():
    model = net()
    run = pe.fit(model, X, Y, epochs=400, validation=0.3, early_stopping=10, seed=1)
    assert run.stopped != "all 400 epochs" or run.history.last("val_loss") < 0.7
