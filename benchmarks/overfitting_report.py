"""From the folds of the overfitting study to statistics, tables and a figure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student  # comes with scikit-learn

FIGURES = ("accuracy", "log loss", "ROC-AUC")
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


class Found(NamedTuple):
    """What one method did on one fold.

    Attributes:
        train: `FIGURES` on the training rows.
        test: `FIGURES` on the test rows.
        strength: that the inner folds chose; None where there was nothing to choose.
        curves: log loss of training and of test rows, epoch by epoch; None for the base line,
            and where some of the training rows were held out.
    """

    train: list[float]
    test: list[float]
    strength: float | None
    curves: tuple[list[float], list[float]] | None


Study = dict[str, list[Found]]  # by method, fold by fold


def spread(values: np.ndarray, folds: int) -> tuple[float, float, float]:
    """Return mean, standard deviation of the repetitions' means, and that of the folds.

    Args:
        values: a figure of every fold, repetition after repetition (repetitions * folds,).
        folds: in a repetition.
    """
    means = values.reshape(-1, folds).mean(axis=1)
    return float(values.mean()), float(means.std(ddof=1)), float(values.std(ddof=1))


def interval(differences: np.ndarray, folds: int) -> tuple[float, float, float]:
    """Return mean and 95 % interval of a difference over repeated cross-validation.

    The folds share training rows, so their spread alone would promise too much; the variance of
    the mean of n folds is taken as s^2 (1 / n + test rows / training rows).

    Args:
        differences: of a figure, fold by fold.
        folds: in a repetition: test rows / training rows = 1 / (folds - 1).

    Source: Nadeau, Bengio: Inference for the generalization error (2003), as extended to repeated
    cross-validation by Bouckaert, Frank (2004).
    """
    n, mean = len(differences), float(differences.mean())
    deviation = math.sqrt(differences.var(ddof=1) * (1 / n + 1 / (folds - 1)))
    reach = float(student.ppf(0.975, n - 1)) * deviation
    return mean, mean - reach, mean + reach


def values(study: Study, name: str, part: str, figure: str) -> np.ndarray:
    """Return a figure of a method, fold by fold."""
    return np.array([getattr(found, part)[FIGURES.index(figure)] for found in study[name]])


def tables(study: Study, settings: Mapping[str, str], folds: int) -> str:
    """Return the tables as Markdown.

    Args:
        study: the plain net first, the base line last.
        settings: how each net was trained, by method.
        folds: in a repetition.
    """
    repetitions = len(next(iter(study.values()))) // folds
    titles = {"test": "On test rows", "train": "On training rows"}
    parts = [
        f"{title}, {repetitions} x {folds} folds: mean ± standard deviation of the repetitions' "
        f"means (of the folds)\n\n{_figures(study, part, folds)}"
        for part, title in titles.items()
    ]
    for other in (next(iter(study)), next(reversed(study))):
        parts.append(
            f"Difference to {other} on test rows, with 95 % interval; bold where the interval "
            f"leaves out 0\n\n{_differences(study, other, folds)}"
        )
    parts.append(
        f"How each net was trained, and what the inner folds chose\n\n{_chosen(study, settings)}"
    )
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _figures(study: Study, part: str, folds: int) -> str:
    rows = []
    for name in study:
        cells = [name]
        for figure in FIGURES:
            mean, of_means, of_folds = spread(values(study, name, part, figure), folds)
            cells.append(f"{mean:.3f} ± {of_means:.3f} ({of_folds:.3f})")
        rows.append(cells)
    return table(["", *FIGURES], rows)


def _differences(study: Study, other: str, folds: int) -> str:
    rows = []
    for name in study:
        if name == other:
            continue
        cells = [name]
        for figure in FIGURES:
            apart = values(study, name, "test", figure) - values(study, other, "test", figure)
            mean, low, high = interval(apart, folds)
            text = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"
            cells.append(f"**{text}**" if low > 0 or high < 0 else text)
        rows.append(cells)
    return table(["", *FIGURES], rows)


def _chosen(study: Study, settings: Mapping[str, str]) -> str:
    rows = []
    for name, setting in settings.items():
        counts = Counter(found.strength for found in study[name] if found.strength is not None)
        chosen = ", ".join(f"{s:g} ({n} folds)" for s, n in sorted(counts.items()))
        rows.append([name, setting, chosen])
    return table(["", "setting", "chosen"], rows)


def write(path: Path, text: str) -> None:
    """Put the tables between the document's marks; what people wrote around them stays.

    Raises:
        ValueError: the document has no such marks.
    """
    document = path.read_text(encoding="utf-8")
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {BEGIN} and {END} to put the tables between")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def curves(study: Study) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the mean log loss of training and of test rows, epoch by epoch, where known."""
    known = {name: [f.curves for f in found if f.curves] for name, found in study.items()}
    return {name: tuple(np.mean(rows, axis=0)) for name, rows in known.items() if rows}


def draw(path: Path, study: Study) -> None:
    """Draw the curves, where matplotlib is installed."""
    try:
        from matplotlib.figure import Figure  # optional, and only to draw
    except ImportError:
        print("no figure: matplotlib is not installed")
        return
    figure = Figure(figsize=(8.5, 3.2), dpi=90, layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, (training, test) in curves(study).items():
        epochs = np.arange(1, len(training) + 1)
        left.semilogy(epochs, training, label=name)
        right.semilogy(epochs, test, label=name)
    left.set(title="log loss of training rows, in training mode", xlabel="epoch")
    right.set(title="log loss of test rows", xlabel="epoch", yticks=(0.4, 0.6, 0.8, 1.0, 1.4))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter("")
    figure.legend(*left.get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.savefig(path)
