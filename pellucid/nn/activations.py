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
    cast,
    cos,
    erf,
    exp,
    expm1,
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
    x = _floating(x)
    return x * where(x > 0, tensor(1.0, x.dtype), tensor(slope, x.dtype))


def step(x: Any, threshold: float = 0.0) -> Tensor:
    """1 where x > threshold, else 0: the unit of McCulloch and Pitts.

    Its derivative is 0 everywhere, so nothing before it can learn by gradients: `fit`
    and `backward` refuse it, and the perceptron's rule learns with it.

    Args:
        x: tensor of any shape.
        threshold: above which the unit fires.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.step(pe.tensor([-2.0, 0.0, 3.0]))
        Tensor([0., 0., 1.], dtype=float32)

    Source: McCulloch, Pitts: A logical calculus of the ideas immanent in nervous
    activity (1943).
    """
    x = _floating(x)
    return cast(x > threshold, x.dtype)


def identity(x: Any) -> Tensor:
    """x itself, the linear activation: layers with no other between them are one linear layer.

    Args:
        x: tensor of any shape.

    Returns:
        x.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.identity(pe.tensor([-2.0, 3.0]))
        Tensor([-2.,  3.], dtype=float32)
    """
    return tensor(x)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha * (e^x - 1) elsewhere: smooth for alpha = 1, mean near 0.

    Args:
        x: tensor of any shape.
        alpha: -alpha is what large negative inputs give.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.elu(pe.tensor([-1e4, 3.0]), alpha=0.5)
        Tensor([-0.5,  3. ], dtype=float32)

    Source: Clevert, Unterthiner, Hochreiter: Fast and accurate deep network learning
    by exponential linear units (2016).
    """
    x = _floating(x)
    positive = x > 0
    return where(positive, x, alpha * expm1(where(positive, 0.0, x)))


def selu(x: Any) -> Tensor:
    """1.0507 elu(x, 1.6733): keeps mean 0 and variance 1 from layer to layer.

    It does so for weights from `lecun_normal`.

    Args:
        x: tensor of any shape.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.selu(pe.tensor([0.0, 1.0]))
        Tensor([0.      , 1.050701], dtype=float32)

    Source: Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks
    (2017).
    """
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def gelu(x: Any) -> Tensor:
    """x (1 + erf(x / sqrt 2)) / 2: x times the share of normal numbers below it.

    Args:
        x: tensor of any shape.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.gelu(pe.tensor([-1e4, 0.0, 1e4]))
        Tensor([   -0.,     0., 10000.], dtype=float32)

    Source: Hendrycks, Gimpel: Gaussian error linear units (2016).
    """
    x = _floating(x)
    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


def silu(x: Any) -> Tensor:
    """x sigmoid(x), also called swish.

    Args:
        x: tensor of any shape.

    Returns:
        Tensor of x's shape.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.silu(pe.tensor([-1e4, 0.0, 1e4]))
        Tensor([   -0.,     0., 10000.], dtype=float32)

    Source: Elfwing, Uchibe, Doya: Sigmoid-weighted linear units (2018).
    """
    x = _floating(x)
    return x * sigmoid(x)


def _floating(x: Any) -> Tensor:
    x = tensor(x)
    return x if x.dtype.kind == "f" else x.astype("float32")


Step = layer("Step", step)
Identity = layer("Identity", identity)
Sigmoid = layer("Sigmoid", sigmoid)
Tanh = layer("Tanh", tanh)
ReLU = layer("ReLU", relu)
LeakyReLU = layer("LeakyReLU", leaky_relu)
ELU = layer("ELU", elu)
SELU = layer("SELU", selu)
GELU = layer("GELU", gelu)
SiLU = layer("SiLU", silu)
Softplus = layer("Softplus", softplus)
Softmax = layer("Softmax", softmax)
LogSoftmax = layer("LogSoftmax", log_softmax)

# Other functions of the library that a saved model may use as an activation.
_OTHERS = (absolute, cos, erf, exp, floor, sin, square)
FUNCTIONS.update({function.__name__: function for function in _OTHERS})
