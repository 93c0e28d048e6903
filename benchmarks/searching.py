"""A search over configurations of the digits net, with one worker and with two, in turn.

    python -m benchmarks.searching [--trials 50] [--rounds 3]

Each search has a process and an empty cache of its own: nine tenths of a trial are compilation.
Told are the time by the clock, the processor time of all processes, the ratio of times by the
clock, and whether all trials are equal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from .crowding import Crowding
from .results import processor

JOBS = 1, 2


def work(trials: int, jobs: int) -> dict[str, Any]:
    """In a process of its own: search, and tell what that took and found."""
    from pellucid.train import search  # what is imported is not counted
    from pellucid.train.datasets import load_digits
    from pellucid.train.storage import optuna

    digits = load_digits()
    optuna()
    start = time.perf_counter()
    found = search(digits.X, digits.y, trials=trials, n_jobs=jobs)
    seconds = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "seconds": seconds,
        "processor": sum(u.ru_utime + u.ru_stime for u in used),
        "hash": hashlib.sha256(repr(found.trials).encode()).hexdigest()[:12],
    }


def measured(trials: int, jobs: int) -> dict[str, Any]:
    """Return what a search took, and which share of the machine others had meanwhile."""
    crowding = Crowding()
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.searching", "--work", str(trials), str(jobs)],
            env={**os.environ, "PELLUCID_CACHE": cache}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    return {**json.loads(done.stdout), "others": crowding.share()}


def main() -> None:
    """Measure in rounds, and print a line for each search."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.searching", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--trials", type=int, default=50, help="(50)")
    parser.add_argument("--rounds", type=int, default=3, help="(3)")
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(*options.work)))
        return
    print(f"{processor()}; {options.trials} trials")
    hashes = set()
    for _ in range(options.rounds):
        found = {jobs: measured(options.trials, jobs) for jobs in JOBS}
        for jobs, row in found.items():
            hashes.add(row["hash"])
            print(
                f"{jobs} workers: {row['seconds']:.1f} s, {row['processor']:.1f} s of processors, "
                f"others had {row['others']:.0%} of the machine, trials {row['hash']}"
            )
        ratio = found[2]["seconds"] / found[1]["seconds"]
        print(f"two take {ratio:.2f} of the time of one", flush=True)
    if len(hashes) > 1:
        sys.exit("the trials are not equal")


if __name__ == "__main__":
    main()
