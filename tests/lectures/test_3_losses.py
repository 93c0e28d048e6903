"""Section 3: losses, each number as printed."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim


def test_squared_error_in_three_scalings():
    u, y = [[1.0, 0.0]], [[0.8, 0.5]]
    assert nn.squared_error(u, y).item() == pytest.approx(0.145)
    assert nn.half_mean_squared_error(u, y).item() == pytest.approx(0.145 / 2)
    assert nn.mean_squared_error(u, y).item() == pytest.approx(0.29 / 2)


def test_softmax_and_categorical_cross_entropy():
    u = np.array([[-2.0, 3.0, 1.0]])
    p = pe.softmax(u).numpy()[0]
    assert [f"{v:.4f}" for v in p] == ["0.0059", "0.8756", "0.1185"]
    for target in ([1], [[0.0, 1.0, 0.0]]):
        assert f"{nn.cross_entropy(u, target).item():.4f}" == "0.1328"
        gradient = pe.grad(lambda v, t=target: nn.cross_entropy(v, t))(pe.tensor(u)).numpy()
        np.testing.assert_allclose(gradient, [p - [0, 1, 0]], rtol=1e-12)


def test_binary_cross_entropy_and_its_gradient():
    u, y = np.array([[0.3], [-1.2]]), np.array([1, 0])
    p = 1 / (1 + np.exp(-u[:, 0]))
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    loss = nn.binary_cross_entropy_with_logits
    assert loss(u, y).item() == pytest.approx(expected, rel=1e-12)
    bits = loss.with_options(log_base=2)
    assert bits(u, y).item() == pytest.approx(expected / np.log(2), rel=1e-12)
    gradient = pe.grad(lambda v: loss(v, y))(pe.tensor(u)).numpy()
    np.testing.assert_allclose(gradient[:, 0], (p - y) / 2, rtol=1e-12)


@pytest.mark.parametrize(("code", "t"), [([0, 1, 1], [-1, 1, 1]), ([-1, 1, 1], [-1, 1, 1])])
def test_hinge_and_perceptron_loss(code, t):
    u = np.array([0.4, 0.4, -2.0])
    each = nn.hinge.per_example(u, code).numpy()
    np.testing.assert_allclose(each, np.maximum(0, 1 - np.array(t) * u))
    each = nn.perceptron_loss.per_example(u, code).numpy()
    np.testing.assert_allclose(each, np.maximum(0, -np.array(t) * u))


def test_the_classification_error_is_refused_as_a_loss():
    with pytest.raises(ValueError, match='counts errors.*"cross_entropy"'):
        pe.fit(nn.Linear(2, 2), np.zeros((4, 2)), [0, 1, 0, 1], loss="zero_one_error")


def test_a_loss_of_your_own():
    def cubic(prediction, target):
        return pe.absolute(prediction[:, 0] - target) ** 3

    x = np.linspace(-1, 1, 32)[:, None]
    run = pe.fit(
        nn.Linear(1, 1), x, 2 * x[:, 0], loss=cubic, optimizer=optim.adam(0.05), epochs=300
    )
    assert run.history.last("loss") < 0.02


def test_l1_drives_weights_to_exactly_zero_and_l2_does_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 10))
    y = 2 * x[:, 0] - x[:, 1]

    def weights(rule: optim.Optimizer) -> np.ndarray:
        model = nn.Linear(10, 1)
        pe.fit(model, x, y, loss="mean_squared_error", optimizer=rule, epochs=60)
        return model.weight.numpy()[:, 0]

    sparse = weights(optim.chain(optim.sgd(0.05), optim.l1(0.1)))
    assert (sparse[2:] == 0).all()
    assert (sparse[:2] != 0).all()
    small = weights(optim.chain(optim.l2(0.1), optim.sgd(0.05)))
    assert (small != 0).all()
    assert abs(small[0]) < 1.95
