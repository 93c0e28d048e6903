"""A loss that is not finite: where it happened, and what stays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train


class Brittle(nn.Module):
    """The logarithm: NaN once its input has become negative."""

    def forward(self, x):
        return pe.log(x)


def finite(model):
    return all(np.isfinite(value).all() for value in model.state_dict().values())


def sinking(steps):
    """A model whose inner value falls by one a step, to the root of -0.5 after so many."""

    class Sinking(nn.Module):
        def __init__(self):
            self.level = pe.parameter([[steps - 0.5]], name="level")
            self.inner = Brittle()

        def forward(self, x):
            return self.inner(x * 0 + self.level) * 0 + self.level

    return Sinking()


@pytest.mark.parametrize("steps", [1, 2, 7, 1000, 2345])
@pytest.mark.parametrize("rows", [4, 5])
def test_the_first_bad_step_is_found(steps, rows):
    model = sinking(steps)
    X = np.ones((rows, 1), np.float32)
    with pytest.raises(train.TrainingDiverged) as caught:
        train.fit(
            model,
            X,
            np.zeros(rows),
            loss=lambda p, t: p[:, 0],
            optimizer=optim.sgd(1.0),
            epochs=3000,
            batch_size=4,
        )
    error = caught.value
    assert error.step == steps + 1
    assert error.epoch == steps // (1 if rows == 4 else 2) + 1
    assert error.layer == "inner"
    assert "the output of layer inner, Brittle(), is the first that is not finite" in str(error)
    assert f"step {steps + 1:,} (epoch {error.epoch})" in str(error)
    np.testing.assert_array_equal(model.state_dict()["level"], [[-0.5]])
    assert error.run.stopped == "diverged"
    assert error.run.history.epochs < 3000


def test_it_is_the_same_step_however_the_run_is_cut():
    found = []
    for options in ({}, {"callbacks": [lambda run: None]}, {"verbose": False}):
        with pytest.raises(train.TrainingDiverged) as caught:
            train.fit(
                sinking(50), np.ones((6, 1)), np.zeros(6), loss=lambda p, t: p[:, 0],
                optimizer=optim.sgd(1.0), epochs=100, batch_size=4, **options,
            )  # fmt: skip
        found.append(str(caught.value))
    assert len(set(found)) == 1


def test_a_gradient_that_is_not_finite_is_named():
    class Root(nn.Module):
        def __init__(self):
            self.weight = pe.parameter([[0.0]])

        def forward(self, x):
            return pe.sqrt(x @ self.weight)  # its derivative at 0 is infinite

    model = nn.Sequential(Root())
    with pytest.raises(train.TrainingDiverged, match="gradient of parameter layers.0.weight") as e:
        train.fit(model, np.ones((4, 1)), np.ones(4), loss="mse", epochs=5)
    assert e.value.step == 1
    assert finite(model)


def test_a_last_step_that_ruins_the_parameters_is_noticed():
    model = nn.Sequential(nn.Linear(1, 1, weight_init="zeros"))
    with pytest.raises(train.TrainingDiverged, match="new value of parameter layers.0"):
        train.fit(
            model, np.full((4, 1), 10.0), np.full(4, 5e18), loss="mse", epochs=1,
            optimizer=optim.sgd(1e30),
        )  # fmt: skip
    assert finite(model)


def test_the_loss_itself_may_be_to_blame():
    with pytest.raises(train.TrainingDiverged, match="the loss itself"):
        train.fit(
            nn.Sequential(nn.Linear(1, 1, weight_init="zeros")),
            np.ones((4, 1)),
            np.full(4, 1e30),
            loss="mse",
            epochs=1,
        )


@pytest.mark.parametrize(
    ("scale", "advice"), [(1e6, "Scale the inputs, the largest of which is"), (1.0, "Lower the l")]
)
def test_the_advice_fits_the_data(scale, advice):
    X = np.random.default_rng(0).normal(size=(40, 3)) * scale
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with pytest.raises(train.TrainingDiverged, match=advice):
        train.fit(model, X, X[:, 0], loss="mse", optimizer=optim.sgd(1e20), epochs=50)
    assert finite(model)


def test_a_model_that_is_not_finite_from_the_start_is_refused():
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.assign(np.full((2, 2), np.inf))
    with pytest.raises(ValueError, match="parameter layers.0.weight of the model is not finite"):
        train.fit(model, np.ones((2, 2)), [0, 1])


def test_the_error_reaches_another_process():
    """One that cannot be unpickled leaves a pool of processes waiting for ever."""
    error = train.TrainingDiverged("what happened", 3, 2, "layers.0")
    error.run = lambda: "cannot be pickled"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.step, again.epoch, again.layer) == ("what happened", 3, 2, "layers.0")
    assert again.run is None
