"""Dividing rows into parts to train on, to validate on and to test on.

Every class has its share of every part, to within one row: what cannot be cut is
rounded so that the parts have their share of all rows as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from pellucid.core.random import seed_words

from .shuffle import SPLIT_EPOCH, shuffle_reference

_DENOMINATOR = 10**6  # 0.1 is meant where the nearest binary number is given


def split(
    X: Any,
    y: Any,
    *others: Any,
    fractions: Sequence[float] = (0.6, 0.2, 0.2),
    stratify: Any = True,
    seed: int = 0,
) -> tuple[tuple[Any, ...], ...]:
    """Divide rows into parts, by default 60 % to train, 20 % to validate, 20 % to test on.

    Each part's rows are drawn at random and keep their order. With `stratify`, of the
    n_c rows of class c a part with fraction f gets n_c f, rounded up or down, and of
    all n rows n f, rounded up or down.

    Args:
        X: inputs (rows, ...): an array, a list, or a table of pandas or polars.
        y: targets (rows, ...).
        others: more with one entry per row, such as weights.
        fractions: of each part; they add up to 1.
        stratify: whether classes are divided evenly, y holding classes: whole numbers,
            texts, truth values or one-hot rows. Or what to divide evenly instead (rows,).
        seed: of the draw; the same seed gives the same parts.

    Returns:
        For each fraction a tuple `(X, y, *others)` of the part's rows.

    Raises:
        ValueError: lengths differ, fractions do not add up to 1, a part has no row, or
            y holds quantities and is to be stratified.

    Example:
        >>> from pellucid import train
        >>> X, y = [[i] for i in range(10)], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
        >>> (X_train, y_train), (X_val, y_val), (X_test, y_test) = train.split(X, y)
        >>> y_train.tolist(), y_val.tolist(), y_test.tolist()
        ([0, 0, 0, 1, 1, 1], [0, 1], [0, 1])
    """
    words = seed_words(seed)
    shares = _shares(fractions)
    arrays = (X, y, *others)
    rows = _rows(arrays)
    if isinstance(stratify, bool | np.bool_):
        groups = _groups(y, "y") if stratify else np.zeros(rows, np.intp)
    else:
        groups = _groups(stratify, "stratify")
        if len(groups) != rows:
            raise ValueError(f"stratify must have {rows} entries, one per row, not {len(groups)}")
    parts = split_rows(groups, shares, words)
    for given, part in zip(fractions, parts, strict=True):
        if not len(part):
            raise ValueError(f"a fraction of {given:g} of {rows} rows leaves a part without a row")
    return tuple(tuple(_take(array, part) for array in arrays) for part in parts)


def split_rows(
    groups: np.ndarray, shares: Sequence[Fraction], seed_words: np.ndarray
) -> list[np.ndarray]:
    """The row numbers of each part, in ascending order.

    Args:
        groups: what each row belongs to, whole numbers (rows,); each is divided evenly.
        shares: of the parts, adding up to 1.
        seed_words: the seed as two words (2,).

    Returns:
        An int32 array for each share.
    """
    order = np.empty((1, len(groups)), np.int32)
    shuffle_reference(order, seed_words, SPLIT_EPOCH)
    known, numbers = np.unique(groups, return_inverse=True)
    sizes = np.bincount(numbers, minlength=len(known))
    dealt = order[0, np.argsort(numbers[order[0]], kind="stable")]  # by group, each at random
    counts = np.array(apportion(sizes.tolist(), shares), np.intp).reshape(-1, len(shares))
    turns = np.roll(np.arange(len(shares)), -1)  # the first part takes what the others leave
    owners = np.repeat(np.tile(turns, len(known)), counts[:, turns].reshape(-1))
    return [np.sort(dealt[owners == part]) for part in range(len(shares))]


def shares_of_rest(fractions: Sequence[float]) -> list[Fraction]:
    """The share that fractions leave, and the fractions."""
    exact = [Fraction(float(f)).limit_denominator(_DENOMINATOR) for f in fractions]
    return [1 - sum(exact, Fraction(0)), *exact]


def apportion(sizes: Sequence[int], shares: Sequence[Fraction]) -> list[list[int]]:
    """How many rows of each group go to each part.

    A table of the exact numbers, size * share, is rounded so that each entry, each
    group's sum (its size) and each part's sum are rounded up or down, never further.
    Where entries are not whole, there is a cycle of such entries, alternately in one
    row and in one column; raising every other one and lowering the rest by as much
    keeps the sums, and makes at least one entry more whole.

    Args:
        sizes: rows of each group.
        shares: of the parts, adding up to 1.

    Returns:
        Numbers (groups, parts).

    Source: Bacharach: Matrix rounding problems (1966).
    """
    unit = math.lcm(*(share.denominator for share in shares))
    exact = [[size * int(share * unit) for share in shares] for size in sizes]
    exact.append([-sum(column) % unit for column in zip(*exact, strict=True)])
    spare = len(sizes)  # this last row makes the sums of the parts whole
    counts = [[number // unit for number in row] for row in exact]
    left = {i: [number % unit for number in row] for i, row in enumerate(exact)}
    left = {i: row for i, row in left.items() if any(row)}
    while left:
        cycle = _cycle(left)
        telling = [place for place in cycle if place[0] == spare] or list(cycle)
        nearest = sum(cycle[r, c] * (2 * left[r][c] - unit) for r, c in telling)
        up = 1 if nearest > 0 else -1  # which entries rise: the ones that are nearer to it
        step = min(unit - left[r][c] if s == up else left[r][c] for (r, c), s in cycle.items())
        for (r, c), s in cycle.items():
            whole, left[r][c] = divmod(left[r][c] + s * up * step, unit)
            counts[r][c] += whole
        for r in {r for r, _ in cycle}:
            if not any(left[r]):
                del left[r]
    return counts[:-1]


def _cycle(left: dict[int, list[int]]) -> dict[tuple[int, int], int]:
    """Entries above 0 that make a cycle: their places, with 1 and -1 in turn.

    Each row and each column with such an entry has another one, as its sum is whole.
    """

    def others(row: int, column: int) -> int:
        return next(c for c, part in enumerate(left[row]) if part and c != column)

    row = next(reversed(left))
    column = others(row, -1)
    path: list[tuple[int, int]] = []
    begun: dict[int, int] = {}
    while row not in begun:
        begun[row] = len(path)
        leave = others(row, column)
        path += [(row, column), (row, leave)]
        row, column = next(r for r in left if r != row and left[r][leave]), leave
    path = path[begun[row] :]
    if path[1][1] == column:  # it comes back by the column it left by: closed without this row
        path = path[2:]
    else:
        path[0] = (row, column)
    return {place: 1 - 2 * (i % 2) for i, place in enumerate(path)}


def _shares(fractions: Any) -> list[Fraction]:
    """The fractions that a user gave, exactly."""
    given = np.asarray(fractions)
    if given.ndim != 1 or given.size < 2 or given.dtype.kind not in "iuf":
        raise ValueError(f"fractions must be at least two numbers, received {fractions!r}")
    if not (given > 0).all() or abs(given.sum() - 1) > 1 / _DENOMINATOR:
        raise ValueError(
            f"fractions must be above 0 and add up to 1, received {fractions!r}, which add up to "
            f"{given.sum():g}"
        )
    return shares_of_rest(given[1:].tolist())


def _rows(arrays: Sequence[Any]) -> int:
    """How many rows arrays have in common."""
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"what is split must have one entry per row: received lengths "
            f"{', '.join(map(str, lengths))}"
        )
    return lengths[0]


def _groups(y: Any, name: str) -> np.ndarray:
    """The class of each row as a number."""
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must have one class per row, received shape {array.shape}")
    if array.dtype.kind == "f" and not (array == np.floor(array)).all():
        raise ValueError(
            f"{name} holds quantities, not classes, which cannot be divided evenly; "
            "use stratify=False"
        )
    try:
        found = np.unique(array, axis=0 if array.ndim == 2 else None, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"the classes of {name} cannot be told apart: {error}") from None
    return found[1].reshape(-1)


def _take(values: Any, rows: np.ndarray) -> Any:
    """Some rows of an array, a list, or a table."""
    if isinstance(values, Sequence):
        values = np.asarray(values)
    return getattr(values, "iloc", values)[rows]  # a pandas table goes by position there
