"""What training needs from the compiler, with the reference where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pellucid import compiler
from pellucid.compiler import program
from pellucid.core.program import Program

from .shuffle import STREAM, shuffle_reference


def fill_orders(out: np.ndarray, seed_words: np.ndarray, first_epoch: int) -> None:
    """Fill each row of out (epochs, n) with the order of one epoch; see `shuffle`."""
    shuffle = compiler.shuffle if compiler.can_compile() else shuffle_reference
    shuffle(out, seed_words, first_epoch, STREAM)


Part = tuple[Program, Sequence[np.ndarray], Sequence[np.ndarray], int]
"""A program, its inputs and outputs, and how many steps."""


def run_in_turn(parts: Iterable[Part]) -> None:
    """Run programs one after the other, each for its number of steps."""
    for found, inputs, outputs, steps in parts:
        found.run(inputs, outputs, steps)


__all__ = ["Part", "fill_orders", "program", "run_in_turn"]
