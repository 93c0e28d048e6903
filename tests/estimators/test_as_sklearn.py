"""Same parameters, data and random state: the numbers of scikit-learn's networks, step by step.

Initial values, orders of rows, rows held out, rules, rates and stopping are the same, so
that what is learned differs by rounding alone: in float64, in which scikit-learn computes too.
What float32 changes is in `test_precision.py`.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn import linear_model, neural_network
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression

from pellucid.estimators import (
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1:UserWarning",
)

ROWS = 83


def classes(count: int = 3, dtype: str = "float64") -> tuple[Any, Any]:
    X, y = make_classification(
        ROWS, 6, n_informative=4, n_classes=count, class_sep=0.5, random_state=0
    )
    return X.astype(dtype), np.array(["no", "maybe", "yes", "never"])[y]


def several_classes() -> tuple[Any, Any]:
    return make_multilabel_classification(ROWS, 6, n_classes=4, random_state=0)


def quantities(outputs: int = 1) -> tuple[Any, Any]:
    X, y = make_regression(ROWS, 6, n_targets=outputs, noise=5, random_state=0)
    return X, y / 50


def counts() -> tuple[Any, Any]:
    X, y = quantities()
    return X, np.random.default_rng(0).poisson(np.exp(np.clip(y, -2, 2))).astype(float)


STOCHASTIC: dict[str, dict[str, Any]] = {
    "adam": {},
    "adam, other means": {"beta_1": 0.7, "beta_2": 0.9, "epsilon": 1e-3},
    "adam, fast": {"learning_rate_init": 0.05},
    "sgd": {"solver": "sgd"},
    "sgd, plain": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.1},
    "sgd, momentum of Polyak": {"solver": "sgd", "nesterovs_momentum": False},
    "sgd, momentum 1": {"solver": "sgd", "momentum": 1.0, "max_iter": 5},
    "sgd, invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "sgd, invscaling, power": {
        "solver": "sgd", "learning_rate": "invscaling", "power_t": 0.2, "learning_rate_init": 0.1
    },
    "sgd, adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1, "tol": 1e-2,
        "n_iter_no_change": 2, "max_iter": 300,
    },
    "identity": {"activation": "identity"},
    "logistic": {"activation": "logistic"},
    "tanh": {"activation": "tanh"},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "three hidden layers": {"hidden_layer_sizes": [9, 5, 3], "learning_rate_init": 0.01},
    "a number of units": {"hidden_layer_sizes": 4},
    "no penalty": {"alpha": 0},
    "strong penalty": {"alpha": 10.0},
    "short batches": {"batch_size": 10},
    "batches of one": {"batch_size": 1, "max_iter": 3},
    "batches that come out even": {"batch_size": ROWS},
    "batches longer than there are rows": {"batch_size": 500},
    "no shuffling": {"shuffle": False},
    "wide tolerance": {"tol": 0.05, "n_iter_no_change": 3},
    "no patience": {"tol": 0.5, "n_iter_no_change": 1},
    "endless patience": {"tol": 0.5, "n_iter_no_change": np.inf, "max_iter": 30},
    "early stopping": {"early_stopping": True, "learning_rate_init": 0.02},
    "early stopping, more rows": {
        "early_stopping": True, "validation_fraction": 0.4, "n_iter_no_change": 3
    },
    "early stopping, adaptive": {
        "early_stopping": True, "solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2,
        "n_iter_no_change": 1, "max_iter": 100,
    },
}  # fmt: skip

LBFGS: dict[str, dict[str, Any]] = {
    "lbfgs": {},
    "lbfgs, tanh": {"activation": "tanh", "hidden_layer_sizes": (8, 4)},
    "lbfgs, to the end": {"tol": 1e-3, "max_iter": 500, "alpha": 0.1},
    "lbfgs, few evaluations": {"max_fun": 7},
}

DATA = {
    "two classes": (MLPClassifier, lambda: classes(2), {}),
    "three classes": (MLPClassifier, classes, {}),
    "classes at the same time": (MLPClassifier, several_classes, {}),
    "a quantity": (MLPRegressor, quantities, {}),
    "two quantities": (MLPRegressor, lambda: quantities(2), {}),
    "counts": (MLPRegressor, counts, {"loss": "poisson", "alpha": 0.1}),
}


def pair(kind: Any, **options: Any) -> tuple[Any, Any]:
    """One of scikit-learn's and one of ours, which computes in float64 if nothing else is said."""
    dtype = options.pop("dtype", "float64")
    given = {"random_state": 3, "max_iter": 40, "hidden_layer_sizes": (12,)} | options
    return getattr(neural_network, kind.__name__)(**given), kind(**given, dtype=dtype)


