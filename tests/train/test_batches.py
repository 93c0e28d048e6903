"""Training on a stream: any pieces give the same bits, and what is wrong is named."""

from __future__ import annotations

import numpy as np
import pytest

from pellucid import nn, optim, train
from pellucid.train import Batches, Checkpoint
from tests.train.test_mapped import digest, network
from tests.train.test_resume import DiedError, DiesAt

ROWS = 103


def rows(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(ROWS, 20)).astype(np.float32), rng.integers(0, 3, ROWS)


def cut(size, *arrays):
    """A source of pieces of so many rows."""

    def pieces(epoch):
        for start in range(0, len(arrays[0]), size):
            yield tuple(a[start : start + size] for a in arrays)

    return pieces


def fitted(given, y=None, **options):
    model = network()
    run = train.fit(
        model, given, y, **({"epochs": 3, "batch_size": 8, "optimizer": optim.adam(0.01)} | options)
    )
    assert run.steps == 3 * 13
    return digest(model, run)


@pytest.mark.parametrize("size", [1, 7, 8, 50, 999])
def test_pieces_do_not_matter(size):
    X, y = rows()
    assert fitted(Batches(cut(size, X, y), buffer=24)) == fitted(
        Batches(cut(33, X, y), buffer=24, rows=ROWS)
    )


def test_in_order_a_stream_is_an_array():
    X, y = rows()
    expected = fitted(X, y, shuffle=False)
    assert fitted(Batches(cut(10, X, y)), shuffle=False) == expected
    assert fitted(Batches(cut(10, X, y), buffer=8), shuffle=False) == expected
    assert fitted(Batches([(X[:40], y[:40]), (X[40:], y[40:])]), shuffle=False) == expected
    assert fitted(Batches(cut(10, X, y)), shuffle=True) != expected


def test_weights_validation_and_other_dtypes_come_along():
    X, y = rows()
    w = np.linspace(0.5, 2, ROWS)
    options = {"shuffle": False, "validation": rows(1), "class_weight": {0: 2}}
    expected = fitted(X, y, sample_weight=w, **options)
    assert fitted(Batches(cut(10, X.astype(np.float64), y, w)), **options) == expected
    floats = fitted(Batches(cut(9, X, np.eye(3)[y])), shuffle=False)
    assert floats == fitted(X, np.eye(3)[y], shuffle=False)


def test_each_epoch_may_have_pieces_of_its_own():
    X, y = rows()
    asked = []

    def pieces(epoch):
        asked.append(epoch)
        yield X[::-1] if epoch else X, y[::-1] if epoch else y

    fitted(Batches(pieces, rows=ROWS))
    assert asked == [0, 0, 1, 2]  # forms are seen in the first piece


def test_an_iterator_is_closed_when_the_run_ends():
    X, y = rows()
    closed = []

    def pieces(epoch):
        try:
            for start in range(0, ROWS, 10):
                yield X[start : start + 10], y[start : start + 10]
        finally:
            closed.append(epoch)

    fitted(Batches(pieces, rows=ROWS, buffer=16))
    assert closed == [0, 0, 1, 2]

    def stop(run):
        run.stop("enough")

    closed.clear()
    train.fit(network(), Batches(pieces, rows=ROWS, buffer=16), epochs=9, callbacks=[stop])
    assert len(closed) >= 2  # that of the second epoch too, which had been begun


def test_an_interrupted_run_goes_on_within_the_stream(tmp_path):
    X, y = rows()
    expected = fitted(Batches(cut(7, X, y), buffer=16))
    place = Checkpoint(tmp_path / "run", every="5 steps")
    for at in (7, 21, 33):
        with pytest.raises(DiedError):
            fitted(
                Batches(cut(7, X, y), buffer=16), checkpoint=place, resume=True,
                callbacks=[DiesAt(at)],
            )  # fmt: skip
    for other in ({"buffer": 24}, {"rows": 50}):
        with pytest.raises(train.CheckpointError, match="begun with (window|rows)"):
            fitted(Batches(cut(9, X, y), **other), checkpoint=place, resume=True)
    assert fitted(Batches(cut(9, X, y), buffer=16), checkpoint=place, resume=True) == expected


def test_divergence_goes_back_in_the_stream():
    X, y = rows()
    y = y.astype(np.float32) * 1e3
    with pytest.raises(train.TrainingDiverged, match=r"Lower the learning rate \(it is 1e\+06"):
        train.fit(
            nn.Linear(20, 1), Batches(cut(7, X, y), buffer=16), epochs=50, loss="mse",
            optimizer=optim.sgd(1e6), batch_size=8,
        )  # fmt: skip


def broken(column, value):
    X, y = rows()
    (X if column == "X" else y)[77] = value
    return X, y


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, y: Batches(cut(10, *broken("X", np.nan))), "the rows from 70 on: X has NaN .*7"),
        (lambda X, y: Batches(cut(10, *broken("y", 9))), "the rows from 70 on: .*received 9 in"),
        (lambda X, y: Batches(cut(10, X, y), rows=104), "epoch 0 .* has 103 rows, expected 104"),
        (lambda X, y: Batches(cut(10, X, y), rows=102), "epoch 0 .* more than its 102 rows"),
        (lambda X, y: Batches([]), "the stream has no rows"),
        (lambda X, y: Batches([(X, y), (X[:, :3], y)]), "X has rows float32 .3,., .*first.*20"),
        (lambda X, y: Batches([(X, y), (X, y, y + 1)]), "has 3 parts, the first one had 2"),
        (lambda X, y: Batches([(X, y), (X, y[:3])]), "X has 103 rows, y 3 rows"),
        (lambda X, y: Batches([(X, y, y - 5)]), "sample_weight must not be negative"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_stream_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        train.fit(network(), make(*rows()), epochs=1, batch_size=8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Batches(x for x in [1]), "generator can be gone through only once: give the func"),
        (lambda: Batches(3), "needs a function or an iterable, received 3"),
        (lambda: train.fit(network(), Batches([3])), "a piece must be .X, y. or .*received int"),
        (lambda: train.fit(network(), Batches([rows()]), rows()[1]), "give fit neither"),
        (lambda: train.fit(network(), rows()[0]), "y must be an array of numbers, received None"),
    ],
)
def test_what_is_no_stream_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_options_that_make_no_sense_are_refused():
    for options in ({"rows": 0}, {"buffer": -1}, {"rows": 1.5}):
        with pytest.raises(ValueError, match="must be a whole number of at least 1"):
            Batches([], **options)
    with pytest.raises(ValueError, match="would hold out rows of a stream; give rows of their own"):
        train.fit(network(), Batches([rows()]), validation=0.1)
    with pytest.raises(ValueError, match="shuffle must be True, False or .blocks., received 'all'"):
        train.fit(network(), *rows(), shuffle="all")
