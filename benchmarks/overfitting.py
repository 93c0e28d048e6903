"""Overfitting shown and cured on real data: 303 patients, and a net far too large for them.

    python -m benchmarks.overfitting [DATA]

A plain net, five cures and scikit-learn's logistic regression predict heart disease on the same
folds, 10 times 5. How strong a cure is, is chosen inside the training rows of each fold; no test
row is looked at before the end. Tables and figure go into docs/overfitting.md.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import pellucid as pe
from pellucid import nn, optim
from pellucid.train import Run

from . import overfitting_report as report
from .overfitting_report import Found

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = (0, 3, 4, 7, 9, 11)  # age, blood pressure, cholesterol, heart rate, ST, vessels
CATEGORIES = (1, 2, 5, 6, 8, 10, 12)  # sex, kind of pain, sugar, ECG, exertion, slope, thallium
FOLDS, INNER_FOLDS = 5, 3
WIDTH, EPOCHS, BATCH, RATE = 64, 300, 32, 1e-3
LOSS = "binary_cross_entropy_with_logits"

Rows = tuple[np.ndarray, np.ndarray]
Trained = tuple[nn.Module, Run]


def read(folder: Path) -> Rows:
    """Return 13 columns, missing values as NaN, and whether there is disease, as 0 and 1."""
    path = folder / "heart-disease" / "processed.cleveland.data"
    if not path.exists():
        raise SystemExit(f"{path} is missing: give the folder that holds heart-disease/")
    table = np.genfromtxt(path, delimiter=",", missing_values="?", filling_values=np.nan)
    return table[:, :13], (table[:, 13] > 0).astype(int)


def preprocessing() -> ColumnTransformer:
    """Return what is fitted on training rows alone: gaps filled, categories one-hot, scaled."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    parts = [("numbers", numbers, NUMBERS), ("categories", categories, CATEGORIES)]
    return ColumnTransformer(parts, sparse_threshold=0)


class Fold(NamedTuple):
    """Training and test rows, preprocessed by what the training rows say."""

    train: Rows
    test: Rows
    seed: int


def fold(X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray, seed: int) -> Fold:
    """Return the fold of these row numbers."""
    prepare = preprocessing().fit(X[train])
    inputs = [prepare.transform(X[rows]).astype(np.float32) for rows in (train, test)]
    return Fold((inputs[0], y[train]), (inputs[1], y[test]), seed)


# -- the methods ----------------------------------------------------------------------------------

Layers = Callable[[Any], Sequence[nn.Module]]
Rule = Callable[[Any], optim.Optimizer]


@dataclass(frozen=True)
class Method:
    """A net and how it is trained.

    Attributes:
        name: in the tables.
        setting: what is done, in words; ends with what the strength is.
        strengths: among which the inner folds choose; none where there is nothing to choose.
        after: from a strength to the layers after each hidden layer's weights.
        rule: from a strength to the optimizer.
        options: more for `fit`.
    """

    name: str
    setting: str
    strengths: tuple[float, ...] = ()
    after: Layers = lambda strength: [nn.ReLU()]
    rule: Rule = lambda strength: optim.adam(RATE)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The setting, with the strengths that there are to choose from."""
        if not self.strengths:
            return self.setting
        return f"{self.setting} from {', '.join(f'{s:g}' for s in self.strengths)}"

    def fit(self, rows: Rows, strength: float | None, seed: int, **options: Any) -> Trained:
        """Return the trained net, and its run."""
        X, y = rows
        pe.random.set_seed(seed)
        layers: list[nn.Module] = []
        for inputs in (X.shape[1], WIDTH):
            layers += [nn.Linear(inputs, WIDTH), *self.after(strength)]
        net = nn.Sequential(*layers, nn.Linear(WIDTH, 1))
        options = {"epochs": EPOCHS, "batch_size": BATCH, "seed": seed} | self.options | options
        run = pe.fit(net, X, y, loss=LOSS, optimizer=self.rule(strength), **options)
        return net, run


METHODS = (
    Method("plain", "no cure"),
    Method(
        "L2",
        "penalty λ Σ w², λ",
        strengths=(0.003, 0.01, 0.03, 0.1, 0.3),
        rule=lambda strength: optim.chain(optim.l2(strength), optim.adam(RATE)),
    ),
    Method(
        "L1",
        "penalty λ Σ abs(w), by a proximal step, λ",
        strengths=(0.1, 0.2, 0.5, 1.0, 2.0),
        rule=lambda strength: optim.chain(optim.adam(RATE), optim.l1(strength)),
    ),
    Method(
        "dropout",
        "after both hidden layers, probability",
        strengths=(0.3, 0.5, 0.7, 0.8, 0.9),
        after=lambda p: [nn.ReLU(), nn.Dropout(p)],
    ),
    Method(
        "early stopping",
        "a fifth of the training rows watched, patience 20 epochs, best weights kept",
        options={"validation": 0.2, "early_stopping": 20},
    ),
    Method(
        "batch norm",
        "before both ReLUs",
        after=lambda strength: [nn.BatchNorm(WIDTH), nn.ReLU()],
    ),
)
BASE_LINE = "logistic regression"


# -- the study ------------------------------------------------------------------------------------


def probabilities(net: nn.Module, X: np.ndarray) -> np.ndarray:
    """Return the net's probability of disease for each row."""
    return 1.0 / (1.0 + np.exp(-net.predict(X)[:, 0].astype(np.float64)))


