"""The networks known by name on the data they were made for; long, with `-m slow`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from benchmarks.images import RECORDS, TASKS
from benchmarks.images_report import choice, read
from pellucid import models
from pellucid.train.images import load_mnist
from pellucid.train.series import read_series

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(autouse=True)
def seed():
    pe.random.set_seed(0)


def there(*parts: str) -> Path:
    """A folder or file of the data, or the test is skipped."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {'/'.join(parts)} in {DATA}")
    return path


@pytest.mark.parametrize(
    ("name", "epochs", "accuracy", "seeds"),
    [
        ("mnist", 10, 0.99, 1),
        ("fashion", 6, 0.91, 1),
        ("cifar-convnet", 12, 0.65, 1),
        ("gunpoint", 150, 0.98, 3),  # 150 rows to test on: a seed may miss by one
        ("synthetic-control", 40, 0.98, 1),
    ],
)
def test_what_the_study_reaches(name, epochs, accuracy, seeds):
    """As docs/images.md says, some of it in fewer epochs: the mean over the seeds."""
    task = TASKS[name]
    for folder in ("mnist", "fashion-mnist", "cifar10", "ucr"):
        there(folder)
    data = task.read(DATA)
    rate = choice(read(RECORDS), name)["rate"]
    found = []
    for seed in range(seeds):
        run = task.fit((data.X, data.y), (data.X_test, data.y_test), rate, seed, epochs)
        found.append(run.history.last("val_accuracy"))
    assert np.mean(found) >= accuracy, found


def test_italian_days_are_told_apart():
    train = read_series(there("ucr", "ItalyPowerDemand_TRAIN.ts"))
    test = read_series(there("ucr", "ItalyPowerDemand_TEST.ts"), train.classes)
    model = models.series_resnet(len(train.classes), widths=(16, 32, 32))
    pe.fit(model, train.X, train.y, epochs=60, batch_size=16)
    assert pe.evaluate(model, test.X, test.y)["accuracy"] > 0.93


def test_thirty_two_numbers_describe_a_garment():
    data = load_mnist(there("fashion-mnist"))
    X, X_test = data.X[:10_000], data.X_test
    model = models.autoencoder(code=32)
    pe.fit(model, X, X, loss="mean_squared_error", epochs=3, batch_size=64)
    error = ((model.predict(X_test) - X_test) ** 2).mean()
    assert error < 0.2 * X_test.var()


def test_noise_is_taken_off():
    clean = load_mnist(there("fashion-mnist")).X[:4000]
    noisy = clean + np.random.default_rng(0).normal(0, 0.2, clean.shape).astype(np.float32)
    model = models.denoiser()
    pe.fit(model, noisy[:3500], clean[:3500], loss="mean_squared_error", epochs=2, batch_size=32)
    error = ((model.predict(noisy[3500:]) - clean[3500:]) ** 2).mean()
    assert error < 0.35 * 0.2**2
