"""Section 1: units, from one threshold to a network, each number as printed."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def unit(weights: list[float], bias: float, activation: nn.Module) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(len(weights), 1), activation)
    model[0].load_state_dict({"weight": np.array(weights)[:, None], "bias": [bias]})
    return model


def test_a_mcculloch_pitts_unit_fires():
    model = unit([0.5, 0.3], -1.0, nn.Step())
    x = np.array([[2.0, 1.0]])
    assert model[0](x).item() == pytest.approx(0.3, abs=1e-6)
    assert model(x).item() == 1.0


def test_a_threshold_is_a_negative_bias():
    threshold = unit([0.5, 0.3], 0.0, nn.Step(threshold=1.0))
    bias = unit([0.5, 0.3], -1.0, nn.Step())
    x = np.random.default_rng(0).normal(size=(100, 2))
    assert (threshold(x).numpy() == bias(x).numpy()).all()


@pytest.mark.parametrize(
    ("weights", "bias", "truth"),
    [
        ([1, 1], -1.5, [0, 0, 0, 1]),  # and
        ([1, 1], -0.5, [0, 1, 1, 1]),  # or
        ([1, -1], -0.5, [0, 0, 1, 0]),  # x1 and not x2
        ([-1, 0], 0.5, [1, 1, 0, 0]),  # not x1
    ],
)
def test_gates_by_hand(weights, bias, truth):
    assert unit(weights, bias, nn.Step())(INPUTS).numpy()[:, 0].tolist() == truth


def test_xor_by_hand_set_weights_needs_two_layers():
    model = nn.Sequential(nn.Linear(2, 2), nn.Step(), nn.Linear(2, 1), nn.Step())
    model.load_state_dict(
        {  # or, and; or without and
            "layers.0.weight": [[1.0, 1.0], [1.0, 1.0]],
            "layers.0.bias": [-0.5, -1.5],
            "layers.2.weight": [[1.0], [-1.0]],
            "layers.2.bias": [-0.5],
        }
    )
    assert model(INPUTS).numpy()[:, 0].tolist() == [0, 1, 1, 0]
    assert model.predict(INPUTS.astype(np.float32))[:, 0].tolist() == [0, 1, 1, 0]


def test_xor_is_learned_by_two_layers_and_not_by_one():
    def accuracy(*layers: nn.Module) -> float:
        run = pe.fit(
            nn.Sequential(*layers), INPUTS, [0, 1, 1, 0], optimizer=optim.adam(0.05), epochs=400
        )
        return run.history.last("accuracy")

    pe.random.set_seed(0)
    assert accuracy(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)) == 1.0
    assert accuracy(nn.Linear(2, 2)) <= 0.75


def test_the_perceptron_rule_never_converges_on_xor():
    """Weights that come back after a whole epoch with mistakes will come back for ever."""
    w, before = np.zeros(3), set()
    while tuple(w) not in before:
        before.add(tuple(w))
        mistakes = 0
        for x, y in zip(np.insert(INPUTS, 0, 1, axis=1), [0, 1, 1, 0], strict=True):
            u = unit(w[1:].tolist(), w[0], nn.Step())(x[None, 1:]).item()
            w, mistakes = w + (y - u) * x, mistakes + (u != y)
        assert mistakes > 0
        assert len(before) < 100


def test_the_multilayer_perceptron_of_the_slide():
    """The slide prints 0.49, 0.62 and 0.74 for the last three: slips of arithmetic."""
    hidden, output = nn.Linear(3, 2), nn.Linear(2, 1)
    hidden.load_state_dict({"weight": [[1.0, 0.5], [0.2, 1.2], [1.2, 0.1]], "bias": [0.1, 0.2]})
    output.load_state_dict({"weight": [[0.3], [0.9]], "bias": [0.3]})
    z = hidden([[0.4, 0.2, 0.2]])
    h = pe.sigmoid(z)
    u = output(h)
    assert [f"{v:.2f}" for v in z.numpy()[0]] == ["0.78", "0.66"]
    assert [f"{v:.4f}" for v in h.numpy()[0]] == ["0.6857", "0.6593"]
    assert f"{u.item():.4f}" == "1.0990"
    assert f"{pe.sigmoid(u).item():.4f}" == "0.7501"


def test_parameters_are_counted():
    assert nn.Sequential(nn.Linear(784, 10), nn.Softmax()).num_parameters == 7_850
    layers = [nn.Linear(1600, 100), nn.Linear(100, 100), nn.Linear(100, 100), nn.Linear(100, 10)]
    assert nn.Sequential(*layers).num_parameters == 181_310
    assert nn.Sequential(*layers).summary().parameters == 181_310


def test_a_stack_of_linear_layers_is_one_linear_layer():
    stack = nn.Sequential(nn.Linear(3, 5), nn.Identity(), nn.Linear(5, 2)).astype(np.float64)
    values = stack.state_dict()
    w1, b1, w2, b2 = values.values()
    one = nn.Linear(3, 2).astype(np.float64)
    one.load_state_dict({"weight": w1 @ w2, "bias": b1 @ w2 + b2})
    x = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(stack(x).numpy(), one(x).numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "target",
    [np.sin, lambda x: (x > 0) * 1.0, lambda x: np.exp(-4 * x * x)],
    ids=["sin", "step", "bump"],
)
def test_the_error_falls_with_the_width_of_one_hidden_layer(target):
    x = np.linspace(-3, 3, 128)[:, None]
    errors = []
    for width in (1, 4, 32):
        pe.random.set_seed(1)
        model = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))
        run = pe.fit(
            model,
            x,
            target(x),
            loss="mean_squared_error",
            optimizer=optim.adam(0.02),
            batch_size=128,
            epochs=1500,
        )
        errors.append(run.history.last("loss"))
    assert errors[0] > 1.5 * errors[2]
    assert errors[1] > errors[2]
    assert errors[2] < 0.01
