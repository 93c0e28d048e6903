"""Sequential: layers one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, overload

from .activations import Activation
from .dropout import Dropout
from .module import Module
from .normalization import BatchNorm


class Sequential(Module):
    """Layers applied one after the other.

    y = f_n(... f_2(f_1(x))).

    Args:
        layers: modules, or functions of one tensor such as `pe.tanh`.

    Raises:
        TypeError: something given is neither.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> model(pe.tensor([[0.0, 1.0]])).shape
        (1, 1)
        >>> model[0], len(model), model.num_parameters
        (Linear(2, 8), 3, 33)
    """

    layers: tuple[Module, ...]

    def __init__(self, *layers: Module | Callable[[Any], Any]) -> None:
        for i, layer in enumerate(layers):
            if isinstance(layer, type) or not callable(layer):
                raise TypeError(_not_a_layer(layer, i))
        self.layers = tuple(
            layer if isinstance(layer, Module) else Activation(layer) for layer in layers
        )
        _warn_of_dropout(self.layers)

    def arguments(self) -> dict[str, Any]:
        """The layers as they are now, functions wrapped."""
        return {"layers": list(self.layers)}

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        return self.layers[index]


def _warn_of_dropout(layers: tuple[Module, ...]) -> None:
    """Batch normalization after dropout with no layer of weights between them."""
    dropout = -1
    for i, layer in enumerate(layers):
        if isinstance(layer, Dropout):
            dropout = i
        elif isinstance(layer, BatchNorm) and dropout >= 0:
            warnings.warn(
                f"BatchNorm at position {i} follows Dropout at position {dropout}: dropout makes "
                "the variance in training greater than in use, so the moving averages will be "
                "wrong; put BatchNorm first, or leave one out",
                UserWarning,
                stacklevel=3,
            )
        elif not isinstance(layer, Activation):
            dropout = -1


def _not_a_layer(given: Any, position: int) -> str:
    hint = ""
    if isinstance(given, type):
        hint = f"; write {given.__name__}()"
    elif isinstance(given, list | tuple):
        hint = "; write Sequential(*layers)"
    return f"Sequential needs layers or functions, received {given!r} at position {position}{hint}"
