"""`MLPClassifier` and `MLPRegressor`: multi-layer perceptrons, as scikit-learn's and more."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from pellucid import nn

from .classifying import Classifier
from .engine import Engine
from .hidden import HiddenFeatures
from .network import activation_names, build, hidden_layers
from .options import ANYTHING, BOOLEAN, Rule, one_of, whole
from .pretraining import pretrain
from .regressing import Regressor
from .stored import Described


@dataclass(eq=False, repr=False, kw_only=True)
class HiddenLayers(HiddenFeatures, Described):
    """Hidden layers of linear units, each with an activation.

    Args:
        layers: in place of hidden_layer_sizes, for each hidden layer its number of units, a
            mapping with "units" and any of "activation", "dropout" and "batch_norm", a layer
            of `pellucid.nn`, or a function of one tensor.
        dropout: probability with which a hidden unit is left out of a step, for all layers
            or for each.
        batch_norm: whether hidden sums are normalized over each batch.
        pretrain: "autoencoder" or "rbm": lets each hidden layer learn, without labels, to
            describe what the layer before it gives, before all learn together; see
            `pretraining`.
        pretrain_iter: epochs of that, for each layer.
    """

    layers: Any = None
    dropout: Any = 0.0
    batch_norm: bool = False
    pretrain: str | None = None
    pretrain_iter: int = 10

    _rules: ClassVar[Mapping[str, Rule]] = {
        "hidden_layer_sizes": ANYTHING,
        "activation": one_of(*activation_names()),
        "layers": one_of(None) | Rule("a list of layers", lambda v: isinstance(v, list | tuple)),
        "dropout": ANYTHING,
        "batch_norm": BOOLEAN,
        "pretrain": one_of("autoencoder", "rbm", None),
        "pretrain_iter": whole(1),
    }

    @property
    def _n_features_out(self) -> int:
        return int(self.coefs_[-1].shape[0])

    def _begin(self, engine: Engine, X: Any, random: np.random.RandomState) -> None:
        super()._begin(engine, X, random)
        if self.pretrain is not None:
            pretrain(engine, X, self.pretrain, self.pretrain_iter, random)

    def _network(self, features: int, outputs: int, dtype: np.dtype) -> tuple[Hashable, Any]:
        parts = hidden_layers(
            self.hidden_layer_sizes,
            self.activation,
            self.dropout,
            self.batch_norm,
            self.layers,
        )
        plain = not any(isinstance(part, nn.Module) for part in parts)
        key = (parts, features, outputs, dtype.str) if plain else None
        return key, partial(build, parts, features, outputs, dtype)


@dataclass(eq=False, repr=False)
class MLPClassifier(HiddenLayers, Classifier):
    """A multi-layer perceptron that learns classes.

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: of the hidden layers: "relu", "tanh", "logistic", "identity", or any
            other of `pellucid.nn.ACTIVATIONS`.
    """

    hidden_layer_sizes: Any = (100,)
    activation: str = "relu"

    _rules: ClassVar[Mapping[str, Rule]] = {**Classifier._rules, **HiddenLayers._rules}


@dataclass(eq=False, repr=False)
class MLPRegressor(HiddenLayers, Regressor):
    """A multi-layer perceptron that learns quantities."""

    loss: Any = "squared_error"
    hidden_layer_sizes: Any = (100,)
    activation: str = "relu"

    _rules: ClassVar[Mapping[str, Rule]] = {**Regressor._rules, **HiddenLayers._rules}
