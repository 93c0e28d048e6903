"""What training needs from the compiler, with the reference where there is none."""

from __future__ import annotations

import numpy as np

from pellucid import compiler
from pellucid.compiler import Part, program, run_in_turn

from .shuffle import STREAM, shuffle_reference


def fill_orders(
    out: np.ndarray, seed_words: np.ndarray, first_epoch: int, stream: int = STREAM
) -> None:
    """Fill each row of out (epochs, n) with the order of one epoch; see `shuffle`."""
    shuffle = compiler.shuffle if compiler.can_compile() else shuffle_reference
    shuffle(out, seed_words, first_epoch, stream)


__all__ = ["Part", "fill_orders", "program", "run_in_turn"]
