"""Multi-layer perceptrons: what they learn, can that scikit-learn's cannot, and say."""

from __future__ import annotations

import copy
import pickle
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_blobs, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import pellucid as pe
from pellucid import nn, optim
from pellucid.estimators import MLPClassifier, MLPRegressor, lending
from pellucid.train import EarlyStopping
from tests.programs import bits, threads

IRIS = load_iris(return_X_y=True)
XOR = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array(["no", "yes", "yes", "no"])


def quick(kind: Any = MLPClassifier, **options: Any) -> Any:
    """One that learns the irises well, soon, and from an own seed."""
    given = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}
    return kind(**given | {"batch_size": 30, "max_iter": 60, "tol": 0} | options)


ended = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
pytestmark = ended


# --- what scikit-learn's own tests of its networks ask ------------------------------------------


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_digits_are_learned(activation, solver):
    digits = load_digits(n_class=4)
    X, y = (
        StandardScaler().fit_transform(digits.data)[:300],
        digits.target_names[digits.target][:300],
    )
    model = MLPClassifier(
        30, activation, solver=solver, alpha=1e-5, batch_size=50, max_iter=80, random_state=1,
        learning_rate_init=0.05,
    )  # fmt: skip
    assert model.fit(X, y).score(X, y) > 0.95


def test_xor_is_learned_by_heart():
    model = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=2, max_iter=500).fit(*XOR)
    assert model.predict(XOR[0]).tolist() == XOR[1].tolist()
    assert model.predict_proba(XOR[0]).max(axis=1).min() > 0.95


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_gradients_are_those_of_differences(loss):
    """`partial_fit` by plain descent moves every weight against its slope."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)), rng.poisson(2.0, 12).astype(float)
    w = rng.uniform(0.5, 2, 12)
    model = MLPRegressor(
        loss, (4,), "tanh", solver="sgd", momentum=0, alpha=0.3, learning_rate_init=1e-6,
        batch_size=12, shuffle=False, random_state=0,
    )  # fmt: skip
    model.partial_fit(X, y, w)
    before = [c.copy() for c in model.coefs_ + model.intercepts_]

    def objective(values: list[np.ndarray]) -> float:
        a, b, c, d = values
        u = (np.tanh(X @ a + c) @ b + d)[:, 0]
        each = (u - y) ** 2 / 2 if loss == "squared_error" else np.exp(u) - y * u
        return float((w @ each + 0.15 * ((a**2).sum() + (b**2).sum())) / w.sum())

    model.partial_fit(X, y, w)
    for i, (old, new) in enumerate(zip(before, model.coefs_ + model.intercepts_, strict=True)):
        moved = (old - new) / 1e-6
        for at in [(0,) * old.ndim, tuple(n - 1 for n in old.shape)]:
            near = [[v.copy() for v in before] for _ in range(2)]
            near[0][i][at] += 1e-5
            near[1][i][at] -= 1e-5
            slope = (objective(near[0]) - objective(near[1])) / 2e-5
            assert moved[at] == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_a_strong_penalty_makes_weights_small():
    sizes = [
        sum(np.abs(c).sum() for c in quick(alpha=alpha).fit(*IRIS).coefs_)
        for alpha in (0.0, 1.0, 30.0, 300.0)
    ]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 3


def test_an_l1_penalty_makes_weights_zero():
    weights = [quick(l1=l1, max_iter=200).fit(*IRIS).coefs_[0] for l1 in (0.0, 0.01, 0.1)]
    zeros = [(w == 0).mean() for w in weights]
    assert zeros[0] == 0 < zeros[1] < zeros[2]
    with pytest.raises(ValueError, match="knows no l1 penalty"):
        quick(l1=0.1, solver="lbfgs").fit(*IRIS)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_epochs_of_partial_fit_are_those_of_fit(kind, solver):
    X, y = IRIS[0], IRIS[1] if kind is MLPClassifier else IRIS[1].astype(float)
    options = {"solver": solver, "shuffle": False, "batch_size": 50, "max_iter": 30}
    whole = quick(kind, **options).fit(X, y)
    parts = quick(kind, **options)
    first = {"classes": [0, 1, 2]} if kind is MLPClassifier else {}
    for _ in range(whole.n_iter_):
        parts.partial_fit(X, y, **first)
    assert bits(parts.coefs_ + parts.intercepts_) == bits(whole.coefs_ + whole.intercepts_)
    assert parts.loss_curve_ == whole.loss_curve_ and parts.t_ == whole.t_


def test_partial_fit_asks_for_all_classes_at_first():
    X, y = IRIS
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        quick().partial_fit(X, y)
    model = quick().partial_fit(X[:60], y[:60], classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, y, classes=[0, 1, 2, 3])


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_partial_fit_is_for_learning_by_steps(kind):
    assert not hasattr(kind(solver="lbfgs"), "partial_fit")
    assert hasattr(kind(solver="lbfgs", optimizer="sgd"), "partial_fit")
    with pytest.raises(ValueError, match="does not support early_stopping"):
        kind(early_stopping=True).partial_fit(IRIS[0], IRIS[1], **(
            {"classes": [0, 1, 2]} if kind is MLPClassifier else {}
        ))  # fmt: skip


def test_early_stopping_keeps_the_best_weights():
    X, y = make_blobs(300, 5, centers=4, cluster_std=6, random_state=0)
    model = MLPClassifier(
        (30,), early_stopping=True, learning_rate_init=0.05, max_iter=100, random_state=1
    ).fit(X, y)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == len(model.loss_curve_) < 100
    assert max(scores) == model.best_validation_score_ > scores[-1]
    assert model.best_loss_ is None
    again = clone(model).set_params(max_iter=1 + int(np.argmax(scores)), early_stopping=True)
    assert bits(again.fit(X, y).coefs_) == bits(model.coefs_)


@pytest.mark.parametrize("stratified", [True, False])
def test_too_few_rows_to_hold_out(stratified):
    X, y = IRIS[0][45:56], IRIS[1][45:56]
    with pytest.raises(ValueError, match="validation set is too small"):
        MLPRegressor(early_stopping=True, validation_fraction=0.05).fit(X, y.astype(float))
    with pytest.raises(ValueError, match="test_size"):
        MLPClassifier(early_stopping=True, validation_fraction=0.05).fit(X, y)


def test_learning_ends_where_the_loss_no_longer_falls():
    model = MLPClassifier(tol=0.5, max_iter=3000, solver="sgd", random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(*XOR)
    assert model.n_iter_ == 12  # one more than 10 without an improvement, after the first
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(5\) reached"):
        clone(model).set_params(max_iter=5).fit(*XOR)


def test_an_adaptive_rate_ends_at_a_millionth(capsys):
    X, y = XOR
    model = MLPClassifier(
        tol=0.5, solver="sgd", learning_rate="adaptive", max_iter=3000, verbose=1, random_state=0
    ).fit(X, y)
    said = capsys.readouterr().out
    assert said.count("Setting learning rate to") == 5
    assert "Learning rate too small. Stopping." in said and model.n_iter_ < 3000


def test_epochs_have_orders_of_their_own():
    options = {
        "max_iter": 2,
        "batch_size": 1,
        "solver": "sgd",
        "momentum": 0,
        "learning_rate_init": 0.5,
    }
    orders = [quick(**options, shuffle=s, random_state=r) for s, r in ((True, 0), (True, 1))]
    a, b = (model.fit(*IRIS).coefs_ for model in orders)
    assert bits(a) != bits(b)
    X, y = make_regression(50, 5, random_state=0)
    single = {"batch_size": 1, "max_iter": 1, "random_state": 1}
    fixed = [MLPRegressor(hidden_layer_sizes=(), **single, shuffle=False) for _ in "ab"]
    assert bits(fixed[0].fit(X, y).coefs_) == bits(fixed[1].fit(X, y).coefs_)
    moved = MLPRegressor(hidden_layer_sizes=(), **single, shuffle=True).fit(X, y)
    assert bits(moved.coefs_) != bits(fixed[0].coefs_)


def test_warm_start_needs_the_same_classes():
    X, y = IRIS
    model = quick(warm_start=True, max_iter=3).fit(X, y)
    for wrong in (np.arange(150) // 30, y + 1, y % 2):
        with pytest.raises(ValueError, match="classes"):
            model.fit(X, wrong)
    assert len(model.fit(X, y).loss_curve_) == 6 and model.n_iter_ == 3


def test_several_classes_per_row():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = (X[:, :3] + X[:, 1:] > 0).astype(int)
    model = quick(max_iter=150, dtype="float64").fit(X, y)
    assert model.predict(X).shape == y.shape and model.score(X, y) > 0.9
    assert model.out_activation_ == "logistic" and model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X).shape == y.shape
    np.testing.assert_allclose(
        model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12, atol=1e-15
    )
    assert ((model.decision_function(X) > 0) == model.predict(X)).all()


def test_a_single_class_is_all_there_is():
    model = quick(max_iter=2, batch_size=9).fit(IRIS[0][:9], ["x"] * 9)
    assert model.predict(IRIS[0]).tolist() == ["x"] * 150
    assert model.predict_proba(IRIS[0]).tolist() == [[1.0]] * 150
    assert model.predict_log_proba(IRIS[0]).tolist() == [[0.0]] * 150


def test_numbers_too_large_are_told_of():
    X, y = make_regression(40, 4, random_state=0)
    model = MLPRegressor(solver="sgd", learning_rate_init=1e12, random_state=0)
    with pytest.raises(ValueError, match="non-finite parameter weights.*StandardScaler"):
        model.fit(X * 1e10, y)


def test_ctrl_c_ends_learning_with_what_was_learned():
    def press(run: Any) -> None:
        if run.history.epochs == 7:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored
    try:
        with pytest.warns(UserWarning, match="interrupted by user"):
            model = quick(callbacks=[press], max_iter=500).fit(*IRIS)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 7 <= model.n_iter_ <= 8 and model.score(*IRIS) > 0.3


# --- what scikit-learn's have not ---------------------------------------------------------------


def test_layers_say_more_than_sizes():
    pe.random.set_seed(0)
    model = quick(
        layers=[
            {"units": 16, "activation": "gelu", "dropout": 0.2},
            {"units": 8, "batch_norm": True},
            nn.Maxout(8, 6),
            np.tanh if False else pe.tanh,
            5,
        ]
    ).fit(*IRIS)
    assert [type(layer).__name__ for layer in model.model_] == [
        "Linear", "GELU", "Dropout", "Linear", "BatchNorm", "ReLU", "Maxout", "Activation",
        "Linear", "ReLU", "Linear",
    ]  # fmt: skip
    assert model.score(*IRIS) > 0.9
    widths = [model.transform(IRIS[0], layer).shape[1] for layer in range(5)]
    assert widths == [16, 8, 6, 6, 5] and model.transform(IRIS[0]).shape == (150, 5)


def test_a_layer_of_ones_own_keeps_its_initial_values_for_each_fit():
    pe.random.set_seed(7)
    own = nn.Linear(4, 6)
    start = own.weight.numpy().copy()
    model = quick(layers=[own, pe.tanh], max_iter=5)
    first = bits(model.fit(*IRIS).coefs_)
    assert bits(model.fit(*IRIS).coefs_) == first
    assert (own.weight.numpy() == start).all(), "the user's layer has changed"


BAD_LAYERS: list[tuple[dict[str, Any], str]] = [
    ({"layers": [{"activation": "relu"}]}, r"layers\[0\] lacks units"),
    ({"layers": [3, {"units": 3, "size": 1}]}, r"layers\[1\] has no key 'size'"),
    ({"layers": ["relu"]}, r"layers\[0\] must be a number of units"),
    ({"layers": [0]}, r"units must be > 0"),
    ({"layers": [{"units": 3, "activation": "swoosh"}]}, "must be one of"),
    ({"layers": [nn.Linear(3, 2)]}, "expected input of shape"),
    ({"layers": 3}, "layers must be None or a list of layers"),
    ({"layers": [3], "dropout": [0.1]}, "dropout must be one probability"),
    ({"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
    ({"dropout": (0.1, 0.2)}, "one for each of 1 hidden layers"),
    ({"optimizer": "adamm"}, "did you mean 'adam'"),
    ({"loss": "cross_entropi"}, "did you mean 'cross_entropy'"),
    ({"loss": "mean_squared_error", "threads": 0}, "threads must be"),
    ({"dtype": "float16"}, "dtype must be"),
    ({"callbacks": 3}, "callbacks must be a list"),
    ({"pretrain": "magic"}, "pretrain must be"),
    ({"class_weight": "even"}, "class_weight must be"),
    ({"schedule": 0.1}, "schedule must be"),
]


@pytest.mark.parametrize(("options", "message"), BAD_LAYERS)
def test_what_is_wrong_is_told(options, message):
    with pytest.raises(ValueError, match=message):
        quick(**options).fit(*IRIS)


def test_dropout_is_for_learning_only_and_repeats():
    model = quick(dropout=0.5).fit(*IRIS)
    assert bits(model.coefs_) == bits(clone(model).fit(*IRIS).coefs_)
    assert bits(model.coefs_) != bits(clone(model).set_params(random_state=1).fit(*IRIS).coefs_)
    assert bits([model.predict_proba(IRIS[0])]) == bits([model.predict_proba(IRIS[0])])
    with pytest.raises(ValueError, match="dropout and noise change"):
        quick(dropout=0.5, solver="lbfgs").fit(*IRIS)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_batch_normalization_is_learned_with_its_averages(solver):
    slow = {"learning_rate_init": 0.005, "max_iter": 200, "n_iter_no_change": 200}
    model = quick(batch_norm=True, solver=solver, batch_size=40, **slow).fit(*IRIS)
    assert model.score(*IRIS) > 0.95
    averages = [k for k in model._others if "moving" in k]
    assert len(averages) == 2 and abs(model._others[averages[0]]).max() > 0.1


def own_cross_entropy(u: Any, t: Any) -> Any:
    """A loss of one's own: a number for each row."""
    return pe.logsumexp(u) - pe.sum(pe.one_hot(t, 3) * u, axis=1)


