"""Maxout: the greatest of several linear functions."""

from __future__ import annotations

from typing import Any

from pellucid.core.tensor import Tensor, max, reshape

from .initializers import InitializerLike, he_uniform, zeros
from .linear import Linear, positive_integer
from .module import Module


class Maxout(Module):
    """A dense layer whose units are the greatest of k linear pieces: a learned activation.

    y_j = max_i (x W_ji + b_ji), i = 1 ... pieces, with x (..., in_features) and
    y (..., out_features). With one piece it is a `Linear`; with two it can be a ReLU,
    an absolute value or a leaky ReLU.

    Args:
        in_features: length of an input row.
        out_features: number of units.
        pieces: k, linear pieces of each unit.
        bias: whether b is added.
        weight_init: initial weights (in_features, out_features * pieces), as for `Linear`.
        bias_init: initial biases, likewise.

    Raises:
        ValueError: a length is not a whole number of at least 1.

    Example:
        >>> from pellucid import nn
        >>> layer = nn.Maxout(1, 1, weight_init=lambda shape, rng: [[1.0, -1.0]])
        >>> layer([[-3.0], [2.0]])
        Tensor([[3.],
                [2.]], dtype=float32)

    Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio: Maxout networks (2013).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int = 2,
        bias: bool = True,
        weight_init: InitializerLike = he_uniform,
        bias_init: InitializerLike = zeros,
    ) -> None:
        self.out_features = positive_integer("out_features", out_features)
        self.pieces = positive_integer("pieces", pieces)
        self.linear = Linear(in_features, out_features * pieces, bias, weight_init, bias_init)

    def forward(self, x: Any) -> Tensor:
        z = self.linear(x)  # (..., out_features * pieces)
        return max(reshape(z, (*z.shape[:-1], self.out_features, self.pieces)), -1)
