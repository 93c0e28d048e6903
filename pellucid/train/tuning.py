"""Search for a configuration: which network, loss and optimizer suit some data.

Optuna proposes configurations and keeps trials in its storage. What a trial does depends
on its number and on trials that ended long before, never on which of several workers was
quicker: trial n knows the trials 0 to n - 8, no others, when its configuration is chosen
and when it is pruned. So any number of workers, and any interruption, gives equal trials.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import checks
from .metrics import METRICS
from .run import INTERRUPTED, Run
from .space import CLASSES, QUANTITIES, Space, space_of, train_configuration
from .storage import Storage, optuna
from .trials import COMPLETE, Task, Trial, in_worker, workers

LAG = 8
"""How many trials may be under way at once: trial n waits for trial n - LAG."""

_FEWEST_TO_COMPARE = 5


@dataclass(frozen=True)
class Search:
    """What a search found; its text is a table of the best trials.

    Attributes:
        trials: all of them, by number.
        score: name of the metric, measured on the rows held out.
        greater_is_better: whether a greater score is better.
        space: what was chosen from.
        stopped: why the search ended.
    """

    trials: tuple[Trial, ...]
    score: str
    greater_is_better: bool
    space: Space
    stopped: str
    _outputs: int = field(repr=False, default=1)
    _seed: int = field(repr=False, default=0)

    @property
    def ranked(self) -> list[Trial]:
        """Trials that came to their end, the best first; of equals the one of lower number."""
        sign = -1.0 if self.greater_is_better else 1.0
        ended = [trial for trial in self.trials if trial.state == COMPLETE]
        return sorted(ended, key=lambda trial: (sign * trial.scores[-1], trial.number))

    @property
    def best(self) -> Trial:
        """The best trial.

        Raises:
            ValueError: no trial came to its end.
        """
        ranked = self.ranked
        if not ranked:
            raise ValueError(
                f"none of {len(self.trials)} trials came to its end: they diverged; allow lower "
                "learning rates"
            )
        return ranked[0]

    def fit(self, X: Any, y: Any, **options: Any) -> Run:
        """Train a new network of the best configuration.

        Args:
            X: inputs (rows, ...), as for the search.
            y: targets (rows, ...).
            options: further arguments of `fit`, such as `epochs` and `validation`.
        """
        X, y, _, _ = _data(X, y, None)
        return train_configuration(
            self.best.configuration, X, y, self._outputs, self._seed, **options
        )

    def __repr__(self) -> str:
        states = [trial.state for trial in self.trials]
        counts = ", ".join(f"{states.count(s)} {s}" for s in sorted(set(states)))
        lines = [f"Search: {len(states)} trials ({counts}); {self.stopped}"]
        for trial in self.ranked[:5]:
            chosen = ", ".join(f"{n} {_short(v)}" for n, v in trial.configuration.items())
            lines.append(f"{self.score} {trial.scores[-1]:.4f}  trial {trial.number}: {chosen}")
        return "\n".join(lines)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def search(
    X: Any,
    y: Any,
    *,
    trials: int = 50,
    space: Mapping[str, Any] | None = None,
    epochs: int = 20,
    validation: Any = 0.2,
    score: str | None = None,
    task: str | None = None,
    prune: bool = True,
    storage: str | os.PathLike[str] | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    callback: Callable[[Trial], Any] | None = None,
) -> Search:
    """Try configurations of a network, and say which is best.

    The first ten are drawn at random, further ones by Optuna's tree-structured Parzen
    estimator. A trial is pruned, ended early, if its best score so far is worse than the
    median, at the same epoch, of the trials it knows. For equal arguments the trials are
    equal to the bit, whatever `n_jobs`.

    Args:
        X: inputs (rows, ...), scaled.
        y: class numbers (rows,), or quantities (rows,) or (rows, outputs).
        trials: how many, those in the storage included.
        space: what to choose from, by name (`layers`, `width`, `activation`, `objective`,
            `optimizer`, `learning_rate`, `dropout`, `batch_size`): a list of choices, a
            tuple of the two ends of a range, or a value; the rest as in `space.DEFAULTS`.
        epochs: of each trial.
        validation: rows to measure on: a fraction to hold out, or (X, y).
        score: name of a metric; by default "accuracy", or "rmse" for quantities.
        task: "classification" or "regression"; by default whole numbers are classes.
        prune: whether to end trials early.
        storage: file of SQLite in which every trial is kept as soon as it has ended; if
            there is one of the same search, it goes on from there.
        seed: of the proposals, the rows held out, and all networks.
        n_jobs: worker processes, up to 8, which share the threads. With more than 1, a
            script needs `if __name__ == "__main__":` around what it does.
        callback: receives each trial as it ends.

    Returns:
        The trials; `best` is one of them, `fit` trains a network like it.

    Raises:
        ValueError: an argument does not fit, or the storage holds another search.
        ImportError: Optuna is not installed.

    Example:
        >>> import numpy as np
        >>> from pellucid import train
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> found = train.search(X, (X[:, 0] > X[:, 1]).astype(int), trials=3, epochs=5)
        >>> len(found.trials), found.best.scores[-1] > 0.8
        (3, True)

    Source:
        Akiba, Sano, Yanase, Ohta, Koyama: Optuna (2019). Bergstra, Bardenet, Bengio,
        Kégl: Algorithms for hyper-parameter optimization (2011).
    """
    X, y, kind, outputs = _data(X, y, task)
    choices = space_of(space, kind)
    score = score or ("accuracy" if kind == CLASSES else "rmse")
    greater = checks.one_of(score, "score", METRICS).greater_is_better
    if greater is None:
        raise ValueError(f"score {score!r} has no direction in which it improves")
    n_jobs = checks.whole_number(n_jobs, "n_jobs")
    if n_jobs > LAG:
        raise ValueError(f"n_jobs must be at most {LAG}, received {n_jobs}")
    trials = checks.whole_number(trials, "trials")
    epochs = checks.whole_number(epochs, "epochs")
    shared = Task(X, y, outputs, epochs, validation, score, greater, seed)
    about = {**_about(shared, choices), "prune": bool(prune)}
    with _quiet(), Storage(storage, choices, greater, about) as kept:
        stopped = _search(kept, shared, trials, n_jobs, prune, callback)
        found = tuple(t for number, t in sorted(kept.trials.items()) if number < trials)
    return Search(found, score, greater, choices, stopped, outputs, seed)


def _search(
    kept: Storage,
    task: Task,
    trials: int,
    n_jobs: int,
    prune: bool,
    callback: Callable[[Trial], Any] | None,
) -> str:
    """Carry out the trials that are not in the storage; says why it ended."""
    to_do = [number for number in range(trials) if number not in kept.trials]
    under_way: set[Future[Trial]] = set()
    executor = workers(task, n_jobs)
    try:
        while to_do or under_way:
            while to_do and len(under_way) < n_jobs:
                past = _past(kept.trials, to_do[0])
                if past is None:
                    break
                number = to_do.pop(0)
                chosen = kept.propose(past, task.seed, number)
                limits = _limits(past, task.epochs) if prune else []
                under_way.add(executor.submit(in_worker, number, chosen, limits))
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for trial in sorted((future.result() for future in done), key=lambda t: t.number):
                kept.add(trial)
                if callback is not None:
                    callback(trial)
    except KeyboardInterrupt:
        if not kept.trials:
            raise
        return INTERRUPTED
    except BrokenExecutor:
        raise ChildProcessError(
            "a worker of the search ended unexpectedly; it may have run out of memory, or the "
            'script lacks `if __name__ == "__main__":` around the search'
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)
    return f"all {trials} trials"


def _past(trials: Mapping[int, Trial], number: int) -> list[Trial] | None:
    """The trials that one may know; None as long as some of them have not ended."""
    wanted = range(number - LAG + 1)
    return [trials[i] for i in wanted] if all(i in trials for i in wanted) else None


def _limits(past: list[Trial], epochs: int) -> list[float]:
    """The median score of complete trials, for each epoch; NaN before the fifth of all epochs."""
    complete = [trial.scores for trial in past if trial.state == COMPLETE]
    if len(complete) < _FEWEST_TO_COMPARE:
        return []
    limits = np.median(np.array(complete), axis=0)
    limits[: max(1, epochs // 5)] = np.nan
    return limits.tolist()


def _data(X: Any, y: Any, task: str | None) -> tuple[np.ndarray, np.ndarray, str, int]:
    """Inputs and targets as arrays, what they ask for, and how many outputs that takes."""
    X = checks.numeric(X, "X")
    y = checks.numeric(y, "y")
    if X.ndim < 2 or y.ndim < 1 or len(X) != len(y):
        raise ValueError(
            f"expected X (rows, ...) and y with as many rows, received {X.shape} and {y.shape}"
        )
    if task is None:
        task = CLASSES if y.dtype.kind in "biu" and y.ndim == 1 else QUANTITIES
    checks.one_of(task, "task", {CLASSES: None, QUANTITIES: None})
    if task == QUANTITIES:
        flat = y.reshape(len(y), -1).astype(np.float32)
        return X, flat, task, flat.shape[1]
    if y.ndim != 1 or (y < 0).any() or (y != np.floor(y)).any():
        raise ValueError("classes must be whole numbers from 0, one for each row")
    numbers = y.astype(np.int32)
    return X, numbers, task, max(2, int(numbers.max()) + 1)


def _about(task: Task, space: Space) -> dict[str, str]:
    """What makes two searches the same one, as texts."""
    digest = hashlib.sha256()
    parts = [task.X, task.y]
    if isinstance(task.validation, tuple | list):
        parts += [np.asarray(part) for part in task.validation]
    for array in parts:
        digest.update(f"{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    held_out = "rows" if isinstance(task.validation, tuple | list) else repr(task.validation)
    return {
        "space": repr(space),
        "epochs": str(task.epochs),
        "validation": held_out,
        "score": task.score,
        "seed": str(task.seed),
        "data": digest.hexdigest(),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it Optuna tells warnings only."""
    library = optuna()
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING)
    try:
        yield
    finally:
        library.logging.set_verbosity(before)