@pytest.mark.parametrize(
    "loss",
    ["hinge", "cross_entropy", "multi_class_hinge", own_cross_entropy,
     nn.cross_entropy.with_options(label_smoothing=0.1)],
)  # fmt: skip
def test_other_losses_of_classes(loss):
    rows = IRIS[1] < 2 if loss == "hinge" else slice(None)
    model = quick(loss=loss).fit(IRIS[0][rows], IRIS[1][rows])
    assert model.score(IRIS[0][rows], IRIS[1][rows]) > 0.95
    assert hasattr(model, "predict_proba") == ("hinge" not in str(loss))


@pytest.mark.parametrize("loss", ["absolute_error", "huber", lambda u, t: (u - t) ** 2])
def test_other_losses_of_quantities(loss):
    X, y = make_regression(100, 3, random_state=0)
    assert quick(MLPRegressor, loss=loss, max_iter=300).fit(X, y / 50).score(X, y / 50) > 0.95


def test_losses_that_do_not_fit_the_classes():
    with pytest.raises(ValueError, match="tells two classes apart, and y has 3"):
        quick(loss="hinge").fit(*IRIS)
    several = np.eye(3, dtype=int)[IRIS[1]]
    with pytest.raises(ValueError, match="takes one class per row"):
        quick(loss="multi_class_hinge").fit(IRIS[0], several)
    with pytest.raises(ValueError, match="counts must not be negative"):
        quick(MLPRegressor, loss="poisson").fit(IRIS[0], IRIS[1] - 1.0)


