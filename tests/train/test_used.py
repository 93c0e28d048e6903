"""The weights a model is used with: seen where it is measured, never where it is trained."""

from __future__ import annotations

import signal
from functools import partial

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.core.tensor import tensor
from pellucid.train.feed import WholeArrays
from pellucid.train.loop import Loop
from pellucid.train.step import TrainingState, trace_step
from pellucid.train.used import UsedWeights

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
Y = X[:, :1] - 0.5


def doubled() -> optim.Optimizer:
    """Descent whose model is used with twice the weights that it is trained at."""
    twice = optim.Transformation(
        update=lambda updates, state, context: (updates, {}),
        adds=True,
        weights=lambda state, parameters: {k: 2 * p for k, p in parameters.items()},
    )
    return optim.chain(optim.sgd(0.1), twice)


def network() -> nn.Module:
    pe.random.set_seed(3)
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))


def trained(rule, **options):
    model = network()
    settings = {"loss": "mse", "optimizer": rule, "epochs": 6, "batch_size": 5, "seed": 1}
    run = train.fit(model, X, Y, **(settings | options))
    return model.state_dict(), run


def assert_twice(found, plain):
    for name, value in found.items():
        np.testing.assert_array_equal(value, 2 * plain[name], err_msg=name)


class Watch(train.Callback):
    """Keeps the weights after each epoch; may stop the run, or fail."""

    def __init__(self, end=99, error=None):
        self.seen, self.end, self.error = [], end, error

    def epoch_end(self, run):
        self.seen.append(run.model.state_dict())
        if len(self.seen) == self.end:
            if self.error is not None:
                raise self.error
            run.stop("enough")


def test_an_optimizer_without_such_weights_pays_nothing():
    state = TrainingState(network(), optim.adam(), 0)
    assert not state.optimizer.has_weights
    assert state.optimizer.weights(state.memory, state.parameters) == state.parameters
    used = UsedWeights(state)
    before = state.model.state_dict()
    used.put()
    assert used._training is None
    used.take_back()
    assert all((before[k] == v).all() for k, v in state.model.state_dict().items())


def test_put_and_taken_back_as_often_as_one_likes():
    state = TrainingState(network(), doubled(), 0)
    used, before = UsedWeights(state), state.model.state_dict()
    for _ in range(2):
        used.put()
        used.put()
        assert_twice(state.model.state_dict(), before)
        used.take_back()
        used.take_back()
        assert all((before[k] == v).all() for k, v in state.model.state_dict().items())


def test_parts_are_asked_in_their_order():
    parts = doubled().transformations + doubled().transformations
    rule, w = optim.Optimizer(parts), {"w": tensor([1.0, 3.0])}
    assert rule.weights({}, w)["w"].numpy().tolist() == [4.0, 12.0]


def test_the_model_ends_with_the_weights_to_be_used():
    plain, _ = trained(optim.sgd(0.1))
    found, _ = trained(doubled())
    assert_twice(found, plain)


@pytest.mark.parametrize("options", [{}, {"validation": (X, Y)}], ids=["", "validation"])
def test_callbacks_see_them_and_training_goes_on_without(options):
    theirs, ours = Watch(), Watch()
    plain, plainly = trained(optim.sgd(0.1), callbacks=[theirs], **options)
    found, run = trained(doubled(), callbacks=[ours], **options)
    assert len(ours.seen) == 6
    for doubled_weights, weights in zip(ours.seen, theirs.seen, strict=True):
        assert_twice(doubled_weights, weights)
    assert_twice(found, plain)
    assert run.history["loss"].tolist() == plainly.history["loss"].tolist()


def test_validation_measures_them():
    found, run = trained(doubled(), validation=(X, Y))
    model = network()
    model.load_state_dict(found)
    measured = train.evaluate(model, X, Y, loss="mse")
    assert run.history.last("val_loss") == pytest.approx(measured["loss"], rel=1e-6)
    _, plainly = trained(optim.sgd(0.1), validation=(X, Y))
    assert run.history.last("val_loss") != plainly.history.last("val_loss")


def test_early_stopping_gives_back_the_best_of_them():
    watch = Watch()
    found, run = trained(
        doubled(), epochs=50, validation=(X, Y), early_stopping=2, callbacks=[watch]
    )
    best = int(np.argmin(run.history["val_loss"]))
    assert best < run.history.epochs - 1  # or the test would show nothing
    for name, value in found.items():
        np.testing.assert_array_equal(value, watch.seen[best][name])


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), RuntimeError("mine")], ids=repr)
def test_however_the_run_ends(error):
    plain = Watch()
    trained(optim.sgd(0.1), epochs=4, callbacks=[plain])
    model, watch = network(), Watch(4, error)
    settings = {"loss": "mse", "optimizer": doubled(), "epochs": 9, "batch_size": 5, "seed": 1}
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="mine"):
            train.fit(model, X, Y, callbacks=[watch], **settings)
    else:
        train.fit(model, X, Y, callbacks=[watch], **settings)
    assert_twice(model.state_dict(), plain.seen[-1])


def test_interrupted_between_epochs():
    class Press(train.Callback):
        def slice_end(self, run):
            if run.steps > 7:
                signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        found, run = trained(doubled(), epochs=10_000, callbacks=[Press()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert run.stopped == "interrupted" and run.steps < 30_000
    state = TrainingState(network(), optim.sgd(0.1), 1)
    step = partial(trace_step, state, nn.mean_squared_error, {}, [X, Y])
    loop = Loop(step, WholeArrays([X, Y], 5, 10_000, True, 1))
    while loop.done < run.steps:
        loop.advance(min(run.steps - loop.done, 1000))
    assert_twice(found, state.model.state_dict())
