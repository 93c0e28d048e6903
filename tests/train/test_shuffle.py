"""An epoch's order is a permutation that depends on seed and epoch alone."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import compiler
from pellucid.core.random import philox, seed_words
from pellucid.train.shuffle import STREAM, shuffle_reference


def orders(n, epochs=3, seed=5, first=0):
    out = np.empty((epochs, n), np.int32)
    shuffle_reference(out, seed_words(seed), first)
    return out


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 63, 1000])
def test_each_row_is_a_permutation(n):
    for row in orders(n):
        np.testing.assert_array_equal(np.sort(row), np.arange(n))


def test_an_epoch_needs_no_epoch_before_it():
    np.testing.assert_array_equal(orders(50, epochs=6)[4:], orders(50, epochs=2, first=4))


def test_seed_and_epoch_matter():
    found = {tuple(row) for seed in range(5) for row in orders(20, epochs=5, seed=seed)}
    assert len(found) == 25


def test_it_is_the_shuffle_that_is_described():
    n, epoch, seed = 37, 2, seed_words(2**40 + 3)
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        word = int(philox((i // 4, epoch, STREAM, 0), seed)[i % 4])
        j = (word * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    np.testing.assert_array_equal(orders(n, 1, seed=2**40 + 3, first=epoch)[0], order)


def test_all_orders_are_about_equally_frequent():
    _, counts = np.unique(orders(4, epochs=4800), axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 200.0) ** 2 / 200).sum() < 55  # chi-square, 23 degrees: p about 0.0002


@pytest.mark.skipif(not compiler.can_compile(), reason="needs llvmlite")
@pytest.mark.parametrize("n", [1, 2, 5, 64, 1437])
def test_the_native_twin_has_equal_bits(n):
    native = np.empty((4, n), np.int32)
    compiler.shuffle(native, seed_words(11), 7, STREAM)
    np.testing.assert_array_equal(native, orders(n, 4, seed=11, first=7))
