"""What all networks for scikit-learn have in common: how they learn and what they give.

`Learner._learn` is read first: it is `fit`, and `partial_fit`.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from contextlib import AbstractContextManager
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

from .engine import Engine, Same, Trainer
from .learning import Learning, Watch, diverged, warn_of_limit
from .limits import threads_for, threads_for_step
from .network import draw_initial, mixes_rows
from .options import check_options
from .orders import Orders
from .parameters import Training
from .precision import check_range, dtype_to_learn
from .quasi_newton import Slopes, minimize
from .rows import Rows, SparseRows, room_of_batch
from .rules import Rates, adam_moments, velocity
from .watching import CallbackSupportMixin, OwnCallbacks, SklearnCallbacks

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


class Task(NamedTuple):
    """One call of `fit` or `partial_fit`.

    Attributes:
        X: rows to learn from, in the shape that the network takes.
        y: as the user gave it, checked.
        weights: of the rows (rows,).
        problem: what is to be learned.
        random: draws orders, and which rows are held out.
        held_out: X_val, y_val and their weights, if the user gave them.
        incremental: whether it is `partial_fit`.
        told: scikit-learn's callbacks.
    """

    X: Any
    y: Any
    weights: np.ndarray
    problem: Problem
    random: np.random.RandomState
    held_out: tuple[Any, Any, Any] | None
    incremental: bool
    told: SklearnCallbacks


@dataclass(eq=False, repr=False, kw_only=True)
class Learner(Training, CallbackSupportMixin, BaseEstimator):
    """A network that learns.

    Attributes:
        n_iter_: epochs, or iterations of "lbfgs".
        loss_: the loss of the last epoch, penalty included.
        loss_curve_: the loss of each epoch.
        best_loss_: the least of them; None with early stopping.
        validation_scores_: the score on validation rows after each epoch, where there are any.
        best_validation_score_: the best of them, with early stopping.
        t_: rows seen.
        n_layers_: layers, the inputs counted.
        n_outputs_: units of the last one.
        out_activation_: what makes predictions of them: "identity", "exp", "logistic", "softmax".
        n_features_in_: features per row.
        feature_names_in_: their names, where X has such.
    """

    _sparse: ClassVar[str | bool] = "csr"
    _nd: ClassVar[bool] = False
    _ftol: ClassVar[float] = 1e7 * np.finfo(float).eps  # SciPy's own, which scikit-learn leaves
    # -- what a kind of estimator says for itself -----------------------------------------

    def _checked(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        """X and y as arrays, of the kind that can be learned."""
        raise NotImplementedError

    def _problem(self, y: Any, first: bool, incremental: bool) -> Problem:
        """What is to be learned from y; says what the classes are, if there are any."""
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
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not self._has_learned() or (not self.warm_start and not incremental)
        X, y = self._checked(X, y, first)
        problem = self._problem(y, first, incremental)
        X = self._shaped(X)
        weights = np.ones(len(problem.target))
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        by_class = self._class_weights(y)
        if by_class is not None:
            weights = weights * by_class
        random = check_random_state(self.random_state)
        self.n_outputs_ = problem.outputs
        present = None if first else self._dtype_learned()
        dtype = dtype_to_learn(self.dtype, self._learns_by_steps(), X.shape[0], X.dtype, present)
        check_range("X", X, dtype)
        check_range("y", problem.target, dtype)
        check_range("sample_weight", weights, dtype)
        new = random if first else None
        with threads_for(self.threads), self._engine(X, dtype, new) as engine:
            if first:
                self._begin(engine, X, random)
            told = SklearnCallbacks(
                self, X, y, sample_weight, self.max_iter, lambda: self._fitted(engine)
            )
            task = Task(X, y, weights, problem, random, held_out, incremental, told)
            try:
                (self._by_steps if self._learns_by_steps() else self._at_once)(engine, task)
            finally:
                self.__dict__.update(self._fitted(engine))
            if not engine.is_finite():
                raise diverged("not every weight is finite")
            told.fit_end()

    def _begin(self, engine: Engine, X: Any, random: np.random.RandomState) -> None:
        """Initial values, and the attributes of a net that has learned nothing."""
        engine.reset()
        draw_initial(engine.network, random)
        self.n_iter_ = self.t_ = self._no_improvement = 0
        self._memory: Any = None
        self.n_layers_ = len(engine.weights()) + 1
        if not self._learns_by_steps():
            return
        self.loss_curve_: list[float] = []
        self.best_loss_ = None if self.early_stopping else np.inf
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None

    def _learns_by_steps(self) -> bool:
        """Whether it sees a batch at a time; else all rows at once."""
        return self.optimizer is not None or self.solver in ("adam", "sgd")

    def _at_once(self, engine: Engine, task: Task) -> None:
        """Learn from all rows at once, by "lbfgs"."""
        if self.l1:
            raise ValueError(f"solver={self.solver!r} knows no l1 penalty; use 'adam' or 'sgd'")
        X, problem, told = self._dense(task.X), task.problem, task.told
        exact = mixes_rows(engine.model)
        data = Rows(X, problem.target, task.weights, engine.dtype, exact).aligned()
        key = ("lbfgs", self._loss_key(problem), *((a.shape, a.dtype) for a in data))
        slopes = engine.trainer(key, lambda: Slopes(engine, problem.loss, data))

        def each() -> bool:
            told.epoch_begin()
            return told.epoch_end()

        value, self.n_iter_ = minimize(
            slopes,
            data,
            self.alpha,
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            ftol=self._ftol,
            each=each if told else None,
        )
        squares = sum(float((w.astype(float) ** 2).sum()) for w in engine.weights())
        penalty = self.alpha / 2 * squares / task.weights.sum()
        self.loss_ = (value - penalty) / problem.averaged + penalty

    def _dense(self, X: Any) -> Any:
        """All rows as one array."""
        if not scipy.sparse.issparse(X):
            return X
        if np.prod(X.shape) * X.dtype.itemsize > MOST_DENSE:
            raise ValueError(
                f"solver={self.solver!r} needs all rows at once, and a sparse X of shape {X.shape} "
                f"would take more than {MOST_DENSE >> 30} GiB; use solver='adam'"
            )
        return X.toarray()

    def _by_steps(self, engine: Engine, task: Task) -> None:
        """Learn from a batch at a time, epoch after epoch."""
        X, target, weights, random = task.X, task.problem.target, task.weights, task.random
        validation = None
        if task.held_out is not None:
            validation = self._checked_validation(*task.held_out)
        elif self.early_stopping:
            kept, out = self._divided(len(target), task.problem.strata, random)
            own = None if (weights == 1).all() else weights[out]
            validation = X[out], task.y[out], own
            X, target, weights = X[kept], target[kept], weights[kept]
        make = SparseRows if scipy.sparse.issparse(X) else Rows
        rows = make(X, target, weights, engine.dtype)
        room = room_of_batch(self._wanted_batch(), rows.count)
        orders = Orders(
            rows.count,
            self._batch(rows.count),
            None if mixes_rows(engine.model) else room,
            rows.padding,
            random if self.shuffle else None,
        )
        trainer, rates = self._trainer(engine, task)
        own_callbacks = OwnCallbacks(
            self.callbacks, engine.model, self.max_iter, orders.steps, validation is not None
        )
        best: list[dict[str, np.ndarray]] = []
        watch = self._watch(engine, task, validation, own_callbacks, best)
        learning = Learning(self, trainer, rows, orders, rates, task.problem.averaged, watch)
        most = 1 if task.incremental else self.max_iter
        try:
            own_callbacks.train_begin()
            with threads_for_step(self.threads, engine.numbers, orders.batch):
                learning.run(most)
        finally:
            own_callbacks.train_end()
        if self.early_stopping and best:
            engine.load(best[-1])
        if self.n_iter_ == most and not learning.stopped and not task.incremental:
            warn_of_limit(most)
        self._memory = trainer.memory(), rates

    def _watch(
        self,
        engine: Engine,
        task: Task,
        validation: tuple[Any, Any, Any] | None,
        own: OwnCallbacks,
        best: list[dict[str, np.ndarray]],
    ) -> Watch:
        """Who looks at epochs; the values of the best one are kept in `best`."""
        watch, told = Watch(), task.told
        if validation is not None:
            watch.score = self._scorer(engine, task.problem, *validation)
            watch.keep_best = lambda: best.__setitem__(slice(None), [engine.values()])
            if self.validation_scores_ is None:
                self.validation_scores_ = []
        if told:
            watch.epoch_begin = told.epoch_begin
        if told or own:

            def epoch_end() -> bool:
                stops = bool(told) and told.epoch_end()
                figures = [self.loss_, *(self.validation_scores_ or [])[-1:]]
                return (bool(own) and own.epoch_end(figures)) or stops

            watch.epoch_end = epoch_end
        return watch

    def _trainer(self, engine: Engine, task: Task) -> tuple[Trainer, Rates]:
        """What takes the steps, and their rates: new, or as the last `partial_fit` left them."""
        problem = task.problem
        trainer = engine.trainer(
            ("steps", self._loss_key(problem), self._rule_key()),
            lambda: Trainer(engine, problem.loss, self._rule),
        )
        trainer.begin()
        rates = Rates(
            self.solver,
            self.learning_rate,
            self.learning_rate_init,
            self.power_t,
            self.beta_1,
            self.beta_2,
        )
        if task.incremental and self._memory is not None:
            memory, rates = self._memory
            trainer.resume(memory, rates.steps)
        if trainer.draws:
            trainer.state.seed.assign(seed_words(int(task.random.randint(1 << 31))))
        return trainer, rates

    def _rule_key(self) -> Hashable:
        """What the compiled rule of learning depends on."""
        if self.optimizer is not None or self.schedule is not None:
            own = Same(self.optimizer), Same(self.schedule)
        else:
            own = None
        numbers = (
            (self.beta_1, self.beta_2, self.epsilon)
            if self.solver == "adam"
            else (self.momentum, self.nesterovs_momentum)
        )
        return self.solver, numbers, self.l1, own

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
            np.arange(rows),
            random_state=random,
            test_size=self.validation_fraction,
            stratify=strata,
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
        return self._shaped(X), y, weights

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
            self.__dict__.update(self._fitted(engine))
            return float(scorer(self, X, y, **more))

        return score

    # -- what was learned -----------------------------------------------------------------

    @property
    def validation_curve_(self) -> list[float]:
        """The score on validation rows after each epoch, beside `loss_curve_`."""
        found = getattr(self, "validation_scores_", None)
        if found is None:
            raise AttributeError(
                "no validation_curve_ without validation: give fit X_val and y_val, or set "
                "early_stopping=True"
            )
        return found

    def _has_learned(self) -> bool:
        raise NotImplementedError

    def _dtype_learned(self) -> np.dtype:
        """The type of what was learned."""
        raise NotImplementedError

    def _engine(
        self, X: Any, dtype: np.dtype, new: np.random.RandomState | None = None
    ) -> AbstractContextManager[Engine]:
        """A network for a block, with the values that were learned so far.

        Args:
            X: rows that it is for.
            dtype: in which it computes.
            new: draws the initial values of a network that shall learn anew; else None.
        """
        raise NotImplementedError

    def _fitted(self, engine: Engine) -> dict[str, Any]:
        """Attributes that hold the values of a network."""
        raise NotImplementedError

    def _shaped(self, X: Any) -> Any:
        """Rows in the shape that the network takes."""
        return X

    def _outputs(self, X: Any, layer: int | str | None = None) -> np.ndarray:
        """What the network gives for rows, or one of its hidden layers does."""
        check_is_fitted(self)
        X = self._shaped(
            validate_data(
                self,
                X,
                accept_sparse=self._sparse,
                allow_nd=self._nd,
                dtype=(np.float64, np.float32),
                reset=False,
            )
        )
        with threads_for(self.threads), self._engine(X, self._dtype_learned()) as engine:
            return dense_output(engine, X, None if layer is None else engine.network.end_of(layer))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = bool(self._sparse)
        return tags


def dense_output(engine: Engine, X: Any, end: int | str | None = None) -> np.ndarray:
    """The outputs of a network; a sparse X is converted a block of rows at a time.

    Raises:
        ValueError: a number is beyond the range of the network's type.
    """
    check_range("X", X, engine.dtype)
    if not scipy.sparse.issparse(X):
        return engine.output(X, end)
    block = max(1, BLOCK // max(X.shape[1], 1))
    return np.concatenate(
        [engine.output(X[i : i + block].toarray(), end) for i in range(0, X.shape[0], block)]
    )
