"""Dropout: units left out at random while training."""

from __future__ import annotations

from typing import Any

from pellucid.core.random import uniform
from pellucid.core.tensor import Tensor, tensor, where

from .mode import is_training
from .module import Module


class Dropout(Module):
    """Sets each element to zero with probability p in training, and scales the others up.

    y = x m / (1 - p) with m = 1 with probability 1 - p, else 0: the expected value
    is x, so that in use the layer does nothing. Not `inverted`, y = x m in training and
    x (1 - p) in use: again what training gives in the mean.

    Args:
        p: probability of leaving an element out, in [0, 1).
        inverted: whether to scale in training instead of in use.

    Raises:
        ValueError: p is outside [0, 1).

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> layer = nn.Dropout(0.5)
        >>> layer(pe.tensor([1.0, 2.0]))
        Tensor([1., 2.], dtype=float32)
        >>> with nn.training_mode():
        ...     y = layer(pe.tensor([1.0] * 1000))
        >>> set(y.numpy().tolist()) == {0.0, 2.0}
        True

    Source: Srivastava and others: Dropout: a simple way to prevent neural networks
    from overfitting (2014), in its inverted form.
    """

    def __init__(self, p: float = 0.5, inverted: bool = True) -> None:
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p < 1:
            raise ValueError(f"p must be a probability from 0 to below 1, received {p!r}")
        self.p = float(p)
        self.inverted = bool(inverted)

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        if self.p == 0:
            return x
        if not is_training():
            return x if self.inverted else x * (1 - self.p)
        kept = uniform(x.shape) >= self.p
        return where(kept, x * (1 / (1 - self.p)) if self.inverted else x, 0.0)
