"""What all networks for scikit-learn have in common: parameters, learning, outputs.

An estimator declares its parameters as fields of a dataclass. That makes the `__init__`
which only stores them, as scikit-learn wants it, and names each parameter once.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from pellucid import nn, optim
from pellucid.core.random import seed_words
from pellucid.core.tensor import Tensor, tensor

from .engine import Engine, Trainer, lent
from .learning import Learning, Watch, diverged, warn_of_limit
from .limits import threads_for
from .network import Network, draw_initial, mixes_rows
from .options import ANYTHING, BOOLEAN, DTYPE, VERBOSE, Rule, check_options, number, one_of, whole
from .orders import Orders
from .quasi_newton import Slopes, minimize
from .rows import Rows, SparseRows, room_of_batch
from .rules import Rates, adam_moments, velocity
from .watching import CallbackSupportMixin, OwnCallbacks, SklearnCallbacks, with_callbacks

_NONE = one_of(None)

BLOCK = 1 << 22
"""Elements of a sparse X that are converted at a time."""

MOST_DENSE = 1 << 30
"""Bytes up to which `solver="lbfgs"`, which needs all rows at once, converts a sparse X."""


class Problem(NamedTuple):
    """What is to be learned.

    Attributes:
        target: one row each, in the form that the loss takes.
        loss: of the network's outputs and the target.
        outputs: units of the last layer.
        averaged: over how many outputs the reported loss is a mean, where `loss` is a sum.
        strata: what a validation set gets the same share of, or None.
    """

    target: np.ndarray
    loss: nn.Loss
    outputs: int
    averaged: int = 1
    strata: np.ndarray | None = None


@dataclass(eq=False, repr=False, kw_only=True)
class Learner(CallbackSupportMixin, BaseEstimator):
    """A network that learns: how, and what came of it.

    Args:
        solver: "adam", "sgd" or "lbfgs".
        alpha: strength of the L2 penalty alpha / 2 * sum(w^2) on the sum of a batch's
            losses: alpha / (2 n) on their mean, n the sum of the batch's weights.
        batch_size: rows per step; "auto" means 200, or all if there are fewer.
        learning_rate: of "sgd": "constant", "invscaling" (learning_rate_init /
            rows_seen^power_t) or "adaptive" (divided by 5 whenever `n_iter_no_change`
            epochs brought no improvement).
        learning_rate_init: the first rate of "adam" and "sgd".
        power_t: exponent of "invscaling".
        max_iter: limit of epochs, or of iterations of "lbfgs".
        shuffle: whether each epoch has an order of its own.
        random_state: of initial weights, orders, rows held out and dropout: a seed, a
            `RandomState`, or None.
        tol: what counts as improvement of the loss or score; of "lbfgs" the size of the
            gradient's greatest element at which it ends.
        verbose: whether to print the loss of each epoch.
        warm_start: let `fit` go on from the present weights.
        momentum: of "sgd".
        nesterovs_momentum: whether "sgd" looks ahead.
        early_stopping: whether the score on validation rows ends learning, instead of the
            loss, and the weights of the best score are kept.
        validation_fraction: share of the rows held out for it, where `fit` is not given
            X_val and y_val.
        beta_1: of "adam": how long gradients are remembered.
        beta_2: of "adam": how long their squares are.
        epsilon: of "adam": keeps the division safe.
        n_iter_no_change: epochs without improvement after which learning ends.
        max_fun: of "lbfgs": limit of evaluations.
        optimizer: an optimizer of `pellucid.optim`, or its name, in place of "adam" and
            "sgd" and the parameters of these.
        schedule: a schedule of `pellucid.optim` for the rate of "adam" and "sgd", by which
            learning_rate_init is multiplied.
        l1: strength of a penalty l1 * sum(|w|) on the mean loss, by proximal steps: exact
            zeros. Not of "lbfgs".
        scoring: of validation rows: None (accuracy or R^2), "loss", or a scorer of
            scikit-learn's or its name.
        callbacks: callbacks of `pellucid.train`, or functions of the run.
        threads: most threads to compute on; by default one per processor, and in workers of
            joblib what it leaves to each. No bit depends on it.
        dtype: "float32" (twice as fast) or "float64"; by default that of X.
    """

    solver: str = "adam"
    alpha: float = 0.0001
    batch_size: int | str = "auto"
    learning_rate: str = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    random_state: Any = None
    tol: float = 1e-4
    verbose: bool | int = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float = 10
    max_fun: int = 15000
    optimizer: Any = None
    schedule: Any = None
    l1: float = 0.0
    scoring: Any = None
    callbacks: Any = ()
    threads: int | None = None
    dtype: Any = None

    _rules: ClassVar[Mapping[str, Rule]] = {
        "solver": one_of("lbfgs", "sgd", "adam"),
        "alpha": number(0),
        "batch_size": one_of("auto") | whole(1),
        "learning_rate": one_of("constant", "invscaling", "adaptive"),
        "learning_rate_init": number(0, above=True),
        "power_t": number(0),
        "max_iter": whole(1),
        "shuffle": BOOLEAN,
        "tol": number(0),
        "verbose": VERBOSE,
        "warm_start": BOOLEAN,
        "momentum": number(0, 1),
        "nesterovs_momentum": BOOLEAN,
        "early_stopping": BOOLEAN,
        "validation_fraction": number(0, 1, below=True),
        "beta_1": number(0, 1, below=True),
        "beta_2": number(0, 1, below=True),
        "epsilon": number(0, above=True),
        "n_iter_no_change": whole(1) | Rule("infinity", lambda v: v == np.inf),
        "max_fun": whole(1),
        "l1": number(0),
        "callbacks": Rule("a list of callbacks", lambda v: isinstance(v, list | tuple)),
        "threads": _NONE | whole(1),
        "dtype": _NONE | DTYPE,
        "schedule": _NONE | Rule("a function of the step", callable),
        "optimizer": ANYTHING,
        "scoring": ANYTHING,
    }

    # -- what a kind of estimator says for itself -----------------------------------------

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        """X and y as arrays, of the kind that can be learned."""
        raise NotImplementedError

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        """What is to be learned from y; says what the classes are, if there are any."""
        raise NotImplementedError

    def _network(self, features: int, outputs: int, dtype: np.dtype) -> tuple[Hashable, Any]:
        """A key that says all about the network, or None, and a function that makes it."""
        raise NotImplementedError

    def _score_of(self, z: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
        """The score that outputs have."""
        raise NotImplementedError

    def _class_weights(self, y: Any) -> np.ndarray | None:
        """What the weights of rows are multiplied with."""
        return None

    # -- learning -------------------------------------------------------------------------

    def _learn(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        held_out: tuple[Any, Any, Any] | None = None,
        incremental: bool = False,
    ) -> None:
        """`fit`, or one epoch of `partial_fit`."""
        check_options(self, self._rules)
        by_steps = self.solver != "lbfgs" or self.optimizer is not None
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        X, y = self._checked(X, y, first)
        problem = self._problem(y, first, incremental)
        weights = np.ones(len(problem.target))
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        by_class = self._class_weights(y)
        if by_class is not None:
            weights = weights * by_class
        dtype = np.dtype(X.dtype if self.dtype is None else self.dtype)
        if not first:
            dtype = self.coefs_[0].dtype
        random = check_random_state(self.random_state)
        self.n_outputs_ = problem.outputs
        with threads_for(self.threads), self._engine(X.shape[1], dtype, not first) as engine:
            if first:
                self._begin(engine, random)
            given = SklearnCallbacks(
                self, X, y, sample_weight, self.max_iter, lambda: self._fitted(engine)
            )
            try:
                if by_steps:
                    self._by_steps(engine, X, y, weights, problem, random, held_out, incremental, given)
                else:
                    self._by_lbfgs(engine, X, weights, problem, given)
            finally:
                vars(self).update(self._fitted(engine))
            if not all(np.isfinite(w).all() for w in (*self.coefs_, *self.intercepts_)):
                raise diverged("not every weight is finite")
            given.fit_end()

    def _begin(self, engine: Engine, random: np.random.RandomState) -> None:
        """Initial values, and the attributes of a net that has learned nothing."""
        engine.reset()
        draw_initial(engine.network, random)
        self.n_iter_ = self.t_ = self._no_improvement = 0
        self._memory = None
        self.n_layers_ = len(engine.network.drawn) + 1
        if self.solver == "lbfgs" and self.optimizer is None:
            return
        self.loss_curve_: list[float] = []
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None

    def _by_lbfgs(
        self,
        engine: Engine,
        X: Any,
        weights: np.ndarray,
        problem: Problem,
        given: SklearnCallbacks,
    ) -> None:
        if self.l1:
            raise ValueError("solver='lbfgs' knows no l1 penalty; use 'adam' or 'sgd'")
        if scipy.sparse.issparse(X):
            if np.prod(X.shape) * engine.dtype.itemsize > MOST_DENSE:
                raise ValueError(
                    f"solver='lbfgs' needs all rows at once, and a sparse X of shape {X.shape} "
                    f"would take more than {MOST_DENSE >> 30} GiB; use solver='adam'"
                )
            X = X.toarray()
        rows = Rows(X, problem.target, weights, engine.dtype, exact=mixes_rows(engine.model))
        data = rows.aligned()
        key = ("lbfgs", self._loss_key(problem), *(a.shape for a in data))
        slopes = engine.trainer(key, lambda: Slopes(engine, problem.loss, data))

        def each() -> bool:
            given.epoch_begin()
            return given.epoch_end()

        found = minimize(
            slopes,
            data,
            self.alpha,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            each=each if given else None,
        )
        self.loss_, self.n_iter_ = found

    def _by_steps(
        self,
        engine: Engine,
        X: Any,
        y: Any,
        weights: np.ndarray,
        problem: Problem,
        random: np.random.RandomState,
        held_out: tuple[Any, Any, Any] | None,
        incremental: bool,
        given: SklearnCallbacks,
    ) -> None:
        target, validation = problem.target, None
        if held_out is not None:
            validation = self._checked_validation(*held_out)
        elif self.early_stopping:
            kept, out = self._divided(len(target), problem.strata, random)
            own = None if (weights == 1).all() else weights[out]
            validation = X[out], y[out], own
            X, target, weights = X[kept], target[kept], weights[kept]
        batch = self._batch(len(target))
        exact = mixes_rows(engine.model)
        make = SparseRows if scipy.sparse.issparse(X) else Rows
        rows = make(X, target, weights, engine.dtype)
        room = None if exact else room_of_batch(self._wanted_batch(), len(target))
        orders = Orders(len(target), batch, room, rows.padding, random if self.shuffle else None)
        trainer, rates = self._trainer(engine, problem, random, incremental)
        own_callbacks = OwnCallbacks(
            self.callbacks, engine.model, self.max_iter, orders.steps, validation is not None
        )
        best: list[dict[str, np.ndarray]] = []
        watch = self._watch(engine, problem, validation, given, own_callbacks, best)
        learning = Learning(self, trainer, rows, orders, rates, problem.averaged, watch)
        most = 1 if incremental else self.max_iter
        try:
            own_callbacks.train_begin()
            learning.run(most)
        finally:
            own_callbacks.train_end()
        if self.early_stopping and best:
            engine.load(best[-1])
        if self.n_iter_ == most and not learning.converged and not incremental:
            warn_of_limit(most)
        self._memory = trainer.memory(), rates

    def _watch(
        self,
        engine: Engine,
        problem: Problem,
        validation: tuple[Any, Any, Any] | None,
        given: SklearnCallbacks,
        own: OwnCallbacks,
        best: list[dict[str, np.ndarray]],
    ) -> Watch:
        """Who looks at epochs."""
        watch = Watch()
        if validation is not None:
            watch.score = self._scorer(engine, problem, *validation)
            watch.keep_best = lambda: best.__setitem__(slice(None), [engine.values()])
            if self.validation_scores_ is None:
                self.validation_scores_ = []
        if given:
            watch.epoch_begin = given.epoch_begin
        if given or own:

            def epoch_end() -> bool:
                stops = bool(given) and given.epoch_end()
                figures = [self.loss_, *(self.validation_scores_ or [])[-1:]]
                return (bool(own) and own.epoch_end(figures)) or stops

            watch.epoch_end = epoch_end
        return watch

    def _trainer(
        self, engine: Engine, problem: Problem, random: np.random.RandomState, incremental: bool
    ) -> tuple[Trainer, Rates]:
        """What takes the steps, and their rates: new, or as the last `partial_fit` left them."""
        rule_key: Hashable = (self.solver, self.l1)
        if self.optimizer is not None or self.schedule is not None:
            rule_key = object()  # never the same again
        elif self.solver == "adam":
            rule_key = (*rule_key, self.beta_1, self.beta_2, self.epsilon)  # type: ignore[misc]
        else:
            rule_key = (*rule_key, self.momentum, self.nesterovs_momentum)  # type: ignore[misc]
        trainer = engine.trainer(
            ("steps", self._loss_key(problem), rule_key),
            lambda: Trainer(engine, problem.loss, self._rule),
        )
        if incremental and self._memory is not None:
            memory, rates = self._memory
            trainer.begin(seed_words(0))
            trainer.resume(memory, rates.steps)
        else:
            rates = Rates(
                self.solver,
                self.learning_rate,
                self.learning_rate_init,
                self.power_t,
                self.beta_1,
                self.beta_2,
            )
            trainer.begin(seed_words(0))
        if trainer.draws:
            trainer.state.seed.assign(seed_words(int(random.randint(1 << 31))))
        return trainer, rates

    def _rule(self, rate: Tensor) -> optim.Optimizer:
        """The optimizer for a rate that each step receives."""
        more = [optim.l1(self.l1)] if self.l1 else []
        if self.optimizer is not None:
            return optim.chain(optim.as_optimizer(self.optimizer), *more)
        schedule = self.schedule
        scale = optim.scale_by_learning_rate(
            (lambda t: rate) if schedule is None else (lambda t: rate * tensor(schedule(t)))
        )
        if self.solver == "adam":
            return optim.chain(adam_moments(self.beta_1, self.beta_2, self.epsilon), scale, *more)
        if self.momentum == 0:
            return optim.chain(scale, *more)
        return optim.chain(scale, velocity(self.momentum, self.nesterovs_momentum), *more)

    def _loss_key(self, problem: Problem) -> Hashable:
        """What the compiled loss depends on."""
        loss = problem.loss
        return loss.terms, loss.name, tuple(loss.options.items())

    def _wanted_batch(self) -> int:
        return 200 if self.batch_size == "auto" else int(self.batch_size)

    def _batch(self, rows: int) -> int:
        if self.batch_size != "auto" and self._wanted_batch() > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=5,
            )
        return min(self._wanted_batch(), rows)

    def _divided(
        self, rows: int, strata: np.ndarray | None, random: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the rows to learn from, and of those held out."""
        kept, out = train_test_split(
            np.arange(rows), random_state=random, test_size=self.validation_fraction, stratify=strata
        )
        if len(out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return kept, out

    def _checked_validation(self, X: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
        if X is None or y is None:
            raise ValueError("a validation set of one's own needs both X_val and y_val")
        X, y = self._checked(X, y, first=False)
        if weights is not None:
            weights = _check_sample_weight(weights, X)
        return X, y, weights

    def _scorer(self, engine: Engine, problem: Problem, X: Any, y: Any, weights: Any) -> Any:
        """A function that scores the present weights on validation rows."""
        if self.scoring is None:
            return lambda: self._score_of(dense_output(engine, X), y, weights)
        if self.scoring == "loss":
            target = self._problem(y, first=False, incremental=True).target
            return lambda: -problem.loss(dense_output(engine, X), target, weights).item()
        scorer = check_scoring(self, self.scoring)
        more = {} if weights is None else {"sample_weight": weights}

        def score() -> float:
            vars(self).update(self._fitted(engine))
            return float(scorer(self, X, y, **more))

        return score

    # -- what was learned -----------------------------------------------------------------

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

    @contextmanager
    def _engine(self, features: int, dtype: np.dtype, loaded: bool = True) -> Iterator[Engine]:
        """A network for this block, with the values that were learned so far."""
        key, make = self._network(features, self.n_outputs_, dtype)
        with lent(key, make) as engine:
            if loaded:
                engine.load(self._values(engine))
            yield engine

    @property
    def model_(self) -> nn.Module:
        """The network as a model of `pellucid.nn`, with the values learned: a copy."""
        check_is_fitted(self)
        _, make = self._network(self.n_features_in_, self.n_outputs_, self.coefs_[0].dtype)
        engine = Engine(make())
        engine.load(self._values(engine))
        return engine.model

    def _outputs(self, X: Any, layer: int | None = None) -> np.ndarray:
        """What the network gives for rows, or one of its hidden layers does."""
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False
        )
        with (
            threads_for(self.threads),
            self._engine(X.shape[1], self.coefs_[0].dtype) as engine,
        ):
            end = None if layer is None else engine.network.ends[layer]
            return dense_output(engine, X, end)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense_output(engine: Engine, X: Any, end: int | None = None) -> np.ndarray:
    """The outputs of a network; a sparse X is converted a block of rows at a time."""
    if not scipy.sparse.issparse(X):
        return engine.output(X, end)
    block = max(1, BLOCK // max(X.shape[1], 1))
    return np.concatenate(
        [engine.output(X[i : i + block].toarray(), end) for i in range(0, X.shape[0], block)]
    )
