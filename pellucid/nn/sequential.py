"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, overload

from .activations import Activation
from .module import Module


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


def _not_a_layer(given: Any, position: int) -> str:
    hint = ""
    if isinstance(given, type):
        hint = f"; write {given.__name__}()"
    elif isinstance(given, list | tuple):
        hint = "; write Sequential(*layers)"
    return f"Sequential needs layers or functions, received {given!r} at position {position}{hint}"
