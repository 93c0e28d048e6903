"""Networks from descriptions: hidden layers, one after the other, and a layer of outputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from pellucid import nn
from pellucid.core.node import placeholder, tracing
from pellucid.core.random import uniform
from pellucid.core.tensor import Tensor, cast, cos, floor, log, sqrt, tensor, where

_SKLEARN = {"logistic": "sigmoid"}
"""Activations that scikit-learn calls otherwise."""

_LAYER_KEYS = ("units", "activation", "dropout", "batch_norm")


@dataclass(frozen=True)
class Hidden:
    """A hidden layer.

    Attributes:
        units: how many.
        activation: name of an activation.
        dropout: probability with which a unit is left out of a step.
        batch_norm: whether its sums are normalized over the batch.
    """

    units: int
    activation: str
    dropout: float = 0.0
    batch_norm: bool = False


@dataclass(frozen=True)
class Noise:
    """Noise on what a network is given, in training only.

    Attributes:
        kind: "gaussian" or "masking".
        level: standard deviation, or the share of numbers that become 0.
    """

    kind: str
    level: float


class RowNoise(nn.Module):
    """Noise on rows, in training only: drawn for each step, and turned by the row itself.

    u_ij = frac(v_j + m_j frac(c . x_i)): v is drawn anew for each step and spread evenly over
    [0, 1), so u_ij is too; c and m are fixed. Other rows get other noise, and equal rows the same,
    wherever in a batch they stand: a row twice is a row of weight two.

    Args:
        kind: "masking" sets a number to 0 where u < level, "gaussian" adds a normal one.
        level: the share of numbers that become 0, or the standard deviation.
    """

    def __init__(self, kind: str, level: float) -> None:
        self.noise = kind
        self.level = level

    def forward(self, x: Any) -> Tensor:
        """x (batch, features) with noise, or as it is."""
        x = tensor(x)
        if not nn.is_training():
            return x
        fixed = np.random.RandomState(0)
        across = tensor(fixed.normal(0.0, 100.0, (x.shape[1], 1)).astype(x.dtype))
        of_row = _fraction(x @ across)  # (batch, 1)

        def even() -> Tensor:
            times = fixed.randint(16, 1024, x.shape[1]).astype(x.dtype)
            return _fraction(cast(uniform(x.shape[1:]), x.dtype) + of_row * times)

        if self.noise == "masking":
            return where(even() >= self.level, x, 0.0)
        radius = sqrt(-2.0 * log(1.0 - even()))  # as Box and Muller do
        return x + self.level * radius * cos((2.0 * np.pi) * even())


def _fraction(x: Tensor) -> Tensor:
    return x - floor(x)


Part = Hidden | Noise | nn.Module


def activation_names() -> list[str]:
    """What `activation` may be called."""
    return sorted({*nn.ACTIVATIONS, *_SKLEARN})


def activation_class(name: str) -> type[nn.Module]:
    """The layer of an activation, by either name."""
    return nn.ACTIVATIONS[_SKLEARN.get(name, name)]


def whole_numbers(name: str, given: Any, count: int | None = None) -> list[int]:
    """One number of at least 1 for each layer.

    Args:
        name: of the parameter, for the message.
        given: the numbers, or one.
        count: of layers, where it is known: then one number is for all of them.

    Raises:
        ValueError: they are no such numbers, or too few or many.
    """
    found = list(given) if hasattr(given, "__iter__") else [given] * (count or 1)
    if not all(_is_whole(n) and n > 0 for n in found):
        raise ValueError(f"{name} must be > 0: whole numbers, received {given!r}")
    if count is not None and len(found) != count:
        raise ValueError(
            f"{name} must be one number, or one for each of {count} layers, received {given!r}"
        )
    return [int(n) for n in found]


def hidden_layers(
    sizes: Any, activation: Any, dropout: Any, batch_norm: bool, layers: Any
) -> tuple[Part, ...]:
    """The hidden layers that an estimator's parameters describe.

    Args:
        sizes: units of each, or of one; not looked at where `layers` is given.
        activation: of all that name none.
        dropout: of all that name none: a probability, or one for each of `sizes`.
        batch_norm: of all that do not say.
        layers: None, or for each layer its units, a mapping with keys of `Hidden`, a
            layer of `nn`, or a function of one tensor.

    Raises:
        ValueError: a description is not one.
    """
    if layers is None:
        given = whole_numbers("hidden_layer_sizes", sizes)
        shares = list(dropout) if hasattr(dropout, "__iter__") else [dropout] * len(given)
        if len(shares) != len(given):
            raise ValueError(
                f"dropout must be one probability, or one for each of {len(given)} hidden layers, "
                f"received {dropout!r}"
            )
        return tuple(
            _hidden({"units": n, "dropout": p}, activation, p, batch_norm, "hidden_layer_sizes")
            for n, p in zip(given, shares, strict=True)
        )
    if hasattr(dropout, "__iter__"):
        raise ValueError("with layers=[...], dropout must be one probability; say others in layers")
    found: list[Part] = []
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Module):
            found.append(layer)
        elif _is_whole(layer):
            found.append(_hidden({"units": layer}, activation, dropout, batch_norm, f"layers[{i}]"))
        elif isinstance(layer, Mapping):
            found.append(_hidden(layer, activation, dropout, batch_norm, f"layers[{i}]"))
        elif callable(layer) and not isinstance(layer, type):
            found.append(nn.Activation(layer))
        else:
            raise ValueError(
                f"layers[{i}] must be a number of units, a mapping with keys "
                f"{', '.join(_LAYER_KEYS)}, a layer of pellucid.nn or a function, "
                f"received {layer!r}"
            )
    return tuple(found)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _hidden(
    given: Mapping[str, Any], activation: Any, dropout: Any, batch_norm: bool, where: str
) -> Hidden:
    unknown = [key for key in given if key not in _LAYER_KEYS]
    if unknown or "units" not in given:
        what = f"has no key {unknown[0]!r}" if unknown else "lacks units"
        raise ValueError(f"{where} {what}; known are {', '.join(_LAYER_KEYS)}")
    made = {"activation": activation, "dropout": dropout, "batch_norm": batch_norm} | dict(given)
    units, share, name = made["units"], made["dropout"], made["activation"]
    if not _is_whole(units) or units <= 0:
        raise ValueError(f"units must be > 0 in {where}, received {units!r}")
    name = _SKLEARN.get(name, name)
    if name not in nn.ACTIVATIONS:
        raise ValueError(
            f"the activation of {where} must be one of {', '.join(activation_names())}, "
            f"received {name!r}"
        )
    if isinstance(share, bool) or not isinstance(share, float | int) or not 0 <= share < 1:
        raise ValueError(f"dropout must lie in [0, 1) in {where}, received {share!r}")
    return Hidden(int(units), name, float(share), bool(made["batch_norm"]))


@dataclass(frozen=True, eq=False)
class Network:
    """A model, and where its parts are.

    Attributes:
        model: all layers.
        ends: for each hidden layer, how many of the model's layers lead to its output.
        drawn: the activation behind each layer of weights whose initial values an
            estimator draws, None for the outputs; layers that a user made keep theirs.
    """

    model: Any
    ends: tuple[int, ...]
    drawn: tuple[tuple[nn.Linear, str | None], ...]

    def end_of(self, layer: int | str) -> int | str:
        """How many of the model's layers lead to the output of a hidden layer; a name stays one.

        Args:
            layer: which one, counted from 0, or from the end as -1; or the name of a part.

        Raises:
            ValueError: there is no such layer.
        """
        if isinstance(layer, str):
            known = [name for name in self.model.named_modules() if name]
            if layer not in known:
                raise ValueError(f"the network has no part {layer!r}; it has {', '.join(known)}")
            return layer
        ends = self.ends
        if not -len(ends) <= layer < len(ends):
            raise ValueError(
                f"layer must be a number from 0 to {len(ends) - 1}, or from -{len(ends)} to -1, "
                f"of one of {len(ends)} hidden layers, received {layer!r}"
                if ends
                else "the network has no hidden layers with a number: only nn.Sequential of "
                "several layers has; name a part of it, as named_modules() does"
            )
        return ends[layer]


def build(
    parts: Sequence[Part], features: int, outputs: int, dtype: np.dtype, bias: bool = True
) -> Network:
    """A network with weights of zero, but for those of layers that a user made.

    Args:
        parts: the hidden layers.
        features: per row.
        outputs: units of the last layer, which has no activation.
        dtype: float32 or float64.
        bias: whether the last layer has biases.
    """
    layers: list[nn.Module] = []
    ends: list[int] = []
    drawn: list[tuple[nn.Linear, str | None]] = []
    width = features
    for part in parts:
        if isinstance(part, Hidden):
            linear = nn.Linear(width, part.units, weight_init="zeros")
            drawn.append((linear, part.activation))
            layers.append(linear)
            if part.batch_norm:
                layers.append(nn.BatchNorm(part.units))
            layers.append(nn.ACTIVATIONS[part.activation]())
            ends.append(len(layers))
            if part.dropout:
                layers.append(nn.Dropout(part.dropout))
            width = part.units
        elif isinstance(part, Noise):
            layers.append(RowNoise(part.kind, part.level))
        else:
            layers.append(copy.deepcopy(part))
            ends.append(len(layers))
            width = _width_after(layers[-1], width)
    last = nn.Linear(width, outputs, bias, weight_init="zeros")
    drawn.append((last, None))
    model = nn.Sequential(*layers, last)
    model.astype(dtype)
    return Network(model, tuple(ends), tuple(drawn))


def _width_after(layer: nn.Module, width: int) -> int:
    """Length of a row after a layer."""
    with tracing(), nn.training_mode(False):
        found = layer(Tensor(placeholder((2, width), np.dtype(np.float32))))
    if not isinstance(found, Tensor) or found.ndim != 2 or found.shape[0] != 2:
        raise ValueError(f"layer {layer!r} must give one vector per row")
    return found.shape[1]


_BY_ROW = (
    nn.Sequential,
    nn.Linear,
    nn.Maxout,
    nn.PReLU,
    nn.LayerNorm,
    nn.Dropout,
    nn.GaussianNoise,
    nn.Flatten,
    nn.Activation,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.GlobalAvgPool,
    RowNoise,
)
"""Layers in which no row of a batch has to do with another, in training as in use."""


def mixes_rows(model: nn.Module) -> bool:
    """Whether, in training, rows of a batch may have to do with each other."""
    return not all(isinstance(part, _BY_ROW) for part in model.modules())


def draws_numbers(model: nn.Module) -> bool:
    """Whether, in training, layers may draw random numbers."""
    quiet = (*_BY_ROW, nn.BatchNorm)
    noisy = (nn.Dropout, nn.GaussianNoise, RowNoise)
    return any(isinstance(m, noisy) or not isinstance(m, quiet) for m in model.modules())


def draw_initial(network: Network, random: np.random.RandomState) -> None:
    """Draw weights and biases as scikit-learn does, which is as Glorot and Bengio (2010) do.

    Even over +-sqrt(6 / (fan_in + fan_out)), for a layer with sigmoids sqrt(2 / ...); the
    same numbers for the same `random_state`.
    """
    for linear, activation in network.drawn:
        fan_in, fan_out = linear.weight.shape
        bound = np.sqrt((2.0 if _is_logistic(activation, network) else 6.0) / (fan_in + fan_out))
        linear.weight.assign(random.uniform(-bound, bound, (fan_in, fan_out)))
        if linear.bias is not None:
            linear.bias.assign(random.uniform(-bound, bound, fan_out))


def _is_logistic(activation: str | None, network: Network) -> bool:
    """The outputs go by the activation of the hidden layers, of which scikit-learn knows one."""
    if activation is None and len(network.drawn) > 1:
        activation = network.drawn[-2][1]
    return activation == "sigmoid"