def compare(theirs: Any, ours: Any, X: Any, tolerance: float = 1e-7) -> None:
    """The same attributes and predictions, to rounding."""
    close = {"rtol": tolerance, "atol": tolerance}
    for a, b in zip(
        theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True
    ):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(b, a, **close)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in (
        "loss_",
        "loss_curve_",
        "best_loss_",
        "validation_scores_",
        "best_validation_score_",
    ):
        if getattr(theirs, name, None) is None:
            assert getattr(ours, name, None) is None, name
        else:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), **close)
    np.testing.assert_array_equal(getattr(ours, "classes_", 0), getattr(theirs, "classes_", 0))
    expected, found = theirs.predict(X), ours.predict(X)
    assert expected.shape == found.shape
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
        for method in ("predict_proba", "predict_log_proba"):
            np.testing.assert_allclose(
                getattr(ours, method)(X), getattr(theirs, method)(X), rtol=1e-5, atol=1e-5
            )
    else:
        np.testing.assert_allclose(found, expected, **close)


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("data", ["three classes", "a quantity"])
def test_learning_by_steps(name, data):
    kind, make, options = DATA[data]
    X, y = make()
    theirs, ours = pair(kind, **options | STOCHASTIC[name])
    compare(theirs.fit(X, y), ours.fit(X, y), X)


@pytest.mark.parametrize("name", ["adam", "sgd, adaptive", "early stopping", "strong penalty"])
@pytest.mark.parametrize("data", sorted(DATA.keys() - {"three classes", "a quantity"}))
def test_learning_of_other_targets(name, data):
    kind, make, options = DATA[data]
    X, y = make()
    if data == "counts" and name == "sgd, adaptive":
        options = {**options, "learning_rate_init": 0.01}  # scikit-learn's overflows
    theirs, ours = pair(kind, **STOCHASTIC[name] | options)
    compare(theirs.fit(X, y), ours.fit(X, y), X)


@pytest.mark.parametrize("name", LBFGS)
@pytest.mark.parametrize("data", DATA)
def test_learning_by_lbfgs(name, data):
    kind, make, options = DATA[data]
    X, y = make()
    theirs, ours = pair(kind, **{**options, "solver": "lbfgs"} | LBFGS[name])
    theirs.fit(X, y)
    ours.fit(X, y)
    if data == "two quantities":  # scikit-learn's value and gradient are of different objectives
        assert ours.loss_ < 1.1 * theirs.loss_ or name == "lbfgs, few evaluations"
    else:  # searches amplify rounding: their ends are alike, what led there need not be
        close = 1e-5 if theirs.n_iter_ <= 40 else 0.1
        np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=close)
        assert ours.n_iter_ == pytest.approx(theirs.n_iter_, rel=0.3, abs=2)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize(
    "options", [{}, {"solver": "sgd", "batch_size": 9}, {"early_stopping": True}]
)
def test_weights_of_rows(data, options):
    kind, make, more = DATA[data]
    X, y = make()
    weights = np.random.default_rng(1).uniform(0, 3, ROWS)
    weights[::7] = 0.0 if not options.get("batch_size") else 0.1  # no batch weighs nothing
    theirs, ours = pair(kind, **more | options)
    compare(theirs.fit(X, y, weights), ours.fit(X, y, weights), X)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("options", [{}, {"solver": "sgd", "learning_rate": "invscaling"}])
def test_partial_fit(data, options):
    kind, make, more = DATA[data]
    X, y = make()
    theirs, ours = pair(kind, **more | options, batch_size=11)
    several = y.ndim == 2
    first = {"classes": np.arange(4) if several else np.unique(y)} if kind is MLPClassifier else {}
    for part in (slice(0, 30), slice(30, None), slice(0, 41), slice(None)):
        theirs.partial_fit(X[part], y[part], **first)
        ours.partial_fit(X[part], y[part], **first)
        compare(theirs, ours, X)


@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"early_stopping": True}])
@pytest.mark.parametrize("data", ["two classes", "three classes", "a quantity"])
def test_warm_start(data, options):
    kind, make, more = DATA[data]
    X, y = make()
    theirs, ours = pair(kind, **more | options, warm_start=True, max_iter=12)
    for _ in range(3):
        compare(theirs.fit(X, y), ours.fit(X, y), X)


