"""GroupNorm: each example normalized over all places and groups of channels."""

from __future__ import annotations

import math
from typing import Any

from pellucid.core.tensor import Tensor, mean, reshape, sqrt

from .linear import positive_integer
from .normalization import Normalization


class GroupNorm(Normalization):
    """Each example normalized over all places and groups of channels, then scaled and shifted.

    y = gamma (x - m) / sqrt(v + eps) + beta, m and v the mean and variance over all places
    and the channels of one group: the same in training and in use, however small the batch.
    x (batch, *space, features); `groups=features` is known as instance normalization.

    Args:
        groups: into how many groups of equal size the channels are divided.
        features: length of the last axis.
        eps: keeps the division safe.

    Raises:
        ValueError: an argument is outside its range, or groups does not divide features.

    Example:
        >>> from pellucid import nn
        >>> nn.GroupNorm(1, 2)([[[1.0, 3.0], [1.0, 3.0]]])
        Tensor([[[-0.999995,  0.999995],
                 [-0.999995,  0.999995]]], dtype=float32)

    Source: Wu, He: Group normalization (2018).
    """

    def __init__(self, groups: int, features: int, eps: float = 1e-5) -> None:
        self.groups = positive_integer("groups", groups)
        self._learn(features, eps)
        if self.features % self.groups:
            raise ValueError(
                f"groups must divide features: {groups} groups do not divide {features} features "
                "into equal parts"
            )

    def forward(self, x: Any) -> Tensor:
        x = self._checked(x)
        places, parts = math.prod(x.shape[1:-1]), (self.groups, self.features // self.groups)
        grouped = reshape(x, (x.shape[0], places, *parts))
        apart = grouped - mean(grouped, (1, 3), keepdims=True)
        spread = sqrt(mean(apart * apart, (1, 3), keepdims=True) + self.eps)
        return reshape(apart / spread, x.shape) * self.gamma + self.beta
