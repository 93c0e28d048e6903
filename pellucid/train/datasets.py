"""Data sets: scikit-learn's digits, NumPy archives, IDX files.

Every reader gives arrays and checks what it reads before it trusts it. CSV files
are read by `tables`, folders of images and CIFAR by `images`, time series by `series`.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pellucid.files.quoting import cut, listed

from .tables import DataError


class Split(NamedTuple):
    """Rows to train on and rows to test on.

    Attributes:
        X: inputs to train on (rows, ...).
        y: their targets (rows, ...).
        X_test: inputs to test on.
        y_test: their targets.
    """

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


class Labeled(NamedTuple):
    """Rows and the class of each.

    Attributes:
        X: inputs (rows, ...), float32.
        y: number of the class of each row, int32.
        classes: their names.
    """

    X: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]


def load_digits() -> Split:
    """1,797 handwritten digits of 8 x 8 pixels, the set that comes with scikit-learn.

    Pixels are divided by 16, so that they lie between 0 and 1. Every fifth row of
    each digit is held out: 1,437 rows to train on, 360 to test on, always the same.

    Returns:
        X float32 (1437, 64), y int32 (1437,), X_test (360, 64), y_test (360,).

    Raises:
        ImportError: scikit-learn is not installed.

    Example:
        >>> from pellucid.train.datasets import load_digits
        >>> X, y, X_test, y_test = load_digits()
        >>> X.shape, X_test.shape, sorted(set(y.tolist())) == list(range(10))
        ((1437, 64), (360, 64), True)

    Source:
        E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI (1998).
    """
    from sklearn.datasets import load_digits as load  # slow to import, needed here only

    pixels, digits = load(return_X_y=True)
    by_digit = np.argsort(digits, kind="stable")
    held_out = np.zeros(len(digits), bool)
    held_out[by_digit[::5]] = True
    X = (pixels / 16).astype(np.float32)
    y = digits.astype(np.int32)
    return Split(X[~held_out], y[~held_out], X[held_out], y[held_out])


NAMES_IN_ARCHIVES = (
    ("X", "y"),
    ("x", "y"),
    ("X_train", "y_train"),
    ("x_train", "y_train"),
    ("images", "labels"),
    ("data", "target"),
)
"""Names under which archives hold inputs and targets."""

TEST_NAMES_IN_ARCHIVES = (
    ("X_test", "y_test"),
    ("x_test", "y_test"),
    ("test_images", "test_labels"),
)


def read_npz(
    path: str | os.PathLike[str], target: str | None = None, test: bool = False
) -> tuple[np.ndarray, np.ndarray | None]:
    """Inputs and targets of a NumPy archive.

    Args:
        path: an `.npz` file with one of the pairs of names in `NAMES_IN_ARCHIVES`.
        target: name of the targets' array, where it is another.
        test: read the pair to test on instead, if the archive has one.

    Returns:
        X and y; y is None where the archive has inputs only.

    Raises:
        DataError: the file cannot be read or does not hold such arrays.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from pellucid.train.datasets import read_npz
        >>> path = os.path.join(tempfile.mkdtemp(), "data.npz")
        >>> np.savez(path, X=np.ones((3, 2)), y=np.arange(3))
        >>> X, y = read_npz(path)
        >>> X.shape, y.tolist()
        ((3, 2), [0, 1, 2])
    """
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            names = list(getattr(archive, "files", ()))
            found = _names_of(names, target, test)
            if found is None:
                raise DataError(
                    f"{path} has arrays {listed(names) or 'without names'}; expected "
                    + " or ".join(f"{x} and {y}" for x, y in NAMES_IN_ARCHIVES)
                )
            x_name, y_name = found
            return archive[x_name], None if y_name is None else archive[y_name]
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except _OF_A_DAMAGED_ARCHIVE as error:
        raise DataError(f"{path} is not an archive of numbers: {cut(str(error))}") from None


_OF_A_DAMAGED_ARCHIVE = (
    ValueError, KeyError, EOFError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error,
    struct.error, SyntaxError,
    NotImplementedError,  # a way of packing that Python does not know
    RuntimeError,  # a password
)  # fmt: skip
"""What NumPy and zipfile raise on archives that are not sound."""


def has_test_rows(path: str | os.PathLike[str]) -> bool:
    """Whether an archive holds rows to test on, under one of the usual names."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, *_OF_A_DAMAGED_ARCHIVE):
        return False
    return any(x in names and y in names for x, y in TEST_NAMES_IN_ARCHIVES)


def _names_of(names: list[str], target: str | None, test: bool) -> tuple[str, str | None] | None:
    if target is not None and not test:
        others = [name for name in names if name != target]
        return (others[0], target) if target in names and len(others) == 1 else None
    for x, y in TEST_NAMES_IN_ARCHIVES if test else NAMES_IN_ARCHIVES:
        if x in names:
            return x, y if y in names else None
    return (names[0], None) if len(names) == 1 and not test else None


IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The element types of an IDX file, by the third byte of its start."""


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an IDX file, the format of MNIST, compressed with gzip or not.

        2 bytes 0, 1 byte element type, 1 byte number of axes,
        4 bytes length of each axis (big-endian), the elements (big-endian)

    Args:
        path: the file.

    Returns:
        The array, in the machine's byte order.

    Raises:
        DataError: the file is missing, cut short, or no IDX file.

    Example:
        >>> import os, tempfile
        >>> from pellucid.train.datasets import read_idx
        >>> path = os.path.join(tempfile.mkdtemp(), "labels-idx1-ubyte")
        >>> with open(path, "wb") as file:
        ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        >>> read_idx(path).tolist()
        [7, 2, 1]

    Source:
        http://yann.lecun.com/exdb/mnist
    """
    try:
        with open(path, "rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.open(plain) if packed else plain as file:
                return _parse_idx(file.read, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or damaged: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except (MemoryError, OverflowError):
        raise DataError(f"{path} claims more elements than memory holds") from None


def _parse_idx(read: Callable[[int], bytes], path: Any) -> np.ndarray:
    start = read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in IDX_DTYPES or start[3] > 8:
        raise DataError(f"{path} is not an IDX file: it starts with {start.hex(' ') or 'nothing'}")
    dtype, axes = np.dtype(IDX_DTYPES[start[2]]), start[3]
    lengths = read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataError(f"{path} is cut short: it ends within the lengths of its {axes} axes")
    shape = struct.unpack(f">{axes}I", lengths)
    expected = math.prod(shape) * dtype.itemsize
    parts, received = [], 0
    while received <= expected:  # never more at once than the file turns out to hold
        part = read(min(expected + 1 - received, 1 << 24))
        if not part:
            break
        parts.append(part)
        received += len(part)
    if received != expected:
        how = "is cut short" if received < expected else "is damaged"
        raise DataError(
            f"{path} {how}: shape {shape} needs {expected} bytes of elements, "
            f"{'only ' if received < expected else 'more than '}"
            f"{min(received, expected)} follow"
        )
    try:
        found = np.frombuffer(b"".join(parts), dtype).reshape(shape)
    except ValueError:  # nothing, of lengths that are too large for NumPy
        raise DataError(f"{path} is damaged: no array can have shape {shape}") from None
    return found.astype(dtype.newbyteorder("="))
