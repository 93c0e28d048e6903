"""What may be given as validation data and weights, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.core.random import seed_words
from pellucid.train.split import shares_of_rest, split_rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 3)).astype(np.float32)
Y = (np.arange(100) % 10 == 0).astype(np.int32)  # ten of a hundred
WEIGHTS = RNG.uniform(0.1, 2.0, 100)


def network(outputs=2):
    pe.random.set_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, outputs))


def trained(y=Y, outputs=2, epochs=2, **options):
    model = network(outputs)
    return model, train.fit(model, X, y, epochs=epochs, batch_size=8, **options)


def values(model):
    return {name: value.tobytes() for name, value in model.state_dict().items()}


# -- validation sets ------------------------------------------------------------------------


def test_each_set_has_its_columns_in_the_order_given():
    sets = {"later": (X[:30], Y[:30]), "val": 0.25, "weighted": (X, Y, WEIGHTS)}
    model, run = trained(validation=sets, metrics=["accuracy", "f1_macro"])
    assert list(run.history) == [
        "epoch", "loss", "accuracy",
        *(f"{s}_{name}" for s in sets for name in ("loss", "accuracy", "f1_macro")),
    ]  # fmt: skip
    assert run.validation == tuple(sets)
    found = run.history.row(-1)
    kept, held_out = split_rows(Y, shares_of_rest([0.25]), seed_words(0))
    for name, rows, weights in (
        ("later", slice(30), None), ("val", held_out, None), ("weighted", slice(None), WEIGHTS),
    ):  # fmt: skip
        expected = train.evaluate(
            model, X[rows], Y[rows], metrics=["accuracy", "f1_macro"], sample_weight=weights
        )
        assert {n: found[f"{name}_{n}"] for n in expected} == expected
    assert run.steps == 2 * 10  # 75 rows are left


def test_several_fractions_are_parts_of_all_rows():
    _, run = trained(validation={"a": 0.1, "b": 0.3}, metrics=())
    assert run.steps == 2 * 8  # 60 rows are left
    assert list(run.history) == ["epoch", "loss", "a_loss", "b_loss"]


@pytest.mark.parametrize("y", [Y, Y[:, None], np.eye(2)[Y], Y.astype(bool), Y.astype(float)])
@pytest.mark.parametrize(
    ("loss", "outputs"),
    [("cross_entropy", 2), ("binary_cross_entropy_with_logits", 1), ("hinge", 1)],
)
def test_a_fraction_holds_out_the_same_share_of_every_class(y, loss, outputs):
    if outputs == 1 and y.shape[-1] == 2:
        pytest.skip("one-hot rows go with one output per class")
    seen = []

    def positives(y_true, y_pred):
        seen.append((len(y_true), int(y_true.sum())))
        return 0.0

    metric = train.whole_set(positives)
    trained(y=y, outputs=outputs, loss=loss, validation=0.2, metrics=metric)
    assert set(seen) == {(20, 2)}


def test_quantities_are_held_out_as_they_come():
    y = np.arange(100.0)
    seen = []
    metric = train.whole_set(lambda t, p: seen.append(t[:, 0]) or 0.0, reads="outputs", name="rows")
    trained(y=y, outputs=1, loss="mse", validation=0.2, metrics=metric, optimizer=optim.sgd(1e-6))
    _, held_out = split_rows(np.zeros(100), shares_of_rest([0.2]), seed_words(0))
    np.testing.assert_array_equal(seen[0], held_out)


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        ((X,), ValueError, r"validation must be \(X, y\) or .*, received 1 parts"),
        ((X, Y, WEIGHTS, 1), ValueError, "received 4 parts"),
        ({"a": (X,)}, ValueError, "validation 'a' must be"),
        ({1: (X, Y)}, TypeError, "validation sets go by names, received 1"),
        ({"": (X, Y)}, TypeError, "validation sets go by names"),
        ({"a": 1.5}, ValueError, "validation 'a' must lie between 0 and 1"),
        ({"a": 0.5, "b": 0.5}, ValueError, "leave nothing to train on"),
        (0.001, ValueError, "validation=0.001 of 100 rows leaves 100 to train on and 0 to measure"),
        ((X[:, :2], Y), ValueError, r"received \(100, 2\) \(with validation X\)"),
        ({"a": (X[:, :2], Y)}, ValueError, r"received \(100, 2\) \(with validation 'a' X\)"),
        ((X, Y + 1), ValueError, "^validation: class numbers must lie between 0 and 1.*received 2"),
        ({"a": (X, Y + 1)}, ValueError, "^validation 'a': class numbers must lie"),
        ((X, Y[:5]), ValueError, "validation X has 100 rows, validation y 5 rows"),
        ((X, list("ab") * 50), TypeError, "validation y must be an array of numbers"),
        ((X, Y, WEIGHTS[:5]), ValueError, r"validation sample_weight must have shape \(100,\)"),
        ((X, Y, 0 * WEIGHTS), ValueError, "validation sample_weight is zero for every row"),
        ({"a": (X, Y), "a_b": (X, Y)}, ValueError, "two columns .* would be called 'a_b_loss'"),
    ],
)
def test_what_is_wrong_with_validation_data_is_said_of_them(validation, error, message):
    metric = train.Metric("b_loss", lambda p, t: p[:, 0])
    with pytest.raises(error, match=message):
        trained(validation=validation, metrics=metric)


# -- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [-1060, -140, 60, 120, 1000])
def test_the_size_of_all_weights_changes_no_bit(power):
    expected, run = trained(sample_weight=WEIGHTS)
    scaled, again = trained(sample_weight=np.ldexp(WEIGHTS, power))
    if power > -1000:  # else the weights themselves have lost digits
        assert values(scaled) == values(expected)
        assert list(again.history["loss"]) == list(run.history["loss"])
    assert np.isfinite(again.history["loss"]).all()


def test_weights_are_scaled_without_a_trace(monkeypatch):
    expected, run = trained(sample_weight=WEIGHTS, class_weight=[1.0, 3.3])
    monkeypatch.setattr("pellucid.train.checks.scaled", lambda weights, name: weights)
    plain, again = trained(sample_weight=WEIGHTS, class_weight=[1.0, 3.3])
    assert values(plain) == values(expected)
    assert list(again.history["loss"]) == list(run.history["loss"])


@pytest.mark.parametrize("weight", [1e38, 1e-45, 1e300, 5e-324])
def test_equal_weights_of_any_size_are_no_weights(weight):
    expected, _ = trained()
    for given in ({"sample_weight": np.full(100, weight)}, {"class_weight": [weight, weight]}):
        found, _ = trained(**given)
        for name, value in expected.state_dict().items():
            np.testing.assert_allclose(found.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    weighted = train.evaluate(network(), X, Y, sample_weight=np.full(100, weight))
    assert weighted == pytest.approx(train.evaluate(network(), X, Y), rel=1e-6)


@pytest.mark.parametrize("name", ["sample_weight", "class_weight"])
def test_weights_too_far_apart_are_named(name):
    weights = [1e-30, 1.0] if name == "class_weight" else [1e-30] + [1.0] * 99
    with pytest.raises(ValueError, match=f"{name} goes from 1e-30 to 1, too far apart"):
        trained(**{name: weights})
    zero, one = ([0, 1], [1, 1]) if name == "class_weight" else ([0] + [1] * 99, [1] * 100)
    assert values(trained(**{name: zero})[0]) != values(trained(**{name: one})[0])
