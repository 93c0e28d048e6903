"""GaussianNoise: normal noise added while training."""

from __future__ import annotations

import math
from typing import Any

from pellucid.core.random import normal
from pellucid.core.tensor import Tensor, cast, tensor

from .mode import is_training
from .module import Module


class GaussianNoise(Module):
    """Adds normal noise with mean 0 in training; nothing in use.

    Args:
        std: standard deviation of the noise.

    Raises:
        ValueError: std is negative or not a number.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.GaussianNoise(0.5)(pe.tensor([1.0, 2.0]))
        Tensor([1., 2.], dtype=float32)

    Source: Sietsma, Dow: Creating artificial neural networks that generalize (1991).
    """

    def __init__(self, std: float = 0.1) -> None:
        if isinstance(std, bool) or not isinstance(std, int | float) or not 0 <= std < math.inf:
            raise ValueError(f"std must be a number of at least 0, received {std!r}")
        self.std = float(std)

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        if self.std == 0 or not is_training():
            return x
        return x + self.std * cast(normal(x.shape), x.dtype)
