"""Every layer and loss, compiled: values and gradients as the reference gives them."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe

from .samples import LAYERS, LOSSES, LayerSample, LossSample, rows


def agree(f, points) -> None:
    both = pe.value_and_grad(f, tuple(range(len(points))))
    points = [pe.tensor(p) for p in points]
    value, found = pe.compile(both)(*points)
    expected_value, expected = both(*points)
    np.testing.assert_allclose(value.numpy(), expected_value.numpy(), rtol=2e-5, atol=1e-5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(
    "sample", [pytest.param(s, id=i) for i, s in rows(LAYERS) if not s.training]
)
def test_layers(sample: LayerSample):
    f, points = sample.function(np.float32)
    agree(lambda *values: pe.sum(pe.sin(f(*values))), points)


@pytest.mark.parametrize("sample", [pytest.param(s, id=i) for i, s in rows(LOSSES)])
def test_losses(sample: LossSample):
    u, y = sample.data(5, np.float32)
    agree(lambda v: sample.loss(v, y), [u])
