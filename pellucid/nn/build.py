"""From an architecture, as a model file holds it, back to layers.

Only names in the library's own tables and the classes that the caller passes are
known here: nothing is imported, looked up elsewhere or executed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from pellucid.core.random import random_scope, scope_of

from .activations import ACTIVATIONS, Activation
from .augmentation import Cutout, RandomCrop, RandomFlip, RandomShift
from .avg_pool import AvgPool1d, AvgPool2d, AvgPool3d, SumPool1d, SumPool2d, SumPool3d
from .checkpoint import Checkpoint
from .conv import Conv1d, Conv2d, Conv3d
from .conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .described import FUNCTIONS
from .dropout import Dropout
from .flatten import Flatten
from .global_pool import AdaptiveAvgPool, GlobalAvgPool, GlobalMaxPool, GlobalSumPool
from .group_norm import GroupNorm
from .initializers import INITIALIZERS, named, values_to_come
from .linear import Linear
from .max_pool import MaxPool1d, MaxPool2d, MaxPool3d
from .maxout import Maxout
from .module import Module
from .noise import GaussianNoise
from .normalization import BatchNorm, LayerNorm
from .prelu import PReLU
from .reshape import Reshape
from .residual import Residual
from .sequential import Sequential
from .upsample import Upsample
from .zero_pad import ZeroPad

LAYERS: dict[str, type[Module]] = {
    c.__name__: c
    for c in (
        Sequential,
        Residual,
        Checkpoint,
        Linear,
        Conv1d,
        Conv2d,
        Conv3d,
        ConvTranspose1d,
        ConvTranspose2d,
        ConvTranspose3d,
        Maxout,
        PReLU,
        BatchNorm,
        LayerNorm,
        GroupNorm,
        Dropout,
        GaussianNoise,
        RandomFlip,
        RandomShift,
        RandomCrop,
        Cutout,
        MaxPool1d,
        MaxPool2d,
        MaxPool3d,
        AvgPool1d,
        AvgPool2d,
        AvgPool3d,
        SumPool1d,
        SumPool2d,
        SumPool3d,
        GlobalMaxPool,
        GlobalAvgPool,
        GlobalSumPool,
        AdaptiveAvgPool,
        Upsample,
        ZeroPad,
        Flatten,
        Reshape,
        Activation,
        *ACTIVATIONS.values(),
    )
}
"""The library's layers by name."""


class ArchitectureError(ValueError):
    """A description of a model is not one, or names what is not known."""


def build(tree: Any, layers: Iterable[type[Module]] = (), *, values: int | None = None) -> Module:
    """The model that `Module.architecture` described.

    Args:
        tree: `{"layer": class name, "arguments": {...}}`.
        layers: your own classes of layers that the model uses.
        values: how many values will be loaded into the model next. Its parameters are
            zeros then, without random numbers drawn, and a model with more of them is
            refused before memory is taken for it.

    Returns:
        A new model, with initial values.

    Raises:
        ArchitectureError: the tree is malformed, or names a layer, function or
            initializer that is neither the library's nor passed in.

    Example:
        >>> from pellucid import nn
        >>> model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
        >>> nn.build(model.architecture())
        Sequential(Linear(2, 1), Sigmoid())
    """
    known = dict(LAYERS)
    for layer in layers:
        if not (isinstance(layer, type) and issubclass(layer, Module)):
            raise TypeError(f"layers must be classes of layers, received {layer!r}")
        known[layer.__name__] = layer
    with contextlib.ExitStack() as stack:
        if values is not None:
            stack.enter_context(values_to_come(values))
            stack.enter_context(random_scope(scope_of(0)))
        try:
            model = _Builder(known).value(tree)
        except RecursionError:
            raise ArchitectureError("the architecture is nested too deeply") from None
    if not isinstance(model, Module):
        raise ArchitectureError(f"expected a layer, received {_shown(tree)}")
    return model


class _Builder:
    """Turns JSON values back into arguments; the reverse of `described.encode`."""

    def __init__(self, known: dict[str, type[Module]]) -> None:
        self.known = known
        self.done: list[Module] = []

    def value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.value(v) for v in tree]
        if not isinstance(tree, dict):
            return tree
        for key, make in self.forms().items():
            if key in tree and not tree.keys() - {key, "arguments"}:
                return make(tree[key], tree.get("arguments", {}))
        raise ArchitectureError(f"expected a layer or a value, received {_shown(tree)}")

    def forms(self) -> dict[str, Callable[[Any, Any], Any]]:
        return {
            "layer": self.layer,
            "shared": lambda n, _: self.done[_index(n, len(self.done))],
            "initializer": self.initializer,
            "function": lambda name, _: _look_up("function", name, FUNCTIONS),
            "tuple": lambda items, _: tuple(self.value(_typed(list, items))),
            "mapping": lambda items, _: {k: self.value(v) for k, v in _typed(dict, items).items()},
            "number": lambda name, _: _look_up("number", name, _NUMBERS),
            "dtype": lambda name, _: np.dtype(_look_up("dtype", name, _DTYPES)),
        }

    def layer(self, name: Any, arguments: Any) -> Module:
        made_of = _look_up("layer", name, self.known)
        given = {k: self.value(v) for k, v in _typed(dict, arguments).items()}
        parameters = made_of.signature().parameters.values()
        takes_rest = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        args: list[Any] = []
        for p in parameters:
            if p.kind is p.VAR_POSITIONAL:
                args += _typed((list, tuple), given.pop(p.name, []))
                takes_rest = False
            elif p.kind is p.VAR_KEYWORD:
                given.update(_typed(dict, given.pop(p.name, {})))
            elif p.name in given and (takes_rest or p.kind is p.POSITIONAL_ONLY):
                args.append(given.pop(p.name))
        try:
            module = made_of(*args, **given)
        except (TypeError, ValueError) as error:
            raise ArchitectureError(
                f"layer {name} cannot be made of {_shown(arguments)}: {error}"
            ) from error
        self.done.append(module)
        return module

    def initializer(self, name: Any, arguments: Any) -> Any:
        _look_up("initializer", name, INITIALIZERS)
        try:
            return named(name, **_typed(dict, arguments))
        except (TypeError, ValueError) as error:
            raise ArchitectureError(f"initializer {name}: {error}") from error


_NUMBERS = {name: float(name) for name in ("inf", "-inf", "nan")}
_DTYPES = {name: name for name in ("bool", "int32", "int64", "uint32", "float32", "float64")}


def _look_up(what: str, name: Any, table: dict[str, Any]) -> Any:
    if not isinstance(name, str) or name not in table:
        hint = ""
        if what == "layer":
            hint = "; if it is your own, pass its class in layers=[...]"
        raise ArchitectureError(f"{what} {_shown(name)} is not known{hint}")
    return table[name]


def _index(n: Any, count: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < count:
        raise ArchitectureError(f"shared layer {_shown(n)} is not known")
    return n


def _typed(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ArchitectureError(f"malformed architecture at {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    words = repr(value)
    return words if len(words) < 120 else words[:117] + "..."
