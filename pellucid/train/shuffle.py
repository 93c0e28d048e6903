"""The order in which an epoch visits the rows: a function of seed and epoch alone.

A Fisher-Yates shuffle of 0, 1, ... n - 1 with counter-based random words, so that
any epoch's order can be had without the epochs before it:

    for i = n - 1, n - 2, ... 1:
        j = (word(i) * (i + 1)) >> 32        (0 <= j <= i; word(i) has 32 random bits)
        exchange the entries at i and j

    word(i) = word i % 4 of Philox's counter (i // 4, epoch, stream, 0), key = the seed

The compiler has a native twin of `shuffle_reference`, equal to the bit.
"""

from __future__ import annotations

import numpy as np

from pellucid.core.random import philox

STREAM = 0xFFFFFFFF
"""The stream of shuffles; a model's own streams are counted from 0 upwards."""

BLOCKS = 0xFFFFFFFE
"""The stream of the orders of blocks."""

WINDOWS = 0xFFFFFFFD
"""The stream of the order in a run's first window; those of the others go down from it."""

SPLIT_EPOCH = 0xFFFFFFFF
"""The epoch, never reached, whose order says which rows are held out."""


def shuffle_reference(
    out: np.ndarray, seed_words: np.ndarray, first_epoch: int, stream: int = STREAM
) -> None:
    """Fill each row with the order of one epoch.

    Args:
        out: int32 array (epochs, n) to fill.
        seed_words: the seed as two words (2,), see `core.random.seed_words`.
        first_epoch: number of the epoch whose order goes to row 0.
        stream: of the random words.
    """
    epochs, n = out.shape
    positions = np.arange(n, dtype=np.uint64)
    counters = np.arange(-(-n // 4), dtype=np.uint64)
    for row in range(epochs):
        words = np.stack(philox((counters, first_epoch + row, stream, 0), tuple(seed_words)), 1)
        chosen = (words.reshape(-1)[:n].astype(np.uint64) * (positions + 1)) >> np.uint64(32)
        order = list(range(n))
        for i, j in zip(range(n - 1, 0, -1), chosen[:0:-1].tolist(), strict=True):
            order[i], order[j] = order[j], order[i]
        out[row] = order
