"""Rows that come in pieces: from a function that makes an iterator for each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import nn

from . import checks
from .blocks import Blocks
from .feed import Feed, WholeArrays
from .predict import output_shape
from .step import learned_dtype
from .windows import WINDOW_BYTES, Form, Windows, row_bytes

Piece = tuple[Any, ...]
"""X and y, or X, y and the weights of some rows."""


class Batches:
    """Rows that come in pieces, for `fit` in the place of X and y.

    A piece is (X, y) or (X, y, sample_weight) with any number of rows; steps take
    batches of the size that `fit` is told, whatever the pieces. With `shuffle`, rows are
    shuffled within windows of `buffer` rows that follow each other in the stream, and
    no further: rows that lie together stay together. Where the rows are sorted, by class
    or by time, give the pieces in an order that `source` draws anew for each epoch.

    Args:
        source: function of the epoch's number, from 0, that gives the epoch's pieces; it
            must give the same ones whenever it is called with the same number. Or an
            iterable of pieces that can be gone through many times, such as a list.
        rows: how many rows there are in an epoch; by default they are counted, by going
            through them once more before the first epoch.
        buffer: rows of a window, rounded to whole batches; by default as many as take
            32 MiB. Two windows are in memory: the next one is read, in a thread, while
            one is at work.

    Raises:
        TypeError: the source can be gone through only once.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, train
        >>> def pieces(epoch):
        ...     for start in range(0, 100, 30):
        ...         X = np.arange(start, min(start + 30, 100), dtype=np.float32)[:, None]
        ...         yield X / 100, X[:, 0] > 50
        >>> run = train.fit(nn.Linear(1, 2), train.Batches(pieces), epochs=2, batch_size=8)
        >>> run.steps
        26
    """

    def __init__(
        self,
        source: Callable[[int], Iterable[Piece]] | Iterable[Piece],
        *,
        rows: int | None = None,
        buffer: int | None = None,
    ) -> None:
        if isinstance(source, Iterator):
            raise TypeError(
                f"{type(source).__name__} can be gone through only once: give the function that "
                "makes it, as Batches(lambda epoch: ...)"
            )
        if not callable(source) and not isinstance(source, Iterable):
            raise TypeError(f"Batches needs a function or an iterable, received {source!r}")
        self.source = source
        self.rows = None if rows is None else checks.whole_number(rows, "rows")
        self.buffer = None if buffer is None else checks.whole_number(buffer, "buffer")

    def pieces(self, epoch: int) -> Iterator[Piece]:
        """The pieces of an epoch that have rows.

        Raises:
            TypeError: one is not (X, y) or (X, y, sample_weight).
        """
        source: Any = self.source
        for number, piece in enumerate(source(epoch) if callable(source) else source):
            if not isinstance(piece, tuple | list) or len(piece) not in (2, 3):
                raise TypeError(
                    f"a piece must be (X, y) or (X, y, sample_weight), received "
                    f"{type(piece).__name__} as piece {number}"
                )
            if len(piece[0]):
                yield tuple(piece)

    def first(self) -> tuple[Any, Any, Any]:
        """The first piece, of which forms are seen: X, y, and weights or None."""
        for piece in self.pieces(0):
            return piece[0], piece[1], piece[2] if len(piece) == 3 else None
        raise ValueError("the stream has no rows: its first epoch ended at once")


class Stream:
    """Windows of consecutive rows of `Batches`.

    Args:
        batches: where the rows come from.
        model: the model that they are for.
        loss: the loss that they are for.
        forms: of X, y, and weights if there are any, as they are trained on.
    """

    def __init__(
        self, batches: Batches, model: nn.Module, loss: nn.Loss, forms: Sequence[Form]
    ) -> None:
        self._batches, self._loss = batches, loss
        self._dtype = learned_dtype(model)
        self.forms = list(forms)
        shape = forms[0].shape
        self._output = output_shape(model, np.broadcast_to(np.float32(0), (1, *shape)))
        self.rows = batches.rows or sum(len(piece[0]) for piece in batches.pieces(0))
        self._epoch = -1
        self._at = 0  # rows of the epoch that have been taken
        self._left: list[np.ndarray] = []
        self._pieces: Iterator[Piece] = iter(())

    def load(self, epoch: int, first: int, out: Sequence[np.ndarray]) -> None:
        """Read on to these rows; from the beginning of the epoch where they have passed."""
        if epoch != self._epoch or first < self._at:
            self.close()
            self._pieces, self._epoch, self._at = self._batches.pieces(epoch), epoch, 0
        while self._at < first:
            self._take(first - self._at)
        done = 0
        while done < len(out[0]):
            taken = self._take(len(out[0]) - done)
            for array, target in zip(taken, out, strict=True):
                target[done : done + len(array)] = array
            done += len(taken[0])
        if self._at == self.rows and (self._left or next(self._pieces, None) is not None):
            raise ValueError(f"epoch {epoch} of the stream has more than its {self.rows} rows")

    def _take(self, most: int) -> list[np.ndarray]:
        """Some of the next rows."""
        if not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                raise ValueError(
                    f"epoch {self._epoch} of the stream has {self._at} rows, expected {self.rows}"
                )
            with checks.counted_from(self._at):
                self._left = self._checked(piece)
        taken = [array[:most] for array in self._left]
        rest = [array[most:] for array in self._left]
        self._left = rest if len(rest[0]) else []
        self._at += len(taken[0])
        return taken

    def _checked(self, piece: Piece) -> list[np.ndarray]:
        """A piece in the form that steps take."""
        if len(piece) != len(self.forms):
            raise ValueError(
                f"a piece has {len(piece)} parts, the first one had {len(self.forms)}: give "
                "weights with all pieces or with none"
            )
        X = checks.inputs(piece[0], self._dtype).astype(self._dtype, copy=False)
        y = checks.numeric(piece[1], "y")
        checks.same_length(X, y)
        checks.finite(y, "y")
        with np.errstate(over="ignore"):
            found = [X, self._loss.check(y, self._output, self._dtype)]
        checks.finite(found[1], "y")
        if len(piece) == 3:
            found.append(_weights(piece[2], len(X), self._dtype))
        for array, form, name in zip(found, self.forms, ("X", "y", "weights"), strict=False):
            if Form(array.shape[1:], array.dtype) != form:
                raise ValueError(
                    f"{name} has rows {array.dtype} {array.shape[1:]}, those of the first piece "
                    f"were {form.dtype} {form.shape}"
                )
        return found

    def close(self) -> None:
        """Close the iterator, where it can be closed; it may hold a file."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        self._left, self._epoch, self._pieces = [], -1, iter(())


