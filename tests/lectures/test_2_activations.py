"""Section 2: each activation with its derivative, and what goes wrong with some."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim

X = np.array([-2.5, -1.0, -0.1, 0.3, 1.0, 4.0])


def slope(function, x=X) -> np.ndarray:
    return pe.grad(lambda v: function(v).sum())(pe.tensor(x)).numpy()


def s(x):
    return 1 / (1 + np.exp(-x))


DERIVATIVES = {
    "step": (nn.step, 0 * X),
    "linear": (nn.identity, 0 * X + 1),
    "sigmoid": (pe.sigmoid, s(X) * (1 - s(X))),
    "sigmoid with slope 3": (nn.Sigmoid(slope=3.0), 3 * s(3 * X) * (1 - s(3 * X))),
    "tanh": (pe.tanh, 1 - np.tanh(X) ** 2),
    "relu": (pe.relu, 1.0 * (X > 0)),
    "leaky relu": (nn.LeakyReLU(0.1), np.where(X > 0, 1, 0.1)),
    "prelu": (nn.PReLU(slope=0.25).astype(np.float64), np.where(X > 0, 1, 0.25)),
    "elu": (nn.ELU(alpha=2.0), np.where(X > 0, 1, 2 * np.exp(X))),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name):
    function, expected = DERIVATIVES[name]
    np.testing.assert_allclose(slope(function), expected, rtol=1e-12, atol=1e-15)


def test_prelu_learns_its_slope():
    layer = nn.PReLU(slope=0.25)
    layer([[-2.0, 3.0]]).sum().backward()
    assert layer.slope.grad.tolist() == [-2.0]


def test_maxout_is_the_greatest_of_its_pieces():
    layer = nn.Maxout(2, 3, pieces=4).astype(np.float64)
    x = np.random.default_rng(0).normal(size=(5, 2))
    pieces = (x @ layer.linear.weight.numpy()).reshape(5, 3, 4)
    np.testing.assert_allclose(layer(x).numpy(), pieces.max(-1), rtol=1e-12)


def test_the_jacobian_of_softmax():
    x = np.array([-2.0, 3.0, 1.0])
    p = pe.softmax(x).numpy()
    rows = [pe.grad(lambda v, i=i: pe.softmax(v)[i])(pe.tensor(x)).numpy() for i in range(3)]
    np.testing.assert_allclose(rows, np.diag(p) - np.outer(p, p), rtol=1e-12, atol=1e-15)


def test_a_step_is_refused_in_gradient_training():
    model = nn.Sequential(nn.Linear(2, 1), nn.Step())
    with pytest.raises(ValueError, match="layers.0.weight.* only through a step or a count"):
        pe.fit(model, np.zeros((4, 2)), np.zeros(4), loss="mean_squared_error")


@pytest.mark.parametrize("function", [pe.sigmoid, pe.tanh])
def test_sigmoid_and_tanh_saturate(function):
    assert (slope(function, np.array([-40.0, 40.0])) < 1e-15).all()


def test_a_relu_can_die():
    layer = nn.Linear(2, 3, bias_init=nn.initializers.constant(-100.0))
    pe.relu(layer(np.random.default_rng(0).normal(size=(50, 2)))).sum().backward()
    assert not layer.weight.grad.any()


def test_gradients_vanish_with_depth_under_sigmoid_less_under_relu():
    def first_over_last(activation) -> float:
        pe.random.set_seed(0)
        layers = [part for _ in range(12) for part in (nn.Linear(20, 20), activation())]
        model = nn.Sequential(*layers)
        model(np.random.default_rng(0).normal(size=(8, 20))).sum().backward()
        return np.abs(model[0].weight.grad).mean() / np.abs(model[-2].weight.grad).mean()

    assert first_over_last(nn.Sigmoid) < 1e-4
    assert first_over_last(nn.ReLU) > 1e-2


def test_zero_weights_do_not_learn():
    hidden = nn.Linear(2, 4, weight_init="zeros")
    model = nn.Sequential(hidden, nn.Tanh(), nn.Linear(4, 2, weight_init="zeros"))
    pe.fit(model, np.eye(2), [0, 1], optimizer=optim.sgd(0.5), epochs=20)
    assert not hidden.weight.numpy().any()
