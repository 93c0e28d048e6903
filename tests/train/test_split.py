"""Every part has its share of every class, and the same seed gives the same parts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import train
from pellucid.core.random import seed_words
from pellucid.train.shuffle import SPLIT_EPOCH, shuffle_reference
from pellucid.train.split import apportion, shares_of_rest, split_rows

SHARES = st.lists(st.integers(1, 12), min_size=2, max_size=5).map(
    lambda parts: [Fraction(part, sum(parts)) for part in parts]
)
SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@settings(max_examples=500)
@given(SIZES, SHARES)
def test_every_number_is_rounded_up_or_down_and_every_sum(sizes, shares):
    counts = apportion(sizes, shares)
    for size, row in zip(sizes, counts, strict=True):
        assert sum(row) == size
        assert all(abs(n - size * share) < 1 for n, share in zip(row, shares, strict=True))
    for part, share in zip(zip(*counts, strict=True), shares, strict=True):
        assert abs(sum(part) - sum(sizes) * share) < 1


@given(SIZES, st.fractions(Fraction(1, 100), Fraction(99, 100), max_denominator=100))
def test_one_part_and_the_rest_are_as_near_as_they_can(sizes, share):
    counts = apportion(sizes, [1 - share, share])
    assert abs(sum(row[1] for row in counts) - sum(sizes) * share) <= Fraction(1, 2)


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from("abcd"), min_size=12, max_size=90),
    st.sampled_from([(0.6, 0.2, 0.2), (0.5, 0.5), (0.7, 0.1, 0.1, 0.1), (1 / 3, 2 / 3)]),
    st.integers(0, 2**64 - 1),
)
def test_parts_hold_every_row_once_and_every_class_in_proportion(y, fractions, seed):
    rows = np.arange(len(y))
    parts = train.split(rows, y, fractions=fractions, seed=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([p[0] for p in parts])), rows)
    for (X, labels), fraction in zip(parts, fractions, strict=True):
        assert (np.diff(X) > 0).all()  # the rows keep their order
        assert abs(len(X) - len(y) * fraction) < 1
        np.testing.assert_array_equal(labels, np.array(y)[X])
        for name in set(y):
            assert abs((labels == name).sum() - y.count(name) * fraction) < 1
    again = train.split(rows, y, fractions=fractions, seed=seed)
    assert all((a[0] == b[0]).all() for a, b in zip(parts, again, strict=True))


def test_seeds_differ_and_no_class_is_favored():
    y = np.repeat([0, 1], [300, 100])
    held_out = [train.split(y, y, fractions=(0.9, 0.1), seed=s)[1] for s in range(3)]
    drawn = [train.split(np.arange(400), y, fractions=(0.9, 0.1), seed=s)[1][0] for s in range(400)]
    assert len({tuple(rows) for rows in drawn}) == 400
    assert all(np.bincount(labels).tolist() == [30, 10] for _, labels in held_out)
    counts = np.bincount(np.concatenate(drawn), minlength=400)  # each row about 40 times
    assert ((counts - 40.0) ** 2 / 40).sum() < 480  # chi-square, about 400 degrees


def test_without_strata_the_first_rows_of_the_order_are_held_out():
    order = np.empty((1, 101), np.int32)
    shuffle_reference(order, seed_words(1), SPLIT_EPOCH)
    kept, held_out = split_rows(np.zeros(101), shares_of_rest([0.2]), seed_words(1))
    np.testing.assert_array_equal(held_out, np.sort(order[0, :20]))
    np.testing.assert_array_equal(kept, np.sort(order[0, 20:]))
    rows = np.arange(101)
    plain = train.split(rows, rows, fractions=(0.8, 0.2), stratify=False, seed=1)
    np.testing.assert_array_equal(plain[1][0], held_out)


@pytest.mark.parametrize(
    "y",
    [
        np.tile([0, 1, 2], 20),
        np.tile([0.0, 1.0, 2.0], 20),
        np.tile([0, 1, 2], 20)[:, None],
        np.tile(np.eye(3), (20, 1)),
        ["a", "b", "c"] * 20,
        np.array(["a", "b", "c"] * 20, object),
        np.array([False, True, True] * 20),
    ],
)
def test_classes_in_any_form(y):
    for _, labels in train.split(range(60), y, fractions=(0.5, 0.25, 0.25)):
        groups = {str(label): 0 for label in labels}
        for label in labels:
            groups[str(label)] += 1
        shares = {"True": 2 / 3, "False": 1 / 3} if "True" in groups else {}
        assert {g: n / len(labels) for g, n in groups.items()} == pytest.approx(
            {g: shares.get(g, 1 / 3) for g in groups}
        )


def test_what_is_divided_evenly_may_be_something_else():
    groups = np.repeat([5, 6], 20)
    parts = train.split(np.arange(40), np.random.default_rng(0).normal(size=40), groups,
                        stratify=groups, fractions=(0.5, 0.5))  # fmt: skip
    for _, _, found in parts:
        assert np.bincount(found)[5:].tolist() == [10, 10]


def test_tables_and_lists_are_cut_as_they_are():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": range(20), "b": range(20)}, index=range(100, 120))
    labels = pandas.Series(["x", "y"] * 10, index=table.index)
    (X, y, w), (X_test, y_test, _) = train.split(
        table, labels, list(range(20)), fractions=(0.75, 0.25)
    )
    assert isinstance(X, pandas.DataFrame) and isinstance(y, pandas.Series)
    assert (X["a"].to_numpy() == w).all()
    assert (X.index == y.index).all()
    assert sorted([*X.index, *X_test.index]) == list(table.index)
    assert y_test.value_counts().max() - y_test.value_counts().min() <= 1


def test_as_fast_as_many_classes_want():
    y = np.arange(20_000)
    parts = train.split(y, y)
    assert [len(X) for X, _ in parts] == [12_000, 4_000, 4_000]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"fractions": (0.5, 0.2)},
            ValueError,
            r"1, received \(0.5, 0.2\), which .* 0.7",
        ),
        ({"fractions": (1.5, -0.5)}, ValueError, "fractions must be above 0"),
        ({"fractions": (0.5, np.nan)}, ValueError, "fractions must be above 0"),
        ({"fractions": (1.0,)}, ValueError, "at least two numbers"),
        ({"fractions": 0.2}, ValueError, "at least two numbers, received 0.2"),
        ({"fractions": ("a", "b")}, ValueError, "at least two numbers"),
        ({"fractions": (0.99, 0.01)}, ValueError, "fraction of 0.01 of 10 rows leaves a part with"),
        ({"y": [0, 1]}, ValueError, "one entry per row: received lengths 10, 2"),
        ({"y": np.linspace(0, 1, 10)}, ValueError, "y holds quantities.*; use stratify=False"),
        ({"y": [0.0] * 9 + [np.nan]}, ValueError, "y holds quantities"),
        (
            {"y": np.zeros((10, 2, 2))},
            ValueError,
            r"one class per row, .*\(10, 2, 2\)",
        ),
        ({"y": np.array([0, "a"] * 5, object)}, ValueError, "classes of y cannot be told apart"),
        ({"stratify": [0, 1]}, ValueError, "stratify must have 10 entries, one per row, not 2"),
        ({"seed": -1}, ValueError, "a seed must be"),
    ],
)
def test_what_cannot_be_split_is_named(change, error, message):
    options = {"X": np.zeros((10, 2)), "y": [0, 1] * 5} | change
    with pytest.raises(error, match=message):
        train.split(options.pop("X"), options.pop("y"), **options)
