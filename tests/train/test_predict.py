"""`predict`: the same bits for a row wherever it stands, and no stale programs."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler, io, nn, train
from pellucid.train.predict import SIZES, _cut

compiled_only = pytest.mark.skipif(
    not compiler.can_compile(), reason="NumPy's products differ with the number of rows"
)


def network(dropout=0.3):
    pe.random.set_seed(3)
    return nn.Sequential(
        nn.Linear(7, 20), nn.ReLU(), nn.Dropout(dropout), nn.Linear(20, 5), nn.Softmax()
    )


def rows(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 7)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 33, 64, 65, 129, 255, 256, 257, 600])
def test_outputs_are_those_of_eager_mode(count):
    model, X = network(), rows(count)
    found = model.predict(X)
    assert found.shape == (count, 5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, model(X).numpy(), rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(model.predict(X), found)  # the second time on the short way


@compiled_only
def test_257_rows_together_one_by_one_and_in_any_order_have_equal_bits():
    model, X = network(), rows(257)
    together = model.predict(X)
    order = np.random.default_rng(1).permutation(257)
    assert together[order].tobytes() == model.predict(X[order]).tobytes()
    singles = np.concatenate([model.predict(X[i : i + 1]) for i in range(257)])
    assert together.tobytes() == singles.tobytes()
    for batch_size in (1, 3, 100, 1000):
        assert together.tobytes() == model.predict(X, batch_size=batch_size).tobytes()


@pytest.mark.parametrize("block", [1, 5, 100, 256])
def test_blocks_cover_the_rows(block):
    for count in (*range(1, 300), 512, 1000):
        cut = list(_cut(count, block))
        covered = sum(size * steps for size, steps in cut)
        assert count <= covered < count + max(block, SIZES[-1])
        assert all(steps == 1 for _, steps in cut[1:])
        assert len(cut) <= 2


def test_inputs_of_any_kind_of_numbers():
    model, X = network(), rows(9)
    expected = model.predict(X)
    for given in (
        X.astype(np.float64),
        X.tolist(),
        np.asfortranarray(X),
        X[::-1][::-1],
        pe.tensor(X),
    ):
        for _ in range(2):
            np.testing.assert_array_equal(model.predict(given), expected)
    whole = np.arange(14).reshape(2, 7)
    np.testing.assert_array_equal(
        model.predict(whole.astype(np.uint8)), model.predict(whole.astype(np.float32))
    )
    assert np.isnan(model.predict(np.full((1, 7), np.nan))).all()


def test_the_result_is_the_callers_own():
    model, X = network(), rows(2)
    first = model.predict(X)
    kept = first.copy()
    model.predict(rows(2, seed=1))
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(model.predict(X), kept)


def test_several_threads_may_ask_at_once():
    model, X = network(), rows(64)
    expected = model.predict(X)
    wrong = []

    def ask(start):
        for i in range(start, 2000, 4):
            row = i % 64
            if not np.array_equal(model.predict(X[row : row + 1])[0], expected[row]):
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if compiler.can_compile():
        assert wrong == []


def test_no_rows_give_no_rows():
    assert network().predict(np.zeros((0, 7))).shape == (0, 5)


def test_what_the_model_learns_is_seen_at_once():
    model, X = network(0.0), rows(5)
    before = model.predict(X)
    state = {name: value * 2 for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    np.testing.assert_allclose(model.predict(X), model(X).numpy(), rtol=1e-5)
    assert not np.array_equal(model.predict(X), before)
    train.fit(model, X, [0, 1, 2, 3, 4], epochs=1)
    np.testing.assert_allclose(model.predict(X), model(X).numpy(), rtol=1e-5)


def test_a_model_made_otherwise_gets_new_programs():
    model, X = network(), rows(2)

    class Pair(nn.Module):
        def __init__(self, *parts):
            self.parts = list(parts)
            self.options = {"factor": 1.0}

        def forward(self, x):
            for part in self.parts:
                x = part(x)
            return x * self.options["factor"]

    pair = Pair(nn.Linear(7, 5), nn.Tanh())

    def check(model):
        for _ in range(2):
            np.testing.assert_allclose(model.predict(X), model(X).numpy(), rtol=1e-5, atol=1e-6)

    for m in (model, pair):
        check(m)
    model.layers = model.layers[:-1]
    pair.parts[1] = nn.ReLU()
    check(pair)
    pair.options["factor"] = 3.0
    check(pair)
    pair.parts[0].bias.assign(np.ones(5))
    check(pair)
    pair.parts[0].bias = pe.parameter(np.full(5, 2.0, np.float32))
    check(pair)
    check(model)
    model.astype(np.float64)
    assert model.predict(X).dtype == np.float64


def test_copies_and_pickles_are_models_of_their_own():
    model, X = network(), rows(2)
    expected = model.predict(X)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.predict(X), expected)
        twin.load_state_dict({k: v * 0 for k, v in twin.state_dict().items()})
        np.testing.assert_allclose(twin.predict(X), 0.2)
        np.testing.assert_array_equal(model.predict(X), expected)


def test_a_prediction_leaves_the_model_as_it_was(tmp_path):
    model = network()
    before = repr(model), list(model.state_dict()), model.architecture()
    model.predict(rows(2))
    assert before == (repr(model), list(model.state_dict()), model.architecture())
    io.save(model, tmp_path / "m")
    np.testing.assert_array_equal(io.load(tmp_path / "m").predict(rows(2)), model.predict(rows(2)))


def test_a_model_that_mixes_rows_sees_them_all_together():
    class Centered(nn.Module):
        def forward(self, x):
            return x - pe.mean(x, 0, keepdims=True)

    X = rows(300)
    for _ in range(2):
        np.testing.assert_allclose(Centered().predict(X), X - X.mean(0), atol=1e-6)
        np.testing.assert_array_equal(Centered().predict(X[:1]), 0 * X[:1])


def test_images_and_sequences_of_any_rank():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    X = np.random.default_rng(0).normal(size=(70, 3, 4))
    np.testing.assert_allclose(model.predict(X), model(X).numpy(), rtol=1e-5, atol=1e-6)
    deep = nn.Linear(4, 2)  # (batch, 3, 4) to (batch, 3, 2)
    np.testing.assert_allclose(deep.predict(X), deep(X).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros(7), ValueError, r"received shape \(7,\); use X.reshape\(1, -1\)"),
        (1.0, ValueError, "one row per example"),
        (np.zeros((3, 6)), ValueError, r"layers.0, Linear\(7, 20\): .*received \(3, 6\)"),
        ([["a"] * 7], TypeError, "X must be an array of numbers"),
    ],
)
def test_bad_input_is_named(X, error, message):
    model = network()
    model.predict(rows(3))
    with pytest.raises(error, match=message):
        model.predict(X)


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_bad_batch_sizes_are_named(size):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        network().predict(rows(2), batch_size=size)


def test_a_model_must_give_a_row_per_row():
    class Total(nn.Module):
        def forward(self, x):
            return pe.sum(x)

    with pytest.raises(ValueError, match=r"one output row per input row: .*received shape \(\)"):
        Total().predict(rows(3))
