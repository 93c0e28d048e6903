"""Flatten: one row per example."""

from __future__ import annotations

import math
from typing import Any

from pellucid.core.tensor import Tensor, reshape, tensor

from .module import Module


class Flatten(Module):
    """All axes but the first joined into one: (batch, a, b, ...) to (batch, a b ...).

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.Flatten()(np.zeros((5, 28, 28))).shape
        (5, 784)
    """

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        if x.ndim == 0:
            raise ValueError("expected input of shape (batch, ...), received a single number")
        return reshape(x, (x.shape[0], math.prod(x.shape[1:])))
