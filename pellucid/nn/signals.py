"""Correlation and discrete convolution of one signal with one filter."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, apply, cast, promote, reshape, tensor

from .conv import conv

_MODES = ("valid", "same", "full")


def correlate(x: Any, w: Any, mode: str = "valid") -> Tensor:
    """How well a filter agrees with each stretch of a signal: h(t) = sum over u of x(t + u) w(u).

    What deep learning calls a convolution. For a vector-valued signal the sum runs over
    its channels too: h(t) = sum over u of <x(t + u), w(u)>.

    Args:
        x: signal (length,) or (length, channels).
        w: filter (size,), or (size, channels), or several filters (size, channels, features).
        mode: "valid": the filter lies within the signal, length - size + 1 places. "same": as
            many as the signal is long, zeros around it, size // 2 of them before. "full":
            wherever the two meet, length + size - 1 places.

    Returns:
        Tensor (places,), or (places, features) of several filters.

    Raises:
        ValueError: shapes do not fit, the filter is longer than the signal (unless "full"),
            or the mode is unknown.

    Example:
        >>> import pellucid as pe
        >>> pe.correlate([1.0, 2.0, 4.0, 8.0], [-1.0, 1.0])
        Tensor([1., 2., 4.], dtype=float32)
    """
    x, w = tensor(x), tensor(w)
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}, received {mode!r}")
    vectors = x.ndim == 2 and w.ndim in (2, 3) and x.shape[1] == w.shape[1]
    if not vectors and not x.ndim == w.ndim == 1:
        raise ValueError(
            "expected a signal (length,) and a filter (size,), or a signal (length, channels) and "
            f"filters (size, channels) or (size, channels, features), received {x.shape} and "
            f"{w.shape}"
        )
    length, size = x.shape[0], w.shape[0]
    if min(length, size) < 1 or (mode != "full" and size > length):
        raise ValueError(
            f"a filter of length {size} does not fit into a signal of length {length}"
            + ("; mode='full' lets it stick out" if min(length, size) else "")
        )
    sides = {"valid": (0, 0), "same": (size // 2, (size - 1) // 2), "full": (size - 1, size - 1)}
    dtype = promote(x.dtype, w.dtype)
    dtype = dtype if dtype.kind == "f" else np.dtype(np.float32)
    signal = reshape(cast(x, dtype), (1, length, -1))
    kernel = reshape(cast(w, dtype), (size, signal.shape[-1], -1))
    found = conv(signal, kernel, padding=(sides[mode],))
    return reshape(found, found.shape[1:] if w.ndim == 3 else found.shape[1:2])


def convolve(x: Any, w: Any, mode: str = "full") -> Tensor:
    """The discrete convolution: h(t) = sum over u of x(t - u) w(u), the filter turned about.

    The coefficients of a product of polynomials are such, and the answer of a linear
    system to a signal. It is `correlate` with the filter reversed in time.

    Args:
        x: signal (length,) or (length, channels).
        w: filter (size,), or (size, channels), or several filters (size, channels, features).
        mode: "valid", "same" or "full", as for `correlate`.

    Returns:
        Tensor (places,), or (places, features) of several filters.

    Raises:
        ValueError: as for `correlate`.

    Example:
        >>> import pellucid as pe
        >>> pe.convolve([1.0, 2.0, 3.0], [1.0, 10.0])
        Tensor([ 1., 12., 23., 30.], dtype=float32)
    """
    w = tensor(w)
    return correlate(x, apply("flip", w, axes=(0,)) if w.ndim else w, mode)
