"""In scikit-learn's company: its callbacks, routed metadata, any DataFrame, workers, texts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression as TheirLinear
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pellucid import nn
from pellucid.compiler import get_threads
from pellucid.estimators import (
    Autoencoder,
    BernoulliRBM,
    ConvClassifier,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPMultiOutput,
    MLPRegressor,
    NetClassifier,
)
from pellucid.estimators.limits import threads_for, threads_for_step
from tests.programs import bits

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 brings callbacks")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ROOT = Path(__file__).resolve().parents[2]
X, y = load_iris(return_X_y=True)
X = X / 8


def net(features, outputs):
    return nn.Sequential(nn.Linear(features, 8), nn.ReLU(), nn.Linear(8, outputs))


WATCHED = {
    "MLPClassifier": (MLPClassifier(max_iter=5, learning_rate_init=0.1), 5),
    "MLPClassifier, lbfgs": (MLPClassifier(solver="lbfgs", max_iter=4), 4),
    "MLPRegressor": (MLPRegressor(max_iter=5), 5),
    "MLPMultiOutput": (MLPMultiOutput(max_iter=3, learning_rate_init=0.1), 3),
    "ConvClassifier": (ConvClassifier(4, max_iter=3), 3),
    "NetClassifier": (NetClassifier(net, max_iter=3, learning_rate_init=0.1, batch_size=30), 3),
    "LogisticRegression": (LogisticRegression(max_iter=4), 4),
    "LinearRegression": (LinearRegression(solver="adam", max_iter=3), 3),
    "Autoencoder": (Autoencoder(3, max_iter=3), 3),
    "BernoulliRBM": (BernoulliRBM(4, n_iter=3), 3),
}


def own_score(estimator, X, y, **weights):
    """A score that estimators of every kind have."""
    if hasattr(estimator, "score_samples"):
        return {"own": float(estimator.score_samples(X).mean())}
    return {"own": float(estimator.score(X, y, **weights))}


@pytest.mark.parametrize("name", WATCHED)
def test_a_score_is_monitored_epoch_by_epoch(name):
    given, epochs = WATCHED[name]
    estimator = clone(given).set_params(random_state=0)
    unwatched = clone(estimator).fit(X, y)
    monitor = callback.ScoringMonitor(scoring=own_score)
    estimator.set_callbacks(monitor).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["own"] is not None]
    assert len(rows) == epochs + 1, "each epoch, and the whole fit"
    assert rows[-1]["own"] == pytest.approx(own_score(estimator, X, y)["own"], rel=1e-9)
    assert len({round(row["own"], 12) for row in rows[:-1]}) > 1
    again = own_score(unwatched, X, y)["own"]
    assert own_score(estimator, X, y)["own"] == pytest.approx(again, rel=1e-12), "looking changes"


def test_a_progress_bar_is_shown(capsys):
    MLPClassifier(max_iter=20).set_callbacks(callback.ProgressBar()).fit(X, y)
    assert "MLPClassifier" in capsys.readouterr().out


def test_a_callback_stops_learning():
    class Enough:
        """Stops after so many epochs."""

        def __init__(self):
            self.seen = 0

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            self.seen += 1
            return self.seen == 3

    model = MLPClassifier(max_iter=50).set_callbacks(Enough()).fit(X, y)
    assert model.n_iter_ == 3


def test_weights_are_routed():
    weights = np.where(y == 2, 5.0, 0.5)
    with sklearn.config_context(enable_metadata_routing=True):
        net = MLPClassifier(max_iter=3, random_state=0)
        net.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
        model.fit(X, y, sample_weight=weights)
        plain = clone(net).fit(StandardScaler().fit_transform(X), y, sample_weight=weights)
        assert bits(model[-1].coefs_) == bits(plain.coefs_)
        scores = cross_validate(model, X, y, cv=3, params={"sample_weight": weights})
        assert np.isfinite(scores["test_score"]).all()
        search = GridSearchCV(model, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2)
        assert search.fit(X, y, sample_weight=weights).best_score_ > 0


def test_a_validation_set_goes_through_the_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        net = MLPClassifier(max_iter=4, random_state=0).set_fit_request(X_val=True, y_val=True)
        model = make_pipeline(StandardScaler(), net, transform_input=["X_val"])
        model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
        assert model[-1].validation_curve_[-1] == model.score(X[1::2], y[1::2])


def test_there_is_no_validation_curve_without_validation():
    with pytest.raises(AttributeError, match="give fit X_val and y_val"):
        _ = MLPClassifier(max_iter=1).fit(X, y).validation_curve_


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    "model", [MLPClassifier(max_iter=5), LogisticRegression(), NetClassifier(net, max_iter=5)]
)
def test_any_data_frame(library, model):
    frames = pytest.importorskip(library)
    names = ["a", "b", "c", "d"]
    table = frames.DataFrame({name: X[:, i] for i, name in enumerate(names)})
    labels = frames.Series(np.array(["x", "y", "z"])[y])
    model = clone(model).set_params(random_state=0).fit(table, labels)
    assert model.feature_names_in_.tolist() == names
    assert model.classes_.tolist() == ["x", "y", "z"]
    assert (model.predict(table) == model.predict(table[names])).all()
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(table[names[::-1]])


def test_columns_of_all_kinds_in_a_pipeline():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = pandas.DataFrame({"size": rng.normal(size=120), "kind": rng.choice(["a", "b"], 120)})
    labels = np.where((table["size"] > 0) ^ (table["kind"] == "a"), "in", "out")
    prepare = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(), make_column_selector(dtype_exclude="number")),
    )
    net = MLPClassifier((20,), learning_rate_init=0.02, random_state=0)
    search = RandomizedSearchCV(
        make_pipeline(prepare, net), {"mlpclassifier__alpha": [1e-4, 1e-3]}, n_iter=2, cv=2
    )
    assert search.fit(table, labels).best_score_ > 0.9


def seen_threads(_):
    """How many threads a worker's estimators use, and one's weights."""
    with threads_for(None):
        threads = get_threads()
    return threads, bits(MLPClassifier(max_iter=2, random_state=0).fit(X, y).coefs_)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_workers_do_not_crowd_each_other(backend):
    expected = seen_threads(0)[1]
    found = joblib.Parallel(2, backend=backend)(joblib.delayed(seen_threads)(i) for i in range(4))
    assert {weights for _, weights in found} == {expected}
    most = max(1, (os.cpu_count() or 1) // 2)
    assert all(threads <= most for threads, _ in found)


def test_ridge_of_the_same_name_and_meaning():
    quantities = X @ [1.0, -2.0, 0.5, 3.0] + 7
    theirs, ours = TheirLinear().fit(X, quantities), LinearRegression().fit(X, quantities)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.n_iter_ == 1


def test_only_the_import_changes():
    """scikit-learn's own example runs, word for word, with the other import."""
    script = """
from {} import MLPClassifier
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
X, y = make_classification(n_samples=100, random_state=1)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=1)
clf = MLPClassifier(random_state=1, max_iter=300).fit(X_train, y_train)
print(clf.predict_proba(X_test[:1]).round(6), clf.predict(X_test[:5, :]), clf.score(X_test, y_test))
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", script.format(module)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=True,
        ).stdout
        for module in ("sklearn.neural_network", "pellucid.estimators")
    }  # fmt: skip
    assert len(said) == 1


@pytest.mark.parametrize("name", WATCHED)
def test_texts_show_what_differs_from_the_defaults(name):
    estimator = WATCHED[name][0]
    assert repr(estimator).startswith(f"{type(estimator).__name__}(")
    assert type(estimator).__name__ in estimator._repr_html_()


@pytest.mark.parametrize(
    ("numbers", "batch", "most"),
    [(100, 10, 1), (3201, 200, 2), (7510, 200, 5), (10**6, 200, 600), (10**8, 200, 1000)],
)
def test_small_steps_run_on_few_threads(numbers, batch, most, monkeypatch):
    monkeypatch.setenv("PELLUCID_THREADS", "1000")
    with threads_for_step(None, numbers, batch):
        assert get_threads() == most
    with threads_for_step(7, numbers, batch):  # asked for, and set by `threads_for`
        assert get_threads() == 1000
