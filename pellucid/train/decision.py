"""How a model's outputs are read as classes, which its loss settles.

Metrics that count classes look at outputs and targets through this, traced or as
arrays of a whole set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.tensor import Tensor, reshape

from .mapped import blocks

EXCLUSIVE = "exclusive"  # one output per class; the greatest one says the class
TWO = "two"  # a single output; class 1 above the boundary, else class 0
INDEPENDENT = "independent"  # several outputs, each of them telling two classes apart

CLASSES = ("classes", "probabilities", "signs")
"""Kinds of target, as losses name them, that are classes."""

VALUES = ("values", "counts")
"""Kinds of target that are quantities."""

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Decision:
    """How outputs and targets are read as classes.

    Attributes:
        kind: EXCLUSIVE, TWO or INDEPENDENT.
        classes: how many there are; 2 for each of independent outputs.
        loss: the loss that the outputs are for.
        boundary: where an output that tells two classes apart goes from 0 to 1.
    """

    kind: str
    classes: int
    loss: nn.Loss
    boundary: float = 0.0

    def traced(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (batch, ..., classes), or (batch, ..., 1) where an output tells two apart."""
        if self.kind != EXCLUSIVE:
            shape = (prediction.shape[0], math.prod(prediction.shape[1:]), 1)
            prediction, target = reshape(prediction, shape), reshape(target, shape)
            prediction = prediction - self.boundary if self.boundary else prediction
        return prediction, target


def decision_of(loss: nn.Loss, y: np.ndarray, output_shape: tuple[int, ...]) -> Decision:
    """The decision that a loss calls for.

    Losses over classes read the greatest output or the sign of a logit. With other
    losses, a single output lies nearer to one of two values that stand for the
    classes, 0 and 1, or -1 and 1; with a loss of the user's own it is a logit.

    Args:
        loss: the loss.
        y: targets, as the loss takes them.
        output_shape: of the model's output for one row.
    """
    aim = loss.target.name
    single = not output_shape or output_shape[-1] == 1
    if aim in ("probabilities", "signs"):
        kind = TWO if math.prod(output_shape) == 1 else INDEPENDENT
    else:
        kind = TWO if single and aim != "classes" else EXCLUSIVE
    boundary = 0.5 if aim in VALUES and not has_negative(y) else 0.0
    return Decision(kind, output_shape[-1] if kind == EXCLUSIVE else 2, loss, boundary)


def has_negative(y: np.ndarray) -> bool:
    """Whether a target is below 0."""
    return any(bool((rows < 0).any()) for _, rows in blocks(y))


def fits_any(decision: Decision) -> str:
    """Why a metric cannot be measured under a decision: no reason."""
    return ""


def check_coded(decision: Decision, y: np.ndarray, name: str) -> None:
    """Refuse targets of a loss over quantities that do not stand for classes.

    Args:
        decision: how they would be read.
        y: the targets.
        name: of the metric that wants classes.
    """
    if decision.loss.target.name not in VALUES:
        return
    low = -1 if has_negative(y) else 0
    wrong = (y != low) & (y != 1)
    if decision.kind == EXCLUSIVE:
        wrong |= (np.sum(y == 1, axis=-1) != 1)[..., None]
    if wrong.any():
        row = int(np.argmax(wrong.reshape(len(y), -1).any(axis=1)))
        coded = "one-hot rows" if decision.kind == EXCLUSIVE else "0 and 1, or -1 and 1"
        raise ValueError(
            f"metric {name} counts classes, so that with loss {decision.loss.name} targets must be "
            f"{coded}; received {y[row].tolist()} in row {row} (counted from 0)"
        )


# -- whole sets -----------------------------------------------------------------------


def _classes(decision: Decision, prediction: np.ndarray, target: np.ndarray) -> Pair:
    """Class numbers (rows,); 0 and 1 (rows, outputs) for independent outputs."""
    if decision.kind == EXCLUSIVE:
        return _numbers(decision, prediction, target), prediction.argmax(-1).reshape(-1)
    shape = (-1,) if decision.kind == TWO else (len(prediction), -1)
    found = prediction.reshape(shape) > decision.boundary
    return (target.reshape(shape) > 0.5).astype(np.int64), found.astype(np.int64)


def _numbers(decision: Decision, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    hot = target.shape == prediction.shape
    return (target.argmax(-1) if hot else target).reshape(-1).astype(np.int64)


def _probabilities(decision: Decision, prediction: np.ndarray, target: np.ndarray) -> Pair:
    """Class numbers, and the probability of class 1 (rows,) of two, or of each (rows, classes)."""
    if decision.kind == EXCLUSIVE and decision.classes > 2:
        logits = prediction.reshape(-1, decision.classes).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return _numbers(decision, prediction, target), shares
    y, logits = _scores(decision, prediction, target)
    return y, np.exp(-np.logaddexp(0.0, -logits))


def _scores(decision: Decision, prediction: np.ndarray, target: np.ndarray) -> Pair:
    """As probabilities, but for two classes the logit, which tells more of them apart."""
    y, _ = _classes(decision, prediction, target)
    outputs = prediction.astype(np.float64)
    if decision.kind != EXCLUSIVE:
        return y, outputs.reshape(y.shape)
    outputs = outputs.reshape(-1, decision.classes)
    if decision.classes == 2:
        return y, outputs[:, 1] - outputs[:, 0]
    return (
        _probabilities(decision, prediction, target) if decision.loss.from_logits else (y, outputs)
    )


def _outputs(decision: Decision, prediction: np.ndarray, target: np.ndarray) -> Pair:
    """Targets and outputs as they are, of the same number of columns (rows, columns)."""
    y, outputs = (a.reshape(len(a), -1).astype(np.float64) for a in (target, prediction))
    return y, outputs


READINGS: dict[str, Callable[[Decision, np.ndarray, np.ndarray], Pair]] = {
    "classes": _classes,
    "probabilities": _probabilities,
    "scores": _scores,
    "outputs": _outputs,
}
"""What metrics of whole sets may read, each as `(y_true, y_pred)`."""


def check_reading(reading: str, decision: Decision, name: str) -> Any:
    """Refuse probabilities where a loss does not make any of a model's outputs."""
    if reading == "probabilities" and not decision.loss.from_logits:
        raise ValueError(
            f"metric {name} reads probabilities, which loss {decision.loss.name} does not make of "
            'a model\'s outputs; use cross-entropy, or reads="scores" or "outputs"'
        )
