"""What the parameters of estimators may be: one rule for each name, checked when `fit` begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rule:
    """What a parameter must be.

    Attributes:
        expected: in words.
        holds: whether a value is.
    """

    expected: str
    holds: Callable[[Any], bool]

    def __or__(self, other: Rule) -> Rule:
        return Rule(
            f"{self.expected} or {other.expected}", lambda v: self.holds(v) or other.holds(v)
        )


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def number(low: float, high: float = math.inf, *, above: bool = False, below: bool = False) -> Rule:
    """A finite number between bounds, which belong to it unless it must be above or below."""

    def holds(value: Any) -> bool:
        if not _is(value, Real) or not low <= value <= high or not math.isfinite(value):
            return False
        return not (above and value == low) and not (below and value == high)

    left, right = "(" if above else "[", ")" if below or high == math.inf else "]"
    return Rule(f"a number in {left}{low:g}, {high:g}{right}", holds)


def whole(least: int) -> Rule:
    """A whole number of at least so much."""
    return Rule(f"a whole number of at least {least}", lambda v: _is(v, Integral) and v >= least)


def one_of(*values: Any) -> Rule:
    """One of some texts, or None."""
    listed = ", ".join(map(repr, values))
    return Rule(
        listed, lambda v: v in values if isinstance(v, str) else v is None and None in values
    )


BOOLEAN = Rule("True or False", lambda v: isinstance(v, bool | np.bool_))
ANYTHING = Rule("anything", lambda v: True)
VERBOSE = BOOLEAN | whole(0)
CALLABLE = Rule("a function", callable)


def _is_float(value: Any) -> bool:
    try:
        return np.dtype(value) in (np.float32, np.float64)
    except TypeError:
        return False


DTYPE = Rule("'float32' or 'float64'", _is_float)


def check_options(estimator: Any, rules: Mapping[str, Rule]) -> None:
    """Refuse what a parameter must not be.

    Raises:
        ValueError: names the estimator, its parameter, what was expected and received.
    """
    for name, rule in rules.items():
        value = getattr(estimator, name)
        if not rule.holds(value):
            raise ValueError(
                f"{type(estimator).__name__}: {name} must be {rule.expected}, received {value!r}"
            )
