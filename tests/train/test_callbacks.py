"""What may look at a run: in which order it is called, and what it may do."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train


def data(rows=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int32)


def network():
    pe.random.set_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


class Diary(train.Callback):
    def __init__(self):
        self.events = []

    def train_begin(self, run):
        self.events.append(("begin", run.steps))

    def slice_end(self, run):
        self.events.append(("slice", run.steps))

    def epoch_end(self, run):
        self.events.append(("epoch", run.history.last("epoch")))

    def train_end(self, run):
        self.events.append(("end", run.steps))


def test_events_come_in_order():
    diary = Diary()
    train.fit(network(), *data(), epochs=3, batch_size=10, callbacks=[diary])
    assert diary.events[0] == ("begin", 0)
    assert diary.events[-1] == ("end", 12)
    assert [e for e in diary.events if e[0] == "epoch"] == [
        ("epoch", 1),
        ("epoch", 2),
        ("epoch", 3),
    ]
    steps = [step for event, step in diary.events if event == "slice"]
    assert steps == sorted(steps)
    assert {4, 8, 12} <= set(steps)


def test_without_someone_who_looks_epochs_run_together():
    class Slices(train.Callback):
        count = 0

        def slice_end(self, run):
            self.count += 1

    slices = Slices()
    run = train.fit(network(), *data(), epochs=2000, callbacks=[slices])
    assert run.history.epochs == 2000
    assert slices.count < 500


@pytest.mark.parametrize("kind", ["function", "callback"])
def test_a_run_can_be_stopped_from_within(kind):
    def stop(run):
        if run.history.epochs == 3:
            run.stop("seen enough")

    class Stop(train.Callback):
        def epoch_end(self, run):
            stop(run)

    run = train.fit(
        network(), *data(), epochs=10, callbacks=[stop if kind == "function" else Stop()]
    )
    assert run.stopped == "seen enough"
    assert run.history.epochs == 3


def test_an_error_in_a_callback_ends_the_run_and_the_others():
    diary = Diary()

    def fail(run):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        train.fit(network(), *data(), callbacks=[diary, fail])
    assert diary.events[-1][0] == "end"


def test_early_stopping_keeps_the_best_epoch():
    X, y = data(60)
    noisy = np.random.default_rng(1).integers(0, 2, 40)
    stopping = train.EarlyStopping(patience=4)
    model = network()
    run = train.fit(
        model,
        X[:40],
        noisy,
        epochs=500,
        batch_size=8,
        validation=(X[40:], y[40:]),
        optimizer=optim.adam(0.05),
        early_stopping=stopping,
    )
    assert run.stopped == f"val_loss has not become better since epoch {stopping.best_epoch}"
    assert run.history.epochs == stopping.best_epoch + 4
    assert stopping.best == min(run.history["val_loss"])
    assert train.evaluate(model, X[40:], y[40:])["loss"] == stopping.best


def test_early_stopping_may_leave_the_last_parameters():
    X, y = data(60)
    given = {"epochs": 300, "validation": (X[40:], 1 - y[40:])}
    model, twin = network(), network()
    run = train.fit(
        model, X[:40], y[:40], early_stopping=train.EarlyStopping(patience=2, restore_best=False),
        **given,
    )  # fmt: skip
    train.fit(twin, X[:40], y[:40], **(given | {"epochs": run.history.epochs}))
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


@pytest.mark.parametrize(
    ("options", "column"),
    [({}, "loss"), ({"monitor": "accuracy"}, "accuracy")],
)
def test_early_stopping_watches_any_column(options, column):
    stopping = train.EarlyStopping(patience=2, min_delta=10, **options)
    run = train.fit(network(), *data(), epochs=50, early_stopping=stopping)
    assert run.history.epochs == 3  # nothing improves by 10
    assert stopping.best_epoch == 1
    assert stopping.best == run.history[column][0]


def test_a_patience_is_enough():
    X, y = data()
    run = train.fit(network(), X, y, epochs=50, validation=(X, 1 - y), early_stopping=1)
    assert run.stopped.startswith("val_loss has not become better")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"monitor": "val_loss"}, "known are loss, accuracy"),
        ({"patience": -1}, "patience must be a whole"),
    ],
)
def test_early_stopping_names_what_it_cannot_do(options, message):
    with pytest.raises(ValueError, match=message):
        train.fit(network(), *data(), early_stopping=train.EarlyStopping(**options))


def test_progress_is_shown_when_asked_for(capsys):
    train.fit(network(), *data(), epochs=2, verbose=True)
    assert "epoch 2/2" in capsys.readouterr().out
    train.fit(network(), *data(), epochs=2)
    assert capsys.readouterr().out == ""


class Breaks(train.Callback):
    """Raises at the end."""

    def train_end(self, run):
        raise RuntimeError("mine")


def test_early_stopping_restores_although_another_callback_raises():
    X, y = np.eye(4, dtype=np.float32), np.arange(4)
    pe.random.set_seed(0)
    model = nn.Sequential(nn.Linear(4, 4))
    seen = []

    def remember(run):
        seen.append((run.history.last("loss"), model.state_dict()["layers.0.weight"]))

    stopping = train.EarlyStopping("loss", patience=3)
    with pytest.raises(RuntimeError, match="mine"):
        pe.fit(
            model,
            X,
            y,
            epochs=8,
            optimizer=optim.sgd(30.0),
            early_stopping=stopping,
            callbacks=[Breaks(), remember],
        )
    best = min(seen, key=lambda entry: entry[0])[1]
    assert (model.state_dict()["layers.0.weight"] == best).all()
