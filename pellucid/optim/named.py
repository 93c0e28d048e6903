"""Names and arguments of what the library's makers make: for text, JSON and messages.

Hyper-parameters are declared once, in the signature of a maker (`adam`, `cosine`);
`maker` reads them from there.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
Made = TypeVar("Made", bound="Named")


@dataclass(frozen=True, kw_only=True, repr=False)
class Named:
    """What a maker made: its name, and what it was given.

    It is copied and pickled as that: whoever reads it calls the maker again.

    Attributes:
        name: of the maker.
        arguments: by name, defaults included.
        made_by: the maker; None where it was made by hand.
    """

    kind: ClassVar[str] = "object"
    name: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    made_by: Callable[..., Named] | None = None

    def description(self) -> dict[str, Any]:
        """Name and arguments, as JSON values."""
        arguments = {key: _plain(value) for key, value in self.arguments.items()}
        return {self.kind: self.name, "arguments": arguments}

    def __reduce__(self) -> Any:
        if self.made_by is None:
            return super().__reduce__()
        return make_again, (self.made_by, self.arguments)

    def __repr__(self) -> str:
        parts: list[str] = []
        for key, value in self.arguments.items():
            if isinstance(value, tuple):  # of *arguments
                parts += map(repr, value)
            else:
                parts.append(f"{key}={getattr(value, '__name__', repr(value))}")
        return f"{self.name}({', '.join(parts)})"


def make_again(maker: Callable[..., Made], arguments: dict[str, Any]) -> Made:
    """What a maker makes of arguments by name, those of `*parts` included.

    Raises:
        TypeError: it takes no argument of some name, or lacks one.
    """
    signature = inspect.signature(maker)
    for name in arguments:
        if name not in signature.parameters:
            raise TypeError(f"there is no argument {name!r}")
    bound = inspect.BoundArguments(signature, arguments)
    return maker(*bound.args, **bound.kwargs)


def _plain(value: Any) -> Any:
    if isinstance(value, Named):
        return value.description()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return {"function": getattr(value, "__name__", "?")} if callable(value) else value


def maker(table: dict[str, Any]) -> Callable[[Callable[P, Made]], Callable[P, Made]]:
    """Enter a function into a table, and let what it makes know its name and arguments.

    Args:
        table: receives the function under its own name.
    """

    def enter(function: Callable[P, Made]) -> Callable[P, Made]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def make(*args: P.args, **kwargs: P.kwargs) -> Made:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            made = function(*args, **kwargs)
            given = {k: _number(v) for k, v in bound.arguments.items()}
            return replace(made, name=function.__name__, arguments=given, made_by=make)

        table[function.__name__] = make
        return make

    return enter


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def check_number(
    name: str,
    value: Any,
    low: float = 0.0,
    high: float = math.inf,
    *,
    above_low: bool = False,
    below_high: bool = False,
) -> float:
    """A hyper-parameter as a float.

    Args:
        name: shown in messages.
        value: what was given.
        low: the least value allowed.
        high: the greatest.
        above_low: whether low itself is refused.
        below_high: whether high itself is refused.

    Raises:
        TypeError: it is not a number.
        ValueError: it is not finite, or outside its range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number, received {value!r}")
    value = float(value)
    fits = math.isfinite(value) and low <= value <= high
    if not fits or (above_low and value == low) or (below_high and value == high):
        left, right = "(" if above_low else "[", ")" if below_high or high == math.inf else "]"
        raise ValueError(f"{name} must lie in {left}{low:g}, {high:g}{right}, received {value:g}")
    return value


def check_count(name: str, value: Any, least: int = 1) -> int:
    """A number of steps as an int.

    Raises:
        ValueError: it is not a whole number, or less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, received {value!r}")
    return int(value)