@pytest.mark.parametrize(
    "optimizer",
    ["adamw", "rmsprop", optim.lion(0.01),
     optim.chain(optim.clip_by_norm(1.0), optim.adam(0.02))],
)  # fmt: skip
def test_other_optimizers(optimizer):
    model = quick(optimizer=optimizer, max_iter=150).fit(*IRIS)
    assert model.score(*IRIS) > 0.9
    parts = clone(model)
    for _ in range(3):
        parts.partial_fit(*IRIS, classes=[0, 1, 2])
    whole = clone(model).set_params(max_iter=3, shuffle=False)
    for_order = clone(parts).set_params(shuffle=False)
    for _ in range(3):
        for_order.partial_fit(*IRIS, classes=[0, 1, 2])
    assert bits(for_order.coefs_) == bits(whole.fit(*IRIS).coefs_)


def test_a_schedule_takes_the_place_of_the_rate():
    exact = {"max_iter": 5, "dtype": "float64"}
    same = quick(learning_rate_init=0.02, **exact).fit(*IRIS)
    constant = quick(learning_rate_init=1.0, schedule=optim.constant(0.02), **exact).fit(*IRIS)
    np.testing.assert_allclose(constant.coefs_[0], same.coefs_[0], rtol=1e-9)
    falling = quick(learning_rate_init=1.0, schedule=optim.cosine(0.05, steps=300)).fit(*IRIS)
    assert falling.score(*IRIS) > 0.95
    assert abs(np.diff(falling.loss_curve_[-5:])).max() < 1e-3


