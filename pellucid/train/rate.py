"""The learning rate of a run, where callbacks may change it while it goes on."""

from __future__ import annotations

import numpy as np

from pellucid.core.node import Node, leaf
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, cast


class Rate:
    """A factor of the learning rate that every step reads, and the rate that came of it.

    Attributes:
        factor: what the optimizer's rate is multiplied with, float64 ().
        latest: the rate of the latest step, float64 ().
    """

    def __init__(self) -> None:
        self.factor = Cell(np.array(1.0), name="rate factor")
        self.latest = Cell(np.array(np.nan), name="learning rate")

    def multiplied(self, rate: Tensor, t: Tensor) -> Tensor:
        """The rate of a step, traced; see `Optimizer.with_rate`."""
        self._traced = rate * cast(Tensor(leaf(self.factor)), rate.dtype)
        return self._traced

    def update(self) -> tuple[Cell, Node]:
        """What a step that was just traced adds to its updates: the rate it used."""
        return self.latest, cast(self._traced, np.float64).node
