"""Pooling compiled: the maximum and where it stands in one walk, and nothing else kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import pipeline
from pellucid.compiler.simplify import simplify
from pellucid.core.node import topological
from pellucid.core.pooling import max_pool
from pellucid.core.tensor import apply, broadcast_to, tensor
from tests.programs import bits, processor, reference, run, same_processors, threads, trace

SHAPES = {
    "image": ((4, 8, 6, 5), (2, 2)),
    "three by two": ((2, 9, 4, 17), (3, 2)),
    "signal": ((3, 12, 16), (4,)),
    "long windows": ((2, 40, 3), (20,)),
    "volume": ((2, 4, 4, 6, 3), (2, 2, 3)),
    "one channel": ((4, 8, 6, 1), (2, 2)),
}


def numbers(shape, seed=0):
    """Few different numbers: many windows have two greatest elements."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


ROWS = np.arange(240, dtype=np.float32).reshape(48, 5) % 7 - 3


def pooled(x, bias, size):
    return max_pool(pe.relu(x + bias), size, size)


def gradients(x, bias, size):
    """Of a layer that adds a bias, cuts off what is negative, and pools."""
    y, pull = pe.vjp(lambda x, bias: pooled(x, bias, size), tensor(x), tensor(bias))
    return [y, *pull(y * 2.0 - 3.0)]


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_go_to_the_first_greatest(name):
    shape, size = SHAPES[name]
    given = [numbers(shape), numbers(shape[-1:], 1)]
    c = trace(lambda x, bias: gradients(x, bias, size), *given)
    for found, right in zip(run(c, given), reference(c, given), strict=True):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("name", SHAPES)
def test_same_bits_everywhere(name):
    shape, size = SHAPES[name]
    rng = np.random.default_rng(2)
    given = [rng.standard_normal(s).astype(np.float32) for s in (shape, shape[-1:])]
    given[0][0].flat[:3] = np.nan, np.inf, -np.inf
    found = set()
    for cpu in same_processors():
        for count in (1, 2):
            with processor(cpu), threads(count), pytest.MonkeyPatch.context() as patch:
                patch.setattr("pellucid.compiler.schedule.SHARED_FROM", 0)
                patch.setattr("pellucid.compiler.cache.read", lambda name: None)
                found.add(bits(run(trace(lambda *a: gradients(*a, size), *given), given)))
    assert len(found) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (0, 2), (2,), (1, 2), (0, 1, 2)])
def test_the_first_of_equal_ones_and_a_nan_before_all(axes, dtype):
    for shape in [(2, 3, 4), (1, 30, 7), (3, 1, 20), (1, 1, 1)]:
        x = numbers(shape).astype(dtype)
        if x.dtype.kind == "f":
            x.flat[:: x.size // 3 + 1] = np.nan
            x.flat[-1] = -np.inf
        c = trace(lambda x, axes=axes: apply("argmax", tensor(x), axes=axes), x)
        np.testing.assert_array_equal(run(c, [x])[0], reference(c, [x])[0])


def walked(shape, size):
    """Shapes of what a layer with its gradients reads or writes, but for its own input."""
    c = trace(lambda x, bias: gradients(x * x, bias, size), np.ones(shape), np.ones(shape[-1]))
    plan = pipeline.lower(c)
    (pooling,) = [k for k in plan.kernels if "argmax" in [root.name for root in k.roots]]
    return pooling, {b.shape for k in plan.kernels for b in k.reads if b.role == "temporary"}


def test_one_walk_finds_the_maximum_and_its_place_and_nothing_else_is_kept():
    pooling, kept = walked((4, 8, 6, 5), (2, 2))
    assert {root.name for root in pooling.roots} == {"max", "argmax"}
    assert max(map(math.prod, kept)) == 4 * 4 * 3 * 5  # neither the sum nor what was cut off


def test_a_bias_is_learned_from_what_windows_are_given():
    shape, size = (4, 8, 6, 5), (2, 2)
    c = simplify(trace(lambda x, b: gradients(x, b, size)[2], np.ones(shape), np.ones(5)))
    sums = [n for n in topological(c.outputs) if n.name == "sum"]
    assert sums and all(math.prod(n.inputs[0].shape) <= 4 * 4 * 3 * 5 for n in sums)


def test_what_is_not_asked_of_the_maximum_stays():
    """A mask of another value, or of the elements behind, is not the maximum's."""
    given = [numbers((2, 4, 4, 3)), numbers((2, 4, 4, 3), 1)]

    def masked(x, other):
        y, pull = pe.vjp(lambda x: max_pool(x, (2, 2), (2, 2)), x)
        (g,) = pull(y)
        return [pe.where(other > 0.0, g, 0.0), pe.where(x > 1.0, g, 0.0), pe.where(x > 1.0, g, x)]

    c = trace(masked, *given)
    for found, right in zip(run(c, given), reference(c, given), strict=True):
        np.testing.assert_array_equal(found, right)


def chosen(x, number, g):
    """What looks like the gradient of pooling along the first axis, and is something else."""
    place = broadcast_to(pe.argmax(x, 0).reshape(1, -1), number.shape)
    return pe.where(number == place, broadcast_to(g, number.shape), 0.0)


def other_windows(x):
    windows = x.reshape(2, 2, 2, 3, 2, 5)
    winner = apply("argmax", windows, axes=(4,))
    number = apply("iota", shape=windows.shape, axis=2)
    here = number == broadcast_to(winner.reshape(2, 2, 2, 3, 1, 5), windows.shape)
    given = broadcast_to(pe.sum(windows, 4, keepdims=True), windows.shape)
    return pe.sum(pe.where(here, given, 0.0), (0, 1, 2, 3, 4))


LOOKALIKES = {
    "one of each row": lambda x, n: pe.sum(
        chosen(x, apply("iota", shape=x.shape, axis=0), x[:, :1]), 0
    ),
    "votes": lambda x, n: pe.sum(chosen(x, n, x[:1]), 0),
    "votes, cut off": lambda x, n: pe.where(x > 0.5, chosen(x, n, x[:1]), 0.0),
    "along other axes": lambda x, n: other_windows(x[0, :1] + ROWS),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_what_looks_like_pooling_and_is_not(name):
    x, n = numbers((8, 8)), np.random.default_rng(5).integers(0, 8, (8, 8)).astype(np.int32)
    c = trace(LOOKALIKES[name], x, n)
    np.testing.assert_array_equal(run(c, [x, n])[0], reference(c, [x, n])[0])
