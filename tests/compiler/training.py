"""A whole training step by hand, in the engine's terms: a network with dropout under Adam."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import pellucid as pe
from pellucid.autodiff import gradients
from pellucid.compiler.program import CompiledProgram
from pellucid.core.node import leaf, placeholder, tracing
from pellucid.core.program import Computation
from pellucid.core.random import RandomScope, seed_words
from pellucid.core.storage import Cell
from pellucid.core.tensor import Tensor, apply, cast, parameter, tensor

SIZES = (37, 61, 33, 10)
BATCH, ROWS = 29, 257


@dataclass
class Training:
    """A step as a computation, and the cells that it changes."""

    computation: Computation
    weights: list[Tensor]
    cells: list[Cell]


def network(x: Tensor, weights: list[Tensor], keep: float | None = None) -> Tensor:
    """Rows of logits; with `keep` each hidden unit is kept with that probability."""
    for i in range(0, len(weights), 2):
        x = x @ weights[i] + weights[i + 1]
        if i == len(weights) - 2:
            return x
        x = pe.relu(x) if i else pe.tanh(x)
        if keep is not None:
            kept = pe.random.uniform(x.shape) < keep
            x = pe.where(kept, x / keep, 0.0)
    return x


def first_weights() -> list[Tensor]:
    rng = np.random.default_rng(0)
    weights = []
    for a, b in zip(SIZES, SIZES[1:], strict=False):
        weights.append(parameter(rng.uniform(-1, 1, (a, b)).astype("f") * math.sqrt(6 / (a + b))))
        weights.append(parameter(np.zeros(b, np.float32), role="bias"))
    return weights


def training() -> Training:
    """Rows drawn by number, forward with dropout, cross-entropy, backward, Adam."""
    weights = first_weights()
    X = Tensor(placeholder((ROWS, SIZES[0]), np.dtype(np.float32), "X"))
    y = Tensor(placeholder((ROWS,), np.dtype(np.int32), "y"))
    rows = Tensor(placeholder((BATCH,), np.dtype(np.int32), "rows"))
    step = Cell(np.uint32(0), name="step")
    first = [Cell(np.zeros(w.shape, np.float32), name="m") for w in weights]
    second = [Cell(np.zeros(w.shape, np.float32), name="v") for w in weights]
    with tracing():
        now = Tensor(leaf(step))
        with pe.random.random_scope(RandomScope(tensor(seed_words(5)), now)):
            logits = network(apply("gather", X, rows), weights, keep=0.7)
        wanted = pe.one_hot(apply("gather", y, rows), SIZES[-1])
        loss = pe.mean(pe.logsumexp(logits) - pe.sum(wanted * logits, 1))
        found = gradients([loss], [tensor(1.0)], weights)
        turn = cast(now + 1, np.float32)
        rate = 3e-3 / -pe.expm1(turn * math.log(0.9))
        scale = 1 / pe.sqrt(-pe.expm1(turn * math.log(0.999)))
        updates: list[Any] = [(step, (now + 1).node)]
        for w, g, m, v in zip(weights, found, first, second, strict=True):
            m1 = Tensor(leaf(m)) * 0.9 + g * 0.1
            v1 = Tensor(leaf(v)) * 0.999 + g * g * 0.001
            cell = w.node.cell
            updates.append((cell, (w - rate * (m1 / (pe.sqrt(v1) * scale + 1e-8))).node))
            updates += [(m, m1.node), (v, v1.node)]
    inputs = (X.node, y.node, rows.node)
    c = Computation(inputs, (loss.node,), tuple(updates), frozenset([rows.node, loss.node]))
    return Training(c, weights, [cell for cell, _ in updates])


def data(steps: int) -> list[np.ndarray]:
    """Inputs of a training of so many steps."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((ROWS, SIZES[0])).astype(np.float32)
    y = (np.abs(X).sum(1) * 3).astype(np.int32) % SIZES[-1]
    return [X, y, rng.integers(0, ROWS, (steps, BATCH)).astype(np.int32)]


def trained(t: Training, steps: int, program: Any = CompiledProgram) -> list[np.ndarray]:
    """The losses of so many steps, and what all cells hold afterwards."""
    losses = np.zeros(steps, np.float32)
    outputs = [losses]
    for node in t.computation.outputs[1:]:
        shape = ((steps,) if node in t.computation.stepped else ()) + node.shape
        outputs.append(np.zeros(shape, node.dtype))
    program(t.computation).run(data(steps), outputs, steps)
    return [losses, *(np.array(cell.value) for cell in t.cells)]
