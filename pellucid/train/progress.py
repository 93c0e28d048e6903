"""The progress bar on a terminal."""

from __future__ import annotations

import time

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .callbacks import Callback
from .run import Run, format_figure

_SECONDS = 0.1


class Progress(Callback):
    """Shows epochs, figures and the time left while a run goes on."""

    def train_begin(self, run: Run) -> None:
        """Show the bar."""
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}"),
            auto_refresh=False,  # no thread beside those that compute
        )
        self._task = self._bar.add_task("", total=run.epochs * run.steps_per_epoch, figures="")
        self._shown = 0.0
        self._bar.start()

    def slice_end(self, run: Run) -> None:
        """Move the bar on, ten times a second."""
        now = time.perf_counter()
        if now - self._shown > _SECONDS:
            self._shown = now
            self._show(run)

    def train_end(self, run: Run) -> None:
        """Leave the last state on the screen."""
        self._show(run)
        self._bar.stop()

    def _show(self, run: Run) -> None:
        epochs, figures = run.history.epochs, ""
        if epochs:
            latest = run.history.row(-1)
            figures = "  ".join(
                f"{name} {format_figure(value)}"
                for name, value in latest.items()
                if name != "epoch"
            )
        self._bar.update(
            self._task,
            completed=run.steps,
            description=f"epoch {min(epochs + 1, run.epochs)}/{run.epochs}",
            figures=figures,
            refresh=True,
        )