def test_classes_have_weights():
    X, y = make_blobs([300, 30], 2, centers=[[0, 0], [1, 1]], random_state=0)
    even = quick(max_iter=100).fit(X, y)
    balanced = quick(max_iter=100, class_weight="balanced").fit(X, y)
    assert balanced.predict(X).mean() > 2 * even.predict(X).mean()
    by_row = quick(max_iter=100).fit(X, y, np.where(y == 1, 330 / 60, 330 / 600))
    np.testing.assert_allclose(by_row.coefs_[0], balanced.coefs_[0], rtol=1e-9)
    given = quick(max_iter=100, class_weight={0: 0.55, 1: 5.5}).fit(X, y)
    np.testing.assert_allclose(given.coefs_[0], balanced.coefs_[0], rtol=1e-9)


def test_a_validation_set_of_ones_own():
    X, y = IRIS
    model = quick(max_iter=20).fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert len(model.validation_scores_) == 20 and model.best_loss_ < 1
    assert model.validation_scores_[-1] == model.score(X[1::2], y[1::2])
    stopped = quick(early_stopping=True, n_iter_no_change=3, max_iter=200)
    stopped.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert stopped.n_iter_ < 200
    assert stopped.score(X[1::2], y[1::2]) == max(stopped.validation_scores_)
    with pytest.raises(ValueError, match="needs both X_val and y_val"):
        quick().fit(X, y, X_val=X)
    with pytest.raises(ValueError, match="features"):
        quick().fit(X, y, X_val=X[:, :2], y_val=y)


