"""How much memory training takes: the largest resident size before and after some steps.

    python -m benchmarks.memory [WORKLOAD] [--peers PEER ...] [--rounds N]

Each measurement is a process of its own, which asks the system what it took at most:
once everything is loaded and the network is made, and once it has trained. What is compiled on the
way counts; caches of compiled code are empty.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .data import rows
from .peers import PEERS, peer_named
from .worker import ROOT, environment
from .workloads import WORKLOADS, workload_named

STEPS = 8
NAMES = [w.name for w in WORKLOADS if w.timed == "step"]


def megabytes() -> float:
    """Return the largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # in Linux getrusage counts what the process that started this one held
        lines = status.read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def work(peer_name: str, workload_name: str, threads: int) -> tuple[float, float]:
    """Return the largest size before and after training, in this process."""
    peer, workload = peer_named(peer_name), workload_named(workload_name)
    data = tuple(array[: STEPS * workload.batch] for array in rows(workload))
    module = importlib.import_module(f"benchmarks.{peer.module}")
    training = module.prepare(workload, data, peer.variant, threads)
    before = megabytes()
    training.run(max(1, STEPS // training.steps))
    return before, megabytes()


def measured(peer: str, workload: str, threads: int) -> tuple[float, float]:
    """Return the sizes of a new process."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", workload, "--work", peer]
            + ["--threads", str(threads)],
            cwd=ROOT,
            env=environment(threads, Path(cache)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    before, after = json.loads(done.stdout.splitlines()[-1])
    return before, after


def main() -> None:
    """Print a table of one workload."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description="How much memory training takes."
    )
    parser.add_argument("workload", nargs="?", default="convnet", choices=NAMES)
    parser.add_argument("--peers", nargs="*", choices=[p.name for p in PEERS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.workload, options.threads)))
        return
    workload = workload_named(options.workload)
    print(f"{workload}, {STEPS} steps; megabytes, median of {options.rounds}\n")
    print("| | before | after | grown by |\n| --- | --- | --- | --- |")
    for peer in PEERS:
        wanted = options.peers is None or peer.name in options.peers
        if wanted and peer.installed and peer.fits(workload):
            sizes = [
                measured(peer.name, workload.name, options.threads) for _ in range(options.rounds)
            ]
            before, after = (statistics.median(column) for column in zip(*sizes, strict=True))
            grown = statistics.median(b - a for a, b in sizes)
            print(f"| {peer.name} | {before:.0f} | {after:.0f} | {grown:.0f} |", flush=True)


if __name__ == "__main__":
    main()
