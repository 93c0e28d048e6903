"""That each library is measured on the same network: as many parameters, the same step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import data, own
from benchmarks.workloads import EXAMPLES, WORKLOADS, Workload

NETWORKS = ("mlp", *EXAMPLES)


def small(network: str, **more) -> Workload:
    sizes = (12, 8, 10) if network == "mlp" else ()
    return Workload("small", "step", sizes, network, rows=8, batch=4, **more)


@pytest.mark.parametrize("name", [w.name for w in WORKLOADS if w.timed != "import"])
def test_rows_fit_the_network(name):
    workload = next(w for w in WORKLOADS if w.name == name)
    X, y = data.rows(workload)
    assert X.shape == (workload.rows, *workload.example) and X.dtype == np.float32
    assert y.shape == (workload.rows,) and y.max() < workload.classes


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_as_many_parameters_in_pytorch(network):
    pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks import torch_networks

    found = torch_networks.network(small(network))
    assert sum(p.numel() for p in found.parameters()) == own.network(small(network)).num_parameters


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_as_many_parameters_in_jax(network):
    jax = pytest.importorskip("jax", reason="needs JAX")
    from benchmarks import jax_networks

    parameters, forward = jax_networks.network(small(network))
    found = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameters))
    assert found == own.network(small(network)).num_parameters
    batch = np.zeros((2, *small(network).example), np.float32)
    assert forward(parameters, batch, jax.random.key(0)).shape == (2, 10)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_jax_takes_the_steps_of_pytorch(optimizer):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    jax = pytest.importorskip("jax", reason="needs JAX")
    from benchmarks import jax_networks, jax_peer, torch_networks, torch_peer

    workload = small("mlp", optimizer=optimizer, lr=0.05)
    x, y = data.first_batch(workload, data.rows(workload))
    model = torch_networks.network(workload)
    rule = torch_peer.optimizer_of(workload, model, fused=True)
    _, forward = jax_networks.network(workload)
    linear = [m for m in model if isinstance(m, torch.nn.Linear)]
    parameters = [
        tuple(jax.numpy.asarray(p.detach().numpy().T.copy()) for p in (m.weight, m.bias))
        for m in linear
    ]
    parameters = [parameters[0], (), parameters[1]]
    zeros = jax.tree.map(jax.numpy.zeros_like, parameters)
    state = (parameters, zeros, zeros, jax.numpy.float32(0))
    for _ in range(4):
        state, loss = jax_peer.train_step(workload, forward, state, x, y)
        rule.zero_grad()
        right = torch.nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        right.backward()
        rule.step()
        assert float(loss) == pytest.approx(right.item(), rel=1e-5)
