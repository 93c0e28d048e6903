"""Tables of texts: CSV files, and what a column to predict holds.

A table is read as it is written: each cell is a text, and `""` or another mark of
`MISSING` where there is nothing. `preprocess` makes numbers of it; `table_files` reads
tables that are not CSV. `Scaling` brings columns of different units to one size.
"""

from __future__ import annotations

import csv
import io
import math
import os
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.files.quoting import listed, quoted

STANDARD_INPUT = "-"

MISSING = frozenset({"", "?", "NA", "N/A", "na", "n/a", "nan", "NaN", "NAN", "null", "NULL"})
"""What stands in a cell that holds nothing."""


_LARGEST = float(np.finfo(np.float32).max)


class DataError(ValueError):
    """A data file is missing, damaged, or holds what cannot be learned from."""


@dataclass(frozen=True)
class Table:
    """Named columns of texts.

    Attributes:
        name: what to call it in messages.
        columns: texts by the name of the column, without spaces around them.
        lines: where each row stands in the file (rows,); rows are counted if it is empty.
    """

    name: str
    columns: dict[str, list[str]]
    lines: Sequence[int] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, rows: np.ndarray) -> Table:
        """Some of the rows, by number."""
        numbers = rows.tolist()
        columns = {name: [texts[i] for i in numbers] for name, texts in self.columns.items()}
        where = self.lines or range(1, len(self) + 1)
        return Table(self.name, columns, array("q", [where[i] for i in numbers]))

    def column(self, name: str, what: str) -> list[str]:
        """The texts of a column.

        Args:
            name: of the column.
            what: it is needed for, as in "target".

        Raises:
            DataError: there is none of this name.
        """
        if name not in self.columns:
            shown = listed(list(self.columns), 30)
            raise DataError(
                f"{self.name} has no {what} column {quoted(name)}; its columns are {shown}"
            )
        return self.columns[name]

    def place(self, row: int) -> str:
        """Where a row stands: "line 3 of flowers.csv"."""
        if self.lines:
            return f"line {self.lines[row]} of {self.name}"
        return f"row {row + 1} of {self.name}"


