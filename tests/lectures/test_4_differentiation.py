"""Section 4: three ways to differentiate both circuits, and the exercise, to the printed digit."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim


def test_the_circuit_of_a_sum_and_a_product():
    value, (x, y, z) = pe.value_and_grad(lambda x, y, z: (x + y) * z, (0, 1, 2))(-2.0, 5.0, -4.0)
    assert (value.item(), x.item(), y.item(), z.item()) == (-12.0, -4.0, -4.0, 3.0)
    assert pe.grad(lambda q: q * -4.0)(3.0).item() == -4.0


GATES = {
    "elementary": lambda z: 1 / (1 + pe.exp(-1 * z)),
    "sigmoid": pe.sigmoid,
}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_the_circuit_of_a_sigmoid(gate):
    def f(w, x):
        return gate(w[0] * x[0] + w[1] * x[1] + w[2])

    w, x = pe.tensor([2.0, -3.0, -3.0]), pe.tensor([-1.0, -2.0])
    value, (dw, dx) = pe.value_and_grad(f, (0, 1))(w, x)
    assert f"{value.item():.4f}" == "0.7311"
    assert f"{pe.grad(gate)(1.0).item():.4f}" == "0.1966"
    np.testing.assert_allclose(dw.numpy(), [-0.1966, -0.3932, 0.1966], atol=6e-5)
    np.testing.assert_allclose(dx.numpy(), [0.3932, -0.5898], atol=6e-5)


def test_three_ways_on_the_circuit_of_a_sum_and_a_product():
    pytest.importorskip("sympy")
    found = pe.three_ways(lambda x, y, z: (x + y) * z, -2, 5, -4)
    assert found.value == -12 and str(found.formula) == "z*(x + y)"
    assert [str(d) for d in found.derivatives] == ["z", "z", "x + y"]
    for way in (found.backpropagation, found.symbolic):
        assert way.tolist() == [-4, -4, 3]
    for way in (found.forward, found.central):  # h = 1e-6, rounded
        np.testing.assert_allclose(way, [-4, -4, 3], rtol=0, atol=2e-9)
    assert (found.step, found.forward_evaluations, found.central_evaluations) == (1e-6, 4, 6)


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_three_ways_on_the_circuit_of_a_sigmoid(gate):
    pytest.importorskip("sympy")
    found = pe.three_ways(
        lambda w, x: gate(w[0] * x[0] + w[1] * x[1] + w[2]), [2, -3, -3], [-1, -2]
    )
    assert found.names == ("w_0", "w_1", "w_2", "x_0", "x_1")
    assert f"{found.value:.4f}" == "0.7311"
    assert str(found.formula) == "1/(exp(-w_0*x_0 - w_1*x_1 - w_2) + 1)"
    for way in (found.backpropagation, found.forward, found.central, found.symbolic):
        np.testing.assert_allclose(way, [-0.1966, -0.3932, 0.1966, 0.3932, -0.5898], atol=6e-5)
    np.testing.assert_allclose(found.symbolic, found.backpropagation, rtol=1e-14)
    np.testing.assert_allclose(found.central, found.backpropagation, rtol=1e-9)
    assert abs(found.forward - found.backpropagation).max() > 1e-8  # of first order only


def test_the_formula_of_a_derivative_grows_exponentially_with_depth():
    """Two units a layer: the formula repeats each layer twice in the next, the graph does not."""
    pytest.importorskip("sympy")
    w = np.array([[0.5, -0.3], [0.7, 0.2]])

    def network(depth):
        def f(x):
            for _ in range(depth):
                x = pe.tanh(x @ w)
            return x.sum()

        return f

    two, four, six = (pe.three_ways(network(d), [0.3, 0.2]) for d in (2, 4, 6))
    assert four.operations > 3.5 * two.operations and six.operations > 3.5 * four.operations
    assert six.derivative_operations > 4 * four.derivative_operations
    assert six.gradient_nodes - four.gradient_nodes == four.gradient_nodes - two.gradient_nodes
    np.testing.assert_allclose(six.symbolic, six.backpropagation, rtol=1e-12)


def test_the_linear_map():
    assert (pe.tensor([-0.8, 0.3]) @ pe.tensor([0.5, -0.2])).item() == pytest.approx(-0.46)


def test_gradient_flow():
    def slopes(f):
        return tuple(g.item() for g in pe.grad(f, (0, 1))(3.0, 5.0))

    assert slopes(lambda x, y: 2 * (x + y)) == (2, 2)  # add distributes
    assert slopes(lambda x, y: 2 * (x * y)) == (10, 6)  # multiply swaps
    assert slopes(lambda x, y: 2 * pe.maximum(x, y)) == (0, 2)  # max routes
    assert pe.grad(lambda x: x + x)(3.0).item() == 2  # copy adds


def test_one_hidden_layer_in_matrix_form():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).astype(np.float64)
    x = rng.normal(size=(1, 3))
    nn.cross_entropy(model(x), [1]).backward()
    h = np.tanh(model[0](x).numpy())
    d_logits = pe.softmax(model(x)).numpy() - [[0, 1]]
    d_pre = d_logits @ model[2].weight.numpy().T * (1 - h**2)
    for found, expected in (
        (model[2].bias, d_logits[0]),
        (model[2].weight, h.T @ d_logits),
        (model[0].bias, d_pre[0]),
        (model[0].weight, x.T @ d_pre),
    ):
        np.testing.assert_allclose(found.grad, expected, rtol=1e-10)


def test_the_chain_of_single_neurons_is_a_product():
    def f(x, w):
        for _ in range(5):
            x = pe.tanh(w * x)
        return x

    x, product = 0.7, 1.0
    for _ in range(5):
        product *= 1.5 * (1 - np.tanh(1.5 * x) ** 2)
        x = np.tanh(1.5 * x)
    found = pe.grad(f)(pe.tensor(np.float64(0.7)), np.float64(1.5)).item()
    assert found == pytest.approx(product, rel=1e-12)


def exercise() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid())
    model.load_state_dict(
        {
            "layers.0.weight": [[0.1, -0.2], [0.3, 0.4]],  # w13 w14, w23 w24
            "layers.0.bias": [0.2, -0.3],  # w03 w04
            "layers.2.weight": [[0.5], [-0.4]],  # w35, w45
            "layers.2.bias": [0.4],  # w05
        }
    )
    return model.astype(np.float64)


def printed(values) -> list[str]:
    return [f"{v:.6f}" for v in np.ravel(values)]


def test_the_exercise():
    model, x = exercise(), np.array([[1.0, 1.0]])
    assert printed(model[:2](x).numpy()) == ["0.645656", "0.475021"]
    assert printed(model(x).numpy()) == ["0.630141"]
    nn.squared_error(model(x), [[0.0]]).backward()
    assert printed(-model[2].bias.grad) == ["-0.146863"]  # delta5
    assert printed(-model[0].bias.grad) == ["-0.016800", "0.014650"]  # delta3, delta4

    pe.fit(model, x, [[0.0]], loss="squared_error", optimizer=optim.sgd(1.0), epochs=1)
    new = model.state_dict()
    assert printed(new["layers.2.bias"]) == ["0.253137"]
    assert printed(new["layers.2.weight"]) == ["0.405177", "-0.469763"]
    assert printed(new["layers.0.bias"]) == ["0.183200", "-0.285350"]
    assert printed(new["layers.0.weight"]) == ["0.083200", "-0.185350", "0.283200", "0.414650"]
    assert printed(model(x).numpy()) == ["0.569972"]
