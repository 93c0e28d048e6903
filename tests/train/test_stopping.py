"""Ending a run: by early stopping on any figure, or when figures are good enough."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.train.run import Run


def data(rows=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int32)


def network():
    pe.random.set_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


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
        ({"monitor": "val_loss"}, "early stopping cannot follow 'val_loss'; known are loss, acc"),
        ({"monitor": "epoch"}, "cannot follow 'epoch'"),
        ({"patience": -1}, "patience must be a whole"),
        ({"min_delta": -1}, "min_delta must be a finite number of at least 0"),
        ({"min_delta": np.nan}, "min_delta must be a finite"),
        ({"mode": "up"}, 'mode must be "min", "max" or None, received \'up\''),
    ],
)
def test_early_stopping_names_what_it_cannot_do(options, message):
    with pytest.raises(ValueError, match=message):
        train.fit(network(), *data(), early_stopping=train.EarlyStopping(**options))


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


# -- which way is better ------------------------------------------------------------------


class Played(nn.Module):
    """Has one parameter, so that a run can be watched whose figures are made up."""

    def __init__(self):
        self.epoch = pe.parameter([0.0])

    def forward(self, x):
        return x * 0 + self.epoch


def played(figures, **options):
    """A run whose validation metric takes given values, one an epoch; the model counts epochs."""
    left = iter(figures)
    metric = train.whole_set(lambda t, p: next(left), reads="outputs", name="figure")
    model, X = Played(), np.zeros((1, 1))
    rule = optim.sgd(1.0)  # the loss's slope is -1: the parameter rises by 1 an epoch
    run = train.fit(
        model, X, [0.0], loss=lambda p, t: -p[:, 0], optimizer=rule, epochs=len(figures),
        metrics=[metric], validation=(X, [0.0]), **options,
    )  # fmt: skip
    return run, model.epoch.numpy().item()


@pytest.mark.parametrize(
    ("mode", "figures", "epochs", "best"),
    [
        ("max", [1, 3, 2, 2, 2, 9], 5, 2),
        ("min", [3, 1, 2, 2, 2, 0], 5, 2),
        ("max", [1, 2, 1, 2, 3, 3], 6, 5),
        ("max", [np.nan, 1, np.nan, np.nan, np.nan], 5, 2),
        ("max", [1, np.nan, np.nan, np.nan, 9], 4, 1),
        ("min", [np.inf, np.inf, 5, 5, 5, 5], 6, 3),
        ("max", [-np.inf, -np.inf, -np.inf, 0], 3, 0),
        ("max", [np.nan] * 5, 3, 0),
    ],
)
def test_early_stopping_on_made_up_figures(mode, figures, epochs, best):
    stopping = train.EarlyStopping("val_figure", patience=3, mode=mode)
    run, kept = played(figures, early_stopping=stopping)
    assert (run.history.epochs, stopping.best_epoch) == (epochs, best)
    assert kept == (best or epochs)
    if best:
        assert stopping.best == figures[best - 1]
    else:
        assert run.stopped == "val_figure has not been a number"


def test_an_improvement_is_greater_than_min_delta():
    stopping = train.EarlyStopping("val_figure", patience=2, mode="max", min_delta=0.5)
    run, _ = played([1.0, 1.5, 1.25, 9.0], early_stopping=stopping)
    assert (run.history.epochs, stopping.best_epoch) == (3, 1)


@pytest.mark.parametrize("watcher", [train.EarlyStopping("val_figure", 1),
                                     train.StopAt(val_figure=1),
                                     train.ReduceOnPlateau("val_figure")])  # fmt: skip
def test_a_figure_whose_direction_is_not_known_needs_a_mode(watcher):
    with pytest.raises(ValueError, match=r"which way 'val_figure' improves; say mode=\"max\" or"):
        played([1.0], callbacks=[watcher])


def test_a_metric_may_say_which_way_is_better():
    for better, best in ((True, 2), (False, 1)):
        figures = iter([1.0, 2.0, 1.5])
        metric = train.whole_set(
            lambda t, p, f=figures: next(f), reads="outputs", name="m", greater_is_better=better
        )
        stopping = train.EarlyStopping("val_m", patience=9)
        model, X = Played(), np.zeros((1, 1))
        train.fit(model, X, [0.0], loss="mse", epochs=3, metrics=metric, validation=(X, [0.0]),
                  early_stopping=stopping)  # fmt: skip
        assert stopping.best_epoch == best


@pytest.mark.parametrize("column", ["val_f1", "other_roc_auc", "other_accuracy", "accuracy"])
def test_early_stopping_on_any_metric_of_any_set(column):
    X, y = data(90)
    model, twin = network(), network()
    sets = {"val": (X[30:60], y[30:60]), "other": (X[60:], y[60:])}
    options = {"metrics": ["accuracy", "f1", "roc_auc"], "validation": sets, "batch_size": 8,
               "optimizer": optim.adam(0.05)}  # fmt: skip
    noisy = np.random.default_rng(1).integers(0, 2, 30)
    stopping = train.EarlyStopping(column, patience=4)
    run = train.fit(model, X[:30], noisy, epochs=300, early_stopping=stopping, **options)
    assert run.history.epochs == stopping.best_epoch + 4
    assert stopping.best == max(run.history[column])
    train.fit(twin, X[:30], noisy, epochs=stopping.best_epoch, **options)
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


def test_by_default_the_loss_of_the_first_set_is_followed():
    X, y = data()
    run = Run(None, {"epoch": None, "loss": False, "b_loss": False, "a_loss": False}, 1, 1,
              validation=("b", "a"))  # fmt: skip
    stopping = train.EarlyStopping(restore_best=False)
    run.model = network()
    stopping.train_begin(run)
    run.history.extend([[1, 0.1, 0.7, 0.3]])
    stopping.epoch_end(run)
    assert stopping.best == 0.7


# -- good enough --------------------------------------------------------------------------


def test_a_run_stops_at_a_loss():
    X, y = data()
    run = train.fit(
        network(), X, y, epochs=500, optimizer=optim.adam(0.05), callbacks=[train.StopAt(loss=0.1)]
    )
    losses = run.history["loss"]
    assert losses[-1] <= 0.1 < min(losses[:-1])
    assert run.stopped == f"loss is {losses[-1]:.4f}"


@pytest.mark.parametrize(
    ("wanted", "mode", "figures", "epochs"),
    [
        (2.0, "max", [1, 1.5, 2.0, 3], 3),
        (2.0, "min", [4, 3, 2.0, 1], 3),
        (2.0, "max", [np.nan, 2.5, 1], 2),
        (0, "min", [1, 0, 0], 2),
        (np.float32(9), "max", [1, 2, 3], 3),
    ],
)
def test_a_run_stops_at_any_figure_in_either_direction(wanted, mode, figures, epochs):
    run, _ = played(figures, callbacks=[train.StopAt(val_figure=wanted, mode=mode)])
    assert run.history.epochs == epochs


def test_several_figures_are_all_waited_for():
    X, y = data()
    given = {"epochs": 500, "optimizer": optim.adam(0.05), "validation": (X, y)}
    wanted = {"val_accuracy": 1.0, "loss": 0.2}
    run = train.fit(network(), X, y, callbacks=[train.StopAt(**wanted)], **given)
    found = run.history
    reached = [
        a >= 1.0 and loss <= 0.2
        for a, loss in zip(found["val_accuracy"], found["loss"], strict=True)
    ]
    assert reached.index(True) == len(reached) - 1
    assert run.stopped.startswith("val_accuracy is 1.0000 and loss is ")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: train.StopAt(), ValueError, "needs a figure to stop at, such as"),
        (lambda: train.StopAt(loss="low"), TypeError, "needs a number for loss, received 'low'"),
        (lambda: train.StopAt(loss=True), TypeError, "needs a number for loss"),
        (lambda: train.StopAt(loss=np.nan), ValueError, "needs a finite number for loss"),
        (lambda: train.StopAt(loss=1, mode="less"), ValueError, "mode must be"),
    ],
)
def test_what_cannot_be_stopped_at_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_column_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="StopAt cannot follow 'los'; known are loss, accuracy"):
        train.fit(network(), *data(), callbacks=[train.StopAt(los=0.1)])
