"""Every estimator with parameters that its tests use: a new one gets every check by a row here."""

from __future__ import annotations

from typing import Any

from pellucid import nn
from pellucid.estimators import (
    Autoencoder,
    BernoulliRBM,
    ConvClassifier,
    ConvRegressor,
    DenoisingAutoencoder,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPMultiOutput,
    MLPRegressor,
    NetClassifier,
    NetRegressor,
    Perceptron,
)


class SmallNet:
    """Makes a network; the text of a function, part of tests' names, would have an address."""

    def __call__(self, features: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(features, 10), nn.Tanh(), nn.Linear(10, outputs))

    def __repr__(self) -> str:
        return "SmallNet()"


SAMPLES: dict[str, Any] = {
    "Perceptron": Perceptron(),
    "Perceptron, shuffled": Perceptron(
        learning_rate=0.1, max_iter=50, shuffle=True, random_state=1, trace=20
    ),
    "Perceptron, without bias": Perceptron(fit_intercept=False, max_iter=50),
    "MLPClassifier": MLPClassifier(),
    "MLPClassifier, lbfgs": MLPClassifier(solver="lbfgs"),
    "MLPClassifier, layers": MLPClassifier(
        layers=[12, {"units": 6, "activation": "tanh"}], learning_rate_init=0.01
    ),
    "MLPRegressor": MLPRegressor(),
    "MLPRegressor, lbfgs": MLPRegressor(solver="lbfgs", hidden_layer_sizes=20),
    "MLPRegressor, sgd": MLPRegressor(solver="sgd", learning_rate="adaptive"),
    "MLPMultiOutput": MLPMultiOutput(),
    "MLPMultiOutput, lbfgs": MLPMultiOutput((5,), solver="lbfgs", kinds=["number"]),
    "NetClassifier": NetClassifier(SmallNet(), learning_rate_init=0.01),
    "NetRegressor": NetRegressor(SmallNet(), learning_rate_init=0.01),
    "ConvClassifier": ConvClassifier(),
    "ConvClassifier, wide": ConvClassifier((6,), kernel_size=5, pool_size=1, hidden_layer_sizes=()),
    "ConvRegressor": ConvRegressor(learning_rate_init=0.01),
    "LogisticRegression": LogisticRegression(),
    "LogisticRegression, adam": LogisticRegression(solver="adam", learning_rate_init=0.1),
    "LinearRegression": LinearRegression(),
    "LinearRegression, ridge": LinearRegression(alpha=0.5),
    "LinearRegression, lbfgs": LinearRegression(solver="lbfgs"),
    "LinearRegression, sgd": LinearRegression(solver="sgd"),
    "Autoencoder": Autoencoder(hidden_layer_sizes=(8, 3)),
    "Autoencoder, lbfgs": Autoencoder(solver="lbfgs", activation="tanh"),
    "DenoisingAutoencoder": DenoisingAutoencoder(hidden_layer_sizes=5),
    "DenoisingAutoencoder, gaussian": DenoisingAutoencoder(8, noise="gaussian"),
    "BernoulliRBM": BernoulliRBM(n_components=8),
    "BernoulliRBM, chains from the data": BernoulliRBM(n_components=8, persistent=False, k=2),
}
"""Estimators that keep scikit-learn's whole contract."""

RANDOM: dict[str, Any] = {
    "MLPClassifier, dropout": MLPClassifier(dropout=0.1, dtype="float32", learning_rate_init=0.01),
    "MLPRegressor, batch norm": MLPRegressor(batch_norm=True, solver="sgd"),
    "MLPRegressor, short batches": MLPRegressor(solver="sgd", batch_size=7),
}
"""Those for which a row twice is not a row of weight two, so that they keep all but that check:
what dropout draws for a row depends on its place, batch normalization and batches count rows."""
