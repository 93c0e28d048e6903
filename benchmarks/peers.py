"""Whom it is compared with: one row per peer, naming the file that measures it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from .workloads import IMAGES, Workload


@dataclass(frozen=True)
class Peer:
    """One way of training a network with one library.

    `packages` must be installed, the first of them is the library itself; `module`, a file of
    this folder, measures it in the way called `variant`; `timed` lists the kinds of workload
    that it makes sense for, `networks` the networks (none: all).
    """

    name: str
    packages: tuple[str, ...]
    module: str
    variant: str
    timed: tuple[str, ...]
    networks: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """The library."""
        return self.packages[0]

    @property
    def installed(self) -> bool:
        """Whether the packages that it needs are there; nothing is imported to find out."""
        roots = [package.partition(".")[0] for package in self.packages]
        return all(importlib.util.find_spec(root) is not None for root in roots)

    def fits(self, workload: Workload) -> bool:
        """Whether the workload makes sense for this peer."""
        known = not self.networks or workload.network in self.networks
        return workload.timed in self.timed and known


OURS = "pellucid"
TORCH, JAX, ONNX = ("torch",), ("jax",), ("onnxruntime", "onnx", "torch")
SKLEARN, MLP = ("sklearn.neural_network",), ("mlp",)

PEERS = (
    Peer(OURS, (OURS,), "own", "", ("step", "predict", "first", "import")),
    Peer("pellucid-warm", (OURS,), "own", "warm", ("first",)),
    Peer("torch", TORCH, "torch_peer", "eager", ("step", "predict", "first", "import")),
    Peer("torch-fused", TORCH, "torch_peer", "fused", ("step",)),
    Peer("torch-last", TORCH, "torch_peer", "last", ("step", "predict"), IMAGES),
    Peer("torch-compile", TORCH, "torch_peer", "compile", ("step", "predict", "first")),
    Peer("torch-compile-last", TORCH, "torch_peer", "compile-last", ("step",), IMAGES),
    Peer("jax-jit", JAX, "jax_peer", "jit", ("step", "predict", "first", "import")),
    Peer("jax-scan", JAX, "jax_peer", "scan", ("step", "first"), MLP),
    Peer("onnxruntime", ONNX, "onnx_peer", "", ("predict",)),
    Peer("sklearn", SKLEARN, "sklearn_peer", "fit", ("step", "predict", "import"), MLP),
    Peer("numpy", ("numpy",), "", "", ("import",)),
)


def peer_named(name: str) -> Peer:
    """Return the row of that name."""
    return next(peer for peer in PEERS if peer.name == name)