@pytest.mark.parametrize(
    "scoring", ["roc_auc_ovr", "loss", "neg_log_loss", make_scorer(lambda y, p: (y == p).mean())]
)
def test_a_score_of_ones_own(scoring):
    X, y = IRIS
    model = quick(scoring=scoring, early_stopping=True, max_iter=30)
    model.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    expected = {
        "roc_auc_ovr": lambda p: roc_auc_score(y[1::2], p, multi_class="ovr"),
        "loss": lambda p: -log_loss(y[1::2], p),
        "neg_log_loss": lambda p: -log_loss(y[1::2], p),
    }.get(scoring if isinstance(scoring, str) else "", lambda p: (p.argmax(1) == y[1::2]).mean())
    assert expected(model.predict_proba(X[1::2])) == pytest.approx(max(model.validation_scores_))


def test_callbacks_of_the_library_look_and_stop():
    seen = []

    def look(run: Any) -> None:
        seen.append((run.history.last("loss"), run.history.last("val_score")))
        if run.history.epochs == 9:
            run.stop("enough")

    model = quick(callbacks=[look]).fit(*IRIS, X_val=IRIS[0], y_val=IRIS[1])
    assert model.n_iter_ == 9
    assert seen == list(zip(model.loss_curve_, model.validation_scores_, strict=True))
    stopped = quick(callbacks=[EarlyStopping("loss", patience=1, min_delta=0.5)]).fit(*IRIS)
    assert stopped.n_iter_ < 10
    unseen = quick(max_iter=9).fit(*IRIS)
    assert bits(unseen.coefs_) == bits(model.coefs_), "being watched has changed what was learned"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_dtype_of_ones_own(dtype):
    for X in (IRIS[0], IRIS[0].astype(np.float32)):
        model = quick(dtype=dtype).fit(X, IRIS[1])
        assert {str(c.dtype) for c in model.coefs_ + model.intercepts_} == {dtype}
        assert str(model.predict_proba(X).dtype) == dtype


