"""Every metric against scikit-learn's function, over every way of reading outputs."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

import pellucid as pe
from pellucid import nn, train
from pellucid.train.decision import decision_of
from pellucid.train.metrics import METRICS, metrics_for
from pellucid.train.whole_set import WholeSet

SAME = nn.Sequential()  # its outputs are its inputs
FLAT = nn.Sequential(lambda x: pe.reshape(x, (x.shape[0],)))


@dataclass
class Problem:
    """Outputs of a model, targets, and both as scikit-learn wants them."""

    loss: Any
    prediction: np.ndarray
    target: np.ndarray
    true: np.ndarray  # class numbers, or 0 and 1 for each output
    guessed: np.ndarray
    scores: np.ndarray | None = None  # of class 1, or of each class


def own_loss(prediction, target):
    return pe.mean(prediction)


def problems(seed: int, rows: int, ties: bool) -> dict[str, Problem]:
    """One for each kind of loss and target that has classes."""
    rng = np.random.default_rng(seed)

    def outputs(*shape):
        found = rng.normal(size=shape).astype(np.float32)
        return np.round(found) if ties else found

    four, two, one, many = outputs(rows, 4), outputs(rows, 2), outputs(rows, 1), outputs(rows, 3)
    y4, y2 = rng.integers(0, 4, rows), rng.integers(0, 2, rows)
    ym = rng.integers(0, 2, (rows, 3))
    shares = np.exp(four.astype(float) - four.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    places = outputs(rows, 2, 3)
    yp = rng.integers(0, 3, (rows, 2))
    halves = one + np.float32(0.5)
    hot = np.eye(4, dtype=np.float32)
    bce, ce = "binary_cross_entropy_with_logits", "cross_entropy"
    of_two = (y2, (one[:, 0] > 0).astype(int), one[:, 0])
    return {
        "class numbers": Problem(ce, four, y4, y4, four.argmax(1), shares),
        "class column": Problem(ce, four, y4[:, None], y4, four.argmax(1), shares),
        "one-hot": Problem(ce, four, hot[y4], y4, four.argmax(1), shares),
        "two outputs": Problem(ce, two, y2, y2, two.argmax(1), two[:, 1] - two[:, 0]),
        "class of each place": Problem(
            ce, places, yp, yp.reshape(-1), places.argmax(-1).reshape(-1)
        ),
        "margins": Problem("multi_class_hinge", four, y4, y4, four.argmax(1)),
        "logit": Problem(bce, one, y2, *of_two),
        "logit column": Problem(bce, one, y2[:, None], *of_two),
        "flat logit": Problem(bce, one[:, 0], y2, *of_two),
        "several logits": Problem(bce, many, ym, ym, (many > 0).astype(int), many),
        "signs": Problem("hinge", one, 2 * y2 - 1, *of_two),
        "zero and one": Problem("mse", halves, y2, *of_two),
        "minus one and one": Problem("mse", one, 2 * y2 - 1, *of_two),
        "one-hot values": Problem("mse", four, hot[y4], y4, four.argmax(1), four),
        "own loss, numbers": Problem(own_loss, four, y4, y4, four.argmax(1), four),
        "own loss, logit": Problem(own_loss, one, y2, *of_two),
    }


EXCLUSIVE = ("class numbers", "class column", "one-hot", "margins", "one-hot values",
             "own loss, numbers")  # fmt: skip
OF_TWO = ("two outputs", "logit", "logit column", "flat logit", "signs", "zero and one",
          "minus one and one", "own loss, logit")  # fmt: skip
PLACES, SEVERAL = "class of each place", "several logits"


def top_5_of_7(prediction, target):
    """scikit-learn's, where no outputs are equal."""
    return theirs.top_k_accuracy_score(target, prediction, k=5, labels=range(prediction.shape[1]))


def one_against_rest(p: Problem) -> float:
    """The mean over classes that occur, and of which not all rows are."""
    if p.scores.ndim == 1:
        known = len(set(p.true.tolist())) == 2
        return theirs.roc_auc_score(p.true, p.scores) if known else np.nan
    hits = p.true if p.true.ndim == 2 else np.eye(p.scores.shape[1])[p.true]
    some = [c for c in range(hits.shape[1]) if 0 < hits[:, c].sum() < len(hits)]
    return np.mean([theirs.roc_auc_score(hits[:, c], p.scores[:, c]) for c in some] or np.nan)


def averaged(function, average):
    return lambda p: function(p.true, p.guessed, average=average, zero_division=0)


def right(p: Problem) -> float:
    return float((p.true == p.guessed).mean())


ALL = (*EXCLUSIVE, *OF_TWO, PLACES, SEVERAL)
WITH_SCORES = tuple(kind for kind in ALL if kind not in ("margins", PLACES))
SCORES = {"precision": theirs.precision_score, "recall": theirs.recall_score, "f1": theirs.f1_score}

