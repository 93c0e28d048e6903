"""The search with one worker and with two: its command, and that trials are equal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("optuna")
ROOT = Path(__file__).resolve().parents[2]


def test_its_command():
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.searching", "--trials", "3", "--rounds", "1"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    seconds = [float(s) for s in re.findall(r"workers: ([\d.]+) s, ", said)]
    ratio = float(re.findall(r"two take ([\d.]+) of the time of one", said)[0])
    assert len(seconds) == 2 and ratio == pytest.approx(seconds[1] / seconds[0], abs=0.1)
    assert len(set(re.findall(r"trials ([0-9a-f]{12})", said))) == 1
