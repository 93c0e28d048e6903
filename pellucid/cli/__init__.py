"""The command line: `pellucid train`, `predict`, `evaluate`, `show`, `tune`.

`main` is the group; each command is one module. `data` reads what a command is
given, `recipe` holds what a model file needs besides the model.
"""

from __future__ import annotations

import click

import pellucid

from .evaluate import evaluate
from .predict import predict
from .show import show
from .train import train
from .tune import tune


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pellucid.__version__, prog_name="pellucid")
def main() -> None:
    """Neural networks you can see through, trained at native speed.

    Try: pellucid train
    """


for _command in (train, predict, evaluate, show, tune):
    main.add_command(_command)
