"""From scores and seconds of the drop-in study to its tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

BEGIN, END = "<!-- drop-in: begin -->", "<!-- drop-in: end -->"
THEIRS, OURS, DOUBLE = "scikit-learn", "Pellucid", "Pellucid, float64"

Study = Mapping[str, Mapping[str, Any]]


def tables(study: Study) -> str:
    """Return the tables of scores and of times as Markdown."""
    scores = [
        "| data | rows | scikit-learn | Pellucid | difference | Pellucid, float64 | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    times = [
        "| data | epochs | scikit-learn | Pellucid | times faster | Pellucid, float64 "
        "| times faster | first fit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in study.items():
        runs, seconds = found["runs"], _row(found["runs"], 1)
        score = _row(runs, 0)
        scores.append(
            f"| {name} | {found['rows']:,} | {spread(score[THEIRS])} | {spread(score[OURS])} "
            f"| {spread(score[OURS] - score[THEIRS], sign='+')} | {spread(score[DOUBLE])} "
            f"| {spread(score[DOUBLE] - score[THEIRS], sign='+')} |"
        )
        epochs = _row(runs, 2)[OURS]
        times.append(
            f"| {name} | {epochs.mean():.0f} | {span(seconds[THEIRS])} | {span(seconds[OURS])} "
            f"| {ratio(seconds, OURS)} | {span(seconds[DOUBLE])} | {ratio(seconds, DOUBLE)} "
            f"| {shown(found['first'][OURS])} |"
        )
    processors = sorted({found["processor"] for found in study.values()})
    others = max((found["others"] for found in study.values()), default=0.0)
    return "\n".join([
        "Scores on test rows (accuracy; R² for quantities), mean ± standard deviation over the "
        "seeds, and of the differences, seed by seed:", "", *scores, "",
        "Times of `fit`, medians over the seeds, and of the ratios, seed by seed (least to most):",
        "", *times, "",
        f"{'; '.join(processors)}. Others took at most {others:.0%} of the machine meanwhile.",
    ])  # fmt: skip


def _row(runs: Mapping[str, Any], which: int) -> dict[str, np.ndarray]:
    return {way: np.asarray(found[which], float) for way, found in runs.items()}


def spread(values: np.ndarray, sign: str = "") -> str:
    """Return mean ± standard deviation."""
    return f"{values.mean():{sign}.4f} ± {values.std(ddof=1):.4f}"


def shown(seconds: float) -> str:
    """Return seconds in a unit that fits."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def span(seconds: np.ndarray) -> str:
    """Return the median."""
    return shown(float(np.median(seconds)))


def ratio(seconds: Mapping[str, np.ndarray], way: str) -> str:
    """Return how many times longer scikit-learn takes."""
    ratios = seconds[THEIRS] / seconds[way]
    return f"**{np.median(ratios):.1f}** ({ratios.min():.1f} to {ratios.max():.1f})"


def write(path: Path, text: str) -> None:
    """Put the tables between the marks of a document.

    Raises:
        ValueError: it has no such marks.
    """
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} must have the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
