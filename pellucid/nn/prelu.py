"""PReLU: a leaky ReLU that learns its slope."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, cast, parameter, relu, tensor

from .initializers import constant, initial
from .linear import positive_integer
from .module import Module


class PReLU(Module):
    """x where positive, a x elsewhere, with a learned.

    Args:
        features: 1 for one slope a for all, or one for each position along the last axis.
        slope: a before training.

    Raises:
        ValueError: features is not a whole number of at least 1.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.PReLU(slope=0.5)(pe.tensor([[-2.0, 3.0]]))
        Tensor([[-1.,  3.]], dtype=float32)

    Source: He, Zhang, Ren, Sun: Delving deep into rectifiers (2015).
    """

    def __init__(self, features: int = 1, slope: float = 0.25) -> None:
        shape = (positive_integer("features", features),)
        values = initial(constant(slope), shape)
        self.slope = parameter(values, np.float32, name="slope", role="slope")

    def forward(self, x: Any) -> Tensor:
        x = cast(tensor(x), self.slope.dtype)
        return relu(x) - self.slope * relu(-x)
