"""An interrupted run that is resumed ends with the bits of the run never interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler, nn, optim, train
from pellucid.core.tree import named_leaves
from pellucid.train import Checkpoint, CheckpointError
from pellucid.train import checkpoint as files
from pellucid.train import loop as loops
from pellucid.train.keeper import Keeper
from tests.optim.samples import OPTIMIZERS


class DiedError(Exception):
    """Stands for what ends a process."""


class DiesAt(train.Callback):
    """Ends a run once it has taken so many steps."""

    def __init__(self, step):
        self.step = step

    def slice_end(self, run):
        if run.steps >= self.step:
            raise DiedError


class Longest(train.Callback):
    """Stops when the loss has risen so often; a callback of a user's, with a state of its own."""

    def __init__(self, most=1000):
        self.most = most

    def train_begin(self, run):
        self.seen = {"rises": 0, "losses": [], "array": np.zeros(2), "text": None}

    def epoch_end(self, run):
        loss = run.history.last("loss")
        self.seen["rises"] += bool(self.seen["losses"]) and loss > self.seen["losses"][-1]
        self.seen["losses"].append(loss)
        self.seen["array"] += loss
        self.seen["text"] = "ü"
        if self.seen["rises"] > self.most:
            run.stop("too many rises")

    def state(self):
        return self.seen

    def restore(self, state):
        self.seen = dict(state)


def data(rows=61):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(rows, 5)).astype(np.float32)
    return X, (np.abs(X).sum(axis=1) > 3.7).astype(np.int32)


def network():
    pe.random.set_seed(3)
    return nn.Sequential(
        nn.Linear(5, 12), nn.BatchNorm(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 2)
    )


def fitted(model=None, rows=None, **options):
    """A run, by default of 9 epochs of 8 steps, the last of a smaller batch."""
    X, y = data() if rows is None else rows
    given = {"epochs": 9, "batch_size": 8, "seed": 5, "optimizer": optim.adam(0.01)} | options
    return train.fit(model or network(), X, y, **given)


def digest(run):
    """Of all that a run leaves: the model's values and the history."""
    found = hashlib.sha256()
    for value in run.model.state_dict().values():
        found.update(value.tobytes())
    for column in run.history.values():
        found.update(np.array(column).tobytes())
    return found.hexdigest(), run.steps, run.stopped


def interrupted(place, at, **options):
    """Die after so many steps, then go on in the file's run."""
    watchers = options.pop("callbacks", [])
    with pytest.raises(DiedError):
        fitted(checkpoint=place, callbacks=[*watchers, DiesAt(at)], resume=True, **options)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A checkpoint that is written often, without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return Checkpoint(tmp_path / "run.safetensors", every="3 steps")


MODES = {
    "plain": {},
    "in order": {"shuffle": False},
    "weighted": {"sample_weight": np.linspace(0.5, 2, 61), "class_weight": {0: 2}},
    "validated": {"validation": 0.3},
    "watched": {"callbacks": [lambda run: None]},
    "early stopping": {"validation": 0.3, "early_stopping": 2},
    "stopping by the loss": {"early_stopping": train.EarlyStopping("loss", 1, min_delta=0.03)},
    "a callback of the user's": {"callbacks": [Longest(1)]},
    "one batch": {"batch_size": 1000, "epochs": 40},
    "float64": {"model": lambda: network().astype(np.float64)},
    "rate by plateau": {
        "callbacks": [train.ReduceOnPlateau("loss", 0.5, patience=1, min_delta=9, cooldown=1)]
    },
    "rate by batch size": {"reference_batch": 4},
    "stopping at figures": {"callbacks": [train.StopAt(loss=0.55, accuracy=0.6)]},
    "metrics of whole sets": {
        "metrics": ["f1_macro", "accuracy"], "validation": {"val": 0.2, "other": data(20)},
        "early_stopping": train.EarlyStopping("other_f1_macro", 3),
    },
    "averaged weights": {
        "optimizer": optim.chain(optim.adam(0.01), optim.average_weights(0.9)),
        "validation": 0.3, "early_stopping": 3,
        "callbacks": [train.ReduceOnPlateau(factor=0.5, patience=1)],
    },
    "gradients of several batches": {
        "optimizer": optim.accumulate(optim.adam(optim.cosine(0.02, 20)), 3)
    },
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_the_bits_are_those_of_the_run_never_interrupted(place, mode):
    options = dict(MODES[mode])
    make = options.pop("model", network)
    expected = digest(fitted(make(), **options))
    for at in (2, 7, 17, 19, 26):
        if at < expected[1]:
            interrupted(place, at, model=make(), **options)
    ended = fitted(make(), checkpoint=place, resume=True, **options)
    assert digest(ended) == expected
    again = fitted(make(), checkpoint=place, resume=True, **options)  # it has ended: nothing to do
    assert digest(again) == expected


def smooth():
    """For searches, which refuse what is random."""
    pe.random.set_seed(3)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2))


