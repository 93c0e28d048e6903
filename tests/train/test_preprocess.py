"""Columns of texts become numbers: what is learned, what is refused, what a file may hold."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.train.preprocess import MOST_CATEGORIES, Categories, Numbers, Preprocessing
from pellucid.train.tables import MISSING, DataError, Table


def learn(columns, *args):
    return Preprocessing.learn(Table("t.csv", columns), *args)


MIXED = {
    "age": ["1", "2", "?", "6"],
    "kind": ["cat", "NA", "dog", "cat"],
    "note": ["w", "x", "y", "z"],
    "same": ["7", "7.0", "7", "7"],
    "empty": ["", "?", "nan", "NA"],
    "code": ["1", "2", "1", "2"],
}


def test_each_column_gets_what_suits_it():
    found = learn(MIXED, ["code"])
    assert found.columns == (
        Numbers("age", 2.0, 3.0, pytest.approx(np.std([1, 2, 6])), True),
        Categories("kind", "cat", ("cat",), True),
        Categories("code", "1", ("1", "2")),
    )
    reasons = {c.name: c.reason for c in found.left_out}
    assert reasons == {
        "note": "has another text in each row",
        "same": "is the same in all rows",
        "empty": "is empty in all rows",
    }
    assert [note for note in found.notes if "'empty' is empty in all rows: left out" in note]
    X = found.apply(Table("t.csv", MIXED))
    assert X.dtype == np.float32
    assert X.shape == (4, len(found.inputs))
    np.testing.assert_array_equal(X[:, 1], [0, 0, 1, 0])  # age missing
    np.testing.assert_array_equal(X[:, 2:5], [[1, 0, 0], [1, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert X[2, 0] == pytest.approx((2 - 3) / np.std([1, 2, 6]))


def test_complete_numbers_get_mean_0_and_deviation_1():
    values = np.random.default_rng(0).normal(5e4, 7, 500)
    found = learn({"x": [repr(v) for v in values.tolist()]})
    X = found.apply(Table("t.csv", {"x": [repr(v) for v in values.tolist()]}))
    assert found.inputs == ("x",)
    np.testing.assert_array_equal(
        X[:, 0], ((values - values.mean()) / values.std()).astype(np.float32)
    )


@pytest.mark.parametrize("mark", sorted(MISSING))
def test_marks_of_missing_values(mark):
    found = learn({"x": ["1", "2", "3", mark], "k": ["a", "a", "b", mark]})
    assert [type(c) for c in found.columns] == [Numbers, Categories]
    assert all(c.indicator for c in found.columns)


def test_new_rows_may_miss_what_the_old_ones_had_and_have_what_they_lacked():
    found = learn({"x": ["1", "2", "6"], "k": ["a", "a", "b"]})
    X = found.apply(Table("new", {"more": ["9"] * 2, "k": ["?", "z"], "x": ["?", "3"]}))
    np.testing.assert_array_equal(X[0, 1:], [1, 0])  # the commonest one
    np.testing.assert_array_equal(X[1], [0, 0, 1])
    assert X[0, 0] == pytest.approx((2 - 3) / np.std([1, 2, 6]))


def test_a_column_with_very_many_categories_is_capped_and_it_is_said():
    names = [f"n{i}" for i in range(100_000)]
    found = learn({"id": names * 2, "x": ["1", "2"] * 100_000})
    column = found.columns[0]
    assert column.values == tuple(sorted(sorted(names)[:MOST_CATEGORIES]))
    assert len(found.inputs) == MOST_CATEGORIES + 2
    assert "'id': the 100 commonest categories are told apart" in found.notes[0]
    X = found.apply(Table("t", {"id": ["n99999", "n0"], "x": ["1", "1"]}))
    assert X[0, MOST_CATEGORIES] == 1
    assert X[1, MOST_CATEGORIES] == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": ["1"] * 19 + ["l2"]}, "'x', row 20 of t.csv: expected a number, received 'l2'"),
        ({"x": ["1", "2", "-inf"]}, "'x', row 3 of t.csv: expected a finite number"),
        ({"x": ["1e300", "-1e300", "1e308"]}, "numbers too large to scale"),
        ({"x": ["?", ""], "y": ["1", "1"]}, "no feature column to learn from: 'x' is empty in"),
        ({}, "no feature column to learn from$"),
    ],
)
def test_what_cannot_be_learned_from_is_named(columns, message):
    with pytest.raises(DataError, match=message):
        learn(columns)


def test_what_does_not_fit_later_is_named():
    found = learn({"x": ["1", "2", "6"], "k": ["a", "a", "b"]})
    with pytest.raises(DataError, match="new has no feature column 'k'; its columns are x"):
        found.apply(Table("new", {"x": ["1"]}))
    with pytest.raises(DataError, match="column 'x', row 1 of new: expected a number"):
        found.apply(Table("new", {"x": ["one"], "k": ["a"]}))
    with pytest.raises(DataError, match="no category column 'q'"):
        learn(MIXED, ["q"])


TEXTS = st.one_of(
    st.floats(-1e9, 1e9).map(repr), st.sampled_from(["a", "b", "?", ""]), st.text(max_size=3)
)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=30))
def test_any_table_is_encoded_or_refused_and_survives_json(rows):
    table = Table(
        "t", {n: list(column) for n, column in zip("abc", zip(*rows, strict=True), strict=True)}
    )
    try:
        found = Preprocessing.learn(table)
    except DataError:
        return
    again = Preprocessing.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    X = found.apply(table)
    assert X.shape == (len(rows), len(found.inputs))
    assert np.isfinite(X).all()
    np.testing.assert_array_equal(again.apply(table), X)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v.pop("columns"),
        lambda v: v.update(columns=[]),
        lambda v: v.update(left_out=None),
        lambda v: v["columns"].append(v["columns"][0]),
        lambda v: v["columns"][0].update(std=0.0),
        lambda v: v["columns"][0].update(std=float("nan")),
        lambda v: v["columns"][0].update(mean="3"),
        lambda v: v["columns"][0].update(mean=True),
        lambda v: v["columns"][0].update(indicator=1),
        lambda v: v["columns"][0].update(kind="code"),
        lambda v: v["columns"][0].update(kind=["numbers"]),
        lambda v: v["columns"][0].update(more=1),
        lambda v: v["columns"][1].update(values="ab"),
        lambda v: v["columns"][1].update(values=["a", "a"]),
        lambda v: v["columns"][1].update(values=[]),
        lambda v: v["columns"][1].update(values=[str(i) for i in range(MOST_CATEGORIES + 1)]),
        lambda v: v["columns"].append(3),
    ],
)
def test_a_damaged_file_is_refused(spoil):
    value = copy.deepcopy(learn(MIXED).to_json())
    spoil(value)
    with pytest.raises(ValueError):
        Preprocessing.from_json(value)
