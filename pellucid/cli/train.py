"""`pellucid train`: from data to a model file."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

import pellucid as pe
from pellucid import compiler, io, nn, optim
from pellucid.core.random import seed_words
from pellucid.train import Callback, Checkpoint, EarlyStopping, Run, fit
from pellucid.train.run import INTERRUPTED, format_figure
from pellucid.train.space import silence
from pellucid.train.split import shares_of_rest, split_rows
from pellucid.train.tables import DataError

from .cross_validation import cross_validate, describe_folds
from .data import Rows, Source, check_output, check_target, data_options, names_of, read, source_of
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
@click.option(
    "--categories",
    metavar="COLUMNS",
    help="Columns of a table whose numbers are codes, not quantities.",
)
@click.option("--test", metavar="DATA", help="Table or .npz with rows to test on.")
@click.option("--test-images", metavar="FILE", help="IDX file of inputs to test on.")
@click.option("--test-labels", metavar="FILE", help="IDX file of their classes.")
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    help="Rows held out to test on where none are given: 0.2, or none with --cv.",
)
@click.option(
    "--cv",
    type=click.IntRange(2),
    metavar="FOLDS",
    help="First train so many times, each time measuring on another part of the rows.",
)
@click.option(
    "--task", type=click.Choice([CLASSES, QUANTITIES]), help="By default seen in the data."
)
@click.option("--size", type=click.IntRange(1), help="Bring images of a folder to SIZE x SIZE.")
@click.option(
    "--conv",
    type=Layers(),
    default="none",
    show_default=True,
    help="Features of convolutions over images or series, each followed by pooling: 16,32.",
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
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    help="By default the optimizer's own.",
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
@click.option(
    "--checkpoint",
    metavar="FILE",
    help="Keep the run in this file while it goes on; runs of --cv in files beside it.",
)
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
    table: str | None,
    columns: str | None,
    categories: str | None,
    images: str | None,
    labels: str | None,
    test: str | None,
    test_images: str | None,
    test_labels: str | None,
    test_fraction: float | None,
    cv: int | None,
    task: str | None,
    size: int | None,
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
    scikit-learn), a table with --target COLUMN (a CSV file, "-" for one on standard
    input, a .parquet, or "shop.db::orders" of an SQLite database), an .npz archive with
    X and y, a folder with a folder of images for each class, a .bin file of CIFAR-10, or
    time series as in the UCR archive (.ts, .tsv, .txt). IDX files are given with
    --images and --labels instead.

    Columns of words become categories, missing values (blank, ?, NA, nan) are filled in;
    how that is done goes into the model file.
    """
    source = replace(source_of(data, target, drop, images, labels, table, columns), size=size)
    held_out = _test_source(test, test_images, test_labels, source)
    check_target(source)
    if images is not None and labels is None:
        raise click.UsageError("--images needs --labels to learn from")
    if checkpoint is None and (resume or every is not None):
        raise click.UsageError("--every and --resume need --checkpoint FILE")
    with plainly():
        inputs = data, images, labels, test, test_images, test_labels
        check_output(output, *inputs)
        keeps = (
            None if checkpoint is None else _checkpoint(checkpoint, every, output, cv or 0, *inputs)
        )
        if threads is not None:
            compiler.set_threads(threads)
        everything = read(source)
        if test_fraction is None:
            test_fraction = 0.0 if cv else 0.2
        rows, test_rows = split(everything, held_out, test_fraction, options["seed"])
        given = {"columns": source.columns, "categories": names_of(categories)}
        recipe = Recipe.learn(rows, task, target, everything, **given)
        if test_rows is not None:  # what is wrong with them is told before the work
            recipe.inputs(test_rows), recipe.targets(test_rows)
        notes = [] if recipe.table is None else recipe.table.notes
        if not as_json:
            _tell(recipe, notes)
        folds = None
        if cv is not None:

            def one_fold(fold: int, kept: Rows, tested: Rows) -> dict[str, float | None]:
                own = Recipe.learn(kept, task, target, everything, **given)
                beside = None if keeps is None else _of_fold(keeps, fold)
                model, run = _learn(kept, own, beside, resume, show=False, **options)
                if run.stopped == INTERRUPTED:  # figures of half a run would be no answer
                    raise click.Abort
                return score(model, own, tested)

            folds = cross_validate(one_fold, rows, recipe, cv, options["seed"])
            if not as_json:
                click.echo(f"{describe_folds(folds)}\n")
        model, run = _learn(rows, recipe, keeps, resume, show=not as_json, **options)
        figures = None if test_rows is None else score(model, recipe, test_rows)
        io.save(model, output, {**recipe.to_extra(), "training": record(run, options)})
    result = {
        "model": output,
        "epochs": run.history.epochs,
        "steps": run.steps,
        "seconds": round(run.seconds, 3),
        "stopped": run.stopped,
        "rows": len(rows.X),
        "notes": notes,
        "cross_validation": folds,
        "training": run.history.row(-1) if run.history.epochs else None,
        "test": figures,
        "cost": run.cost.to_dict(),
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"\n{run.steps:,} steps in {run.seconds:.2f} s: {run.stopped}")
    if figures is not None:
        click.echo(f"test: {describe(figures)}")
    click.echo(f"\n{run.cost}\n\nwrote {output}")


def _tell(recipe: Recipe, notes: list[str]) -> None:
    """How the columns of a table are read, and what a person should know of them."""
    if recipe.table is None:
        return
    click.echo(f"{len(recipe.table.columns)} columns become {len(recipe.table.inputs)} inputs:")
    click.echo(f"{recipe.table}\n")
    for note in notes:
        click.echo(f"Note: {note}", err=True)


