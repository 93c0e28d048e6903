"""Whom it is compared with: one row per peer, naming the file that measures it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from .workloads import Workload


@dataclass(frozen=True)
class Peer:
    """One way of training a network with one library.

    `package` must be installed; `module`, a file of this folder, measures it in the way called
    `variant`; `timed` lists the kinds of workload that it makes sense for.
    """

    name: str
    package: str
    module: str
    variant: str
    timed: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is there; nothing is imported to find out."""
        return importlib.util.find_spec(self.package.partition(".")[0]) is not None

    def fits(self, workload: Workload) -> bool:
        """Whether the workload makes sense for this peer."""
        return workload.timed in self.timed


OURS = "pellucid"

PEERS = (
    Peer(OURS, "pellucid", "own", "", ("step", "predict", "first", "import")),
    Peer("pellucid-warm", "pellucid", "own", "warm", ("first",)),
    Peer("torch", "torch", "torch_peer", "eager", ("step", "predict", "first", "import")),
    Peer("torch-fused", "torch", "torch_peer", "fused", ("step",)),
    Peer("torch-compile", "torch", "torch_peer", "compile", ("step", "predict", "first")),
    Peer("jax-jit", "jax", "jax_peer", "jit", ("step", "predict", "first", "import")),
    Peer("jax-scan", "jax", "jax_peer", "scan", ("step", "first")),
    Peer("sklearn", "sklearn.neural_network", "sklearn_peer", "fit", ("step", "predict", "import")),
    Peer("numpy", "numpy", "", "", ("import",)),
)


def peer_named(name: str) -> Peer:
    """Return the row of that name."""
    return next(peer for peer in PEERS if peer.name == name)
