"""Rows that pass through memory: each once an epoch, in orders that no machine decides."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pellucid.core.random import seed_words
from pellucid.train import windows
from pellucid.train.shuffle import WINDOWS, shuffle_reference
from pellucid.train.windows import Form, Windows


def numbered(rows):
    """Rows that hold their own number."""
    X = np.arange(rows, dtype=np.float32)[:, None]
    return [X, np.arange(rows, dtype=np.int32)]


class Counting:
    """A source in order, that notes what it is asked for."""

    def __init__(self, rows, fail_at=None):
        self.rows = rows
        self.forms = [Form((1,), np.dtype(np.float32))]
        self.asked, self.threads, self.closed = [], set(), 0
        self.fail_at = fail_at

    def load(self, epoch, first, out):
        self.asked.append((epoch, first, len(out[0])))
        self.threads.add(threading.current_thread().name)
        if self.fail_at == (epoch, first):
            raise OSError("the disk is gone")
        out[0][:, 0] = np.arange(first, first + len(out[0])) + 1000 * epoch

    def close(self):
        self.closed += 1


def seen(feed, steps):
    """What the steps see, and how many rows each."""
    found, sizes, step = [], [], 0
    while step < steps:
        index = feed.batches(step, steps - step)
        assert index.dtype == np.int32
        assert feed.is_at_hand(step)
        for batch in index:
            found.append(feed.arrays[0][batch, 0].copy())
            sizes.append(len(batch))
        step += len(index)
    return np.concatenate(found), sizes


@pytest.mark.parametrize("rows", [1, 7, 20, 40, 101])
@pytest.mark.parametrize("window", [1, 8, 20, 999])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_row_is_seen_once_an_epoch_in_full_batches(rows, window, shuffle):
    feed = Windows(Counting(rows), window, 4, 3, shuffle, 7)
    steps = -(-rows // 4)
    found, sizes = seen(feed, 3 * steps)
    feed.close()
    batch = min(4, rows)
    assert sizes == ([batch] * (rows // batch) + ([rows % batch] if rows % batch else [])) * 3
    for epoch in range(3):
        part = found[epoch * rows : (epoch + 1) * rows]
        np.testing.assert_array_equal(np.sort(part), np.arange(rows) + 1000 * epoch)
        if not shuffle:
            np.testing.assert_array_equal(part, np.arange(rows) + 1000 * epoch)
        for start in range(0, rows, feed.window):  # none has left its window
            here = part[start : start + feed.window] - 1000 * epoch
            assert set(here) == set(range(start, min(start + feed.window, rows)))


def test_a_windows_order_is_a_function_of_seed_epoch_and_number():
    feed = Windows(Counting(50), 20, 5, 2, True, 3)
    found, _ = seen(feed, 20)
    feed.close()
    expected = []
    for epoch in range(2):
        for number, count in enumerate((20, 20, 10)):
            order = np.empty((1, count), np.int32)
            shuffle_reference(order, seed_words(3), epoch, WINDOWS - number)
            expected.append(order[0] + 20 * number + 1000 * epoch)
    np.testing.assert_array_equal(found, np.concatenate(expected))


def test_steps_can_be_asked_for_in_any_order():
    feed = Windows(Counting(50), 12, 4, 4, True, 3)
    steps = dict.fromkeys(range(4 * 13))
    for step in steps:
        index = feed.batches(step, 1)
        steps[step] = feed.arrays[0][index[0], 0].tolist()
    for step in [51, 0, 12, 13, 7, 7, 30, 2]:
        index = feed.batches(step, 1)
        assert feed.arrays[0][index[0], 0].tolist() == steps[step]
    feed.close()


def test_the_next_window_is_read_in_a_thread_and_none_is_read_in_vain():
    source = Counting(40)
    feed = Windows(source, 16, 4, 2, False, 0)
    seen(feed, 20)
    feed.close()
    assert source.asked == [(e, f, n) for e in (0, 1) for f, n in ((0, 16), (16, 16), (32, 8))]
    assert source.threads == {"pellucid-reader"}
    assert source.closed == 1
    assert not any(t.name == "pellucid-reader" for t in threading.enumerate())


def test_what_goes_wrong_in_the_thread_is_raised_where_it_is_needed():
    source = Counting(40, fail_at=(0, 16))
    feed = Windows(source, 16, 4, 2, False, 0)
    seen(feed, 4)
    for _ in range(2):  # and again, if it is tried again
        with pytest.raises(OSError, match="the disk is gone"):
            feed.batches(4, 1)
    source.fail_at = None
    assert feed.batches(4, 1).shape == (1, 4)
    feed.close()


def test_the_end_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(windows, "_PATIENCE", 0.05)
    hold, reached = threading.Event(), threading.Event()

    class Stuck(Counting):
        def load(self, epoch, first, out):
            if first:
                reached.set()
                hold.wait(20)

    feed = Windows(Stuck(40), 16, 4, 2, False, 0)
    feed.batches(0, 1)
    assert reached.wait(20)
    feed.close()
    hold.set()
