"""From the times of the rounds to medians and ratios, to the table, and to the history."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from .peers import OURS
from .workloads import Workload

HISTORY = Path(__file__).with_name("history.jsonl")
PACKAGES = ("pellucid", "numpy", "llvmlite", "scikit-learn", "torch", "jax", "onnxruntime")

Times = dict[str, list[float]]  # seconds of each round, by peer


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how many times longer theirs takes: the median of the ratios within each round."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def ratios(times: Times) -> dict[str, float]:
    """Return each peer's ratio to ours; none where ours was not measured."""
    if OURS not in times:
        return {}
    ours = times[OURS]
    return {name: median_ratio(ours, t) for name, t in times.items() if name != OURS}


def table(workload: Workload, times: Times) -> str:
    """Return the table of one workload as text."""
    unit, scale = workload.unit
    ratio = ratios(times)
    lines = [str(workload), f"  {f'[{unit}]':16}{'median':>11}{'min':>11}{'max':>11}{'ratio':>9}"]
    for name, seconds in times.items():
        median, low, high = (f(seconds) * scale for f in (statistics.median, min, max))
        end = f"{ratio[name]:9.2f}" if name in ratio else ""
        lines.append(f"  {name:16}{median:11.2f}{low:11.2f}{high:11.2f}{end}")
    return "\n".join(lines)


def record(
    workload: Workload, times: Times, *, threads: int, seconds: float, others: float = 0.0
) -> dict[str, Any]:
    """Return what the history keeps of one workload; all times in seconds.

    `others` is the mean share of the processors that other processes took meanwhile.
    """
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.isoformat(timespec="seconds"),
        "commit": commit(),
        "processor": processor(),
        "threads": threads,
        "versions": dict(versions(PACKAGES)),
        "workload": workload.name,
        "rounds": max(map(len, times.values())),
        "seconds": seconds,
        "others": rounded(others),
        "median": {name: rounded(statistics.median(t)) for name, t in times.items()},
        "min": {name: rounded(min(t)) for name, t in times.items()},
        "max": {name: rounded(max(t)) for name, t in times.items()},
        "ratio": {name: rounded(value) for name, value in ratios(times).items()},
    }


def append(entry: dict[str, Any]) -> None:
    """Add one line to the history."""
    with HISTORY.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def rounded(value: float) -> float:
    """Return four significant digits: more would be noise."""
    return float(f"{value:.4g}")


def versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Give the version of Python and of every package that is installed."""
    yield "python", platform.python_version()
    for package in packages:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def processor() -> str:
    """Return the processor's name, with the number of processors this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = [line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line]
        name = next((v.strip() for k, v in fields if k.strip() == "model name"), name)
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    return f"{name}, {len(usable)} processors"


def commit() -> str:
    """Return the commit of the checkout, marked where files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=HISTORY.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
