"""ZeroPad: zeros around signals, images and volumes."""

from __future__ import annotations

from typing import Any

from pellucid.core.movement import pad
from pellucid.core.tensor import Tensor, tensor

from .geometry import LENGTHS, PaddingLike, axes_of_space, explicit_padding
from .module import Module


class ZeroPad(Module):
    """Zeros put before and after each axis of space.

    Args:
        padding: how many: one number for all sides; for each axis one for both its sides,
            or a pair (before, after): ((top, bottom), (left, right)).

    Raises:
        ValueError: a number is negative; called with what has no axis of space, or another
            number of them.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn
        >>> nn.ZeroPad(((1, 0), (2, 2)))(np.ones((5, 28, 28, 1))).shape
        (5, 29, 32, 1)
    """

    def __init__(self, padding: PaddingLike) -> None:
        sides = len(padding) if isinstance(padding, tuple | list) else 1
        if sides not in LENGTHS:
            raise ValueError(f"padding must be given for 1 to 3 axes, received {padding!r}")
        explicit_padding(padding, sides)
        self.padding = padding

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        sides = explicit_padding(self.padding, axes_of_space(x))
        before, after = zip(*sides, strict=True)
        return pad(x, (0, *before, 0), (0, *after, 0))
