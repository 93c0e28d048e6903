"""Initial values of parameters, with the same bits on every machine.

An initializer is a function `(shape, rng) -> array`; those of the library also have
a name and a text. Random ones draw from Philox streams: a parameter has a stream of
its own, taken in order of construction from the scope of `pe.random.set_seed`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.core.portable import normal_quantile
from pellucid.core.random import current_scope, philox

from .described import Describable

Shape = tuple[int, ...]

_BEFORE_TRAINING = 0xFFFFFFFF
"""The counter's step word while parameters are made: no step of a training run has it."""


class Stream:
    """Random numbers in order, from one stream of a scope.

    Args:
        key: the two words of the seed.
        stream: the stream's number.
    """

    def __init__(self, key: np.ndarray, stream: int) -> None:
        self.key = (int(key[0]), int(key[1]))
        self.stream = stream
        self.calls = 0

    def uniform(self, shape: Shape) -> np.ndarray:
        """Numbers spread evenly strictly between 0 and 1, float64 with 32 random bits."""
        count = math.prod(shape)
        block = np.arange(-(-count // 4), dtype=np.uint64)
        words = philox((block, self.calls, self.stream, _BEFORE_TRAINING), self.key)
        self.calls += 1
        bits = np.stack(words, axis=-1).reshape(-1)[:count].reshape(shape)
        return (bits.astype(np.float64) + 0.5) * 2.0**-32

    def normal(self, shape: Shape) -> np.ndarray:
        """Normal numbers with mean 0 and standard deviation 1, float64."""
        return normal_quantile(self.uniform(shape))


@dataclass(frozen=True)
class Initializer(Describable):
    """A named way to fill a parameter.

    Args:
        name: its name in `INITIALIZERS`.
        draw: `(shape, rng) -> array`, where rng has `uniform(shape)` and `normal(shape)`.
        options: what its maker was given.
    """

    name: str
    draw: Callable[[Shape, Stream], np.ndarray] = field(compare=False)
    options: tuple[tuple[str, float], ...] = ()

    def __call__(self, shape: Shape, rng: Stream) -> np.ndarray:
        """A float32 array of the shape."""
        return self.draw(shape, rng).astype(np.float32)

    def description(self) -> dict[str, Any]:
        """The name and the options, as JSON values."""
        return {"initializer": self.name, "arguments": dict(self.options)}

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.name, self.options)

    def __repr__(self) -> str:
        if self.name not in _MAKERS:
            return self.name
        return f"{self.name}({', '.join(f'{key}={value:g}' for key, value in self.options)})"


InitializerLike = Initializer | str | Callable[[Shape, Stream], np.ndarray]


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs feed one output, and how many outputs one input feeds.

    Args:
        shape: (in, out), or (..., in, out) where a kernel slides over positions.

    Returns:
        fan_in, fan_out; both are the length of a vector, and 1 for a number.
    """
    if len(shape) < 2:
        length = max(1, *shape) if shape else 1
        return length, length
    positions = math.prod(shape[:-2])
    return max(1, shape[-2] * positions), max(1, shape[-1] * positions)


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name} must be a number, received {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, received {value!r}")
    return float(value)


def constant(value: float) -> Initializer:
    """The same value everywhere.

    As weights it keeps all units of a layer equal for ever: they receive the same
    gradients. A small positive bias keeps ReLU units alive at the start.

    Args:
        value: the value.

    Example:
        >>> from pellucid import nn
        >>> nn.Linear(2, 1, bias_init=nn.initializers.constant(0.1)).bias
        Tensor([0.1], dtype=float32)
    """
    value = _finite("value", value)
    return Initializer("constant", lambda shape, rng: np.full(shape, value), (("value", value),))


def uniform(low: float = -1.0, high: float = 1.0) -> Initializer:
    """Spread evenly over [low, high].

    Args:
        low: the least value.
        high: the greatest.
    """
    low, high = _finite("low", low), _finite("high", high)
    if not low <= high:
        raise ValueError(f"uniform needs low <= high, received low={low:g} and high={high:g}")
    return Initializer(
        "uniform",
        lambda shape, rng: low + (high - low) * rng.uniform(shape),
        (("low", low), ("high", high)),
    )


def normal(std: float = 0.01) -> Initializer:
    """Normal with mean 0.

    Args:
        std: standard deviation.
    """
    std = _finite("std", std)
    if std < 0:
        raise ValueError(f"std must not be negative, received {std:g}")
    return Initializer("normal", lambda shape, rng: std * rng.normal(shape), (("std", std),))


def _spread(variance: Callable[[int, int], float], *, even: bool) -> Any:
    """Draws with a variance that depends on the fans: even over an interval, or normal."""

    def draw(shape: Shape, rng: Stream) -> np.ndarray:
        v = variance(*fans(shape))
        return (
            math.sqrt(3 * v) * (2.0 * rng.uniform(shape) - 1.0)
            if even
            else math.sqrt(v) * rng.normal(shape)
        )

    return draw


def _glorot(fan_in: int, fan_out: int) -> float:
    return 2 / (fan_in + fan_out)


def _he(fan_in: int, fan_out: int) -> float:
    return 2 / fan_in


def _lecun(fan_in: int, fan_out: int) -> float:
    return 1 / fan_in


def orthogonal(gain: float = 1.0) -> Initializer:
    """Rows or columns at right angles, of length `gain`: lengths of signals stay as they are.

    A normal matrix, made orthogonal column by column (or row by row, where there are
    more columns than rows); a kernel is taken as a matrix (positions * in, out). Sums run
    in a fixed order, so that the bits are the same everywhere; a matrix of 1000 by 1000
    takes a few seconds.

    Args:
        gain: the length.

    Source: Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks (2014).
    """
    gain = _finite("gain", gain)

    def draw(shape: Shape, rng: Stream) -> np.ndarray:
        columns = shape[-1] if len(shape) > 1 else 1
        matrix = rng.normal(shape).reshape(math.prod(shape) // max(columns, 1), columns)
        wide = matrix.shape[0] < columns
        found = _orthonormal(matrix.T if wide else matrix)
        return gain * (found.T if wide else found).reshape(shape)

    return Initializer("orthogonal", draw, (("gain", gain),))


def _orthonormal(matrix: np.ndarray) -> np.ndarray:
    """The columns made orthonormal, by the modified Gram-Schmidt process.

    A sum over the first axis of an array in C order adds its rows one after the other:
    its bits depend on no library.
    """
    q = np.array(matrix, order="C")
    for j in range(q.shape[1]):
        column = np.ascontiguousarray(q[:, j : j + 1])
        column /= np.sqrt((column * column).cumsum()[-1])
        q[:, j : j + 1] = column
        rest = q[:, j + 1 :]
        rest -= column * np.add.reduce(np.ascontiguousarray(column * rest), axis=0)
    return q


zeros = Initializer("zeros", lambda shape, rng: np.zeros(shape))
"""Zeros: for biases. As weights of a hidden layer they do not learn."""

glorot_uniform = Initializer("glorot_uniform", _spread(_glorot, even=True))
"""Even over +-sqrt(6 / (fan_in + fan_out)): the variance of signals stays forward and backward.

Source: Glorot, Bengio: Understanding the difficulty of training deep feedforward
neural networks (2010)."""

glorot_normal = Initializer("glorot_normal", _spread(_glorot, even=False))
"""Normal with variance 2 / (fan_in + fan_out); source as `glorot_uniform`."""

he_uniform = Initializer("he_uniform", _spread(_he, even=True))
"""Even over +-sqrt(6 / fan_in): keeps the variance of signals through ReLU.

Source: He, Zhang, Ren, Sun: Delving deep into rectifiers (2015)."""

he_normal = Initializer("he_normal", _spread(_he, even=False))
"""Normal with variance 2 / fan_in; source as `he_uniform`."""

lecun_uniform = Initializer("lecun_uniform", _spread(_lecun, even=True))
"""Even over +-sqrt(3 / fan_in): keeps the variance of signals through a linear layer.

Source: LeCun, Bottou, Orr, Mueller: Efficient BackProp (1998)."""

lecun_normal = Initializer("lecun_normal", _spread(_lecun, even=False))
"""Normal with variance 1 / fan_in, as SELU wants it; source as `lecun_uniform`."""

large = Initializer("large", lambda shape, rng: 10.0 * rng.normal(shape))
"""Normal with standard deviation 10: units saturate, deep networks explode. To be shown."""

small_positive = Initializer("small_positive", lambda shape, rng: np.full(shape, 0.1))
"""0.1: biases that keep ReLU units alive at the start."""

_MAKERS: dict[str, Callable[..., Initializer]] = {
    "constant": constant,
    "uniform": uniform,
    "normal": normal,
    "orthogonal": orthogonal,
}
INITIALIZERS: dict[str, Initializer | Callable[..., Initializer]] = _MAKERS | {
    i.name: i
    for i in (
        zeros,
        small_positive,
        large,
        glorot_uniform,
        glorot_normal,
        he_uniform,
        he_normal,
        lecun_uniform,
        lecun_normal,
    )
}
"""Initializers, and makers of those with options, by name."""


def named(name: str, **options: Any) -> Initializer:
    """The initializer of that name.

    Raises:
        ValueError: there is none.
    """
    entry = INITIALIZERS.get(name)
    if entry is None:
        raise ValueError(f"no initializer is named {name!r}; there are {', '.join(INITIALIZERS)}")
    return entry if isinstance(entry, Initializer) else entry(**options)


def _again(name: str, options: tuple[tuple[str, float], ...]) -> Initializer:
    return named(name, **dict(options))


_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextlib.contextmanager
def values_to_come(count: int) -> Iterator[None]:
    """Within it parameters are zeros, as their values are loaded next, and no more than there are.

    Args:
        count: how many values will be loaded; a model that asks for more is refused
            before memory is taken for it.
    """
    token = _left.set([count])
    try:
        yield
    finally:
        _left.reset(token)


def initial(initializer: InitializerLike, shape: Shape) -> np.ndarray:
    """Initial values from the next stream of the current random scope.

    Args:
        initializer: one of the library's, its name, or a function `(shape, rng) -> array`.
        shape: of the parameter.

    Returns:
        float32 array.

    Raises:
        ValueError: the function gave another shape.
    """
    if _come_later(shape):
        return np.zeros(shape, np.float32)
    scope = current_scope()
    rng = Stream(scope.seed.numpy(), scope.streams)
    scope.streams += 1
    draw = named(initializer) if isinstance(initializer, str) else initializer
    values = np.asarray(draw(shape, rng), np.float32)
    if values.shape != shape:
        raise ValueError(f"the initializer {draw!r} gave shape {values.shape}, expected {shape}")
    return values


def filled(value: float, shape: Shape) -> np.ndarray:
    """One value everywhere, without a random stream.

    Args:
        value: the value.
        shape: of the parameter, or of a state.

    Returns:
        float32 array.
    """
    return np.full(shape, 0.0 if _come_later(shape) else value, np.float32)


def _come_later(shape: Shape) -> bool:
    """Whether values are loaded next; those of the shape are taken from their number."""
    left = _left.get()
    if left is None:
        return False
    left[0] -= math.prod(shape)
    if left[0] < 0:
        raise ValueError(f"shape {shape} is larger than the values there are for it")
    return True
