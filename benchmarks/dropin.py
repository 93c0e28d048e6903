"""The same script with only the import changed: scikit-learn's networks, then this library's.

    python -m benchmarks.dropin [DATA] [--only NAME ...]

For each data set and each of 10 seeds, rows are split and prepared, a network with its default
parameters learns and is scored: once with scikit-learn's class, once with the class of that name
here, once more with `dtype="float64"`, in which scikit-learn computes, in turn. Figures go into
benchmarks/dropin.json, from which the tables in docs/estimators.md are made; `--only` measures some
sets again and keeps the others.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd
from sklearn import datasets, neural_network
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pellucid import estimators

from . import dropin_report as report
from .crowding import Crowding
from .results import processor

ROOT = Path(__file__).resolve().parents[1]
SEEDS = 10

REST = 0.2
"""Seconds before each fit, in which threads that a library has left spinning go to sleep.

Rows are prepared meanwhile, as in a script: a processor that has slept is slow for a while.
"""


class Task(NamedTuple):
    """A data set, and what learns it.

    Attributes:
        read: from the folder of data sets to X and y.
        network: name of the class, in both libraries.
        options: that differ from the defaults.
    """

    read: Callable[[Path], tuple[Any, Any]]
    network: str = "MLPClassifier"
    options: dict[str, Any] = {}


def housing(folder: Path) -> tuple[Any, Any]:
    """Return districts of California, and their median value in 100,000 dollars."""
    table = pd.read_csv(folder / "california-housing" / "housing.csv")
    return table.drop(columns="median_house_value"), table["median_house_value"] / 1e5


def adult(folder: Path) -> tuple[Any, Any]:
    """Return 32,561 persons of the census, and whether one earns more than 50,000 dollars."""
    table = pd.read_csv(
        folder / "adult" / "adult-train.csv", header=None, skipinitialspace=True, na_values="?"
    )
    table.columns = [f"column {i}" for i in range(len(table.columns))]
    return table.iloc[:, :-1], table.iloc[:, -1]


TASKS: dict[str, Task] = {
    "wine": Task(lambda folder: datasets.load_wine(return_X_y=True)),
    "breast cancer": Task(lambda folder: datasets.load_breast_cancer(return_X_y=True)),
    "digits": Task(lambda folder: datasets.load_digits(return_X_y=True)),
    "California housing": Task(housing, "MLPRegressor", {"max_iter": 50}),
    "adult": Task(adult, options={"max_iter": 20}),
}


def preparation(X: Any) -> Any:
    """Return what fills gaps, scales numbers and makes words one-hot."""
    if not isinstance(X, pd.DataFrame):
        return StandardScaler()
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )


def script(library: ModuleType, task: Task, X: Any, y: Any, seed: int, **more: Any) -> Any:
    """Return score and seconds of `fit`: the script, of which nothing but the library changes."""
    classes = task.network == "MLPClassifier"
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, random_state=seed, stratify=y if classes else None
    )
    prepare = preparation(X).fit(X_train)
    X_train, X_test = prepare.transform(X_train), prepare.transform(X_test)
    network = getattr(library, task.network)(random_state=seed, **task.options, **more)
    rested = time.perf_counter() + REST
    while time.perf_counter() < rested:
        prepare.transform(X)
    start = time.perf_counter()
    network.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    return network.score(X_test, y_test), seconds, network.n_iter_


WAYS: dict[str, Callable[..., Any]] = {
    "scikit-learn": lambda *given: script(neural_network, *given),
    "Pellucid": lambda *given: script(estimators, *given),
    "Pellucid, float64": lambda *given: script(estimators, *given, dtype="float64"),
}


def measure(task: Task, folder: Path, seeds: int) -> dict[str, Any]:
    """Return scores, seconds and epochs of each way, seed by seed, and seconds of the first fit."""
    X, y = task.read(folder)
    crowding = Crowding()
    # the first one compiles: it has a column of its own, with the machine code not yet kept
    first = {way: run(task, X, y, 0)[1] for way, run in WAYS.items()}
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        for way, run in WAYS.items():
            found[way].append(run(task, X, y, seed))
    return {
        "rows": len(X),
        "network": task.network,
        "options": task.options,
        "processor": processor(),
        "others": round(crowding.share(), 3),
        "first": first,
        "runs": {way: list(zip(*rows, strict=True)) for way, rows in found.items()},
    }


def main() -> None:
    """Measure, print the table, put it into the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dropin", description=__doc__.splitlines()[0]
    )
    default = os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("data", nargs="?", type=Path, default=Path(default), metavar="DATA")
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"({SEEDS})")
    parser.add_argument("--figures", type=Path, default=ROOT / "benchmarks" / "dropin.json")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "estimators.md")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds must be at least 2: a single one has no deviation")
    if not (options.data / "adult").exists():
        parser.error(f"{options.data} is missing: give the folder that holds adult/")

    study = json.loads(options.figures.read_text()) if options.figures.exists() else {}
    warnings.simplefilter("ignore", ConvergenceWarning)  # of both, where the epochs are few
    with tempfile.TemporaryDirectory() as cache:
        os.environ["PELLUCID_CACHE"] = cache
        for name in options.only:
            study[name] = measure(TASKS[name], options.data, options.seeds)
            print(name, flush=True)
    ordered = {name: study[name] for name in TASKS if name in study}
    options.figures.write_text(json.dumps(ordered) + "\n")
    text = report.tables(ordered)
    print(f"\n{text}")
    report.write(options.output, text)


if __name__ == "__main__":
    main()
