"""Single checks, where the message is the product."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid.train import checks

FLOAT32 = np.dtype(np.float32)


def test_inputs_that_are_as_they_should_be_are_not_copied():
    X = np.ones((3, 2), np.float32)
    assert checks.inputs(X, FLOAT32) is X
    assert checks.inputs(X[:, ::-1], FLOAT32).flags.c_contiguous
    assert checks.inputs(X.astype(np.uint8), FLOAT32).dtype == np.float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 3, 2)])
def test_the_first_place_is_named(value, shape):
    X = np.zeros(shape)
    X.reshape(5, -1)[2, -1] = value
    X.reshape(5, -1)[4, 0] = np.nan
    with pytest.raises(ValueError, match="NaN" if np.isnan(value) else "infinity") as caught:
        checks.finite(X, "X")
    places = {1: "at row 2 ", 2: "at row 2, column 2 ", 3: r"at row 2, index (2, 2, 1) "}
    assert places[len(shape)] in str(caught.value)


def test_opposite_infinities_and_large_sums_are_told_apart():
    with pytest.raises(ValueError, match="infinity at row 0"):
        checks.finite(np.array([np.inf, -np.inf]), "X")
    checks.finite(np.full(10, 3e38, np.float32), "X")
    checks.finite(np.arange(3), "X")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([["a"]], "texts"),
        ([[b"a"]], "texts"),
        ([[None]], "objects"),
        ([[1 + 2j]], "complex numbers"),
        (np.array([["2020-01-01"]], "datetime64"), "dates"),
        (np.zeros(2, [("a", "f4")]), "records"),
    ],
)
def test_what_is_no_number_is_named(values, message):
    with pytest.raises(TypeError, match=message):
        checks.numeric(values, "X")


def test_class_weights_are_put_in_order():
    assert checks.class_weights({1: 2}, 3) == [1, 2, 1]
    assert checks.class_weights((1, 2, 3), 3) == [1, 2, 3]
    with pytest.raises(ValueError, match="class 'a'"):
        checks.class_weights({"a": 2}, 3)


def test_a_name_that_is_not_known_lists_those_that_are():
    with pytest.raises(ValueError, match="unknown fruit 'nut'; known are apple, pear"):
        checks.one_of("nut", "fruit", {"pear": 1, "apple": 2})


def test_masked_values_are_not_used_as_if_they_were_there():
    X = np.ma.masked_array(np.ones((3, 2)), mask=[[0, 0], [0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"X has 1 masked values.*X\.filled"):
        checks.numeric(X, "X")
    assert checks.numeric(np.ma.masked_array(np.ones((3, 2))), "X").shape == (3, 2)


@pytest.mark.parametrize(("shape", "lacks"), [((0,), "row"), ((0, 4), "row"), ((3, 0), "column")])
def test_empty_data_say_what_is_missing(shape, lacks):
    with pytest.raises(ValueError, match=f"X is empty.*at least one {lacks}"):
        checks.inputs(np.empty(shape), np.dtype(np.float32))


@pytest.mark.parametrize("given", ["balanced", {0: "a"}, {1: None}])
def test_weights_of_classes_are_numbers(given):
    with pytest.raises(TypeError, match="class_weight must be a number for each"):
        checks.class_weights(given, 2)
