"""`NetClassifier` and `NetRegressor`: any network of `pellucid.nn` as an estimator."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from pellucid import nn
from pellucid.core.random import random_scope, scope_of
from pellucid.train.predict import output_shape
from pellucid.train.step import learned_dtype

from .base import Learner, Problem
from .classifying import Classifier
from .engine import Engine
from .hidden import HiddenFeatures
from .network import Network
from .options import Rule, one_of
from .regressing import Regressor


@dataclass(eq=False, repr=False, kw_only=True)
class OwnNetwork(Learner):
    """A network that an estimator holds as a model of `pellucid.nn`.

    Args:
        input_shape: of a row as the network takes it, where X has its numbers one after
            another: (28, 28, 1) for images of 784 numbers.

    Attributes:
        model_: the network that has learned.
    """

    input_shape: tuple[int, ...] | None = None

    _nd: ClassVar[bool] = True
    _rules: ClassVar[Mapping[str, Rule]] = {
        "input_shape": one_of(None) | Rule("a tuple", lambda v: isinstance(v, tuple)),
    }

    def _made(self, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
        """The network with its initial values, and the ends of its hidden layers.

        Args:
            shape: of a row as the network takes it.
        """
        raise NotImplementedError

    def _has_learned(self) -> bool:
        return hasattr(self, "model_")

    def _dtype_learned(self) -> np.dtype:
        return learned_dtype(self.model_)

    @contextmanager
    def _engine(
        self, X: Any, dtype: np.dtype, new: np.random.RandomState | None = None
    ) -> Iterator[Engine]:
        if new is not None:
            with random_scope(scope_of(int(new.randint(1 << 31)))):
                self.model_, self._ends = self._made(X.shape[1:])
        if new is not None or self._dtype_learned() != dtype:
            self.model_.astype(dtype)
            self._own: Engine | None = None
        if self._own is None:  # new, or of a copy
            self._own = Engine(Network(self.model_, self._ends, ()))
        yield self._own

    def _fitted(self, engine: Engine) -> dict[str, Any]:
        return {}  # the network itself is what is kept

    def _shaped(self, X: Any) -> Any:
        if self.input_shape is None:
            return X
        if scipy.sparse.issparse(X):
            raise ValueError(
                "input_shape is for dense rows; for a sparse X leave it out and let the network "
                f"begin with nn.Reshape({self.input_shape})"
            )
        if math.prod(self.input_shape) != math.prod(X.shape[1:]):
            raise ValueError(
                f"X must have {math.prod(self.input_shape)} numbers per row for "
                f"input_shape={self.input_shape}, received {math.prod(X.shape[1:])}"
            )
        return X.reshape(len(X), *self.input_shape)


@dataclass(eq=False, repr=False, kw_only=True)
class AnyNetwork(HiddenFeatures, OwnNetwork):
    """A network that the user made.

    The hidden layers of an `nn.Sequential` are all its layers but the last.
    """

    _rules: ClassVar[Mapping[str, Rule]] = {
        **OwnNetwork._rules,
        "module": Rule(
            "a network of pellucid.nn, or a function (features, outputs) that makes one",
            lambda v: isinstance(v, nn.Module) or (callable(v) and not isinstance(v, type)),
        ),
    }

    def _made(self, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[int, ...]]:
        self._row = shape
        given: Any = self.module
        if isinstance(given, nn.Module):
            made = copy.deepcopy(given)
        else:
            made = given(self.n_features_in_, self.n_outputs_)
        if not isinstance(made, nn.Module):
            raise TypeError(f"module must make a network (an nn.Module), it made {made!r}")
        hidden = len(made.layers) - 1 if isinstance(made, nn.Sequential) else 0
        return made, tuple(range(1, hidden + 1))

    @property
    def _n_features_out(self) -> int:
        network = Network(self.model_, self._ends, ())
        last = nn.Sequential(*network.model.layers[: network.end_of(-1)])
        return math.prod(output_shape(last, np.empty((1, *self._row))))

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        X, y = super()._checked(X, y, first)
        given = self.module
        self._width = None
        if isinstance(given, nn.Module):
            shape = output_shape(given, self._shaped(X[:2]))
            if len(shape) != 1:
                raise ValueError(f"the network must give one vector per row, it gives {shape}")
            self._width = shape[0]
        return X, y


@dataclass(eq=False, repr=False)
class NetClassifier(AnyNetwork, Classifier):
    """Any network that learns classes.

    Its outputs are logits: one for two classes (two will do as well), else one per class.

    Args:
        module: the network, of which each `fit` trains a copy, or a function
            `(features, outputs)` that makes it.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from pellucid import nn
        >>> from pellucid.estimators import NetClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> own = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3))
        >>> net = NetClassifier(own, learning_rate_init=0.02, tol=1e-3, random_state=0).fit(X, y)
        >>> net.score(X, y) > 0.9, net.transform(X).shape, net.transform(X, layer="layers.1").shape
        (True, (150, 8), (150, 8))
    """

    module: Any

    _rules: ClassVar[Mapping[str, Rule]] = {**Classifier._rules, **AnyNetwork._rules}

    def _loss_and_outputs(self) -> tuple[nn.Loss, int]:
        loss, outputs = super()._loss_and_outputs()
        if self._width in (None, outputs):
            return loss, outputs
        if self._width == 2 and outputs == 1 and self.loss == "log_loss":
            return nn.cross_entropy, 2
        raise ValueError(
            f"the network gives {self._width} outputs, and {len(self.classes_)} classes need "
            f"{outputs}"
        )


@dataclass(eq=False, repr=False)
class NetRegressor(AnyNetwork, Regressor):
    """Any network that learns quantities.

    Args:
        module: the network, of which each `fit` trains a copy, or a function
            `(features, outputs)` that makes it.
        loss: "squared_error", "poisson", or a loss of `pellucid.nn`, its name, or a function
            of outputs and targets (batch, outputs).
    """

    module: Any
    loss: Any = "squared_error"

    _rules: ClassVar[Mapping[str, Rule]] = {**Regressor._rules, **AnyNetwork._rules}

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        problem = super()._problem(y, first, incremental)
        if self._width not in (None, problem.outputs):
            raise ValueError(
                f"the network gives {self._width} outputs, and y has {problem.outputs}"
            )
        return problem
