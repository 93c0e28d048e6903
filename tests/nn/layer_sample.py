"""A layer to try: what it is made of, what it is given, how PyTorch says the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pellucid as pe
from pellucid import nn

Function = Callable[..., Any]


@dataclass(frozen=True)
class LayerSample:
    """A layer, the shape of one example, and how PyTorch says the same.

    `torch` maps (torch, layer's state as torch tensors) to a function of x.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    torch: Callable[[Any, dict[str, Any]], Function] | None = None
    training: bool = False

    def function(self, dtype: Any = np.float64, rows: int = 3) -> tuple[Function, list[np.ndarray]]:
        """The layer as a function of x and its parameters, and where to evaluate it."""
        pe.random.set_seed(1)
        layer = self.make().astype(dtype)
        names = list(layer.parameters())

        def run(x: Any, *values: Any) -> Any:
            pe.random.set_seed(2)  # the same units drop at every call
            with nn.training_mode(self.training):
                return nn.functional_call(layer, dict(zip(names, values, strict=True)), x)

        x = np.random.default_rng(0).standard_normal((rows, *self.shape)).astype(dtype)
        return run, [x, *(layer.state_dict()[name] for name in names)]
