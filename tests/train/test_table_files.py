"""Tables of texts from Parquet and SQLite, the same as from CSV."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from pellucid.train.table_files import _chosen, read_table
from pellucid.train.tables import DataError

COLUMNS = {"x": ["1.5", "", "-2.0"], "n": ["1", "2", "3"], "k": ["a", "b", ""]}
ROWS = [(1.5, 1, "a"), (None, 2, " b "), (-2.0, 3, None)]


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute('CREATE TABLE "my ""orders" (x REAL, n INTEGER, k TEXT)')
        made.executemany('INSERT INTO "my ""orders" VALUES (?, ?, ?)', ROWS)
        made.commit()
    return path


def test_a_table_of_a_database(base):
    before = base.read_bytes()
    assert read_table(str(base)).columns == COLUMNS
    assert read_table(f'{base}::my "orders').columns == COLUMNS
    found = read_table(str(base), 'my "orders')
    assert found.columns == COLUMNS
    assert found.place(1) == f'row 2 of {base}::my "orders'
    assert base.read_bytes() == before


def test_what_a_database_lacks_is_named(base, tmp_path):
    with pytest.raises(DataError, match="has no table 'sales'; it has my \"orders"):
        read_table(f"{base}::sales")
    with closing(sqlite3.connect(base)) as made:
        made.execute("CREATE TABLE empty (a)")
        made.execute("CREATE TABLE pictures (a)")
        made.execute("INSERT INTO pictures VALUES (x'00ff')")
        made.commit()
    with pytest.raises(DataError, match='several tables: name one of empty, my "orders, pictures'):
        read_table(str(base))
    with pytest.raises(DataError, match="empty has no rows"):
        read_table(f"{base}::empty")
    with pytest.raises(DataError, match="column 'a' of .* holds bytes"):
        read_table(f"{base}::pictures")
    with closing(sqlite3.connect(tmp_path / "bare.db")) as made:
        made.execute("PRAGMA user_version = 1")
    with pytest.raises(DataError, match="holds no table"):
        read_table(str(tmp_path / "bare.db"))
    (tmp_path / "not.db").write_text("a,b\n1,2\n" * 100)
    with pytest.raises(DataError, match="not a readable database"):
        read_table(str(tmp_path / "not.db"))
    with pytest.raises(DataError, match="no such file"):
        read_table(str(tmp_path / "absent.db"))
    assert not (tmp_path / "absent.db").exists()
    with pytest.raises(DataError, match="is no database"):
        read_table("flowers.csv", "orders")
    with pytest.raises(DataError, match="--columns is for CSV files"):
        read_table(f'{base}::my "orders', names=("a", "b", "c"))


def test_a_table_of_a_damaged_database_may_have_bytes_for_a_name():
    class Damaged:
        """A connection to a database in whose list of tables a name has turned into bytes."""

        def execute(self, _):
            return iter([(b"\x00\xff",)])

    with pytest.raises(DataError, match="damaged.db holds no table"):
        _chosen(Damaged(), "damaged.db", None)


def test_parquet(tmp_path):
    polars = pytest.importorskip("polars")
    path = str(tmp_path / "t.parquet")
    frame = polars.DataFrame(ROWS, schema=["x", "n", "k"], orient="row")
    frame.write_parquet(path)
    assert read_table(path).columns == COLUMNS
    frame.with_columns(polars.lit([1, 2]).alias("list")).write_parquet(path)
    with pytest.raises(DataError, match=r"column 'list' of .* holds List"):
        read_table(path)
    (tmp_path / "t.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is not a Parquet file"):
        read_table(path)
    with pytest.raises(DataError, match="no such file"):
        read_table(str(tmp_path / "absent.parquet"))


def test_parquet_needs_polars_and_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ImportError, match=r"pellucid\[data\]"):
        read_table("t.parquet")


@pytest.mark.parametrize("where", [b"(x REAL", b" b "])
def test_texts_in_no_encoding_are_told_of(base, where):
    """Of the name of a column, of a cell."""
    base.write_bytes(base.read_bytes().replace(where, where[:1] + b"\xff" + where[2:]))
    with pytest.raises(DataError, match=r"not a readable database.*[uU][tT][fF]-8"):
        read_table(str(base))
