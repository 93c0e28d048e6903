"""The overfitting study: its data, its statistics, and that test rows choose nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from benchmarks import overfitting, overfitting_report

ROOT = Path(__file__).resolve().parents[2]
METHODS = [replace(m, strengths=m.strengths[::3]) for m in overfitting.METHODS]  # quicker
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(overfitting, "EPOCHS", 4)
    monkeypatch.setattr(overfitting, "BATCH", 20)  # divides the rows: fewer programs to compile


@pytest.fixture
def patients():
    """Rows like those of the real data, with gaps, in which disease can be seen."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 80)
    X = rng.normal(size=(80, 13)) + y[:, None]
    X[:, overfitting.CATEGORIES] = rng.integers(0, 3, (80, len(overfitting.CATEGORIES)))
    X[rng.random(X.shape) < 0.02] = np.nan
    return X, y


def test_the_real_data_are_as_published():
    if not (DATA / "heart-disease").exists():
        pytest.skip(f"needs the heart-disease data in {DATA}")
    X, y = overfitting.read(DATA)
    assert X.shape == (303, 13)
    assert np.isnan(X).sum(axis=0).tolist() == [0] * 11 + [4, 2]
    assert np.bincount(y).tolist() == [164, 139]
    categories = [len(np.unique(X[~np.isnan(X[:, j]), j])) for j in overfitting.CATEGORIES]
    assert max(categories) <= 4
    assert sorted((*overfitting.NUMBERS, *overfitting.CATEGORIES)) == list(range(13))


def test_missing_data_are_said_to_be_missing(tmp_path):
    with pytest.raises(SystemExit, match="give the folder that holds heart-disease/"):
        overfitting.read(tmp_path)


def test_rows_are_prepared_by_the_training_rows_alone(patients):
    X, y = patients
    train, test = np.arange(60), np.arange(60, 80)
    before = overfitting.fold(X, y, train, test, seed=0)
    X[test] = 1e6
    after = overfitting.fold(X, y, train, test, seed=0)
    np.testing.assert_array_equal(before.train[0], after.train[0])
    numbers = before.train[0][:, : len(overfitting.NUMBERS)]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-6)
    assert np.isfinite(before.test[0]).all()
    assert not np.array_equal(before.test[0], after.test[0])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_test_rows_change_nothing_but_their_own_figures(patients, short, method):
    X, y = patients
    outer = overfitting.fold(X, y, np.arange(60), np.arange(60, 80), seed=1)
    inner = [overfitting.fold(X, y, np.arange(40), np.arange(40, 60), seed=1)]
    turned = outer._replace(test=(outer.test[0], 1 - outer.test[1]))
    found, other = (overfitting.on_fold(method, each, inner) for each in (outer, turned))
    assert found.train == other.train
    assert found.strength == other.strength
    assert (found.strength in method.strengths) == bool(method.strengths)
    assert found.test[0] == pytest.approx(1 - other.test[0])
    assert found.test[2] == pytest.approx(1 - other.test[2])


def test_the_strength_is_that_of_the_least_loss(patients, short):
    X, y = patients
    inner = [overfitting.fold(X, y, np.arange(40), np.arange(40, 80), seed=1)]
    l1 = next(m for m in METHODS if m.name == "L1")
    losses = {}
    for strength in l1.strengths:
        net, _ = l1.fit(inner[0].train, strength, seed=1)
        p = overfitting.probabilities(net, inner[0].test[0])
        losses[strength] = overfitting.figures(inner[0].test[1], p)[1]
    assert len(set(losses.values())) == len(losses)
    assert overfitting.chosen(l1, inner) == min(losses, key=losses.get)


def test_figures_are_those_of_the_textbook():
    p = np.array([0.9, 0.4, 0.6, 0.2])
    accuracy, loss, auc = overfitting.figures(np.array([1, 1, 0, 0]), p)
    assert accuracy == 0.5
    assert loss == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.8]).mean())
    assert auc == 0.75


def test_spread_tells_repetitions_from_folds():
    mean, of_means, of_folds = overfitting_report.spread(np.array([0.0, 2.0, 1.0, 3.0]), folds=2)
    assert mean == 1.5
    assert of_means == pytest.approx(np.std([1.0, 2.0], ddof=1))
    assert of_folds == pytest.approx(np.std([0, 2, 1, 3], ddof=1))


def test_the_interval_is_wider_than_that_of_independent_folds():
    apart = np.random.default_rng(0).normal(0.1, 0.2, 50)
    mean, low, high = overfitting_report.interval(apart, folds=5)
    naive = ttest_1samp(apart, 0).confidence_interval(0.95)
    assert mean == pytest.approx(apart.mean())
    widening = np.sqrt((1 / 50 + 1 / 4) * 50)
    assert high - mean == pytest.approx((naive.high - mean) * widening)
    assert mean - low == pytest.approx(high - mean)


def test_a_small_study_from_end_to_end(patients, short, monkeypatch, tmp_path):
    monkeypatch.setattr(overfitting, "FOLDS", 2)
    monkeypatch.setattr(overfitting, "INNER_FOLDS", 2)
    study = overfitting.study(*patients, 2, METHODS)
    assert all(len(found) == 4 for found in study.values())
    assert [name for name, found in study.items() if found[0].curves is None] == [
        "early stopping",
        overfitting.BASE_LINE,
    ]
    text = overfitting_report.tables(study, {m.name: m.text for m in METHODS}, 2)
    accuracy = np.mean([found.test[0] for found in study["plain"]])
    assert f"| plain | {accuracy:.3f} ± " in text
    assert text.count("| dropout |") == 5
    curve = overfitting_report.curves(study)["plain"][1]
    assert curve.shape == (4,)
    assert curve[-1] == pytest.approx(np.mean([f.test[1] for f in study["plain"]]), rel=1e-4)
    if find_spec("matplotlib"):
        overfitting_report.draw(tmp_path / "figure.png", study)
        assert (tmp_path / "figure.png").stat().st_size > 5000


def test_tables_go_between_the_marks(tmp_path):
    document = tmp_path / "document.md"
    begin, end = overfitting_report.BEGIN, overfitting_report.END
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    overfitting_report.write(document, "new ± 1")
    assert document.read_text(encoding="utf-8") == f"before\n{begin}\n\nnew ± 1\n\n{end}\nafter\n"
    document.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="to put the tables between"):
        overfitting_report.write(document, "new")


def test_the_document_has_the_marks_and_every_method():
    text = (ROOT / "docs" / "overfitting.md").read_text(encoding="utf-8")
    _, _, rest = text.partition(overfitting_report.BEGIN)
    tables, end, _ = rest.partition(overfitting_report.END)
    assert end
    for name in (*(m.name for m in overfitting.METHODS), overfitting.BASE_LINE):
        assert f"| {name} |" in tables


def test_the_command_says_what_it_does():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overfitting", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Overfitting shown and cured on real data" in done.stdout
