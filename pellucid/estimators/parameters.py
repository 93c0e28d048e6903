"""The parameters by which networks learn, and what each may be: declared here once.

An estimator declares its parameters as fields of a dataclass. That makes the `__init__`
which only stores them, as scikit-learn wants it, and names each parameter once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .options import ANYTHING, BOOLEAN, DTYPE, VERBOSE, Rule, number, one_of, whole

_NONE = one_of(None)


@dataclass(eq=False, repr=False, kw_only=True)
class Training:
    """How a network learns. What scikit-learn's networks have too means the same.

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
        dtype: in which to compute, and the type of what is learned and predicted: "float32",
            "float64", or None for that of X. By default ("auto") float32, which takes half the
            time, for X of at least 100 rows; that of X for fewer, and for "lbfgs" and "exact",
            which need the digits. `partial_fit` and `warm_start` keep the type they began with,
            unless another one is given by its name, or "lbfgs" goes on.
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
    dtype: Any = "auto"

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
        "dtype": one_of("auto", None) | DTYPE,
        "schedule": _NONE | Rule("a function of the step", callable),
        "optimizer": ANYTHING,
        "scoring": ANYTHING,
    }