def test_calibration_makes_it_less_sure():
    X, y = make_blobs(200, 2, centers=3, cluster_std=3, random_state=0)
    X_more, y_more = make_blobs(2000, 2, centers=3, cluster_std=3, random_state=0)
    sure = MLPClassifier((100,), solver="lbfgs", max_iter=2000, alpha=0, random_state=0).fit(X, y)
    before = log_loss(y_more, sure.predict_proba(X_more))
    labels = sure.predict(X_more)
    sure.calibrate(X_more[1000:], y_more[1000:])
    assert sure.temperature_ > 1.5
    assert log_loss(y_more, sure.predict_proba(X_more)) < 0.8 * before
    assert (sure.predict(X_more) == labels).all()
    assert not hasattr(sure.fit(X, y), "temperature_")


@pytest.mark.parametrize("kind", ["autoencoder", "rbm"])
def test_pretraining_starts_where_the_data_are(kind):
    X, y = load_digits(return_X_y=True)
    X = X[:500] / 16
    options = {
        "hidden_layer_sizes": (40, 20),
        "activation": "logistic",
        "random_state": 0,
        "max_iter": 1,
    }
    plain = MLPClassifier(**options).fit(X, y[:500])
    begun = MLPClassifier(**options, pretrain=kind, pretrain_iter=20).fit(X, y[:500])
    assert bits(plain.coefs_) != bits(begun.coefs_)
    spread = [
        np.linalg.svd(m.transform(X, 0) - m.transform(X, 0).mean(0))[1] for m in (plain, begun)
    ]
    assert spread[1][:5].sum() > spread[0][:5].sum()
    again = MLPClassifier(**options, pretrain=kind, pretrain_iter=20).fit(X, y[:500])
    assert bits(again.coefs_) == bits(begun.coefs_)


def test_pretraining_needs_plain_layers_and_probabilities():
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        quick(pretrain="rbm").fit(*IRIS)
    with pytest.raises(ValueError, match="layers given by their units"):
        quick(pretrain="autoencoder", layers=[nn.Linear(4, 3)]).fit(*IRIS)


# --- the same bits, whoever works beside it -----------------------------------------------------


def test_the_same_bits_on_any_number_of_threads():
    X, y = load_digits(return_X_y=True)
    options = {"hidden_layer_sizes": (300,), "max_iter": 2, "random_state": 0, "dropout": 0.2}
    found = set()
    for count in (1, 2, 3):
        with threads(count):
            model = MLPClassifier(**options, threads=count).fit(X, y)
            found.add(bits([*model.coefs_, model.predict_proba(X)]))
    assert len(found) == 1


def test_a_row_is_predicted_alike_in_any_company():
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=5, random_state=0)).fit(X, y)
    whole = model.predict_proba(X)
    for i in (0, 100, 568):
        assert (model.predict_proba(X[i : i + 1])[0] == whole[i]).all()


def test_what_is_lent_has_no_memory():
    """Networks are lent from fit to fit: nothing of the one before must be left in them."""
    options = {"dropout": 0.1, "batch_norm": True, "max_iter": 4}
    lending._KEPT.__init__()
    first = bits(quick(**options).fit(*IRIS).coefs_)
    for seed in (1, 2):
        quick(**options, random_state=seed).fit(IRIS[0] * 3, IRIS[1])
    model = quick(**options).fit(*IRIS)
    assert bits(model.coefs_) == first
    other = quick(**options, random_state=1).fit(*IRIS)
    one, two = model.predict_proba(IRIS[0]), other.predict_proba(IRIS[0])
    assert (model.predict_proba(IRIS[0]) == one).all() and (one != two).any()


