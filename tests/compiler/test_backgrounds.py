"""Zeros around values that stay from step to step."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import CompiledProgram, pipeline
from pellucid.core.movement import pad
from tests.programs import reference, run, trace


def framed(x, w):
    return pe.conv(pad(x * 2.0, (0, 2, 2, 0), (0, 2, 2, 0)), w)


def assembled(x, w):
    """What is padded is an input, and spread out: it is copied among zeros."""
    return pe.conv(pad(x, (0, 1, 1, 0), (0, 2, 2, 0), (0, 1, 1, 0)), w)


def through_a_reshape(x, w):
    lines = x.reshape(x.shape[0], 2, -1, *x.shape[2:]) * 2.0
    return pe.conv(pad(lines.reshape(x.shape), (0, 2, 2, 0), (0, 2, 2, 0)), w)


@pytest.mark.parametrize("f", [framed, assembled, through_a_reshape])
def test_zeros_stay_from_step_to_step(f):
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((3, 6, 6, 4)), rng.standard_normal((3, 3, 4, 20))]
    c = trace(f, *given)
    plan = pipeline.lower(c)
    assert plan.kept and plan.zeros <= plan.memory
    assert not any(store.source is None for k in plan.kernels for store in k.stores)
    program = CompiledProgram(c)
    out = [np.zeros(c.outputs[0].shape)]
    for factor in (1.0, np.nan, -3.0):
        inputs = [given[0] * factor, given[1]]
        program.run(inputs, out)
        np.testing.assert_allclose(out[0], reference(c, inputs)[0], rtol=1e-12, atol=1e-12)


def test_what_is_large_and_has_few_zeros_is_not_kept():
    x, w = np.ones((8, 120, 120, 4)), np.ones((3, 3, 4, 20))
    plan = pipeline.lower(trace(framed, x, w))
    assert not plan.kept and not plan.zeros
    assert any(store.source is None for k in plan.kernels for store in k.stores)


def test_a_value_is_computed_within_its_padding_through_a_reshape():
    x, w = np.ones((3, 6, 6, 4)), np.ones((3, 3, 4, 20))
    plan = pipeline.lower(trace(through_a_reshape, x, w))
    assert [k.kind for k in plan.kernels] == ["map", "contract"]


def test_places_are_not_shared_with_others():
    x, w = np.ones((3, 6, 6, 4)), np.ones((3, 3, 4, 20))
    c = trace(lambda x, w: [pe.softmax(pe.sin(x) @ pe.cos(w[0, 0])), framed(x, w)], x, w)
    plan = pipeline.lower(c)
    kept = {buffer: plan.offsets[buffer] for buffer in plan.kept}
    others = [at for buffer, at in plan.offsets.items() if buffer not in kept]
    assert others and min(others) >= plan.zeros > max(kept.values())
    program, outputs = CompiledProgram(c), [np.zeros(n.shape) for n in c.outputs]
    for _ in range(2):
        program.run([x, w], outputs)
        for found, right in zip(outputs, reference(c, [x, w]), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-12)
        program._memory[program.zeros :] = 0xFF


CROPPED = {
    "a crop": lambda x: pe.exp(pad(x * 2.0, (1, 1), (1, 1))[1:-1, 1:-1]),
    "one side": lambda x: pe.exp(pad(pe.tanh(x), (0, 2), (0, 0))[:, 2:]),
    "the gradient of a crop": lambda x: pe.grad(
        lambda x: pe.sum(pe.sin(pad(x * x, (1, 1), (1, 1))[1:-1, 1:-1]))
    )(x),
}


@pytest.mark.parametrize("name", CROPPED)
def test_a_value_that_does_not_leave_its_kernel_needs_no_place(name):
    x = np.random.default_rng(0).standard_normal((5, 7))
    c = trace(CROPPED[name], x)
    np.testing.assert_allclose(run(c, [x])[0], reference(c, [x])[0], rtol=1e-12)
