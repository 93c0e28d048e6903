"""`pellucid evaluate`: how good a model is on known rows."""

from __future__ import annotations

import json
from dataclasses import replace

import click

from pellucid import io

from .data import data_options, read, source_of
from .errors import plainly
from .recipe import Recipe
from .score import describe, score


@click.command()
@click.argument("model")
@data_options
@click.option("--json", "as_json", is_flag=True, help="Write the figures as JSON.")
def evaluate(
    model: str,
    data: str | None,
    target: str | None,
    drop: str | None,
    table: str | None,
    columns: str | None,
    images: str | None,
    labels: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL on the rows of DATA, whose targets are known.

    DATA is as for train, with the same target column unless --target says otherwise.
    Of "digits", and of archives that have such, the rows held out to test on are taken.
    """
    source = source_of(data, target, drop, images, labels, table, columns)
    with plainly():
        found, extra = io.read_model(model)
        recipe = Recipe.from_extra(extra, model)
        if source.is_table and target is None:
            source = replace(source, target=recipe.target or None)
        rows = read(source, usual=recipe.columns, shape=recipe.input_shape, test=True)
        figures = score(found, recipe, rows)
    click.echo(json.dumps(figures) if as_json else describe(figures))
