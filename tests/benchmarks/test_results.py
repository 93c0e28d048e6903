"""The statistics of the benchmarks, and that the runner starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.peers import OURS, PEERS
from benchmarks.timing import Work
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]


def test_ratio_is_the_median_of_the_rounds_not_the_ratio_of_medians():
    ours, theirs = [1.0, 2.0, 10.0], [9.0, 8.0, 10.0]  # 9, 4 and 1 times; medians: 4.5 times
    assert results.median_ratio(ours, theirs) == 4.0
    assert results.ratios({OURS: ours, "peer": theirs}) == {"peer": 4.0}


def test_without_ours_there_is_no_ratio():
    assert results.ratios({"peer": [1.0]}) == {}


def test_rounds_of_different_number_are_refused():
    with pytest.raises(ValueError):
        results.median_ratio([1.0, 2.0], [1.0])


def test_table_and_record_show_the_same_figures():
    workload, times = WORKLOADS[0], {OURS: [1e-6, 3e-6, 2e-6], "peer": [8e-6, 6e-6, 4e-6]}
    lines = results.table(workload, times).splitlines()
    assert lines[2].split() == [OURS, "2.00", "1.00", "3.00"]
    assert lines[3].split() == ["peer", "6.00", "4.00", "8.00", "2.00"]
    entry = results.record(workload, times, threads=2, seconds=0.5)
    assert (entry["median"], entry["ratio"]) == ({OURS: 2e-6, "peer": 6e-6}, {"peer": 2.0})
    assert json.loads(json.dumps(entry)) == entry


def test_time_of_a_step_leaves_out_what_a_call_costs(monkeypatch):
    clock = 0.0

    def run(units: int) -> None:
        nonlocal clock
        clock += 100.0 + 0.5 * units  # a call costs 100 seconds, a unit half a second

    monkeypatch.setattr("benchmarks.timing.perf_counter", lambda: clock)
    assert Work(run, steps=5).seconds_per_step(at_least=3.0) == pytest.approx(0.1)


def test_every_workload_has_ours_and_another_to_compare_with():
    for workload in WORKLOADS:
        fitting = [peer.name for peer in PEERS if peer.fits(workload)]
        assert fitting[0] == OURS
        assert len(fitting) > 1


def test_runner_says_what_it_offers():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(word in done.stdout for word in ("--peers", "--threads", "--rounds"))
    assert "xor" in done.stdout and "convnet" in done.stdout
