"""One hash for a training run, whatever it runs on and however often."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from pellucid import compiler, nn, optim, train
from tests.programs import threads

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not compiler.can_compile(), reason="NumPy's products have other bits on other machines"
)


def trained(**options):
    """The hash of weights and predictions after 300 steps of a network with dropout."""
    pe.random.set_seed(11)
    rng = np.random.default_rng(11)
    X = rng.normal(size=(960, 37)).astype(np.float32)
    y = (np.abs(X).sum(axis=1) * 3).astype(np.int32) % 10
    model = nn.Sequential(
        nn.Linear(37, 70), nn.ReLU(), nn.Dropout(0.3), nn.Linear(70, 33), nn.Tanh(),
        nn.Linear(33, 10),
    )  # fmt: skip
    settings = {"optimizer": optim.adam(3e-3), "epochs": 9, "batch_size": 29, "seed": 11}
    run = train.fit(model, X, y, **(settings | options))
    assert run.steps >= 300
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(value.tobytes())
    found.update(model.predict(X[:257]).tobytes())
    found.update(np.array(run.history["loss"]).tobytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def expected():
    return trained()


@pytest.mark.parametrize("repeat", range(3))
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_any_number_of_threads(expected, count, repeat):
    compiler.set_threads(count)
    assert trained() == expected


@pytest.mark.parametrize("batch", [64, 200])
@pytest.mark.parametrize("widths", [(1, 64, 1), (2, 200, 2), (13, 16, 1), (40, 8, 8, 3), (300, 1)])
def test_layers_of_any_shape(widths, batch):
    """Narrow and wide, so that products of every number of tiles are shared or not."""
    rng = np.random.default_rng(3)
    X, y = (rng.normal(size=(200, n)).astype(np.float32) for n in (widths[0], widths[-1]))
    found = set()
    for count in (1, 2, 3):
        pe.random.set_seed(5)
        layers = [f for a, b in pairwise(widths) for f in (nn.Linear(a, b), nn.Tanh())]
        model = nn.Sequential(*layers)
        with threads(count):
            train.fit(model, X, y, loss="mse", optimizer="adam", epochs=30, batch_size=batch)
        found.add(b"".join(value.tobytes() for value in model.state_dict().values()))
    assert len(found) == 1


def test_watched_or_not(expected):
    assert trained(callbacks=[lambda run: None], verbose=False) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"metrics": ["top_5_accuracy", "zero_one_error"]},
        {"callbacks": [train.StopAt(loss=0.0), train.EarlyStopping("loss", 99)]},
        {"callbacks": [train.ReduceOnPlateau("accuracy", patience=99)]},
    ],
    ids=["metrics", "stopping", "plateau"],
)
def test_measured_stopped_or_slowed_down_or_not(expected, options):
    assert trained(**options) == expected


@pytest.mark.parametrize("widths", [(37, 16, 2), (37, 8, 1), (5, 3, 2)])
@pytest.mark.parametrize("batch_size", [64, 240])
def test_small_nets_on_large_batches(widths, batch_size):
    """Their products are single tiles, with work enough for several threads."""
    X = np.random.default_rng(0).normal(size=(480, widths[0])).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.float32)
    found = set()
    for count in (1, 2, 3):
        pe.random.set_seed(0)
        first, hidden, last = widths
        model = nn.Sequential(nn.Linear(first, hidden), nn.Tanh(), nn.Linear(hidden, last))
        with threads(count):
            train.fit(model, X, y if last == 1 else y.astype(int), epochs=10,
                      loss="hinge" if last == 1 else "cross_entropy",
                      optimizer=optim.sgd(0.1), batch_size=batch_size)  # fmt: skip
        found.add(b"".join(value.tobytes() for value in model.state_dict().values()))
    assert len(found) == 1


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="haswell is an x86-64 processor"
)
def test_another_processor(expected):
    code = "from tests.train.test_same_bits import trained; print(trained())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PELLUCID_CPU": "haswell", "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == expected
