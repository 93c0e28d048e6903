"""Where windows stand over signals, images and volumes: sizes, strides, padding, shapes.

Layouts have the channels last: (batch, *space, channels), with one axis of space for
signals, two for images, three for volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.core.tensor import Tensor
from pellucid.core.windows import reach

from .linear import positive_integer

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
PerAxis = int | Sequence[int]
PaddingLike = str | int | Sequence[int] | Sequence[Sequence[int]]

LENGTHS = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
KINDS = {1: "signals", 2: "images", 3: "volumes"}


def per_axis(name: str, value: Any, axes: int) -> Shape:
    """One whole number of at least 1 for each axis of space; a single one counts for all.

    Raises:
        ValueError: there is another number of them, or one is not such a number.
    """
    if not isinstance(value, tuple | list):
        return (positive_integer(name, value),) * axes
    if len(value) != axes:
        raise ValueError(
            f"{name} must be one whole number, or {axes} of them for {KINDS[axes]}, "
            f"received {value!r}"
        )
    return tuple(positive_integer(name, v) for v in value)


def explicit_padding(value: Any, axes: int) -> Pairs:
    """How many elements are put before and after each axis of space.

    Args:
        value: one whole number for all sides; for each axis one for both its sides, or
            a pair (before, after); with one axis a pair alone will do.
        axes: how many axes of space there are.

    Raises:
        ValueError: it is none of these, or a number is negative.
    """
    given = value if isinstance(value, tuple | list) else (value,) * axes
    if axes == 1 and len(given) == 2:
        given = (given,)
    pairs = [tuple(v) if isinstance(v, tuple | list) else (v, v) for v in given]
    flat = [n for pair in pairs for n in pair]
    whole = all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 0 for n in flat
    )
    if len(pairs) != axes or any(len(pair) != 2 for pair in pairs) or not whole:
        each = "" if axes == 1 else f", or {axes} of these for {KINDS[axes]}"
        raise ValueError(
            "padding must be a whole number of at least 0, or a pair of them (before, after)"
            f"{each}; received {value!r}"
        )
    return tuple((int(a), int(b)) for a, b in pairs)


@dataclass(frozen=True)
class Window:
    """A window that slides over the axes of space.

    Attributes:
        size: its elements along each axis.
        stride: from one place to the next.
        dilation: from one of its elements to the next.
        padding: "valid" (none), "same" (as many places as the length divided by the
            stride, rounded up), "causal" (all before, so that no place sees what comes
            after it), or (before, after) for each axis.
        ceil: whether a last window may stick out beyond the padding.
    """

    size: Shape
    stride: Shape
    dilation: Shape
    padding: str | Pairs
    ceil: bool = False

    @classmethod
    def of(
        cls,
        axes: int,
        size: Any,
        stride: Any,
        padding: Any,
        dilation: Any = 1,
        ceil: bool = False,
    ) -> Window:
        """The window that a layer's arguments describe.

        Raises:
            ValueError: an argument is not one of those that are known.
        """
        sizes = per_axis("kernel_size", size, axes)
        if isinstance(padding, str):
            known = ("valid", "same", "causal") if axes == 1 else ("valid", "same")
            if padding not in known:
                raise ValueError(
                    f"padding must be {', '.join(map(repr, known))}, a whole number or pairs "
                    f"(before, after), received {padding!r}"
                    + ("; only signals have a direction" if padding == "causal" else "")
                )
        else:
            padding = explicit_padding(padding, axes)
        if not isinstance(ceil, bool | np.bool_):
            raise TypeError(f"ceil must be True or False, received {ceil!r}")
        return cls(
            sizes,
            per_axis("stride", stride, axes),
            per_axis("dilation", dilation, axes),
            padding,
            bool(ceil),
        )

    @property
    def axes(self) -> int:
        """How many axes of space it slides over."""
        return len(self.size)

    @property
    def reach(self) -> Shape:
        """From its first to its last element, along each axis."""
        return reach(self.size, self.dilation)

    def around(self, space: Shape) -> Pairs:
        """The padding in numbers: what stands before and after each axis of space.

        "same" puts in all max(0, (ceil(length / stride) - 1) stride + reach + 1 - length),
        half of it before and half after, an odd one after.

        Args:
            space: lengths of the axes.

        Raises:
            ValueError: the window does not fit.
        """
        if self.padding == "same":
            missing = [
                max(0, (-(-n // s) - 1) * s + r + 1 - n)
                for n, s, r in zip(space, self.stride, self.reach, strict=True)
            ]
            return tuple((m // 2, m - m // 2) for m in missing)
        if self.padding == "causal":
            return tuple((r, 0) for r in self.reach)
        given = ((0, 0),) * self.axes if isinstance(self.padding, str) else self.padding
        self._check_fits(space, given)
        return given

    def sides(self, space: Shape) -> Pairs:
        """What is put before and after each axis of space: the padding, and with `ceil` more.

        Args:
            space: lengths of the axes.

        Raises:
            ValueError: the window does not fit.
        """
        padding = self.around(space)
        if not self.ceil:
            return padding
        return tuple(
            (low, high + self._sticks_out(n, low, high, s, r))
            for n, (low, high), s, r in zip(space, padding, self.stride, self.reach, strict=True)
        )

    def _sticks_out(self, n: int, low: int, high: int, stride: int, span: int) -> int:
        """By how much the last window sticks out that begins before the padding at the end."""
        places = -(-(n + low + high - span - 1) // stride) + 1
        if (places - 1) * stride >= n + low:
            places -= 1
        return max(0, (places - 1) * stride + span + 1 - (n + low + high))

    def _check_fits(self, space: Shape, sides: Pairs) -> None:
        whole = tuple(n + a + b for n, (a, b) in zip(space, sides, strict=True))
        spans = tuple(r + 1 for r in self.reach)
        if any(n < r for n, r in zip(whole, spans, strict=True)):
            padded = "" if whole == space else f", {by(whole)} with the padding"
            raise ValueError(
                f"a window over {by(spans)} elements does not fit into {KINDS[self.axes]} of "
                f"{by(space)}{padded}; use a smaller window, or pad{perhaps_first(space)}"
            )


def by(lengths: Shape) -> str:
    """Lengths as one says them: "3 x 3"."""
    return " x ".join(map(str, lengths))


def layout(axes: int, channels: int | None = None) -> str:
    """The shape of signals, images or volumes, in words."""
    last = "channels" if channels is None else str(channels)
    return f"(batch, {', '.join(LENGTHS[axes])}, {last})"


def perhaps_first(space: Shape) -> str:
    """What to add to a message about images so low that their rows may well be channels."""
    if len(space) == 2 and space[0] in (1, 3) and space[1] > space[0]:
        return "; if the channels stand first, pe.channels_last(X) puts them last"
    return ""


def check_layout(x: Tensor, axes: int, channels: int | None = None) -> None:
    """Refuse what are not signals, images or volumes with their channels last.

    Args:
        x: the input.
        axes: how many axes of space are expected.
        channels: how many channels; None for any number.

    Raises:
        ValueError: says what was expected, what was received, and what may be the cause.
    """
    fits = x.ndim == axes + 2
    if fits and channels in (None, x.shape[-1]):
        _check_space(x)
        return
    hint = ""
    if fits and x.shape[1] == channels:
        hint = "; the channels seem to stand first: pe.channels_last(X) puts them last"
    elif x.ndim == axes + 1 and channels == x.shape[-1]:
        hint = "; one example alone needs an axis of length 1 in front: X[None]"
    elif x.ndim == axes + 1 and channels == x.shape[0] != 1:
        hint = "; one example alone, its channels first, is X for pe.channels_last(X[None])"
    elif x.ndim == axes + 1 and channels in (None, 1):
        hint = "; the axis of channels is missing: X[..., None] adds one of length 1"
    elif x.ndim == axes + 3:
        hint = "; there is one axis too many"
    elif x.ndim == 2:
        shape = layout(axes, channels).removeprefix("(batch, ")
        hint = f"; rows become {KINDS[axes]} by nn.Reshape(({shape}) in front"
    raise ValueError(
        f"expected {KINDS[axes]} of shape {layout(axes, channels)}, received {x.shape}{hint}"
    )


def axes_of_space(x: Tensor) -> int:
    """How many axes of space an input has.

    Raises:
        ValueError: it has none, or more than three.
    """
    if x.ndim - 2 not in KINDS:
        raise ValueError(
            "expected signals (batch, length, channels), images (batch, height, width, channels) "
            f"or volumes (batch, depth, height, width, channels), received shape {x.shape}"
        )
    _check_space(x)
    return x.ndim - 2


def _check_space(x: Tensor) -> None:
    if 0 in x.shape[1:-1]:
        raise ValueError(
            f"{KINDS[x.ndim - 2]} of {by(x.shape[1:-1])} hold nothing: received shape {x.shape}"
        )
