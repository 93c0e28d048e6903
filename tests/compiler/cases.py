"""How to try a primitive: operands, attributes, what to expect of threads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.tables import FLOATS


@dataclass(frozen=True)
class Case:
    """One use: operands, each a shape to fill or an array as it is, and attributes."""

    operands: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """How to try a primitive.

    Attributes:
        cases: small uses, edge shapes among them.
        large: one that is worth sharing among threads.
        dtypes: of the operands that are filled.
        low, high: between which they are filled.
        shared: whether threads share the large one.
    """

    cases: list[Case]
    large: Case
    dtypes: tuple[str, ...] = FLOATS
    low: float = -2.0
    high: float = 2.0
    shared: bool = True
