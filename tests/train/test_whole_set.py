"""Metrics of whole sets from functions of a user's own, and how `fit` treats them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as theirs

import pellucid as pe
from pellucid import nn, optim, train

SAME = nn.Sequential()  # its outputs are its inputs
RNG = np.random.default_rng(0)
U4, Y4 = RNG.normal(size=(80, 4)).astype(np.float32), RNG.integers(0, 4, 80)
U2, Y2 = RNG.normal(size=(80, 2)).astype(np.float32), RNG.integers(0, 2, 80)
U1 = RNG.normal(size=(80, 1)).astype(np.float32)
MANY = RNG.integers(0, 2, (80, 4))
BCE = "binary_cross_entropy_with_logits"


def softmax(u):
    shares = np.exp(u.astype(float))
    return shares / shares.sum(1, keepdims=True)


def sigmoid(u):
    return 1 / (1 + np.exp(-u.astype(float)))


@pytest.mark.parametrize(
    ("metric", "loss", "u", "y", "expected"),
    [
        (
            train.whole_set(theirs.cohen_kappa_score),
            "cross_entropy", U4, Y4, theirs.cohen_kappa_score(Y4, U4.argmax(1)),
        ),
        (
            train.whole_set(theirs.fbeta_score, beta=2, average="macro"),
            "cross_entropy", U4, Y4, theirs.fbeta_score(Y4, U4.argmax(1), beta=2, average="macro"),
        ),
        (
            train.whole_set(theirs.log_loss, reads="probabilities"),
            "cross_entropy", U4, Y4, theirs.log_loss(Y4, softmax(U4)),
        ),
        (
            train.whole_set(theirs.brier_score_loss, reads="probabilities"),
            "cross_entropy", U2, Y2, theirs.brier_score_loss(Y2, softmax(U2)[:, 1]),
        ),
        (
            train.whole_set(theirs.brier_score_loss, reads="probabilities"),
            BCE, U1, Y2, theirs.brier_score_loss(Y2, sigmoid(U1)[:, 0]),
        ),
        (
            train.whole_set(theirs.average_precision_score, reads="scores"),
            "hinge", U1, Y2, theirs.average_precision_score(Y2, U1[:, 0]),
        ),
        (
            train.whole_set(theirs.average_precision_score, reads="probabilities"),
            BCE, U4, MANY, theirs.average_precision_score(MANY, sigmoid(U4)),
        ),
        (
            train.whole_set(theirs.explained_variance_score, reads="outputs"),
            "mse", U2, U2[::-1] * 2, theirs.explained_variance_score(U2[::-1] * 2, U2),
        ),
    ],
)  # fmt: skip
def test_functions_of_scikit_learn_as_they_are(metric, loss, u, y, expected):
    found = train.evaluate(SAME, u, y, loss=loss, metrics=metric)
    assert found[metric.name] == pytest.approx(expected, rel=1e-6)


def test_a_function_gets_whole_sets_and_may_give_an_array():
    def shapes(y_true, y_pred):
        return np.array([y_true.shape, y_pred.shape])

    for reads, u, y, shape in (
        ("classes", U4, Y4, [[80], [80]]),
        ("outputs", U4, np.eye(4)[Y4], [[80, 4], [80, 4]]),
        ("scores", U2, Y2, [[80], [80]]),
    ):
        metric = train.whole_set(shapes, reads=reads, name="mine")
        assert train.evaluate(SAME, u, y, metrics=metric)["mine"].tolist() == shape


def test_sure_answers_are_told_apart_by_their_logits():
    """The probabilities of all of these are 1 in floating point."""
    u, y = np.array([[0.0, 60.0], [0.0, 50.0], [0.0, 40.0]]), [1, 0, 0]
    assert train.evaluate(SAME, u, y, metrics="roc_auc")["roc_auc"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"function": 3}, TypeError, "needs a function of y_true and y_pred, received 3"),
        ({"function": dict}, TypeError, "needs a function"),
        (
            {"function": len, "reads": "logits"},
            ValueError,
            "unknown reading 'logits'; known are",
        ),
    ],
)
def test_what_is_no_metric_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        train.whole_set(**arguments)


def test_probabilities_need_a_loss_that_makes_them():
    metric = train.whole_set(theirs.log_loss, reads="probabilities")
    with pytest.raises(ValueError, match="log_loss reads probabilities, which loss hinge does not"):
        train.evaluate(SAME, U1, Y2, loss="hinge", metrics=metric)


def test_a_function_of_arrays_given_as_it_is_says_what_to_do():
    with pytest.raises(ValueError, match="has no value: it is part of a traced") as caught:
        train.evaluate(SAME, U2, Y2, metrics=[theirs.f1_score])
    assert "in metric f1_score" in caught.value.__notes__[0]
    assert "as train.whole_set(function)" in caught.value.__notes__[0]


# -- in `fit` ---------------------------------------------------------------------------


def network():
    pe.random.set_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 4))


NAMES = ["f1_macro", "accuracy", "roc_auc", "recall_weighted"]


def test_the_history_holds_what_evaluate_finds():
    model = network()
    sets = {"val": (U4, Y4), "half": (U4[::2], Y4[::2])}
    run = train.fit(model, U4, Y4, epochs=3, metrics=NAMES, validation=sets)
    assert list(run.history) == [
        "epoch", "loss", "accuracy",
        "val_loss", *(f"val_{name}" for name in NAMES),
        "half_loss", *(f"half_{name}" for name in NAMES),
    ]  # fmt: skip
    for prefix, rows in (("val", slice(None)), ("half", slice(None, None, 2))):
        found = train.evaluate(model, U4[rows], Y4[rows], metrics=NAMES)
        for name, figure in found.items():
            assert run.history.last(f"{prefix}_{name}") == figure


def test_they_do_not_change_what_is_learned():
    def learned(**options):
        model = network()
        train.fit(model, U4, Y4, epochs=3, optimizer=optim.adam(0.01), **options)
        return {name: value.tobytes() for name, value in model.state_dict().items()}

    expected = learned()
    assert learned(metrics=NAMES, validation=(U4, Y4)) == expected
    assert learned(metrics=(), validation={"a": (U4, Y4)}) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": "f1_macro"}, "f1_macro is measured on whole sets, not on training rows"),
        ({"metrics": "confusion_matrix", "validation": 0.2}, "is not a single number"),
        (
            {"metrics": train.whole_set(lambda t, p: t[:2], name="two"), "validation": 0.2},
            r"metric two gave an array of shape \(2,\); expected a single number",
        ),
    ],
)
def test_what_a_history_cannot_hold_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        train.fit(network(), U4, Y4, epochs=1, **options)


def test_scikit_learn_is_imported_when_a_metric_of_whole_sets_is_measured():
    code = """
import sys, numpy as np
from pellucid import nn, train
model = nn.Sequential(nn.Linear(2, 2))
X, y = np.ones((4, 2)), [0, 1, 0, 1]
train.fit(model, X, y, epochs=1, validation=0.5, metrics=["accuracy"])
train.split(X, y, fractions=(0.5, 0.5))
print("sklearn" in sys.modules)
train.evaluate(model, X, y, metrics="f1")
print("sklearn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
