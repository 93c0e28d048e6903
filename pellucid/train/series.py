"""Time series in: the files of the UCR and UEA archives.

What is read lies channels last, (rows, length, channels), float32.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from .datasets import Labeled
from .tables import DataError, classes_of, indices_of


def read_series(path: str | os.PathLike[str], classes: Sequence[str] | None = None) -> Labeled:
    """The time series of a file of the UCR archive, and the class of each.

    One series a line: in `.txt`, `.tsv` and `.csv` files its class, then its values,
    between spaces, tabs or commas; in `.ts` files its values, several channels and at last
    its class between colons, below a head of lines that begin with @ or #.

    Args:
        path: the file.
        classes: names of the classes in the order wanted, as of the series trained on; by
            default those of the file, sorted.

    Returns:
        X float32 (rows, length, channels), y int32 (rows,), the classes.

    Raises:
        DataError: the file is missing or damaged, series have different lengths, a value is
            missing, or a class is not among those given.

    Example:
        >>> import os, tempfile
        >>> from pellucid.train.series import read_series
        >>> path = os.path.join(tempfile.mkdtemp(), "two.tsv")
        >>> with open(path, "w") as file:
        ...     _ = file.write("1\\t0.5\\t0.25\\n2\\t1.5\\t-1\\n")
        >>> X, y, classes = read_series(path)
        >>> X.shape, y.tolist(), classes
        ((2, 2, 1), [0, 1], ('1', '2'))

    Source: Dau and others: The UCR time series archive (2019).
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = _parsed_ts if os.fspath(path).lower().endswith(".ts") else _parsed_rows
            rows = list(lines(iter(file), path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file in UTF-8") from None
    if not rows:
        raise DataError(f"{path} holds no series")
    first = rows[0][1].shape
    for line, values, _ in rows:
        if values.shape != first:
            raise DataError(
                f"line {line} of {path} holds {_text(values.shape)}, the first one {_text(first)}; "
                "series must have one length: cut or fill them"
            )
    names = [name for _, _, name in rows]
    known = classes_of(names) if classes is None else tuple(classes)
    if known is None:
        raise DataError(f"the classes of {path} must be words or whole numbers: {names[0]} is not")
    X = np.stack([values for _, values, _ in rows])
    return Labeled(X, indices_of(names, known, path), known)


def is_series(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like time series: `.ts`, or text whose first line holds numbers only."""
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in (".txt", ".tsv"):
        return ending == ".ts"
    try:
        with open(path, encoding="utf-8-sig") as file:
            first = file.readline().replace(",", " ").split()
    except (OSError, UnicodeDecodeError):
        return False
    return len(first) > 1 and all(map(_is_number, first))


Row = tuple[int, np.ndarray, str]
"""Number of the line, values (length, channels), name of the class."""


def _text(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} values" + (f" in {shape[1]} channels" if shape[1] != 1 else "")


def _parsed_rows(lines: Iterator[str], path: object) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        parts = line.replace(",", " ").split()
        if parts:
            if len(parts) < 2:
                raise DataError(f"line {number} of {path} holds a class and no values")
            yield number, _values(parts[1:], number, path)[:, None], _class(parts[0])


def _parsed_ts(lines: Iterator[str], path: object) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#@":
            continue
        *channels, name = text.split(":")
        if not channels:
            raise DataError(f"line {number} of {path} has no colon before its class")
        found = [_values(channel.split(","), number, path) for channel in channels]
        if len({len(values) for values in found}) > 1:
            raise DataError(f"line {number} of {path} holds channels of different lengths")
        yield number, np.stack(found, axis=-1), _class(name.strip())


def _values(parts: Sequence[str], line: int, path: object) -> np.ndarray:
    try:
        values = np.array([float(part) for part in parts], np.float32)
    except ValueError:
        wrong = next(part for part in parts if not _is_number(part))
        raise DataError(
            f"line {line} of {path}: expected a number, received {wrong.strip()[:40]!r}"
        ) from None
    if not np.isfinite(values).all():
        raise DataError(f"line {line} of {path} holds a value that is missing or not finite")
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _class(text: str) -> str:
    """The name of a class; whole numbers in one way of writing: 1.0000000e+00 is 1."""
    if _is_number(text) and float(text).is_integer():
        return str(int(float(text)))
    return text
