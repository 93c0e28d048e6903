"""One hash for a training, whatever runs it: threads, processors, repeats, who is watching."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler.program import CompiledProgram
from pellucid.core.program import ReferenceProgram
from pellucid.core.tensor import tensor
from tests.programs import bits, intermediates, processor, run, same_processors, threads, trace

from .training import ROWS, data, first_weights, network, trained, training

STEPS = 300


@pytest.fixture(scope="module")
def expected():
    with threads(1):
        return bits(trained(training(), STEPS))


@pytest.mark.parametrize("cpu", same_processors())
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_threads_processors_and_repeats(expected, cpu, count):
    with processor(cpu), threads(count):
        for _ in range(3):
            assert bits(trained(training(), STEPS)) == expected


def test_every_kernel_shared_or_none(expected, monkeypatch):
    monkeypatch.setattr("pellucid.compiler.cache.read", lambda name: None)  # made anew
    for border in (0, 10**12):
        monkeypatch.setattr("pellucid.compiler.schedule.SHARED_FROM", border)
        with threads(2):
            assert bits(trained(training(), STEPS)) == expected


def test_in_one_call_or_in_many(expected):
    t = training()
    X, y, rows = data(STEPS)
    losses = np.zeros(STEPS, np.float32)
    made = CompiledProgram(t.computation)
    for start, stop in [(0, 1), (1, 100), (100, 100), (100, STEPS)]:
        made.run([X, y, rows[start:stop]], [losses[start:stop]], stop - start)
    assert bits([losses, *(np.array(c.value) for c in t.cells)]) == expected


def watched(t, nodes, every_step):
    """The same training with more outputs."""
    c = t.computation
    stepped = c.stepped | (set(nodes) if every_step else set())
    return dataclasses.replace(
        t, computation=dataclasses.replace(c, outputs=(*c.outputs, *nodes), stepped=stepped)
    )


def test_watching_all_values_changes_none(expected):
    t = training()
    assert bits(trained(watched(t, intermediates(t.computation), False), STEPS)) == expected


@pytest.mark.parametrize("seed", range(6))
def test_watching_some_values_changes_none(expected, seed):
    t = training()
    nodes = intermediates(t.computation)
    some = np.random.default_rng(seed).permutation(len(nodes))[: 1 + 4 * seed]
    seen = watched(t, [nodes[i] for i in some if nodes[i].name != "alias"], bool(seed % 2))
    assert bits(trained(seen, STEPS)) == expected


def test_values_seen_are_those_of_the_reference():
    t = training()
    some = intermediates(t.computation)
    c = dataclasses.replace(t.computation, outputs=tuple(some), updates=())
    found = run(c, data(1))
    right = run(c, data(1), program=ReferenceProgram)
    for node, a, b in zip(some, found, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4, err_msg=repr(node))


def test_it_learns():
    losses, *_ = trained(training(), STEPS)
    assert losses[-20:].mean() < 0.8 * losses[:20].mean()


def test_steps_agree_with_the_reference():
    for found, right in zip(
        trained(training(), 5), trained(training(), 5, ReferenceProgram), strict=True
    ):
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cpu", same_processors())
@pytest.mark.parametrize("count", [1, 3])
def test_a_row_is_predicted_alike_in_any_company(cpu, count):
    weights = first_weights()

    def predictions(x):
        return run(trace(lambda x: network(x, weights), x), [x])[0]

    X = data(1)[0]
    with processor(cpu), threads(count):
        together = predictions(X)
        alone = np.concatenate([predictions(X[i : i + 1]) for i in range(ROWS)])
        order = np.random.default_rng(2).permutation(ROWS)
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(predictions(X[order]), together[order])
        for size in (2, 15, 16, 17, 100):
            np.testing.assert_array_equal(predictions(X[:size]), together[:size])


def matrix(*shape):
    return tensor(np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32))


BY_ROW = {
    "product": lambda x: x @ matrix(33, 20),
    "one column": lambda x: x @ matrix(33, 1),
    "one column, sigmoid": lambda x: pe.sigmoid(x @ matrix(33, 1) + 0.5)[:, 0],
    "narrow layers": lambda x: pe.relu(pe.relu(x @ matrix(33, 1)) @ matrix(1, 7)) @ matrix(7, 3),
    "vector": lambda x: x @ matrix(33),
    "softmax": lambda x: pe.softmax(x),
    "log-softmax": lambda x: pe.log_softmax(x * 20.0),
    "sums": lambda x: pe.concatenate([pe.sum(x, 1, True), pe.max(x, 1, True)], 1),
    "greatest": lambda x: pe.argmax(x),
    "normalized": lambda x: (x - pe.mean(x, 1, True)) / pe.sqrt(pe.var(x, 1, True) + 1e-5),
    "over the middle": lambda x: pe.mean(x.reshape(-1, 3, 11), 1),
    "over the last": lambda x: pe.sum(pe.tanh(x).reshape(-1, 11, 3), 2),
    "many small products": lambda x: x.reshape(-1, 3, 11) @ matrix(11, 4),
    "product of the row's parts": lambda x: x.reshape(-1, 3, 11) @ x.reshape(-1, 11, 3),
    "pieces": lambda x: pe.concatenate([x[:, ::-1], pe.exp(x[:, 3:5])], 1),
}


@pytest.mark.parametrize("name", BY_ROW)
def test_what_works_by_rows_treats_each_alike(name):
    f, x = BY_ROW[name], np.random.default_rng(7).standard_normal((50, 33)).astype(np.float32)

    def compiled(x):
        return run(trace(f, x), [x])[0]

    together = compiled(x)
    for size in (1, 2, 16, 17):
        for start in (0, 7, 33):
            some = slice(start, start + size)
            np.testing.assert_array_equal(compiled(x[some]), together[some])
