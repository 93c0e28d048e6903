"""The worked examples of backpropagation on circuits, to the printed digit."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.autodiff import gradients


def f64(*values):
    return tuple(pe.parameter(np.float64(v)) for v in values)


def test_sum_times_z():
    """f = (x + y) z at (-2, 5, -4): q = 3, f = -12; gradients x -4, y -4, z 3, q -4."""
    x, y, z = f64(-2, 5, -4)
    q = x + y
    f = q * z
    assert (q.item(), f.item()) == (3, -12)
    found = gradients([f], [pe.tensor(np.float64(1.0))], [x, y, z, q])
    assert [g.item() for g in found] == [-4, -4, 3, -4]
    f.backward()
    assert (x.grad, y.grad, z.grad) == (-4, -4, 3)


GATES = {
    "one sigmoid gate": pe.sigmoid,
    "elementary gates": lambda z: (pe.exp(z * -1.0) + 1.0) ** -1.0,
    "a division": lambda z: 1.0 / (1.0 + pe.exp(-z)),
}


@pytest.mark.parametrize("name", GATES)
def test_sigmoid_circuit(name):
    """1 / (1 + e^-(w0 x0 + w1 x1 + w2)), w = (2, -3, -3), x = (-1, -2)."""
    w, x = f64(2, -3, -3), f64(-1, -2)
    z = w[0] * x[0] + w[1] * x[1] + w[2]
    f = GATES[name](z)
    assert z.item() == 1.0
    assert round(f.item(), 4) == 0.7311
    (at_z,) = gradients([f], [pe.tensor(np.float64(1.0))], [z])
    assert round(at_z.item(), 4) == 0.1966
    f.backward()
    assert [round(float(v.grad), 4) for v in w] == [-0.1966, -0.3932, 0.1966]
    assert [round(float(v.grad), 4) for v in x] == [0.3932, -0.5898]


def test_elementary_gates_hand_back_what_the_lecture_shows():
    """times -1, exp, plus 1, reciprocal: -0.53, -0.53, -0.20 and 0.20."""
    (z,) = f64(1.0)
    a = z * -1.0
    b = pe.exp(a)
    c = b + 1.0
    f = 1.0 / c
    found = gradients([f], [pe.tensor(np.float64(1.0))], [c, b, a, z])
    assert [round(g.item(), 2) for g in found] == [-0.53, -0.53, -0.2, 0.2]


def test_linear_map():
    assert round(float(pe.tensor([-0.8, 0.3]) @ pe.tensor([0.5, -0.2])), 6) == -0.46


def test_patterns_of_gradient_flow():
    """Add distributes, multiply swaps, max routes, copy adds."""
    x, y = f64(3, -4)
    one = [pe.tensor(np.float64(1.0))]

    def flow(f):
        return [g.item() for g in gradients([f], one, [x, y])]

    assert flow(x + y) == [1, 1]
    assert flow(x * y) == [-4, 3]
    assert flow(pe.maximum(x, y)) == [1, 0]
    assert flow(x * y + x) == [-3, 3]


def test_exercise():
    """Inputs (1, 1), target 0, c = 1, sigmoid and squared error."""
    names = ["w03", "w04", "w05", "w13", "w14", "w23", "w24", "w35", "w45"]
    values = [0.2, -0.3, 0.4, 0.1, -0.2, 0.3, 0.4, 0.5, -0.4]
    w = dict(zip(names, f64(*values), strict=True))

    def forward(w):
        z3 = w["w03"] + w["w13"] + w["w23"]
        z4 = w["w04"] + w["w14"] + w["w24"]
        h3, h4 = pe.sigmoid(z3), pe.sigmoid(z4)
        z5 = w["w05"] + w["w35"] * h3 + w["w45"] * h4
        return z3, z4, z5, h3, h4, pe.sigmoid(z5)

    z3, z4, z5, h3, h4, u = forward(w)
    assert round(h3.item(), 6) == 0.645656
    assert round(h4.item(), 6) == 0.475021
    assert round(u.item(), 6) == 0.630141
    loss = 0.5 * (u - 0.0) ** 2
    deltas = gradients([loss], [pe.tensor(np.float64(1.0))], [z5, z3, z4])
    assert [round(-d.item(), 6) for d in deltas] == [-0.146863, -0.0168, 0.01465]
    loss.backward()
    new = {name: pe.tensor(v.item() - float(v.grad)) for name, v in w.items()}
    expected = {
        "w05": 0.253137, "w35": 0.405177, "w45": -0.469763, "w03": 0.1832, "w13": 0.0832,
        "w23": 0.2832, "w04": -0.28535, "w14": -0.18535, "w24": 0.41465,
    }  # fmt: skip
    for name, value in expected.items():
        assert abs(new[name].item() - value) < 6e-7, name
    assert round(forward(new)[-1].item(), 5) == 0.56997


def test_one_hidden_layer_in_matrix_form():
    """d logits = p - e(y); d W_o = h d^T; d h = W_o d; d pre = d h g'(pre); d W_h = x d pre^T."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(4), 2
    Wh, bh = rng.standard_normal((4, 5)), rng.standard_normal(5)
    Wo, bo = rng.standard_normal((5, 3)), rng.standard_normal(3)

    def loss(Wh, bh, Wo, bo):
        return -pe.log_softmax(pe.tanh(x @ Wh + bh) @ Wo + bo)[y]

    found = pe.grad(loss, (0, 1, 2, 3))(*map(pe.tensor, (Wh, bh, Wo, bo)))
    h = np.tanh(x @ Wh + bh)
    p = np.exp(h @ Wo + bo) / np.exp(h @ Wo + bo).sum()
    d = p - np.eye(3)[y]
    pre = Wo @ d * (1 - h * h)
    for g, right in zip(found, (np.outer(x, pre), pre, np.outer(h, d), d), strict=True):
        np.testing.assert_allclose(g.numpy(), right, rtol=1e-12)


def test_a_chain_multiplies_its_local_gradients():
    """The product of g'(x_t) w_t over a chain of single neurons: it vanishes or explodes."""
    for weight, vanishes in ((0.5, True), (6.0, False)):
        x, product = pe.parameter(np.float64(0.0)), 1.0
        y = x
        for _ in range(20):
            y = pe.sigmoid(y * weight) - 0.5
            product *= 0.25 * weight  # at 0 the sigmoid's slope is 1/4, and y stays 0
        y.backward()
        np.testing.assert_allclose(x.grad, product)
        assert (abs(float(x.grad)) < 1e-10) if vanishes else (float(x.grad) > 1e3)
