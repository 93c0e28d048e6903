"""Labels as classifiers are given them, and as networks learn them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d


@dataclass(frozen=True)
class Labels:
    """The classes of a classifier, in ascending order.

    Attributes:
        classes: the labels (classes,); of a multi-label target the numbers of its columns.
        multilabel: whether a row has any number of them.
    """

    classes: np.ndarray
    multilabel: bool = False

    @classmethod
    def of(cls, y: Any) -> Labels:
        """The classes that labels have.

        Args:
            y: labels (rows,), or 0 and 1 for each class (rows, classes).
        """
        if y.ndim == 2:
            return cls(np.arange(y.shape[1]), multilabel=True)
        return cls(np.unique(y))

    def unknown(self, y: np.ndarray) -> np.ndarray:
        """Labels that are none of the classes."""
        if not self.multilabel:
            return np.setdiff1d(y, self.classes)
        return np.arange(len(self.classes), y.shape[1])

    def numbers(self, y: np.ndarray) -> np.ndarray:
        """Class numbers, int32 (rows,), or 0 and 1 for each class (rows, classes)."""
        if self.multilabel:
            return y.astype(np.int32)
        return np.searchsorted(self.classes, y).astype(np.int32)

    def from_outputs(self, z: np.ndarray) -> np.ndarray:
        """Labels from logits (rows, outputs)."""
        if self.multilabel:
            return (z > 0).astype(int)
        if z.shape[1] == 1:
            return self.classes[np.minimum(z[:, 0] > 0, len(self.classes) - 1)]
        return self.classes[z.argmax(axis=1)]


def checked_labels(y: Any) -> np.ndarray:
    """Labels of a shape and kind that can be learned.

    Raises:
        ValueError: y holds quantities, or several classes per row.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass", "multilabel-indicator"):
        if y.ndim == 2:
            raise ValueError(
                f"Multioutput target data is not supported: y must have one label per row, or 0 "
                f"and 1 for each class; received {kind} of shape {y.shape}"
            )
        raise ValueError(
            f"Unknown label type: {kind}. A classifier needs labels of classes; for quantities "
            "use a regressor"
        )
    return y
