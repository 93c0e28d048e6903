"""`fit`: the loop, its history, its options, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.core.random import seed_words
from pellucid.train.datasets import load_digits, read_idx
from pellucid.train.shuffle import shuffle_reference
from pellucid.train.split import shares_of_rest, split_rows

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")


def network(*widths, seed=0, dropout=0.0):
    pe.random.set_seed(seed)
    layers = []
    for wide, narrow in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(wide, narrow), nn.Tanh()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers[: -2 if dropout else -1])


def blobs(rows=53, columns=4, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    X = rng.normal(size=(rows, columns)) + 2 * y[:, None] * np.eye(columns)[0]
    return X.astype(np.float32), y.astype(np.int32)


def values(model):
    return {name: array.tobytes() for name, array in model.state_dict().items()}


# -- what a run does ----------------------------------------------------------------


@pytest.mark.parametrize("rule", [optim.sgd(0.1, momentum=0.9), optim.adam(0.01)], ids=repr)
def test_steps_are_those_of_eager_mode(rule):
    X, y = blobs(11)
    model, twin = network(4, 5, 3), network(4, 5, 3)
    run = train.fit(model, X, y, optimizer=rule, epochs=3, batch_size=4, seed=7)
    assert run.steps == 9  # the last batch of an epoch has 3 rows

    order = np.empty((3, 11), np.int32)
    shuffle_reference(order, seed_words(7), 0)
    parameters, losses = twin.parameters(), []
    state, step = rule.init(parameters), 0
    for epoch in order:
        total = 0.0
        for first in range(0, 11, 4):
            rows = epoch[first : first + 4]
            for t in parameters.values():
                t.grad = None
            loss = nn.cross_entropy(twin(X[rows]), y[rows])
            loss.backward()
            total += loss.item() * len(rows)
            slopes = {name: pe.tensor(t.grad) for name, t in parameters.items()}
            changes, state = rule.update(slopes, state, parameters, step)
            optim.apply_updates(parameters, changes)
            step += 1
        losses.append(total / 11)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-5)
    for name, value in twin.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_without_shuffling_rows_keep_their_order():
    X, y = blobs(6)
    model, twin = network(4, 3), network(4, 3)
    train.fit(model, X, y, epochs=2, batch_size=2, shuffle=False)
    for _ in range(2):  # an optimizer without memory: one epoch twice is two epochs
        pass
    train.fit(twin, X[[0, 1, 2, 3, 4, 5]], y, epochs=2, batch_size=2, shuffle=False, seed=99)
    assert values(model) == values(twin)
    other = network(4, 3)
    train.fit(other, X, y, epochs=2, batch_size=2)
    assert values(model) != values(other)


@pytest.mark.parametrize("rows", [1, 7, 32, 64, 70])
def test_every_row_is_used_in_every_epoch(rows):
    """Each row has a weight of its own, which learns only from that row."""

    class Seen(nn.Module):
        def __init__(self):
            self.count = nn.state(np.zeros((1, 70), np.float32))
            self.weight = pe.parameter(np.ones((70, 1)))

        def forward(self, x):
            if nn.is_training():
                self.update("count", self.count + pe.sum(x, 0, keepdims=True))
            return x @ self.weight

    model = Seen()
    X = np.eye(70, dtype=np.float32)[:rows]
    run = train.fit(model, X, np.zeros(rows), loss="mse", epochs=3, batch_size=32)
    np.testing.assert_array_equal(model.state_dict()["count"][0, :rows], 3)
    assert run.steps == 3 * -(-rows // 32)


def test_a_batch_larger_than_the_data_is_one_batch():
    X, y = blobs(10)
    models = [network(4, 3), network(4, 3)]
    runs = [
        train.fit(m, X, y, epochs=2, batch_size=b) for m, b in zip(models, (10, 999), strict=True)
    ]
    assert runs[1].steps == 2
    assert values(models[0]) == values(models[1])


def test_the_same_seed_gives_the_same_bits_however_it_is_watched():
    X, y = blobs()
    found = set()
    for options in ({}, {"callbacks": [lambda run: None]}, {"metrics": ()}, {"validation": (X, y)}):
        model = network(4, 8, 3, dropout=0.3)
        train.fit(model, X, y, epochs=4, batch_size=8, seed=3, **options)
        found.add(tuple(values(model).items()))
    assert len(found) == 1
    other = network(4, 8, 3, dropout=0.3)
    train.fit(other, X, y, epochs=4, batch_size=8, seed=4)
    assert tuple(values(other).items()) not in found


def test_history_has_a_column_per_figure():
    X, y = blobs()
    run = train.fit(network(4, 3), X, y, epochs=5, validation=(X, y), metrics=["accuracy"])
    assert list(run.history) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert list(run.history["epoch"]) == [1, 2, 3, 4, 5]
    assert all(len(column) == 5 for column in run.history.values())
    assert run.stopped == "all 5 epochs"
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert "5 of 5 epochs, 10 steps" in repr(run)
    assert run.seconds > 0


def test_the_history_is_the_mean_over_all_rows_of_an_epoch():
    X, y = blobs(50)
    model = network(4, 3)
    before = train.evaluate(model, X, y)
    run = train.fit(model, X, y, epochs=3, batch_size=16, optimizer=optim.sgd(0.0))
    assert run.history["loss"].tolist() == pytest.approx([before["loss"]] * 3, rel=1e-6)
    assert run.history["accuracy"].tolist() == [before["accuracy"]] * 3


def test_a_root_is_taken_of_the_mean_over_an_epoch():
    X, y = blobs(50)
    model = network(4, 1)
    options = {"loss": "mse", "metrics": ["rmse", "mse"]}
    run = train.fit(model, X, y, epochs=3, batch_size=16, optimizer=optim.sgd(0.0), **options)
    expected = train.evaluate(model, X, y, **options)
    assert run.history["rmse"].tolist() == pytest.approx([expected["rmse"]] * 3, rel=1e-6)
    assert expected["rmse"] == pytest.approx(expected["mse"] ** 0.5)


def test_validation_figures_are_those_of_evaluate():
    X, y = blobs(300)
    model = network(4, 6, 3, dropout=0.5)
    run = train.fit(model, X, y, epochs=2, validation=0.25, seed=5)
    _, held_out = split_rows(y, shares_of_rest([0.25]), seed_words(5))
    found = train.evaluate(model, X[held_out], y[held_out])
    assert run.history.row(-1)["val_loss"] == found["loss"]
    assert run.history.row(-1)["val_accuracy"] == found["accuracy"]
    assert run.steps == 2 * 8  # 225 rows are left


def test_many_short_epochs_give_the_history_of_single_ones():
    X, y = blobs(10)
    together, apart = network(4, 3), network(4, 3)
    fast = train.fit(together, X, y, epochs=300, batch_size=4)
    slow = train.fit(apart, X, y, epochs=300, batch_size=4, callbacks=[lambda run: None])
    assert values(together) == values(apart)
    assert {k: list(v) for k, v in fast.history.items()} == {
        k: list(v) for k, v in slow.history.items()
    }


def test_weights_count_rows():
    X, y = blobs(12)
    twice = np.concatenate([X, X[:4]]), np.concatenate([y, y[:4]])
    weights = np.array([2.0] * 4 + [1.0] * 8)
    a, b = network(4, 3), network(4, 3)
    one = {"epochs": 3, "batch_size": 99, "optimizer": optim.sgd(0.1)}
    weighted = train.fit(a, X, y, sample_weight=weights, **one)
    train.fit(b, *twice, **one)
    for name, value in b.state_dict().items():
        np.testing.assert_allclose(a.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    first = train.evaluate(network(4, 3), X, y, sample_weight=weights)
    assert weighted.history["loss"][0] == pytest.approx(first["loss"])


def test_class_weights_are_the_weights_of_their_rows():
    X, y = blobs(20)
    a, b, c = network(4, 3), network(4, 3), network(4, 3)
    train.fit(a, X, y, epochs=2, class_weight={0: 3, 2: 0.5})
    train.fit(b, X, y, epochs=2, class_weight=[3, 1, 0.5])
    train.fit(c, X, y, epochs=2, sample_weight=np.array([3, 1, 0.5])[y])
    assert values(a) == values(b)
    for name, value in c.state_dict().items():
        np.testing.assert_allclose(a.state_dict()[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("loss", "y", "outputs", "figure"),
    [
        ("cross_entropy", lambda y: np.eye(3)[y], 3, "accuracy"),
        ("binary_cross_entropy_with_logits", lambda y: y > 0, 1, "accuracy"),
        ("binary_cross_entropy_with_logits", lambda y: np.eye(3)[y], 3, "accuracy"),
        ("mean_squared_error", lambda y: y.astype(float), 1, None),
        (lambda p, t: pe.mean((p[:, 0] - t) ** 2), lambda y: y, 1, None),
        (lambda p, t: (p[:, 0] - t) ** 2, lambda y: y, 1, None),
    ],
)
def test_losses_and_the_targets_they_take(loss, y, outputs, figure):
    X, classes = blobs(40)
    run = train.fit(network(4, outputs), X, y(classes), loss=loss, epochs=20, batch_size=8)
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert list(run.history)[2:] == ([figure] if figure else [])


def test_metrics_by_name_and_by_function():
    X, y = blobs(40)

    def largest(prediction, target):
        return pe.max(pe.absolute(prediction), 1)

    run = train.fit(
        network(4, 1), X, y, loss="mse", epochs=1, metrics=["mean_absolute_error", largest]
    )
    assert list(run.history) == ["epoch", "loss", "mean_absolute_error", "largest"]


def test_float64_models_train_in_float64():
    X, y = blobs(20)
    model = network(4, 3).astype(np.float64)
    train.fit(model, X.astype(np.float64), y, epochs=2)
    assert model.predict(X).dtype == np.float64
    target = np.linspace(0, 1, 20)
    fine = network(4, 1).astype(np.float64)
    found = train.evaluate(fine, X, target, loss="mse")["loss"]
    expected = ((fine.predict(X)[:, 0] - target) ** 2).mean()
    assert found == pytest.approx(expected, rel=1e-13)


def test_whole_numbers_and_lists_are_taken_as_inputs():
    X = np.array([[0, 255], [255, 0]], np.uint8)
    train.fit(network(2, 2), X, [0, 1], epochs=1)
    train.fit(network(2, 2), [[0, 1], [1, 0]], [0, 1], epochs=1)
    train.fit(network(2, 2), np.asfortranarray(X.astype(float)), np.array([0, 1]), epochs=1)


def test_data_are_left_as_they_were():
    X, y = blobs(10)
    X.flags.writeable = y.flags.writeable = False
    kept = X.copy(), y.copy()
    train.fit(network(4, 3), X, y, epochs=2, validation=0.3)
    np.testing.assert_array_equal(X, kept[0])
    np.testing.assert_array_equal(y, kept[1])


def test_training_goes_on_where_the_model_is():
    X, y = blobs(40)
    model = network(4, 3)
    first = train.fit(model, X, y, epochs=30)
    second = train.fit(model, X, y, epochs=5)
    assert second.history["loss"][0] < first.history["loss"][0]


# -- what it refuses ----------------------------------------------------------------


def broken(place, value):
    X, _ = blobs(6)
    X[place] = value
    return X


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, r"expected a model \(an nn.Module\), received int"),
        ({"model": nn.Linear}, TypeError, "received the class Linear; make one with"),
        ({"model": nn.Sequential(nn.ReLU())}, ValueError, "no parameters to learn"),
        ({"X": np.zeros((0, 4)), "y": []}, ValueError, "X is empty: received shape"),
        ({"X": np.zeros((6, 0))}, ValueError, "X is empty"),
        ({"y": [0, 1]}, ValueError, "X has 6 rows, y 2 rows"),
        ({"y": 1}, ValueError, "y a single number"),
        ({"X": np.zeros(6)}, ValueError, r"received shape \(6,\); use X.reshape\(-1, 1\)"),
        ({"X": 3.0}, ValueError, "single number"),
        (
            {"X": [[1, 2, 3, 4], [1]]},
            ValueError,
            r"rows of X have different lengths: row 0 has shape \(4,\), row 1 \(1,\)",
        ),
        (
            {"X": [[[1, 2], [3, 4]], [[1, 2], [3]]]},
            ValueError,
            "different lengths: they differ within row 1",
        ),
        ({"X": np.full((6, 4), "a")}, TypeError, "X must be an array of numbers, received texts"),
        ({"X": np.full((6, 4), None)}, TypeError, "received objects"),
        ({"X": np.zeros((6, 4), complex)}, TypeError, "complex"),
        ({"y": list("abcabc")}, TypeError, "y must be an array of numbers, received texts"),
        ({"X": broken((3, 2), np.nan)}, ValueError, "X has NaN at row 3, column 2"),
        ({"X": broken((5, 0), -np.inf)}, ValueError, "X has infinity at row 5, column 0"),
        ({"X": np.full((6, 4), 1e300)}, ValueError, "too large for float32"),
        ({"y": [0, 1, np.nan, 0, 0, 0]}, ValueError, "y has NaN at row 2"),
        ({"X": np.zeros((6, 7))}, ValueError, r"layers.0, Linear\(4, 3\): .*received \(6, 7\)"),
        ({"y": [0, 1, 2, 3, 0, 0]}, ValueError, "between 0 and 2, .*received 3 in row 3"),
        ({"y": [0, 1, -1, 0, 0, 0]}, ValueError, "received -1 in row 2"),
        ({"y": [0, 1, 0.5, 0, 0, 0]}, ValueError, "whole; received 0.5 in row 2"),
        ({"y": np.zeros((6, 5))}, ValueError, "received"),
        ({"epochs": 0}, ValueError, "epochs must be a whole number of at least 1, received 0"),
        ({"epochs": 2.5}, ValueError, "received 2.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number of at least 1"),
        ({"batch_size": True}, ValueError, "batch_size"),
        ({"seed": -1}, ValueError, "a seed must be"),
        ({"loss": "triplet"}, ValueError, "triplet.* there are .*cross_entropy"),
        ({"optimizer": "annealing"}, ValueError, "annealing.* there are .*adam"),
        ({"metrics": ["f2"]}, ValueError, "unknown metric 'f2'; known are accuracy"),
        ({"metrics": [3]}, TypeError, "a metric must be a name or a function"),
        ({"validation": 1.5}, ValueError, "validation must lie between 0 and 1"),
        ({"validation": 0.01}, ValueError, "leaves 6 to train on and 0 to measure on"),
        ({"validation": ([[1.0] * 4], [7])}, ValueError, "received 7 in row 0"),
        ({"validation": ([[np.nan] * 4], [0])}, ValueError, "validation X has NaN"),
        ({"early_stopping": "soon"}, TypeError, "early_stopping must be"),
        ({"callbacks": [3]}, TypeError, "a callback must be"),
        ({"sample_weight": [1.0]}, ValueError, r"sample_weight must have shape \(6,\)"),
        ({"sample_weight": [1, 1, -1, 1, 1, 1]}, ValueError, "not be negative.*row 2"),
        ({"sample_weight": [0] * 6}, ValueError, "zero for every row"),
        ({"class_weight": {7: 1}}, ValueError, "class 7; classes are 0 to 2"),
        ({"class_weight": [1, 1]}, ValueError, "each of 3 classes"),
        ({"class_weight": [1, 1, -1]}, ValueError, "not negative"),
    ],
)
def test_bad_input_is_named_and_nothing_is_lost(change, error, message):
    X, y = blobs(6)
    model = network(4, 3)
    before = values(model)
    options = {"model": model, "X": X, "y": y, "epochs": 1} | change
    with pytest.raises(error, match=message):
        train.fit(options.pop("model"), options.pop("X"), options.pop("y"), **options)
    assert values(model) == before


def test_class_weights_need_classes():
    X, y = blobs(6)
    with pytest.raises(ValueError, match="no classes to weigh"):
        train.fit(network(4, 1), X, y, loss="mse", class_weight=[1, 2])


def test_an_unknown_figure_of_a_metric_is_named():
    X, y = blobs(6)
    with pytest.raises(ValueError, match="metric <lambda> gave shape"):
        train.fit(network(4, 3), X, y, metrics=[lambda p, t: p[:2, 0]], epochs=1)


# -- as a whole -----------------------------------------------------------------------


def test_digits_are_learned_well():
    X, y, X_test, y_test = load_digits()
    model = network(64, 64, 10)
    run = train.fit(model, X, y, epochs=40, optimizer=optim.adam(3e-3))
    assert run.history["accuracy"][-1] > 0.99
    assert train.evaluate(model, X_test, y_test)["accuracy"] >= 0.97


MEMORY = """
import json, resource, sys
import numpy as np
import pellucid as pe
from pellucid import nn, optim, train

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

