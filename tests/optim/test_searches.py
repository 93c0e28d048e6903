"""L-BFGS and backtracking: as plain loops, as SciPy, as scikit-learn; and what they refuse."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.core.tree import leaves
from pellucid.train.diverged import TrainingDiverged

from . import plain_searches
from .functions import PROBLEMS, Function, corners, evaluations, minimized, rosenbrock

SEARCHES = {"lbfgs": optim.lbfgs, "backtracking": optim.backtracking}
each_search = pytest.mark.parametrize("name", SEARCHES)
each_problem = pytest.mark.parametrize("problem", PROBLEMS)


def value_and_gradient(f):
    """The function as NumPy takes it, by the reference interpreter's operations."""
    both = pe.compile(pe.value_and_grad(f))

    def at(x):
        value, gradient = both(pe.tensor(np.asarray(x)))
        return float(value), gradient.numpy().astype(np.float64)

    return at


@each_search
@each_problem
def test_as_the_plain_loop(name, problem):
    f, start = PROBLEMS[problem]
    steps = 45
    w, run = minimized(f, start, SEARCHES[name](tolerance=0.0), steps)
    plain = getattr(plain_searches, name)(value_and_gradient(f), np.asarray(start, np.float64))
    with np.errstate(all="ignore"):
        expected = list(itertools.islice(plain, steps))
    losses = np.array([loss for _, loss in expected])
    count = min(len(losses), run.history.epochs)  # it may have come to its end before
    scale = np.abs(losses[0])
    np.testing.assert_allclose(run.history["loss"][:count], losses[:count], 1e-5, 1e-10 * scale)
    np.testing.assert_allclose(w, expected[-1][0], rtol=1e-5, atol=1e-7)


def test_rosenbrock_takes_few_evaluations():
    w, run = minimized(rosenbrock, [-1.2, 1.0], optim.lbfgs(), 100)
    assert run.stopped == "no gradient is above 1e-05"
    assert evaluations(run.history["loss"]) < 50
    assert np.abs(w - 1.0).max() < 1e-6


