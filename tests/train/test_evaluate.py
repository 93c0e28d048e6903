"""`evaluate`: exact means over all rows, however they are cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, train
from pellucid.train.evaluate import block_of


def network(outputs=3):
    pe.random.set_seed(1)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, outputs))


@pytest.mark.parametrize("rows", [1, 5, 256, 257, 300, 514, 521])
def test_figures_are_means_over_all_rows(rows):
    rng = np.random.default_rng(0)
    X, y, model = rng.normal(size=(rows, 4)), rng.integers(0, 3, rows), network()
    found = train.evaluate(model, X, y)
    logits = model.predict(X).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found["loss"] == pytest.approx(-np.log(shares[np.arange(rows), y]).mean(), rel=1e-6)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == y).mean(), abs=1e-12)


def test_weights_of_rows():
    rng = np.random.default_rng(0)
    X, y, weights = rng.normal(size=(521, 4)), rng.normal(size=521), rng.uniform(size=521)
    model = network(1)
    found = train.evaluate(model, X, y, loss="mse", metrics=["mean_absolute_error"],
                           sample_weight=weights)  # fmt: skip
    apart = model.predict(X)[:, 0] - y
    assert found["loss"] == pytest.approx((weights * apart**2).sum() / weights.sum(), rel=1e-5)
    assert found["mean_absolute_error"] == pytest.approx(np.abs(apart).mean(), rel=1e-5)


@pytest.mark.parametrize("rows", [1, 63, 256, 257, 360, 500, 10_000, 10_007])
def test_a_block_divides_the_rows_where_it_can(rows):
    block = block_of(rows)
    assert 1 <= block <= 256
    assert rows % block == 0 or all(rows % n for n in range(65, 257))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="received 3 in row 1"):
        train.evaluate(network(), np.zeros((2, 4)), [0, 3])
    with pytest.raises(TypeError, match="expected a model"):
        train.evaluate(None, [[1.0]], [0])
