"""What a command is given to learn from: digits, a table, an archive, images, time series."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from pellucid.files.quoting import quoted
from pellucid.io import ModelFileError
from pellucid.train import checks, datasets, images
from pellucid.train.series import is_series, read_series
from pellucid.train.table_files import read_table, split_path
from pellucid.train.tables import STANDARD_INPUT, DataError, Table
from pellucid.train.target_column import target_of

DIGITS = "digits"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Source:
    """Where rows come from, as the options of a command say it.

    Attributes:
        data: "digits", "-" for a CSV file on standard input, or the path of a table, an
            archive, a folder of images, a file of CIFAR or of time series.
        target: column (or array of an archive) to predict.
        drop: columns to leave out.
        images: IDX file of inputs.
        labels: IDX file of their classes.
        size: height and width that images of a folder are brought to.
        table: which one of a database.
        columns: names of the columns of a CSV file that does not name them.
    """

    data: str | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    images: str | None = None
    labels: str | None = None
    size: int | None = None
    table: str | None = None
    columns: tuple[str, ...] = ()

    @property
    def is_table(self) -> bool:
        """Whether it is a table: a CSV file, Parquet, or a table of a database."""
        if self.data is None or self.data == DIGITS or os.path.isdir(self.data):
            return False
        return not _OTHER.search(self.data.lower()) and not is_series(self.data)


_OTHER = re.compile(r"\.(npz|gz|bin|safetensors)$|idx\d?(-ubyte)?$|-ubyte$")


@dataclass(frozen=True)
class Rows:
    """What was read, before it is scaled.

    Attributes:
        X: inputs (rows, ...), or a table of texts.
        targets: texts of a column, or numbers; None where there are none.
        name: what to call it in messages.
        channels: whether the last axis of X is known to hold channels.
        test: rows to test on that come with it.
    """

    X: np.ndarray | Table
    targets: Any
    name: str = ""
    channels: bool = False
    test: Rows | None = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one row; None for those of a table, which are texts."""
        return None if isinstance(self.X, Table) else self.X.shape[1:]

    def place(self, row: int) -> str:
        """Where a row stands, for messages."""
        if isinstance(self.X, Table):
            return self.X.place(row)
        return f"row {row} of {self.name} (counted from 0)"

    def take(self, numbers: np.ndarray) -> Rows:
        """Some of the rows, by number."""
        targets = self.targets
        if isinstance(targets, list):
            targets = [targets[i] for i in numbers.tolist()]
        elif targets is not None:
            targets = targets[numbers]
        X = self.X.take(numbers) if isinstance(self.X, Table) else self.X[numbers]
        return replace(self, X=X, targets=targets, test=None)


def data_options(command: F) -> F:
    """The argument and the options that say where rows come from."""
    for option in (
        click.option("--labels", metavar="FILE", help="IDX file of their classes."),
        click.option("--images", metavar="FILE", help="IDX file of inputs, gzip or not."),
        click.option(
            "--columns",
            metavar="NAMES",
            help="Names of the columns of a CSV file whose first line does not name them.",
        ),
        click.option("--table", metavar="NAME", help="Which table of an SQLite database."),
        click.option("--drop", metavar="COLUMNS", help="Columns to leave out: id,name."),
        click.option(
            "--target",
            metavar="COLUMN",
            help="Column to predict, or a comparison: 'stage>0' is answered with yes or no.",
        ),
        click.argument("data", required=False),
    ):
        command = option(command)
    return command


def source_of(
    data: str | None,
    target: str | None = None,
    drop: str | None = None,
    images: str | None = None,
    labels: str | None = None,
    table: str | None = None,
    columns: str | None = None,
) -> Source:
    """The source that the options name; "digits" if they name none.

    Raises:
        UsageError: the options contradict each other.
    """
    if images is not None and data is not None:
        raise click.UsageError("give either DATA or --images, not both")
    if labels is not None and images is None:
        raise click.UsageError("--labels needs --images")
    if data is None and images is None:
        data = DIGITS
    source = Source(
        data, target, names_of(drop), images, labels, table=table, columns=names_of(columns)
    )
    if (source.table or source.columns) and not source.is_table:
        raise click.UsageError("--table and --columns are for tables")
    return source


def check_target(source: Source) -> None:
    """Refuse a table without a column to predict, and what is not there at all.

    Raises:
        UsageError: the column is to be named.
        ClickException: there is nothing of that name.
    """
    if not source.is_table or source.target is not None:
        return
    file = split_path(source.data or "")[0]
    if source.data != STANDARD_INPUT and not os.path.exists(file):
        raise click.ClickException(f"cannot read {file}: there is no such file or folder")
    raise click.UsageError(f"name the column of {source.data} to predict with --target COLUMN")