def figures(y: np.ndarray, p: np.ndarray) -> list[float]:
    """Return the `report.FIGURES` of these probabilities."""
    return [accuracy_score(y, p > 0.5), log_loss(y, p), roc_auc_score(y, p)]


def chosen(method: Method, inner: Sequence[Fold]) -> float | None:
    """Return the strength with the least log loss, summed over the inner folds."""
    if not method.strengths:
        return None

    def loss(strength: float) -> float:
        total = 0.0
        for each in inner:
            net, _ = method.fit(each.train, strength, each.seed)
            total += log_loss(each.test[1], probabilities(net, each.test[0]))
        return total

    return min(method.strengths, key=loss)


def on_fold(method: Method, outer: Fold, inner: Sequence[Fold]) -> Found:
    """Choose the strength, train on all training rows, measure."""
    strength = chosen(method, inner)
    watched = {} if "validation" in method.options else {"validation": outer.test}  # for the curves
    net, run = method.fit(outer.train, strength, outer.seed, **watched)
    scores = [figures(y, probabilities(net, X)) for X, y in (outer.train, outer.test)]
    curves = (list(run.history["loss"]), list(run.history["val_loss"])) if watched else None
    return Found(*scores, strength, curves)


def base_line(outer: Fold) -> Found:
    """Measure scikit-learn's logistic regression with its defaults, an L2 penalty among them."""
    model = LogisticRegression(max_iter=1000).fit(*outer.train)
    scores = [figures(y, model.predict_proba(X)[:, 1]) for X, y in (outer.train, outer.test)]
    return Found(*scores, None, None)


def study(X: np.ndarray, y: np.ndarray, repeats: int, methods: Sequence[Method]) -> report.Study:
    """Return what each method did on each fold, repetition by repetition."""
    results: dict[str, list[Found]] = {m.name: [] for m in methods} | {BASE_LINE: []}
    splitter = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=0)
    for seed, (train, test) in enumerate(splitter.split(X, y)):
        outer = fold(X, y, train, test, seed)
        parts = StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed).split(train, y[train])
        inner = [fold(X, y, train[a], train[b], seed) for a, b in parts]
        for method in methods:
            results[method.name].append(on_fold(method, outer, inner))
        results[BASE_LINE].append(base_line(outer))
        if (seed + 1) % FOLDS == 0:
            print(f"repetition {(seed + 1) // FOLDS} of {repeats}", flush=True)
    return results


def main() -> None:
    """Run the study, print its tables, put them into the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overfitting", description=__doc__.splitlines()[0]
    )
    default = os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("data", nargs="?", type=Path, default=Path(default), metavar="DATA")
    parser.add_argument("--repeats", type=int, default=10, help="times 5 folds (10)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "overfitting.md")
    options = parser.parse_args()
    if options.repeats < 2:
        parser.error("--repeats must be at least 2: a single repetition has no spread")

    start = time.perf_counter()
    X, y = read(options.data)
    results = study(X, y, options.repeats, METHODS)
    seconds = time.perf_counter() - start
    text = report.tables(results, {method.name: method.text for method in METHODS}, FOLDS)
    print(f"\n{text}\n\n{seconds:.0f} s")
    report.write(options.output, text)
    report.draw(options.output.with_suffix(".png"), results)


if __name__ == "__main__":
    main()
