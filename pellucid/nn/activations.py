"""Activations: functions of one tensor, and the layers made from them.

An activation is a function `(x, option=default, ...)`. `layer` makes a layer of it
and enters it into `ACTIVATIONS`; that is all there is to adding one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar

from pellucid.core.functions import log_softmax, softmax, softplus, square
from pellucid.core.tensor import (
    Tensor,
    absolute,
    cos,
    erf,
    exp,
    floor,
    relu,
    sigmoid,
    sin,
    tanh,
    tensor,
    where,
)

from .described import FUNCTIONS
from .module import Module

ACTIVATIONS: dict[str, type[ActivationLayer]] = {}
"""Layers made of activations, by the function's name."""


class Activation(Module):
    """Any function of one tensor as a layer.

    Args:
        function: takes and returns a tensor, element by element or row by row.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.Sequential(nn.Linear(2, 2), nn.Activation(pe.sin))
        Sequential(Linear(2, 2), Activation(sin))
    """

    function: Callable[..., Any]

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise TypeError(f"Activation needs a function of one tensor, received {function!r}")
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


class ActivationLayer(Activation):
    """A layer made of an activation of the table; its arguments are the function's options."""

    table_name: ClassVar[str]
    of: ClassVar[Callable[..., Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        options = self.arguments()
        for name, value in options.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{type(self).__name__}: {name} must be a number, got {value!r}")
            if not math.isfinite(value):
                raise ValueError(f"{type(self).__name__}: {name} must be finite, got {value!r}")
        vars(self).update(options)
        self.options = options

    @classmethod
    def signature(cls) -> inspect.Signature:
        full = inspect.signature(cls.of)
        return full.replace(parameters=list(full.parameters.values())[1:])

    def forward(self, x: Any) -> Any:
        return type(self).of(x, **self.options)


def layer(name: str, function: Callable[..., Any]) -> type[ActivationLayer]:
    """A layer class made of an activation function, entered into `ACTIVATIONS`.

    Args:
        name: of the class.
        function: `(x, option=default, ...)`; the options become the layer's arguments.
    """
    table_name = function.__name__
    made = type(
        name,
        (ActivationLayer,),
        {
            "__doc__": f"`{table_name}` as a layer.\n\n{inspect.getdoc(function)}",
            "__module__": __name__,
            "table_name": table_name,
            "of": staticmethod(function),
        },
    )
    assert issubclass(made, ActivationLayer)
    made.__signature__ = made.signature()  # type: ignore[attr-defined]
    ACTIVATIONS[table_name] = made
    FUNCTIONS[table_name] = function
    return made


def leaky_relu(x: Any, slope: float = 0.01) -> Tensor:
    """x where positive, slope * x elsewhere: no unit stops learning.

    Args:
        x: tensor of any shape.
        slope: derivative for x <= 0.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.leaky_relu(pe.tensor([-2.0, 3.0]), slope=0.1)
        Tensor([-0.2,  3. ], dtype=float32)

    Source: Maas, Hannun, Ng: Rectifier nonlinearities improve neural network
    acoustic models (2013).
    """
    x = tensor(x)
    if x.dtype.kind != "f":
        x = x.astype("float32")
    return x * where(x > 0, tensor(1.0, x.dtype), tensor(slope, x.dtype))


ReLU = layer("ReLU", relu)
LeakyReLU = layer("LeakyReLU", leaky_relu)
Sigmoid = layer("Sigmoid", sigmoid)
Tanh = layer("Tanh", tanh)
Softmax = layer("Softmax", softmax)

# Other functions of the library that a saved model may use as an activation.
_OTHERS = (absolute, cos, erf, exp, floor, log_softmax, sin, softplus, square)
FUNCTIONS.update({function.__name__: function for function in _OTHERS})
