"""Blocks of files: each row once an epoch, from all over, used where it lies."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import compiler
from pellucid.core.random import seed_words
from pellucid.train import blocks, mapped
from pellucid.train.blocks import Blocks, Numbers
from pellucid.train.mapped import Selected
from pellucid.train.shuffle import BLOCKS, shuffle_reference

FLOAT = np.dtype(np.float32)


def numbered(rows):
    """Rows that hold their own number."""
    X = np.arange(rows, dtype=np.float32)[:, None]
    return [X, np.arange(rows, dtype=np.int32)]


def in_file(tmp_path, array):
    path = tmp_path / "rows.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize(("rows", "block"), [(100, 7), (100, 10), (5, 10), (64, 1)])
def test_blocks_come_from_all_over_and_each_row_once(rows, block):
    source = Numbers(numbered(rows), None, block, 5)
    order = np.empty((1, -(-rows // block)), np.int32)
    shuffle_reference(order, seed_words(5), 2, BLOCKS)
    expected = np.concatenate(
        [np.arange(b * block, min((b + 1) * block, rows)) for b in order[0].tolist()]
    )
    for size in (1, 3, 16, rows):
        found = []
        for first in range(0, rows, size):
            out = [np.zeros(min(size, rows - first), np.int32)]
            source.load(2, first, out)
            found.append(out[0])
        np.testing.assert_array_equal(np.concatenate(found), expected)


def test_blocks_have_other_neighbours_in_each_epoch(monkeypatch):
    monkeypatch.setattr(blocks, "SMALL_BLOCK", 1 << 13)  # 1,024 rows, of which 16 fill a window
    monkeypatch.setattr(blocks, "WINDOW_BYTES", 1 << 17)
    feed = Blocks(numbered(1 << 17), FLOAT, 64, 2, True, 0)
    assert feed.window == 1 << 14
    met = []
    for step in (0, (1 << 17) // 64):
        met.append(set(feed.batches(step, 256).reshape(-1) // 1024))
    feed.close()
    assert len(met[0]) == len(met[1]) == 16
    assert met[0] != met[1]


@pytest.mark.parametrize("chosen", [False, True])
def test_rows_of_a_file_stay_there(tmp_path, monkeypatch, chosen):
    """What steps see are the rows of the file itself; only numbers pass through memory."""
    monkeypatch.setattr(blocks, "SMALL_BLOCK", 1 << 12)
    monkeypatch.setattr(blocks, "WINDOW_BYTES", 1 << 13)
    told = []
    for name in ("ask_for", "bring", "let_go_of"):
        act = getattr(mapped, name)
        monkeypatch.setattr(
            blocks, name, lambda *given, act=act, name=name: told.append(name) or act(*given)
        )
    X = in_file(tmp_path, np.arange(8000, dtype=np.float32).reshape(2000, 4))
    y, rows = np.arange(2000, dtype=np.int32), np.arange(0, 2000, 3)
    data = [Selected(X, rows), y[rows]] if chosen else [X, y]
    feed = Blocks(data, FLOAT, 16, 2, True, 3)
    assert feed.arrays[0] is X
    count = len(rows) if chosen else 2000
    for epoch in range(2):
        step, found = epoch * -(-count // 16), []
        while step < (epoch + 1) * -(-count // 16):
            index = feed.batches(step, 10**6)
            np.testing.assert_array_equal(feed.arrays[0][index][..., 0], 4 * index)
            np.testing.assert_array_equal(feed.arrays[1][index], index)
            found += index.reshape(-1).tolist()
            step += len(index)
        assert sorted(found) == (rows.tolist() if chosen else list(range(2000)))
    assert feed.memory < X.nbytes + (0 if not chosen else y.nbytes)
    feed.close()
    assert {"ask_for", "bring", "let_go_of"} == set(told)


@pytest.mark.skipif(not compiler.can_compile(), reason="it is the reference that is compared")
def test_orders_are_the_references(monkeypatch):
    monkeypatch.setattr(blocks, "SMALL_BLOCK", 80)
    monkeypatch.setattr(blocks, "WINDOW_BYTES", 1 << 10)

    def order():
        feed = Blocks(numbered(500), FLOAT, 4, 1, True, 9)
        found = [feed.batches(step, 1)[0] for step in range(125)]
        feed.close()
        return np.concatenate(found)

    fast = order()
    assert sorted(fast) == list(range(500))
    monkeypatch.setenv("PELLUCID_REFERENCE", "1")
    np.testing.assert_array_equal(order(), fast)
