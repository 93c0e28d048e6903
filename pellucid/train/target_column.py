"""What a table is asked to predict: a column, or whether a column compares so with a value."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from pellucid.files.quoting import quoted

from .tables import MISSING, DataError, Table, number

YES, NO = "yes", "no"

_COMPARISON = re.compile(r"(.+?)\s*(>=|<=|==|!=|>|<|=)\s*(.+)")

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def target_of(table: Table, target: str) -> tuple[str, list[str]]:
    """The column that a target speaks of, and the text to predict in each row.

    Args:
        table: where the column is.
        target: name of a column, or a comparison such as "stage>0" or "kind=rose", which
            is answered with "yes" or "no". Two numbers compare by size; = and != compare
            other texts as well.

    Raises:
        DataError: there is no such column, a row has nothing in it, or a text that does
            not compare with the value.

    Example:
        >>> from pellucid.train.tables import Table
        >>> from pellucid.train.target_column import target_of
        >>> table = Table("patients", {"stage": ["0", "2", "1"]})
        >>> target_of(table, "stage>0")
        ('stage', ['no', 'yes', 'yes'])
    """
    compared = None if target in table.columns else _COMPARISON.fullmatch(target.strip())
    if compared is None:
        return target, _present(table, target)
    column, sign, value = compared.groups()
    limit, compare = number(value), _OPERATORS[sign]
    answers = []
    for row, text in enumerate(_present(table, column)):
        found = number(text)
        if found is not None and limit is not None:
            answers.append(YES if compare(found, limit) else NO)
        elif sign in ("=", "==", "!="):
            answers.append(YES if compare(text, value) else NO)
        else:
            raise DataError(
                f"target {quoted(target)} compares numbers, received {quoted(text, 40)} and "
                f"{quoted(value)} at {table.place(row)}"
            )
    return column, answers


def _present(table: Table, name: str) -> list[str]:
    """The texts of a target column, none of them missing."""
    texts = table.column(name, "target")
    for row, text in enumerate(texts):
        if text in MISSING:
            raise DataError(f"{table.place(row)} has nothing in its target column {quoted(name)}")
    return texts
