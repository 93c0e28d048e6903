"""One network for several columns: kinds, labels, probabilities, weights, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV

from pellucid.estimators import MLPMultiOutput
from tests.programs import bits

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def rows(count=400, seed=0):
    """Signs in words, quarters as numbers, and a quantity of another unit."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, 3))
    sign = np.where(X[:, 0] > 0, "plus", "minus")
    quarter = (X[:, 0] > 0) * 2 + (X[:, 1] > 0) + 5
    size = 1000 * X[:, 2] + 300
    return X, np.array([sign, quarter, size], dtype=object).T


def quick(**options):
    given = {"hidden_layer_sizes": (30,), "learning_rate_init": 0.01, "random_state": 0}
    return MLPMultiOutput(**given | {"max_iter": 60} | options)


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"dtype": "float32", "dropout": 0.1}])
def test_all_columns_are_learned_together(options):
    X, y = rows()
    model = quick(**options).fit(X, y)
    X_new, y_new = rows(seed=1)
    found = model.predict(X_new)
    assert found.shape == y_new.shape and found.dtype == object
    scores = [accuracy_score(y_new[:, i].astype(str), found[:, i].astype(str)) for i in (0, 1)]
    scores.append(r2_score(y_new[:, 2].astype(float), found[:, 2].astype(float)))
    assert min(scores) > 0.93
    assert model.score(X_new, y_new) == pytest.approx(np.mean(scores))
    assert [None if c is None else c.tolist() for c in model.classes_] == [
        ["minus", "plus"], [5, 6, 7, 8], None,
    ]  # fmt: skip


def test_probabilities_of_labels_and_none_of_quantities():
    X, y = rows()
    model = quick().fit(X, y)
    sign, quarter, size = model.predict_proba(X)
    assert sign.shape == (400, 2) and quarter.shape == (400, 4) and size is None
    np.testing.assert_allclose(quarter.sum(axis=1), 1, rtol=1e-6)
    assert (model.classes_[1][quarter.argmax(axis=1)] == model.predict(X)[:, 1]).all()
    only = quick(kinds=["number"], max_iter=2).fit(X, y[:, 2].astype(float))
    assert not hasattr(only, "predict_proba") and only.predict(X).shape == (400,)


def test_numbers_only_give_an_array_of_numbers():
    X, y = rows()
    found = quick(max_iter=3).fit(X, y[:, 1:].astype(float)).predict(X)
    assert found.dtype == np.float64 and set(found[:, 0]) <= {5.0, 6.0, 7.0, 8.0}


def test_kinds_are_found_or_told():
    X, y = rows()
    told = quick(kinds=("class", "number", "number"), max_iter=30).fit(X, y)
    assert [c is None for c in told.classes_] == [False, True, True]
    assert np.unique(told.predict(X)[:, 1].astype(float)).size > 50
    with pytest.raises(ValueError, match="one entry for each of 3 columns"):
        quick(kinds=["class"]).fit(X, y)
    with pytest.raises(ValueError, match="kinds must be None, or 'class' or 'number'"):
        quick(kinds=["word"]).fit(X, y)


def test_a_single_column_is_like_a_vector():
    X, y = rows()
    model = quick().fit(X, y[:, 0].astype(str))
    assert model.predict(X).shape == (400,) and model.predict_proba(X).shape == (400, 2)
    assert model.score(X, y[:, 0].astype(str)) > 0.95


def test_the_unit_of_a_quantity_changes_nothing():
    X, y = rows()
    numbers = y[:, 2].astype(float)[:, None]
    kinds = ["number"]
    one = quick(kinds=kinds, max_iter=5).fit(X, numbers)
    other = quick(kinds=kinds, max_iter=5).fit(X, numbers * 4096)
    assert bits(one.coefs_) == bits(other.coefs_)
    np.testing.assert_allclose(other.predict(X), one.predict(X) * 4096, rtol=1e-12)


def test_weights_of_rows_are_repetitions():
    X, y = rows(40)
    weights = np.arange(40) % 3
    more = np.repeat(np.arange(40), weights)
    a = quick(max_iter=20).fit(X, y, weights)
    b = quick(max_iter=20).fit(X[more], y[more])
    np.testing.assert_allclose(a.coefs_[0], b.coefs_[0], rtol=1e-6)


def test_it_goes_on_with_the_classes_of_the_first_call():
    X, y = rows()
    model = quick()
    classes = [["minus", "plus", "zero"], None, None]
    with pytest.raises(ValueError, match="a class that was not learned before: 8"):
        model.partial_fit(X[y[:, 1] < 8], y[y[:, 1] < 8], classes=classes).partial_fit(X, y)
    assert model.predict_proba(X)[0].shape == (400, 3)
    with pytest.raises(ValueError, match="y has 2 columns, and 3 were learned"):
        model.partial_fit(X, y[:, :2])


def test_early_stopping_watches_the_mean_of_the_scores():
    X, y = rows()
    model = quick(early_stopping=True, max_iter=100, n_iter_no_change=3).fit(X, y)
    assert model.n_iter_ < 100 and model.validation_curve_ == model.validation_scores_
    own = quick(max_iter=5).fit(X, y, X_val=X, y_val=y)
    assert own.validation_curve_[-1] == pytest.approx(own.score(X, y))


def test_in_searches_frames_and_pickles():
    pandas = pytest.importorskip("pandas")
    X, y = rows(150)
    table = pandas.DataFrame({"sign": y[:, 0], "size": y[:, 2].astype(float)})
    search = GridSearchCV(quick(max_iter=15), {"alpha": [1e-4, 100.0]}, cv=2).fit(X, table)
    assert search.best_params_ == {"alpha": 1e-4}
    found = search.best_estimator_.predict(X)
    again = pickle.loads(pickle.dumps(search.best_estimator_)).predict(X)
    assert (found == again).all()
    assert (clone(search.best_estimator_).fit(X, table).predict(X) == found).all()
