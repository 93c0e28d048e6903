"""Functions with the same bits on every machine, against what is known of them."""

from __future__ import annotations

import hashlib
import math

import numpy as np

from pellucid.core import portable

P = (np.arange(100_000) + 0.5) / 100_000


def test_logarithm():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.exp(rng.uniform(-700, 700, 20_000)), [1.0, 0.5, 2.0, 5e-324, 1.7e308]])
    np.testing.assert_allclose(portable.log(x), np.log(x), rtol=5e-16, atol=2e-16)
    assert portable.log(1.0) == 0.0


def test_quantiles_of_the_normal_distribution():
    known = {
        0.5: 0.0,
        0.975: 1.959963984540054,
        0.25: -0.6744897501960817,
        1e-20: -9.262340089798408,
    }
    for p, z in known.items():
        np.testing.assert_allclose(portable.normal_quantile(np.array([p])), [z], rtol=1e-14)
    z = portable.normal_quantile(P)
    probability = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z])
    np.testing.assert_allclose(probability, P, rtol=1e-12)
    np.testing.assert_array_equal(portable.normal_quantile(1 - P[:7]).shape, (7,))


def test_bits():
    """What initial weights are made of must not change from machine to machine."""
    digest = hashlib.sha256(portable.normal_quantile(P).tobytes() + portable.log(P).tobytes())
    assert digest.hexdigest() == BITS


BITS = "46913d3e9acf68b4d14399026677af8065f52e800cee769e297212f4a140da55"
