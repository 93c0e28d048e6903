"""`fit`: the training loop."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from pellucid import nn, optim
from pellucid.core.random import seed_words

from . import checks
from .batches import feed_of, first_of, seen_of
from .callbacks import Callback, EarlyStopping, as_callback, early_stopping_from
from .checkpoint import Checkpoint, as_checkpoint
from .diverged import Guard, TrainingDiverged
from .evaluate import Evaluation, prepared
from .fingerprint import fingerprint
from .interrupt import Interrupt
from .keeper import Keeper
from .loop import Loop, Pace
from .mapped import selected
from .metrics import metrics_for
from .predict import output_shape
from .run import DIVERGED, INTERRUPTED, Run
from .shuffle import split_rows
from .snapshot import Parts
from .step import TrainingState, learned_dtype, trace_step


def fit(
    model: nn.Module,
    X: Any,
    y: Any = None,
    *,
    loss: Any = "cross_entropy",
    optimizer: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Any = None,
    early_stopping: int | EarlyStopping | None = None,
    callbacks: Iterable[Any] = (),
    shuffle: bool | str = True,
    seed: int = 0,
    sample_weight: Any = None,
    class_weight: Any = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    resume: bool = False,
    verbose: bool | None = None,
) -> Run:
    """Train a model, in place.

    Each step takes the next rows of the epoch's order, computes the loss, its
    gradients and the optimizer's update, all in one compiled program; an epoch's
    last batch may be smaller. The same arguments give the same bits; orders and random
    numbers start anew with each call, so give another seed to go on with others.

    Args:
        model: what learns.
        X: inputs (rows, ...); numbers, converted to the model's dtype. A memory map is used
            where it lies. Or `Batches`, which come with their targets.
        y: targets (rows, ...): class numbers or one-hot rows for "cross_entropy",
            0 and 1 for "binary_cross_entropy_with_logits", values for
            "mean_squared_error".
        loss: a loss, its name, or a function of prediction and target.
        optimizer: an optimizer or its name; Adam with learning rate 0.001 by default.
        epochs: how often the data are gone through.
        batch_size: rows per step; more than there are means all of them.
        validation: rows to measure on after each epoch: a fraction of the data to
            hold out, or (X, y).
        metrics: names and functions to report besides the loss; by default
            "accuracy" for losses over classes. For the training rows they are
            measured in passing, in training mode, while the model learns.
        early_stopping: how many epochs to wait for a better validation loss (or loss,
            without validation), or an `EarlyStopping`.
        callbacks: `Callback`s, or functions of the run that are called after each epoch.
        shuffle: whether each epoch visits the rows in an order of its own. "blocks" is for
            files larger than memory: blocks of neighbouring rows, about 256 KiB each, are
            visited in an order of their own, and rows are shuffled within windows of
            about 32 MiB of such blocks.
        seed: of the orders, of the rows held out, and of the layers' random numbers.
        sample_weight: weight of each row in the loss (rows,).
        class_weight: weight of each class in the loss: a mapping or a sequence.
        checkpoint: a file in which the run is kept while it goes on, every 30 seconds;
            `Checkpoint` says otherwise.
        resume: go on from the checkpoint, where there is one. The run ends with the bits
            of one that was never interrupted; it needs the same arguments and data, but
            for more epochs. Epochs and seconds are counted on.
        verbose: whether to show progress; by default on a terminal only.

    Returns:
        The run: `history`, `steps`, `seconds`, and in `stopped` why it ended. Ctrl-C
        ends it early, with what was learned.

    Raises:
        ValueError: data or options do not fit; says which, and where.
        TrainingDiverged: the loss became NaN or infinite; names step and layer.
        CheckpointError: the checkpoint cannot be written or read, or is of another run.

    Example:
        >>> import numpy as np
        >>> from pellucid import nn, optim, train
        >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        >>> model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> run = train.fit(model, X, [0, 1, 1, 0], optimizer=optim.adam(0.05), epochs=200)
        >>> run.stopped, run.history.last("accuracy")
        ('all 200 epochs', 1.0)
        >>> model.predict(X).argmax(axis=1).tolist()
        [0, 1, 1, 0]
    """
    started = time.perf_counter()
    checks.check_model(model)
    checks.check_learns(model)
    epochs = checks.whole_number(epochs, "epochs")
    batch_size = checks.whole_number(batch_size, "batch_size")
    chosen = nn.as_loss(loss)
    rule = optim.adam() if optimizer is None else optim.as_optimizer(optimizer)
    measures = metrics_for(chosen, metrics)
    source, (X, y, sample_weight) = X, first_of(X, y, sample_weight, validation)
    data, held_out = _data(model, chosen, X, y, sample_weight, validation, seed)
    evaluation = Evaluation(model, chosen, measures, held_out) if held_out else None
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a list of callbacks, received {callbacks!r}")
    watchers = [as_callback(c) for c in callbacks]
    watchers += [c for c in (early_stopping_from(early_stopping), _progress(verbose)) if c]

    state = TrainingState(model, rule, seed)
    weighted = _weighted(chosen, class_weight, model, data)
    feed = feed_of(
        source, data, model, chosen,
        batch_size=batch_size, epochs=epochs, shuffle=shuffle, seed=seed,
    )  # fmt: skip
    trace = partial(trace_step, state, weighted, measures, feed.arrays)
    loop = Loop(trace, feed, batch_size, epochs, bool(shuffle), seed)
    names = ["loss", *measures]
    columns = ["epoch", *names, *(f"val_{name}" for name in names if evaluation)]
    run = Run(model, columns, epochs, loop.steps_per_epoch)
    one_epoch = evaluation is not None or any(w.looks_at_epochs for w in watchers)
    figures, pace = EpochFigures(loop), Pace()
    given = {
        "model": model, "loss": weighted, "optimizer": rule, "rows": feed.rows,
        "batch_size": feed.batch, "shuffle": shuffle, "window": feed.window, "seed": seed,
        "figures": columns,
    }  # fmt: skip
    keeper = Keeper(as_checkpoint(checkpoint), Parts(run, loop, state, figures, watchers))
    sets = {"": seen_of(source, data), "validation": held_out}
    keeper.begin(lambda: fingerprint(given, sets, watchers), resume)
    started -= run.seconds
    guard = Guard(loop, state)

    ending = ExitStack()  # whoever has begun is told of the end, whatever the others do
    ending.callback(feed.close)
    try:
        for watcher in watchers:
            watcher.train_begin(run)
            ending.callback(watcher.train_end, run)
        keeper.callbacks_began()
        with Interrupt() as interrupt:
            while run.stopped is None:
                keeper.save_if_due()
                steps = loop.slice_length(keeper.at_most(pace.steps), one_epoch=one_epoch)
                records = pace.timed(loop.advance, steps)
                guard.look(records)
                rows = figures.of_epochs_ended(records)
                if len(rows):
                    run.history.extend(np.append(rows, [evaluation()], 1) if evaluation else rows)
                run.steps, run.seconds = loop.done, time.perf_counter() - started
                for watcher in watchers:
                    watcher.slice_end(run)
                    if len(rows) and watcher.looks_at_epochs:
                        watcher.epoch_end(run)
                if interrupt.received:
                    run.stop(INTERRUPTED)
                if loop.done == loop.total:
                    run.stop(run.all_epochs)
        guard.finish()
        keeper.save()
    except KeyboardInterrupt:
        run.stop(INTERRUPTED)
    except TrainingDiverged as error:
        run.stop(DIVERGED)
        error.run = run
        raise
    finally:
        ending.close()
        run.seconds = time.perf_counter() - started
    return run


class EpochFigures:
    """Adds records up to the figures of whole epochs.

    Args:
        loop: whose records they are.

    Attributes:
        sums: of the columns, over the steps of the epoch under way; 0.0 between two.
    """

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.sums: Any = 0.0

    def of_epochs_ended(self, records: np.ndarray) -> np.ndarray:
        """One row for each epoch that the latest steps have brought to its end.

        Steps are added up one after the other, however they are cut into calls.

        Args:
            records: of the latest steps: part of one epoch, or whole ones.

        Returns:
            Epoch number, loss and metrics (epochs, columns).
        """
        per_epoch = min(self.loop.steps_per_epoch, len(records))
        exact = records.astype(np.float64)
        exact[:, 0] *= exact[:, 1]
        exact[0] += self.sums
        sums = exact.reshape(-1, per_epoch, exact.shape[1]).sum(axis=1)  # in ascending order
        if self.loop.done % self.loop.steps_per_epoch:
            self.sums = sums[0].copy()
            return np.empty((0, exact.shape[1]))
        self.sums = 0.0
        last = self.loop.done // self.loop.steps_per_epoch
        epochs = np.arange(last - len(sums) + 1, last + 1)
        return np.column_stack([epochs, sums[:, 0] / sums[:, 1], sums[:, 2:] / self.loop.rows])


def _data(
    model: nn.Module,
    loss: nn.Loss,
    X: Any,
    y: Any,
    sample_weight: Any,
    validation: Any,
    seed: int,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What to train on and what to measure on: X, y, and weights if there are any."""
    words = seed_words(seed)
    data = prepared(model, loss, X, y)
    rows, dtype = len(data[0]), learned_dtype(model)
    if sample_weight is not None:
        data.append(checks.weights(sample_weight, rows, dtype))
    if validation is None:
        return data, []
    if isinstance(validation, tuple | list):
        if len(validation) != 2:
            raise ValueError(f"validation must be (X, y), received {len(validation)} parts")
        names = ("validation X", "validation y")
        return data, prepared(model, loss, validation[0], validation[1], names)
    count = round(rows * checks.fraction(validation, "validation"))
    if not 0 < count < rows:
        raise ValueError(
            f"validation={validation:g} of {rows} rows leaves {rows - count} to train on and "
            f"{count} to measure on; both need at least one"
        )
    kept, held_out = split_rows(rows, count, words)
    return [selected(a, kept) for a in data], [selected(a, held_out) for a in data]


def _weighted(
    loss: nn.Loss, class_weight: Any, model: nn.Module, data: Sequence[np.ndarray]
) -> nn.Loss:
    """The loss with the weights of the classes."""
    if class_weight is None:
        return loss
    if loss.class_weights is None:
        raise ValueError(f"loss {loss.name} has no classes to weigh; use sample_weight")
    two = loss.target.name in ("probabilities", "signs")
    classes = 2 if two else output_shape(model, data[0])[-1]
    return loss.with_options(class_weight=checks.class_weights(class_weight, classes))


def _progress(verbose: bool | None) -> Callback | None:
    """The progress bar, where somebody looks."""
    if not (sys.stdout.isatty() if verbose is None else verbose):
        return None
    from .progress import Progress  # rich takes a while to import

    return Progress()
