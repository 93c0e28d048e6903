"""What may look at a run: in which order it is called, and what it may do."""

from __future__ import annotations

import numpy as np
import pytest

import pellucid as pe
from pellucid import nn, train


def data(rows=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int32)


def network():
    pe.random.set_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))


class Diary(train.Callback):
    def __init__(self):
        self.events = []

    def train_begin(self, run):
        self.events.append(("begin", run.steps))

    def slice_end(self, run):
        self.events.append(("slice", run.steps))

    def epoch_end(self, run):
        self.events.append(("epoch", run.history.last("epoch")))

    def train_end(self, run):
        self.events.append(("end", run.steps))


def test_events_come_in_order():
    diary = Diary()
    train.fit(network(), *data(), epochs=3, batch_size=10, callbacks=[diary])
    assert diary.events[0] == ("begin", 0)
    assert diary.events[-1] == ("end", 12)
    assert [e for e in diary.events if e[0] == "epoch"] == [
        ("epoch", 1),
        ("epoch", 2),
        ("epoch", 3),
    ]
    steps = [step for event, step in diary.events if event == "slice"]
    assert steps == sorted(steps)
    assert {4, 8, 12} <= set(steps)


def test_without_someone_who_looks_epochs_run_together():
    class Slices(train.Callback):
        count = 0

        def slice_end(self, run):
            self.count += 1

    slices = Slices()
    run = train.fit(network(), *data(), epochs=2000, callbacks=[slices])
    assert run.history.epochs == 2000
    assert slices.count < 500


@pytest.mark.parametrize("kind", ["function", "callback"])
def test_a_run_can_be_stopped_from_within(kind):
    def stop(run):
        if run.history.epochs == 3:
            run.stop("seen enough")

    class Stop(train.Callback):
        def epoch_end(self, run):
            stop(run)

    run = train.fit(
        network(), *data(), epochs=10, callbacks=[stop if kind == "function" else Stop()]
    )
    assert run.stopped == "seen enough"
    assert run.history.epochs == 3


def test_an_error_in_a_callback_ends_the_run_and_the_others():
    diary = Diary()

    def fail(run):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        train.fit(network(), *data(), callbacks=[diary, fail])
    assert diary.events[-1][0] == "end"


def test_progress_is_shown_when_asked_for(capsys):
    train.fit(network(), *data(), epochs=2, verbose=True)
    assert "epoch 2/2" in capsys.readouterr().out
    train.fit(network(), *data(), epochs=2)
    assert capsys.readouterr().out == ""
