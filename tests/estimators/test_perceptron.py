"""The perceptron: scikit-learn's contract, the rule against a plain loop, what it says."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Perceptron as SklearnPerceptron
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from pellucid.estimators import Perceptron, perceptron_rule
from tests.programs import processor, same_processors, threads

SQUARE = [[0, 0], [0, 1], [1, 0], [1, 1]]
OR, XOR = [0, 1, 1, 1], [0, 1, 1, 0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the checks' data
@parametrize_with_checks(
    [
        Perceptron(),
        Perceptron(learning_rate=0.1, max_iter=50, shuffle=True, random_state=1, trace=20),
        Perceptron(fit_intercept=False, max_iter=50),
    ]
)
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


# --- the rule against a plain loop ------------------------------------------------------------


def plain_sum(terms: list[float]) -> float:
    """The second half onto the first, again and again; what was left over, last one first."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    total = plain_sum([terms[i] + terms[half + i] for i in range(half)])
    return total + terms[-1] if len(terms) % 2 else total


def plain_loop(
    X: list[list[float]], y: list[int], w: list[float], b: float, c: float, epochs: int
) -> tuple[list[float], float, list[tuple[Any, ...]]]:
    """The rule as it stands in the lectures, one number at a time."""
    rows = []
    for epoch in range(1, epochs + 1):
        for x, target in zip(X, y, strict=True):
            before = (b, *w)
            z = plain_sum([wi * xi for wi, xi in zip(w, x, strict=True)]) + b
            output = 1 if z > 0 else 0
            if output != target:
                b = b + c * (target - output)
                w = [wi + c * (target - output) * xi for wi, xi in zip(w, x, strict=True)]
            rows.append((len(rows) + 1, epoch, before, (1.0, *x), z, output, target, (b, *w), 1))
    return w, b, rows


FLOATS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e3, 1e3, width=64))


@st.composite
def problems(draw):
    features, rows = draw(st.sampled_from([1, 2, 3, 5, 8, 21])), draw(st.integers(2, 9))
    vector = st.lists(FLOATS, min_size=features, max_size=features)
    X = draw(st.lists(vector, min_size=rows, max_size=rows))
    y = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))]
    return X, y, draw(vector), draw(FLOATS), draw(st.sampled_from([1.0, 0.1, 3.0]))


