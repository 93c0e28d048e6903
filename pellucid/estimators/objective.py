"""What networks of this package make small: scikit-learn's losses, and the penalty on weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pellucid import nn
from pellucid.core.tensor import Tensor, exp, log, sum, tensor, where
from pellucid.nn.loss import Loss
from pellucid.nn.targets import COUNTS, PROBABILITIES


def _sum_of_outputs(terms: Tensor) -> Tensor:
    return sum(terms, tuple(range(1, terms.ndim))) if terms.ndim > 1 else terms


def _binary_log_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The cross-entropies of an example's outputs, added up; nn's is their mean."""
    return _sum_of_outputs(nn.binary_cross_entropy_with_logits.terms(prediction, target))


def _half_poisson_deviance(prediction: Tensor, target: Tensor) -> Tensor:
    """y ln(y / e^u) - y + e^u, added up over an example's outputs; y ln y is 0 for y = 0."""
    inside = where(prediction > 30.0, 30.0, prediction)  # beyond, the exponential goes on straight
    deviance = exp(inside) * (1.0 + (prediction - inside)) - target * prediction
    counted = target > 0.0
    deviance = deviance + target * log(where(counted, target, 1.0)) - target
    return _sum_of_outputs(deviance)


BINARY_LOG_LOSS = Loss("log_loss", _binary_log_loss, PROBABILITIES, from_logits=True)
"""Of independent outputs, one or several, which are logits."""

POISSON = Loss("poisson", _half_poisson_deviance, COUNTS)
"""Of outputs that are logarithms of expected counts."""


@dataclass(frozen=True, eq=False, repr=False)
class Objective(Loss):
    """A loss with the penalty that scikit-learn's `alpha` stands for.

    objective = (sum(w_i l_i) + alpha / 2 * sum of the squares of all weights) / sum(w_i)

    Attributes:
        weights: what is penalized: weights, never biases.
        alpha: how strongly, ().
    """

    weights: Sequence[Tensor] = ()
    alpha: Tensor = field(default_factory=lambda: tensor(0.0))

    def total_and_weight(
        self, prediction: Any, target: Any, sample_weight: Any = None
    ) -> tuple[Tensor, Tensor | None]:
        """Numerator and denominator; see `Loss.total_and_weight`."""
        total, weight = super().total_and_weight(prediction, target, sample_weight)
        if weight is None:  # one number for the whole batch, its mean
            return total + self.penalty() / float(prediction.shape[0]), None
        return total + self.penalty(), weight

    def penalty(self) -> Tensor:
        """alpha / 2 * sum(w^2); rows first, which several threads can share."""
        squares = tensor(0.0, self.alpha.dtype)
        for w in self.weights:
            squares = squares + sum(sum(w * w, w.ndim - 1))
        return 0.5 * self.alpha * squares


def penalized(loss: Loss, weights: Sequence[Tensor], alpha: Tensor) -> Objective:
    """The loss with a penalty on weights."""
    given = {f.name: getattr(loss, f.name) for f in fields(Loss)}
    return Objective(**given, weights=tuple(weights), alpha=alpha)
