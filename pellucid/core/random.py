"""Random bits from counters: Philox 4x32-10, the same on every machine.

A random number is a function of seed, step, stream and position, so that it does
not matter who draws it or when. A stream is one place in a model that draws;
the step counts how often that place has been passed.

Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (2011).
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .node import Node, Shape, define
from .storage import LANES
from .tensor import Tensor, apply, cast, cos, log, sqrt, tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
BLOCK = 4 * LANES
"""Neighbours along the last axis that one vector evaluation serves: four words of 16 lanes."""


def philox(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[np.ndarray, ...]:
    """Four words of 32 random bits for each counter, as uint32 arrays."""
    c = [np.asarray(word, np.uint64) for word in counter]
    k = [int(word) for word in key]
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(ROUNDS):
        a = np.uint64(MULTIPLIERS[0]) * c[0]
        b = np.uint64(MULTIPLIERS[1]) * c[2]
        c = [
            (b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]),
            b & mask,
            (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            a & mask,
        ]
        k = [(k[0] + WEYL[0]) & 0xFFFFFFFF, (k[1] + WEYL[1]) & 0xFFFFFFFF]
    return tuple(word.astype(np.uint32) for word in np.broadcast_arrays(*c))


def _bits_rule(seed: Node, step: Node, stream: int, shape: Shape, bits: int) -> Any:
    if seed.shape != (2,) or step.shape != ():
        raise ValueError(f"random bits need a seed of two words and one step: {seed}, {step}")
    return shape, np.dtype(np.uint32)


def _bits(seed: np.ndarray, step: np.ndarray, stream: int, shape: Shape, bits: int) -> np.ndarray:
    """Row r, column c: word (c // 16) % 4 of counter (c // 64 * 16 + c % 16, r, stream, step)."""
    columns = shape[-1] if shape else 1
    rows = int(np.prod(shape[:-1], dtype=np.int64)) if shape else 1
    blocks = -(-columns // BLOCK)
    lane = np.arange(blocks * LANES, dtype=np.uint64)[None, :]
    row = np.arange(rows, dtype=np.uint64)[:, None]
    words = philox((lane, row, stream, int(step) & 0xFFFFFFFF), (int(seed[0]), int(seed[1])))
    stacked = np.stack([w.reshape(rows, blocks, LANES) for w in words], axis=2)
    drawn = stacked.reshape(rows, blocks * BLOCK)[:, :columns]
    return (drawn >> np.uint32(32 - bits)).reshape(shape)


define("random_bits", "random", _bits_rule, _bits, (None, None))


class RandomScope:
    """Where random numbers come from while it is entered: a seed, a step, streams in order.

    Args:
        seed: two words of 32 bits, a tensor of shape (2,).
        step: how often the scope was passed before, a tensor of shape ().
    """

    def __init__(self, seed: Tensor, step: Tensor) -> None:
        self.seed = seed
        self.step = step
        self.streams = 0

    def draw(self, shape: Shape, bits: int) -> Tensor:
        """Fresh whole numbers below 2 ** bits."""
        stream = self.streams
        self.streams += 1
        return apply("random_bits", self.seed, self.step, stream=stream, shape=shape, bits=bits)


def seed_words(seed: int) -> np.ndarray:
    """A whole number as the two words of a key.

    Raises:
        ValueError: it is negative or needs more than 64 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ValueError(f"a seed must be a whole number from 0 to 2**64 - 1, received {seed!r}")
    return np.array([int(seed) & 0xFFFFFFFF, int(seed) >> 32], np.uint32)


def scope_of(seed: int) -> RandomScope:
    """A scope that starts from a seed."""
    return RandomScope(tensor(seed_words(seed)), tensor(np.uint32(0)))


_scope: contextvars.ContextVar[RandomScope] = contextvars.ContextVar("random_scope")


@contextlib.contextmanager
def random_scope(scope: RandomScope) -> Iterator[RandomScope]:
    """Within it random numbers come from this scope."""
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


def set_seed(seed: int) -> None:
    """Start the random numbers of eager mode anew from a seed (0 at first)."""
    _scope.set(scope_of(seed))


def current_scope() -> RandomScope:
    """Where random numbers come from here: the scope entered last, else that of `set_seed`."""
    scope = _scope.get(None)
    if scope is None:
        scope = scope_of(0)
        _scope.set(scope)
    return scope


def uniform(shape: int | Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
    """Random numbers spread evenly over [low, high), float32 with 24 random bits.

    Args:
        shape: shape of the result.
        low: the least value.
        high: the bound above.

    Returns:
        Tensor of that shape.

    Example:
        >>> import pellucid as pe
        >>> pe.random.set_seed(0)
        >>> bool((pe.random.uniform((1000,)) < 1.0).sum().item() == 1000)
        True
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    unit = cast(current_scope().draw(shape, 24), np.float32) * 2.0**-24
    return unit if (low, high) == (0.0, 1.0) else unit * (high - low) + low


def normal(shape: int | Sequence[int]) -> Tensor:
    """Normal random numbers with mean 0 and standard deviation 1, float32.

    Two even ones make each, by the rule of Box and Muller.

    Args:
        shape: shape of the result.

    Returns:
        Tensor of that shape, with values between -5.8 and 5.8.

    Example:
        >>> import pellucid as pe
        >>> pe.random.set_seed(0)
        >>> bool(abs(pe.random.normal((1000,)).numpy().mean()) < 0.1)
        True
    """
    radius = sqrt(-2.0 * log(1.0 - uniform(shape)))  # 1 - u lies in (0, 1]
    return radius * cos((2.0 * math.pi) * uniform(shape))
