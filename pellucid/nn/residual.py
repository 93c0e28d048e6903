"""Residual: what a block adds to its input."""

from __future__ import annotations

from typing import Any

from pellucid.core.tensor import Tensor, tensor

from .module import Module


class Residual(Module):
    """A block beside a shortcut: y = inner(x) + shortcut(x).

    The block learns what to change, so that a deep network is no worse than a shallow one,
    and gradients reach every block by the shortcuts.

    Args:
        inner: the block, often a `Sequential`.
        shortcut: brings x to the block's shape where that differs, such as a `Conv2d` with
            windows of 1 and the block's stride; by default x itself is added.

    Raises:
        TypeError: something given is no layer.
        ValueError: called where block and shortcut give different shapes.

    Example:
        >>> import pellucid as pe
        >>> from pellucid import nn
        >>> nn.Residual(nn.Tanh())(pe.tensor([[0.0, 100.0]]))
        Tensor([[  0., 101.]], dtype=float32)

    Source: He, Zhang, Ren, Sun: Deep residual learning for image recognition (2016).
    """

    def __init__(self, inner: Module, shortcut: Module | None = None) -> None:
        if not isinstance(inner, Module):
            raise TypeError(f"Residual needs a layer to stand beside, received {inner!r}")
        if not isinstance(shortcut, Module | None):
            raise TypeError(f"shortcut must be a layer or None, received {shortcut!r}")
        self.inner = inner
        self.shortcut = shortcut

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        y, beside = self.inner(x), x if self.shortcut is None else self.shortcut(x)
        if y.shape != beside.shape:
            raise ValueError(
                f"the block gives shape {y.shape}, the shortcut {beside.shape}; give a shortcut "
                "that leads to the block's shape, such as a Conv2d with windows of 1 and its stride"
            )
        return y + beside
