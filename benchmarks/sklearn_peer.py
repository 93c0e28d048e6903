"""scikit-learn's MLPClassifier: whole calls of `fit`, for it has no bare step.

With two classes it has one logistic output where the others have two. It trains in the type of
its data, float32.
"""

from __future__ import annotations

import math
import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from .data import Rows
from .timing import Work
from .workloads import Workload


def prepare(workload: Workload, data: Rows, variant: str, threads: int) -> Work:
    """Return the work: a unit is an epoch of training, or one prediction."""
    del variant, threads  # the threads are those of its BLAS, set in the worker's environment
    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y = data
    if workload.timed == "predict":
        model, row = classifier(workload, 1).fit(x, y), x[:1]

        def predict(n: int) -> None:
            for _ in range(n):
                model.predict(row)

        return Work(predict)

    return Work(
        lambda epochs: classifier(workload, epochs).fit(x, y),
        steps=math.ceil(len(x) / workload.batch),
    )


def classifier(workload: Workload, epochs: int) -> MLPClassifier:
    """Return a classifier that takes the same steps as the others and never stops early."""
    return MLPClassifier(
        workload.sizes[1:-1],
        solver=workload.optimizer,
        alpha=0.0,
        batch_size=workload.batch,
        learning_rate_init=workload.lr,
        momentum=0.0,
        nesterovs_momentum=False,
        max_iter=epochs,
        n_iter_no_change=10**9,
        random_state=0,
    )
