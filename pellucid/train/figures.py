"""The figures of each epoch: the columns of a history, and the rows that fill them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .evaluate import Evaluation
from .loop import Loop
from .metrics import AnyMetric, per_row
from .rate import Rate
from .used import UsedWeights
from .whole_set import WholeSet


def columns_of(
    metrics: Mapping[str, AnyMetric], sets: Iterable[str], rate: Rate | None
) -> dict[str, bool | None]:
    """The columns of a history; for each, whether a greater figure is a better one.

    Args:
        metrics: what is measured, by name.
        sets: names of the validation sets.
        rate: the learning rate, where it may change.

    Raises:
        ValueError: two columns have one name, or a metric has no place.
    """
    for name, metric in metrics.items():
        if isinstance(metric, WholeSet) and not sets:
            raise ValueError(
                f"metric {name} is measured on whole sets, not on training rows in passing: give "
                "fit a validation set, or call evaluate after training"
            )
        if isinstance(metric, WholeSet) and not metric.is_number:
            raise ValueError(
                f"metric {name} is not a single number, as a history holds; call evaluate for it"
            )
    in_passing = {name: metric.greater_is_better for name, metric in per_row(metrics).items()}
    of_a_set = {name: metric.greater_is_better for name, metric in metrics.items()}
    found = [("epoch", None), ("loss", False), *in_passing.items()]
    for one in sets:
        found += [(f"{one}_{name}", up) for name, up in ({"loss": False} | of_a_set).items()]
    found += [] if rate is None else [("learning_rate", None)]
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"two columns of the history would be called {name!r}; give the validation set or "
                "the metric another name"
            )
    return dict(found)


class EpochFigures:
    """Adds records up to the figures of whole epochs, and measures the validation sets.

    Args:
        loop: whose records they are.
        metrics: what is measured, by name.
        evaluations: of the validation sets, by name.
        rate: the learning rate, where it may change.
        used: gives the model the weights with which it is measured.

    Attributes:
        sums: of the records' columns over the steps of the epoch under way; 0.0 between two.
    """

    def __init__(
        self,
        loop: Loop,
        metrics: Mapping[str, AnyMetric],
        evaluations: Mapping[str, Evaluation],
        rate: Rate | None,
        used: UsedWeights,
    ) -> None:
        self.loop = loop
        self._used = used
        self._metrics = list(per_row(metrics).values())
        self._evaluations = evaluations
        self._rate = rate
        self.sums: Any = 0.0

    def of_epochs_ended(self, records: np.ndarray) -> np.ndarray:
        """One row for each epoch that the latest steps have brought to its end.

        Steps are added up one after the other, however they are cut into calls.

        Args:
            records: of the latest steps: part of one epoch, or whole ones; no more than
                one where there are validation sets or a learning rate.

        Returns:
            Epoch number, loss and metrics, those of each validation set, and the learning
            rate (epochs, columns).
        """
        per_epoch = min(self.loop.steps_per_epoch, len(records))
        exact = records.astype(np.float64)
        exact[:, 0] *= exact[:, 1]
        exact[0] += self.sums
        sums = exact.reshape(-1, per_epoch, exact.shape[1]).sum(axis=1)  # in ascending order
        if self.loop.done % self.loop.steps_per_epoch:
            self.sums = sums[0].copy()
            return np.empty((0, exact.shape[1]))
        self.sums = 0.0
        last = self.loop.done // self.loop.steps_per_epoch
        means = (sums[:, 2:] / self.loop.rows).T
        columns = [np.arange(last - len(sums) + 1, last + 1), sums[:, 0] / sums[:, 1]]
        columns += [m.of_mean(mean) for m, mean in zip(self._metrics, means, strict=True)]
        columns += [np.array([figure]) for figure in self._measured()]
        return np.column_stack(columns)

    def _measured(self) -> list[float]:
        """The figures of the validation sets, and the learning rate."""
        found = []
        if self._evaluations:
            self._used.put()
        for evaluation in self._evaluations.values():
            for name, figure in evaluation().items():
                if np.ndim(figure):
                    raise ValueError(
                        f"metric {name} gave an array of shape {np.shape(figure)}; expected a "
                        "single number, as a history holds"
                    )
                found.append(float(figure))
        return found + ([] if self._rate is None else [float(self._rate.latest.value)])
