"""`pellucid predict`: a model's answers for rows."""

from __future__ import annotations

import csv
import io as text_io
import json
from typing import Any

import click
import numpy as np

from pellucid import io
from pellucid.files import write_atomically

from .data import check_output, data_options, read, source_of
from .errors import plainly
from .recipe import Recipe


@click.command()
@click.argument("model")
@data_options
@click.option("--output", "-o", metavar="FILE", help="Write a CSV file instead of printing.")
@click.option("--probabilities", is_flag=True, help="A column for each class.")
@click.option("--json", "as_json", is_flag=True, help="Write the answers as JSON.")
def predict(
    model: str,
    data: str | None,
    target: str | None,
    drop: str | None,
    table: str | None,
    columns: str | None,
    images: str | None,
    labels: str | None,
    output: str | None,
    probabilities: bool,
    as_json: bool,
) -> None:
    """Write what MODEL says about each row of DATA, as CSV.

    A CSV file needs the columns that the model was trained on, by name; others are
    ignored. For classes the answer is the likeliest one and its probability.
    """
    source = source_of(data, target, drop, images, labels, table, columns)
    with plainly():
        if output is not None:
            check_output(output, model, data, images, labels)
        found, extra = io.read_model(model)
        recipe = Recipe.from_extra(extra, model)
        rows = read(source, usual=recipe.columns, shape=recipe.input_shape, test=True)
        names, answers = _answers(recipe, recipe.answers(found, rows), probabilities)
        text = _as_json(names, answers) if as_json else _as_csv(names, answers)
        if output is not None:
            write_atomically(output, [text.encode()])
    if output is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"wrote {len(answers):,} rows to {output}")


def _answers(
    recipe: Recipe, values: np.ndarray, probabilities: bool
) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns, and one list per row."""
    if not recipe.labels:
        names = ["prediction"]
        if values.shape[1] > 1:
            names = [f"prediction_{i}" for i in range(values.shape[1])]
        return names, [[float(f"{v:.9g}") for v in row] for row in values]
    shares = _softmax(values)
    best = shares.argmax(axis=1)
    if probabilities:
        names = ["class", *(f"p_{label}" for label in recipe.labels)]
        return names, [
            [recipe.labels[b], *(round(s, 6) for s in row)]
            for b, row in zip(best.tolist(), shares.tolist(), strict=True)
        ]
    return ["class", "probability"], [
        [recipe.labels[b], round(float(row[b]), 6)]
        for b, row in zip(best.tolist(), shares, strict=True)
    ]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return found


def _as_csv(columns: list[str], answers: list[list[Any]]) -> str:
    text = text_io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(answers)
    return text.getvalue()


def _as_json(columns: list[str], answers: list[list[Any]]) -> str:
    return json.dumps([dict(zip(columns, row, strict=True)) for row in answers]) + "\n"
