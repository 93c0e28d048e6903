"""The weights that a model is used with, where its optimizer trains it at others."""

from __future__ import annotations

import numpy as np

from .step import TrainingState, cells_of_parameters, copies, restore


class UsedWeights:
    """Lets the model hold what its optimizer wants it used with, and training go on after.

    Where the optimizer wants nothing else, nothing is done and nothing copied.

    Args:
        state: of the training.
    """

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self._cells = cells_of_parameters(state.model)
        self._training: list[np.ndarray] | None = None

    def put(self) -> None:
        """Give the model the weights to be used with; once more changes nothing."""
        state = self._state
        if self._training is None and state.optimizer.has_weights:
            self._training = copies(self._cells)
            found = state.optimizer.weights(state.memory, state.parameters)
            restore(self._cells, [found[name].numpy().copy() for name in state.parameters])

    def take_back(self) -> None:
        """Give the model back the values at which the next gradients are taken."""
        if self._training is not None:
            restore(self._cells, self._training)
            self._training = None
