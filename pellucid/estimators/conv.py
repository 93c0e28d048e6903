"""`ConvClassifier` and `ConvRegressor`: convolutional networks for images and signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pellucid import nn

from .classifying import Classifier
from .hidden import HiddenFeatures
from .net import OwnNetwork
from .network import activation_class, activation_names, whole_numbers
from .options import ANYTHING, BOOLEAN, Rule, number, one_of, whole
from .regressing import Regressor

_LAYERS: Mapping[int, tuple[Any, Any]] = {
    1: (nn.Conv1d, nn.MaxPool1d),
    2: (nn.Conv2d, nn.MaxPool2d),
    3: (nn.Conv3d, nn.MaxPool3d),
}
"""Convolution and pooling by the number of axes of space."""


@dataclass(eq=False, repr=False, kw_only=True)
class Convolutional(HiddenFeatures, OwnNetwork):
    """Convolutions with pooling, then dense layers.

    Rows are signals (length, channels), images (height, width, channels) or volumes, channels
    last; a row of plain numbers is a signal of one channel. Convolutions keep the size, as
    if there were zeros around. Their weights start as the layers of `pellucid.nn` say.

    Args:
        filters: of each convolution.
        kernel_size: places along each axis that a filter sees, for all or for each.
        pool_size: places along each axis that pooling makes one, after each convolution, where
            there are so many; 1 for no pooling.
        global_pool: whether dense layers see the mean of each filter over all places, rather
            than every place.
        hidden_layer_sizes: units of the dense layers before the outputs.
        activation: of convolutions and hidden layers.
        dropout: probability with which a unit of a dense hidden layer is left out of a step.
        batch_norm: whether sums of convolutions are normalized over the batch.
        batch_size: rows per step; "auto" means 200, or all if there are fewer.
    """

    filters: Any = (16, 32)
    kernel_size: Any = 3
    pool_size: int = 2
    global_pool: bool = False
    hidden_layer_sizes: Any = (64,)
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    batch_size: int | str = 32

    _sparse: ClassVar[str | bool] = False
    _rules: ClassVar[Mapping[str, Rule]] = {
        **OwnNetwork._rules,
        "filters": ANYTHING,
        "kernel_size": ANYTHING,
        "pool_size": whole(1),
        "global_pool": BOOLEAN,
        "hidden_layer_sizes": ANYTHING,
        "activation": one_of(*activation_names()),
        "dropout": number(0, 1, below=True),
        "batch_norm": BOOLEAN,
    }

    def _made(self, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
        act = activation_class(self.activation)
        layers: list[nn.Module] = []
        ends: list[int] = []
        convolution, pooling = _LAYERS[len(shape) - 1]
        *space, channels = shape
        filters = whole_numbers("filters", self.filters)
        for count, size in zip(
            filters, whole_numbers("kernel_size", self.kernel_size, len(filters)), strict=True
        ):
            normal = [nn.BatchNorm(count)] if self.batch_norm else []
            layers += [convolution(channels, count, size, padding="same", bias=not normal)]
            layers += [*normal, act()]
            if 1 < self.pool_size <= min(space):
                layers.append(pooling(self.pool_size))
                space = [n // self.pool_size for n in space]
            ends.append(len(layers))
            channels = count
        layers.append(nn.GlobalAvgPool() if self.global_pool else nn.Flatten())
        width = channels if self.global_pool else channels * math.prod(space)
        hidden = whole_numbers("hidden_layer_sizes", self.hidden_layer_sizes)
        if not hidden:
            ends.append(len(layers))
        for units in hidden:
            layers += [nn.Linear(width, units), act()]
            ends.append(len(layers))
            layers += [nn.Dropout(self.dropout)] if self.dropout else []
            width = units
        return nn.Sequential(*layers, nn.Linear(width, self.n_outputs_)), tuple(ends)

    def _shaped(self, X: Any) -> Any:
        X = super()._shaped(X)
        if X.ndim == 2:
            X = X[:, :, None]
        if X.ndim - 2 not in _LAYERS:
            raise ValueError(
                "rows must be signals (length, channels), images (height, width, channels) or "
                f"volumes, received rows of shape {X.shape[1:]}"
            )
        return X

    @property
    def _n_features_out(self) -> int:
        last: Any = self.model_
        return int(last.layers[-1].in_features)


@dataclass(eq=False, repr=False)
class ConvClassifier(Convolutional, Classifier):
    """A convolutional network that learns classes of images or signals.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from pellucid.estimators import ConvClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> images = X.reshape(-1, 8, 8, 1).astype("float32") / 16
        >>> net = ConvClassifier((8, 16), tol=0.01, n_iter_no_change=3, random_state=0)
        >>> net.fit(images[:1200], y[:1200]).score(images[1200:], y[1200:]) > 0.9
        True
        >>> net.transform(images).shape, net.transform(images, layer=0).shape
        ((1797, 64), (1797, 4, 4, 8))
    """

    filters: Any = (16, 32)

    _rules: ClassVar[Mapping[str, Rule]] = {**Classifier._rules, **Convolutional._rules}


@dataclass(eq=False, repr=False)
class ConvRegressor(Convolutional, Regressor):
    """A convolutional network that learns quantities from images or signals.

    Example:
        >>> import numpy as np
        >>> from pellucid.estimators import ConvRegressor
        >>> signals = np.random.default_rng(0).normal(size=(300, 20, 1)).astype("float32")
        >>> peak = signals.max(axis=(1, 2))  # wherever it is
        >>> net = ConvRegressor(8, learning_rate_init=0.01, tol=1e-3, random_state=0)
        >>> net.fit(signals, peak).score(signals, peak) > 0.8
        True
    """

    filters: Any = (16, 32)
    loss: Any = "squared_error"

    _rules: ClassVar[Mapping[str, Rule]] = {**Regressor._rules, **Convolutional._rules}