def record(run: Run, options: dict[str, Any]) -> dict[str, Any]:
    """What a model file tells about how the model was trained; nothing that a clock says."""
    history = {name: list(column) for name, column in run.history.items()}
    return {
        "options": {name: value for name, value in options.items() if value is not None},
        "steps": run.steps,
        "stopped": run.stopped,
        "history": {
            name: [value if math.isfinite(value) else None for value in column]
            for name, column in history.items()
        },
    }


def _checkpoint(
    path: str, every: str | None, output: str, folds: int, *inputs: str | None
) -> Checkpoint:
    """The checkpoint that the options name; those of its folds need files of their own too."""
    found = Checkpoint(path) if every is None else Checkpoint(path, every)
    model = Checkpoint(output).latest
    for each in (found, *(_of_fold(found, fold) for fold in range(1, folds + 1))):
        check_output(str(each.path), *inputs)
        if each.latest == model:
            raise DataError(
                f"the checkpoint and the model need files of their own, both are {each.path}"
            )
    return found


def _of_fold(checkpoint: Checkpoint, fold: int) -> Checkpoint:
    """The checkpoint of one run of a cross-validation, beside that of the whole."""
    path = Path(checkpoint.path)
    return replace(checkpoint, path=path.with_name(f"{path.stem}.fold-{fold}{path.suffix}"))


def _learn(
    rows: Rows,
    recipe: Recipe,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
    *,
    show: bool,
    **options: Any,
) -> tuple[nn.Module, Run]:
    """A model trained on rows."""
    pe.random.set_seed(options["seed"])
    model = network(
        recipe,
        options["layers"],
        nn.ACTIVATIONS[options["activation"]],
        options["dropout"],
        options["conv"],
        channels=rows.channels,
    )
    patience = options["patience"]
    X = recipe.inputs(rows)
    if recipe.table is not None:
        silence(model, X)
    run = fit(
        model,
        X,
        recipe.targets(rows),
        loss="cross_entropy" if recipe.labels else "mean_squared_error",
        optimizer=_optimizer(options["optimizer"], options["learning_rate"]),
        epochs=options["epochs"],
        batch_size=options["batch"],
        validation=options["validation"] or None,
        early_stopping=None if patience is None else EarlyStopping(patience=patience),
        callbacks=[EpochTable()] if show else [],
        seed=options["seed"],
        checkpoint=checkpoint,
        resume=resume,
        verbose=False,
    )
    return model, run


def _optimizer(name: str, learning_rate: float | None) -> optim.Optimizer:
    make = optim.OPTIMIZERS[name]
    return make() if learning_rate is None else make(learning_rate)


def network(
    recipe: Recipe,
    widths: tuple[int, ...],
    activation: type[nn.Module],
    dropout: float,
    convolutions: tuple[int, ...] = (),
    *,
    channels: bool = False,
) -> nn.Module:
    """Convolutions if any are asked for, then dense layers, from a recipe's inputs to its outputs.

    Args:
        recipe: knows the shape of an input and the number of outputs.
        widths: units of the hidden dense layers.
        activation: after each hidden layer.
        dropout: share of hidden units left out while training.
        convolutions: features of each convolution.
        channels: whether the last axis of an input is known to hold channels.
    """
    shape = recipe.input_shape
    layers: list[nn.Module] = []
    if convolutions:
        if len(shape) == 1:
            raise DataError("--conv needs images or time series, the rows here are columns")
        if not channels and len(shape) == 2:
            shape = (*shape, 1)
            layers.append(nn.Reshape(shape))
        if not channels and len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 3:
            raise DataError(
                f"the rows have shape {shape}: the channels seem to stand first; "
                "pellucid.channels_last(X) puts them last"
            )
        axes = len(shape) - 2
        if axes >= len(_CONVOLUTIONS):
            raise DataError(f"--conv needs images or time series, received shape {shape}")
        conv, pool = _CONVOLUTIONS[axes]
        for features in convolutions:
            layers += [conv(shape[-1], features, 3, padding="same"), activation()]
            layers.append(pool(2, padding="same"))
            shape = (*(-(-n // 2) for n in shape[:-1]), features)
    layers += [nn.Flatten()] if len(shape) > 1 else []
    wide = int(np.prod(shape))
    for width in widths:
        layers += [nn.Linear(wide, width), activation()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        wide = width
    return nn.Sequential(*layers, nn.Linear(wide, recipe.outputs))


_CONVOLUTIONS: tuple[tuple[Any, Any], ...] = (
    (nn.Conv1d, nn.MaxPool1d),
    (nn.Conv2d, nn.MaxPool2d),
    (nn.Conv3d, nn.MaxPool3d),
)


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
    table = source.table if test is not None and "::" not in test else None
    return replace(source, data=test, images=images, labels=labels, table=table)


def split(
    rows: Rows, held_out: Source | None, fraction: float, seed: int
) -> tuple[Rows, Rows | None]:
    """Rows to train on and rows to test on."""
    if held_out is not None:
        return rows, read(held_out, shape=rows.shape, test=True)
    if rows.test is not None or fraction == 0:
        return rows, rows.test
    if math.isnan(fraction):
        raise click.UsageError("--test-fraction must be a number, received nan")
    count = round(len(rows.X) * fraction)
    if not 0 < count < len(rows.X):
        return rows, None
    alike = np.zeros(len(rows.X), np.int32)
    kept, tested = split_rows(alike, shares_of_rest([fraction]), seed_words(seed))
    return rows.take(kept), rows.take(tested)
