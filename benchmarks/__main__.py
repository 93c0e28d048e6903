"""The runner: asks every peer in turn, prints the tables, adds to the history."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from . import results
from .peers import OURS, PEERS, Peer
from .worker import Worker, WorkerFailed
from .workloads import WORKLOADS, Workload


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Pellucid beside every installed peer, in turn. "
        "A ratio says how many times longer the peer takes.",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        action="extend",
        metavar="WORKLOAD",
        choices=[w.name for w in WORKLOADS],
        help=f"of: {', '.join(w.name for w in WORKLOADS)}",
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        action="extend",
        metavar="PEER",
        choices=[p.name for p in PEERS],
        help=f"compare with these only (none: {OURS} alone), of: "
        + ", ".join(p.name for p in PEERS if p.name != OURS),
    )
    parser.add_argument("--threads", type=int, default=2, help="for each peer (2)")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each peer (7)")
    parser.add_argument("--seconds", type=float, default=0.5, help="at least, per measurement (.5)")
    parser.add_argument("--quick", action="store_true", help="1 round, .1 s each, not recorded")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.1
    if options.threads < 1 or options.rounds < 1 or options.seconds <= 0:
        parser.error("threads, rounds and seconds must be positive")
    return options


def chosen_peers(names: list[str] | None) -> list[Peer]:
    """Return the installed peers among those asked for, ours first; say which are missing."""
    wanted = [p for p in PEERS if names is None or p.name in names or p.package == OURS]
    missing = [p.name for p in wanted if not p.installed]
    if missing:
        print(f"not installed, skipped: {', '.join(missing)}\n")
    return [p for p in wanted if p.installed]


def measure(workload: Workload, peers: list[Peer], options: argparse.Namespace) -> results.Times:
    """Return the times of all rounds; in each round every peer is asked once, in turn."""
    times: results.Times = {peer.name: [] for peer in peers if peer.fits(workload)}
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers: dict[str, Worker] = {}
        for number in range(options.rounds):
            for peer in peers:
                if peer.name not in times:
                    continue
                # What is measured once in a process starts with empty caches, unless it is to be
                # warm: then with those that ours filled just before, in the same round.
                folder = cache / (f"{number}-{peer.package}" if workload.fresh else "")
                if peer.name not in workers:
                    worker = Worker(peer, workload, options.threads, options.seconds, folder)
                    stack.callback(worker.close)
                    workers[peer.name] = worker
                try:
                    times[peer.name].append(workers[peer.name].measure())
                except WorkerFailed as error:
                    print(f"{workload.name}: {peer.name} failed: {error}")
                    del times[peer.name]
                    continue
                if workload.fresh:
                    workers.pop(peer.name).close()
    return times


def main() -> None:
    """Run the workloads that were asked for."""
    options = parse()
    peers = chosen_peers(options.peers)
    for workload in WORKLOADS:
        if options.only and workload.name not in options.only:
            continue
        times = measure(workload, peers, options)
        if not times:
            print(f"{workload}\n  nothing to measure it with\n")
            continue
        print(results.table(workload, times), flush=True)
        print(f"  median of {options.rounds}, {options.threads} threads\n", flush=True)
        if not options.quick:
            entry = results.record(
                workload, times, threads=options.threads, seconds=options.seconds
            )
            results.append(entry)


if __name__ == "__main__":
    main()
