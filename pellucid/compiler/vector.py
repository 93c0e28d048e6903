"""The machine-code form of every elementwise primitive: 16 lanes in, 16 lanes out.

`EMIT[name](writer, dtype, *operands, **attrs)` writes the instructions and
returns the name of the result. `dtype` is that of the inputs, for `where` that
of the two values. Booleans are vectors of i1. The transcendental functions are
in `vectormath`, `vectortrig` and `vectorpower`; how values reach memory is the
lowering's business.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import vectormath, vectorpower, vectortrig
from .ir import Writer, element, vector
from .lanes import BOOL, Lanes, where

EMIT: dict[str, Callable[..., str]] = {}
"""For each elementwise primitive what writes it."""

Formula = Callable[..., Lanes]


def _row(name: str, formula: Formula, kinds: str) -> None:
    """Add a row for operands of one dtype, of these NumPy kinds."""

    def emit(w: Writer, dtype: np.dtype, *operands: str) -> str:
        dtype = np.dtype(dtype)
        if dtype.kind not in kinds:
            raise TypeError(f"{name} has no form for {dtype.name}")
        return formula(*(Lanes(w, dtype, operand) for operand in operands)).name

    EMIT[name] = emit


def _by_kind(**formulas: Formula) -> Formula:
    """The formula for the first operand's kind: `b`, `i`, `u` or `f`, else `other`."""

    def formula(x: Lanes, *others: Lanes) -> Lanes:
        return formulas.get(x.dtype.kind, formulas.get("other"))(x, *others)

    return formula


def _itself(x: Lanes) -> Lanes:
    return x


def _maximum(x: Lanes, y: Lanes) -> Lanes:
    return where(x.is_nan(), x, where(x > y, x, y))  # a NaN in y is what x > y leaves


def _minimum(x: Lanes, y: Lanes) -> Lanes:
    return where(x.is_nan(), x, where(x < y, x, y))


def _relu(x: Lanes) -> Lanes:
    return where(x <= 0, 0, x)  # NaN stays NaN


def _absolute_integer(x: Lanes) -> Lanes:
    return where(x < 0, -x, x)


_row("add", _by_kind(b=Lanes.__or__, other=Lanes.__add__), "biuf")
_row("subtract", Lanes.__sub__, "iuf")
_row("multiply", _by_kind(b=Lanes.__and__, other=Lanes.__mul__), "biuf")
_row("divide", Lanes.__truediv__, "f")
_row("power", vectorpower.power, "f")
_row(
    "maximum",
    _by_kind(
        b=Lanes.__or__,
        i=lambda x, y: x.intrinsic("smax", y),
        u=lambda x, y: x.intrinsic("umax", y),
        f=_maximum,
    ),
    "biuf",
)
_row(
    "minimum",
    _by_kind(
        b=Lanes.__and__,
        i=lambda x, y: x.intrinsic("smin", y),
        u=lambda x, y: x.intrinsic("umin", y),
        f=_minimum,
    ),
    "biuf",
)
_row("negative", Lanes.__neg__, "iuf")
_row(
    "absolute",
    _by_kind(b=_itself, i=_absolute_integer, u=_itself, f=lambda x: x.intrinsic("fabs")),
    "biuf",
)
_row("relu", _by_kind(b=_itself, u=_itself, other=_relu), "biuf")
_row("floor", _by_kind(f=lambda x: x.intrinsic("floor"), other=_itself), "biuf")

_row("less", Lanes.__lt__, "biuf")
_row("less_equal", Lanes.__le__, "biuf")
_row("equal", Lanes.equals, "biuf")
_row("logical_and", Lanes.__and__, "b")
_row("logical_or", Lanes.__or__, "b")
_row("logical_not", Lanes.__invert__, "b")

_row("sqrt", lambda x: x.intrinsic("sqrt"), "f")
_row("exp", vectormath.exp, "f")
_row("expm1", vectormath.expm1, "f")
_row("log", vectormath.log, "f")
_row("log1p", vectormath.log1p, "f")
_row("sin", vectortrig.sin, "f")
_row("cos", vectortrig.cos, "f")
_row("tanh", vectormath.tanh, "f")
_row("sigmoid", vectormath.sigmoid, "f")
_row("erf", vectormath.erf, "f")


def _where(w: Writer, dtype: np.dtype, condition: str, x: str, y: str) -> str:
    return w.select(np.dtype(dtype), condition, x, y)


def _cast(w: Writer, source: np.dtype, x: str, *, dtype: np.dtype | str) -> str:
    source, target = np.dtype(source), np.dtype(dtype)
    if source == target:
        return x
    if target == BOOL:
        return Lanes(w, source, x).differs(0).name
    if source.kind == "f" and target.kind in "iu":
        return _to_integer(w, source, target, x)
    narrow, wide = sorted((source, target), key=lambda d: d.itemsize)
    growing = target == wide
    if source.kind == "f":
        opcode = "fpext" if growing else "fptrunc"
    elif target.kind == "f":
        opcode = "sitofp" if source.kind == "i" else "uitofp"
    elif narrow.itemsize == wide.itemsize:
        return x  # int32 and uint32 are one type
    elif growing:
        opcode = "sext" if source.kind == "i" else "zext"
    else:
        opcode = "trunc"
    return w.convert(opcode, source, target, x)


def _to_integer(w: Writer, source: np.dtype, target: np.dtype, x: str) -> str:
    """Truncation; out of range the nearest bound and 0 for NaN, on every processor."""
    name = "fptosi" if target.kind == "i" else "fptoui"
    kinds = {"float": "f32", "double": "f64"}
    into = f"v16{element(target)}"
    function = f"@llvm.{name}.sat.{into}.v16{kinds[element(source)]}"
    w.declare(f"declare {vector(target)} {function}({vector(source)})")
    return w.let(f"call {vector(target)} {function}({vector(source)} {x})")


EMIT["where"] = _where
EMIT["cast"] = _cast
