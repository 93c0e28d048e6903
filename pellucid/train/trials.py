"""One trial of a search, and the workers that carry trials out.

A trial is a function of its configuration, its limits and the data alone: who carries it
out, and when, changes no bit.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import compiler

from .callbacks import Callback
from .diverged import TrainingDiverged
from .run import INTERRUPTED, Run
from .space import Configuration, train_configuration

COMPLETE, PRUNED, DIVERGED = "complete", "pruned", "diverged"


@dataclass(frozen=True)
class Trial:
    """What one configuration came to.

    Attributes:
        number: its place in the search, from 0.
        configuration: what was chosen.
        state: "complete"; "pruned", if it was ended early; or "diverged".
        scores: after each epoch, on the rows held out.
    """

    number: int
    configuration: Configuration
    state: str
    scores: tuple[float, ...]

    @property
    def score(self) -> float | None:
        """After its last epoch; None if it diverged."""
        return None if self.state == DIVERGED else self.scores[-1]


@dataclass(frozen=True)
class Task:
    """What all trials of a search have in common.

    Attributes:
        X: inputs (rows, ...).
        y: targets (rows, ...).
        outputs: of a network.
        epochs: of a trial that is not pruned.
        validation: rows to measure on, as `fit` takes them.
        score: name of the metric.
        greater_is_better: whether a greater score is better.
        seed: of every trial's weights and orders, and of the rows held out.
    """

    X: np.ndarray
    y: np.ndarray
    outputs: int
    epochs: int
    validation: Any
    score: str
    greater_is_better: bool
    seed: int

    def better(self, a: float, b: float) -> bool:
        """Whether one score is better than another."""
        return a > b if self.greater_is_better else a < b


class Pruner(Callback):
    """Ends a run whose best score so far is worse than the limit for its epoch.

    Args:
        task: knows the score.
        limits: the worst score that may go on, for each epoch; NaN sets none.
    """

    def __init__(self, task: Task, limits: Sequence[float]) -> None:
        self.task, self.limits = task, limits
        self.scores: list[float] = []
        self.pruned = False

    def epoch_end(self, run: Run) -> None:
        """Note the score, and compare it."""
        self.scores.append(run.history.last(f"val_{self.task.score}"))
        epoch = len(self.scores) - 1
        best = (max if self.task.greater_is_better else min)(self.scores)
        last = epoch + 1 == self.task.epochs
        if epoch < len(self.limits) and not last and self.task.better(self.limits[epoch], best):
            self.pruned = True
            run.stop(PRUNED)


def run_trial(
    task: Task, number: int, configuration: Configuration, limits: Sequence[float]
) -> Trial:
    """Carry out one trial."""
    pruner = Pruner(task, limits)
    try:
        run = train_configuration(
            configuration,
            task.X,
            task.y,
            task.outputs,
            task.seed,
            epochs=task.epochs,
            validation=task.validation,
            metrics=[task.score],
            callbacks=[pruner],
        )
    except TrainingDiverged:
        return Trial(number, configuration, DIVERGED, tuple(_finite(pruner.scores)))
    if run.stopped == INTERRUPTED:
        raise KeyboardInterrupt
    scores = tuple(pruner.scores)
    if len(_finite(scores)) < len(scores):
        return Trial(number, configuration, DIVERGED, tuple(_finite(scores)))
    return Trial(number, configuration, PRUNED if pruner.pruned else COMPLETE, scores)


def _finite(scores: Sequence[float]) -> list[float]:
    """The scores before the first that is not finite."""
    broken = next((i for i, s in enumerate(scores) if not math.isfinite(s)), len(scores))
    return list(scores[:broken])


# -- workers --------------------------------------------------------------------------

_task: Task | None = None  # of this worker process, handed over once


def workers(task: Task, count: int) -> Executor:
    """What carries out trials: this process, or so many others with their share of the threads."""
    if count == 1:
        return _Here(task)
    import multiprocessing  # slow to import, and needed here alone
    from concurrent.futures import ProcessPoolExecutor

    threads = max(1, compiler.get_threads() // count)
    return ProcessPoolExecutor(
        count,
        multiprocessing.get_context("spawn"),  # a fork would copy threads in mid-work
        _begin,
        (task, threads),
    )


def in_worker(number: int, configuration: Configuration, limits: Sequence[float]) -> Trial:
    """Carry out a trial of this worker's task."""
    assert _task is not None
    return run_trial(_task, number, configuration, limits)


def _begin(task: Task, threads: int) -> None:
    """What a worker process does first."""
    global _task
    _task = task
    compiler.set_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that leads
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when the process that leads is gone, even if it was killed."""
    import multiprocessing.connection

    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


class _Here(Executor):
    """Carries out each trial at once, in this process."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Carry out a trial; its future is done."""
        done: Future[Any] = Future()
        done.set_result(run_trial(self._task, *args, **kwargs))
        return done
