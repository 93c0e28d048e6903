"""Errors and warnings as one sentence on the terminal, without a traceback."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


@contextmanager
def plainly() -> Iterator[None]:
    """Within it the library's errors end the command with their message and exit code 1."""
    with warnings.catch_warnings():
        warnings.showwarning = _show
        try:
            yield
        except (ValueError, TypeError, ArithmeticError, OSError, MemoryError, ImportError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise click.ClickException(text) from None


def _show(message: Any, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {message}", err=True)
