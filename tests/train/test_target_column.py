"""What a table is asked to predict."""

from __future__ import annotations

import pytest

from pellucid.train.tables import DataError, Table
from pellucid.train.target_column import target_of

TABLE = Table("t.csv", {"n": ["0", "2.0", "1"], "k": ["a", "b", "a"], "n>1": ["u", "v", "w"],
                        "gap": ["1", "?", "2"]})  # fmt: skip


@pytest.mark.parametrize(
    ("target", "column", "answers"),
    [
        ("k", "k", "a b a"),
        ("n>1", "n>1", "u v w"),  # a column of this very name
        ("n>0", "n", "no yes yes"),
        ("n >= 2", "n", "no yes no"),
        ("n<2", "n", "yes no yes"),
        ("n<=0.0", "n", "yes no no"),
        ("n=2", "n", "no yes no"),
        ("n!=2", "n", "yes no yes"),
        ("k==a", "k", "yes no yes"),
        ("k!=a", "k", "no yes no"),
    ],
)
def test_columns_and_comparisons(target, column, answers):
    assert target_of(TABLE, target) == (column, answers.split())


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("q", "no target column 'q'; its columns are n, k, n>1, gap"),
        ("q>1", "no target column 'q'"),
        ("gap", "row 2 of t.csv has nothing in its target column 'gap'"),
        ("gap>1", "row 2 of t.csv has nothing in its target column 'gap'"),
        ("k>1", "compares numbers, received 'a' and '1' at row 1 of t.csv"),
        ("n>many", "compares numbers, received '0' and 'many'"),
    ],
)
def test_what_cannot_be_predicted(target, message):
    with pytest.raises(DataError, match=message):
        target_of(TABLE, target)