@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
@pytest.mark.parametrize(
    "options", [{}, {"early_stopping": True}, {"solver": "lbfgs", "max_iter": 8}]
)
@pytest.mark.parametrize("data", ["three classes", "two quantities"])
def test_sparse_rows(data, options, form):
    kind, make, more = DATA[data]
    X, y = make()
    X = np.where(abs(X) > 1, X, 0.0)
    theirs, ours = pair(kind, **more | options, batch_size=13)
    theirs.fit(form(X), y)
    ours.fit(form(X), y)
    if options.get("solver") != "lbfgs":
        compare(theirs, ours, form(X))
    dense = pair(kind, **more | options, batch_size=13)[1].fit(X, y)
    for a, b in zip(dense.coefs_, ours.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(dense.predict(X), ours.predict(form(X)))


def test_single_precision_follows_x():
    X, y = classes(3, "float32")
    theirs, ours = pair(MLPClassifier, max_iter=10, dtype=None)
    compare(theirs.fit(X, y), ours.fit(X, y), X, 1e-4)
    assert ours.predict_proba(X).dtype == np.float32


def test_a_random_state_is_drawn_from_alike():
    X, y = classes()
    a, b = np.random.RandomState(5), np.random.RandomState(5)
    theirs, ours = pair(MLPClassifier, early_stopping=True)
    compare(
        theirs.set_params(random_state=a).fit(X, y), ours.set_params(random_state=b).fit(X, y), X
    )
    assert a.randint(1 << 30) == b.randint(1 << 30)


@pytest.mark.parametrize("verbose", [True, 2])
@pytest.mark.parametrize("name", ["adam", "sgd, adaptive", "early stopping", "wide tolerance"])
def test_what_is_printed(name, verbose, capsys):
    X, y = classes()
    for model in pair(MLPClassifier, **STOCHASTIC[name], verbose=verbose):
        model.fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    half = len(lines) // 2
    assert half and lines[:half] == lines[half:]


WRONG: dict[str, Any] = {
    "hidden_layer_sizes": -1,
    "activation": "ghost",
    "solver": "hadoken",
    "alpha": -1,
    "learning_rate_init": -1,
    "max_iter": -1,
    "shuffle": "true",
    "momentum": 2,
    "nesterovs_momentum": "x",
    "early_stopping": "x",
    "validation_fraction": 1,
    "beta_1": 1,
    "beta_2": -0.5,
    "epsilon": -0.5,
    "n_iter_no_change": -1,
    "batch_size": 0,
    "tol": -1.0,
    "power_t": -1,
    "learning_rate": "converge",
    "max_fun": 0,
    "verbose": "loud",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_both_refuse(name):
    X, y = classes()
    for kind in (MLPClassifier, MLPRegressor):
        for model in pair(kind, **{name: WRONG[name]}):
            with pytest.raises(ValueError, match=name):
                model.fit(X, y if kind is MLPClassifier else np.arange(ROWS, dtype=float))


# --- linear models ----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_logistic_regression(count, strength, intercept):
    X, y = classes(count)
    weights = np.random.default_rng(1).uniform(0.5, 3, ROWS)
    options = {"fit_intercept": intercept, "tol": 1e-9, "max_iter": 2000}
    theirs = linear_model.LogisticRegression(C=1 / strength, **options).fit(X, y, weights)
    ours = LogisticRegression(alpha=strength, **options).fit(X, y, weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-3, atol=1e-4)
    assert ours.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("strength", [0.0, 2.0])
@pytest.mark.parametrize("solver", ["exact", "lbfgs"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
def test_linear_regression(outputs, strength, solver, weighted, intercept):
    X, y = quantities(outputs)
    weights = np.random.default_rng(1).uniform(0, 3, ROWS) if weighted else None
    theirs = linear_model.Ridge(strength, fit_intercept=intercept, tol=1e-12)
    ours = LinearRegression(
        alpha=strength, solver=solver, fit_intercept=intercept, tol=1e-10, max_iter=2000
    )
    theirs.fit(X, y, weights)
    ours.fit(X, y, weights)
    close = {"rtol": 1e-4, "atol": 1e-5} if solver == "lbfgs" else {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(ours.coef_, theirs.coef_, **close)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, **close)
    assert np.shape(ours.coef_) == np.shape(theirs.coef_)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), **close)


def test_least_squares_of_more_features_than_rows_are_the_smallest():
    X, y = quantities()
    theirs = linear_model.LinearRegression().fit(X[:4], y[:4])
    ours = LinearRegression().fit(X[:4], y[:4])
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_gradient_descent_leads_to_the_same_linear_models(solver):
    X, y = quantities()
    options = {
        "solver": solver, "learning_rate_init": 0.05, "max_iter": 800, "tol": 0,
        "n_iter_no_change": np.inf, "alpha": 1.0, "batch_size": ROWS,
    }  # fmt: skip
    exact = LinearRegression(alpha=1.0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = LinearRegression(**options).fit(X, y)
    np.testing.assert_allclose(found.coef_, exact.coef_, atol=1e-3)
    X, y = classes(3)
    exact = LogisticRegression(alpha=1.0, tol=1e-8, max_iter=1000).fit(X, y)
    found = LogisticRegression(**options).fit(X, y)
    np.testing.assert_allclose(found.coef_, exact.coef_, atol=5e-3)
