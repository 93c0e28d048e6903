"""From the texts of a table to the numbers a network takes, and how that is learned.

Each column is one of two kinds. *Numbers* are brought to mean 0 and deviation 1;
*categories* become one input for each known value (1 where the row has it) and one for
all others. A missing value counts as the median, or as the commonest category; a column
with missing values to learn from gets one more input, 1 where the value is missing. What
was learned is data, stored as JSON; nothing in it is executed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from pellucid.files.quoting import listed, quoted

from .tables import MISSING, DataError, Table, number

MOST_CATEGORIES = 100
"""Inputs that one column may become; rarer categories count as "other"."""

MOSTLY = 0.9
"""A column with numbers in so many of its rows is meant to hold numbers."""

_NEAR_ZERO = 1e-12


@dataclass(frozen=True)
class Numbers:
    """A column of quantities: (x - mean) / std.

    Attributes:
        name: of the column.
        fill: the median, in place of what is missing.
        mean: taken off.
        std: what is divided by.
        indicator: whether an input says that the value was missing.
    """

    name: str
    fill: float
    mean: float
    std: float
    indicator: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """What each of its inputs is called."""
        return (self.name, *([f"{self.name} missing"] if self.indicator else []))

    def encode(self, texts: Sequence[str], place: Callable[[int], str]) -> np.ndarray:
        """The inputs of a column's texts, float64 (rows, inputs)."""
        values = _values(self.name, texts, place)
        missing = np.isnan(values)
        with np.errstate(over="ignore"):
            scaled = (np.where(missing, self.fill, values) - self.mean) / self.std
        return np.stack([scaled, missing], 1) if self.indicator else scaled[:, None]

    def __str__(self) -> str:
        return f"numbers, mean {self.mean:.5g}, deviation {self.std:.5g}" + _filled(
            self, f"median {self.fill:.5g}"
        )


@dataclass(frozen=True)
class Categories:
    """A column of words: an input for each value, and one for all others.

    Attributes:
        name: of the column.
        fill: the commonest value, in place of what is missing.
        values: those that have an input each, sorted.
        indicator: whether an input says that the value was missing.
    """

    name: str
    fill: str
    values: tuple[str, ...]
    indicator: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """What each of its inputs is called."""
        found = [f"{self.name} = {value}" for value in self.values]
        missing = [f"{self.name} missing"] if self.indicator else []
        return (*found, f"{self.name} = (other)", *missing)

    def encode(self, texts: Sequence[str], place: Callable[[int], str]) -> np.ndarray:
        """The inputs of a column's texts, float64 (rows, inputs)."""
        position = {value: i for i, value in enumerate(self.values)}
        other = len(self.values)
        fill = position.get(self.fill, other)
        hits = [fill if t in MISSING else position.get(t, other) for t in texts]
        encoded = np.zeros((len(texts), len(self.inputs)))
        encoded[np.arange(len(texts)), hits] = 1.0
        if self.indicator:
            encoded[:, -1] = [t in MISSING for t in texts]
        return encoded

    def __str__(self) -> str:
        shown = listed(self.values, 6)
        return f"{len(self.values)} categories and others: {shown}" + _filled(self, self.fill)


def _filled(column: Numbers | Categories, fill: str) -> str:
    return f"; missing: {fill}, and an input that says so" if column.indicator else ""


