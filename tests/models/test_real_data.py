"""The networks known by name on the data they were made for; long, with `-m slow`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import pellucid as pe
from pellucid import models, nn, optim
from pellucid.train.datasets import read_idx
from pellucid.train.images import as_images, channel_scaling, load_cifar10
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


def digits(kind: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one of the sets in MNIST's format."""
    folder = there(kind)
    X = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    return as_images(X), read_idx(folder / f"{part}-labels-idx1-ubyte.gz")


def test_lenet_reads_digits():
    model = models.lenet5()
    X, y = digits("mnist", "train")
    pe.fit(model, X, y, epochs=2, batch_size=64, optimizer=optim.adam(2e-3))
    assert pe.evaluate(model, *digits("mnist", "t10k"))["accuracy"] > 0.98


def test_a_network_with_batch_norm_learns_from_a_tenth_of_cifar10():
    data = load_cifar10(there("cifar10"))
    scaling = channel_scaling(data.X)
    X, X_test = scaling.apply(data.X[:5000]), scaling.apply(data.X_test)
    model = nn.Sequential(nn.RandomShift(2), nn.RandomFlip(), models.convnet())
    pe.fit(model, X, data.y[:5000], epochs=4, batch_size=64)
    assert pe.evaluate(model, X_test, data.y_test)["accuracy"] > 0.42


@pytest.mark.parametrize(
    ("name", "ending", "epochs", "accuracy"),
    [
        ("GunPoint", "txt", 100, 0.95),
        ("SyntheticControl", "txt", 40, 0.97),
        ("ItalyPowerDemand", "ts", 60, 0.93),
    ],
)
def test_time_series_are_told_apart(name, ending, epochs, accuracy):
    train = read_series(there("ucr", f"{name}_TRAIN.{ending}"))
    test = read_series(there("ucr", f"{name}_TEST.{ending}"), train.classes)
    model = models.series_resnet(len(train.classes), widths=(16, 32, 32))
    pe.fit(model, train.X, train.y, epochs=epochs, batch_size=16)
    assert pe.evaluate(model, test.X, test.y)["accuracy"] > accuracy


def test_thirty_two_numbers_describe_a_garment():
    X, X_test = digits("fashion-mnist", "train")[0][:10_000], digits("fashion-mnist", "t10k")[0]
    model = models.autoencoder(code=32)
    pe.fit(model, X, X, loss="mean_squared_error", epochs=3, batch_size=64)
    error = ((model.predict(X_test) - X_test) ** 2).mean()
    assert error < 0.2 * X_test.var()


def test_noise_is_taken_off():
    clean = digits("fashion-mnist", "train")[0][:4000]
    noisy = clean + np.random.default_rng(0).normal(0, 0.2, clean.shape).astype(np.float32)
    model = models.denoiser()
    pe.fit(model, noisy[:3500], clean[:3500], loss="mean_squared_error", epochs=2, batch_size=32)
    error = ((model.predict(noisy[3500:]) - clean[3500:]) ** 2).mean()
    assert error < 0.35 * 0.2**2
