"""A traced step: what it reads, what it changes, and where its parts are."""

from __future__ import annotations

import numpy as np

import pellucid as pe
from pellucid import nn, optim
from pellucid.core.node import is_tracing
from pellucid.core.program import ReferenceProgram
from pellucid.train.metrics import METRICS
from pellucid.train.step import TrainingState, cells_of, learned_dtype, trace_step

X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
Y = np.arange(10, dtype=np.int32) % 2


def network():
    pe.random.set_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)), nn.Linear(4, 2)
    )


def traced(model, data=(X, Y), metrics=("accuracy",)):
    state = TrainingState(model, optim.adam(0.01), 7)
    functions = {name: METRICS[name].function for name in metrics}
    return state, trace_step(state, nn.cross_entropy, functions, data, 5)


def test_a_step_changes_the_models_values_the_optimizers_and_the_count():
    state, step = traced(network())
    changed = {cell for cell, _ in step.computation.updates}
    assert changed == set(state.cells)
    assert len(changed) == 4 * 3 + 1  # four parameters, Adam's two means of each, the count
    assert [n.attr("name") for n in step.computation.inputs] == ["X", "y", "index"]
    assert not is_tracing()


def test_layers_are_known_by_their_names():
    _, step = traced(network())
    names = [name for name, _ in step.outputs]
    assert names == ["", "layers.0", "layers.1", "layers.1.layers.0", "layers.1.layers.1",
                     "layers.2"]  # fmt: skip
    shapes = {name: node.shape for name, node in step.outputs}
    assert shapes["layers.0"] == (5, 4)
    assert shapes[""] == shapes["layers.2"] == (5, 2)
    assert list(step.gradients) == list(step.updated) == list(network().parameters())


def test_the_record_holds_loss_weight_and_sums():
    weights = np.linspace(1, 2, 10).astype(np.float32)
    index = np.array([[1, 3, 5, 7, 9], [0, 2, 4, 6, 8]], np.int32)
    for data, expected in (
        ([X, Y], [5, 5]),
        ([X, Y, weights], weights[index].sum(1)),
    ):
        model = network()
        state, step = traced(model, data)
        records = np.zeros((2, 3), np.float32)
        ReferenceProgram(step.computation).run([*data, index], [records], 2)
        np.testing.assert_allclose(records[:, 1], expected, rtol=1e-6)
        assert set(records[:, 2]) <= set(range(6))
        assert state.count.item() == 2


def test_random_numbers_differ_from_step_to_step():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    state = TrainingState(model, optim.sgd(0.0), 7)
    step = trace_step(state, nn.cross_entropy, {}, [X, Y], 5)
    index = np.tile(np.arange(5, dtype=np.int32), (6, 1))
    records = np.zeros((6, 2), np.float32)
    ReferenceProgram(step.computation).run([X, Y, index], [records], 6)
    assert len(set(records[:, 0])) > 1


def test_a_models_precision_and_cells():
    model = network()
    assert learned_dtype(model) == np.float32
    assert len(cells_of(model)) == 4
    assert learned_dtype(model.astype(np.float64)) == np.float64
    assert learned_dtype(nn.Sequential()) == np.float32
