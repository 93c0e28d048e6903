"""Products of padding with a kernel's rows are left out, and no others."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid.compiler import pipeline
from pellucid.compiler.contract import Contraction
from pellucid.compiler.ir import Writer
from pellucid.core.movement import pad
from tests.programs import bits, processor, reference, run, same_processors, threads, trace

NUMBERS = np.random.default_rng(0).standard_normal


def padded(before, after):
    def convolved(x, w):
        return pe.conv(pad(x * 2.0, (0, before, 0, 0), (0, after, 0, 0)), w)

    return convolved


def split_rows(x, w):
    """Rows of a padded value as rows of rows: places and kernel do not step alike."""
    x = pad(x * 2.0, (0, 2, 0, 0), (0, 2, 0, 0))
    return pe.conv(pe.reshape(x, (8, 3, 4, *x.shape[2:])), w)


@pytest.mark.parametrize(
    ("f", "x", "w"),
    [
        (split_rows, (8, 8, 18, 4), (1, 3, 3, 4, 32)),
        (split_rows, (8, 8, 12, 4), (3, 3, 3, 4, 32)),
        (padded(2, 2), (8, 8, 18, 4), (3, 3, 4, 32)),
        (padded(4, 4), (3, 10, 14, 20), (5, 5, 20, 40)),
        (padded(9, 0), (2, 3, 14, 20), (5, 5, 20, 40)),  # some windows see nothing else
        (padded(0, 7), (2, 6, 14, 5), (4, 3, 5, 6)),
    ],
)
def test_only_padding_is_left_out(f, x, w):
    x, w = NUMBERS(x), NUMBERS(w)
    c = trace(f, x, w)
    right = reference(c, [x, w])[0]
    np.testing.assert_allclose(run(c, [x, w])[0], right, rtol=1e-12, atol=1e-12)


def found(x, w, before, after, registers=32):
    plan = pipeline.lower(trace(padded(before, after), np.ones(x, "f"), np.ones(w, "f")))
    (kernel,) = [k for k in plan.kernels if k.kind == "contract"]
    return Contraction(Writer(), plan, kernel, True, registers)


def test_what_windows_meet_of_a_padded_value():
    x, w = (2, 10, 14, 20), (5, 5, 20, 40)
    assert found(x, w, 4, 4).within[1:] == (-4, 10)
    assert found(x, w, 4, 0).within[1:] == (-4, 10)
    assert found(x, w, 0, 0).within is None
    assert found((2, 200, 14, 20), w, 1, 1).within is None  # next to nothing would be spared


@pytest.mark.parametrize("registers", [8, 16, 32])
def test_tiles_stay_in_one_row_of_windows_whatever_the_processor(registers):
    made = found((2, 10, 14, 20), (5, 5, 20, 40), 4, 4, registers)
    assert made.within is not None
    assert made.tiling.axis > made.within.axis or made.tiling.rows == made.tiling.inner


def test_numbers_that_are_not_finite_have_the_same_bits_everywhere():
    x, w = NUMBERS((2, 10, 14, 20)).astype("f"), NUMBERS((5, 5, 20, 40)).astype("f")
    w[0, 0, 0, 0], w[4, 2, 3, 7] = np.inf, np.nan
    seen = set()
    for cpu in same_processors():
        for count in (1, 2):
            with processor(cpu), threads(count):
                seen.add(bits(run(trace(padded(4, 4), x, w), [x, w])))
    assert len(seen) == 1