EXPECTED = {
    "accuracy": (ALL, right),
    "zero_one_error": (ALL, lambda p: 1 - right(p)),
    "binary_accuracy": ((*OF_TWO[1:], SEVERAL), right),
    "roc_auc": (WITH_SCORES, one_against_rest),
    "confusion_matrix": (
        (*EXCLUSIVE, *OF_TWO),
        lambda p: theirs.confusion_matrix(
            p.true, p.guessed, labels=range(4 if p.prediction.shape[-1] == 4 else 2)
        ),
    ),
    **{name: (OF_TWO, averaged(f, "binary")) for name, f in SCORES.items()},
    **{
        f"{name}_{average}": (ALL, averaged(f, average))
        for name, f in SCORES.items()
        for average in ("macro", "micro", "weighted")
    },
}
"""For each metric over classes the problems it is for, and what it must give."""

OF_VALUES = {
    "mean_squared_error": theirs.mean_squared_error,
    "mean_absolute_error": theirs.mean_absolute_error,
    "root_mean_squared_error": lambda y, u: np.sqrt(theirs.mean_squared_error(y, u)),
    "r2": theirs.r2_score,
}
OF_VALUES |= {"mse": OF_VALUES["mean_squared_error"], "mae": OF_VALUES["mean_absolute_error"],
              "rmse": OF_VALUES["root_mean_squared_error"]}  # fmt: skip


def measured(p: Problem, *metrics, **options):
    model, X = (SAME, p.prediction) if p.prediction.ndim > 1 else (FLAT, p.prediction[:, None])
    return train.evaluate(model, X, p.target, loss=p.loss, metrics=metrics, **options)


def test_every_metric_has_a_row():
    assert EXPECTED.keys() | OF_VALUES.keys() | {"top_5_accuracy"} == METRICS.keys()


def check(kind: str, p: Problem) -> None:
    """Hold every metric that a kind of problem has against scikit-learn's."""
    names = [name for name, (kinds, _) in EXPECTED.items() if kind in kinds]
    found = measured(p, *names)
    for name in names:
        np.testing.assert_allclose(found[name], EXPECTED[name][1](p), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", ALL)
def test_metrics_over_classes_are_scikit_learns(kind):
    for rows in (1, 30, 311):  # the last is measured in blocks and a rest
        for ties in (False, True):
            check(kind, problems(rows, rows, ties)[kind])


@pytest.mark.parametrize("only", [0, 1])
@pytest.mark.parametrize("kind", sorted({*ALL} - {PLACES, SEVERAL}))
def test_a_set_of_one_class(kind, only):
    if kind == "minus one and one" and only == 1:
        pytest.skip("nothing shows any more that the classes are -1 and 1")
    p = problems(0, 40, ties=False)[kind]
    rows = np.flatnonzero(p.true == only)[:7]
    parts = (p.prediction, p.target, p.true, p.guessed, p.scores)
    check(kind, Problem(p.loss, *(None if part is None else part[rows] for part in parts)))


@pytest.mark.parametrize("name", OF_VALUES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (50, 1), (300, 3)])
def test_a_metric_over_quantities_is_scikit_learns(name, shape):
    rng = np.random.default_rng(shape[0])
    u, y = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    if name == "r2" and shape[0] < 2:
        assert np.isnan(measured(Problem("mse", u, y, y, u), name)[name])
        return
    expected = OF_VALUES[name](y.astype(float), u.astype(float))
    for loss in ("mse", "huber", own_loss):
        found = measured(Problem(loss, u, y, y, u), name)[name]
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_top_k_are_scikit_learns_where_outputs_differ():
    rng = np.random.default_rng(0)
    u, y = rng.normal(size=(300, 7)).astype(np.float32), rng.integers(0, 7, 300)
    p = Problem("cross_entropy", u, y, y, u.argmax(1))
    assert measured(p, "top_5_accuracy")["top_5_accuracy"] == pytest.approx(top_5_of_7(u, y))
    for k in range(1, 7):
        found = measured(p, train.top_k(k))[f"top_{k}_accuracy"]
        assert found == pytest.approx(theirs.top_k_accuracy_score(y, u, k=k))


def test_of_equal_outputs_the_first_are_on_top():
    u = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0], [np.nan, 3.0, 5.0]], np.float32)
    for true, expected in ((0, [1, 0, 1]), (1, [1, 1, 0]), (2, [0, 1, 1])):
        given = (pe.tensor(u), pe.tensor(np.full(3, true)))
        assert train.top_k(2).function(*given).numpy().tolist() == expected
    rng = np.random.default_rng(0)
    ties, y = rng.integers(0, 3, (200, 4)).astype(np.float32), rng.integers(0, 4, 200)
    hot = np.eye(4, dtype=np.float32)[y]
    first = METRICS["accuracy"].function(pe.tensor(ties), pe.tensor(y)).numpy()
    for target in (y, hot):
        found = train.top_k(1).function(pe.tensor(ties), pe.tensor(target))
        np.testing.assert_array_equal(found.numpy(), first)


