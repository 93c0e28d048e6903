"""`BernoulliRBM`: a restricted Boltzmann machine of units that are 0 or 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from pellucid import nn
from pellucid.core.random import seed_words

from .base import dense_output
from .engine import Engine
from .learning import diverged
from .lending import lent
from .limits import threads_for
from .network import Network
from .options import BOOLEAN, DTYPE, VERBOSE, Rule, check_options, number, one_of, whole
from .orders import Orders
from .rbm_rule import RBMRule, pseudo_likelihoods
from .rows import Rows, SparseRows, room_of_batch
from .watching import CallbackSupportMixin, SklearnCallbacks, with_callbacks

_SHOWN = 256
"""Rows whose pseudo-likelihood is shown with `verbose`."""


@dataclass(eq=False, repr=False)
class BernoulliRBM(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, CallbackSupportMixin, BaseEstimator
):
    """A restricted Boltzmann machine: visible and hidden units, 0 or 1, with weights between.

        E(v, h) = -v.W h - b.v - c.h,   P(v, h) = e^-E(v, h) / Z
        P(h_j = 1 | v) = sigmoid(c_j + W_j.v),   P(v_i = 1 | h) = sigmoid(b_i + W_i.h)

    Its likelihood is raised by contrastive divergence: W grows by the mean of v h^T over a
    batch, and shrinks by that over a chain of samples, which goes on from the last step's
    (persistent) or begins anew at each batch.

    Args:
        n_components: hidden units.
        learning_rate: of the mean over a batch.
        batch_size: rows per step, and the number of persistent chains.
        n_iter: epochs.
        verbose: whether to print the pseudo-likelihood of each epoch.
        random_state: of initial weights and of all samples: a seed, a `RandomState`, or None.
        k: Gibbs steps of each chain between two changes of the weights.
        persistent: whether chains go on; else they start at the rows of each batch.
        threads: most threads to compute on; no bit depends on it.
        dtype: "float32" or "float64"; by default that of X.

    Attributes:
        components_: W (n_components, features).
        intercept_hidden_: c (n_components,).
        intercept_visible_: b (features,).
        h_samples_: hidden units of the chains (batch_size, n_components).

    Example:
        >>> import numpy as np
        >>> from pellucid.estimators import BernoulliRBM
        >>> X = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
        >>> machine = BernoulliRBM(n_components=2, random_state=0).fit(X)
        >>> machine.transform(X).shape
        (4, 2)

    Source: Hinton: Training products of experts by minimizing contrastive divergence (2002);
    Tieleman: Training restricted Boltzmann machines using approximations to the likelihood
    gradient (2008).
    """

    n_components: int = 256
    _: KW_ONLY
    learning_rate: float = 0.1
    batch_size: int = 10
    n_iter: int = 10
    verbose: bool | int = 0
    random_state: Any = None
    k: int = 1
    persistent: bool = True
    threads: int | None = None
    dtype: Any = None

    _rules: ClassVar[Mapping[str, Rule]] = {
        "n_components": whole(1),
        "learning_rate": number(0, above=True),
        "batch_size": whole(1),
        "n_iter": whole(0),
        "verbose": VERBOSE,
        "k": whole(1),
        "persistent": BOOLEAN,
        "threads": one_of(None) | whole(1),
        "dtype": one_of(None) | DTYPE,
    }

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows, in their order.

        Args:
            X: rows (rows, features) of numbers from 0 to 1; dense or sparse.
            y: not looked at.

        Returns:
            The machine itself.

        Raises:
            ValueError: data or parameters do not fit, or a weight is not finite any more.
        """
        check_options(self, self._rules)
        X = self._validated(X, reset=True)
        self._begin(X)
        batch = min(self.batch_size, X.shape[0])
        told = SklearnCallbacks(self, X, y, None, self.n_iter, lambda: self._learned)
        with threads_for(self.threads), self._lent() as rule:
            for epoch in range(self.n_iter):
                if told:
                    told.epoch_begin()
                self._learn(rule, X, batch)
                if told:
                    self._keep(rule)
                    if told.epoch_end():
                        break
                if self.verbose:
                    self._keep(rule)
                    some = X[:_SHOWN].toarray() if scipy.sparse.issparse(X) else X[:_SHOWN]
                    shown = self._pseudo_likelihoods(some).mean()
                    print(f"Iteration {epoch + 1}, pseudo-likelihood = {shown:.2f}")
            self._keep(rule)
        told.fit_end()
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows as one batch, going on from what was learned before.

        Args:
            X: rows (rows, features).
            y: not looked at.

        Returns:
            The machine itself.
        """
        check_options(self, self._rules)
        first = not hasattr(self, "components_")
        X = self._validated(X, reset=first)
        if first:
            self._begin(X)
        with threads_for(self.threads), self._lent() as rule:
            self._learn(rule, X, X.shape[0])
            self._keep(rule)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """P(h = 1 | v) for rows v.

        Args:
            X: rows (rows, features).

        Returns:
            (rows, n_components)
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._half(X, self.components_.T, self.intercept_hidden_)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """P(v = 1 | h) for rows h.

        Args:
            X: hidden units, or their probabilities (rows, n_components).

        Returns:
            (rows, features)
        """
        check_is_fitted(self)
        X = check_array(X, dtype=(np.float64, np.float32))
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"the machine has {self._n_features_out} hidden units, received {X.shape[1]}"
            )
        return self._half(X, self.components_, self.intercept_visible_)

    def gibbs(self, v: Any) -> np.ndarray:
        """A sample of visible units, by way of hidden ones that are sampled for these.

        Args:
            v: visible units (rows, features).

        Returns:
            True and False (rows, features).
        """
        check_is_fitted(self)
        if not hasattr(self, "random_state_"):
            self.random_state_ = check_random_state(self.random_state)
        p = self.transform(v)
        h = self.random_state_.uniform(size=p.shape) < p
        p = self.inverse_transform(h.astype(p.dtype))
        return self.random_state_.uniform(size=p.shape) < p

    def score_samples(self, X: Any) -> np.ndarray:
        """The pseudo-likelihood of rows: the sum of ln P(v_i | all other v) over all units i.

        It is exact, and takes features * n_components operations per row. (scikit-learn
        estimates it from one unit drawn at random.)

        Args:
            X: rows (rows, features) of 0 and 1.

        Returns:
            (rows,)
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._pseudo_likelihoods(X.toarray() if scipy.sparse.issparse(X) else X)

    # -- inside ---------------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def _validated(self, X: Any, reset: bool) -> Any:
        return validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=reset
        )

    def _begin(self, X: Any) -> None:
        """A machine that has learned nothing."""
        random = check_random_state(self.random_state)
        dtype = np.dtype(X.dtype if self.dtype is None else self.dtype)
        shape = self.n_components, X.shape[1]
        self.components_ = random.normal(0, 0.01, shape).astype(dtype)
        self.intercept_hidden_ = np.zeros(self.n_components, dtype)
        self.intercept_visible_ = np.zeros(X.shape[1], dtype)
        self.h_samples_ = np.zeros((self.batch_size, self.n_components), dtype)
        self._seed, self._steps = int(random.randint(1 << 31)), 0

    @contextmanager
    def _lent(self) -> Iterator[RBMRule]:
        """The rule, with what was learned so far."""
        hidden, visible = self.components_.shape
        chains = len(self.h_samples_) if self.persistent else 0
        dtype = self.components_.dtype
        options = visible, hidden, chains, self.k, dtype
        with lent(("rbm", *options[:-1], dtype.str), lambda: RBMRule(*options)) as rule:
            rule.load(
                weights=self.components_.T,
                b=self.intercept_visible_,
                c=self.intercept_hidden_,
                chains=self.h_samples_[:chains],
                seed=seed_words(self._seed),
                count=self._steps,
            )
            yield rule

    def _learn(self, rule: RBMRule, X: Any, batch: int) -> None:
        """One epoch."""
        make = SparseRows if scipy.sparse.issparse(X) else Rows
        count = X.shape[0]
        rows: Any = make(X, np.zeros(count), np.ones(count), rule.dtype)
        orders = Orders(count, batch, room_of_batch(batch, count), rows.padding, None)
        for index in orders.next(1):
            most = rows.most_steps(index.shape[1])
            for first in range(0, len(index), most):
                (seen, _, weights), numbers = rows.seen_by(index[first : first + most])
                rule.learn([seen, weights], numbers, self.learning_rate)
        self._steps += orders.steps

    def _keep(self, rule: RBMRule) -> None:
        self.components_ = np.ascontiguousarray(rule.value("weights").T)
        self.intercept_visible_ = rule.value("b")
        self.intercept_hidden_ = rule.value("c")
        if self.persistent:
            self.h_samples_ = rule.value("chains")
        if not np.isfinite(self.components_).all():
            raise diverged("not every weight is finite")

    @property
    def _learned(self) -> dict[str, np.ndarray]:
        """The attributes that hold what was learned."""
        names = "components_", "intercept_hidden_", "intercept_visible_"
        return {name: getattr(self, name) for name in names}

    def _half(self, X: Any, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
        """The probabilities of one half of the units, from the other half."""
        shape, dtype = weights.shape, weights.dtype

        def make() -> Engine:
            linear = nn.Linear(shape[0], shape[1], weight_init="zeros")
            model = nn.Sequential(linear, nn.Sigmoid()).astype(dtype)
            return Engine(Network(model, (), ((linear, None),)))

        with threads_for(self.threads), lent(("half", shape, dtype.str), make) as engine:
            engine.load({"layers.0.weight": weights, "layers.0.bias": biases})
            return dense_output(engine, X)

    def _pseudo_likelihoods(self, v: np.ndarray) -> np.ndarray:
        weights = np.ascontiguousarray(self.components_.T)
        with threads_for(self.threads):
            return pseudo_likelihoods(v, weights, self.intercept_visible_, self.intercept_hidden_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"] if self.dtype is None else []
        return tags
