"""`Autoencoder` and `DenoisingAutoencoder`: networks that learn to give back what they get."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from pellucid import nn
from pellucid.core.tensor import sigmoid, tensor

from .base import Learner, Problem
from .limits import threads_for
from .network import Noise, Part, activation_names, build, hidden_layers
from .objective import BINARY_LOG_LOSS
from .options import Rule, number, one_of
from .precision import check_range, preserved
from .stored import Described
from .watching import with_callbacks


@dataclass(eq=False, repr=False)
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Described):
    """A network that encodes rows by few numbers and decodes them again.

    The encoder has the hidden layers given, the last of them the code; the decoder has the
    same in reverse and an output per feature. Rows go in, and are the target.

    Args:
        hidden_layer_sizes: units of the encoder's layers.
        activation: of all hidden layers; of the code too.
        loss: "squared_error", whose outputs are any numbers, or "log_loss" for features
            between 0 and 1, whose outputs are probabilities.

    Attributes:
        coefs_: weights of each layer of the encoder, then of the decoder.
        intercepts_: their biases.
        loss_curve_: the loss of each epoch.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from pellucid.estimators import Autoencoder
        >>> X = load_digits().data / 16
        >>> coder = Autoencoder((16,), tol=1e-3, random_state=0).fit(X)
        >>> coder.transform(X).shape, coder.inverse_transform(coder.transform(X)).shape
        ((1797, 16), (1797, 64))
    """

    hidden_layer_sizes: Any = (32,)
    activation: str = "relu"
    loss: str = "squared_error"

    _rules: ClassVar[Mapping[str, Rule]] = {
        **Learner._rules,
        "activation": one_of(*activation_names()),
        "loss": one_of("squared_error", "log_loss"),
    }

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn to give back rows.

        Args:
            X: rows (rows, features); dense or sparse.
            y: not looked at.
            sample_weight: weights of the rows (rows,).

        Returns:
            The estimator itself.
        """
        self._learn(X, y, sample_weight)
        return self

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn for one epoch, going on from what was learned before.

        Args:
            X: rows (rows, features).
            y: not looked at.
            sample_weight: weights of the rows (rows,).

        Returns:
            The estimator itself.
        """
        self._learn(X, y, sample_weight, incremental=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The codes of rows.

        Args:
            X: rows (rows, features).

        Returns:
            (rows, units of the code).
        """
        return self._outputs(X, self._code())

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows from their codes.

        Args:
            X: codes (rows, units of the code).

        Returns:
            (rows, features).
        """
        check_is_fitted(self)
        X = check_array(X, dtype=(np.float64, np.float32))
        if X.shape[1] != self._n_features_out:
            raise ValueError(f"codes have {self._n_features_out} numbers, received {X.shape[1]}")
        dtype = self._dtype_learned()
        check_range("X", X, dtype)
        with threads_for(self.threads), self._engine(X, dtype) as engine:
            z = engine.output(X, start=engine.network.ends[self._code()])
        return self._given_back(z)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The negative mean squared distance of rows and what comes back of them.

        Args:
            X: rows (rows, features).
            y: not looked at.
            sample_weight: weights of the rows (rows,).
        """
        found = self._given_back(self._outputs(X))
        X = check_array(X, accept_sparse="csr")
        return self._negative_error(found, X, sample_weight)

    def _given_back(self, z: np.ndarray) -> np.ndarray:
        return sigmoid(tensor(z)).numpy() if self.loss == "log_loss" else z

    def _negative_error(self, found: np.ndarray, X: Any, weights: Any) -> float:
        dense = X.toarray() if hasattr(X, "toarray") else X
        return -float(np.average(((found - dense) ** 2).mean(axis=1), weights=weights))

    def _code(self) -> int:
        """Which hidden layer gives the code."""
        sizes = self.hidden_layer_sizes
        return len(sizes) - 1 if hasattr(sizes, "__iter__") else 0

    @property
    def _n_features_out(self) -> int:
        return int(self.coefs_[self._code()].shape[1])

    def _parts(self) -> tuple[Part, ...]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        return hidden_layers([*sizes, *sizes[-2::-1]], self.activation, 0.0, False, None)

    def _network(self, features: int, outputs: int, dtype: np.dtype) -> tuple[Hashable, Any]:
        parts = self._parts()
        return (parts, features, outputs, dtype.str), partial(
            build, parts, features, outputs, dtype
        )

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=first)
        return X, X

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        target = self._dense(y)
        loss = BINARY_LOG_LOSS if self.loss == "log_loss" else nn.squared_error
        self.out_activation_ = "logistic" if self.loss == "log_loss" else "identity"
        features = y.shape[1]
        return Problem(loss.check(target, (features,), target.dtype), loss, features, features)

    def _score_of(self, z: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
        return self._negative_error(self._given_back(z), y, weights)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = preserved(self.dtype, self._learns_by_steps())
        return tags


@dataclass(eq=False, repr=False)
class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that learns to remove noise: noisy rows go in, clean ones are the target.

    Args:
        noise: "masking" sets numbers to 0, "gaussian" adds normal numbers.
        noise_level: the share of numbers that become 0, or the standard deviation.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from pellucid.estimators import DenoisingAutoencoder
        >>> X = load_digits().data / 16
        >>> coder = DenoisingAutoencoder((16,), noise_level=0.2, tol=1e-3).fit(X)
        >>> coder.transform(X).shape
        (1797, 16)

    Source: Vincent and others: Stacked denoising autoencoders (2010).
    """

    noise: str = "masking"
    noise_level: float = 0.3

    _rules: ClassVar[Mapping[str, Rule]] = {
        **Autoencoder._rules,
        "noise": one_of("masking", "gaussian"),
        "noise_level": number(0),
    }

    def _parts(self) -> tuple[Part, ...]:
        if self.noise == "masking" and self.noise_level >= 1:
            raise ValueError(f"masking noise needs a share below 1, received {self.noise_level}")
        return (Noise(self.noise, float(self.noise_level)), *super()._parts())
