"""`fit`: the training loop."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

from pellucid import nn, optim

from . import checks
from .batches import feed_of, first_of, seen_of
from .callbacks import Callback, as_callback
from .checkpoint import Checkpoint, as_checkpoint
from .cost import Meter
from .data import divided, prepared, with_class_weights
from .decision import decision_of
from .diverged import Guard, TrainingDiverged
from .evaluate import Evaluation
from .figures import EpochFigures, columns_of
from .fingerprint import fingerprint
from .interrupt import Interrupt
from .keeper import Keeper
from .loop import Loop, Pace
from .metrics import metrics_for, per_row
from .predict import output_shape
from .rate import Rate
from .run import DIVERGED, INTERRUPTED, Run
from .snapshot import Parts
from .step import TrainingState, trace_step
from .stopping import EarlyStopping, early_stopping_from
from .used import UsedWeights


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
    reference_batch: int | None = None,
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
        optimizer: an optimizer or its name; Adam with learning rate 0.001 by default. One
            that compares losses (`lbfgs`, `backtracking`) needs all rows in each batch, keeps
            them in order, and ends the run where it finds nothing better.
        epochs: how often the data are gone through.
        batch_size: rows per step; more than there are means all of them.
        validation: rows to measure on after each epoch: a fraction of the data to
            hold out, (X, y), (X, y, sample_weight), or a mapping from names to any of
            these. Figures are called "val_loss", or by name, "other_loss". Where rows
            have one class each, every class has the same fraction of it held out, to
            within one row.
        metrics: names (of `METRICS`), metrics and functions to report besides the loss;
            by default "accuracy" for losses over classes. For the training rows they
            are measured in passing, in training mode, while the model learns; those of
            whole sets, such as "f1_macro" or "roc_auc", on validation sets only. They
            count all rows alike.
        early_stopping: how many epochs to wait for a better loss of the first validation
            set (or loss, without validation), or an `EarlyStopping`.
        callbacks: `Callback`s, such as `StopAt` and `ReduceOnPlateau`, or functions of the
            run that are called after each epoch.
        shuffle: whether each epoch visits the rows in an order of its own. "blocks" is for
            files larger than memory: blocks of neighbouring rows, about 1 MiB each, are
            visited in an order of their own, and rows are shuffled within windows of
            about 32 MiB of such blocks.
        seed: of the orders, of the rows held out, and of the layers' random numbers.
        sample_weight: weight of each row in the loss (rows,).
        class_weight: weight of each class in the loss: a mapping or a sequence.
        reference_batch: the batch size that the learning rate is meant for. The rate is
            multiplied with batch_size / reference_batch: a rate of 0.1 for batches of
            32 becomes 0.2 for batches of 64. By default it is left as it is.
        checkpoint: a file in which the run is kept while it goes on, every 30 seconds;
            `Checkpoint` says otherwise.
        resume: go on from the checkpoint, where there is one. The run ends with the bits
            of one that was never interrupted; it needs the same arguments and data, but
            for more epochs. Epochs and seconds are counted on.
        verbose: whether to show progress; by default on a terminal only.

    Returns:
        The run: `history`, `steps`, `seconds`, in `stopped` why it ended, and in `cost`
        what it cost. Ctrl-C ends it early, with what was learned.

    Raises:
        ValueError: data or options do not fit, or the loss is random where the optimizer
            compares losses; says which, and where.
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
    meter = Meter()
    checks.check_model(model)
    checks.check_learns(model)
    epochs = checks.whole_number(epochs, "epochs")
    batch_size = checks.whole_number(batch_size, "batch_size")
    chosen = nn.as_loss(loss)
    rule = optim.adam() if optimizer is None else optim.as_optimizer(optimizer)
    watchers = _watchers(callbacks, early_stopping_from(early_stopping), _progress(verbose))
    source, (X, y, sample_weight) = X, first_of(X, y, sample_weight, validation)
    data = prepared(model, chosen, X, y, sample_weight)
    decision = decision_of(chosen, data[1], output_shape(model, data[0]))
    measures = metrics_for(decision, data[1], metrics)
    data, sets = divided(model, chosen, data, validation, seed)
    rate = Rate() if any(w.changes_rate for w in watchers) else None
    columns = columns_of(measures, sets, rate)
    evaluations = {name: Evaluation(model, decision, measures, rows) for name, rows in sets.items()}
    criterion = with_class_weights(chosen, class_weight, model, data[0])
    if rule.full_batch:  # in another order it would see the same rows, rounded otherwise
        shuffle = False
    feed = feed_of(source, data, model, chosen, batch_size, epochs, shuffle, seed)
    rule = _for_batch(rule, feed.batch, reference_batch)
    state = TrainingState(model, rule, seed, rate)
    measured = per_row(measures)
    trace = partial(trace_step, state, criterion, measured, feed.arrays)
    loop = Loop(partial(trace, any_number=True, rows=feed.rows), feed)
    run = Run(model, columns, epochs, loop.steps_per_epoch, tuple(sets), rate)
    looked_at = bool(sets) or rate is not None or any(w.looks_at_epochs for w in watchers)
    one_epoch = looked_at or rule.full_batch  # which may end after any step
    used = UsedWeights(state)
    figures = EpochFigures(loop, measures, evaluations, rate, used)
    given = {
        "model": model, "loss": criterion, "optimizer": rule, "reference_batch": reference_batch,
        "rows": feed.rows, "batch_size": feed.batch, "shuffle": shuffle, "window": feed.window,
        "seed": seed, "figures": list(columns),
    }  # fmt: skip
    keeper = Keeper(as_checkpoint(checkpoint), Parts(run, loop, state, figures, watchers))
    seen = {"": seen_of(source, data), **sets}
    keeper.begin(lambda: fingerprint(given, seen, watchers), resume)
    earlier = run.seconds
    guard, pace = Guard(loop, state), Pace()

    ending = ExitStack()  # whoever has begun is told of the end, whatever the others do
    ending.callback(feed.close)
    try:
        for watcher in watchers:
            watcher.train_begin(run)
            ending.callback(watcher.train_end, run)
        keeper.callbacks_began()
        with Interrupt() as interrupt:
            while run.stopped is None:
                used.take_back()
                if keeper.is_due:
                    guard.finish()
                    keeper.save()
                steps = loop.slice_length(keeper.at_most(pace.steps), one_epoch=one_epoch)
                records = pace.timed(loop.advance, steps)
                guard.look(records)
                rows = figures.of_epochs_ended(records)
                if len(rows):
                    if looked_at:
                        used.put()
                    run.history.extend(rows)
                run.steps, run.seconds = loop.done, earlier + meter.seconds
                meter.look()
                for watcher in watchers:
                    watcher.slice_end(run)
                    if len(rows) and watcher.looks_at_epochs:
                        watcher.epoch_end(run)
                guard.follow_rate()
                if ended := rule.ended(state.memory):
                    run.stop(ended)
                if loop.done == loop.total:
                    run.stop(run.all_epochs)
                if interrupt.received:  # and the run would have gone on
                    run.stop(INTERRUPTED)
        used.take_back()
        guard.finish()
        keeper.save()
    except KeyboardInterrupt:
        run.stop(INTERRUPTED)
    except TrainingDiverged as error:
        run.stop(DIVERGED)
        error.run = run
        raise
    finally:
        used.put()
        run.bill = meter.bill(loop, state, [*evaluations.values()])
        ending.close()
        run.seconds = earlier + meter.seconds
    return run


def _watchers(given: Any, *own: Callback | None) -> list[Callback]:
    """The callbacks that a user gave, then those of `fit`."""
    if isinstance(given, Callback) or not isinstance(given, Iterable):
        raise TypeError(f"callbacks must be a list of callbacks, received {given!r}")
    return [*map(as_callback, given), *(callback for callback in own if callback)]


def _for_batch(rule: optim.Optimizer, batch: int, reference: int | None) -> optim.Optimizer:
    """The rule with a learning rate in proportion to the batch size."""
    if reference is None:
        return rule
    times = batch / checks.whole_number(reference, "reference_batch")
    return rule.with_rate(lambda rate, t: times * rate)


def _progress(verbose: bool | None) -> Callback | None:
    """The progress bar, where somebody looks."""
    if not (sys.stdout.isatty() if verbose is None else verbose):
        return None
    from .progress import Progress  # rich takes a while to import

    return Progress()