def _weights(values: Any, rows: int, dtype: np.dtype) -> np.ndarray:
    """The weights of a piece, which may all be 0."""
    array = checks.numeric(values, "sample_weight")
    if array.shape != (rows,):
        raise ValueError(f"sample_weight must have shape ({rows},), received {array.shape}")
    converted = np.ascontiguousarray(array, dtype)
    checks.finite(converted, "sample_weight", array)
    if (converted < 0).any():
        raise ValueError(f"sample_weight must not be negative, received {array.min()}")
    return converted


def first_of(X: Any, y: Any, sample_weight: Any, validation: Any) -> tuple[Any, Any, Any]:
    """X, y and weights of which forms are seen: as given, or the first piece of a stream.

    Raises:
        TypeError: y is missing, or given beside a stream.
        ValueError: rows of a stream shall be held out.
    """
    if not isinstance(X, Batches):
        if y is None:
            raise TypeError("y must be an array of numbers, received None")
        return X, y, sample_weight
    if y is not None or sample_weight is not None:
        raise TypeError(
            "Batches hold y and sample_weight themselves, as parts of each piece; give fit neither"
        )
    for part in validation.values() if isinstance(validation, Mapping) else [validation]:
        if isinstance(part, float | np.floating):
            raise ValueError(
                f"validation={part:g} would hold out rows of a stream; give rows of their own, as "
                "validation=(X, y)"
            )
    return X.first()


def seen_of(X: Any, data: Sequence[Any]) -> Sequence[Any]:
    """Rows by which data are known again: all of arrays, the first one of a stream."""
    return [array[:1] for array in data] if isinstance(X, Batches) else data


def feed_of(
    X: Any,
    data: Sequence[Any],
    model: nn.Module,
    loss: nn.Loss,
    batch_size: int,
    epochs: int,
    shuffle: bool | str,
    seed: int,
) -> Feed:
    """Where the rows of each step come from.

    Args:
        X: what the user gave: `Batches`, or anything else.
        data: X, y, and weights if there are any, as `prepared` gives them; of a stream,
            its first piece.
        model: the model.
        loss: its loss.
        batch_size: rows per step.
        epochs: how often the rows are gone through.
        shuffle: True, False or "blocks".
        seed: of the orders.

    Raises:
        ValueError: shuffle is something else.
    """
    if not isinstance(shuffle, bool) and shuffle != "blocks":
        raise ValueError(f'shuffle must be True, False or "blocks", received {shuffle!r}')
    dtype = learned_dtype(model)
    given: dict[str, Any] = {
        "batch_size": batch_size, "epochs": epochs, "shuffle": bool(shuffle), "seed": seed,
    }  # fmt: skip
    if isinstance(X, Batches):
        forms = [Form(a.shape[1:], dtype if i == 0 else a.dtype) for i, a in enumerate(data)]
        window = X.buffer or WINDOW_BYTES // row_bytes(forms, dtype)
        return Windows(Stream(X, model, loss, forms), window, **given)
    if shuffle == "blocks":
        return Blocks(data, dtype, **given)
    return WholeArrays(data, **given)
