"""The greatest element and the sum of windows: against loops; where the gradient goes."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.core import pooling
from pellucid.core.tensor import apply

RNG = np.random.default_rng(0)
CASES = [
    ((2, 6, 3), (2,), (2,)),
    ((2, 7, 1), (3,), (1,)),
    ((1, 4, 6, 2), (2, 3), (2, 3)),
    ((1, 5, 7, 2), (3, 2), (2, 1)),
    ((1, 3, 4, 5, 1), (2, 2, 3), (1, 2, 2)),
]


def windows(x, size, stride):
    """Each place of a window, with the part of x that it covers."""
    places = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], size, stride, strict=True)]
    for o in np.ndindex(*places):
        yield o, tuple(slice(i * s, i * s + k) for i, s, k in zip(o, stride, size, strict=True))


@pytest.mark.parametrize(("shape", "size", "stride"), CASES)
def test_of_each_window(shape, size, stride):
    x = RNG.standard_normal(shape)
    greatest = pooling.max_pool(pe.tensor(x), size, stride).numpy()
    total = pooling.sum_pool(pe.tensor(x), size, stride).numpy()
    axes = tuple(range(1, len(size) + 1))
    for o, part in windows(x, size, stride):
        np.testing.assert_array_equal(greatest[:, *o], x[:, *part].max(axes))
        np.testing.assert_allclose(total[:, *o], x[:, *part].sum(axes), rtol=1e-12, atol=1e-12)
    lowered = pooling.lowered(pe.tensor(x), size, stride)
    np.testing.assert_array_equal(lowered.numpy(), greatest)


@pytest.mark.parametrize(("shape", "size", "stride"), CASES)
def test_the_gradient_goes_to_the_first_greatest_element(shape, size, stride):
    x = RNG.integers(0, 2, shape).astype(np.float64)
    y, pull = pe.vjp(lambda v: pooling.max_pool(v, size, stride), pe.tensor(x))
    g = RNG.standard_normal(y.shape)
    expected = np.zeros(shape)
    for o, part in windows(x, size, stride):
        for b, c in np.ndindex(shape[0], shape[-1]):
            seen = x[b, *part, c]
            first = np.unravel_index(seen.argmax(), seen.shape)
            at = tuple(p.start + i for p, i in zip(part, first, strict=True))
            expected[b, *at, c] += g[b, *o, c]
    np.testing.assert_allclose(pull(pe.tensor(g))[0].numpy(), expected, rtol=1e-12, atol=1e-12)


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"size \(3, 3\) do not fit into \(4, 2\)"):
        apply("max_pool", pe.ones((1, 4, 2, 1)), size=(3, 3), stride=(1, 1))