@pytest.mark.parametrize(
    "sample", [one for row in OPTIMIZERS.values() for one in row], ids=lambda s: s.make().name
)
def test_every_optimizers_memory_is_kept(place, sample):
    search = sample.make().full_batch
    make, given = network, {"epochs": 3}
    if search:
        make, given = smooth, {"epochs": 24, "batch_size": 61}
    expected = digest(fitted(make(), optimizer=sample.make(), **given))
    interrupted(place, 13, model=make(), optimizer=sample.make(), **given)
    resumed = fitted(make(), optimizer=sample.make(), checkpoint=place, resume=True, **given)
    assert digest(resumed) == expected


@pytest.mark.parametrize("rule", [optim.lbfgs, optim.backtracking])
def test_a_search_that_has_ended_stays_where_it_ended(place, rule):
    """The weights it is used with are others than those in the file's cells."""
    options = {"optimizer": rule(tolerance=0.02), "batch_size": 61, "epochs": 400}
    whole = fitted(smooth(), checkpoint=place, **options)
    assert whole.stopped == "no gradient is above 0.02"
    again = fitted(smooth(), checkpoint=place, resume=True, **options | {"epochs": 500})
    assert digest(again) == digest(whole)
    assert again.cost.steps == 0


def test_the_last_moment_of_a_search_is_no_interruption(place):
    """Ctrl-C in the step that ends a run: it would not have gone on."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are for the main thread")
    options = {"optimizer": optim.lbfgs(tolerance=0.02), "batch_size": 61, "epochs": 400}
    whole = fitted(smooth(), **options)

    class Presses(train.Callback):
        def slice_end(self, run):
            if run.steps == whole.steps:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pressed = fitted(smooth(), checkpoint=place, callbacks=[Presses()], **options)
    finally:
        signal.signal(signal.SIGINT, before)
    assert digest(pressed) == digest(whole)
    assert digest(fitted(smooth(), checkpoint=place, resume=True, **options)) == digest(whole)


def test_weights_that_are_no_numbers_are_not_kept(place, monkeypatch):
    """A loss that is still finite may lead to such: the file stays what it was."""
    monkeypatch.setattr(loops, "SLICE_SECONDS", 1e-9)
    monkeypatch.setattr("pellucid.train.diverged._COPY_SHARE", 0.0)  # weights are looked at rarely
    X, y = data()
    options = {"optimizer": optim.sgd(1e30), "loss": "mse", "rows": (X, X[:, :1] * 1e10)}
    errors = []
    for _ in range(2):
        with pytest.raises(train.TrainingDiverged) as found:
            fitted(nn.Linear(5, 1), checkpoint=Checkpoint(place.path, "1 steps"), resume=True,
                   **options)  # fmt: skip
        errors.append((str(found.value), found.value.step))
    assert errors[0] == errors[1]
    arrays, about = files.read(place.latest)
    assert about["steps"] < errors[0][1]
    assert all(np.isfinite(v).all() for k, v in arrays.items() if k.startswith("cells.model"))


def test_figures_do_not_depend_on_how_steps_are_cut_into_slices(monkeypatch):
    """In float64, where sums in another order have other bits."""
    found = set()
    for longest in (1, 2, 3, 5, 8):
        monkeypatch.setattr(Keeper, "at_most", lambda self, steps, most=longest: min(steps, most))
        found.add(digest(fitted(network().astype(np.float64))))
    monkeypatch.undo()
    assert found == {digest(fitted(network().astype(np.float64)))}


@pytest.mark.skipif(not compiler.can_compile(), reason="the reference runs on one thread")
def test_slices_pace_and_threads_do_not_matter(place, monkeypatch):
    expected = digest(fitted())
    compiler.set_threads(2)
    monkeypatch.setattr(loops, "SLICE_SECONDS", 1e-9)  # a step each
    interrupted(place, 21)
    compiler.set_threads(1)
    monkeypatch.setattr(loops, "SLICE_SECONDS", 10.0)
    interrupted(place, 33)
    compiler.set_threads(3)
    assert digest(fitted(checkpoint=place, resume=True)) == expected


def test_where_there_is_no_checkpoint_the_run_begins(place):
    assert digest(fitted(checkpoint=place, resume=True)) == digest(fitted())


def test_a_plain_path_is_enough(tmp_path):
    path = str(tmp_path / "run")
    expected = digest(fitted(checkpoint=path))
    assert sorted(os.listdir(tmp_path)) == ["run", "run.previous"]  # the first one, and the last
    assert digest(fitted(checkpoint=path, resume=True)) == expected


def test_a_longer_run_goes_on_where_a_shorter_one_ended(place):
    fitted(checkpoint=place, epochs=4)
    longer = fitted(checkpoint=place, resume=True)
    assert digest(longer) == digest(fitted())
    with pytest.raises(CheckpointError, match="taken 72 steps, epochs=8 asks for 64; give at leas"):
        fitted(checkpoint=place, epochs=8, resume=True)


def test_a_run_that_was_stopped_does_not_go_on_for_more_epochs(place):
    options = {"early_stopping": train.EarlyStopping("loss", 1, min_delta=9), "checkpoint": place}
    short = fitted(**options)
    assert short.stopped == "loss has not become better since epoch 1"
    assert digest(fitted(epochs=99, resume=True, **options)) == digest(short)


def test_ctrl_c_leaves_a_checkpoint_of_that_moment(place, monkeypatch):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are for the main thread")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    class Presses(train.Callback):
        def slice_end(self, run):
            if run.steps == 3:
                os.kill(os.getpid(), signal.SIGINT)

    try:
        monkeypatch.setattr(loops, "SLICE_SECONDS", 1e-9)
        rare = Checkpoint(place.path, every="1 hour")
        first = fitted(checkpoint=rare, callbacks=[Presses()])
    finally:
        signal.signal(signal.SIGINT, before)
    assert first.stopped == "interrupted"
    assert files.read(place.latest).about["steps"] == first.steps == 3
    assert digest(fitted(checkpoint=place, resume=True)) == digest(fitted())


def test_seconds_are_counted_on(place):
    first = fitted(checkpoint=place, epochs=4)
    second = fitted(checkpoint=place, resume=True)
    assert second.seconds > first.seconds > 0
    assert (second.steps, second.cost.steps) == (72, 40)  # the cost is that of this call
    assert 9 * second.cost.operations == 5 * fitted().cost.operations


def test_checkpoints_are_written_when_they_are_due(place, monkeypatch):
    moments = []
    write = files.write

    def noted(checkpoint, snapshot, *, keep):
        moments.append(snapshot.about["steps"])
        write(checkpoint, snapshot, keep=keep)

    monkeypatch.setattr(files, "write", noted)
    for every, expected in {
        "30 steps": [0, 30, 60, 72], "2 epochs": [0, 16, 32, 48, 64, 72], "1 hour": [0, 72],
        "1000 epochs": [0, 72],
    }.items():  # fmt: skip
        moments.clear()
        fitted(checkpoint=Checkpoint(place.path, every))
        assert moments == expected
    monkeypatch.setattr(loops, "SLICE_SECONDS", 1e-9)
    moments.clear()
    fitted(checkpoint=Checkpoint(place.path, "0.000001 s"))
    assert moments == list(range(73))


def test_a_damaged_checkpoint_costs_only_the_way_from_the_one_before(place):
    expected = digest(fitted())
    interrupted(place, 20)
    content = bytearray(place.latest.read_bytes())
    content[-1] ^= 1
    place.latest.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged.*; going on from run.previous.safetensors"):
        interrupted(place, 21)
    assert files.read(place.latest).about["steps"] >= 15
    assert digest(fitted(checkpoint=place, resume=True)) == expected


# -- what is refused ------------------------------------------------------------------------


def other_rows(change):
    X, y = data()
    change(X, y)
    return X, y


def add_one(X, y):
    X[0] += 1


def turn(X, y):
    y[:] = 1 - y


OTHERS = {
    "batch_size": ({"batch_size": 9}, "with batch_size 8, this one has 9"),
    "seed": ({"seed": 6}, "with seed 5, this one has 6"),
    "shuffle": ({"shuffle": False}, "with shuffle true, this one has false"),
    "rate": ({"optimizer": optim.adam(0.02)}, "with optimizer .*0.01.*this one has .*0.02"),
    "rule": ({"optimizer": optim.sgd(0.01)}, "with optimizer .*adam.*this one has .*sgd"),
    "loss": ({"loss": "mse", "rows": (data()[0], np.zeros((61, 2)))}, "with loss .*cross_entropy"),
    "weights": ({"class_weight": {0: 3}}, "with loss"),
    "metrics": ({"metrics": []}, "with figures .*accuracy.*this one has"),
    "model": ({"model": nn.Linear(5, 2)}, "with model .*Sequential.*this one has .*Linear"),
    "layer": ({"model": nn.Sequential(nn.Linear(5, 12), nn.BatchNorm(12), nn.Tanh(),
                                      nn.Dropout(0.3), nn.Linear(12, 2))}, "with model .*Tanh"),
    "rows": ({"rows": data(60)}, "with rows 61, this one has 60"),
    "columns": ({"rows": (data()[0][:, :4], data()[1]), "model": nn.Linear(4, 2)}, "with model"),
    "values": ({"rows": other_rows(add_one)}, "the values of X are others than those"),
    "targets": ({"rows": other_rows(turn)}, "the values of y are others than those"),
    "sample_weight": ({"sample_weight": np.ones(61)}, "with sample_weight none, this one has floa"),
    "validation": ({"validation": data(7)}, "with figures|with validation"),
    "stopping": ({"early_stopping": 3}, r"with callbacks , this one has EarlyStopping\(.*patience"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_another_run_is_refused_in_one_sentence(place, other):
    change, message = OTHERS[other]
    change = dict(change)
    interrupted(place, 20)
    before = place.latest.read_bytes()
    model = change.pop("model", None) or network()
    values = model.state_dict()
    with pytest.raises(CheckpointError, match=message) as found:
        fitted(model, checkpoint=place, resume=True, **change)
    text = str(found.value)
    assert text.startswith(f"cannot go on from {place.path}: the run in it is another one: ")
    assert text.endswith("give the same arguments and data, or another file to begin anew")
    assert len(text) < 500
    assert place.latest.read_bytes() == before
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, values[name])


def test_other_arithmetic_is_refused(place, monkeypatch):
    if not compiler.can_compile():
        pytest.skip("there is only one")
    interrupted(place, 20)
    monkeypatch.setenv("PELLUCID_REFERENCE", "1")
    with pytest.raises(CheckpointError, match="with arithmetic compiled, this one has reference"):
        fitted(checkpoint=place, resume=True)


def test_a_run_that_has_not_ended_is_not_lost(place):
    interrupted(place, 20)
    with pytest.raises(CheckpointError, match="holds a run that has not ended, after 18 steps"):
        fitted(checkpoint=place)
    fitted(checkpoint=place, resume=True)
    other = fitted(checkpoint=place, seed=9)  # that one had ended
    assert digest(fitted(checkpoint=place, seed=9, resume=True)) == digest(other)


def test_to_resume_takes_a_file():
    with pytest.raises(ValueError, match=r"resume=True needs checkpoint=\.\.\., the file"):
        fitted(resume=True)


@pytest.mark.parametrize("error", [ValueError("no"), OverflowError("no"), KeyError("no")])
def test_a_callback_that_cannot_go_on_is_named(place, error):
    class Stubborn(Longest):
        def restore(self, state):
            raise error

    Stubborn.__name__ = "Longest"
    interrupted(place, 20, callbacks=[Longest()])
    with pytest.raises(CheckpointError, match="Longest cannot go on from what it remembered: .?no"):
        fitted(checkpoint=place, resume=True, callbacks=[Stubborn()])


def test_what_a_callback_cannot_remember_is_told(place):
    class Odd(train.Callback):
        def state(self):
            return {"a": object()}

    with pytest.raises(TypeError, match="a callback can remember numbers, texts, arrays.*object"):
        fitted(checkpoint=place, callbacks=[Odd()])


def damaged(about, arrays):
    yield "steps", about | {"steps": 17}, arrays  # within an epoch, other history
    yield "no steps", about | {"steps": None}, arrays
    yield "steps that are none", about | {"steps": -1}, arrays
    yield "no run", {}, arrays
    yield "callbacks", about | {"callbacks": []}, arrays
    yield "callbacks that are none", about | {"callbacks": [{"map": {"kept": 3}}]}, arrays
    yield "callbacks without arrays", about | {"callbacks": [{"array": "absent"}]}, arrays
    yield "stopped", about | {"stopped": 3}, arrays
    yield "fingerprint", about | {"fingerprint": []}, arrays
    for name, array in arrays.items():
        yield f"no {name}", about, {k: v for k, v in arrays.items() if k != name}
        yield f"{name} of another shape", about, arrays | {name: array[None]}
        yield f"{name} of another kind", about, arrays | {name: array.astype(np.int32) > 0}


def test_a_file_that_contradicts_itself_is_a_clear_error(place):
    options = {"model": nn.Linear(5, 2), "early_stopping": train.EarlyStopping("loss", 50)}
    interrupted(place, 20, **options)
    arrays, about = files.read(place.latest)
    tried = 0
    for what, changed, values in damaged(about, arrays):
        files.write(place, files.Snapshot(values, changed), keep=False)
        with pytest.raises(CheckpointError, match="cannot go on") as found:
            fitted(checkpoint=place, resume=True, **options)
        assert len(str(found.value)) < 600, what
        tried += 1
    assert tried > 30


def test_everything_that_a_step_changes_is_in_the_file(place):
    model = network()
    fitted(model, checkpoint=place, epochs=1)
    arrays, about = files.read(place.latest)
    memory = named_leaves(optim.adam(0.01).init(model.parameters()))
    expected = {f"cells.model.{name}" for name in model.state_dict()}
    expected |= {f"cells.training.{name}" for name, _ in memory}
    expected |= {"cells.training.step", "cells.training.seed"}
    assert {name for name in arrays if name.startswith("cells")} == expected
    assert json.loads(about["fingerprint"]["optimizer"])["arguments"]["learning_rate"] == 0.01
