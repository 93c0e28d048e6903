"""Section 9: every run tells its parameters, operations, memory, time and energy."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim


def test_every_run_reports_what_it_cost():
    """A multi-class linear classifier, 784 inputs and 10 classes: W 784 x 10, b 10."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(96, 784)), rng.integers(0, 10, 96)
    model = nn.Linear(784, 10)
    cost = pe.fit(model, X, y, optimizer=optim.sgd(0.1), batch_size=32, epochs=2).cost
    assert cost.parameters == 7850
    products = 2 * (2 * 32 * 784 * 10)  # forward, and for the weight's gradient
    update = 2 * 7840  # the learning rate, and what is learned
    assert products + update < cost.operations_per_step < 1.02 * (products + update)
    assert cost.steps == 6 and cost.operations == 6 * cost.operations_per_step
    assert cost.seconds >= cost.compile_seconds + cost.run_seconds > 0
    assert cost.flops_per_second == pytest.approx(cost.operations / cost.run_seconds)
    assert cost.memory.parameters >= 4 * 7850 and cost.memory.optimizer == 0
    assert cost.memory.data >= X.astype(np.float32).nbytes
    assert 0 < cost.energy.low <= cost.energy.high
    assert "powercap" in cost.energy.method or "busy core" in cost.energy.method
    for name in ("parameters", "operations", "time", "speed", "memory", "energy"):
        assert f"\n{name}" in f"\n{cost}"


def test_the_cost_of_use_is_known_before_training():
    """2 m n and the bias for each layer; a step costs less than three times as much."""
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    forward = model.summary().operations
    assert forward == 2 * (784 * 128 + 128 * 10) + 128 + 10 + 128
    X, y = np.zeros((64, 784)), np.zeros(64, int)
    cost = pe.fit(model, X, y, optimizer=optim.sgd(0.1), batch_size=64, epochs=1).cost
    assert 2 * 64 * forward < cost.operations_per_step < 3 * 64 * forward


def test_estimates_name_their_method(monkeypatch):
    from pellucid.train import energy

    monkeypatch.setattr(energy, "counters", lambda folder: [])
    run = pe.fit(nn.Linear(2, 2), np.eye(2), [0, 1], epochs=3, batch_size=2)
    low, high = energy.WATTS
    assert run.cost.energy.low == pytest.approx(low * run.cost.cpu_seconds)
    assert run.cost.energy.high == pytest.approx(high * run.cost.cpu_seconds)
    assert run.cost.energy.method.startswith("estimated")
