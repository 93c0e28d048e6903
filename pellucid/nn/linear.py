"""Linear: x @ weight + bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, cast, matmul, parameter, tensor

from .initializers import InitializerLike, he_uniform, initial, zeros
from .module import Module


def positive_integer(name: str, value: Any) -> int:
    """The value as an int.

    Raises:
        ValueError: it is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, received {value!r}")
    return int(value)


class Linear(Module):
    """A dense layer: every output is a weighted sum of all inputs plus a bias.

    y = x W + b, with x (..., in_features), W the `weight` (in_features,
    out_features), b the `bias` (out_features,), y (..., out_features).

    Args:
        in_features: length of an input row.
        out_features: number of units.
        bias: whether b is added.
        weight_init: initial weights; an initializer, its name, or a function
            `(shape, rng) -> array`. The default suits ReLU: signals keep their size
            however deep the network (He and others, 2015); on small networks it does
            as well as Glorot's.
        bias_init: initial biases, likewise.

    Raises:
        ValueError: a length is not a whole number of at least 1.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> layer = nn.Linear(3, 2)
        >>> layer(pe.tensor([[1.0, 2.0, 3.0]])).shape
        (1, 2)
        >>> layer
        Linear(3, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        weight_init: InitializerLike = he_uniform,
        bias_init: InitializerLike = zeros,
    ) -> None:
        self.in_features = positive_integer("in_features", in_features)
        self.out_features = positive_integer("out_features", out_features)
        if not isinstance(bias, bool | np.bool_):
            raise TypeError(
                f"bias must be True or False, received {bias!r}; an activation is a layer of its "
                "own, after this one"
            )
        shape = (self.in_features, self.out_features)
        self.weight = parameter(initial(weight_init, shape), name="weight", role="weight")
        self.bias: Tensor | None = None
        if bias:
            self.bias = parameter(initial(bias_init, shape[1:]), name="bias", role="bias")

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            hint = ""
            if x.ndim > 2 and int(np.prod(x.shape[1:])) == self.in_features:
                hint = "; put nn.Flatten() before it"
            raise ValueError(
                f"expected input of shape (batch, {self.in_features}), received {x.shape}{hint}"
            )
        y = matmul(cast(x, self.weight.dtype), self.weight)  # (..., out_features)
        return y if self.bias is None else y + self.bias