def test_estimators_learn_in_threads_at_the_same_time():
    expected = [bits(quick(random_state=i).fit(*IRIS).coefs_) for i in range(4)]
    found: list[Any] = [None] * 4

    def work(i: int) -> None:
        found[i] = bits(quick(random_state=i).fit(*IRIS).coefs_)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == expected


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_predict_and_go_on(way):
    model = quick(batch_norm=True, max_iter=3)
    model.partial_fit(*IRIS, classes=[0, 1, 2])
    other = way(model)
    assert (other.predict_proba(IRIS[0]) == model.predict_proba(IRIS[0])).all()
    assert bits(other.partial_fit(*IRIS).coefs_) == bits(model.partial_fit(*IRIS).coefs_)


def test_its_model_is_one_of_the_library(tmp_path):
    model = quick().fit(*IRIS)
    pe.save(model.model_, tmp_path / "iris.safetensors")
    logits = pe.load(tmp_path / "iris.safetensors").predict(IRIS[0])
    assert (logits == model.decision_function(IRIS[0])).all()
    with pytest.raises(NotFittedError):
        _ = quick().model_


def test_weights_that_a_user_sets_are_used():
    model = quick(max_iter=1).fit(*IRIS)
    model.coefs_[-1][...] = 0
    model.intercepts_ = [model.intercepts_[0], np.array([1.0, 3.0, 2.0])]
    assert model.predict(IRIS[0]).tolist() == [1] * 150


# --- in scikit-learn's company ------------------------------------------------------------------


def test_searches_and_curves():
    X, y = IRIS
    X = StandardScaler().fit_transform(X)
    search = GridSearchCV(quick(), {"alpha": [1e-4, 300.0], "dropout": [0.0, 0.2]}, n_jobs=2, cv=3)
    assert search.fit(X, y).best_score_ > 0.9 and search.best_params_["alpha"] == 1e-4
    assert cross_val_score(quick(), X, y, cv=5).mean() > 0.9
    _, train, test = learning_curve(quick(), X, y, train_sizes=[0.3, 1.0], cv=3, shuffle=True)
    assert train.shape == test.shape == (2, 3) and test[-1].mean() > 0.85


def test_folds_share_one_compiled_step(monkeypatch):
    """Rows lie in arrays with room: 117 to 120 rows need no program each."""
    from pellucid.estimators import engine

    made = []
    compiled = engine.program
    monkeypatch.setattr(engine, "program", lambda c: (made.append(c), compiled(c))[1])
    lending._KEPT.__init__()
    for rows in (120, 119, 118, 117):
        quick(max_iter=2, learning_rate_init=rows / 1e4).fit(IRIS[0][:rows], IRIS[1][:rows])
    assert len(made) == 1


def test_tables_with_names():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = pandas.DataFrame({"size": rng.normal(size=90), "kind": rng.choice(["a", "b"], 90)})
    y = np.where((table["size"] > 0) ^ (table["kind"] == "a"), "in", "out")
    columns = ColumnTransformer(
        [("n", StandardScaler(), ["size"]), ("c", OneHotEncoder(), ["kind"])]
    )
    model = make_pipeline(columns, quick(max_iter=200)).fit(table, y)
    assert model.score(table, y) > 0.95
    named = quick(max_iter=2).fit(table[["size"]], y)
    assert named.feature_names_in_.tolist() == ["size"]
    assert named.get_feature_names_out()[0] == "mlpclassifier0"
    shown = named.set_output(transform="pandas").transform(table[["size"]])
    assert shown.columns[15] == "mlpclassifier15"
    hidden = make_pipeline(columns, quick(max_iter=50), quick(max_iter=100))
    assert hidden.fit(table, y).score(table, y) > 0.9


def test_texts():
    assert repr(MLPClassifier((5,), dropout=0.1)) == (
        "MLPClassifier(dropout=0.1, hidden_layer_sizes=(5,))"
    )
    html = MLPClassifier((5,))._repr_html_()
    assert "MLPClassifier" in html and "hidden_layer_sizes" in html
