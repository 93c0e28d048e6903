"""The command line on folders of images, on CIFAR's files and on time series."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from pellucid.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in an empty folder; gives what it wrote, after checking its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*args, code=0):
        done = CliRunner().invoke(main, [str(a) for a in args])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output

    return call


@pytest.fixture
def shapes(tmp_path):
    """Images of two sizes, with a bar or a square in them."""
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name in ("bar", "square"):
        (tmp_path / "shapes" / name).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(0, 60, (20 + i % 2, 24, 3)).astype(np.uint8)
            pixels[(slice(8, 11) if name == "bar" else slice(5, 12)), 5:12] = 220
            Image.fromarray(pixels).save(tmp_path / "shapes" / name / f"{i}.png")
    return tmp_path / "shapes"


@pytest.fixture
def waves(tmp_path):
    """Slow and fast waves that begin anywhere, in a form of the UCR archive."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(80):
        values = np.sin(np.arange(32) * (0.4 + 0.6 * (i % 2)) + rng.uniform(0, 6))
        lines.append("\t".join([str(1 + i % 2), *(f"{v:.5f}" for v in values)]))
    path = tmp_path / "waves.tsv"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("conv", [(), ("--conv", "4,8")])
def test_a_folder_of_images(run, shapes, conv):
    options = ("--size", 12, "--layers", 16, "--epochs", 40, "--json", *conv)
    result = json.loads(run("train", shapes, *options))
    assert result["test"]["accuracy"] >= 0.9
    assert json.loads(run("evaluate", "model.safetensors", shapes, "--json"))["rows"] == 60
    lines = run("predict", "model.safetensors", shapes / "bar").splitlines()
    assert len(lines) == 31
    assert sum(line.startswith("bar,") for line in lines) >= 28


def test_images_of_several_sizes_need_one(run, shapes):
    assert "give a size to bring all images to" in run("train", shapes, code=1)


@pytest.mark.parametrize("conv", [(), ("--conv", "8,8")])
def test_time_series(run, waves, conv):
    result = json.loads(run("train", waves, "--layers", 16, "--epochs", 60, "--json", *conv))
    assert result["test"]["accuracy"] >= 0.9
    assert json.loads(run("evaluate", "model.safetensors", waves, "--json"))["rows"] == 80
    assert len(run("predict", "model.safetensors", waves).splitlines()) == 81


def test_a_file_of_cifar(run, tmp_path):
    rng = np.random.default_rng(0)
    records = []
    for i in range(60):
        image = rng.integers(0, 100, (3, 1024)).astype(np.uint8)
        image[i % 3] += 120
        records.append(bytes([i % 3]) + image.tobytes())
    (tmp_path / "batch.bin").write_bytes(b"".join(records))
    result = json.loads(run("train", "batch.bin", "--layers", 8, "--epochs", 15, "--json"))
    assert result["test"]["accuracy"] >= 0.9


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"X": np.zeros((9, 3, 16, 16))},
            "shape (3, 16, 16): the channels seem to stand first",
        ),
        ({"X": np.zeros((9, 0, 16, 3))}, "has inputs of shape (9, 0, 16, 3), which hold nothing"),
        ({"X": np.zeros((9, 2, 2, 2, 2, 2))}, "--conv needs images or time series"),
        ({"X": np.full((9, 8, 8, 1), np.inf)}, "infinity at row 0, index (0, 0, 0, 0)"),
    ],
)
def test_archives_that_hold_no_images(run, tmp_path, arrays, message):
    X = arrays["X"]
    np.savez(tmp_path / "a.npz", X=X, y=np.arange(len(X)) % 3)
    assert message in run("train", "a.npz", "--conv", "4", code=1)


def test_the_row_of_the_file_is_named(run, tmp_path):
    X = np.zeros((40, 8, 8, 1))
    X[17, 1, 2, 0] = np.nan
    np.savez(tmp_path / "a.npz", X=X, y=np.arange(40) % 2)
    assert "a.npz has NaN at row 17, index (17, 1, 2, 0)" in run("train", "a.npz", code=1)


def test_folders_that_cannot_be_learned_from(run, shapes):
    flat = run("train", shapes / "bar", "--size", 8, code=1)
    assert "bar has no targets to learn from" in flat and "a folder for each class" in flat
    assert "cannot read nothing/: there is no such file" in run("train", "nothing/", code=1)


def test_a_size_that_memory_does_not_hold(run, shapes):
    assert "Unable to allocate" in run("train", shapes, "--size", 10_000_000, code=1)


def test_columns_have_no_places(run):
    assert "--conv needs images or time series" in run("train", "digits", "--conv", "8", code=1)
