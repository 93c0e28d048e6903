"""One peer at one workload, in a process of its own.

`Worker` is the runner's end of it. The process (`python -m benchmarks.worker`) answers each line
on its standard input with one measurement; whatever libraries print goes to standard error.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from .data import rows
from .peers import Peer, peer_named
from .timing import first_use
from .workloads import Workload, workload_named

ROOT = Path(__file__).resolve().parent.parent


class WorkerFailed(Exception):
    """The process of a peer ended instead of answering; the message is the end of its errors."""


class Worker:
    """A running process that measures one peer at one workload whenever it is asked."""

    def __init__(
        self, peer: Peer, workload: Workload, threads: int, seconds: float, cache: Path
    ) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer.name, workload.name]
            + [str(threads), str(seconds)],
            cwd=ROOT,
            env=environment(threads, cache),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def measure(self) -> float:
        """Return one more measurement, in seconds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write("measure\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines() or ["no message"]
            raise WorkerFailed(lines[-1])
        return float(answer)

    def close(self) -> None:
        """End the process; nothing happens where it has ended."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            if file is not None:
                file.close()


def environment(threads: int, cache: Path) -> dict[str, str]:
    """Return the environment of a worker: so many threads, caches of compiled code in `cache`."""
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(pools, str(threads)),
        "JAX_PLATFORMS": "cpu",
        "PELLUCID_CACHE": str(cache / "pellucid"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch"),
    }


def measurer(peer: Peer, workload: Workload, threads: int, seconds: float) -> Callable[[], float]:
    """Return the function that takes one measurement, with all preparation done."""
    if workload.timed == "import":
        return lambda: import_seconds(peer.package)
    data = rows(workload)
    module = importlib.import_module(f"benchmarks.{peer.module}")
    if workload.timed == "first":
        return lambda: first_use(lambda: module.prepare(workload, data, peer.variant, threads))
    work = module.prepare(workload, data, peer.variant, threads)
    work.run(1)  # compiles,
    work.run(2)  # and some compile again when they see what the first step has changed
    return lambda: work.seconds_per_step(seconds)


def import_seconds(package: str) -> float:
    """Return how long a new Python takes to import the package."""
    code = f"from time import perf_counter as t; s = t(); import {package}; print(t() - s)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def main(peer_name: str, workload_name: str, threads: str, seconds: str) -> None:
    """Answer every line of standard input with a measurement, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints does not disturb the answers
    if hasattr(os, "sched_setaffinity"):  # the one limit that every library obeys
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    peer, workload = peer_named(peer_name), workload_named(workload_name)
    measure = measurer(peer, workload, int(threads), float(seconds))
    for _ in sys.stdin:
        print(measure(), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
