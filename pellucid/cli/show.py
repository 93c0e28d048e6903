"""`pellucid show`: what a model file holds."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import click

from pellucid import io
from pellucid.files.quoting import cut, listed, quoted
from pellucid.io import ModelFileError
from pellucid.train.run import format_figure

from .errors import plainly
from .recipe import Recipe

_EPOCHS = 10
"""About so many epochs of the history are shown."""


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Write all of it as JSON.")
def show(model: str, as_json: bool) -> None:
    """Tell what MODEL is: layers and cost, how rows are prepared, how it was trained."""
    with plainly():
        found, extra = io.read_model(model)
        recipe = Recipe.from_extra(extra, model) if "recipe" in extra else None
        training = _training(extra, model)
        summary = None
        if recipe is not None:
            summary = found.summary(recipe.input_shape)
    result: dict[str, Any] = {
        "model": model,
        "bytes": os.path.getsize(model),
        "architecture": found.architecture(),
        "parameters": found.num_parameters,
        "operations": None if summary is None else summary.operations,
        "layers": [] if summary is None else [
            {"name": r.name, "layer": r.layer, "output_shape": r.output_shape,
             "parameters": r.parameters, "operations": r.operations}
            for r in summary.rows
        ],
        "recipe": None if recipe is None else recipe.to_extra()["recipe"],
        "training": training,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"{model}: {result['bytes']:,} bytes, {found.num_parameters:,} parameters")
    if summary is None:
        click.echo(f"\n{found!r}")
    else:
        click.echo(f"{summary.operations:,} floating-point operations a row\n\n{summary}")
    if recipe is not None:
        click.echo(f"\n{_describe(recipe)}")
    if training is not None:
        click.echo("\n" + "\n".join(_history(training)))


def _describe(recipe: Recipe) -> str:
    """What goes in and what comes out."""
    lines = []
    if recipe.table is not None:
        lines += [f"{len(recipe.table.columns)} columns become {len(recipe.table.inputs)} inputs:"]
        lines += [str(recipe.table)]
    else:
        lines += [f"rows of shape {recipe.input_shape}"]
        lines[-1] += f", divided by {recipe.divide:g}" if recipe.divide != 1 else ""
    aim = f"{quoted(recipe.target)}" if recipe.target else "the target"
    if recipe.labels:
        shown = listed(recipe.labels)
        lines.append(f"predicts {aim}: one of {len(recipe.labels)} classes, {shown}")
    else:
        lines.append(f"predicts {aim}: {len(recipe.target_mean)} quantities")
    return "\n".join(lines)


def _training(extra: dict[str, Any], path: str) -> dict[str, Any] | None:
    """How the model was trained, if its file tells."""
    found = extra.get("training")
    if found is None:
        return None
    history = found.get("history") if isinstance(found, dict) else None
    sound = (
        isinstance(history, dict)
        and isinstance(found.get("options"), dict)
        and type(found.get("steps")) is int
        and _is_figure(found["steps"])
        and isinstance(found.get("stopped", 0), str | None)
        and all(isinstance(column, list) for column in history.values())
        and len({len(column) for column in history.values()}) <= 1
        and all(_is_figure(value) for column in history.values() for value in column)
    )
    if not sound:
        raise ModelFileError(f"{path} is damaged: what it tells of its training is not sound")
    return dict(found)


def _is_figure(value: Any) -> bool:
    """Whether a history holds such: a finite number, or None."""
    if type(value) is int:
        return abs(value) < 1 << 63
    return value is None or (type(value) is float and math.isfinite(value))


def _history(training: dict[str, Any]) -> list[str]:
    """The options, and a table of some of the epochs."""
    options = ", ".join(
        f"{name} {cut(str(value), 60)}" for name, value in training["options"].items()
    )
    history = training["history"]
    lines = [f"trained with {options}", f"{training['steps']:,} steps: {training['stopped']}"]
    lines.append("  ".join(name.rjust(max(len(name), 8)) for name in history))
    epochs = len(next(iter(history.values()), []))
    every = max(1, epochs // _EPOCHS)
    for epoch in range(epochs):
        if epoch == 0 or (epoch + 1) % every == 0 or epoch + 1 == epochs:
            row = {name: column[epoch] for name, column in history.items()}
            cells = {n: "-" if v is None else format_figure(v) for n, v in row.items()}
            lines.append("  ".join(v.rjust(max(len(n), 8)) for n, v in cells.items()))
    return lines
