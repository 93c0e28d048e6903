"""Section 5: step rules, optimizers, regularization, normalization, initialization."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
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
    final_loss(zeros, optimizer=optim.sgd(0.5), batch_size=128)
    assert not zeros[0].weight.numpy().any()
    frequency = np.bincount(Y) / len(Y)  # all that biases alone can learn
    np.testing.assert_allclose(pe.softmax(zeros(X)).numpy(), [frequency] * len(X), atol=1e-3)
    same = net(nn.initializers.constant(0.3))
    final_loss(same)
    assert np.ptp(same[0].weight.numpy(), axis=1).max() < 1e-6


def test_large_weights_explode_and_the_message_names_step_and_layer():
    pe.random.set_seed(0)
    model = nn.Sequential(*(nn.Linear(6, 6, weight_init="large") for _ in range(40)))
    message = r"diverged at step 1 .*the output of layer layers\.\d\d, .* is the first that is not"
    with pytest.raises(TrainingDiverged, match=message) as caught:
        pe.fit(model, X, X, loss="squared_error", optimizer=optim.sgd(0.1))
    assert caught.value.step == 1
    place = int(caught.value.layer.removeprefix("layers."))
    with np.errstate(all="ignore"):
        assert np.isfinite(model[:place](X).numpy()).all()
        assert not np.isfinite(model[: place + 1](X).numpy()).all()
    assert all(np.isfinite(values).all() for values in model.state_dict().values())


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


def test_training_stops_when_the_error_is_small_enough():
    run = pe.fit(net(), X, Y, epochs=5000, optimizer=optim.adam(0.02),
                 callbacks=[train.StopAt(loss=0.1)])  # fmt: skip
    assert run.history.last("loss") <= 0.1 < min(run.history["loss"][:-1])


def test_the_learning_rate_goes_with_the_batch_size():
    """A rate of 0.1 for batches of 32 is one of 0.2 for batches of 64."""
    models = [net(), net()]
    pe.fit(models[0], X, Y, batch_size=64, optimizer=optim.sgd(0.1), reference_batch=32)
    pe.fit(models[1], X, Y, batch_size=64, optimizer=optim.sgd(0.2))
    for name, value in models[1].state_dict().items():
        assert (models[0].state_dict()[name] == value).all()


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_f1"])
def test_train_validate_and_test_with_early_stopping_on_any_metric(monitor):
    parts = train.split(X, Y, seed=2)
    assert [len(y) for _, y in parts] == [77, 25, 26]
    (X_train, y_train), validation, (X_test, y_test) = parts
    model, stopping = net(), train.EarlyStopping(monitor, patience=15)
    run = pe.fit(model, X_train, y_train, epochs=3000, optimizer=optim.adam(0.01),
                 validation=validation, metrics=["accuracy", "f1"],
                 early_stopping=stopping)  # fmt: skip
    assert run.history.epochs == stopping.best_epoch + 15
    best = min if monitor == "val_loss" else max
    assert stopping.best == best(run.history[monitor])
    found = pe.evaluate(model, *validation, metrics=["accuracy", "f1"])
    assert found[monitor.removeprefix("val_")] == stopping.best
    assert pe.evaluate(model, X_test, y_test)["accuracy"] > 0.5


def test_the_rate_falls_when_the_loss_no_longer_does():
    plateau = train.ReduceOnPlateau("loss", factor=0.5, patience=3, min_delta=1e-3)
    run = pe.fit(net(), X, Y, epochs=200, optimizer=optim.sgd(0.9), callbacks=[plateau])
    rates = run.history["learning_rate"]
    assert rates[-1] < 0.1 * rates[0]
    assert all(a >= b for a, b in zip(rates[:-1], rates[1:], strict=True))
