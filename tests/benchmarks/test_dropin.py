"""The drop-in study: the same script for both libraries, and its tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import dropin, dropin_report

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")


@pytest.mark.parametrize("name", dropin.TASKS)
def test_both_libraries_give_the_same_scores(name):
    task = dropin.TASKS[name]
    if name in ("adult", "California housing") and not (DATA / "adult").exists():
        pytest.skip(f"needs the data sets in {DATA}")
    X, y = task.read(DATA)
    if len(X) > 2000:  # a piece of it, for the time
        X, y = X.iloc[:2000], y.iloc[:2000]
    task = task._replace(options={"max_iter": 15})
    found = {way: run(task, X, y, 3) for way, run in dropin.WAYS.items()}
    scores = {way: score for way, (score, _, _) in found.items()}
    assert scores["Pellucid"] == pytest.approx(scores["scikit-learn"], abs=0.02)
    assert scores["Pellucid, float64"] == pytest.approx(scores["scikit-learn"], abs=1e-6)
    assert all(seconds > 0 and epochs == 15 for _, seconds, epochs in found.values())


def study():
    """Two seeds: 4 and 2 times faster; a score 0.1 better at one of them."""
    runs = {
        "scikit-learn": [[0.8, 0.9], [0.4, 0.4], [10, 10]],
        "Pellucid": [[0.9, 0.9], [0.1, 0.2], [10, 12]],
        "Pellucid, float64": [[0.8, 0.9], [0.05, 0.05], [10, 10]],
    }
    first = {"Pellucid": 1.5}
    return {"pets": {"rows": 1234, "runs": runs, "first": first, "processor": "P", "others": 0.25}}


def test_tables_show_means_deviations_and_ratios_seed_by_seed():
    text = dropin_report.tables(study())
    assert "| pets | 1,234 | 0.8500 ± 0.0707 | 0.9000 ± 0.0000 | +0.0500 ± 0.0707 |" in text
    assert "| pets | 11 | 400 ms | 150 ms | **3.0** (2.0 to 4.0) | 50 ms |" in text
    assert "**8.0** (8.0 to 8.0) | 1.50 s |" in text
    assert "P. Others took at most 25% of the machine meanwhile." in text


def test_tables_go_between_their_marks(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{dropin_report.BEGIN}\nold\n{dropin_report.END}\nafter\n")
    for _ in "twice":
        dropin_report.write(path, "new")
    assert path.read_text() == (
        f"before\n{dropin_report.BEGIN}\n\nnew\n\n{dropin_report.END}\nafter\n"
    )
    path.write_text("nothing")
    with pytest.raises(ValueError, match="must have the lines"):
        dropin_report.write(path, "new")


def test_the_page_holds_what_was_measured():
    kept = json.loads((ROOT / "benchmarks" / "dropin.json").read_text())
    assert list(kept) == list(dropin.TASKS)
    assert all(len(v[0]) == dropin.SEEDS for f in kept.values() for v in f["runs"].values())
    assert dropin_report.tables(kept) in (ROOT / "docs" / "estimators.md").read_text()


def test_its_command(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{dropin_report.BEGIN}\n{dropin_report.END}\n")
    (tmp_path / "adult").mkdir()  # is looked for, not at
    subprocess.run(
        [sys.executable, "-m", "benchmarks.dropin", tmp_path, "--only", "wine", "--seeds", "2",
         "--output", page, "--figures", tmp_path / "figures.json"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
    )  # fmt: skip
    assert "| wine | 178 |" in page.read_text()
    scores = json.loads((tmp_path / "figures.json").read_text())["wine"]["runs"]
    assert np.shape(scores["Pellucid"]) == (3, 2)
    wrong = subprocess.run(
        [sys.executable, "-m", "benchmarks.dropin", tmp_path / "nowhere"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert wrong.returncode == 2 and "give the folder that holds adult/" in wrong.stderr
