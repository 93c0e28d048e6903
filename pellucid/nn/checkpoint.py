"""Checkpoint: less memory for one more forward pass."""

from __future__ import annotations

from typing import Any

from pellucid.core import late

from .module import Module


class Checkpoint(Module):
    """A block whose intermediate values are computed again for its gradients, not kept.

    Around each block of a deep network it trades time for memory: only the blocks' inputs
    are kept for the backward pass. Outputs, gradients and what is learned are the same to
    the bit. See `pe.checkpoint`.

    Args:
        inner: the block; takes and returns one tensor.

    Raises:
        TypeError: it is no layer.

    Example:
        >>> from pellucid import nn
        >>> block = nn.Checkpoint(nn.Sequential(nn.Linear(8, 8), nn.Tanh()))
        >>> block([[0.0] * 8]).shape, block.num_parameters
        ((1, 8), 72)

    Source: Chen, Xu, Zhang, Guestrin: Training deep nets with sublinear memory cost (2016).
    """

    def __init__(self, inner: Module) -> None:
        if not isinstance(inner, Module):
            raise TypeError(f"Checkpoint needs a layer, received {inner!r}")
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return late.call("Checkpoint.forward", self.inner, x)
