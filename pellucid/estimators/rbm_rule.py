"""Contrastive divergence as a program: a batch is a step. Knows nothing of scikit-learn."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from pellucid.compiler import compile, program
from pellucid.core.functions import softplus
from pellucid.core.node import leaf, placeholder, tracing
from pellucid.core.program import Computation, Program
from pellucid.core.random import RandomScope, random_scope, uniform
from pellucid.core.storage import Cell
from pellucid.core.tensor import (
    Tensor,
    apply,
    cast,
    matmul,
    reshape,
    sigmoid,
    sum,
    transpose,
)


class RBMRule:
    """A machine, and the rule by which it learns from a batch.

    With <.> the mean over the batch, and [.] that over samples (v', h') of the machine:

        W <- W + rate (<v h^T> - [v' h'^T]),   b, c likewise with v and h

    h is P(h = 1 | v) instead of a sample. v' and h' come of k Gibbs steps, which begin at
    the last step's samples of h or at samples of h for the batch.

    Args:
        visible: units.
        hidden: units.
        chains: how many samples go on from step to step; 0 if they begin at each batch.
        k: Gibbs steps.
        dtype: float32 or float64.
    """

    def __init__(self, visible: int, hidden: int, chains: int, k: int, dtype: np.dtype) -> None:
        self.dtype = np.dtype(dtype)
        self.k = k
        self.cells = {
            "weights": Cell(np.zeros((visible, hidden), dtype), name="weights"),
            "b": Cell(np.zeros(visible, dtype), name="b"),
            "c": Cell(np.zeros(hidden, dtype), name="c"),
            "chains": Cell(np.zeros((chains, hidden), dtype), name="chains"),
            "seed": Cell(np.zeros(2, np.uint32), name="seed"),
            "count": Cell(np.zeros((), np.uint32), name="count"),
        }
        self._programs: dict[Hashable, Program] = {}

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return self.cells["weights"].value.size

    def load(self, **values: Any) -> None:
        """Take over values, by name of the cells."""
        for name, value in values.items():
            self.cells[name].assign(np.asarray(value))

    def value(self, name: str) -> np.ndarray:
        """A copy of what a cell holds."""
        return np.array(self.cells[name].value)

    def learn(self, data: Sequence[np.ndarray], index: np.ndarray, rate: float) -> None:
        """Take steps.

        Args:
            data: X, and weights of its rows, 0 for rows that fill up a batch.
            index: numbers of the rows of each step (steps, batch).
            rate: of learning.
        """
        key = (index.shape[1], *((a.shape, a.dtype) for a in data))
        if key not in self._programs:
            self._programs[key] = program(self._step(data, index.shape[1]))
        inputs = [*data, index, np.asarray(rate, self.dtype)]
        self._programs[key].run(inputs, [], len(index))

    def _step(self, data: Sequence[np.ndarray], batch: int) -> Computation:
        fields = [Tensor(placeholder(a.shape, a.dtype)) for a in data]
        index = Tensor(placeholder((batch,), np.dtype(np.int32), "index"))
        rate = Tensor(placeholder((), self.dtype, "rate"))
        t = {name: Tensor(leaf(cell)) for name, cell in self.cells.items()}
        w, b, c = t["weights"], t["b"], t["c"]
        with tracing(), random_scope(RandomScope(t["seed"], t["count"])):
            v, share = (cast(apply("gather", f, index), self.dtype) for f in fields)
            share = reshape(share / sum(share), (batch, 1))
            h = sigmoid(matmul(v, w) + c)
            persistent = t["chains"].shape[0] > 0
            state = t["chains"] if persistent else sampled(h)
            for _ in range(self.k):
                seen = sampled(sigmoid(matmul(state, transpose(w)) + b))
                expected = sigmoid(matmul(seen, w) + c)
                state = sampled(expected)
            other = 1.0 / float(state.shape[0]) if persistent else share
            new = {
                "weights": w
                + rate
                * (matmul(transpose(v * share), h) - matmul(transpose(seen * other), expected)),
                "b": b + rate * (sum(v * share, 0) - sum(seen * other, 0)),
                "c": c + rate * (sum(h * share, 0) - sum(expected * other, 0)),
                "count": t["count"] + 1,
            }
            if persistent:
                new["chains"] = state
        return Computation(
            (*(f.node for f in fields), index.node, rate.node),
            (),
            tuple((self.cells[name], value.node) for name, value in new.items()),
            frozenset([index.node]),
        )


def sampled(p: Tensor) -> Tensor:
    """1 with probability p, else 0."""
    return cast(cast(uniform(p.shape), p.dtype) < p, p.dtype)


_BLOCK = 16


@compile
def _pseudo_likelihoods(v: Tensor, w: Tensor, b: Tensor, c: Tensor) -> Tensor:
    rows, (visible, hidden) = v.shape[0], w.shape
    sums = matmul(v, w) + c  # (rows, hidden)
    flips = 1.0 - 2.0 * v  # what is added to a unit that changes sides
    changed = reshape(sums, (rows, 1, hidden)) + reshape(flips, (rows, visible, 1)) * w
    less = reshape(sum(softplus(sums), 1), (rows, 1)) - sum(softplus(changed), 2) - b * flips
    return -sum(softplus(-less), 1)  # less: how much lower the free energy is than beside it


def pseudo_likelihoods(
    v: np.ndarray, weights: np.ndarray, b: np.ndarray, c: np.ndarray
) -> np.ndarray:
    """The sum over visible units i of ln P(v_i | all other v), for each row.

    Args:
        v: 0 and 1 (rows, visible).
        weights: (visible, hidden).
        b: (visible,).
        c: (hidden,).

    Returns:
        (rows,)
    """
    found = np.empty(len(v), weights.dtype)
    for first in range(0, len(v), _BLOCK):
        part = v[first : first + _BLOCK]
        block = np.zeros((_BLOCK, v.shape[1]), weights.dtype)
        block[: len(part)] = part
        found[first : first + _BLOCK] = _pseudo_likelihoods(block, weights, b, c).numpy()[
            : len(part)
        ]
    return found
