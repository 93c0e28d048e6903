"""float32 and float64: who computes in which, what that changes, and what does not fit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.preprocessing import StandardScaler, scale

from pellucid import nn, optim
from pellucid.estimators import (
    Autoencoder,
    BernoulliRBM,
    ConvClassifier,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPMultiOutput,
    MLPRegressor,
    NetRegressor,
    rows,
)
from pellucid.estimators.precision import FEW
from tests.programs import bits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)
SINGLE, DOUBLE = np.dtype("float32"), np.dtype("float64")


def net(features, outputs):
    return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, outputs))


def learned(model) -> set[np.dtype]:
    """The types of all that a model has learned."""
    if hasattr(model, "coefs_"):
        return {a.dtype for a in model.coefs_ + model.intercepts_}
    return {t.dtype for t in model.model_.parameters().values()}


FLOAT64_ROWS: dict[str, tuple[Any, np.dtype]] = {
    "adam": (MLPClassifier(max_iter=2), SINGLE),
    "sgd": (MLPRegressor(solver="sgd", max_iter=2), SINGLE),
    "an optimizer of one's own": (
        MLPClassifier(solver="lbfgs", optimizer=optim.sgd(0.1), max_iter=2), SINGLE,
    ),
    "lbfgs": (MLPClassifier(solver="lbfgs", max_iter=2), DOUBLE),
    "float64": (MLPClassifier(dtype="float64", max_iter=2), DOUBLE),
    "a type of NumPy's": (MLPClassifier(dtype=np.float64, max_iter=2), DOUBLE),
    "that of X": (MLPClassifier(dtype=None, max_iter=2), DOUBLE),
    "lbfgs in float32": (MLPClassifier(solver="lbfgs", dtype="float32", max_iter=2), SINGLE),
    "columns": (MLPMultiOutput(max_iter=2), SINGLE),
    "any network": (NetRegressor(net, max_iter=2), SINGLE),
    "any network, lbfgs": (NetRegressor(net, solver="lbfgs", max_iter=2), DOUBLE),
    "convolutions": (ConvClassifier(4, max_iter=2), SINGLE),
    "codes": (Autoencoder(3, max_iter=2), SINGLE),
    "least squares": (LinearRegression(), DOUBLE),
    "logistic regression": (LogisticRegression(max_iter=2), DOUBLE),
    "logistic regression by steps": (LogisticRegression(solver="adam", max_iter=2), SINGLE),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOAT64_ROWS)
def test_in_which_type_it_computes(name):
    model, dtype = FLOAT64_ROWS[name]
    assert learned(model.fit(X, y)) == {dtype}
    for method in ("predict_proba", "decision_function", "transform", "inverse_transform"):
        if hasattr(model, method):
            given = model.transform(X) if method == "inverse_transform" else X
            assert getattr(model, method)(given).dtype == dtype, method
    if name in ("sgd", "any network", "least squares"):
        assert model.predict(X).dtype == dtype
    if model.dtype in ("auto", None):
        assert learned(model.fit(X.astype(np.float32), y)) == {SINGLE}


def test_few_rows_keep_their_type():
    model = MLPClassifier(max_iter=2)
    assert learned(model.fit(X[: FEW - 1], y[: FEW - 1])) == {DOUBLE}
    assert learned(model.fit(X[:FEW], y[:FEW])) == {SINGLE}
    assert learned(model.fit(X[: FEW - 1].astype(np.float32), y[: FEW - 1])) == {SINGLE}


DATA = {
    "breast cancer": ("MLPClassifier", load_breast_cancer, {}),
    "digits": ("MLPClassifier", load_digits, {"early_stopping": True}),
    "diabetes": ("MLPRegressor", load_diabetes, {"learning_rate_init": 0.01, "max_iter": 100}),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", DATA)
def test_scores_in_float32_are_those_of_scikit_learn(name, seed):
    kind, load, options = DATA[name]
    features, target = load(return_X_y=True)
    features = StandardScaler().fit_transform(features)
    if kind == "MLPRegressor":
        target = scale(target)
    options = {"max_iter": 60, "random_state": seed} | options
    theirs = getattr(neural_network, kind)(**options)
    ours = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[kind](**options)
    scores = [m.fit(features[::2], target[::2]).score(features[1::2], target[1::2])
              for m in (theirs, ours)]  # fmt: skip
    assert learned(ours) == {SINGLE} and scores[1] == pytest.approx(scores[0], abs=0.01)
    assert ours.n_iter_ == pytest.approx(theirs.n_iter_, abs=2)
    np.testing.assert_allclose(ours.loss_curve_[:5], theirs.loss_curve_[:5], rtol=1e-4)


def test_a_row_of_weight_two_is_a_row_twice_to_rounding():
    twice = np.concatenate([X, X[:50]]), np.concatenate([y, y[:50]])
    weights = np.where(np.arange(150) < 50, 2.0, 1.0)
    options = {"batch_size": 500, "random_state": 0, "shuffle": False, "max_iter": 50}
    with pytest.warns(UserWarning, match="batch_size"):
        a = MLPClassifier(**options).fit(X, y, weights)
        b = MLPClassifier(**options).fit(*twice)
    assert learned(a) == {SINGLE}
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-4)


@pytest.mark.parametrize("kind", [MLPClassifier, ConvClassifier])
def test_going_on_keeps_the_type_unless_another_is_asked_for(kind):
    def model(**options):
        return kind(max_iter=2, warm_start=True, random_state=0, **options)

    auto = model().fit(X, y)
    few = slice(40, 120)
    assert learned(auto.partial_fit(X[few], y[few])) == {SINGLE}
    assert learned(auto.partial_fit(X[few].astype(np.float32), y[few])) == {SINGLE}
    begun = kind(max_iter=2).partial_fit(X[few], y[few], classes=[0, 1, 2])
    assert learned(begun) == learned(begun.partial_fit(X, y)) == {DOUBLE}
    before = auto.predict_proba(X)
    assert learned(auto.set_params(dtype="float64", learning_rate_init=1e-12).fit(X, y)) == {DOUBLE}
    np.testing.assert_allclose(auto.predict_proba(X), before, rtol=1e-4)
    assert learned(auto.set_params(dtype=None).fit(X.astype(np.float32), y)) == {DOUBLE}
    assert learned(auto.set_params(dtype="float32").partial_fit(X, y)) == {SINGLE}
    lbfgs = model().fit(X, y).set_params(solver="lbfgs", max_iter=50)
    assert learned(lbfgs.fit(X, y)) == {DOUBLE} and lbfgs.score(X, y) > 0.9


@pytest.mark.parametrize("dtype", ["auto", None])
def test_pickles_keep_the_type(dtype):
    model = MLPClassifier(max_iter=3, dtype=dtype).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert learned(again) == learned(model)
    assert (again.predict_proba(X) == model.predict_proba(X)).all()
    assert learned(again.partial_fit(X, y)) == learned(model)


@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
def test_sparse_rows_change_no_bit(form):
    features = np.where(X > 2, X, 0.0)
    for kind, target in ((MLPClassifier, y), (MLPRegressor, X[:, 0])):
        dense = kind(max_iter=5, random_state=0, batch_size=40).fit(features, target)
        sparse = kind(max_iter=5, random_state=0, batch_size=40).fit(form(features), target)
        assert learned(sparse) == {SINGLE} and bits(dense.coefs_) == bits(sparse.coefs_)
        assert (dense.predict(features) == sparse.predict(form(features))).all()


@pytest.mark.parametrize(
    "model",
    [
        MLPRegressor(max_iter=5, random_state=0, batch_size=40),
        NetRegressor(net, max_iter=5, random_state=0),
        MLPRegressor(solver="lbfgs", dtype="float32", max_iter=5, random_state=0),
        BernoulliRBM(3, n_iter=3, dtype="float32", random_state=0),
    ],
)
def test_many_rows_of_float64_are_used_where_they_lie(model, monkeypatch):
    features, target = X / 8, X @ [1.0, -2.0, 0.5, 3.0]

    def outputs():
        method = "predict" if hasattr(model, "predict") else "transform"
        return bits([getattr(model.fit(features, target), method)(features)])

    copied = outputs()
    monkeypatch.setattr(rows, "_ROOM", 0)
    assert rows.Rows(X, target, np.ones(150), SINGLE).data[0] is X
    assert outputs() == copied


# --- what does not fit ---------------------------------------------------------------------------


def test_numbers_beyond_float32_are_told_of():
    large = X.copy()
    large[3, 1] = -1e300
    message = r"X has numbers of size 1e\+300, and float32 goes to 3.4e\+38: scale them"
    for given in (large, scipy.sparse.csr_array(large)):
        with pytest.raises(ValueError, match=message):
            MLPClassifier(max_iter=2).fit(given, y)
        with pytest.raises(ValueError, match=message):
            MLPClassifier(max_iter=2).fit(X, y).predict(given)
        with pytest.raises(ValueError, match=message):
            MLPClassifier(max_iter=2).fit(X, y, X_val=given, y_val=y)
    with pytest.raises(ValueError, match=r"sample_weight has numbers of size 1e\+300"):
        MLPClassifier(max_iter=2).fit(X, y, np.full(150, 1e300))
    with pytest.raises(ValueError, match=r"y has numbers of size 1e\+300"):
        MLPRegressor(max_iter=2).fit(X, y * 5e299)
    coder = Autoencoder(2, max_iter=2).fit(X)
    with pytest.raises(ValueError, match=r"X has numbers of size 1e\+300"):
        coder.inverse_transform(large[:, :2])
    kept = MLPClassifier(max_iter=2, dtype="float64", random_state=0).fit(X, y)
    assert np.isfinite(kept.predict_proba(X * 1e100)).all()


def test_quantities_too_large_for_their_squares_are_told_of():
    with pytest.raises(ValueError, match="the loss of epoch 1 is inf.*large values"):
        MLPRegressor(max_iter=2).fit(X, y * 1e25)


def test_a_large_offset_costs_no_digit_of_scaled_columns():
    """float32 tells 1e9 from 1e9 + 64: only what is learned after scaling may be so fine."""
    fine = X[:, 2] + 1e9
    columns = np.stack([y, fine], axis=1).astype(object)
    model = MLPMultiOutput(
        (20,), kinds=["class", "number"], learning_rate_init=0.02, tol=0, random_state=0
    ).fit(X, columns)
    assert learned(model) == {SINGLE}
    found = model.predict(X)[:, 1].astype(float)
    assert abs(found - fine).mean() < 0.3 and np.unique(found).size > 100


def test_what_is_no_type_is_told():
    for wrong in ("float16", "ghost", 32, int):
        with pytest.raises(ValueError, match="dtype must be 'auto', None or 'float32' or"):
            MLPClassifier(dtype=wrong).fit(X, y)
