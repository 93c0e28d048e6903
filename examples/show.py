"""What the examples share: the option `--plot FILE`, and how their pictures look."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

BLUE, ORANGE, GREEN, RED, GRAY = "#2a78b5", "#e8842c", "#3a9a57", "#c63d3d", "#8a8a8a"
CYCLE = [BLUE, ORANGE, GREEN, RED, "#7d5ba6", "#8c6d4f", GRAY, "black", "#d873b4"]

STYLE = {
    "axes.prop_cycle": f"cycler('color', {CYCLE})",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.dpi": 130,
    "font.size": 9,
    "legend.frameon": False,
}


def show(
    text: str | None,
    measure: Callable[[], Any],
    report: Callable[[Any], str],
    draw: Callable[[Any, Any], None],
) -> Any:
    """Do what an example is for: measure, print the report, draw where `--plot` asks for it.

    Args:
        text: the example's own docstring, printed by `--help`.
        measure: computes the figures.
        report: makes text of them.
        draw: draws them on an empty matplotlib figure: `draw(figure, figures)`.

    Returns:
        The figures.
    """
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plot", metavar="FILE", help="draw a picture, too; needs matplotlib")
    file = parser.parse_args().plot
    if file:
        try:
            import matplotlib  # optional, and only to draw
            from matplotlib.figure import Figure
        except ImportError:
            parser.error('--plot needs matplotlib: python -m pip install "pellucid[plot]"')

    figures = measure()
    print(report(figures))
    if file:
        with matplotlib.rc_context(STYLE):
            picture = Figure(layout="constrained")
            draw(picture, figures)
            picture.savefig(file)
        print(f"\ndrawn: {file}")
    return figures


def regions(axes: Any, model: Any, low: float, high: float) -> None:
    """Color the square from low to high by a model's last output: blue below 0.5, orange above."""
    side = np.linspace(low, high, 200, dtype=np.float32)
    answer = model.predict(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    colors = ["#b9d6ec", "#f8d9bd"]
    axes.contourf(side, side, answer[:, -1].reshape(200, 200), [-1e9, 0.5, 1e9], colors=colors)
    axes.set_aspect("equal")
