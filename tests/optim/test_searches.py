"""L-BFGS and backtracking: as plain loops, as SciPy, as scikit-learn; and what they refuse."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim, train
from pellucid.core.tree import leaves
from pellucid.train.diverged import TrainingDiverged
from tests.programs import bits

from . import plain_searches
from .functions import PROBLEMS, Function, corners, minimized, rosenbrock, wells

lbfgs_module = importlib.import_module("pellucid.optim.lbfgs")  # its name is the function's too

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


def as_plain(name, f, start, steps=45, **options):
    w, run = minimized(f, start, SEARCHES[name](tolerance=0.0, **options), steps)
    both = value_and_gradient(f)
    plain = getattr(plain_searches, name)(both, np.asarray(start, np.float64), **options)
    with np.errstate(all="ignore"):
        expected = list(itertools.islice(plain, steps))
    losses = np.array([loss for _, loss in expected])
    losses = losses[: run.steps]  # the loop does not know when it is at its end
    np.testing.assert_allclose(run.history["loss"], losses, 1e-5, 1e-10 * abs(losses[0]))
    np.testing.assert_allclose(w, expected[-1][0], rtol=1e-5, atol=1e-7)
    return losses


@each_search
@each_problem
def test_as_the_plain_loop(name, problem):
    as_plain(name, *PROBLEMS[problem])


@each_search
@pytest.mark.parametrize("rate", [1e-12, 1e9])
def test_as_the_plain_loop_from_a_first_step_of_the_wrong_size(name, rate):
    losses = as_plain(name, wells, np.linspace(-1.0, 3.0, 8), learning_rate=rate)
    assert (losses[:15] == losses[0]).sum() > 4 or rate < 1  # lines of many points


@each_search
def test_as_the_plain_loop_where_lines_fail(name):
    losses = as_plain(name, corners, [0.3, -4.0, 2.7], steps=110)
    longest = max(len(list(group)) for _, group in itertools.groupby(losses))
    assert longest > 20 or name == "backtracking"  # a line was given up


def test_a_direction_that_leads_up_is_replaced():
    slope = pe.tensor(np.array([1.0, -2.0]))
    pairs = {
        "steps": pe.tensor(np.array([[0.0, 0.0], [1.0, 0.0]])),
        "turns": pe.tensor(np.array([[0.0, 0.0], [1.0, 0.0]])),
        "weights": pe.tensor(np.array([0.0, 1.0])),
        "scale": pe.tensor(0.5, np.float64),
    }
    direction, descent, weights = lbfgs_module._downhill(slope, pairs)
    np.testing.assert_allclose(direction.numpy(), [-1.0, 1.0])
    assert (descent.item(), weights.numpy().tolist()) == (-3.0, [0.0, 1.0])
    pairs["weights"] = pe.tensor(np.array([0.0, -9.0]))  # as only rounding could leave it
    pairs["scale"] = pe.tensor(0.01, np.float64)
    direction, descent, weights = lbfgs_module._downhill(slope, pairs)
    np.testing.assert_allclose(direction.numpy(), [-0.01, 0.02])
    assert descent.item() == pytest.approx(-0.05)
    assert weights.numpy().tolist() == [0.0, 0.0]


def test_rosenbrock_takes_few_evaluations():
    w, run = minimized(rosenbrock, [-1.2, 1.0], optim.lbfgs(), 100)
    assert run.stopped == "no gradient is above 1e-05"
    assert run.steps == run.history.epochs < 50
    assert np.abs(w - 1.0).max() < 1e-6


def test_about_as_many_evaluations_as_scipy():
    optimize = pytest.importorskip("scipy.optimize")
    ratios = []
    for problem, (f, start) in PROBLEMS.items():
        limits = [(1e-9, 1 - 1e-9)] * len(start) if problem == "barrier" else None
        with np.errstate(all="ignore"):
            theirs = optimize.minimize(
                value_and_gradient(f), np.asarray(start, float), jac=True, method="L-BFGS-B",
                bounds=limits, options={"gtol": 1e-6, "ftol": 0, "maxcor": 10, "maxfun": 2000},
            )  # fmt: skip
        w, run = minimized(f, start, optim.lbfgs(tolerance=1e-6), 1000)
        assert run.stopped == "no gradient is above 1e-06"
        ratios.append(run.steps / theirs.nfev)
        assert ratios[-1] < 1.35, problem
        assert run.history.last("loss") <= theirs.fun + 1e-9 * max(1.0, abs(theirs.fun))
        close = 1e-2 if problem == "powell" else 1e-4  # whose curvature vanishes where it is least
        np.testing.assert_allclose(w, theirs.x, rtol=1e-4, atol=close)
    assert np.exp(np.mean(np.log(ratios))) < 1.05


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
def test_what_is_infinite_is_not_the_least(name):
    _, run = minimized(lambda w: w.sum(), [1.0, 2.0], SEARCHES[name](), 400, np.float32)
    losses = np.array(run.history["loss"])
    assert np.isfinite(losses).all()
    assert losses[-1] < -1e6


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
        loss -= 1.0 if ended else 0.0  # not even for a lower loss
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
def test_a_run_ends_with_the_step_that_finds_the_end(name):
    """Running averages change with every step: none more may depend on the machine's pace."""
    X, y = digits_like()
    found = []
    for callbacks in ([], [lambda run: None]):
        pe.random.set_seed(1)
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.Linear(3, 2))
        run = train.fit(
            model, X, y, optimizer=SEARCHES[name](tolerance=1e-2), epochs=3000, batch_size=60,
            callbacks=callbacks,
        )  # fmt: skip
        assert run.steps < 3000
        found.append((run.stopped, run.steps, bits([*model.state_dict().values()])))
    assert found[0] == found[1]


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


@each_search
def test_rows_keep_their_order(name):
    """Another order would round the same loss otherwise."""
    X, y = digits_like()
    losses = []
    for shuffle in (True, False):
        pe.random.set_seed(1)
        model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
        run = train.fit(model, X, y, optimizer=SEARCHES[name](), epochs=30, batch_size=60,
                        shuffle=shuffle)  # fmt: skip
        losses.append(run.history["loss"].tolist())
    assert losses[0] == losses[1]
