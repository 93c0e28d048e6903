"""`x[...]` names what NumPy's names, and its derivative goes back to the same places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pe

SETTINGS = settings(max_examples=300, deadline=None, derandomize=True)


@st.composite
def indexed(draw):
    """An array that counts its elements, and an index that fits it."""
    shape = draw(st.lists(st.integers(0, 5), max_size=4))
    x = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    bound = st.none() | st.integers(-7, 7)
    items = []
    for length in shape[: draw(st.integers(0, len(shape)))]:
        kinds = [st.builds(slice, bound, bound, st.sampled_from([None, 1, 2, 3, -1, -2, -4]))]
        if length:
            kinds.append(st.integers(-length, length - 1))
            kinds.append(st.integers(-length, length - 1).map(np.int64))
        items.append(draw(st.one_of(kinds)))
    named = len(items)
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()):
        # what stands behind the ellipsis names the last axes
        if named == len(shape) or all(i is None for i in items):
            items.insert(draw(st.integers(0, len(items))), ...)
        else:
            items.append(...)
    index = items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)
    return x, index


@SETTINGS
@given(indexed())
def test_names_what_numpy_names(example):
    x, index = example
    found, right = pe.tensor(x)[index], x[index]
    assert found.shape == np.shape(right)
    np.testing.assert_array_equal(found.numpy(), right)


@SETTINGS
@given(indexed())
def test_the_derivative_goes_back_to_the_same_places(example):
    x, index = example
    _, pull = pe.vjp(lambda t: t[index], pe.tensor(x))
    wanted, cotangent = np.zeros_like(x), np.arange(x[index].size) + 1.0
    wanted[index] = cotangent.reshape(np.shape(x[index]))
    (found,) = pull(pe.tensor(cotangent.reshape(np.shape(x[index]))))
    np.testing.assert_array_equal(found.numpy(), wanted)


@SETTINGS
@given(st.data())
def test_rows_by_number(data):
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    x = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    numbers = st.integers(-shape[0], shape[0] - 1)
    index = data.draw(
        st.lists(numbers, max_size=6)
        | st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=1, max_size=3)
    )
    index = np.array(index, np.int64)
    for form in (index, index.astype(np.int32), index.tolist(), pe.tensor(index)):
        np.testing.assert_array_equal(pe.tensor(x)[form].numpy(), x[index])
    _, pull = pe.vjp(lambda t: pe.take(t, index), pe.tensor(x))
    wanted = np.zeros_like(x)
    np.add.at(wanted, index, 1.0)
    (found,) = pull(pe.tensor(np.ones((*index.shape, *shape[1:]))))
    np.testing.assert_array_equal(found.numpy(), wanted)


T = pe.tensor(np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (3, "index 3 is out of range for axis 0 of length 3"),
        ((0, -5), "index -5 is out of range for axis 1 of length 4"),
        ((0, 0, 0), r"3 indices are too many for a tensor of shape \(3, 4\)"),
        ("a", "cannot index a tensor with 'a'"),
        (1.5, "cannot index a tensor with 1.5"),
        (True, "cannot index a tensor with True"),
        (([0], 1), "cannot be mixed"),
        ([0, 3], "row 3 is out of range: there are 3 rows"),
        (np.array([-4]), "row -4 is out of range"),
        (np.array([True, False, True]), "for a mask use pe.where"),
        (np.array([0.5]), "must be whole numbers, received float64"),
    ],
)
def test_errors(index, message):
    with pytest.raises(IndexError, match=message):
        T[index]


def test_the_whole_is_the_tensor_itself():
    assert T[:].node is T.node
    assert T[...].node is T.node


def test_more_than_one_ellipsis_is_an_error():
    with pytest.raises(IndexError):
        T[..., ...]