class Watch(train.Callback):
    sizes = []
    def slice_end(self, run):
        if run.steps > 1000:
            self.sizes.append(resident())

X = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), (1000, 1))
y = np.tile([0, 1, 1, 0], 1000)
model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
watch = Watch()
run = train.fit(model, X, y, epochs=int(sys.argv[1]), batch_size=4, callbacks=[watch],
                optimizer=optim.sgd(0.1))
print(json.dumps([run.steps, watch.sizes[0], max(watch.sizes), watch.sizes[-1]]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("epochs", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_steps(epochs):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(epochs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    steps, first, most, last = json.loads(done.stdout)
    assert steps == 1000 * epochs
    assert most - first < 2 * 2**20
    assert last - first < 2 * 2**20


@pytest.mark.slow
def test_mnist_is_learned_to_97_5_percent():
    folder = DATA / "mnist"
    if not folder.is_dir():
        pytest.skip(f"the MNIST files are not at {folder}")

    def rows(name):
        images = read_idx(folder / f"{name}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{name}-labels-idx1-ubyte.gz")
        return images.reshape(-1, 784) / np.float32(255), labels

    pe.random.set_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    train.fit(model, *rows("train"), optimizer=optim.adam(1e-3), batch_size=32, epochs=5)
    assert train.evaluate(model, *rows("t10k"))["accuracy"] >= 0.975


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda p, t: pe.tensor(1.0), "does not depend on any parameter"),
        (lambda p, t: pe.mean(pe.cast(t, "float32")), "does not depend on any parameter"),
        (lambda p, t: p > 0, "gave bool values, which have no derivative"),
        (lambda p, t: None, "received None; does a function or a forward return nothing"),
        (lambda p, t: (p, p), "expected one tensor, received a tuple"),
    ],
)
def test_a_loss_that_cannot_be_learned_from(loss, message):
    X, y = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
    with pytest.raises((ValueError, TypeError), match=message):
        train.fit(nn.Sequential(nn.Linear(2, 2)), X, y, loss=loss, epochs=1)


class Meddling(nn.Module):
    """Does to its parameter what should not be done in a forward."""

    def __init__(self, how):
        self.w, self.how = pe.parameter([1.0, 1.0]), how

    def forward(self, x):
        self.how(self)
        return x * self.w


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda layer: setattr(layer, "w", layer.w * 2.0), "in the place of parameter layers.0.w"),
        (lambda layer: layer.w.assign([0.0, 0.0]), "assigned in a function that is being traced"),
    ],
)
def test_a_forward_leaves_its_parameters_alone(how, message):
    model = nn.Sequential(Meddling(how), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=message):
        train.fit(model, np.ones((4, 2), np.float32), [0, 1, 0, 1], epochs=1)


