"""CSV files: a header, columns of numbers, and a column to predict.

Reading is strict: whatever is not a number in a feature column is named with its
column and line. `Scaling` brings columns of different units to one size.
"""

from __future__ import annotations

import csv
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.files.quoting import listed, quoted


class DataError(ValueError):
    """A data file is missing, damaged, or holds what cannot be learned from."""


@dataclass(frozen=True)
class Table:
    """What a CSV file holds.

    Attributes:
        features: names of the feature columns.
        X: their values, float64 (rows, features).
        target: texts of the column to predict, one per row; None if none was asked for.
    """

    features: tuple[str, ...]
    X: np.ndarray
    target: list[str] | None


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
    target: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Table:
    """The numbers of a CSV file, and the column to predict.

    Commas separate the values; semicolons or tabs do if the header has no comma.

    Args:
        path: the file, UTF-8; its first line names the columns.
        target: name of the column to predict; None reads features only.
        features: names of the feature columns, in the order wanted; by default
            all but the target and the dropped ones, in the file's order.
        drop: names of columns to leave out.

    Returns:
        The table.

    Raises:
        DataError: the file cannot be read, a column is missing, or a value in a
            feature column is not a finite number (names column and line).

    Example:
        >>> import os, tempfile
        >>> from pellucid.train.tables import read_csv
        >>> path = os.path.join(tempfile.mkdtemp(), "flowers.csv")
        >>> with open(path, "w") as file:
        ...     _ = file.write("length,kind\\n5.1,iris\\n3.0,rose\\n")
        >>> table = read_csv(path, target="kind")
        >>> table.X.tolist(), table.target
        ([[5.1], [3.0]], ['iris', 'rose'])
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, rows = _open(file, path)
            return _read(header, rows, path, target, features, drop)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a CSV file in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV file: {error}") from None


def _open(file: Any, path: Any) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """The column names, and the lines after them with their numbers."""
    first = file.readline()
    file.seek(0)
    separator = next((s for s in ",;\t" if s in first), ",")
    reader = csv.reader(file, delimiter=separator, strict=True)
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise DataError(f"{path} is empty: expected a line that names the columns")
    if all(_number(name) is not None for name in header):
        raise DataError(
            f"the first line of {path} must name the columns, it holds only numbers "
            f"({listed(header, 3)})"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(f"{path} has several columns of the name {quoted(twice[0])}")
    return header, ((reader.line_num, row) for row in reader if row)


def _read(
    header: list[str],
    rows: Iterator[tuple[int, list[str]]],
    path: Any,
    target: str | None,
    features: Sequence[str] | None,
    drop: Sequence[str],
) -> Table:
    def place(name: str, what: str) -> int:
        if name not in header:
            raise DataError(
                f"{path} has no {what} column {quoted(name)}; its columns are {listed(header)}"
            )
        return header.index(name)

    left_out = {place(name, "dropped") for name in drop}
    aim = None if target is None else place(target, "target")
    if features is None:
        chosen = [i for i in range(len(header)) if i != aim and i not in left_out]
    else:
        chosen = [place(name, "feature") for name in features]
    if not chosen:
        raise DataError(f"{path} has no feature column besides {quoted(target)}")

    values, texts = array("d"), []
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"line {line} of {path} has {len(row)} values, expected {len(header)} as in "
                "the header"
            )
        try:
            values.extend([float(row[i]) for i in chosen])
        except ValueError:
            raise _not_a_number(header, row, chosen, line, path) from None
        if aim is not None:
            texts.append(row[aim].strip())
            if not texts[-1]:
                raise DataError(
                    f"line {line} of {path} has nothing in its target column {quoted(target)}"
                )
    if not values:
        raise DataError(f"{path} has no rows below its header")
    X = np.frombuffer(values, np.float64).reshape(-1, len(chosen))
    names = tuple(header[i] for i in chosen)
    _check_finite(X, names, path)
    return Table(names, X, None if aim is None else texts)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _not_a_number(
    header: list[str], row: list[str], chosen: list[int], line: int, path: Any
) -> DataError:
    at = next(i for i in chosen if _number(row[i]) is None)
    shown = repr(row[at][:40]) if row[at].strip() else "nothing"
    return DataError(
        f"column {quoted(header[at])}, line {line} of {path}: expected a number, received {shown}; "
        "fill it in, code it as numbers or drop the column"
    )


def _check_finite(X: np.ndarray, names: tuple[str, ...], path: Any) -> None:
    wrong = np.argwhere(~np.isfinite(X))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"column {quoted(names[column])}, data row {row + 1} of {path}: expected a finite number, "
            f"received {X[row, column]}; fill it in or drop the column"
        )


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
    numbers = [_number(text) for text in distinct]
    if any(number is None for number in numbers):
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
    found = [_number(text) for text in texts]
    for row, number in enumerate(found):
        if number is None or not math.isfinite(number):
            raise DataError(
                f"target column {quoted(column)}, data row {row + 1} of {path}: expected a finite "
                f"number, received {texts[row][:40]!r}"
            )
    return np.array(found, np.float32)


def indices_of(texts: Sequence[str], labels: Sequence[str], path: Any) -> np.ndarray:
    """Each text's position among the labels, int32 (rows,).

    Raises:
        DataError: a text is none of the labels.
    """
    position = {label: i for i, label in enumerate(labels)}
    for row, text in enumerate(texts):
        if text not in position:
            raise DataError(
                f"data row {row + 1} of {path} has class {text[:40]!r}; the model knows "
                f"{listed(labels)}"
            )
    return np.array([position[text] for text in texts], np.int32)