def names_of(text: str | None) -> tuple[str, ...]:
    """The names in a text with commas between them."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def check_output(path: str, *inputs: str | None) -> None:
    """Refuse, before any work, a path that cannot be written afterwards, or that is read.

    Args:
        path: of the file to write.
        inputs: of files that are read; those that are None or missing do not count.

    Raises:
        ModelFileError: another path should be given.
    """
    folder = Path(os.path.realpath(path)).parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ModelFileError(f"cannot write {path}: it must be a file in a folder you can write to")
    for given in inputs:
        file = split_path(given)[0] if given else ""
        if os.path.exists(path) and os.path.exists(file) and os.path.samefile(path, file):
            raise ModelFileError(f"cannot write {path}: it would replace what is read from it")


def read(
    source: Source,
    *,
    usual: tuple[str, ...] = (),
    shape: tuple[int, ...] | None = None,
    test: bool = False,
) -> Rows:
    """The rows of a source.

    Args:
        source: where they come from.
        usual: names of the columns of CSV files that do not name them.
        shape: that images of a folder are brought to (height, width, channels).
        test: read the rows to test on, where a source has such.

    Raises:
        DataError: a file is missing, damaged, or does not hold what is needed.
    """
    if source.images is not None:
        return _read_images(source)
    assert source.data is not None
    if source.data == STANDARD_INPUT:
        return _read_table(source, STANDARD_INPUT, usual)
    if source.data == DIGITS:
        digits = datasets.load_digits()
        held_out = Rows(digits.X_test, digits.y_test, name="the held-out digits")
        return held_out if test else Rows(digits.X, digits.y, name=DIGITS, test=held_out)
    if os.path.isdir(source.data):
        return _read_folder(source.data, shape, source.size)
    kind = Path(source.data.removesuffix(".gz")).suffix.lower()
    if kind == ".bin":
        X, y = images.read_cifar(source.data)
        return Rows(X, y, name=source.data, channels=True)
    if is_series(source.data):
        found = read_series(source.data)
        names = [found.classes[i] for i in found.y.tolist()]
        return Rows(found.X, names, name=source.data, channels=True)
    if kind == ".npz":
        return _read_archive(source, test)
    if kind == ".npy":
        raise DataError(f"{source.data} holds one array: put X and y in one .npz with np.savez")
    if kind == ".safetensors":
        raise DataError(f"{source.data} is a model file, expected data to read")
    if not source.is_table:
        raise DataError(f"{source.data} looks like an IDX file: give it with --images")
    return _read_table(source, source.data, usual)


def _read_table(source: Source, path: str, usual: tuple[str, ...]) -> Rows:
    table = read_table(path, source.table, source.columns, usual)
    left_out, targets = set(source.drop), None
    for name in source.drop:
        table.column(name, "dropped")
    if source.target is not None:
        column, targets = target_of(table, source.target)
        left_out.add(column)
    columns = {name: texts for name, texts in table.columns.items() if name not in left_out}
    if not columns:
        raise DataError(f"{table.name} has no feature column besides {quoted(source.target)}")
    return Rows(Table(table.name, columns, table.lines), targets, name=table.name)


def _read_folder(folder: str, shape: tuple[int, ...] | None, size: int | None) -> Rows:
    """Images of a folder: of its folders, one for each class; or its own, of no known class."""
    mode = "L" if shape is not None and shape[2:] == (1,) else "RGB"
    wanted = size if shape is None or len(shape) != 3 else shape[:2]
    own = images.files_of(folder)
    try:
        if own:
            X = images.images_of(own, wanted, mode)
            return Rows(X, None, name=folder, channels=True)
        found = images.read_images(folder, wanted, mode)
    except ImportError as error:
        raise DataError(str(error)) from None
    names = [found.classes[i] for i in found.y.tolist()]
    return Rows(found.X, names, name=folder, channels=True)


def _read_images(source: Source) -> Rows:
    X = datasets.read_idx(source.images or "")
    if X.ndim < 2:
        raise DataError(f"{source.images} has shape {X.shape}: expected images, are these labels?")
    y = None
    if source.labels is not None:
        y = datasets.read_idx(source.labels)
        if y.shape != X.shape[:1]:
            raise DataError(
                f"{source.labels} has shape {y.shape}, expected one label for each of the "
                f"{len(X)} images in {source.images}"
            )
    return Rows(X, y, name=source.images or "")


def _read_archive(source: Source, test: bool) -> Rows:
    path = source.data or ""
    if not test:
        X, y = datasets.read_npz(path, source.target)
        held_out = None
        if datasets.has_test_rows(path):
            held_out = _read_archive(source, test=True)
        return _checked(Rows(_as_rows(X, path), y, name=path, test=held_out))
    if datasets.has_test_rows(path):
        X, y = datasets.read_npz(path, test=True)
        return _checked(Rows(_as_rows(X, path), y, name=f"the test rows of {path}"))
    return _read_archive(source, test=False)


def _checked(rows: Rows) -> Rows:
    """The rows of an archive, if they are finite numbers and there is one target for each."""
    X = checks.numeric(rows.X, rows.name)
    if X.size == 0:
        lacks = "no rows" if len(X) == 0 else f"inputs of shape {X.shape}, which hold nothing"
        raise DataError(f"{rows.name} has {lacks}")
    checks.finite(X, rows.name)
    if rows.targets is not None and rows.targets.shape[:1] != (len(rows.X),):
        raise DataError(
            f"{rows.name} has targets of shape {rows.targets.shape}, expected one for each of its "
            f"{len(rows.X)} rows"
        )
    return rows


def _as_rows(X: np.ndarray, path: str) -> np.ndarray:
    if X.ndim == 0:
        raise DataError(f"{path} holds a single number as its inputs, expected rows")
    return X.reshape(-1, 1) if X.ndim == 1 else X
