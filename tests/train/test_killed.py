"""A process that is killed while it trains, again and again, loses no more than a moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pellucid.train import Checkpoint
from pellucid.train import checkpoint as files

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import hashlib, sys, time
import pellucid as pe
from pellucid import nn, optim, train
from pellucid.train.datasets import load_digits

path, threads, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pe.set_threads(threads)
digits = load_digits()
pe.random.set_seed(0)
model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm(32), nn.ReLU(), nn.Dropout(0.2),
                      nn.Linear(32, 10))

class Tells(train.Callback):
    def train_begin(self, run):
        print("begun", flush=True)

    def slice_end(self, run):
        time.sleep(0.005)  # so that a run on a fast disk lasts until it is killed

options = {}
if path != "none":
    options = {"checkpoint": train.Checkpoint(path, every="7 steps"), "resume": True}
run = train.fit(
    model, digits.X, digits.y, epochs=epochs, batch_size=32, seed=1, optimizer=optim.adam(1e-3),
    validation=0.1, early_stopping=epochs, callbacks=[Tells()], verbose=False,
    **options,
)
found = hashlib.sha256()
for value in model.state_dict().values():
    found.update(value.tobytes())
for column in run.history.values():
    found.update(bytes(column))
print(found.hexdigest(), run.steps, run.stopped, flush=True)
"""

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="a process is killed otherwise on Windows"
)


def started(path, threads, epochs):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(threads), str(epochs)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert err == ""
    return out.splitlines()[-1]


def survive(path, kills, epochs, longest):
    """Kill a run so often, each time after a random while, then let it end."""
    place = Checkpoint(path)
    chance, reached, moments = random.Random(kills), 0, set()
    for number in range(kills):
        process = started(path, 1 + number % 2, epochs)
        assert process.stdout.readline() == "begun\n", process.stderr.read()
        until = time.perf_counter() + chance.uniform(0, longest)
        while time.perf_counter() < until:
            if path.exists():  # it is read while it is being replaced
                files.read(place.latest)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run has ended before it was killed"
        if number == 0 and not path.exists():
            continue
        found, _ = files.read_latest(place)
        assert found.about["steps"] >= reached
        reached = found.about["steps"]
        moments.add(reached)
    assert len(moments) > kills // 4
    return ended(started(path, 2, epochs))


def test_killed_five_times(tmp_path):
    expected = ended(started("none", 2, 60))
    assert survive(tmp_path / "run.safetensors", 5, 60, 0.3) == expected
    assert sorted(os.listdir(tmp_path)) == ["run.previous.safetensors", "run.safetensors"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_fifty_times(tmp_path):
    expected = ended(started("none", 2, 500))
    assert survive(tmp_path / "run.safetensors", 50, 500, 0.4) == expected
    assert sorted(os.listdir(tmp_path)) == ["run.previous.safetensors", "run.safetensors"]
