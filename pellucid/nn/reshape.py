"""Reshape: each example in another shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.core.tensor import Tensor, reshape, tensor

from .linear import positive_integer
from .module import Module


class Reshape(Module):
    """The numbers of each example in another shape: (batch, ...) to (batch, *shape).

    It makes images of rows of pixels, and undoes `Flatten`.

    Args:
        shape: of one example; its lengths multiply to what an example holds.

    Raises:
        ValueError: a length is not at least 1; called with examples of another size.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.Reshape((28, 28, 1))(np.zeros((5, 784))).shape
        (5, 28, 28, 1)
    """

    def __init__(self, shape: int | Sequence[int]) -> None:
        lengths = shape if isinstance(shape, tuple | list) else (shape,)
        self.shape = tuple(positive_integer("shape", n) for n in lengths)

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        if x.ndim == 0:
            raise ValueError("expected input of shape (batch, ...), received a single number")
        return reshape(x, (x.shape[0], *self.shape))
