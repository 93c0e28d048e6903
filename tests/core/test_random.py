"""Random bits: the published generator, one number per place, whoever draws."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.core.random import BLOCK, RandomScope, philox, random_scope, scope_of, seed_words
from pellucid.core.tensor import tensor

# Known answers distributed with Random123, for philox4x32 with 10 rounds.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0"),
]
ANSWERS = [
    "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    "408f276d 41c83b0e a20bc7c6 6d5451fd",
    "d16cfe09 94fdcceb 5001e420 24126ea1",
]


@pytest.mark.parametrize(("given", "answer"), list(zip(KNOWN, ANSWERS, strict=True)))
def test_known_answers(given, answer):
    counter, key = (tuple(int(w, 16) for w in words.split()) for words in given)
    assert " ".join(f"{int(w):08x}" for w in philox(counter, key)) == answer


def bits(shape, *, seed=3, step=0, stream=0, width=32):
    scope = RandomScope(tensor(seed_words(seed)), tensor(np.uint32(step)))
    scope.streams = stream
    return scope.draw(shape, width).numpy()


def test_the_documented_counter():
    """Row r, column c is word (c // 16) % 4 of counter (c // 64 * 16 + c % 16, r, stream, step)."""
    found = bits((3, 150), seed=2**40 + 9, step=5, stream=2)
    for r, c in [(0, 0), (0, 15), (0, 16), (1, 63), (2, 64), (2, 149), (1, 100)]:
        words = philox((c // BLOCK * 16 + c % 16, r, 2, 5), seed_words(2**40 + 9))
        assert found[r, c] == words[c // 16 % 4]


def test_a_place_does_not_depend_on_the_size():
    whole = bits((7, 100))
    np.testing.assert_array_equal(bits((3, 100)), whole[:3])
    np.testing.assert_array_equal(bits((7, 33)), whole[:, :33])
    np.testing.assert_array_equal(bits((7, 10, 10)).shape, (7, 10, 10))
    np.testing.assert_array_equal(bits((100,)), whole[0])
    assert bits(()) == whole[0, 0]
    assert bits((3, 0)).shape == (3, 0)


@pytest.mark.parametrize("change", [{"seed": 4}, {"seed": 3 + 2**32}, {"step": 1}, {"stream": 1}])
def test_seed_step_and_stream_matter(change):
    assert (bits((20,), **change) != bits((20,))).all()


def test_the_high_bits_are_handed_out():
    np.testing.assert_array_equal(bits((50,), width=8), bits((50,)) >> 24)
    assert set(bits((500,), width=1)) == {0, 1}


def test_uniform_is_even():
    pe.random.set_seed(1)
    drawn = pe.random.uniform((100_000,), -2.0, 3.0)
    x = drawn.numpy()
    assert drawn.dtype == np.float32
    assert x.min() >= -2 and x.max() < 3
    counts = np.histogram(x, 50, (-2, 3))[0]
    assert ((counts - 2000.0) ** 2 / 2000).sum() < 100  # chi-square, 49 degrees: p about 2e-5
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 0.015


def test_a_seed_starts_anew():
    pe.random.set_seed(5)
    first = [pe.random.uniform((4,)).numpy() for _ in range(3)]
    pe.random.set_seed(5)
    again = [pe.random.uniform(4).numpy() for _ in range(3)]
    np.testing.assert_array_equal(first, again)
    assert len({a.tobytes() for a in first}) == 3
    pe.random.set_seed(6)
    assert (pe.random.uniform((4,)).numpy() != first[0]).all()


def test_a_scope_does_not_disturb_the_outer_one():
    pe.random.set_seed(5)
    expected = [pe.random.uniform((4,)).numpy() for _ in range(2)]
    pe.random.set_seed(5)
    first = pe.random.uniform((4,)).numpy()
    with random_scope(scope_of(9)):
        pe.random.uniform((4,))
    np.testing.assert_array_equal([first, pe.random.uniform((4,)).numpy()], expected)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "a", True, None])
def test_a_seed_is_a_whole_number_of_64_bits(seed):
    with pytest.raises(ValueError, match="a seed must be a whole number from 0"):
        pe.random.set_seed(seed)


def test_seed_words():
    np.testing.assert_array_equal(seed_words(2**64 - 1), [2**32 - 1, 2**32 - 1])
    np.testing.assert_array_equal(seed_words(np.int64(2**32 + 7)), [7, 1])
