"""Channels first and channels last: from other libraries' layout to this one's, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor, transpose


def channels_last(x: Any) -> Any:
    """The axis of channels moved from the second place to the last.

    Signals (batch, channels, length) become (batch, length, channels), images
    (batch, channels, height, width) become (batch, height, width, channels).

    Args:
        x: array or tensor of at least two axes, as PyTorch holds it.

    Returns:
        Array or tensor, as given; of an array a view.

    Raises:
        ValueError: there are fewer than two axes.

    Example:
        >>> import numpy as np
        >>> import pellucid as pe
        >>> pe.channels_last(np.zeros((5, 3, 32, 32))).shape
        (5, 32, 32, 3)
    """
    return _moved(x, 1, -1)


def channels_first(x: Any) -> Any:
    """The axis of channels moved from the last place to the second: undoes `channels_last`.

    Args:
        x: array or tensor of at least two axes (batch, ..., channels).

    Returns:
        Array or tensor, as given; of an array a view.

    Raises:
        ValueError: there are fewer than two axes.

    Example:
        >>> import numpy as np
        >>> import pellucid as pe
        >>> pe.channels_first(np.zeros((5, 32, 32, 3))).shape
        (5, 3, 32, 32)
    """
    return _moved(x, -1, 1)


def _moved(x: Any, start: int, end: int) -> Any:
    if np.ndim(x) < 2:
        raise ValueError(f"expected an axis of rows and one of channels, received {np.shape(x)}")
    if not isinstance(x, Tensor):
        return np.moveaxis(np.asarray(x), start, end)
    axes = list(range(x.ndim))
    axes.insert(end % x.ndim, axes.pop(start))
    return transpose(x, axes)
