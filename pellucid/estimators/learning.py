"""Learning by steps, epoch after epoch, with scikit-learn's rules of when to stop.

Where nobody looks at single epochs, compiled code applies the rules itself, and runs as many at
once as pass before they end learning, or change the rate.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from pellucid.compiler import Objective, Patience, can_compile
from pellucid.train.interrupt import Interrupt

from .engine import Trainer, next_pace
from .orders import Orders
from .rules import Rates


@dataclass
class Watch:
    """Who looks at epochs.

    Attributes:
        score: the validation score of the present weights; None without validation.
        epoch_begin: called before each epoch, if anybody wants to be.
        epoch_end: called after each; learning stops where it gives True.
        keep_best: called where the validation score is better than ever before.
    """

    score: Callable[[], float] | None = None
    epoch_begin: Callable[[], Any] | None = None
    epoch_end: Callable[[], bool] | None = None
    keep_best: Callable[[], Any] | None = None

    @property
    def looks(self) -> bool:
        """Whether anybody does."""
        return any((self.score, self.epoch_begin, self.epoch_end))


class Learning:
    """One call of `fit` or `partial_fit`, by steps.

    Args:
        estimator: whose parameters say how, and whose attributes say how it went.
        trainer: takes the steps.
        rows: to learn from.
        orders: of the rows.
        rates: of learning.
        outputs: over how many the reported loss is a mean, where the objective is a sum.
        watch: who looks.

    Attributes:
        stopped: whether a rule or a callback has ended it.
    """

    def __init__(
        self,
        estimator: Any,
        trainer: Trainer,
        rows: Any,
        orders: Orders,
        rates: Rates,
        outputs: int,
        watch: Watch,
    ) -> None:
        self.estimator = estimator
        self.trainer = trainer
        self.rows = rows
        self.orders = orders
        self.rates = rates
        counts = orders.counts
        # by the rows of the compiled batches a record multiplies its mean figures
        rooms = np.full(len(counts), orders.room) if orders.room else counts
        self.objective = Objective(counts, rooms.astype(np.float64), outputs)
        self.watch = watch
        self._pace = 64  # steps of one native call
        self.stopped = False

    def run(self, most: int) -> None:
        """Learn for so many epochs at most.

        Raises:
            ValueError: the loss or a weight is not a finite number any more.
        """
        est = self.estimator
        est.n_iter_ = 0
        with Interrupt() as interrupt:
            while est.n_iter_ < most and not self.stopped:
                if self.watch.epoch_begin is not None:
                    self.watch.epoch_begin()
                losses = self._next_epochs(most - est.n_iter_, interrupt)
                for loss in losses:
                    self._epoch_ended(loss)
                self.rates.advance(len(losses), self.orders.steps, est.t_)
                if interrupt.received:
                    warnings.warn("Training interrupted by user.", stacklevel=4)
                    break
                self._stop_or_go_on()

    @property
    def _by_itself(self) -> bool:
        """Whether compiled code can go on from epoch to epoch by itself."""
        orders, draws = self.orders, self.orders.shuffle
        whole = orders.room is not None and self.rows.lie_still
        known = draws is None or draws.generator is not None
        return can_compile() and whole and known and not self.watch.looks

    def _next_epochs(self, most: int, interrupt: Interrupt) -> np.ndarray:
        """Run epochs, none after one that ends learning or changes the rate; their losses."""
        est, orders = self.estimator, self.orders
        at_once = self._pace // orders.steps
        if self._by_itself:
            room = self.rows.most_steps(orders.room) // orders.steps
            more = self.trainer.epochs_at_once(self.rows.data, orders) or at_once
            if more and room:
                return self._by_rule(min(more, room, most))
        patience = min(est.n_iter_no_change, est.max_iter) - est._no_improvement + 1
        epochs = 1 if self.watch.looks else min(patience, at_once, most)
        return self._epochs(int(max(1, epochs)), interrupt)

    def _by_rule(self, epochs: int) -> np.ndarray:
        """Run epochs up to one that ends learning or changes the rate, by one native call."""
        est, orders = self.estimator, self.orders
        rates = self.rates.ahead(epochs, orders.steps, orders.rows, est.t_)
        most = int(min(est.n_iter_no_change, est.max_iter))
        patience = Patience(est.best_loss_, est._no_improvement, est.tol, most)
        started = time.perf_counter()
        losses = self.trainer.run_epochs(
            self.rows.data, orders, epochs, rates, est.alpha, self.objective, patience
        )
        seconds = time.perf_counter() - started
        self._pace = next_pace(self._pace, len(losses) * orders.steps, seconds)
        return losses

    def _epochs(self, epochs: int, interrupt: Interrupt) -> np.ndarray:
        """Run epochs; their losses."""
        est, orders = self.estimator, self.orders
        rates = self.rates.ahead(epochs, orders.steps, orders.rows, est.t_)
        counts = np.tile(orders.counts, epochs)
        records, done = [], 0
        for index in orders.next(epochs):
            first, most = 0, self.rows.most_steps(index.shape[1])
            while first < len(index) and not interrupt.received:
                last = min(first + min(self._pace, most), len(index))
                data, numbers = self.rows.seen_by(index[first:last])
                started = time.perf_counter()
                now = slice(done, done + last - first)
                found = self.trainer.run(data, numbers, counts[now], rates[now], est.alpha)
                seconds = time.perf_counter() - started
                self._pace = next_pace(self._pace, last - first, seconds)
                records.append(found)
                done, first = now.stop, last
        if interrupt.received:
            return np.empty(0)
        return self.objective.losses(np.concatenate(records))

    def _epoch_ended(self, loss: float) -> None:
        est = self.estimator
        if not math.isfinite(loss):
            raise diverged(f"the loss of epoch {est.n_iter_ + 1} is {loss}")
        est.n_iter_ += 1
        est.loss_ = float(loss)
        est.t_ += self.orders.rows
        est.loss_curve_.append(est.loss_)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
        if self.watch.score is not None:
            est.validation_scores_.append(self.watch.score())
            if est.verbose:
                print(f"Validation score: {est.validation_scores_[-1]:f}")
        self._count_improvement()

    def _count_improvement(self) -> None:
        """Count the epochs in a row that brought no improvement by more than `tol`."""
        est = self.estimator
        if est.early_stopping:
            score, best = est.validation_scores_[-1], est.best_validation_score_
            stalled = score < best + est.tol
            if score > best:
                est.best_validation_score_ = score
                if self.watch.keep_best is not None:
                    self.watch.keep_best()
        else:
            stalled = est.loss_ > est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, est.loss_)
        est._no_improvement = est._no_improvement + 1 if stalled else 0

    def _stop_or_go_on(self) -> None:
        est = self.estimator
        if self.watch.epoch_end is not None and self.watch.epoch_end():
            self.stopped = True
        if est._no_improvement > est.n_iter_no_change:
            what = "Validation score" if est.early_stopping else "Training loss"
            said = (
                f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} "
                "consecutive epochs."
            )
            adaptive = est.solver == "sgd" and est.learning_rate == "adaptive"
            if self.rates.lower():
                est._no_improvement = 0
                said += f" Setting learning rate to {self.rates.current:f}"
            else:
                self.stopped = True
                said += f"{' Learning rate too small.' if adaptive else ''} Stopping."
            if est.verbose:
                print(said)


def diverged(what: str) -> ValueError:
    """What is said where learning has ended in NaN or infinity."""
    return ValueError(
        f"Solver produced non-finite parameter weights: {what}. The input data may contain large "
        "values and need to be preprocessed, for instance with StandardScaler; or lower "
        "learning_rate_init"
    )


def warn_of_limit(most: int) -> None:
    """Say that learning ended because the epochs were over."""
    warnings.warn(
        f"Stochastic Optimizer: Maximum iterations ({most}) reached and the optimization hasn't "
        "converged yet.",
        ConvergenceWarning,
        stacklevel=4,
    )
