"""The study of images and signals: its records, and that test rows choose nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import images, images_report
from pellucid import nn
from pellucid.train.datasets import Split

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")

TASK = replace(
    images.TASKS["gunpoint"],
    title="bars",
    network=lambda: nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.ReLU(), nn.GlobalMaxPool(), nn.Linear(4, 2)
    ),
    rates=(1e-4, 1e-2),
    epochs=6,
    short=3,
    trials=2,
)


@pytest.fixture
def signals() -> Split:
    """Signals with a narrow or a broad bump."""
    rng = np.random.default_rng(0)
    y = np.arange(80, dtype=np.int32) % 2
    X = rng.normal(0, 0.1, (80, 20, 1)).astype(np.float32)
    for row, broad in zip(X, y, strict=True):
        start = rng.integers(0, 14)
        row[start : start + 2 + 4 * broad] += 1
    return Split(X[:60], y[:60], X[60:], y[60:])


def test_test_rows_change_nothing_but_their_own_figures(signals):
    turned = signals._replace(y_test=1 - signals.y_test)
    found, other = (images.train("bars", TASK, data, 1e-2, 0) for data in (signals, turned))
    assert found["curves"]["loss"] == other["curves"]["loss"]
    right, wrong = (np.array(r["curves"]["val_accuracy"]) for r in (found, other))
    np.testing.assert_allclose(right, 1 - wrong, atol=1e-5)
    assert len(right) == 6 and found["rows"] == [60, 20] and found["parameters"] == 16 + 10


def test_the_rate_is_that_of_the_least_loss_on_rows_held_out(signals):
    unseen = signals._replace(X_test=None, y_test=None)
    found = images.choose("bars", TASK, unseen)
    assert found["rate"] == 1e-2
    losses = images.losses(TASK, unseen)
    assert found["losses"] == {f"{r:g}": float(f"{v:.4g}") for r, v in losses.items()}
    assert losses[1e-2] < losses[1e-4]


def test_a_network_starts_from_its_seed(signals):
    one, again, other = (images.train("bars", TASK, signals, 1e-2, s) for s in (3, 3, 4))
    assert one["curves"] == again["curves"] != other["curves"]


def test_inputs_are_scaled_by_the_training_rows_alone(signals):
    moved = signals._replace(X_test=signals.X_test + 100)
    assert (
        images.train("bars", TASK, moved, 1e-2, 0)["curves"]["loss"]
        == images.train("bars", TASK, signals, 1e-2, 0)["curves"]["loss"]
    )


def test_records_and_tables(signals, monkeypatch, tmp_path):
    monkeypatch.setattr(images, "RECORDS", tmp_path / "images.jsonl")
    assert images_report.read(images.RECORDS) == []
    with pytest.raises(SystemExit, match="no rate has been chosen: .* choose bars"):
        images_report.choice([], "bars")
    images.append(images.choose("bars", TASK, signals))
    for seed in (1, 0, 1):
        images.append(images.train("bars", TASK, signals, 1e-2, seed))
    records = images_report.read(images.RECORDS)
    assert [r["seed"] for r in images_report.runs(records, "bars")] == [0, 1]
    assert images_report.runs(records, "bars")[1] == records[-1]
    text = images_report.tables(records, {"bars": TASK, "none": TASK})
    right = [100 * r["curves"]["val_accuracy"][-1] for r in images_report.runs(records, "bars")]
    assert (
        f"| bars (26 parameters) | 6 | **{right[0]:.2f}, {right[1]:.2f} %** of 20 | 98 % |" in text
    )
    assert "| bars | as they are | 16 | **0.01** of 0.0001 (" in text
    wrong = images_report.wrong(images_report.runs(records, "bars"), "val_accuracy")
    assert wrong.shape == (2, 6)
    np.testing.assert_allclose(wrong[:, -1], [100 - r for r in right])
    if find_spec("matplotlib"):
        images_report.draw(tmp_path / "a.png", records, dict.fromkeys(["bars", *"abcde"], TASK))
        assert (tmp_path / "a.png").stat().st_size > 5000


def test_the_document_holds_what_the_records_say():
    text = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    records = images_report.read(ROOT / "benchmarks" / "images.jsonl")
    assert images_report.tables(records, images.TASKS) in text
    for name, task in images.TASKS.items():
        made = images_report.runs(records, name)
        assert made and {r["rate"] for r in made} == {images_report.choice(records, name)["rate"]}
        if task.goal is not None:  # the mean over the seeds: the document says which missed it
            assert np.mean([r["curves"]["val_accuracy"][-1] for r in made]) >= task.goal


def test_the_data_are_as_published():
    shapes = {
        "mnist": ((60_000, 28, 28, 1), 10_000),
        "fashion": ((60_000, 28, 28, 1), 10_000),
        "cifar-convnet": ((10_000, 32, 32, 3), 1_000),
        "cifar-resnet20": ((10_000, 32, 32, 3), 1_000),
        "gunpoint": ((50, 150, 1), 150),
        "synthetic-control": ((300, 60, 1), 300),
    }
    if not (DATA / "ucr").is_dir():
        pytest.skip(f"no data in {DATA}")
    for name, task in images.TASKS.items():
        data = task.read(DATA)
        assert (data.X.shape, len(data.X_test)) == shapes[name]
        summary = task.network().summary(data.X.shape[1:])
        assert summary.output_shape == (data.y.max() + 1,) == (data.y_test.max() + 1,)


def test_the_command_says_what_it_does(tmp_path):
    def call(*options, code=0):
        command = [sys.executable, "-m", "benchmarks.images", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code
        return done.stdout + done.stderr

    assert "accuracies, times, curves" in " ".join(call("--help").split())
    assert "choose from" in call("train", "letters", code=2)
    assert "cannot read" in call("--data", str(tmp_path), "train", "gunpoint", code=1)
