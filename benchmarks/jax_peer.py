"""JAX on the CPU: a bare step on a batch that lies ready, called one by one or looped in a scan.

Calls are dispatched asynchronously and their buffers donated; only the last result is waited for.
Unrolling the scan was tried and gained nothing beyond the smallest network. Convolutions inside
a scan are far slower than outside (LeNet-5 took 23 ms a step instead of 7, the network with batch
normalization 5 s instead of .13), so that there is none of convolutional networks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .data import Rows, first_batch
from .jax_networks import network
from .timing import Work
from .workloads import Workload

Forward = Callable[..., jax.Array]

SCAN_STEPS = 400  # enough that the cost of a call does not count


def prepare(workload: Workload, data: Rows, variant: str, threads: int) -> Work:
    """Return the work: a unit is a step, a scan of several steps, or one prediction."""
    del threads  # the size of its pool is the number of processors that the worker may use
    x, y = map(jnp.asarray, first_batch(workload, data))
    parameters, forward = network(workload)
    if workload.timed == "predict":
        return prediction(functools.partial(forward, key=None), parameters, x)
    step = functools.partial(train_step, workload, forward)
    moments = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, moments, jax.tree.map(jnp.copy, moments), jnp.float32(0))

    if variant == "scan":

        def many(state: Any, x: jax.Array, y: jax.Array) -> Any:
            return jax.lax.scan(lambda s, _: step(s, x, y), state, None, length=SCAN_STEPS)

        call, steps = jax.jit(many, donate_argnums=0), SCAN_STEPS
    else:
        call, steps = jax.jit(step, donate_argnums=0), 1

    def run(n: int) -> None:
        nonlocal state
        for _ in range(n):
            state, loss = call(state, x, y)
        jax.block_until_ready((state, loss))

    return Work(run, steps=steps)


def prediction(forward: Forward, parameters: Any, x: jax.Array) -> Work:
    """Return predictions of one row, an array already, each waited for."""
    call = jax.jit(forward)

    def predict(n: int) -> None:
        for _ in range(n):
            call(parameters, x).block_until_ready()

    return Work(predict)


def mean_loss(forward: Forward, parameters: Any, x: jax.Array, y: jax.Array, key: Any) -> jax.Array:
    """Return the mean cross-entropy."""
    log_probabilities = jax.nn.log_softmax(forward(parameters, x, key))
    return -jnp.mean(jnp.take_along_axis(log_probabilities, y[:, None], axis=1))


def train_step(workload: Workload, forward: Forward, state: Any, x: jax.Array, y: jax.Array) -> Any:
    """Return the state after one step, and the loss before it."""
    parameters, first, second, count = state
    key = jax.random.fold_in(jax.random.key(0), count.astype(jnp.int32))
    of_parameters = functools.partial(mean_loss, forward)
    loss, gradients = jax.value_and_grad(of_parameters)(parameters, x, y, key)
    lr, each = workload.lr, jax.tree.map
    count = count + 1
    if workload.optimizer == "sgd":
        parameters = each(lambda p, g: p - lr * g, parameters, gradients)
        return (parameters, first, second, count), loss
    if workload.optimizer == "momentum":
        first = each(lambda m, g: 0.9 * m + g, first, gradients)
        parameters = each(lambda p, m: p - lr * m, parameters, first)
        return (parameters, first, second, count), loss
    c1, c2 = 1 - 0.9**count, 1 - 0.999**count
    first = each(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = each(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
    parameters = each(
        lambda p, m, v: p - lr * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), parameters, first, second
    )
    return (parameters, first, second, count), loss
