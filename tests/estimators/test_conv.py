"""Convolutional estimators: images and signals, hidden features, and what does not fit."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score

import pellucid as pe
from pellucid.estimators import ConvClassifier, ConvRegressor
from pellucid.train.series import read_series
from tests.programs import bits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")

_X, LABELS = load_digits(return_X_y=True)
IMAGES = _X.reshape(-1, 8, 8, 1).astype(np.float32) / 16


def quick(kind=ConvClassifier, **options):
    return kind(**{"filters": (8, 16), "max_iter": 8, "random_state": 0} | options)


def signals(rows=120, channels=2):
    """A bump somewhere in noise, and where it is not: what a convolution sees at once."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 40, channels)).astype(np.float32)
    y = rng.integers(0, 2, rows)
    for i in np.flatnonzero(y):
        at = rng.integers(0, 34)
        X[i, at : at + 6] += 3
    return X, y


def values(model):
    return bits([t.numpy() for t in model.model_.parameters().values()])


@pytest.mark.parametrize(
    "options", [{}, {"batch_norm": True}, {"dropout": 0.2, "dtype": "float64"}]
)
def test_images_are_learned(options):
    model = quick(**options, max_iter=15).fit(IMAGES[:1000], LABELS[:1000])
    assert model.score(IMAGES[1000:], LABELS[1000:]) > 0.9
    assert model.predict_proba(IMAGES[:5]).sum(axis=1) == pytest.approx(1)
    assert len(model.loss_curve_) == model.n_iter_ == 15


def test_signals_are_learned_wherever_the_bump_is():
    X, y = signals()
    model = quick(global_pool=True, kernel_size=5, max_iter=40, learning_rate_init=0.01)
    assert cross_val_score(model, X, y, cv=3).mean() > 0.85


def test_a_real_series_is_classified():
    if not (DATA / "ucr").exists():
        pytest.skip(f"needs the series in {DATA}")
    (X, y, _), (X_new, y_new, _) = (
        read_series(DATA / "ucr" / f"GunPoint_{part}.txt") for part in ("TRAIN", "TEST")
    )
    model = quick(kernel_size=7, pool_size=4, max_iter=150, batch_size=16)
    assert model.fit(X, y).score(X_new, y_new) > 0.9


def test_quantities_several_at_once():
    X = IMAGES[:400]
    y = np.stack([X.mean(axis=(1, 2, 3)), X[:, :4].mean(axis=(1, 2, 3))], axis=1) * 10
    model = quick(ConvRegressor, max_iter=60, learning_rate_init=0.005).fit(X, y)
    assert model.predict(X).shape == y.shape and model.score(X, y) > 0.9


def test_rows_of_numbers_get_their_shape():
    flat = IMAGES.reshape(len(IMAGES), -1)
    model = quick(input_shape=(8, 8, 1)).fit(flat, LABELS)
    assert values(model) == values(quick().fit(IMAGES, LABELS))
    one = quick(max_iter=2).fit(flat, LABELS)  # signals of one channel
    assert one.transform(flat[:3], layer=0).shape == (3, 32, 8)
    with pytest.raises(ValueError, match=r"X must have 63 numbers per row .* received 64"):
        quick(input_shape=(9, 7, 1)).fit(flat, LABELS)


def test_hidden_features_are_what_the_layers_give():
    model = quick(hidden_layer_sizes=(12, 6), max_iter=2).fit(IMAGES, LABELS)
    shapes = [model.transform(IMAGES[:3], layer).shape for layer in range(4)]
    assert shapes == [(3, 4, 4, 8), (3, 2, 2, 16), (3, 12), (3, 6)]
    logits = model.transform(IMAGES) @ model.model_[-1].weight.numpy()
    logits = logits + model.model_[-1].bias.numpy()
    np.testing.assert_allclose(logits, model.decision_function(IMAGES), atol=1e-5)
    assert model.get_feature_names_out().tolist() == [f"convclassifier{i}" for i in range(6)]
    with pytest.raises(ValueError, match="layer must be a number from 0 to 3"):
        model.transform(IMAGES, 4)


def test_pooling_ends_where_there_is_nothing_left_to_pool():
    model = quick(filters=[4] * 5, max_iter=1).fit(IMAGES, LABELS)
    assert model.transform(IMAGES[:1], 4).shape == (1, 1, 1, 4)


def test_the_same_again_and_after_a_pickle():
    model = quick().fit(IMAGES, LABELS)
    assert values(model) == values(clone(model).fit(IMAGES, LABELS))
    assert values(model) != values(clone(model).set_params(random_state=1).fit(IMAGES, LABELS))
    other = pickle.loads(pickle.dumps(model))
    assert (other.predict_proba(IMAGES) == model.predict_proba(IMAGES)).all()
    assert (other.transform(IMAGES, 0) == model.transform(IMAGES, 0)).all()


def test_its_model_is_saved_and_loaded(tmp_path):
    model = quick(max_iter=2).fit(IMAGES, LABELS)
    pe.save(model.model_, tmp_path / "digits.safetensors")
    again = pe.load(tmp_path / "digits.safetensors").predict(IMAGES)
    assert (again == model.decision_function(IMAGES)).all()


def test_it_goes_on_from_where_it_was():
    whole = quick(shuffle=False, max_iter=3).fit(IMAGES, LABELS)
    parts = quick(shuffle=False)
    for _ in range(3):
        parts.partial_fit(IMAGES, LABELS, classes=range(10))
    assert values(whole) == values(parts)
    warm = quick(warm_start=True, max_iter=2).fit(IMAGES, LABELS)
    assert len(warm.fit(IMAGES, LABELS).loss_curve_) == 4


def test_rows_weigh_as_they_are_told():
    X, y = IMAGES[:300], LABELS[:300]
    heavy = np.where(y == 3, 20.0, 1.0)
    even, more = quick(max_iter=3).fit(X, y), quick(max_iter=3).fit(X, y, heavy)
    assert (more.predict(X) == 3).sum() > (even.predict(X) == 3).sum()


def test_a_search_over_networks():
    X, y = IMAGES[:400], LABELS[:400]
    grid = {"filters": [(4,), (8, 16)], "kernel_size": [3, 5]}
    search = GridSearchCV(quick(max_iter=6), grid, cv=2, n_jobs=1).fit(X, y)
    assert search.best_params_["filters"] == (8, 16) and search.best_score_ > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": (0,)}, "filters must be > 0"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size must be one number, or one for each of 2"),
        ({"pool_size": 0}, "pool_size must be a whole number"),
        ({"activation": "swoosh"}, "activation must be"),
        ({"hidden_layer_sizes": "x"}, "hidden_layer_sizes must be > 0"),
    ],
)
def test_what_is_wrong_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        quick(**options).fit(IMAGES[:50], LABELS[:50])


def test_rows_that_are_no_images():
    with pytest.raises(ValueError, match="rows must be signals"):
        quick().fit(np.zeros((10, 2, 2, 2, 2, 2)), np.arange(10) % 2)
