"""Orders as NumPy's legacy shuffle draws them, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.compiler import Reshuffle


def same(random, twin, n, batch=7, orders=4, room=3):
    """Fill orders twice; the random states draw alike before, in between and after."""
    shuffled, expected = Reshuffle(n, batch, random), np.arange(n)
    places = np.arange(n) // batch * (batch + room) + np.arange(n) % batch
    for _ in range(2):
        out = np.full((orders, -(-n // batch), batch + room), -7, np.int32)
        shuffled.fill(out)
        for epoch in out.reshape(orders, -1):
            twin.shuffle(expected)
            np.testing.assert_array_equal(epoch[places], expected)
            assert (np.delete(epoch, places) == -7).all()
        np.testing.assert_array_equal(shuffled.order, expected)
        assert random.randint(1 << 30) == twin.randint(1 << 30)
        assert random.normal() == twin.normal()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 133, 1347, 70_000])
@pytest.mark.parametrize("batch", [1, 7, 200])
def test_as_numpy_shuffles(n, batch):
    same(np.random.RandomState(n), np.random.RandomState(n), n, batch)


def test_of_any_generator():
    same(np.random.RandomState(np.random.PCG64(3)), np.random.RandomState(np.random.PCG64(3)), 50)


def test_of_the_global_state():
    state = np.random.get_state()
    try:
        np.random.seed(5)
        same(np.random.mtrand._rand, np.random.RandomState(5), 40)
    finally:
        np.random.set_state(state)


def test_without_access_to_the_generator():
    class Closed:
        """A random state of which only the public methods are known."""

        def __init__(self, seed):
            own = np.random.RandomState(seed)
            self.shuffle, self.randint, self.normal = own.shuffle, own.randint, own.normal

    same(Closed(4), np.random.RandomState(4), 90)


def test_of_a_kind_that_shuffles_in_its_own_way():
    class Backwards(np.random.RandomState):
        def shuffle(self, x):
            x[:] = x[::-1].copy()

    out = np.zeros((2, 1, 5), np.int32)
    Reshuffle(5, 5, Backwards(0)).fill(out)
    assert out.tolist() == [[[4, 3, 2, 1, 0]], [[0, 1, 2, 3, 4]]]


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((3, 2, 4), np.int32),
        np.zeros((3, 3, 5), np.int32),
        np.zeros((3, 2, 5)),
        np.zeros((3, 2, 10), np.int32)[:, :, ::2],
        np.zeros((3, 10), np.int32),
    ],
)
def test_what_orders_do_not_fit_in_is_refused(out):
    with pytest.raises(ValueError, match="orders of 10 rows in batches of 5 go to a contiguous"):
        Reshuffle(10, 5, np.random.RandomState(0)).fill(out)
