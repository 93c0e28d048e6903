"""What a search may choose: the shape of a network, its loss, and how it learns.

A space is plain data: a name, and a list of choices or the two ends of a range. A
configuration takes one value of each. Nothing here knows how values are chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import nn, optim
from pellucid.core.random import random_scope, scope_of

from . import checks
from .fit import fit
from .run import Run

Choices = tuple[Any, ...]
Configuration = dict[str, Any]

CLASSES, QUANTITIES = "classification", "regression"

OBJECTIVES: dict[str, Choices] = {
    CLASSES: ("cross_entropy", "multi_class_hinge"),
    QUANTITIES: ("mean_squared_error", "absolute_error", "huber"),
}

DEFAULTS: dict[str, Any] = {
    "layers": (1, 3),
    "width": [16, 32, 64, 128, 256],
    "activation": ["relu", "tanh", "elu", "gelu", "silu"],
    "objective": None,  # those of the task
    "optimizer": ["adam", "adamw", "nadam", "rmsprop", "nesterov"],
    "learning_rate": (1e-4, 1e-1),
    "dropout": [0.0],
    "batch_size": [32],
}
"""What is chosen from, if nothing else is said."""

_WHOLE = {"layers": 0, "width": 1, "batch_size": 1}  # the least value of each
_BY_RATIO = {"width", "learning_rate", "batch_size"}
_NAMES: dict[str, Mapping[str, Any]] = {
    "activation": nn.ACTIVATIONS,
    "objective": nn.LOSSES,
    "optimizer": optim.OPTIMIZERS,
}


@dataclass(frozen=True)
class Range:
    """All values from one end to the other.

    Attributes:
        low: the least.
        high: the greatest.
        whole: whether only whole numbers count.
        by_ratio: whether 1 to 2 is as likely as 2 to 4.
    """

    low: float
    high: float
    whole: bool
    by_ratio: bool


Space = dict[str, Range | Choices]


def space_of(given: Mapping[str, Any] | None, task: str) -> Space:
    """The space that a user gave, checked, with the defaults for what was not said.

    Args:
        given: by name, a list of choices, a tuple of the two ends of a range, or a value.
        task: "classification" or "regression".

    Raises:
        ValueError: a name or a value is none that can be searched over.

    Example:
        >>> from pellucid.train.space import space_of
        >>> space = space_of({"width": [32, 64], "learning_rate": (1e-3, 1e-1)}, "classification")
        >>> space["width"], space["learning_rate"]
        ((32, 64), Range(low=0.001, high=0.1, whole=False, by_ratio=True))
    """
    unknown = sorted(set(given or {}) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"a search chooses {', '.join(DEFAULTS)}; received {unknown[0]!r}")
    entries = {**DEFAULTS, "objective": list(OBJECTIVES[task]), **(given or {})}
    return {name: _entry(name, value) for name, value in entries.items()}


def _entry(name: str, value: Any) -> Range | Choices:
    if isinstance(value, tuple):
        if name in _NAMES or len(value) != 2:
            raise ValueError(
                f"{name} must be a list of choices"
                + ("" if name in _NAMES else ", or a tuple of the two ends of a range")
                + f"; received {value!r}"
            )
        low, high = (_value(name, end) for end in value)
        if not low <= high:
            raise ValueError(f"{name} must have a range from less to more, received {value!r}")
        return Range(low, high, name in _WHOLE, name in _BY_RATIO)
    choices = tuple(_value(name, v) for v in (value if isinstance(value, list) else [value]))
    if not choices or len(set(choices)) < len(choices):
        raise ValueError(f"{name} must have different choices, received {value!r}")
    return choices


def _value(name: str, value: Any) -> Any:
    """One value of a name, checked."""
    if name in _NAMES:
        checks.one_of(value, name, _NAMES[name])
        return value
    kind: Any = int if name in _WHOLE else int | float
    sound = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if name in _WHOLE:
        sound = sound and value >= _WHOLE[name]
        wanted = f"a whole number of at least {_WHOLE[name]}"
    elif name == "dropout":
        sound, wanted = sound and 0 <= value < 1, "a number in [0, 1)"
    else:
        sound, wanted = sound and value > 0, "a number above 0"
    if not sound:
        raise ValueError(f"{name} must be {wanted}, received {value!r}")
    return value


def network_of(
    configuration: Configuration, input_shape: tuple[int, ...], outputs: int
) -> nn.Module:
    """A network of dense layers, all of one width.

    Args:
        configuration: says how many layers, how wide, with which activation and dropout.
        input_shape: of one row.
        outputs: how many.
    """
    layers: list[nn.Module] = [nn.Flatten()] if len(input_shape) > 1 else []
    wide = math.prod(input_shape)
    for _ in range(configuration["layers"]):
        layers += [nn.Linear(wide, configuration["width"])]
        layers += [nn.ACTIVATIONS[configuration["activation"]]()]
        if configuration["dropout"]:
            layers.append(nn.Dropout(configuration["dropout"]))
        wide = configuration["width"]
    return nn.Sequential(*layers, nn.Linear(wide, outputs))


def train_configuration(
    configuration: Configuration,
    X: np.ndarray,
    y: np.ndarray,
    outputs: int,
    seed: int,
    **options: Any,
) -> Run:
    """A network of a configuration, trained; the same arguments give the same bits.

    Args:
        configuration: a value of each name in `DEFAULTS`.
        X: inputs (rows, ...).
        y: class numbers (rows,), or quantities (rows, outputs).
        outputs: of the network.
        seed: of the initial weights, orders, and rows held out.
        options: further arguments of `fit`.
    """
    with random_scope(scope_of(seed)):
        model = network_of(configuration, X.shape[1:], outputs)
    silence(model, X)
    rule = optim.OPTIMIZERS[configuration["optimizer"]](configuration["learning_rate"])
    return fit(
        model,
        X,
        y,
        loss=configuration["objective"],
        optimizer=rule,
        batch_size=configuration["batch_size"],
        seed=seed,
        verbose=False,
        **options,
    )


def silence(model: nn.Module, X: np.ndarray) -> None:
    """Start without weights from inputs that are 0 in all rows, such as "other" categories.

    Nothing is learned of them; with weights drawn at random a category that was never
    met would add noise, without weights it adds nothing.

    Args:
        model: its first dense layer takes the inputs.
        X: inputs (rows, ...).
    """
    first = next(m for m in model.modules() if isinstance(m, nn.Linear))
    flat = X.reshape(len(X), -1)
    if flat.shape[1] == first.in_features:
        weight = first.weight.numpy().copy()
        weight[~flat.any(axis=0)] = 0.0
        first.weight.assign(weight)
