"""Searching: what is chosen, equal trials for any number of workers, kept when killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pellucid import compiler, nn, train
from pellucid.train import space as spaces
from pellucid.train.datasets import load_digits
from pellucid.train.space import DEFAULTS, Range, network_of, silence, space_of
from pellucid.train.trials import COMPLETE, DIVERGED, PRUNED, Task, Trial, run_trial
from pellucid.train.tuning import LAG, Search, _limits, _past

ROOT = Path(__file__).resolve().parents[2]

SMALL = {
    "layers": [0, 1],
    "width": [4, 8],
    "activation": ["relu", "tanh"],
    "objective": ["cross_entropy"],
    "optimizer": ["adam", "sgd"],
    "learning_rate": (1e-3, 1e-1),
}


def data(rows=96):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 3)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] > 0).astype(np.int32)


def searched(**options):
    pytest.importorskip("optuna")
    given = {"trials": 4, "space": SMALL, "epochs": 4, **options}
    return train.search(*data(), **given)


# -- spaces ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"depth": 3}, "a search chooses layers, width, .* received 'depth'"),
        ({"width": []}, "must have different choices"),
        ({"width": [8, 8]}, "must have different choices"),
        ({"width": (8, 4)}, "from less to more"),
        ({"width": (8, 16, 32)}, "two ends of a range"),
        ({"width": 0}, "width must be a whole number of at least 1, received 0"),
        ({"width": 3.5}, "width must be a whole number"),
        ({"layers": -1}, "layers must be a whole number of at least 0"),
        ({"layers": True}, "layers must be a whole number"),
        ({"learning_rate": (0, 1)}, "learning_rate must be a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"activation": "best"}, "relu"),
        ({"activation": ("relu", "tanh")}, "activation must be a list of choices"),
        ({"optimizer": ["adam", "best"]}, "adam"),
    ],
)
def test_what_cannot_be_searched_over(space, message):
    with pytest.raises(ValueError, match=message):
        space_of(space, "classification")


def test_every_name_has_a_default_and_may_be_fixed():
    found = space_of({"width": 32, "layers": (0, 2)}, "regression")
    assert list(found) == list(DEFAULTS)
    assert found["width"] == (32,)
    assert found["layers"] == Range(0, 2, whole=True, by_ratio=False)
    assert found["objective"] == spaces.OBJECTIVES["regression"]


def test_networks_are_what_their_configuration_says():
    chosen = {"layers": 2, "width": 8, "activation": "tanh", "dropout": 0.1}
    assert repr(network_of(chosen, (3, 4), 5)) == repr(
        nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Dropout(0.1),
                      nn.Linear(8, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 5))
    )  # fmt: skip
    assert repr(network_of({**chosen, "layers": 0}, (3,), 2)) == repr(
        nn.Sequential(nn.Linear(3, 2))
    )


def test_inputs_that_are_always_0_begin_without_weights():
    model = nn.Sequential(nn.Linear(3, 4))
    before = model[0].weight.numpy().copy()
    silence(model, np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    after = model[0].weight.numpy()
    assert not after[1].any()
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


# -- trials ---------------------------------------------------------------------------


def task(**changes):
    X, y = data()
    return replace(Task(X, y, 2, 6, 0.25, "accuracy", True, 0), **changes)


CHOSEN = {
    "layers": 1,
    "width": 8,
    "activation": "relu",
    "objective": "cross_entropy",
    "optimizer": "adam",
    "learning_rate": 1e-2,
    "dropout": 0.0,
    "batch_size": 32,
}


def test_a_trial_is_pruned_at_the_epoch_where_it_falls_behind():
    free = run_trial(task(), 0, CHOSEN, [])
    assert free.state == COMPLETE
    assert len(free.scores) == 6
    assert 0 <= free.score <= 1
    nan = float("nan")
    pruned = run_trial(task(), 0, CHOSEN, [nan, nan, 2.0, 2.0])
    assert pruned.state == PRUNED
    assert pruned.scores == free.scores[:3]  # watched or not, the same bits
    assert run_trial(task(), 0, CHOSEN, [-1.0] * 6) == free
    assert run_trial(task(), 0, CHOSEN, [nan] * 5 + [2.0]) == free  # it is over anyway


def test_a_trial_that_diverges_is_told():
    wild = {**CHOSEN, "optimizer": "sgd", "objective": "mean_squared_error", "learning_rate": 1e30}
    X, y = data()
    found = run_trial(task(y=y.astype(np.float32)[:, None], outputs=1, score="rmse",
                           greater_is_better=False), 3, wild, [])  # fmt: skip
    assert found.state == DIVERGED
    assert found.score is None


def test_a_trial_knows_only_those_that_ended_long_before():
    trials = {i: Trial(i, CHOSEN, COMPLETE, (float(i),) * 10) for i in range(12) if i != 4}
    assert _past(trials, LAG - 1) == []
    assert [t.number for t in _past(trials, LAG + 3)] == [0, 1, 2, 3]
    assert _past(trials, LAG + 4) is None
    assert _limits([trials[0]] * 4, 10) == []
    limits = _limits([trials[i] for i in (0, 1, 2, 3, 11)], 10)
    assert np.isnan(limits[:2]).all()
    assert limits[2:] == [2.0] * 8
    diverged = Trial(1, CHOSEN, DIVERGED, (9.0,))
    assert len(_limits([trials[0], diverged, *(trials[i] for i in (1, 2, 3, 5))], 10)) == 10


# -- searches -------------------------------------------------------------------------


def test_the_best_of_several(tmp_path):
    told = []
    found = searched(callback=told.append)
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3] == [t.number for t in told]
    assert found.best.score == max(t.score for t in found.trials if t.state == COMPLETE)
    for trial in found.trials:
        assert list(trial.configuration) == list(DEFAULTS)
        assert 1e-3 <= trial.configuration["learning_rate"] <= 1e-1
        assert trial.configuration["width"] in (4, 8)
    assert len({t.configuration["learning_rate"] for t in found.trials}) == 4
    run = found.fit(*data(), epochs=2)
    assert run.model.predict(data()[0]).shape == (96, 2)
    assert f"trial {found.best.number}: layers" in repr(found)
    other = searched(seed=1)
    assert [t.configuration for t in other.trials] != [t.configuration for t in found.trials]


def test_of_equals_the_first_is_best():
    made = [Trial(i, CHOSEN, s, (v,)) for i, (s, v) in enumerate(
        [(PRUNED, 0.9), (COMPLETE, 0.5), (COMPLETE, 0.7), (COMPLETE, 0.7)])]  # fmt: skip
    assert Search(tuple(made), "accuracy", True, {}, "").best.number == 2
    assert Search(tuple(made), "rmse", False, {}, "").best.number == 1
    with pytest.raises(ValueError, match="none of 1 trials came to its end"):
        Search(tuple(made[:1]), "accuracy", True, {}, "").best  # noqa: B018


def test_any_number_of_workers_gives_the_same_trials():
    """More trials than may be under way, so that proposals and pruning look at the past."""
    alone = searched(trials=LAG + 10, epochs=8)
    together = searched(trials=LAG + 10, epochs=8, n_jobs=2)
    assert together.trials == alone.trials
    assert any(trial.state == PRUNED for trial in alone.trials)
    assert searched(trials=LAG + 10, epochs=8, prune=False).trials != alone.trials


def test_a_search_goes_on_from_its_file(tmp_path):
    path = tmp_path / "s.db"
    whole = searched(trials=LAG + 6)
    begun = searched(trials=5, storage=path)
    assert begun.trials == whole.trials[:5]
    told = []
    again = searched(trials=LAG + 6, storage=path, callback=told.append)
    assert again.trials == whole.trials
    assert [trial.number for trial in told] == list(range(5, LAG + 6))
    assert searched(trials=5, storage=path).trials == begun.trials


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "with other seed: give another file"),
        ({"epochs": 3}, "with other epochs"),
        ({"space": {**SMALL, "width": [4]}}, "with other space"),
        ({"score": "f1"}, "with other score"),
        ({"prune": False}, "with other prune"),
    ],
)
def test_another_search_is_not_mixed_into_a_file(tmp_path, changes, message):
    searched(trials=1, storage=tmp_path / "s.db")
    with pytest.raises(ValueError, match=message):
        searched(storage=tmp_path / "s.db", **changes)


def test_a_file_that_is_no_storage(tmp_path):
    (tmp_path / "s.db").write_text("not a database " * 100)
    with pytest.raises(ValueError, match="is not a storage of trials"):
        searched(storage=tmp_path / "s.db")
    with pytest.raises(ValueError, match="there is no such folder"):
        searched(storage=tmp_path / "absent" / "s.db")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_jobs": 9}, "n_jobs must be at most 8"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"trials": 0}, "trials"),
        ({"epochs": 0}, "epochs"),
        ({"score": "best"}, "score"),
        ({"score": "confusion_matrix"}, "has no direction"),
        ({"task": "guessing"}, "task"),
        ({"space": {"width": 0}}, "width"),
    ],
)
def test_wrong_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        train.search(*data(), **changes)


def test_wrong_data():
    X, y = data()
    with pytest.raises(ValueError, match="as many rows"):
        train.search(X, y[:-1])
    with pytest.raises(ValueError, match="whole numbers from 0"):
        train.search(X, y - 1)


def test_quantities():
    X, _ = data()
    pytest.importorskip("optuna")
    found = train.search(X, X[:, 0] * 2, trials=2, epochs=3, space={"layers": 0})
    assert found.score == "rmse"
    assert not found.greater_is_better
    assert found.fit(X, X[:, 0] * 2, epochs=1).model.predict(X).shape == (96, 1)


def test_a_search_leaves_the_user_s_settings_alone():
    optuna = pytest.importorskip("optuna")
    before = optuna.logging.get_verbosity(), compiler.get_threads()
    searched(trials=1)
    assert (optuna.logging.get_verbosity(), compiler.get_threads()) == before


def test_optuna_is_optional_and_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pellucid\[search\]"):
        train.search(*data())


KILLED = """
import sys
from pellucid import train
from tests.train.test_tuning import SMALL, data