def test_traced_metrics_are_the_same_compiled_and_eager():
    rng = np.random.default_rng(0)
    u, y = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 6, 40)
    hot = np.eye(6, dtype=np.float32)[y]
    for metric in METRICS.values():
        if not isinstance(metric, WholeSet):
            target = hot if metric.of == "values" or metric.each_output else y
            eager = metric.function(pe.tensor(u), pe.tensor(target)).numpy()
            fast = pe.compile(metric.function)(pe.tensor(u), pe.tensor(target)).numpy()
            np.testing.assert_allclose(eager, fast, rtol=1e-6)


def test_weights_of_rows_count_in_the_loss_only():
    p = problems(3, 60, ties=False)["class numbers"]
    names = [name for name, (kinds, _) in EXPECTED.items() if "class numbers" in kinds]
    plain = measured(p, *names)
    weighted = measured(p, *names, sample_weight=np.arange(60) + 1.0)
    assert plain.pop("loss") != weighted.pop("loss")
    for name in names:
        np.testing.assert_array_equal(plain[name], weighted[name])


# -- what a user asks for ---------------------------------------------------------------


def bound(loss, y, shape, given=None):
    y = np.asarray(y)
    return metrics_for(decision_of(nn.as_loss(loss), y, shape), y, given)


def test_the_default_suits_the_loss():
    assert list(bound("cross_entropy", [0, 1], (3,))) == ["accuracy"]
    assert list(bound("hinge", [1.0, -1.0], (1,))) == ["accuracy"]
    assert bound("mse", [0.5], (1,)) == {}
    assert bound(own_loss, [0], (3,)) == {}
    assert bound("cross_entropy", [0, 1], (3,), ()) == {}
    assert list(bound("mse", [0.5], (1,), "rmse")) == ["rmse"]


def test_the_same_accuracy_whether_asked_for_or_not():
    p = problems(0, 50, ties=False)[SEVERAL]
    by_default = train.evaluate(SAME, p.prediction, p.target, loss=p.loss)
    assert by_default == measured(p, "accuracy")
    assert by_default["accuracy"] == pytest.approx(right(p))


def test_a_function_goes_by_its_name():
    def mine(prediction, target):
        return prediction

    assert bound("cross_entropy", [0], (2,), ["accuracy", mine])["mine"].function is mine
    assert bound("cross_entropy", [0], (2,), mine)["mine"].greater_is_better is None


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (5, TypeError, "a metric must be a name or a function, received 5"),
        (["accuracy", dict], TypeError, "a metric must be a name or a function"),
        ("f2", ValueError, "unknown metric 'f2'; known are accuracy, binary_accuracy"),
        (["accuracy", "accuracy"], ValueError, "two metrics are called 'accuracy'"),
        ([lambda p, t: p, lambda p, t: t], ValueError, "two metrics are called '<lambda>'"),
        (train.Metric("loss", None), ValueError, "cannot be called 'loss'"),
        (train.Metric("learning_rate", None), ValueError, "cannot be called 'learning_rate'"),
        ("f1", ValueError, "f1 is for two classes, and there are 3 classes; add _macro"),
        ("mae", ValueError, "mae compares outputs with quantities.*cross_entropy are classes"),
        ("r2", ValueError, "r2 compares outputs with quantities"),
        ("binary_accuracy", ValueError, "not for classes that exclude each other; use accuracy"),
        ("top_5_accuracy", ValueError, "is 1 for whatever a model with 3 classes predicts"),
        (train.top_k(3), ValueError, "top_3_accuracy is 1 for whatever"),
    ],
)
def test_what_cannot_be_measured_is_named(given, error, message):
    with pytest.raises(error, match=message):
        bound("cross_entropy", [0, 1, 2], (3,), given)


@pytest.mark.parametrize(
    ("loss", "y", "shape", "name", "message"),
    [
        ("binary_cross_entropy_with_logits", [[0, 1]], (2,), "f1", "there are several outputs"),
        ("binary_cross_entropy_with_logits", [[0, 1]], (2,), "confusion_matrix", "exclude each"),
        ("binary_cross_entropy_with_logits", [0, 1], (1,), "top_5_accuracy", "one output per"),
        ("binary_cross_entropy_with_logits", [0, 1], (1,), "rmse", "are classes"),
        ("mse", [0.0, 0.5], (1,), "accuracy", "must be 0 and 1, or -1 and 1; received 0.5 in row"),
        ("mse", [0.0, -1.0], (1,), "roc_auc", r"received 0.0 in row 0"),
        ("mse", [[1.0, 0.0], [1.0, 1.0]], (2,), "f1_macro", "one-hot rows; received .* in row 1"),
    ],
)
def test_what_does_not_fit_a_loss_is_named(loss, y, shape, name, message):
    with pytest.raises(ValueError, match=message):
        bound(loss, y, shape, name)


def test_metrics_are_sent_to_other_processes():
    own = train.whole_set(theirs.fbeta_score, beta=2, average="macro", name="f2")
    for metric in (*METRICS.values(), train.top_k(3), own):
        assert pickle.loads(pickle.dumps(metric)).name == metric.name


def test_k_is_a_whole_number():
    with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
        train.top_k(0)
