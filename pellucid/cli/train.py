"""`pellucid train`: from data to a model file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import click
import numpy as np

import pellucid as pe
from pellucid import compiler, io, nn, optim
from pellucid.core.random import seed_words
from pellucid.train import Callback, Checkpoint, EarlyStopping, Run, fit
from pellucid.train.run import format_figure
from pellucid.train.shuffle import split_rows
from pellucid.train.tables import DataError

from .data import Rows, Source, check_output, data_options, read, source_of
from .errors import plainly
from .recipe import CLASSES, QUANTITIES, Recipe
from .score import describe, score

_LINES = 20
"""About so many epochs are shown."""


class Layers(click.ParamType):
    """Widths of hidden layers: "100", "128,64", or "none"."""

    name = "widths"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The widths as numbers."""
        if isinstance(value, tuple):
            return value
        if value.strip().lower() == "none":
            return ()
        try:
            widths = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: expected widths such as 100 or 128,64, or none")
        if min(widths) < 1:
            self.fail(f"{value!r}: a layer needs at least 1 unit")
        return widths


class EpochTable(Callback):
    """Writes the figures of epochs, line by line."""

    def train_begin(self, run: Run) -> None:
        """Write the heads of the columns."""
        self._shown = 0
        self._every = max(1, run.epochs // _LINES)
        click.echo("  ".join(name.rjust(max(len(name), 8)) for name in run.history))

    def slice_end(self, run: Run) -> None:
        """Write the epochs that have come to their end."""
        for epoch in range(self._shown, run.history.epochs):
            if epoch == 0 or (epoch + 1) % self._every == 0 or epoch + 1 == run.epochs:
                figures = run.history.row(epoch).items()
                click.echo(
                    "  ".join(format_figure(v).rjust(max(len(name), 8)) for name, v in figures)
                )
        self._shown = run.history.epochs


@click.command()
@data_options
@click.option("--test", metavar="DATA", help="CSV or .npz with rows to test on.")
@click.option("--test-images", metavar="FILE", help="IDX file of inputs to test on.")
@click.option("--test-labels", metavar="FILE", help="IDX file of their classes.")
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Rows held out to test on where none are given.",
)
@click.option(
    "--task", type=click.Choice([CLASSES, QUANTITIES]), help="By default seen in the data."
)
@click.option("--layers", type=Layers(), default="128", show_default=True, help="Hidden widths.")
@click.option(
    "--activation", type=click.Choice(sorted(nn.ACTIVATIONS)), default="relu", show_default=True
)
@click.option(
    "--dropout",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of hidden units left out at each step.",
)
@click.option("--epochs", type=click.IntRange(1), default=60, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Rows a step.")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), default=0.001, show_default=True
)
@click.option(
    "--optimizer", type=click.Choice(sorted(optim.OPTIMIZERS)), default="adam", show_default=True
)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Share of the rows to measure on after each epoch.",
)
@click.option(
    "--patience", type=click.IntRange(1), help="Stop after so many epochs without improvement."
)
@click.option("--checkpoint", metavar="FILE", help="Keep the run in this file while it goes on.")
@click.option(
    "--every",
    metavar="TEXT",
    help='How often: "30 seconds" (the default), "500 steps", "epoch", "5 epochs".',
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, if there is one.")
@click.option("--threads", type=click.IntRange(1), help="By default one for each processor.")
@click.option(
    "--output", "-o", default="model.safetensors", show_default=True, help="Where the model goes."
)
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def train(
    data: str | None,
    target: str | None,
    drop: str | None,
    images: str | None,
    labels: str | None,
    test: str | None,
    test_images: str | None,
    test_labels: str | None,
    test_fraction: float,
    task: str | None,
    checkpoint: str | None,
    every: str | None,
    resume: bool,
    threads: int | None,
    output: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a network on DATA and write it to a model file.

    DATA is "digits" (the default: 1,797 handwritten digits that come with
    scikit-learn), a CSV file with --target COLUMN, or an .npz archive with X and y.
    IDX files are given with --images and --labels instead.
    """
    source = source_of(data, target, drop, images, labels)
    held_out = _test_source(test, test_images, test_labels, source)
    if source.is_table and target is None:
        raise click.UsageError(f"name the column of {data} to predict with --target COLUMN")
    if images is not None and labels is None:
        raise click.UsageError("--images needs --labels to learn from")
    if checkpoint is None and (resume or every is not None):
        raise click.UsageError("--every and --resume need --checkpoint FILE")
    with plainly():
        inputs = data, images, labels, test, test_images, test_labels
        check_output(output, *inputs)
        keeps = None if checkpoint is None else _checkpoint(checkpoint, every, output, *inputs)
        if threads is not None:
            compiler.set_threads(threads)
        everything = read(source)
        rows, test_rows = _split(everything, held_out, test_fraction, options["seed"])
        recipe = Recipe.learn(rows, task, target, everything)
        if test_rows is not None:  # what is wrong with them is told before the work
            recipe.inputs(test_rows), recipe.targets(test_rows)
        kept = {"checkpoint": keeps, "resume": resume}
        model, run = _learn(rows, recipe, kept, show=not as_json, **options)
        figures = None if test_rows is None else score(model, recipe, test_rows)
        io.save(model, output, recipe.to_extra())
    result = {
        "model": output,
        "epochs": run.history.epochs,
        "steps": run.steps,
        "seconds": round(run.seconds, 3),
        "stopped": run.stopped,
        "rows": len(rows.X),
        "training": run.history.row(-1) if run.history.epochs else None,
        "test": figures,
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"\n{run.steps:,} steps in {run.seconds:.2f} s: {run.stopped}")
    if figures is not None:
        click.echo(f"test: {describe(figures)}")
    click.echo(f"wrote {output}")


def _checkpoint(path: str, every: str | None, output: str, *inputs: str | None) -> Checkpoint:
    """The checkpoint that the options name."""
    found = Checkpoint(path) if every is None else Checkpoint(path, every)
    check_output(path, *inputs)
    if found.latest == Checkpoint(output).latest:
        raise DataError(f"the checkpoint and the model need files of their own, both are {path}")
    return found


def _learn(
    rows: Rows, recipe: Recipe, kept: Mapping[str, Any], *, show: bool, **options: Any
) -> tuple[nn.Module, Run]:
    """A model trained on rows."""
    pe.random.set_seed(options["seed"])
    model = network(
        recipe, options["layers"], nn.ACTIVATIONS[options["activation"]], options["dropout"]
    )
    patience = options["patience"]
    run = fit(
        model,
        recipe.inputs(rows),
        recipe.targets(rows),
        loss="cross_entropy" if recipe.labels else "mean_squared_error",
        optimizer=optim.OPTIMIZERS[options["optimizer"]](options["learning_rate"]),
        epochs=options["epochs"],
        batch_size=options["batch"],
        validation=options["validation"] or None,
        early_stopping=None if patience is None else EarlyStopping(patience=patience),
        callbacks=[EpochTable()] if show else [],
        seed=options["seed"],
        verbose=False,
        **kept,
    )
    return model, run


def network(
    recipe: Recipe, widths: tuple[int, ...], activation: type[nn.Module], dropout: float
) -> nn.Module:
    """Dense layers from a recipe's inputs to its outputs."""
    layers: list[nn.Module] = [nn.Flatten()] if len(recipe.input_shape) > 1 else []
    wide = int(np.prod(recipe.input_shape))
    for width in widths:
        layers += [nn.Linear(wide, width), activation()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        wide = width
    return nn.Sequential(*layers, nn.Linear(wide, recipe.outputs))


def _test_source(
    test: str | None, images: str | None, labels: str | None, source: Source
) -> Source | None:
    """Where the rows to test on come from, if the options name them."""
    if test is not None and images is not None:
        raise click.UsageError("give either --test or --test-images, not both")
    if (images is None) != (labels is None):
        raise click.UsageError("--test-images and --test-labels belong together")
    if test is None and images is None:
        return None
    return Source(test, source.target, source.drop, images, labels)


def _split(
    rows: Rows, held_out: Source | None, fraction: float, seed: int
) -> tuple[Rows, Rows | None]:
    """Rows to train on and rows to test on."""
    if held_out is not None:
        return rows, read(held_out, features=rows.features or None, test=True)
    if rows.test is not None or fraction == 0:
        return rows, rows.test
    if math.isnan(fraction):
        raise click.UsageError("--test-fraction must be a number, received nan")
    count = round(len(rows.X) * fraction)
    if not 0 < count < len(rows.X):
        return rows, None
    kept, tested = split_rows(len(rows.X), count, seed_words(seed))
    return rows.take(kept), rows.take(tested)
