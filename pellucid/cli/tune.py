"""`pellucid tune`: from data to the best of many configurations."""

from __future__ import annotations

import json
from typing import Any

import click

from pellucid import io
from pellucid.train import METRICS, Search, search
from pellucid.train.run import format_figure
from pellucid.train.space import DEFAULTS
from pellucid.train.trials import Trial

from .data import check_output, check_target, data_options, names_of, read, source_of
from .errors import plainly
from .recipe import CLASSES, QUANTITIES, Recipe
from .score import describe, score
from .train import record, split

_NUMBERS = ("layers", "width", "learning_rate", "dropout", "batch_size")


class Choices(click.ParamType):
    """What a search chooses from: "relu,tanh", "16,32,64", or a range "1e-4:0.1"."""

    name = "choices"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """A list of choices, or a tuple of two ends, as `search` takes them."""
        if not isinstance(value, str):
            return value
        if param is None or param.name not in _NUMBERS:
            return [part.strip() for part in value.split(",")]
        low, colon, high = value.partition(":")
        parts = [low, high] if colon else value.split(",")
        try:
            numbers = [_number(part) for part in parts]
        except ValueError:
            self.fail(f"{value!r}: expected numbers such as 16,32 or a range such as 1e-4:0.1")
        return tuple(numbers) if colon else numbers


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _space_options(command: Any) -> Any:
    """An option for everything that a search chooses."""
    for name in reversed(DEFAULTS):
        command = click.option(
            f"--{name.replace('_', '-')}", name, type=Choices(), help=_said(DEFAULTS[name])
        )(command)
    return command


def _said(entry: Any) -> str:
    """A default of the space in words."""
    if isinstance(entry, tuple):
        return f"By default {entry[0]:g}:{entry[1]:g}."
    return "By default those of the task." if entry is None else (
        f"By default {','.join(map(str, entry))}."
    )  # fmt: skip


@click.command()
@data_options
@click.option("--categories", metavar="COLUMNS", help="Columns whose numbers are codes.")
@click.option("--task", type=click.Choice([CLASSES, QUANTITIES]), help="By default seen in data.")
@click.option("--trials", type=click.IntRange(1), default=50, show_default=True)
@click.option(
    "--jobs", type=click.IntRange(1, 8), default=1, show_default=True, help="Worker processes."
)
@click.option(
    "--storage", metavar="FILE", help="Keep trials in this SQLite file, and go on from it."
)
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the rows on which trials are measured.",
)
@click.option(
    "--test-fraction",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Rows that no trial sees, to measure the best one.",
)
@click.option("--score", "metric", help="Metric to go by: accuracy, or rmse for quantities.")
@click.option("--no-prune", is_flag=True, help="Bring hopeless trials to their end, too.")
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True)
@_space_options
@click.option(
    "--output", "-o", default="model.safetensors", show_default=True, help="Where the best goes."
)
@click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
def tune(
    data: str | None,
    target: str | None,
    drop: str | None,
    table: str | None,
    columns: str | None,
    categories: str | None,
    images: str | None,
    labels: str | None,
    task: str | None,
    trials: int,
    jobs: int,
    storage: str | None,
    epochs: int,
    validation: float,
    test_fraction: float,
    metric: str | None,
    no_prune: bool,
    seed: int,
    output: str,
    as_json: bool,
    **space: Any,
) -> None:
    """Search for the network, loss and optimizer that suit DATA; write the best model.

    Each trial trains one configuration and measures it on rows held out; the best one is
    trained anew on all rows but those to test on. DATA is as for train. The same command
    gives the same trials for any number of --jobs, interrupted or not. Options such as
    --width take choices, "16,64", or the ends of a range, "1e-4:0.1".
    """
    source = source_of(data, target, drop, images, labels, table, columns)
    check_target(source)
    if metric is not None and metric not in METRICS:
        raise click.UsageError(f"--score must be one of {', '.join(METRICS)}")
    with plainly():
        check_output(output, data, images, labels, storage)
        if storage is not None:
            check_output(storage, data, images, labels)
        everything = read(source)
        rows, test_rows = split(everything, None, test_fraction, seed)
        given = {"columns": source.columns, "categories": names_of(categories)}
        recipe = Recipe.learn(rows, task, target, everything, **given)
        if test_rows is not None:
            recipe.inputs(test_rows), recipe.targets(test_rows)
        X, y = recipe.inputs(rows), recipe.targets(rows)
        found = search(
            X,
            y,
            trials=trials,
            space={name: value for name, value in space.items() if value is not None},
            epochs=epochs,
            validation=validation,
            score=metric,
            task=CLASSES if recipe.labels else QUANTITIES,
            prune=not no_prune,
            storage=storage,
            seed=seed,
            n_jobs=jobs,
            callback=None if as_json else _tell,
        )
        if found.stopped != f"all {trials} trials":
            click.echo(_interrupted(found, storage), err=True)
            raise click.Abort
        run = found.fit(X, y, epochs=epochs)
        figures = None if test_rows is None else score(run.model, recipe, test_rows)
        options = {**found.best.configuration, "epochs": epochs, "seed": seed}
        io.save(run.model, output, {**recipe.to_extra(), "training": record(run, options)})
    if as_json:
        click.echo(json.dumps(_result(found, output, figures)))
        return
    click.echo(f"\n{found}")
    if figures is not None:
        click.echo(f"test: {describe(figures)}")
    click.echo(f"wrote {output}")


def _tell(trial: Trial) -> None:
    """A line for each trial that has ended."""
    last = "-" if trial.score is None else format_figure(trial.score)
    chosen = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.configuration.items()
    )
    epochs = len(trial.scores)
    click.echo(f"trial {trial.number:4d}  {last:>8}  {trial.state}, {epochs} epochs: {chosen}")


def _interrupted(found: Search, storage: str | None) -> str:
    kept = "; give --storage FILE to keep them" if storage is None else f" are kept in {storage}"
    return f"\ninterrupted: {len(found.trials)} trials have ended{kept}"


def _result(found: Search, output: str, figures: Any) -> dict[str, Any]:
    """What a search found, as JSON values."""
    return {
        "model": output,
        "score": found.score,
        "best": {"number": found.best.number, "score": found.best.score,
                 "configuration": found.best.configuration},
        "trials": [
            {"number": t.number, "state": t.state, "score": t.score, "scores": t.scores,
             "configuration": t.configuration}
            for t in found.trials
        ],
        "test": figures,
    }  # fmt: skip
