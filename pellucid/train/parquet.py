"""Parquet files as streams of rows; needs polars, the extra `data`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pellucid.core.random import seed_words
from pellucid.files.quoting import listed, quoted

from . import checks
from .batches import Batches
from .programs import fill_orders
from .shuffle import BLOCKS
from .tables import DataError

PIECE = 1 << 16
"""Rows that are read at once."""


def parquet_batches(
    path: str | os.PathLike[str],
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    *,
    shuffle: bool = True,
    seed: int = 0,
    piece: int = PIECE,
    buffer: int | None = None,
) -> Batches:
    """The rows of a Parquet file, for `fit`; they are never in memory all at once.

    Pieces of neighbouring rows are read one after another, by default in an order of
    its own for each epoch; within windows of `buffer` rows `fit` shuffles them.

    Args:
        path: the file, or a pattern such as "part-*.parquet", whose files follow each other.
        target: name of the column to predict, or names of several.
        features: names of the feature columns, in the order wanted; by default all but the
            targets and the dropped ones, in the file's order.
        drop: names of columns to leave out.
        shuffle: whether pieces are visited in another order in each epoch.
        seed: of these orders.
        piece: rows that are read at once.
        buffer: rows of a window; see `Batches`.

    Returns:
        `Batches`: features float (rows, features), targets (rows,) or (rows, targets).

    Raises:
        ImportError: polars is not installed.
        DataError: the file cannot be read, or a column is missing or holds no numbers.

    Example:
        >>> import os, tempfile
        >>> import pytest
        >>> pl = pytest.importorskip("polars")
        >>> from pellucid import nn, train
        >>> path = os.path.join(tempfile.mkdtemp(), "rows.parquet")
        >>> pl.DataFrame({"a": [0.0, 1.0], "b": [1.0, 0.0], "kind": [0, 1]}).write_parquet(path)
        >>> rows = train.parquet_batches(path, target="kind")
        >>> train.fit(nn.Linear(2, 2), rows, epochs=3).steps
        3
    """
    try:
        import polars  # an optional extra
    except ImportError:
        raise ImportError(
            "Parquet files need polars: python -m pip install 'pellucid[data]'"
        ) from None
    piece = checks.whole_number(piece, "piece")
    table = _plainly(path, lambda: polars.scan_parquet(os.fspath(path)))
    schema = _plainly(path, table.collect_schema)
    targets = [target] if isinstance(target, str) else list(target)
    left_out = {*targets, *drop}
    chosen = [n for n in schema if n not in left_out] if features is None else list(features)
    for name in [*targets, *drop, *chosen]:
        if name not in schema:
            raise DataError(
                f"{path} has no column {quoted(name)}; its columns are {listed(list(schema))}"
            )
    for name in [*targets, *chosen]:
        if not (schema[name].is_numeric() or schema[name] == polars.Boolean):
            raise DataError(
                f"column {quoted(name)} of {path} holds {schema[name]}, expected numbers; "
                "code it as numbers or drop it"
            )
    if not chosen:
        raise DataError(f"{path} has no feature column besides {listed(targets)}")
    rows = int(_plainly(path, lambda: table.select(polars.len()).collect().item()))
    if rows == 0:
        raise DataError(f"{path} has no rows")
    words = seed_words(seed)

    def pieces(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.arange(-(-rows // piece), dtype=np.int32)[None]
        if shuffle:
            fill_orders(order, words, epoch, BLOCKS)
        for number in order[0].tolist():
            part = table.select([*chosen, *targets]).slice(number * piece, piece)
            found = _plainly(path, part.collect)
            _check_filled(found, number * piece, path)
            y = found.select(targets).to_numpy()
            yield found.select(chosen).to_numpy(), y[:, 0] if isinstance(target, str) else y

    return Batches(pieces, rows=rows, buffer=buffer)


def _check_filled(found: Any, first: int, path: Any) -> None:
    """Refuse rows that lack a value."""
    for column in found:
        if column.null_count():
            row = first + int(np.argmax(column.is_null().to_numpy()))
            raise DataError(
                f"column {quoted(column.name)}, row {row} of {path} has no value; fill it in, "
                "or leave the row out"
            )


def _plainly(path: Any, work: Callable[[], Any]) -> Any:
    """Do something with polars; its errors become ours."""
    from polars.exceptions import PolarsError

    try:
        return work()
    except (OSError, PolarsError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read {path} as a Parquet file: {reason}") from None
