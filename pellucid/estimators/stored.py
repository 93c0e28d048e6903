"""Networks that an estimator describes itself, and whose values it keeps in plain arrays."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from pellucid import nn

from .base import Learner
from .engine import Engine
from .lending import lent


@dataclass(eq=False, repr=False, kw_only=True)
class Described(Learner):
    """A network of layers that parameters describe.

    Attributes:
        coefs_: weights of each layer (inputs, outputs).
        intercepts_: biases of each layer (outputs,).
    """

    def _network(self, features: int, outputs: int, dtype: np.dtype) -> tuple[Hashable, Any]:
        """A key that says all about the network, or None, and a function that makes it."""
        raise NotImplementedError

    def _fitted(self, engine: Engine) -> dict[str, Any]:
        """Attributes that hold the values of a network."""
        values = engine.values()
        coefs, intercepts = [], []
        for name, linear in engine.linear.items():
            coefs.append(values.pop(f"{name}.weight"))
            bias = values.pop(f"{name}.bias", None)
            intercepts.append(np.zeros(linear.out_features, engine.dtype) if bias is None else bias)
        return {"coefs_": coefs, "intercepts_": intercepts, "_others": values}

    def _values(self, engine: Engine) -> dict[str, np.ndarray]:
        """The values of a network, by name, as the attributes hold them."""
        values = dict(self._others)
        for name, coef, intercept in zip(engine.linear, self.coefs_, self.intercepts_, strict=True):
            values[f"{name}.weight"] = coef
            if engine.linear[name].bias is not None:
                values[f"{name}.bias"] = intercept
        return values

    def _has_learned(self) -> bool:
        return hasattr(self, "coefs_")

    def _dtype_learned(self) -> np.dtype:
        found: np.dtype = self.coefs_[0].dtype
        return found

    @contextmanager
    def _engine(
        self, X: Any, dtype: np.dtype, new: np.random.RandomState | None = None
    ) -> Iterator[Engine]:
        key, make = self._network(self.n_features_in_, self.n_outputs_, dtype)
        with lent(key, lambda: Engine(make())) as engine:
            if new is None:
                engine.load(self._values(engine))
            yield engine

    @property
    def model_(self) -> nn.Module:
        """The network as a model of `pellucid.nn`, with the values learned: a copy."""
        check_is_fitted(self)
        _, make = self._network(self.n_features_in_, self.n_outputs_, self._dtype_learned())
        engine = Engine(make())
        engine.load(self._values(engine))
        return engine.model
