"""Metrics against NumPy, row by row of their table."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn
from pellucid.train.metrics import METRICS, greater_is_better, metrics_for

rng = np.random.default_rng(0)
LOGITS = rng.normal(size=(9, 4)).astype(np.float32)
CLASSES = rng.integers(0, 4, 9)
ONE = rng.normal(size=(9, 1)).astype(np.float32)
ZERO_ONE = rng.integers(0, 2, 9)
MANY = rng.integers(0, 2, (9, 4))
VALUES = rng.normal(size=(9, 4)).astype(np.float32)

SAMPLES = {
    "accuracy": [
        (LOGITS, CLASSES, LOGITS.argmax(1) == CLASSES),
        (LOGITS, CLASSES[:, None], LOGITS.argmax(1) == CLASSES),
        (LOGITS, np.eye(4, dtype=np.float32)[CLASSES], LOGITS.argmax(1) == CLASSES),
        (ONE, ZERO_ONE, (ONE[:, 0] > 0) == ZERO_ONE),
        (ONE[:, 0], ZERO_ONE, (ONE[:, 0] > 0) == ZERO_ONE),
        (ONE, ZERO_ONE[:, None], (ONE[:, 0] > 0) == ZERO_ONE),
    ],
    "binary_accuracy": [(LOGITS, MANY, ((LOGITS > 0) == MANY).mean(1))],
    "mean_squared_error": [
        (LOGITS, VALUES, ((LOGITS - VALUES) ** 2).mean(1)),
        (ONE, VALUES[:, 0], (ONE[:, 0] - VALUES[:, 0]) ** 2),
    ],
    "mean_absolute_error": [
        (LOGITS, VALUES, np.abs(LOGITS - VALUES).mean(1)),
        (ONE[:, 0], VALUES[:, :1], np.abs(ONE[:, 0] - VALUES[:, 0])),
    ],
}


def test_every_metric_has_samples():
    assert SAMPLES.keys() == METRICS.keys()


@pytest.mark.parametrize(
    ("name", "sample"), [(name, i) for name, rows in SAMPLES.items() for i in range(len(rows))]
)
def test_a_metric_is_what_numpy_says_for_each_example(name, sample):
    prediction, target, expected = SAMPLES[name][sample]
    function = METRICS[name].function
    for run in (function, pe.compile(function)):
        found = run(pe.tensor(prediction), pe.tensor(target)).numpy()
        assert found.shape == (9,)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_default_suits_the_loss():
    assert list(metrics_for(nn.cross_entropy)) == ["accuracy"]
    assert metrics_for(nn.cross_entropy)["accuracy"] is METRICS["accuracy"].function
    of_two = metrics_for(nn.binary_cross_entropy_with_logits)
    assert of_two == {"accuracy": METRICS["binary_accuracy"].function}
    assert metrics_for(nn.mean_squared_error) == {}
    assert metrics_for(nn.cross_entropy, ()) == {}
    assert list(metrics_for(nn.cross_entropy, "mean_squared_error")) == ["mean_squared_error"]


def test_a_function_goes_by_its_name():
    def loss(prediction, target):
        return prediction

    def mine(prediction, target):
        return prediction

    assert metrics_for(nn.cross_entropy, ["accuracy", mine])["mine"] is mine
    with pytest.raises(ValueError, match="cannot be called 'loss'"):
        metrics_for(nn.cross_entropy, loss)


@pytest.mark.parametrize(
    ("column", "greater"),
    [("accuracy", True), ("val_accuracy", True), ("val_loss", False), ("mine", False)],
)
def test_which_way_is_better(column, greater):
    assert greater_is_better(column) is greater


def test_two_metrics_cannot_share_a_name():
    functions = [lambda p, t: pe.mean(p), lambda p, t: pe.mean(t)]
    with pytest.raises(ValueError, match="two metrics are called '<lambda>'"):
        metrics_for(nn.cross_entropy, functions)


def test_something_else_is_no_metric():
    with pytest.raises(TypeError, match="a metric must be a name or a function, received 5"):
        metrics_for(nn.cross_entropy, 5)
