"""Which rows each step sees, and how long slices are."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, optim
from pellucid.core.random import seed_words
from pellucid.train.feed import WholeArrays
from pellucid.train.loop import Loop, Pace
from pellucid.train.shuffle import shuffle_reference
from pellucid.train.step import TrainingState, trace_step


def loop_over(rows, batch, epochs=50, shuffle=True):
    pe.random.set_seed(0)
    model = nn.Sequential(nn.Linear(1, 1))
    state = TrainingState(model, optim.sgd(0.0), 0)
    data = [np.arange(rows, dtype=np.float32)[:, None], np.zeros((rows, 1), np.float32)]
    # each step records the sum of the numbers of its rows, as a metric
    metrics = {"numbers": lambda prediction, target: prediction[:, 0] * 0 + 1}
    return Loop(
        lambda size: trace_step(state, nn.mean_squared_error, metrics, data, size),
        WholeArrays(data, batch, epochs, shuffle, seed=3),
    )


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (13, 4), (3, 8), (1, 1)])
def test_steps_see_the_rows_of_their_epochs_order(rows, batch):
    loop = loop_over(rows, batch)
    order = np.empty((4, rows), np.int32)
    shuffle_reference(order, seed_words(3), 0)
    seen = [loop.rows_of(step) for step in range(4 * loop.steps_per_epoch)]
    np.testing.assert_array_equal(np.concatenate(seen), order.reshape(-1))
    assert max(map(len, seen)) == min(batch, rows)
    # again, backwards: no step depends on those before it
    for step in reversed(range(len(seen))):
        np.testing.assert_array_equal(loop.rows_of(step), seen[step])


@pytest.mark.parametrize(("rows", "batch"), [(12, 4), (13, 4)])
def test_records_do_not_depend_on_how_steps_are_taken(rows, batch):
    one, many = loop_over(rows, batch), loop_over(rows, batch)
    together = one.advance(20).copy()
    apart = np.concatenate([many.advance(n).copy() for n in (1, 2, 3, 7, 7)])
    np.testing.assert_array_equal(together, apart)
    sizes = np.array([len(one.rows_of(step)) for step in range(20)])
    np.testing.assert_array_equal(together[:, 1], sizes)
    np.testing.assert_array_equal(together[:, 2], sizes)
    assert one.done == many.done == 20


def test_slices_are_parts_of_an_epoch_or_whole_ones():
    loop = loop_over(40, 4)  # 10 steps an epoch, 500 in all

    def length(done, wanted, one_epoch=False):
        loop.done = done
        return loop.slice_length(wanted, one_epoch=one_epoch)

    assert length(0, 3) == 3
    assert length(8, 3) == 2
    assert length(3, 99) == 7
    assert length(0, 25) == 20
    assert length(0, 25, one_epoch=True) == 10
    assert length(480, 10_000) == 20
    assert length(0, 0) == 1


def test_an_order_that_is_not_shuffled_is_the_datas():
    loop = loop_over(5, 2, shuffle=False)
    seen = [loop.rows_of(step).tolist() for step in range(6)]
    assert seen == [[0, 1], [2, 3], [4]] * 2


def test_buffers_stay_small():
    loop = loop_over(4, 4, epochs=10**7)
    assert loop.feed.order.nbytes <= 1 << 20
    assert loop._records.nbytes <= 1 << 20


def test_pace_aims_at_a_twentieth_of_a_second(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("pellucid.train.loop.time.perf_counter", lambda: clock[0])
    pace = Pace()

    def advance(steps):
        clock[0] += steps * 1e-5
        return steps

    lengths = [pace.timed(advance, pace.steps) for _ in range(8)]
    assert lengths == [1, 8, 64, 512, 4096, 5000, 5000, 5000]
    clock[0] = 0.0

    def slow(steps):
        clock[0] += 1.0

    pace.timed(slow, 5000)
    assert pace.steps == 250
    pace.timed(slow, 1)
    assert pace.steps == 1