@each_problem
def test_about_as_many_evaluations_as_scipy(problem):
    optimize = pytest.importorskip("scipy.optimize")
    f, start = PROBLEMS[problem]
    with np.errstate(all="ignore"):
        theirs = optimize.minimize(
            value_and_gradient(f), np.asarray(start, float), jac=True, method="L-BFGS-B",
            bounds=[(1e-9, 1 - 1e-9)] * len(start) if problem == "barrier" else None,
            options={"gtol": 1e-6, "ftol": 0, "maxcor": 10, "maxfun": 2000},
        )  # fmt: skip
    w, run = minimized(f, start, optim.lbfgs(tolerance=1e-6), 1000)
    assert run.stopped == "no gradient is above 1e-06"
    assert evaluations(run.history["loss"]) <= 1.1 * theirs.nfev + 2
    assert run.history.last("loss") <= theirs.fun + 1e-9 * max(1.0, abs(theirs.fun))
    np.testing.assert_allclose(w, theirs.x, rtol=1e-4, atol=1e-2 if problem == "powell" else 1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_logistic_regression_as_scikit_learn(C, dtype):
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    rows = len(X)
    theirs = LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(X, y)
    model = nn.Sequential(nn.Linear(30, 1, weight_init="zeros")).astype(dtype)
    rule = optim.chain(optim.l2(1 / (2 * C * rows)), optim.lbfgs(tolerance=1e-7))
    train.fit(
        model, X, y, loss="binary_cross_entropy_with_logits", optimizer=rule, epochs=1500,
        batch_size=rows,
    )  # fmt: skip

    def risk(w, b):
        z = X @ w + b
        return np.mean(np.logaddexp(0, z) - y * z) + w @ w / (2 * C * rows)

    layer = model[0]
    ours = risk(layer.weight.numpy()[:, 0].astype(float), float(layer.bias.numpy()[0]))
    best = risk(theirs.coef_[0], theirs.intercept_[0])
    assert ours <= best * (1 + 1e-7)


@each_search
@each_problem
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_never_rises_and_the_model_holds_the_best_point(name, problem, dtype):
    f, start = PROBLEMS[problem]
    model_at, run = minimized(f, start, SEARCHES[name](tolerance=1e-6), 300, dtype)
    losses = np.array(run.history["loss"])
    noise = 8 * np.finfo(dtype).eps if name == "lbfgs" else 0.0
    assert (np.diff(losses) <= noise * np.abs(losses[:-1])).all()
    assert np.isfinite(losses).all()
    held = f(pe.tensor(model_at.astype(dtype))).item()
    assert held == pytest.approx(losses[-1], rel=10 * float(np.finfo(dtype).eps), abs=1e-30)


@each_search
def test_it_says_when_there_is_no_lower_loss(name):
    _, run = minimized(corners, [0.3, -4.0, 2.7], SEARCHES[name](tolerance=0.0), 3000, np.float32)
    assert run.stopped == f"{name} found no lower loss"
    assert run.history.last("loss") < (1.001 if name == "lbfgs" else 2.0) < run.history["loss"][0]


@each_search
def test_at_its_end_nothing_changes(name):
    model = Function(rosenbrock, [0.9, 0.8])
    rule, weights = SEARCHES[name](tolerance=1.0), {"w": model.w}
    state = rule.init(weights)
    loss_and_gradient = value_and_gradient(rosenbrock)
    after = 0
    for step in range(25):
        loss, g = loss_and_gradient(weights["w"].numpy())
        before = [np.array(leaf) for leaf in leaves(state)]
        ended = rule.ended(state)
        updates, state = rule.update(
            {"w": pe.tensor(g)}, state, weights, step, pe.tensor(np.float64(loss))
        )
        optim.apply_updates(weights, updates)
        if ended is not None:
            after += 1
            assert not updates["w"].numpy().any()
            for a, b in zip(before, leaves(state), strict=True):
                np.testing.assert_array_equal(a, b)
    assert ended == "no gradient is above 1"
    assert after > 2
    np.testing.assert_array_equal(rule.weights(state, weights)["w"].numpy(), weights["w"].numpy())


@each_search
def test_the_penalty_is_searched_and_not_reported(name):
    X, y = np.ones((4, 1)), np.full(4, 2.0)
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    rule = optim.chain(optim.l2(0.5), SEARCHES[name]())  # (w - 2)^2 + w^2 / 2
    run = train.fit(model, X, y, loss="mse", optimizer=rule, epochs=200, batch_size=4)
    assert model[0].weight.item() == pytest.approx(4 / 3, rel=1e-3)
    assert run.history.last("loss") == pytest.approx((4 / 3 - 2) ** 2, rel=1e-2)


def digits_like():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


@each_search
def test_a_network_learns(name):
    X, y = digits_like()
    pe.random.set_seed(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm(16), nn.Tanh(), nn.Linear(16, 2))
    rule = optim.chain(SEARCHES[name](), optim.average_weights(0.5))
    run = train.fit(model, X, y, optimizer=rule, epochs=300, batch_size=60)
    assert run.history.last("loss") < 0.05


@each_search
def test_validation_and_early_stopping_see_the_best_point(name):
    X, y = digits_like()
    seen = []

    class Watch(train.Callback):
        def epoch_end(self, run):
            seen.append(train.evaluate(run.model, X, y)["loss"])

    pe.random.set_seed(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    run = train.fit(
        model, X, y, optimizer=SEARCHES[name](), epochs=40, batch_size=60, validation=(X, y),
        early_stopping=30, callbacks=[Watch()],
    )  # fmt: skip
    np.testing.assert_allclose(run.history["val_loss"], run.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(seen, run.history["loss"], rtol=1e-5)


@each_search
@pytest.mark.parametrize(
    ("layer", "batch_size", "message"),
    [
        (
            nn.Tanh(),
            59,
            "each must see all rows: expected a batch_size of at least 60, received 59",
        ),
        (nn.Dropout(0.5), 60, r"which the model's random layers \(dropout or noise\) change"),
        (nn.GaussianNoise(0.1), 60, "random layers"),
    ],
)
def test_losses_that_cannot_be_compared_are_refused(name, layer, batch_size, message):
    X, y = digits_like()
    model = nn.Sequential(nn.Linear(4, 8), layer, nn.Linear(8, 2))
    with pytest.raises(ValueError, match=f"{name} compares .*{message}"):
        rule = optim.chain(SEARCHES[name]())
        train.fit(model, X, y, optimizer=rule, batch_size=batch_size, epochs=1)


@each_search
def test_a_start_that_is_no_number_is_explained(name):
    X, y = digits_like()
    model = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(TrainingDiverged, match="training diverged at step 1 "):
        train.fit(model, X * 1e30, y * 1e30, loss=lambda p, t: (p[:, 0] * 1e38) ** 2,
                  optimizer=SEARCHES[name](), batch_size=60)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.chain(optim.clip_by_norm(1.0), optim.lbfgs()), "clip_by_norm cannot come"),
        (lambda: optim.chain(optim.sgd(0.1), optim.lbfgs()), "only penalties may, such as l2"),
        (lambda: optim.chain(optim.lbfgs(), optim.l1(0.1)), "l1 cannot follow lbfgs"),
        (lambda: optim.chain(optim.lbfgs(), optim.lbfgs()), "lbfgs cannot follow lbfgs"),
        (lambda: optim.accumulate(optim.lbfgs()), "lbfgs compares losses of all rows; accumulate"),
        (lambda: optim.lbfgs(history=0), "history must be a whole number of at least 1"),
        (lambda: optim.lbfgs(0.0), r"learning_rate must lie in \(0, inf\)"),
        (lambda: optim.lbfgs(tolerance=-1.0), r"tolerance must lie in \[0, inf\)"),
        (lambda: optim.backtracking(shrink=1.0), r"shrink must lie in \(0, 1\)"),
        (lambda: optim.backtracking(grow=0.5), r"grow must lie in \[1, inf\)"),
        (lambda: optim.backtracking(decrease=0.0), r"decrease must lie in \(0, 1\)"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@each_search
def test_without_the_loss_there_is_no_search(name):
    rule, weights = SEARCHES[name](), {"w": pe.parameter([1.0])}
    with pytest.raises(ValueError, match=f"{name} compares losses, and received none; give"):
        rule.update({"w": pe.tensor([1.0])}, rule.init(weights), weights, 0)
