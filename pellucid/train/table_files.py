"""Tables from files of any kind: CSV, Parquet, SQLite.

All give the same `Table` of texts, so that a model learned from one kind reads the
others. polars, which reads Parquet, is an optional dependency.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pellucid.files.quoting import listed, quoted

from .tables import DataError, Table, read_csv

PARQUET = (".parquet", ".pq")
SQLITE = (".db", ".sqlite", ".sqlite3")


def split_path(path: str) -> tuple[str, str | None]:
    """A path and the table in it: "shop.db::orders" names both.

    Example:
        >>> from pellucid.train.table_files import split_path
        >>> split_path("shop.db::orders"), split_path("flowers.csv")
        (('shop.db', 'orders'), ('flowers.csv', None))
    """
    file, separator, table = path.partition("::")
    return (file, table) if separator and _suffix(file) in SQLITE else (path, None)


def read_table(
    path: str,
    table: str | None = None,
    names: Sequence[str] = (),
    usual: Sequence[str] = (),
) -> Table:
    """The table in a file, of the kind that the end of its name says; CSV by default.

    Args:
        path: of a `.parquet`, of a database of SQLite (`.db`, `.sqlite`), or of a CSV file.
        table: which one of a database; it may stand in the path, "shop.db::orders".
        names: of the columns of a CSV file that does not name them.
        usual: as in `read_csv`.

    Raises:
        DataError: the file cannot be read, or not without saying which table.
        ImportError: it needs an optional dependency.
    """
    file, named = split_path(path)
    kind = _suffix(file)
    table = table or named
    if kind in SQLITE:
        found = _read_sqlite(file, table)
    elif table is not None:
        raise DataError(f"{path} is no database: only one ending with {', '.join(SQLITE)} has"
                        f" tables such as {table!r}")  # fmt: skip
    elif kind in PARQUET:
        found = _read_parquet(file)
    else:
        return read_csv(path, names, usual)
    if names:
        raise DataError(f"{path} names its columns itself: --columns is for CSV files")
    if not len(found):
        raise DataError(f"{found.name} has no rows")
    return found


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()


def _read_parquet(path: str) -> Table:
    try:
        import polars  # an optional dependency
    except ImportError:
        raise ImportError(
            f"reading {path} needs polars: python -m pip install 'pellucid[data]'"
        ) from None
    if not os.path.isfile(path):
        raise DataError(f"cannot read {path}: no such file")
    try:
        frame = polars.read_parquet(path)
        columns = {}
        for series in frame:
            if series.dtype.is_nested() or series.dtype in (polars.Binary, polars.Object):
                raise DataError(
                    f"column {quoted(series.name)} of {path} holds {series.dtype}, expected "
                    "numbers or texts; leave it out of the file"
                )
            columns[series.name] = _texts(series.to_list())
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None
    return Table(path, columns)


def _texts(values: Sequence[Any]) -> list[str]:
    """Values as a CSV file would hold them."""
    return ["" if value is None else str(value).strip() for value in values]


def _read_sqlite(path: str, table: str | None) -> Table:
    if not os.path.isfile(path):
        raise DataError(f"cannot read {path}: no such file")
    try:
        address = f"{Path(path).resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as base:
            table = _chosen(base, path, table)
            escaped = table.replace('"', '""')
            cursor = base.execute(f'SELECT * FROM "{escaped}"')
            names = [entry[0] for entry in cursor.description]
            rows = cursor.fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of names of columns
        raise DataError(f"{path} is not a readable database of SQLite: {error}") from None
    columns = {}
    for name, values in zip(names, zip(*rows, strict=True) if rows else names, strict=True):
        if any(isinstance(value, bytes) for value in values):
            raise DataError(
                f"column {quoted(name)} of {path} holds bytes, expected numbers or texts"
            )
        columns[name] = _texts(values) if rows else []
    return Table(f"{path}::{table}", columns)


def _chosen(base: sqlite3.Connection, path: str, table: str | None) -> str:
    """The table that is meant: the only one, or the one named."""
    rows = base.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite_%' ORDER BY name"
    )
    known = [name for (name,) in rows if isinstance(name, str)]  # in a damaged file it may be bytes
    if not known:
        raise DataError(f"{path} holds no table")
    if table is None and len(known) > 1:
        raise DataError(f"{path} holds several tables: name one of {listed(known)} with --table")
    if table is not None and table not in known:
        raise DataError(f"{path} has no table {quoted(table)}; it has {listed(known)}")
    return table or known[0]
