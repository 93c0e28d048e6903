"""The runner: asks every peer in turn, prints the tables, adds to the history."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from . import results
from .crowding import Crowding
from .peers import OURS, PEERS, Peer
from .worker import Worker, WorkerFailed
from .workloads import WORKLOADS, Workload

TRIES = 5
"""How often a measurement that others disturb is taken at most."""


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Pellucid beside every installed peer, in turn. "
        "A ratio says how many times longer the peer takes.",
    )
    parser.add_argument(
        "workloads",
        nargs="*",
        metavar="WORKLOAD",
        help=f"of: {', '.join(w.name for w in WORKLOADS)}; without any, all that are quick: "
        f"{', '.join(w.name for w in WORKLOADS if not w.heavy)}",
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
    parser.add_argument(
        "--calm",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="take a measurement again where others took more of the processors (.1)",
    )
    parser.add_argument("--quick", action="store_true", help="1 round, .1 s each, not recorded")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.calm = 1, 0.1, 1.0
    unknown = set(options.workloads) - {w.name for w in WORKLOADS}
    if unknown:
        parser.error(f"no workload is called {', '.join(sorted(unknown))}; --help lists them")
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


class Asking:
    """Asks peers for measurements of one workload, each in a process of its own.

    Args:
        workload: what is measured.
        options: of the command line.
    """

    def __init__(self, workload: Workload, options: argparse.Namespace) -> None:
        self.workload, self.options = workload, options
        self._workers: dict[str, Worker] = {}
        self._cache = tempfile.TemporaryDirectory()

    def __enter__(self) -> Asking:
        return self

    def __exit__(self, *ended: object) -> None:
        for worker in self._workers.values():
            worker.close()
        self._cache.cleanup()

    def calmly(self, peer: Peer, number: int) -> tuple[float, float]:
        """Return one more measurement, of round `number`, and the share that others took.

        Where others took more than `calm` of the processors it is taken again, a few times; the
        calmest counts.
        """
        found = []
        for attempt in range(TRIES):
            crowding = Crowding()
            seconds = self._once(peer, number, attempt)
            found.append((crowding.share(), seconds))
            if found[-1][0] <= self.options.calm:
                break
        share, seconds = min(found)
        return seconds, share

    def _once(self, peer: Peer, number: int, attempt: int) -> float:
        """What is measured once in a process starts with empty caches.

        Unless it is to be warm: then with those that ours filled just before, in the same round.
        """
        fresh, folder = self.workload.fresh, Path(self._cache.name)
        if fresh:
            attempt = 0 if peer.variant == "warm" else attempt
            folder /= f"{number}-{peer.package}-{attempt}"
        worker = self._workers.get(peer.name)
        if worker is None:
            o = self.options
            worker = Worker(peer, self.workload, o.threads, o.seconds, folder)
            self._workers[peer.name] = worker
        try:
            return worker.measure()
        finally:
            if fresh:
                self._workers.pop(peer.name).close()


def measure(
    workload: Workload, peers: list[Peer], options: argparse.Namespace
) -> tuple[results.Times, float]:
    """Return the times of all rounds, and the mean share of the processors that others took.

    In each round every peer is asked once, in turn, so that a machine that slows down slows all.
    """
    times: results.Times = {peer.name: [] for peer in peers if peer.fits(workload)}
    shares = []
    with Asking(workload, options) as asking:
        for number in range(options.rounds):
            for peer in peers:
                if peer.name not in times:
                    continue
                try:
                    seconds, share = asking.calmly(peer, number)
                except WorkerFailed as error:
                    print(f"{workload.name}: {peer.name} failed: {error}")
                    del times[peer.name]
                    continue
                times[peer.name].append(seconds)
                shares.append(share)
    return times, statistics.fmean(shares or [0.0])


def main() -> None:
    """Run the workloads that were asked for."""
    options = parse()
    peers = chosen_peers(options.peers)
    for workload in WORKLOADS:
        named = workload.name in options.workloads
        if not named and (options.workloads or workload.heavy):
            continue
        times, others = measure(workload, peers, options)
        if not times:
            print(f"{workload}\n  nothing to measure it with\n")
            continue
        print(results.table(workload, times), flush=True)
        print(
            f"  median of {options.rounds}, {options.threads} threads; others took "
            f"{others:.0%} of the processors\n",
            flush=True,
        )
        if not options.quick:
            entry = results.record(
                workload, times, threads=options.threads, seconds=options.seconds, others=others
            )
            results.append(entry)


if __name__ == "__main__":
    main()
