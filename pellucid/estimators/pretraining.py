"""Stacked pre-training: each hidden layer learns to describe what the one before it gives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning

from .autoencoder import Autoencoder
from .engine import Engine
from .rbm import BernoulliRBM


def pretrain(engine: Engine, X: Any, kind: str, epochs: int, random: np.random.RandomState) -> None:
    """Give the hidden layers weights that machines of one layer have learned, without labels.

    The first learns from X, each next one from what the one before makes of it.

    Args:
        engine: with the network; its hidden layers must be plain ones.
        X: rows (rows, features).
        kind: "autoencoder", or "rbm" for rows of numbers from 0 to 1.
        epochs: of each machine.
        random: of the machines.

    Raises:
        ValueError: the network has other layers, or an RBM is given other numbers.

    Source: Hinton, Salakhutdinov: Reducing the dimensionality of data with neural networks
    (2006); Bengio and others: Greedy layer-wise training of deep networks (2007).
    """
    hidden = engine.network.drawn[:-1]
    if len(hidden) != len(engine.network.ends):
        raise ValueError(
            "pretrain works on layers given by their units, not on layers of one's own"
        )
    for linear, activation in hidden:
        units, seed = linear.out_features, int(random.randint(1 << 31))
        if kind == "rbm":
            _check_probabilities(X)
            machine: Any = BernoulliRBM(
                units, learning_rate=0.05, n_iter=epochs, random_state=seed, dtype=engine.dtype
            ).fit(X)
            weights, biases = machine.components_.T, machine.intercept_hidden_
        else:
            machine = Autoencoder(
                (units,), activation or "identity", max_iter=epochs, random_state=seed,
                n_iter_no_change=np.inf, dtype=engine.dtype,
            )  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # it shall stop there
                machine.fit(X)
            weights, biases = machine.coefs_[0], machine.intercepts_[0]
        linear.weight.assign(weights)
        assert linear.bias is not None
        linear.bias.assign(biases)
        X = machine.transform(X)


def _check_probabilities(X: Any) -> None:
    values = X.data if scipy.sparse.issparse(X) else X
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            "pretrain='rbm' needs numbers from 0 to 1; scale X, for instance with MinMaxScaler, "
            "or use pretrain='autoencoder'"
        )
