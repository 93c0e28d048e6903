"""Parquet files are gone through piece by piece, each row once an epoch."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pellucid import nn, train
from pellucid.train.tables import DataError
from tests.train.test_mapped import digest, network

polars = pytest.importorskip("polars")
ROWS = 230


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    columns = {f"f{i}": rng.normal(size=ROWS).astype(np.float32) for i in range(20)}
    columns |= {"number": np.arange(ROWS), "kind": rng.integers(0, 3, ROWS)}
    columns |= {"note": ["text"] * ROWS}
    frame = polars.DataFrame(columns)
    frame.write_parquet(tmp_path / "rows.parquet", row_group_size=64)
    return tmp_path / "rows.parquet", frame


def fitted(X, y=None, **options):
    model = network()
    run = train.fit(model, X, y, epochs=2, batch_size=16, **options)
    return digest(model, run)


def test_in_order_it_is_an_array(table):
    path, frame = table
    found = train.parquet_batches(path, "kind", drop=["number", "note"], piece=50, shuffle=False)
    X = frame.select([f"f{i}" for i in range(20)]).to_numpy()
    expected = fitted(X, frame["kind"].to_numpy(), shuffle=False)
    assert fitted(found, shuffle=False) == expected


def test_each_epoch_has_an_order_of_its_own_and_every_row_once(table):
    path, _ = table
    found = train.parquet_batches(path, "kind", ["number"], piece=32, seed=1)
    orders = []
    for epoch in (0, 1):
        pieces = list(found.pieces(epoch))
        seen = np.concatenate([X[:, 0] for X, _ in pieces])
        np.testing.assert_array_equal(np.sort(seen), np.arange(ROWS))
        again = np.concatenate([X[:, 0] for X, _ in found.pieces(epoch)])
        np.testing.assert_array_equal(again, seen)
        orders.append(seen.tolist())
    assert orders[0] != orders[1]
    for X, y in pieces:
        np.testing.assert_array_equal(y, table[1]["kind"].to_numpy()[X[:, 0].astype(int)])


def test_several_targets_columns_in_the_order_asked_for_and_several_files(table):
    path, frame = table
    frame.write_parquet(path.with_name("rows2.parquet"))
    many = train.parquet_batches(path.with_name("rows*.parquet"), ["f1", "f0"], ["f3", "f2"])
    assert many.rows == 2 * ROWS
    X, y = next(many.pieces(0))
    np.testing.assert_array_equal(X[:ROWS], frame.select(["f3", "f2"]).to_numpy())
    np.testing.assert_array_equal(y[:ROWS], frame.select(["f1", "f0"]).to_numpy())
    run = train.fit(nn.Linear(2, 2), many, loss="mse", epochs=1, batch_size=64)
    assert run.steps == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "sort"}, "has no column 'sort'; its columns are f0, f1"),
        ({"target": "kind", "features": ["f0", "x"]}, "has no column 'x'"),
        ({"target": "kind", "drop": ["y"]}, "has no column 'y'"),
        ({"target": "kind"}, "column 'note' of .* holds String, expected numbers"),
        ({"target": "note", "features": ["f0"]}, "column 'note' of .* holds String"),
        ({"target": "kind", "features": []}, "no feature column besides kind"),
    ],
)
def test_columns_that_do_not_fit_are_named(table, options, message):
    with pytest.raises(DataError, match=message):
        train.parquet_batches(table[0], **options)


def test_a_value_that_is_missing_is_named_with_its_row(tmp_path):
    path = tmp_path / "rows.parquet"
    values = [float(i) for i in range(100)]
    values[57] = None
    polars.DataFrame({"a": values, "y": [0, 1] * 50}).write_parquet(path)
    found = train.parquet_batches(path, "y", piece=10, shuffle=False)
    with pytest.raises(DataError, match="column 'a', row 57 of .* has no value"):
        train.fit(nn.Linear(1, 2), found, epochs=1)


def test_files_that_are_none_are_one_sentence(tmp_path):
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    polars.DataFrame({"a": [], "y": []}, {"a": float, "y": int}).write_parquet(tmp_path / "none")
    for name, message in (
        ("absent.parquet", "cannot read .*absent"),
        ("text.parquet", "cannot read .*text.parquet as a Parquet file"),
        ("none", "has no rows"),
    ):
        with pytest.raises(DataError, match=message) as found:
            train.parquet_batches(tmp_path / name, "y")
        assert "\n" not in str(found.value)


def test_without_polars_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"need polars: python -m pip install 'pellucid\[data\]'"):
        train.parquet_batches("x", "y")
