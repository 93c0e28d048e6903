"""What a model file needs besides the model: how rows become inputs, and outputs answers.

It is learned from the training rows, stored as plain JSON in the model file, and
checked when it is read again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.files.quoting import cut, quoted
from pellucid.io import ModelFileError
from pellucid.train import checks, tables
from pellucid.train.preprocess import Preprocessing
from pellucid.train.tables import DataError, Scaling, Table

from .data import Rows

CLASSES, QUANTITIES = "classification", "regression"

_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Recipe:
    """How rows become inputs, and outputs answers.

    Attributes:
        input_shape: of one row.
        labels: names of the classes, in the order of the outputs; empty for quantities.
        table: how columns of texts become inputs, where rows are those of a table.
        columns: names of the columns, where files that were learned from do not name them.
        target: the column to predict, if it has one, or a comparison with it.
        divide: what every input is divided by (255 for bytes).
        target_mean: taken off each quantity to predict.
        target_std: each quantity is divided by this.
    """

    input_shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    table: Preprocessing | None = None
    columns: tuple[str, ...] = ()
    target: str = ""
    divide: float = 1.0
    target_mean: tuple[float, ...] = ()
    target_std: tuple[float, ...] = ()

    @classmethod
    def learn(
        cls,
        rows: Rows,
        task: str | None = None,
        target: str | None = None,
        every: Rows | None = None,
        *,
        columns: tuple[str, ...] = (),
        categories: tuple[str, ...] = (),
    ) -> Recipe:
        """The recipe that suits rows to train on.

        Args:
            rows: inputs and targets.
            task: "classification" or "regression"; by default classes are words and
                whole numbers, quantities numbers with a decimal point.
            target: name of the column to predict, if it has one.
            every: these rows and those held out, whose classes are known too; a rare
                class may be among the latter only.
            columns: names of the columns, where the file does not name them.
            categories: names of columns whose numbers are codes.

        Raises:
            DataError: there are no targets, or not what the task needs.
        """
        if rows.targets is None:
            raise DataError(
                f"{rows.name} has no targets to learn from: name the column with --target or the "
                "file with --labels, or put images into a folder for each class"
            )
        shared: dict[str, Any] = {"target": target or "", "columns": columns}
        if isinstance(rows.X, Table):
            table = Preprocessing.learn(rows.X, categories)
            shared |= {"input_shape": (len(table.inputs),), "table": table}
        else:
            X = checks.numeric(rows.X, rows.name)
            shared |= {
                "input_shape": X.shape[1:],
                "divide": 255.0 if X.dtype == np.uint8 else 1.0,
            }
        targets = rows.targets if every is None else every.targets
        labels = None if task == QUANTITIES else _labels(targets, task)
        if labels is not None:
            if len(labels) < 2:
                raise DataError(
                    f"{rows.name} has only the class {cut(labels[0])}: nothing to tell apart"
                )
            if len(labels) > _MOST_CLASSES:
                raise DataError(
                    f"{rows.name} has {len(labels):,} classes; for quantities use --task regression"
                )
            return cls(labels=labels, **shared)
        if every is not None:  # a message counts the rows of the file
            _values(every, target)
        scaling = Scaling.of(_values(rows))
        return cls(
            target_mean=tuple(scaling.mean.tolist()),
            target_std=tuple(scaling.std.tolist()),
            **shared,
        )

    @property
    def outputs(self) -> int:
        """How many outputs a model needs."""
        return len(self.labels) or len(self.target_mean)

    def inputs(self, rows: Rows) -> np.ndarray:
        """Rows as a model takes them, float32.

        Raises:
            DataError: they have another shape than the rows learned from.
        """
        if self.table is not None and isinstance(rows.X, Table):
            return self._encoded(self.table, rows.X)
        if self.table is not None or isinstance(rows.X, Table):
            takes = "columns of a table" if self.table else f"rows of shape {self.input_shape}"
            raise DataError(f"{rows.name} has {_kind_of(rows)}, the model takes {takes}")
        X = checks.numeric(rows.X, rows.name)
        if len(X) == 0:
            raise DataError(f"{rows.name} has no rows")
        if X.shape[1:] != self.input_shape:
            raise DataError(
                f"{rows.name} has rows of shape {X.shape[1:]}, the model takes {self.input_shape}"
            )
        with np.errstate(over="ignore"):
            converted = X.astype(np.float32)
        if self.divide != 1.0:
            converted /= np.float32(self.divide)
        checks.finite(converted, rows.name, X)
        return converted

    @staticmethod
    def _encoded(table: Preprocessing, rows: Table) -> np.ndarray:
        encoded = table.apply(rows)
        wrong = np.argwhere(~np.isfinite(encoded))
        if len(wrong):
            row, column = wrong[0]
            raise DataError(
                f"column {quoted(table.inputs[column])}, {rows.place(row)}: the number is "
                "too far from those learned from to be scaled"
            )
        return encoded

    def targets(self, rows: Rows) -> np.ndarray:
        """Targets as a loss takes them: class numbers, or scaled quantities.

        Raises:
            DataError: there are none, or one is not known.
        """
        if rows.targets is None:
            raise DataError(
                f"{rows.name} has no targets: name the column with --target, or the file with "
                "--labels"
            )
        if self.labels:
            return tables.indices_of(_texts(rows.targets), self.labels, rows.name)
        values = _values(rows)
        if values.shape[1] != self.outputs:
            raise DataError(
                f"{rows.name} has {values.shape[1]} targets a row, the model gives {self.outputs}"
            )
        return Scaling(np.array(self.target_mean), np.array(self.target_std)).apply(values)

    def quantities(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs of a model as quantities in their own units, float64 (rows, outputs)."""
        exact = outputs.astype(np.float64).reshape(len(outputs), -1)
        return exact * np.array(self.target_std) + np.array(self.target_mean)

    def answers(self, model: nn.Module, rows: Rows) -> np.ndarray:
        """What a model says of rows: outputs for classes, or quantities, float64 (rows, outputs).

        Raises:
            DataError: it does not fit the recipe, or gives what is not a finite number.
        """
        outputs = model.predict(self.inputs(rows))
        outputs = outputs.astype(np.float64).reshape(len(outputs), -1)
        if outputs.shape[1] != self.outputs:
            raise DataError(
                f"the model gives {outputs.shape[1]} outputs a row, its recipe speaks of "
                f"{self.outputs}: the file is damaged"
            )
        with np.errstate(over="ignore"):
            found = outputs if self.labels else self.quantities(outputs)
        wrong = np.argwhere(~np.isfinite(found))
        if len(wrong):
            row, column = wrong[0]
            raise DataError(
                f"the model gives {found[row, column]} for {rows.place(row)}: its weights, or the "
                "numbers in the row, are too large"
            )
        return found

    def to_extra(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        found: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        found["table"] = None if self.table is None else self.table.to_json()
        return {"recipe": found}

    @classmethod
    def from_extra(cls, extra: dict[str, Any], path: Any) -> Recipe:
        """The recipe in a model file.

        Raises:
            ModelFileError: there is none, or it is damaged.
        """
        found = extra.get("recipe")
        if not isinstance(found, dict):
            raise ModelFileError(
                f"{path} holds a model without a recipe for its data; use it from Python, with "
                "pe.load"
            )
        try:
            recipe = cls(**{f.name: _typed(f.name, found[f.name]) for f in fields(cls)})
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"{path} is damaged: its recipe lacks a sound {error}") from None
        sound = len(recipe.target_mean) == len(recipe.target_std) and recipe.outputs
        if recipe.table is not None:
            sound = sound and recipe.input_shape == (len(recipe.table.inputs),)
        if not sound:
            raise ModelFileError(f"{path} is damaged: its recipe contradicts itself")
        return recipe