if __name__ == "__main__":
    train.search(*data(), trials=60, space=SMALL, epochs=4, storage=sys.argv[1], n_jobs=2,
                 callback=lambda trial: print(trial.number, flush=True))
"""


def test_a_killed_search_has_lost_no_trial_that_ended(tmp_path):
    pytest.importorskip("optuna")
    script, path = tmp_path / "s.py", tmp_path / "s.db"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(script), str(path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        told = [int(process.stdout.readline()) for _ in range(4)]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout]
    with closing(sqlite3.connect(path)) as base:
        kept = base.execute(
            "SELECT value_json FROM trial_user_attributes WHERE key = 'number'"
        ).fetchall()
    assert set(told) <= {int(number) for (number,) in kept}
    again = []
    resumed = searched(trials=LAG + 4, storage=path, callback=lambda t: again.append(t.number))
    assert not set(again) & set(told)
    assert resumed.trials == searched(trials=LAG + 4).trials
    limit = time.monotonic() + 20
    while any(_alive(pid) for pid in workers) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in workers)  # none is left behind


def _alive(pid):
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_fifty_configurations_of_digits_are_equal_with_one_and_two_workers():
    pytest.importorskip("optuna")
    digits = load_digits()
    alone = train.search(digits.X, digits.y, trials=50, epochs=10)
    together = train.search(digits.X, digits.y, trials=50, epochs=10, n_jobs=2)
    assert together.trials == alone.trials
    assert alone.best.score > 0.96