@dataclass(frozen=True)
class LeftOut:
    """A column that nothing can be learned from.

    Attributes:
        name: of the column.
        reason: why, as in "is the same in all rows".
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Preprocessing:
    """How the texts of a table become the inputs of a network.

    Attributes:
        columns: those that are used, in the order of their inputs.
        left_out: those that are not, and why.

    Example:
        >>> from pellucid.train.preprocess import Preprocessing
        >>> from pellucid.train.tables import Table
        >>> kinds = ["cat", "dog", "cat", "dog"]
        >>> table = Table("pets", {"age": ["1", "3", "?", "2"], "kind": kinds})
        >>> learned = Preprocessing.learn(table)
        >>> learned.inputs
        ('age', 'age missing', 'kind = cat', 'kind = dog', 'kind = (other)')
        >>> learned.apply(Table("new", {"kind": ["owl", "dog"], "age": ["NA", "2"]})).tolist()
        [[0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0, 0.0]]
    """

    columns: tuple[Numbers | Categories, ...]
    left_out: tuple[LeftOut, ...] = ()

    @classmethod
    def learn(cls, table: Table, categories: Collection[str] = ()) -> Preprocessing:
        """What suits the rows of a table.

        Args:
            table: rows to learn from, without the column to predict.
            categories: names of columns whose numbers are codes, not quantities.

        Raises:
            DataError: a column of numbers holds another text (names the line), there is no
                column that anything can be learned from, or no such category column.
        """
        for name in categories:
            table.column(name, "category")
        found = [_learn(table, name, name in categories) for name in table.columns]
        used = tuple(c for c in found if not isinstance(c, LeftOut))
        left_out = tuple(c for c in found if isinstance(c, LeftOut))
        if not used:
            reasons = "; ".join(f"{quoted(c.name)} {c.reason}" for c in left_out[:5])
            raise DataError(
                f"{table.name} has no feature column to learn from"
                + (f": {reasons}" if reasons else "")
            )
        return cls(used, left_out)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are used."""
        return tuple(column.name for column in self.columns)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What each input is called."""
        return tuple(name for column in self.columns for name in column.inputs)

    @property
    def notes(self) -> list[str]:
        """What a person should know, a sentence each."""
        notes = [f"column {quoted(c.name)} {c.reason}: left out" for c in self.left_out]
        for c in self.columns:
            if isinstance(c, Categories) and len(c.values) == MOST_CATEGORIES:
                notes.append(
                    f"column {quoted(c.name)}: the {MOST_CATEGORIES} commonest categories are told "
                    "apart, all others count as one"
                )
        return notes

    def apply(self, table: Table) -> np.ndarray:
        """The inputs of a table's rows, float32 (rows, inputs).

        Args:
            table: has the columns that are used, in any order, and perhaps others.

        Raises:
            DataError: a column is missing, or holds what it cannot.
        """
        parts = [c.encode(table.column(c.name, "feature"), table.place) for c in self.columns]
        with np.errstate(over="ignore"):
            return np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")

    def to_json(self) -> dict[str, Any]:
        """What was learned, as JSON values."""
        columns = [{"kind": _KIND[type(c)], **asdict(c)} for c in self.columns]
        return {"columns": columns, "left_out": [asdict(c) for c in self.left_out]}

    @classmethod
    def from_json(cls, value: Any) -> Preprocessing:
        """What `to_json` gave.

        Raises:
            ValueError: it is not sound.
        """
        if not isinstance(value, dict) or set(value) != {"columns", "left_out"}:
            raise ValueError("table")
        if not all(isinstance(entries, list) for entries in value.values()):
            raise ValueError("table")
        columns = tuple(_column(entry) for entry in value["columns"])
        names = [column.name for column in columns]
        if not names or len(set(names)) != len(names):
            raise ValueError("table")
        return cls(columns, tuple(_checked(LeftOut, entry) for entry in value["left_out"]))

    def __str__(self) -> str:
        width = max(len(column.name) for column in (*self.columns, *self.left_out))
        lines = [f"{column.name.ljust(width)}  {column}" for column in self.columns]
        lines += [f"{c.name.ljust(width)}  left out: {c.reason}" for c in self.left_out]
        return "\n".join(lines)


_KIND: dict[type, str] = {Numbers: "numbers", Categories: "categories"}


def _learn(table: Table, name: str, coded: bool) -> Numbers | Categories | LeftOut:
    """What one column is."""
    texts = table.columns[name]
    present = [text for text in texts if text not in MISSING]
    if not present:
        return LeftOut(name, "is empty in all rows")
    indicator = len(present) < len(texts)
    if not indicator and present.count(present[0]) == len(present):
        return LeftOut(name, "is the same in all rows")
    distinct = Counter(present)
    numeric = sum(count for text, count in distinct.items() if number(text) is not None)
    if numeric < MOSTLY * len(present) or coded:
        return _categories(name, distinct, indicator)
    return _numbers(name, _values(name, texts, table.place), indicator, table.name)


def _categories(name: str, counts: Counter[str], indicator: bool) -> Categories | LeftOut:
    """Words by how common they are; those met once tell nothing and count as others."""
    ranked = sorted(counts, key=lambda text: (-counts[text], text))
    common = [text for text in ranked[:MOST_CATEGORIES] if counts[text] > 1]
    if not common:
        return LeftOut(name, "has another text in each row")
    return Categories(name, ranked[0], tuple(sorted(common)), indicator)


def _numbers(name: str, values: np.ndarray, indicator: bool, file: str) -> Numbers | LeftOut:
    present = values[~np.isnan(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(present.mean()), float(present.std())
        fill = float(np.median(present))
    if not math.isfinite(mean) or not math.isfinite(std) or not math.isfinite(fill):
        raise DataError(
            f"column {quoted(name)} of {file} has numbers too large to scale; divide them first"
        )
    if std <= _NEAR_ZERO * abs(mean) or std == 0:
        if not indicator:
            return LeftOut(name, "is the same in all rows")
        std = 1.0
    return Numbers(name, fill, mean, std, indicator)


def _values(name: str, texts: Sequence[str], place: Callable[[int], str]) -> np.ndarray:
    """A column as numbers, NaN where there is nothing, float64 (rows,)."""
    found = np.empty(len(texts))
    for row, text in enumerate(texts):
        value = math.nan if text in MISSING else number(text)
        if value is None or (not math.isfinite(value) and text not in MISSING):
            wanted = "a number" if value is None else "a finite number"
            raise DataError(
                f"column {quoted(name)}, {place(row)}: expected {wanted}, received "
                f"{quoted(text, 40)}; "
                "mend it, leave it empty, name the column with --categories or drop it"
            )
        found[row] = value
    return found


def _column(entry: Any) -> Numbers | Categories:
    """A column as read from a file."""
    if not isinstance(entry, dict):
        raise ValueError("table")
    kinds: dict[Any, Any] = {name: kind for kind, name in _KIND.items()}
    kind = kinds.get(str(entry.get("kind")))
    if kind is None:
        raise ValueError("table")
    column = _checked(kind, {key: value for key, value in entry.items() if key != "kind"})
    if isinstance(column, Numbers) and not column.std > 0:
        raise ValueError("table")
    if isinstance(column, Categories):
        distinct = len(set(column.values)) == len(column.values)
        if not 0 < len(column.values) <= MOST_CATEGORIES or not distinct:
            raise ValueError("table")
    return column


def _checked(kind: Any, entry: Any) -> Any:
    """An instance of one of the classes above, its fields of the right types."""
    if not isinstance(entry, dict) or set(entry) != {field.name for field in fields(kind)}:
        raise ValueError("table")
    given = {}
    for field in fields(kind):
        value = entry[field.name]
        sound = {
            "str": isinstance(value, str),
            "bool": isinstance(value, bool),
            "float": type(value) in (int, float) and math.isfinite(value),
            "tuple[str, ...]": isinstance(value, list) and all(isinstance(v, str) for v in value),
        }
        if not sound[str(field.type)]:
            raise ValueError("table")
        given[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)
