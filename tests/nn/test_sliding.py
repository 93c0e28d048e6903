"""Convolution and pooling with random arguments: PyTorch, gradients, machine code."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe

from .configurations import KINDS, Configuration, configurations

SAMPLE = configurations(seed=1, count=50)
each = pytest.mark.parametrize("one", [pytest.param(c, id=str(i)) for i, c in enumerate(SAMPLE)])


def derivatives(one: Configuration):
    """A function of the upstream gradient and the points: the value, and what comes back."""

    def run(upstream, *points):
        y, pull = pe.vjp(one.function, *points)
        return [y, *pull(upstream)]

    return run


def waves(shape, dtype):
    """An upstream gradient in which no two neighbors are alike."""
    return np.cos(np.arange(np.prod(shape))).reshape(shape).astype(dtype)


@each
def test_gradients_of_first_and_second_order(one: Configuration):
    pe.check_grads(one.function, *one.points())


@each
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_compiled_as_the_reference(one: Configuration, dtype, tolerance):
    points = one.points(dtype)
    run = derivatives(one)
    given = [waves(one.function(*points).shape, dtype), *points]
    for found, right in zip(pe.compile(run)(*given), run(*given), strict=True):
        np.testing.assert_allclose(found.numpy(), right.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("how", [pe.compile, lambda f: f], ids=["compiled", "reference"])
@pytest.mark.parametrize("seed", range(6))
def test_as_pytorch(seed: int, how):
    """120 configurations each, with equal elements in some for the ties of a maximum."""
    torch = pytest.importorskip("torch")
    every = configurations(100 + seed, 120)
    assert {one.kind for one in every} == set(KINDS)
    for i, one in enumerate(every):
        points = one.points(ties=i % 3 == 0)
        values = [torch.tensor(p, requires_grad=True) for p in points]
        expected = one.torch(torch, *values)
        given = [waves(expected.shape, np.float64), *points]
        expected.backward(torch.tensor(given[0]))
        right = [expected.detach().numpy(), *(v.grad.numpy() for v in values)]
        run = how(derivatives(one))
        for a, b in zip(run(*given), right, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-10, atol=1e-10, err_msg=repr(one))
        single = run(*(g.astype(np.float32) for g in given))
        for a, b, limit in zip(single, right, rounding(one, given), strict=True):
            assert a.dtype == np.float32
            assert (abs(a.numpy() - b) <= limit).all(), one


def rounding(one: Configuration, given: list[np.ndarray]) -> list[np.ndarray]:
    """How far float32 may be off: a unit for each term of a sum, of the sizes added up."""
    terms = max(g.size for g in given) + 4
    upstream, *points = given
    if one.kind != "max_pool":  # there the same elements must be greatest
        points = [abs(p) for p in points]
    sizes = derivatives(one)(abs(upstream), *points)
    return [terms * np.finfo(np.float32).eps * abs(s.numpy()) + 1e-30 for s in sizes]
