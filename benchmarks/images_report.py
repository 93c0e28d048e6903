"""From the records of the study of images and signals to a table and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .overfitting_report import table, write

if TYPE_CHECKING:
    from .images import Task

__all__ = ["choice", "draw", "read", "runs", "tables", "write"]

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """Return the records of a file, oldest first; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def choice(records: Sequence[Record], name: str) -> Record:
    """Return the latest choice of a learning rate.

    Raises:
        SystemExit: none has been made.
    """
    made = [r for r in records if r["kind"] == "choice" and r["task"] == name]
    if not made:
        raise SystemExit(f"no rate has been chosen: python -m benchmarks.images choose {name}")
    return made[-1]


def runs(records: Sequence[Record], name: str) -> list[Record]:
    """Return the latest run of each seed, in the order of the seeds."""
    latest = {r["seed"]: r for r in records if r["kind"] == "run" and r["task"] == name}
    return [latest[seed] for seed in sorted(latest)]


def tables(records: Sequence[Record], tasks: Mapping[str, Task]) -> str:
    """Return what came out, and how the rates were chosen, as Markdown."""
    found = {name: runs(records, name) for name in tasks if runs(records, name)}
    results = [_result(tasks[name], made) for name, made in found.items()]
    choices = [_chosen(tasks[name], choice(records, name)) for name in found]
    head = ("", "epochs", "right of the test rows, by seed", "goal", "seconds", "ms a step")
    return (
        f"{table(head, results)}\n\n"
        "How each was trained; in brackets the loss on held-out training rows with each rate\n\n"
        f"{table(('', 'setting', 'batch', 'greatest rate chosen'), choices)}"
    )


def _result(task: Task, made: Sequence[Record]) -> list[str]:
    right = [100 * r["curves"]["val_accuracy"][-1] for r in made]
    quickest = min(made, key=lambda r: r["seconds"])  # the least disturbed by other work
    return [
        f"{task.title} ({made[0]['parameters']:,} parameters)",
        str(len(made[0]["curves"]["loss"])),
        f"**{', '.join(f'{r:.2f}' for r in right)} %** of {made[0]['rows'][1]:,}",
        "" if task.goal is None else f"{100 * task.goal:g} %",
        f"{quickest['seconds']:.0f}",
        f"{quickest['milliseconds per step']:.1f}",
    ]


def _chosen(task: Task, made: Record) -> list[str]:
    tried = ", ".join(f"{rate} ({loss:g})" for rate, loss in made["losses"].items())
    chosen = f"**{made['rate']:g}** of {tried}; {made['epochs']} epochs"
    return [task.title, task.setting, str(task.batch), chosen]


def draw(path: Path, records: Sequence[Record], tasks: Mapping[str, Task]) -> None:
    """Draw the errors on training and on test rows epoch by epoch, where matplotlib is there."""
    try:
        from matplotlib.figure import Figure  # optional, and only to draw
    except ImportError:
        print("no figure: matplotlib is not installed")
        return
    figure = Figure(figsize=(9.5, 5.4), dpi=90, layout="constrained")
    for panel, (name, task) in zip(figure.subplots(2, 3).flat, tasks.items(), strict=True):
        if made := runs(records, name):
            for column, color, label in COLUMNS:
                _draw(panel, wrong(made, column), color, label)
        allowed = 0.3 if task.goal is None else 1 - task.goal
        if task.goal is not None:
            panel.axhline(100 * allowed, color="0.6", lw=0.8, ls=":", label="goal")
        panel.set_title(task.title, fontsize=8)
        panel.set_ylim(0, min(80.0, 300 * allowed))
        panel.set_xlabel("epoch", fontsize=8)
        panel.tick_params(labelsize=8)
    figure.supylabel("% wrong", fontsize=9)
    lines = panel.get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)


COLUMNS = (
    ("accuracy", "C0", "training rows, in training mode"),
    ("val_accuracy", "C1", "test rows"),
)


def wrong(made: Sequence[Record], column: str) -> np.ndarray:
    """Return the percentage of wrong answers, by seed and epoch."""
    return 100 * (1 - np.array([r["curves"][column] for r in made]))


def _draw(panel: Any, values: np.ndarray, color: str, label: str) -> None:
    """Draw the mean over the seeds, and how far they lie apart."""
    epochs = np.arange(1, values.shape[1] + 1)
    panel.plot(epochs, values.mean(axis=0), color=color, lw=1.2, label=label)
    panel.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, lw=0)