@dataclass(frozen=True)
class Scaling:
    """Moves and stretches columns: (x - mean) / std.

    Attributes:
        mean: what is taken off each column (columns,).
        std: what each column is divided by (columns,).
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> Scaling:
        """The scaling after which each column has mean 0 and standard deviation 1.

        Args:
            X: rows to learn from (rows, columns); constant columns are only moved.
        """
        std = X.std(axis=0, dtype=np.float64)
        return cls(X.mean(axis=0, dtype=np.float64), np.where(std > 0, std, 1.0))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """The scaled columns as float32.

        Args:
            X: rows (rows, columns).
        """
        return ((X - self.mean) / self.std).astype(np.float32)


def read_csv(
    path: str | os.PathLike[str],
    names: Sequence[str] = (),
    usual: Sequence[str] = (),
) -> Table:
    """The cells of a CSV file, by column.

    Commas separate the values; semicolons or tabs do if the first line has no comma.

    Args:
        path: the file, UTF-8; "-" is standard input. Its first line names the columns.
        names: of the columns, for a file whose first line does not name them.
        usual: names that are taken where the first line has as many values and none of
            these names.

    Returns:
        The table.

    Raises:
        DataError: the file cannot be read, or a line has more or fewer values than the
            columns have names (names the line).

    Example:
        >>> import os, tempfile
        >>> from pellucid.train.tables import read_csv
        >>> path = os.path.join(tempfile.mkdtemp(), "flowers.csv")
        >>> with open(path, "w") as file:
        ...     _ = file.write("length,kind\\n5.1, iris\\n?,rose\\n")
        >>> read_csv(path).columns
        {'length': ['5.1', '?'], 'kind': ['iris', 'rose']}
    """
    name = "standard input" if path == STANDARD_INPUT else str(path)
    try:
        if path == STANDARD_INPUT:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
            return _read(io.StringIO(text, newline=""), name, list(names), usual)
        with open(path, encoding="utf-8-sig", newline="") as file:
            return _read(file, name, list(names), usual)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{name} is not a CSV file in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{name} is not a CSV file: {error}") from None


def _read(file: Any, path: str, header: list[str], usual: Sequence[str]) -> Table:
    first = file.readline()
    file.seek(0)
    separator = next((s for s in ",;\t" if s in first), ",")
    reader = csv.reader(file, delimiter=separator, strict=True, skipinitialspace=True)
    named = "--columns" if header else "the header"
    begun: list[str] | None = None
    if not header:
        header = [name.strip() for name in next(reader, [])]
        if usual and len(header) == len(usual) and not set(header) & set(usual):
            header, begun, named = list(usual), header, "the model"
        _check_names(header, path)
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise DataError(f"{path} has several columns of the name {quoted(twice[0])}")
    lines = array("q")
    columns: list[list[str]] = [[] for _ in header]
    if begun is not None:
        lines.append(reader.line_num)
        for column, text in zip(columns, begun, strict=True):
            column.append(text)
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"line {reader.line_num} of {path} has {len(row)} values, expected {len(header)} "
                f"as in {named}"
            )
        lines.append(reader.line_num)
        for column, text in zip(columns, row, strict=True):
            column.append(text.strip())
    if not lines:
        raise DataError(f"{path} has no rows below its header")
    return Table(path, dict(zip(header, columns, strict=True)), lines)


def _check_names(header: list[str], path: str) -> None:
    """Refuse a first line that names no columns."""
    if not any(header):
        raise DataError(f"{path} is empty: expected a line that names the columns")
    if all(number(name) is not None for name in header):
        raise DataError(
            f"the first line of {path} must name the columns, it holds only numbers "
            f"({listed(header, 3)}); if the file has no such line, name the "
            f"{len(header)} columns with --columns"
        )


def number(text: str) -> float | None:
    """The number that a text stands for, None if it is another text."""
    try:
        return float(text)
    except ValueError:
        return None


def classes_of(texts: Sequence[str]) -> tuple[str, ...] | None:
    """The distinct classes that a target column names, sorted; None if it holds quantities.

    Whole numbers and words are classes, numbers with a decimal point are quantities.

    Args:
        texts: the column.

    Example:
        >>> from pellucid.train.tables import classes_of
        >>> classes_of(["10", "9", "10"])
        ('9', '10')
        >>> classes_of(["0.5", "2"]) is None
        True
    """
    distinct = set(texts)
    if any(number(text) is None for text in distinct):
        return tuple(sorted(distinct))
    if all(_is_whole(text) for text in distinct):
        return tuple(sorted(distinct, key=int))
    return None


def _is_whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def numbers_of(texts: Sequence[str], column: str, path: Any) -> np.ndarray:
    """A target column as numbers, float32 (rows,).

    Raises:
        DataError: a value is not a finite number.
    """
    found = [number(text) for text in texts]
    for row, value in enumerate(found):
        if value is None or not abs(value) <= _LARGEST:
            large = value is not None and math.isfinite(value)
            kind = f"number of at most {_LARGEST:.1e}" if large else "finite number"
            raise DataError(
                f"target column {quoted(column)}, data row {row + 1} of {path}: expected a {kind}, "
                f"received {quoted(texts[row], 40)}"
            )
    return np.array(found, np.float32)


def indices_of(texts: Sequence[str], labels: Sequence[str], path: Any) -> np.ndarray:
    """Each text's position among the labels, int32 (rows,).

    A text with a full stop at its end counts as the label without it, if there is no
    label with it.

    Raises:
        DataError: a text is none of the labels.
    """
    position = {label: i for i, label in enumerate(labels)}
    for text in set(texts) - set(position):
        if text.removesuffix(".") in position:
            position[text] = position[text.removesuffix(".")]
    for row, text in enumerate(texts):
        if text not in position:
            raise DataError(
                f"data row {row + 1} of {path} has class {quoted(text, 40)}; the model knows "
                f"{listed(labels)}"
            )
    return np.array([position[text] for text in texts], np.int32)