def _kind_of(rows: Rows) -> str:
    """What kind of rows these are, for a message."""
    return "columns of a table" if rows.shape is None else f"rows of shape {rows.shape}"


def _typed(name: str, value: Any) -> Any:
    """A field of a recipe as read from a file."""
    if name == "table":
        return None if value is None else Preprocessing.from_json(value)
    if name in ("divide", "target"):
        value = [value]
    if not isinstance(value, list):
        raise ValueError(name)
    kind: Any = float | int
    if name in ("labels", "columns", "target"):
        kind = str
    elif name == "input_shape":
        kind = int
    positive = name in ("divide", "target_std", "input_shape")
    for item in value:
        if not isinstance(item, kind) or isinstance(item, bool):
            raise ValueError(name)
        if not isinstance(item, str) and (not math.isfinite(item) or (positive and item <= 0)):
            raise ValueError(name)
    return value[0] if name in ("divide", "target") else tuple(value)


def _labels(targets: Any, task: str | None) -> tuple[str, ...] | None:
    """The classes among targets; None if they are quantities."""
    if isinstance(targets, list):
        found = tables.classes_of(targets)
        return tuple(sorted(set(targets))) if found is None and task == CLASSES else found
    array = checks.numeric(targets, "the targets")
    whole = array.dtype.kind in "biu" or (
        task == CLASSES and bool((array == np.floor(array)).all())
    )
    if not whole and not _is_one_hot(array):
        if task == CLASSES:
            raise DataError("classes must be whole numbers or words, received fractions")
        return None
    return tables.classes_of(_texts(array))


def _texts(targets: Any) -> list[str]:
    """Targets that are classes, as texts."""
    if isinstance(targets, list):
        return targets
    array = checks.numeric(targets, "the targets")
    if _is_one_hot(array):
        array = array.argmax(axis=1)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"classes must be one number per row, received shape {array.shape}")
    return [str(int(value)) for value in array.tolist()]


def _is_one_hot(array: np.ndarray) -> bool:
    if array.ndim != 2 or array.shape[1] < 2:
        return False
    return bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def _values(rows: Rows, target: str | None = None) -> np.ndarray:
    """Targets that are quantities, float64 (rows, outputs)."""
    if isinstance(rows.targets, list):
        return tables.numbers_of(rows.targets, target or "target", rows.name).reshape(-1, 1)
    array = checks.numeric(rows.targets, f"the targets of {rows.name}").astype(np.float64)
    checks.finite(array, f"the targets of {rows.name}")
    return array.reshape(len(array), -1)
