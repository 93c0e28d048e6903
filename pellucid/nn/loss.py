"""Loss: what every loss is, and the table of them; the rows are in `losses`.

Means, weights and checks are the same for all and written once, here.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pellucid.core.movement import expand
from pellucid.core.tensor import Tensor, cast, divide, mean, sum, tensor, where

from .targets import ANYTHING, CLASSES, PROBABILITIES, SIGNS, Target

Terms = Callable[..., Tensor]


@dataclass(frozen=True, eq=False, repr=False)
class Loss:
    """A loss function, called as `loss(prediction, target)`.

    The terms l_i of a batch are averaged, weighted by w_i if weights are given:
    loss = sum(w_i l_i) / sum(w_i), and 0 where all weights of a batch are 0. A term
    belongs to an example, or to one output of it, which then counts on its own.

    Attributes:
        name: its name in `LOSSES`.
        terms: `(prediction, target, **options) -> tensor` of shape (batch, ...), or
            a single number for the whole batch.
        target: the kind of target it takes.
        class_weights: `(target, weights) -> tensor` with the weight of each term, or
            None where there are no classes.
        from_logits: whether it applies softmax or sigmoid itself, so that the model
            must not end with one.
        options: what `with_options` was given.
    """

    name: str
    terms: Terms
    target: Target = ANYTHING
    class_weights: Callable[[Tensor, Tensor], Tensor] | None = None
    from_logits: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, prediction: Any, target: Any, sample_weight: Any = None) -> Tensor:
        """The loss of a batch.

        Args:
            prediction: the model's output, shape (batch, ...).
            target: one row per example; see the loss.
            sample_weight: weight of each example, shape (batch,); all 1 by default.

        Returns:
            A single number.

        Raises:
            ValueError: shapes do not fit, or a target that is known is not allowed.
        """
        total, weight = self.total_and_weight(prediction, target, sample_weight)
        return total if weight is None else divide(total, weight)

    def total_and_weight(
        self, prediction: Any, target: Any, sample_weight: Any = None
    ) -> tuple[Tensor, Tensor | None]:
        """Numerator and denominator of the loss, to be added up over batches.

        Returns:
            sum(w_i l_i) and sum(w_i) (1 where it would be 0); or the loss and None
            where the loss is a single number for the batch.
        """
        prediction, target = self._fit(prediction, target)
        terms = self._terms(prediction, target)
        weights = self._weights(prediction, target, terms, sample_weight)
        if terms.ndim == 0:
            return terms, None
        if weights is None:
            return sum(terms), tensor(float(np.maximum(terms.size, 1)), terms.dtype)
        weight = sum(weights)
        return sum(weights * terms), where(weight > 0, weight, 1.0)

    def per_example(self, prediction: Any, target: Any) -> Tensor:
        """The loss of each example on its own, unweighted.

        Returns:
            Tensor of shape (batch,).
        """
        terms = self._terms(*self._fit(prediction, target))
        if terms.ndim == 0:
            raise ValueError(f"{self.name} gives one number for the whole batch")
        return mean(terms, tuple(range(1, terms.ndim))) if terms.ndim > 1 else terms

    def check(self, y: Any, output_shape: Sequence[int], dtype: Any = np.float32) -> np.ndarray:
        """Check data before training, and bring it into the form that a step takes.

        Args:
            y: targets, one row per example.
            output_shape: shape of the model's output for one example.
            dtype: in which the model computes.

        Returns:
            Array of that dtype, or int32, with the same number of rows.

        Raises:
            ValueError: a target is not allowed; names the first bad row.
        """
        shape = tuple(output_shape)
        class_weight = self.options.get("class_weight")
        if class_weight is not None and self.target is CLASSES and shape:
            _check_class_count(class_weight, shape[-1])
        return self.target.check(np.asarray(y), shape, np.dtype(dtype))

    def with_options(self, **options: Any) -> Loss:
        """The same loss with options set.

        Args:
            options: those of the loss; `class_weight`, one number per class, for
                losses over classes.

        Example:
            >>> from pellucid import nn
            >>> nn.cross_entropy.with_options(class_weight=[1, 5])
            cross_entropy(class_weight=(1.0, 5.0))
        """
        known = list(inspect.signature(self.terms).parameters)[2:]
        if self.class_weights is not None:
            known.append("class_weight")
        for name in options:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise TypeError(f"{self.name} has no option {name!r}; it has {listed}")
        if options.get("class_weight") is not None:
            checked = check_weights(options["class_weight"], "class_weight")
            if self.target in (PROBABILITIES, SIGNS):
                _check_class_count(checked, 2)
            options["class_weight"] = tuple(map(float, checked))
        for name in options.keys() & _OPTIONS.keys():
            _check_option(name, options[name])
        return replace(self, options=self.options | options)

    def description(self) -> dict[str, Any]:
        """Name and options, as JSON values."""
        options = {k: list(v) if isinstance(v, tuple) else v for k, v in self.options.items()}
        return {"loss": self.name, "arguments": options}

    def __reduce__(self) -> Any:
        """A loss of the table is sent to another process by its name."""
        own = LOSSES.get(self.name)
        if own is None or own.terms is not self.terms:
            return super().__reduce__()
        return _named, (self.name, self.options)

    def __repr__(self) -> str:
        if not self.options:
            return self.name
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.options.items())})"

    def _fit(self, prediction: Any, target: Any) -> tuple[Tensor, Tensor]:
        prediction = tensor(prediction)
        dtype = prediction.dtype if prediction.dtype.kind == "f" else np.dtype(np.float32)
        if not isinstance(target, Tensor):
            target = tensor(self.check(target, prediction.shape[1:], dtype))
        elif target.node.value is not None and not target.node.tracked:
            self.check(target.numpy(), prediction.shape[1:], dtype)
        if prediction.ndim == 0 or prediction.shape[0] != target.shape[0]:
            raise ValueError(
                f"prediction and target must have one row per example, received "
                f"{prediction.shape} and {target.shape}"
            )
        return prediction, self.target.fit(prediction, target)

    def _terms(self, prediction: Tensor, target: Tensor) -> Tensor:
        own = {k: v for k, v in self.options.items() if k != "class_weight"}
        terms = tensor(self.terms(prediction, target, **own))
        if terms.dtype.kind != "f":
            raise TypeError(
                f"loss {self.name} gave {terms.dtype} values, which have no derivative; expected "
                "floating numbers"
            )
        if terms.ndim and terms.shape[0] != prediction.shape[0]:
            raise ValueError(
                f"loss {self.name} gave shape {terms.shape}; expected one term for each of the "
                f"{prediction.shape[0]} examples, or a single number"
            )
        return terms

    def _weights(
        self, prediction: Tensor, target: Tensor, terms: Tensor, sample_weight: Any
    ) -> Tensor | None:
        """The weight of each term, in the shape of the terms; None if all are 1."""
        weights: Tensor | None = None
        class_weight = self.options.get("class_weight")
        if class_weight is not None and self.class_weights is not None:
            weights = self.class_weights(target, tensor(class_weight, terms.dtype))
        if sample_weight is not None:
            given = cast(tensor(sample_weight), terms.dtype)
            if terms.ndim == 0:
                raise ValueError(
                    f"loss {self.name} gives one number for the whole batch, which examples "
                    "cannot be weighted in; let it return one loss per example"
                )
            if given.shape != terms.shape[:1]:
                raise ValueError(
                    f"sample_weight must have shape {terms.shape[:1]}, received {given.shape}"
                )
            each = expand(given, terms.shape, tuple(range(1, terms.ndim)))
            weights = each if weights is None else weights * each
        return weights


def _named(name: str, options: dict[str, Any]) -> Loss:
    return LOSSES[name].with_options(**options)


def check_weights(weights: Any, what: str = "sample_weight") -> np.ndarray:
    """Weights as a float32 vector.

    Raises:
        ValueError: they are not a vector, or one is negative or not finite, or all are 0.
    """
    array = np.asarray(weights)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        raise ValueError(f"{what} must be a vector of numbers, received {weights!r:.80}")
    wrong = ~(np.isfinite(array) & (array >= 0)) if array.dtype.kind == "f" else array < 0
    if array.dtype.kind != "b" and wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"{what} must be finite and not negative, received {array[at]} at position {at}"
        )
    if array.size and not array.any():
        raise ValueError(f"{what} must not be 0 everywhere")
    return array.astype(np.float32)


def _check_option(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number, received {value!r}")
    rule, holds = _OPTIONS[name]
    if not holds(float(value)):
        raise ValueError(f"{name} must be {rule}, received {value:g}")


def _check_class_count(weights: Sequence[float] | np.ndarray, classes: int) -> None:
    if len(weights) != classes:
        raise ValueError(
            f"class_weight needs one number for each of {classes} classes, received {len(weights)}"
        )


# -- the table --------------------------------------------------------------------

LOSSES: dict[str, Loss] = {}
"""Losses by name."""

_COUNTS = ("zero_one", "zero_one_error", "classification_error", "accuracy", "error")
"""Names of what a person counts and no gradient can follow."""

_OPTIONS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "label_smoothing": ("at least 0 and below 1", lambda s: 0 <= s < 1),
    "log_base": ("above 1", lambda b: 1 < b < math.inf),
    "delta": ("above 0", lambda d: 0 < d < math.inf),
}
"""What the options of losses must be."""


def loss(
    target: Target, *names: str, class_weights: Any = None, from_logits: bool = False
) -> Callable[[Terms], Loss]:
    """Make a function of prediction and target a row of `LOSSES`.

    Args:
        target: the kind of target it takes.
        names: other names for it.
        class_weights: see `Loss`.
        from_logits: see `Loss`.
    """

    def add(terms: Terms) -> Loss:
        made = Loss(terms.__name__, terms, target, class_weights, from_logits)
        object.__setattr__(made, "__doc__", terms.__doc__)
        for name in (made.name, *names):
            LOSSES[name] = made
        return made

    return add


def as_loss(given: Any) -> Loss:
    """A loss from what a user passes.

    Args:
        given: a name in `LOSSES`, a `Loss`, or a function
            `(prediction, target) -> tensor` with one loss per example or a single number.

    Raises:
        ValueError: no loss has that name.
        TypeError: it is none of these.
    """
    if isinstance(given, Loss):
        return given
    if isinstance(given, str):
        if given in _COUNTS:
            raise ValueError(
                f"{given!r} counts errors: its derivative is 0 wherever it has one, so nothing can "
                'be learned by its gradient; train with "cross_entropy" or "hinge", and report '
                'it with metrics=["accuracy"]'
            )
        if given not in LOSSES:
            close = difflib.get_close_matches(given, LOSSES, 1, 0.5)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(
                f"no loss is named {given!r}{hint}; there are {', '.join(sorted(LOSSES))}"
            )
        return LOSSES[given]
    if callable(given) and not isinstance(given, type):
        return Loss(getattr(given, "__name__", "loss"), given)
    raise TypeError(f"a loss is a name or a function (prediction, target), received {given!r}")
