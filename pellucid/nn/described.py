"""Objects that remember what they were made from: for their text and for model files.

What is kept is the constructor's arguments as they were given. They become a tree
of plain JSON values; nothing here turns such a tree back into objects (see `build`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np

_REST = inspect.Parameter.VAR_POSITIONAL
_met: ContextVar[dict[int, int] | None] = ContextVar("met", default=None)


class CannotSaveError(TypeError):
    """A model holds something that a file cannot describe."""


FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""The library's functions that a saved model may name; filled by the modules that define them."""


class Describable:
    """What a model file can describe."""

    def description(self) -> dict[str, Any]:
        """What this is, as JSON values."""
        raise NotImplementedError


class Described(Describable):
    """Remembers its constructor's arguments; see `arguments` and `description`."""

    kind: ClassVar[str] = "object"
    _given: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._given = (args, kwargs)
        return self

    @classmethod
    def signature(cls) -> inspect.Signature:
        """What the constructor takes, `self` left out."""
        full = inspect.signature(cls.__init__)
        return full.replace(parameters=list(full.parameters.values())[1:])

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, defaults included; those of `*args` as a list."""
        args, kwargs = self._given
        signature = self.signature()
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return {
            name: list(value) if signature.parameters[name].kind is _REST else value
            for name, value in bound.arguments.items()
        }

    def description(self) -> dict[str, Any]:
        """What this is, as JSON values: its class by name, and its arguments.

        One that is met again inside the same description is `{"shared": n}`, the
        n-th (from 0) to have been described completely.

        Raises:
            CannotSaveError: an argument is something that a file cannot hold.
        """
        met = _met.get()
        if met is None:
            token = _met.set({})
            try:
                return self.description()
            finally:
                _met.reset(token)
        if id(self) in met:
            return {"shared": met[id(self)]}
        name = type(self).__name__
        arguments = {
            key: encode(value, f"{name}({key}=...)") for key, value in self.arguments().items()
        }
        met[id(self)] = len(met)
        return {self.kind: name, "arguments": arguments}

    def text_of_arguments(self) -> list[str]:
        """The arguments as written in Python, those left at their default omitted."""
        given = self.arguments()
        parts = []
        for name, parameter in self.signature().parameters.items():
            value = given[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                parts += [text(v) for v in value]
            elif parameter.kind is parameter.VAR_KEYWORD:
                parts += [f"{k}={text(v)}" for k, v in value.items()]
            elif parameter.default is parameter.empty:
                parts.append(text(value))
            elif not _same(value, parameter.default):
                parts.append(f"{name}={text(value)}")
        return parts

    def __repr__(self) -> str:
        parts = self.text_of_arguments()
        if sum(map(len, parts)) + len(parts) < 80 and not any("\n" in p for p in parts):
            return f"{type(self).__name__}({', '.join(parts)})"
        lines = "".join("    " + part.replace("\n", "\n    ") + ",\n" for part in parts)
        return f"{type(self).__name__}(\n{lines})"


def _same(value: Any, default: Any) -> bool:
    return value is default or (
        type(value) is type(default)
        and isinstance(value, bool | int | float | str | tuple)
        and value == default
    )


def text(value: Any) -> str:
    """A value as a reader would write it."""
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if inspect.isfunction(value) or inspect.isbuiltin(value) or inspect.isclass(value):
        return value.__name__
    return repr(value.item() if isinstance(value, np.generic) else value)


def encode(value: Any, where: str) -> Any:
    """A constructor's argument as JSON values.

    Args:
        value: None, a boolean, number, string, list, tuple, dictionary, dtype,
            layer, initializer, or a function of the library.
        where: names the place in messages.

    Raises:
        CannotSaveError: it is anything else.
    """
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Describable):
        return value.description()
    if isinstance(value, list):
        return [encode(v, where) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(v, where) for v in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: encode(v, where) for key, v in value.items()}}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return {"dtype": np.dtype(value).name}
    for name, function in FUNCTIONS.items():
        if value is function:
            return {"function": name}
    raise CannotSaveError(
        f"this model cannot be saved: {where} was given {text(value)} of type "
        f"{type(value).__name__}; a file can hold numbers, strings, lists, layers, initializers "
        "and functions of the library. Write a layer (a Module with a forward) around it, "
        "and pass its class when loading"
    )
