"""Windows, the general contraction and convolution: against loops and NumPy, and their errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pellucid as pe
from pellucid.core import convolution, windows
from pellucid.core.tensor import apply

RNG = np.random.default_rng(0)
ZEROS, ONES = (0, 0, 0), (1, 1, 1)


def by_loops(x, w, stride, before, after, between, dilation, groups):
    """A convolution element by element."""
    space = [(n - 1) * (b + 1) + 1 for n, b in zip(x.shape[1:-1], between, strict=True)]
    wide = np.zeros((x.shape[0], *space, x.shape[-1]))
    wide[:, *(slice(None, None, b + 1) for b in between)] = x
    channels, per_group = w.shape[-2], w.shape[-1] // groups
    spans = [(k - 1) * d for k, d in zip(w.shape, dilation, strict=False)]
    numbers = zip(space, before, after, spans, stride, strict=True)
    places = [(n + a + b - r - 1) // s + 1 for n, a, b, r, s in numbers]
    out = np.zeros((x.shape[0], *places, w.shape[-1]))
    for o in itertools.product(*map(range, places)):
        for u in np.ndindex(*w.shape[:-2]):
            at = [
                i * s + j * d - a
                for i, s, j, d, a in zip(o, stride, u, dilation, before, strict=True)
            ]
            if not all(0 <= i < n for i, n in zip(at, space, strict=True)):
                continue
            for f in range(w.shape[-1]):
                group = f // per_group
                seen = wide[:, *at, group * channels : (group + 1) * channels]
                out[:, *o, f] += seen @ w[*u, :, f]
    return out


@pytest.mark.parametrize(
    ("x", "w", "attrs"),
    [
        ((2, 7, 3), (3, 3, 4), ((1,), (0,), (0,), (0,), (1,), 1)),
        ((2, 7, 3), (3, 3, 4), ((2,), (1,), (2,), (0,), (2,), 1)),
        ((1, 5, 6, 4), (2, 3, 2, 6), ((1, 2), (0, 1), (1, 0), (0, 0), (1, 1), 2)),
        ((1, 5, 4, 3), (3, 2, 1, 3), ((1, 1), (2, 2), (2, 2), (1, 2), (1, 2), 3)),
        ((1, 5, 4, 3), (2, 2, 1, 6), ((1, 1), (-1, 1), (1, -2), (0, 0), (1, 1), 3)),
        (
            (1, 3, 4, 2, 1),
            (2, 2, 1, 1, 2),
            ((2, 1, 1), (1, 0, 0), (0, 1, 0), (0,) * 3, (1,) * 3, 1),
        ),
    ],
)
def test_convolution_is_what_its_formula_says(x, w, attrs):
    x, w = RNG.standard_normal(x), RNG.standard_normal(w)
    given = convolution.Geometry(*attrs)
    found = convolution.convolution(pe.tensor(x), pe.tensor(w), given).numpy()
    np.testing.assert_allclose(found, by_loops(x, w, *attrs), rtol=1e-12, atol=1e-12)
    lowered = convolution.lowered(pe.tensor(x), pe.tensor(w), given).numpy()
    np.testing.assert_allclose(lowered, found, rtol=1e-12, atol=1e-12)


def test_windows_are_where_they_stand():
    x = RNG.standard_normal((2, 7, 6, 3))
    seen = windows.windows_of(pe.tensor(x), (2, 3), (3, 1), (2, 1)).numpy()
    assert seen.shape == (2, 2, 4, 2, 3, 3)
    for i, j in itertools.product(range(2), range(4)):
        np.testing.assert_array_equal(seen[:, i, j], x[:, 3 * i : 3 * i + 3 : 2, j : j + 3])


def test_tensordot_is_numpys():
    x, y = RNG.standard_normal((2, 3, 4, 5)), RNG.standard_normal((4, 5, 6))
    found = windows.tensordot(pe.tensor(x), pe.tensor(y), 0, 2).numpy()
    np.testing.assert_allclose(found, np.tensordot(x, y, 2), rtol=1e-12)
    z = RNG.standard_normal((2, 3, 5, 6))
    found = windows.tensordot(pe.tensor(x), pe.tensor(z), 2, 1).numpy()
    np.testing.assert_allclose(found, np.einsum("abrd,abdc->abrc", x, z), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x, w: apply("windows", x, size=(2,), stride=(1,), dilation=(1,)), "over 1 axes"),
        (
            lambda x, w: apply("windows", x, size=(3, 3), stride=(1, 1), dilation=(2, 1)),
            r"reach over \(5, 3\) elements do not fit into \(4, 5\)",
        ),
        (lambda x, w: windows.tensordot(x, w, 0, 2), "cannot contract"),
        (lambda x, w: convolve(x[0], w), r"expects a value of shape \(batch, 2 axes, channels\)"),
        (lambda x, w: convolve(x, w[:, :, :2]), "expects 2 channels in the last axis"),
        (lambda x, w: convolve(x, w, groups=2), "in 2 groups expects 6 channels"),
        (lambda x, w: convolve(x, w, dilation=(4, 1)), r"does not fit into \(4, 5\)"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(pe.ones((2, 4, 5, 3)), pe.ones((2, 2, 3, 4)))


def convolve(x, w, dilation=(1, 1), groups=1):
    none = (0, 0)
    geometry = convolution.Geometry((1, 1), none, none, none, dilation, groups)
    return convolution.convolution(x, w, geometry)
