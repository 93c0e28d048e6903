"""What hidden layers give, as features for other estimators: `transform`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from .base import Learner
from .precision import preserved


@dataclass(eq=False, repr=False, kw_only=True)
class HiddenFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Learner):
    """A network with hidden layers that can be asked what they give."""

    def transform(self, X: Any, layer: int | str = -1) -> np.ndarray:
        """The outputs of a hidden layer.

        Args:
            X: rows, as `predict` takes them.
            layer: which one, counted from 0; -1 is the last. Or the name of a part of `model_`,
                as its `named_modules` has it.

        Returns:
            (rows, units of that layer); of a convolution (rows, *space, filters).

        Raises:
            ValueError: there is no such layer.
        """
        return self._outputs(X, layer)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = preserved(self.dtype, self._learns_by_steps())
        return tags