def test_a_callback_alone_is_no_list():
    model = nn.Sequential(nn.Linear(2, 2))
    for alone in (train.Callback(), lambda run: None):
        with pytest.raises(TypeError, match="callbacks must be a list of callbacks"):
            train.fit(model, np.ones((4, 2)), [0, 1, 0, 1], callbacks=alone)


def test_targets_too_large_for_the_model_are_named():
    with pytest.raises(ValueError, match=r"y has 1e\+300 at row 1.*too large for float32"):
        train.fit(
            nn.Sequential(nn.Linear(1, 1)), np.ones((2, 1)), np.array([0.0, 1e300]), loss="mse"
        )


def test_numpy_on_a_traced_tensor_is_a_clear_error():
    X, y = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
    for function in (np.sum, np.mean, np.exp, np.concatenate):
        model = nn.Sequential(nn.Linear(2, 2), lambda x, function=function: x * function(x))
        with pytest.raises(nn.LayerError, match="use the library's operations on it instead"):
            train.fit(model, X, y, epochs=1)
    assert np.sum(pe.tensor([1.0, 2.0])) == 3.0
    assert np.shape(pe.tensor([1.0, 2.0])) == (2,)


def test_a_step_is_refused_in_gradient_training_but_predicts():
    X, y = np.array([[0.0], [1.0]], np.float32), [0, 1]
    model = nn.Sequential(nn.Linear(1, 2), nn.Step(), nn.Linear(2, 2))
    assert model.predict(X).shape == (2, 2)
    with pytest.raises(ValueError, match=r"^layers.0.weight, layers.0.bias cannot learn by grad"):
        pe.fit(model, X, y, epochs=1)
    with pytest.raises(ValueError, match="only through a step or a count, whose derivative is 0"):
        nn.cross_entropy(model(X), y).backward()
    first = nn.Sequential(nn.Step(), nn.Linear(1, 2))  # nothing before it has to learn
    pe.fit(first, X, y, epochs=1)


def test_an_error_count_of_the_users_own_is_refused():
    def errors(prediction, target):
        return pe.cast((prediction[:, 0] > 0) != (target > 0), "float32")

    with pytest.raises(ValueError, match="weight, bias cannot learn by gradients"):
        pe.fit(nn.Linear(1, 1), np.zeros((2, 1)), [0, 1], loss=errors, epochs=1)


def test_what_stop_gradient_hides_may_stay_as_it_is():
    class Fixed(nn.Module):
        def __init__(self):
            self.inner, self.outer = nn.Linear(1, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.outer(pe.stop_gradient(self.inner(x)))

    model = Fixed()
    before = model.state_dict()
    pe.fit(model, np.ones((2, 1), np.float32), [0, 1], epochs=1)
    after = model.state_dict()
    assert (before["inner.weight"] == after["inner.weight"]).all()
    assert (before["outer.weight"] != after["outer.weight"]).any()
