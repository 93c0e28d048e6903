"""Where values lie: aligned, padded, apart, by shape and dtype alone."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from pellucid.core.storage import (
    ALIGNMENT,
    LANES,
    Cell,
    allocate,
    row_pitch,
    storage_size,
    strides_of,
)
from tests.tables import ALL, SHAPES

EVERY = [*SHAPES, (10, 784), (784, 128), (784, 10), (128, 256), (256, 256), (5000, 3), (70000, 1)]


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("shape", EVERY)
def test_layout(shape, dtype):
    dtype = np.dtype(dtype)
    value = allocate(shape, dtype)
    assert value.shape == shape and value.dtype == dtype
    assert value.ctypes.data % ALIGNMENT == 0 or value.size == 0
    assert not value.any()
    strides = strides_of(shape, dtype)
    if value.size:
        assert value.strides == tuple(s * dtype.itemsize for s in strides)
    # no element over another, each vector of 16 from the last inside the storage
    offsets = np.zeros((), np.int64)
    for n, s in zip(shape, strides, strict=True):
        offsets = offsets[..., None] + np.arange(n) * s
    assert len(np.unique(offsets)) == math.prod(shape)
    if value.size:
        assert offsets.max() + LANES <= storage_size(shape, dtype)
    value[...] = 1
    assert value.all()


@pytest.mark.parametrize(
    ("shape", "pitch"),
    [
        ((), 1),
        ((5,), 5),
        ((3, 10), 16),
        ((3, 16), 16),
        ((3, 17), 32),
        ((784, 128), 128),
        ((3, 256), 272),  # 1 KiB: moved off it
        ((3, 250), 250 + 6),  # short of 256 columns: rows of 256 elements, not moved
        ((100_000, 3), 3),  # padding would waste memory
        ((2, 3, 10), 10),  # matrices only
    ],
)
def test_pitch_of_float32(shape, pitch):
    assert row_pitch(shape, np.dtype(np.float32)) == pitch


def test_a_cell_copies_what_it_is_given():
    given = np.ones((2, 3), np.float32)
    cell = Cell(given, name="w")
    given[...] = 5
    assert cell.value.sum() == 6
    cell.assign(np.full((2, 3), 2.0))
    assert cell.value.dtype == np.float32 and cell.value.sum() == 12
    with pytest.raises(ValueError, match=r"w has shape \(2, 3\), received a value of shape \(3,\)"):
        cell.assign(np.zeros(3))


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_a_copied_cell_has_padded_storage_of_its_own(again):
    cell = Cell(np.arange(6.0).reshape(2, 3), name="w", role="bias", tracked=True)
    twin = again(cell)
    np.testing.assert_array_equal(twin.value, cell.value)
    assert twin.value.strides == cell.value.strides
    assert (twin.name, twin.role, twin.tracked) == ("w", "bias", True)
    twin.value[...] = 0
    assert cell.value.sum() == 15
