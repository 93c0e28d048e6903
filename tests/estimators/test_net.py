"""`NetClassifier` and `NetRegressor`: hidden features of any network, and sparse rows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import pellucid as pe
from pellucid import nn
from pellucid.estimators import MLPClassifier, NetClassifier, NetRegressor
from tests.programs import bits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)


class Forked(nn.Module):
    """Two branches that are added up, and a layer that is never used."""

    def __init__(self, features, outputs):
        self.left, self.right = nn.Linear(features, 6), nn.Linear(features, 6)
        self.unused, self.last = nn.Linear(2, 2), nn.Linear(6, outputs)

    def forward(self, x):
        return self.last(pe.tanh(self.left(x)) * self.right(x))


def chain(features, outputs):
    return nn.Sequential(
        nn.Linear(features, 9), nn.Tanh(), nn.Linear(9, 5), nn.ReLU(), nn.Linear(5, outputs)
    )


def quick(kind=NetClassifier, module=chain, **options):
    return kind(module, **{"max_iter": 5, "random_state": 0, "learning_rate_init": 0.02} | options)


def values(model):
    return bits([t.numpy() for t in model.model_.parameters().values()])


def test_hidden_layers_are_all_but_the_last():
    model = quick().fit(X, y)
    layers = model.model_.layers
    found = [model.transform(X, i) for i in range(4)]
    assert [f.shape for f in found] == [(150, 9), (150, 9), (150, 5), (150, 5)]
    assert (np.maximum(found[2], 0) == found[3]).all()
    assert (model.transform(X) == found[3]).all() and (model.transform(X, -4) == found[0]).all()
    logits = found[3] @ layers[4].weight.numpy() + layers[4].bias.numpy()
    np.testing.assert_allclose(logits, model.decision_function(X), rtol=1e-5, atol=1e-6)
    names = model.get_feature_names_out().tolist()
    assert names == [f"netclassifier{i}" for i in range(5)]
    assert (model.transform(X, "layers.1") == found[1]).all()
    with pytest.raises(ValueError, match="layer must be a number from 0 to 3"):
        model.transform(X, 4)


def test_parts_of_any_network_by_their_names():
    model = quick(NetRegressor, lambda *n: Forked(*n), dtype="float64").fit(X, y)
    left, right = (model.transform(X, name) for name in ("left", "right"))
    last = model.model_.last
    found = (np.tanh(left) * right) @ last.weight.numpy() + last.bias.numpy()
    np.testing.assert_allclose(found[:, 0], model.predict(X), rtol=1e-12)
    with pytest.raises(ValueError, match=r"no hidden layers with a number.*named_modules"):
        model.transform(X)
    with pytest.raises(ValueError, match="has no part 'middle'; it has left, right, unused, last"):
        model.transform(X, "middle")
    with pytest.raises(ValueError, match="does not call its part 'unused'"):
        model.transform(X, "unused")


def test_an_mlp_has_parts_with_names_too():
    model = MLPClassifier((7,), max_iter=2).fit(X, y)
    assert "layers.0" in model.model_.named_modules()
    sums = model.transform(X, "layers.0")
    assert (np.maximum(sums, 0) == model.transform(X)).all() and (sums < 0).any()


def test_features_follow_the_network_as_it_learns_on():
    model = quick(module=chain(4, 3), warm_start=True).fit(X, y)
    before = model.transform(X), model.transform(X, "layers.1")
    model.fit(X, y)
    after = model.transform(X), model.transform(X, "layers.1")
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_features_serve_another_estimator():
    digits, labels = load_digits(return_X_y=True)
    model = make_pipeline(quick(max_iter=20), LogisticRegression(max_iter=1000))
    assert model.fit(digits[:1000] / 16, labels[:1000]).score(digits[1000:] / 16, labels[1000:]) > (
        0.85
    )


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
@pytest.mark.parametrize("kind", [NetClassifier, NetRegressor])
def test_sparse_rows_change_no_bit(kind, options):
    rows = np.where(X > 2, X, 0.0)
    dense = quick(kind, batch_size=40, **options).fit(rows, y)
    for form in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        sparse = clone(dense).fit(form(rows), y)
        assert values(sparse) == values(dense)
        assert (sparse.predict(form(rows)) == dense.predict(rows)).all()
        assert (sparse.transform(form(rows), 1) == dense.transform(rows, 1)).all()


def test_sparse_rows_of_pixels():
    digits, labels = load_digits(return_X_y=True)
    pixels = scipy.sparse.csr_array(digits[:200] / 16)
    with pytest.raises(ValueError, match=r"begin with nn.Reshape\(\(8, 8, 1\)\)"):
        quick(input_shape=(8, 8, 1)).fit(pixels, labels[:200])
    network = nn.Sequential(
        nn.Reshape((8, 8, 1)), nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)
    )
    model = quick(module=network, max_iter=20).fit(pixels, labels[:200])
    assert model.score(pixels, labels[:200]) > 0.9 and model.transform(pixels).shape == (200, 144)
    assert model.transform(pixels, 2).shape == (200, 6, 6, 4)


@pytest.mark.parametrize("rows", [20, 97, 180])
def test_rows_that_fill_up_a_batch_are_no_danger(rows):
    """What they give is not looked at, but it must be numbers: 0 times NaN is NaN."""
    x = np.random.default_rng(0).standard_normal((rows, 30)).astype(np.float32)
    network = nn.Sequential(nn.Linear(30, 24), nn.Softplus(), nn.Linear(24, 20))
    for batch in ("auto", 16, 7):
        model = NetClassifier(network, batch_size=batch, max_iter=5, learning_rate_init=1e-3)
        losses = model.fit(x, np.arange(rows) % 20).loss_curve_
        assert (np.diff(losses) < 0).all()