@settings(max_examples=150, deadline=None)
@given(problems(), st.integers(1, 12))
def test_every_number_is_that_of_a_plain_loop(problem, epochs):
    X, y, w, b, c = problem
    unit = Perceptron(c, max_iter=epochs, trace=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        unit.fit(X, y, coef_init=w, intercept_init=b)
    w, b, rows = plain_loop(X, y, w, b, c, unit.n_iter_)
    assert list(unit.trace_) == rows
    assert unit.coef_.tolist() == [w] and unit.intercept_.tolist() == [b]
    assert unit.n_mistakes_.tolist() == [sum(row[5] != row[6] for row in rows)]
    outputs = [row[5] for row in plain_loop(X, y, w, b, c, 1)[2]]
    looked_at_again = unit.predict(X).tolist()
    assert unit.converged_ == (looked_at_again == y)
    if unit.converged_:
        assert outputs == y
        earlier = plain_loop(X, y, list(rows[0][2][1:]), rows[0][2][0], c, unit.n_iter_ - 1)
        wrong = [z > 0 for z in Perceptron.decision_function(_with(unit, *earlier[:2]), X)] != y
        assert wrong or unit.n_iter_ == 1, "it was right an epoch before"


def _with(unit: Perceptron, w: list[float], b: float) -> Perceptron:
    other = copy.deepcopy(unit)
    other.coef_, other.intercept_ = np.array([w]), np.array([b])
    return other


@given(st.integers(1, 200), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_sums_have_one_order_whatever_rows_stand_beside(features, seed):
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(5, features)), rng.normal(size=features)
    found = perceptron_rule.sums(X, w, 0.5)
    assert found.tolist() == [plain_sum((row * w).tolist()) + 0.5 for row in X]
    assert found[3:4].tolist() == perceptron_rule.sums(X[3:4], w, 0.5).tolist()
    np.testing.assert_allclose(found, X @ w + 0.5, rtol=1e-9, atol=1e-12)


def noisy(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(rows, features))
    return X, (X @ rng.normal(size=features) + rng.normal(size=rows) > 0).astype(int)


def learned(X: np.ndarray, y: np.ndarray, **options: Any) -> tuple[bytes, ...]:
    unit = Perceptron(0.3, max_iter=3, random_state=0, **options)
    with pytest.warns(ConvergenceWarning, match="after 3 epochs"):
        unit.fit(X, y)
    return unit.coef_.tobytes(), unit.intercept_.tobytes(), unit.n_mistakes_.tobytes()


@pytest.mark.parametrize("shuffle", [False, True])
def test_threads_vectors_slices_and_the_reference_change_no_bit(shuffle, monkeypatch):
    X, y = noisy(200, 37)
    expected = learned(X, y, shuffle=shuffle)
    for name in same_processors():
        for count in (1, 2):
            with processor(name), threads(count):
                assert learned(X, y, shuffle=shuffle) == expected
    monkeypatch.setattr(perceptron_rule, "_ELEMENTS", 37 * 7)
    assert learned(X, y, shuffle=shuffle) == expected
    monkeypatch.setenv("PELLUCID_REFERENCE", "1")
    assert learned(X, y, shuffle=shuffle) == expected


@pytest.mark.parametrize("classes", [2, 3])
def test_weights_are_those_of_scikit_learn(classes):
    """From weights that are not zero, so that no sum is 0, where it counts every row as wrong."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(300, 6))
    y = (X @ rng.normal(size=(6, classes)) + rng.normal(size=(300, classes))).argmax(axis=1)
    shape = (1, 6) if classes == 2 else (classes, 6)
    start = {"coef_init": rng.normal(size=shape), "intercept_init": rng.normal(size=shape[0])}
    ours = Perceptron(0.1, max_iter=7)
    theirs = SklearnPerceptron(eta0=0.1, max_iter=7, tol=None, shuffle=False)
    with pytest.warns(ConvergenceWarning):
        ours.fit(X, y, **start)
    theirs.fit(X, y, **start)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-9)
    assert ours.predict(X).tolist() == theirs.predict(X).tolist()


def test_rows_with_many_features_have_the_same_bits_too():
    X, y = noisy(12, 70_001)
    unit = Perceptron(0.3).fit(X, y)
    w, b, _ = plain_loop(X.tolist(), y.tolist(), [0.0] * 70_001, 0.0, 0.3, unit.n_iter_)
    assert unit.n_mistakes_[0] > 2
    assert unit.coef_.tolist() == [w] and unit.intercept_.tolist() == [b]


# --- when it ends, and what it says -----------------------------------------------------------


def test_weights_that_are_right_from_the_start_take_one_epoch():
    unit = Perceptron(trace=True).fit(SQUARE, OR, coef_init=[1, 1], intercept_init=-0.5)
    assert (unit.n_iter_, unit.n_mistakes_.tolist(), unit.converged_) == (1, [0], True)
    assert len(unit.trace_) == 4


def test_a_limit_at_the_epoch_that_was_enough_is_convergence():
    enough = Perceptron().fit(SQUARE, OR).n_iter_
    assert enough > 1
    assert Perceptron(max_iter=enough).fit(SQUARE, OR).converged_  # and no warning
    with pytest.warns(ConvergenceWarning, match=f"after {enough - 1} epochs, the limit"):
        assert not Perceptron(max_iter=enough - 1).fit(SQUARE, OR).converged_


def test_weights_that_come_back_prove_that_it_never_converges():
    unit = Perceptron(max_iter=10**9, trace=True)
    with pytest.warns(ConvergenceWarning, match="will never converge: its weights after epoch 3"):
        unit.fit(SQUARE, XOR)
    ends = [row.new_weights for row in unit.trace_[3::4]]
    assert len(ends) == unit.n_iter_ == 3
    assert ends[2] == ends[1] != ends[0]
    assert not unit.converged_


def test_the_circle_is_told_as_long_as_it_is():
    X, y = [[3, -3], [-3, 1], [-1, 1], [-2, 3], [0, 3]], [1, 1, 0, 1, 0]
    unit = Perceptron(trace=True)
    with pytest.warns(ConvergenceWarning, match="after epoch 11 are those after epoch 8,"):
        unit.fit(X, y)
    ends = [row.new_weights for row in unit.trace_[4::5]]
    assert ends[10] == ends[7]
    assert ends[9] != ends[7] != ends[8]


def test_an_order_that_changes_proves_nothing():
    with pytest.warns(ConvergenceWarning, match="after 200 epochs, the limit"):
        Perceptron(shuffle=True, random_state=0, max_iter=200).fit(SQUARE, XOR)


def test_the_warning_counts_wrong_rows_and_names_the_class():
    with pytest.warns(ConvergenceWarning) as caught:
        unit = Perceptron().fit(SQUARE, ["a", "b", "b", "c"])
    assert ["class 'b'" in str(w.message) for w in caught] == [True]
    assert caught[0].filename == __file__
    wrong = ((unit.decision_function(SQUARE)[:, 1] > 0) != [0, 1, 1, 0]).sum()
    assert f"the wrong output for {wrong} of 4 rows" in str(caught[0].message)


def test_numbers_that_grow_too_large_are_refused():
    with pytest.raises(ValueError, match=r"sum of row 1 .* exceeds the range .* in epoch 1"):
        Perceptron().fit([[1.0], [1e200], [-1e200]], [0, 1, 0], coef_init=[1e200])


def test_numbers_that_grow_too_large_with_the_last_row_are_refused():
    with pytest.raises(ValueError, match=r"sum of row 0 .* exceeds the range .* in epoch 1"):
        Perceptron(100.0, max_iter=1).fit([[0.0], [1e308]], [0, 1])


def test_a_failed_fit_changes_nothing_that_was_learned():
    unit = Perceptron().fit([[-1.0], [2.0]], [0, 1])
    before = unit.coef_.tolist(), unit.classes_.tolist()
    with pytest.raises(ValueError, match="exceeds the range"):
        unit.fit([[1e200], [-1e200]], [7, 8], coef_init=[1e200])
    assert (unit.coef_.tolist(), unit.classes_.tolist()) == before


# --- options ----------------------------------------------------------------------------------


def test_labels_may_be_anything_that_can_be_sorted():
    for labels in (["no", "yes"], [False, True], [-1, 1], [2.0, 7.0], np.array(["a", "b"], object)):
        y = np.array(labels)[OR]
        unit = Perceptron().fit(SQUARE, y)
        assert unit.predict(SQUARE).tolist() == y.tolist()
        assert unit.score(SQUARE, y) == 1.0
        assert unit.coef_.tolist() == Perceptron().fit(SQUARE, OR).coef_.tolist()


def test_several_classes_have_one_perceptron_each():
    X = np.array([[1, 3], [0, 1], [1, -1], [4, 0], [-4, -4], [-1, -1]])
    y = np.array(["up", "up", "right", "right", "left", "left"])
    unit = Perceptron(trace=True).fit(X, y)
    assert unit.classes_.tolist() == ["left", "right", "up"] and unit.converged_
    assert unit.predict(X).tolist() == y.tolist()
    alone = [Perceptron(trace=True).fit(X, y == label) for label in unit.classes_]
    assert unit.coef_.tolist() == [one.coef_[0].tolist() for one in alone]
    assert unit.intercept_.tolist() == [one.intercept_[0] for one in alone]
    assert unit.n_mistakes_.tolist() == [one.n_mistakes_[0] for one in alone]
    epochs = [one.n_iter_ for one in alone]
    assert unit.n_iter_ == max(epochs) > max(epochs[0], epochs[-1])
    expected = [row[:-1] for one in alone for row in one.trace_]
    assert [row[:-1] for row in unit.trace_] == expected
    assert list(dict.fromkeys(row.label for row in unit.trace_)) == unit.classes_.tolist()


def test_without_a_bias_the_hyperplane_goes_through_the_origin():
    unit = Perceptron(fit_intercept=False, trace=True).fit([[1.0, 2.0], [-1.0, 1.0]], [1, 0])
    assert unit.intercept_.tolist() == [0.0] and unit.converged_
    assert len(unit.trace_[0].weights) == len(unit.trace_[0].input) == 2
    assert list(unit.trace_.columns())[2:6] == ["w1", "w2", "x1", "x2"]
    with pytest.warns(ConvergenceWarning):  # both lie on one side of the origin
        Perceptron(fit_intercept=False).fit([[1.0], [2.0]], [0, 1])


def test_each_epoch_has_an_order_of_its_own_and_all_rows():
    X, y = noisy(20, 3)
    unit = Perceptron(shuffle=True, random_state=5, max_iter=4, trace=True)
    with pytest.warns(ConvergenceWarning):
        unit.fit(X, y)
    orders = [
        [tuple(row.input[1:]) for row in unit.trace_ if row.epoch == epoch] for epoch in range(1, 5)
    ]
    assert all(sorted(order) == sorted(map(tuple, X.tolist())) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    with pytest.warns(ConvergenceWarning):
        assert clone(unit).fit(X, y).coef_.tolist() == unit.coef_.tolist()
        assert clone(unit).set_params(random_state=6).fit(X, y).coef_.tolist() != (
            unit.coef_.tolist()
        )


def test_a_warm_start_goes_on_where_the_last_fit_ended():
    X, y = noisy(50, 3)
    parts, whole = Perceptron(max_iter=2, warm_start=True), Perceptron(max_iter=6)
    with pytest.warns(ConvergenceWarning):
        for _ in range(3):
            parts.fit(X, y)
        whole.fit(X, y)
    assert parts.coef_.tolist() == whole.coef_.tolist()
    assert parts.n_iter_ == 2
    with pytest.raises(ValueError, match=r"the classes must stay \[0, 1\], received \[0, 5\]"):
        parts.fit(X, y * 5)
    parts.set_params(fit_intercept=False).intercept_[:] = 5.0
    with pytest.warns(ConvergenceWarning):
        parts.fit(X, y)
    assert parts.intercept_.tolist() == [0.0]


def test_partial_fits_present_each_row_once():
    X, y = noisy(50, 3)
    parts, whole = Perceptron(trace=True), Perceptron(max_iter=2, trace=True)
    for first in (0, 20, 40) * 2:
        rows = slice(first, min(first + 20, 50))
        parts.partial_fit(X[rows], y[rows], classes=[1, 0])
        assert len(parts.trace_) == len(y[rows])
        assert parts.converged_ == (parts.score(X[rows], y[rows]) == 1.0)
    with pytest.warns(ConvergenceWarning):
        whole.fit(X, y)
    assert parts.coef_.tolist() == whole.coef_.tolist()
    assert parts.intercept_.tolist() == whole.intercept_.tolist()
    assert parts.n_mistakes_.tolist() == whole.n_mistakes_.tolist()
    assert parts.n_iter_ == 6
    kept = parts.coef_.copy(), parts.coef_
    parts.partial_fit(X, 1 - y)
    assert kept[0].tolist() == kept[1].tolist(), "weights handed out before have changed"


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1], None, "needs classes"),
        ([0, 1], [0], "at least two"),
        ([0, 2], [0, 1], r"label 2, which is not among the classes \[0, 1\]"),
    ],
)
def test_what_a_partial_fit_refuses(labels, classes, message):
    with pytest.raises(ValueError, match=message):
        Perceptron().partial_fit([[0.0], [1.0]], labels, classes)


def test_classes_cannot_change_between_partial_fits():
    unit = Perceptron().partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
    unit.partial_fit([[1.0]], [1], classes=[1, 0])
    with pytest.raises(ValueError, match=r"must stay \[0, 1\], received \[0, 1, 2\]"):
        unit.partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": np.inf}, "learning_rate must be a finite number above 0"),
        ({"learning_rate": "constant"}, "learning_rate .* received 'constant'"),
        ({"learning_rate": True}, "learning_rate .* received True"),
        ({"max_iter": 0}, "max_iter must be a whole number of at least 1, received 0"),
        ({"max_iter": 2.5}, "max_iter"),
        ({"trace": -1}, "trace must be True, False or the number"),
        ({"trace": "yes"}, "trace .* received 'yes'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    for learn in (Perceptron(**options).fit, Perceptron(**options).partial_fit):
        with pytest.raises(ValueError, match=message):
            learn(SQUARE, OR)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ({"coef_init": [1.0]}, r"coef_init must have shape \(1, 2\), received \(1,\)"),
        ({"coef_init": [[1.0, 2.0]] * 2}, r"received \(2, 2\)"),
        ({"coef_init": [np.nan, 0]}, "coef_init must be finite"),
        ({"intercept_init": [1.0, 2.0]}, r"intercept_init must have shape \(1,\)"),
    ],
)
def test_initial_weights_must_fit(initial, message):
    with pytest.raises(ValueError, match=message):
        Perceptron().fit(SQUARE, OR, **initial)


def test_a_bias_cannot_be_set_where_there_is_none():
    with pytest.raises(ValueError, match="there is no bias"):
        Perceptron(fit_intercept=False).fit(SQUARE, OR, intercept_init=1.0)


def test_initial_weights_of_several_classes():
    coef, intercept = np.arange(6.0).reshape(3, 2), [1.0, 2.0, 3.0]
    unit = Perceptron(trace=True)
    with pytest.warns(ConvergenceWarning):
        unit.fit(SQUARE, [0, 1, 1, 2], coef_init=coef, intercept_init=intercept)
    starts = [row.weights for row in unit.trace_ if row.step == 1]
    assert starts == [(1, 0, 1), (2, 2, 3), (3, 4, 5)]
    assert coef.tolist() == np.arange(6.0).reshape(3, 2).tolist()


def test_weights_of_rows_and_sparse_rows_are_refused():
    from scipy import sparse

    with pytest.raises(TypeError, match="sample_weight"):
        Perceptron().fit(SQUARE, OR, sample_weight=[1, 1, 1, 1])
    with pytest.raises(TypeError, match="[Ss]parse"):
        Perceptron().fit(sparse.csr_array(SQUARE), OR)


def test_one_class_is_not_enough():
    with pytest.raises(ValueError, match=r"at least two, received one class: \['a'\]"):
        Perceptron().fit(SQUARE, ["a"] * 4)


# --- with the rest of scikit-learn ------------------------------------------------------------


def test_pipelines_searches_and_cross_validation():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) * [1, 10, 100, 1000]
    y = np.where(X @ [1, 0.1, 0.01, 0.001] > 0, "above", "below")
    pipeline = make_pipeline(StandardScaler(), Perceptron())
    assert cross_val_score(pipeline, X, y).mean() > 0.8
    search = GridSearchCV(pipeline, {"perceptron__learning_rate": [0.1, 1.0]}, n_jobs=1).fit(X, y)
    assert search.best_score_ > 0.8


def test_names_of_columns_are_kept():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(SQUARE, columns=["left", "right"])
    unit = Perceptron().fit(X, pandas.Series(["no", "yes", "yes", "yes"]))
    assert unit.feature_names_in_.tolist() == ["left", "right"]
    with pytest.raises(ValueError, match="feature names"):
        unit.predict(X[["right", "left"]])


def test_it_is_copied_and_pickled_with_its_trace():
    unit = Perceptron(trace=True).fit(SQUARE, OR)
    for other in (pickle.loads(pickle.dumps(unit)), copy.deepcopy(unit)):
        assert list(other.trace_) == list(unit.trace_)
        assert other.predict(SQUARE).tolist() == OR
    assert not hasattr(clone(unit), "coef_")


def test_fits_at_once_in_several_threads_do_not_meet():
    X, y = noisy(200, 37)
    expected, found = learned(X, y), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)

        def fit() -> None:
            unit = Perceptron(0.3, max_iter=3).fit(X, y)
            found.append(unit.coef_.tobytes())

        workers = [threading.Thread(target=fit) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert found == [expected[0]] * 4


def test_before_a_fit_there_is_nothing_to_predict_with_or_to_show():
    with pytest.raises(NotFittedError):
        Perceptron().predict(SQUARE)
    with pytest.raises(AttributeError, match="set trace=True"):
        _ = Perceptron().fit(SQUARE, OR).trace_
    unit = Perceptron(trace=True).fit(SQUARE, OR)
    assert not hasattr(unit.set_params(trace=False).fit(SQUARE, OR), "trace_")
