"""The machine-code form of every elementwise primitive: 16 lanes in, 16 lanes out.

`EMIT[name](writer, dtype, *operands, **attrs)` writes the instructions and
returns the name of the result. `dtype` is that of the inputs, for `where` that
of the two values. A boolean is a vector of i1. The formulas of exp, log and
their kin are in `vectormath`, `vectortrig` and `vectorpower`; how values reach
memory, and what `iota`, `alias` and `stop_gradient` become, is the lowering's
business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from . import vectormath, vectorpower, vectortrig
from .ir import Writer
from .lanes import BOOL, Lanes, where

Formula = Callable[..., Lanes]


def _unchanged(x: Lanes) -> Lanes:
    return x


def _intrinsic(name: str) -> Formula:
    return lambda x, *others: x.intrinsic(name, *others)


def _maximum(x: Lanes, y: Lanes) -> Lanes:
    return where(x.is_nan(), x, where(x > y, x, y))  # a NaN in y is what x > y leaves


def _minimum(x: Lanes, y: Lanes) -> Lanes:
    return where(x.is_nan(), x, where(x < y, x, y))


def _absolute(x: Lanes) -> Lanes:
    return where(x < 0, -x, x)


def _relu(x: Lanes) -> Lanes:
    return where(x <= 0, 0, x)  # NaN stays NaN


FORMULAS: Mapping[str, Mapping[str, Formula]] = {
    "add": {"b": Lanes.__or__, "iuf": Lanes.__add__},
    "subtract": {"iuf": Lanes.__sub__},
    "multiply": {"b": Lanes.__and__, "iuf": Lanes.__mul__},
    "divide": {"f": Lanes.__truediv__},
    "power": {"f": vectorpower.power},
    "maximum": {
        "b": Lanes.__or__,
        "i": _intrinsic("smax"),
        "u": _intrinsic("umax"),
        "f": _maximum,
    },
    "minimum": {
        "b": Lanes.__and__,
        "i": _intrinsic("smin"),
        "u": _intrinsic("umin"),
        "f": _minimum,
    },
    "negative": {"iuf": Lanes.__neg__},
    "absolute": {"bu": _unchanged, "i": _absolute, "f": _intrinsic("fabs")},
    "relu": {"bu": _unchanged, "if": _relu},
    "floor": {"biu": _unchanged, "f": _intrinsic("floor")},
    "less": {"biuf": Lanes.__lt__},
    "less_equal": {"biuf": Lanes.__le__},
    "equal": {"biuf": Lanes.equals},
    "logical_and": {"b": Lanes.__and__},
    "logical_or": {"b": Lanes.__or__},
    "logical_not": {"b": Lanes.__invert__},
    "sqrt": {"f": _intrinsic("sqrt")},
    "exp": {"f": vectormath.exp},
    "expm1": {"f": vectormath.expm1},
    "log": {"f": vectormath.log},
    "log1p": {"f": vectormath.log1p},
    "sin": {"f": vectortrig.sin},
    "cos": {"f": vectortrig.cos},
    "tanh": {"f": vectormath.tanh},
    "sigmoid": {"f": vectormath.sigmoid},
    "erf": {"f": vectormath.erf},
}
"""For each primitive with operands of one dtype: NumPy kinds, and the formula for them."""


def _row(name: str, formulas: Mapping[str, Formula]) -> Callable[..., str]:
    def emit(w: Writer, dtype: np.dtype, *operands: str) -> str:
        dtype = np.dtype(dtype)
        for kinds, formula in formulas.items():
            if dtype.kind in kinds:
                return formula(*(Lanes(w, dtype, operand) for operand in operands)).name
        raise TypeError(f"{name} expects operands of kind {'/'.join(formulas)}, received {dtype}")

    return emit


def _where(w: Writer, dtype: np.dtype, condition: str, x: str, y: str) -> str:
    return w.select(np.dtype(dtype), condition, x, y)


def _cast(w: Writer, source: np.dtype, x: str, *, dtype: np.dtype | str) -> str:
    """To a boolean: is not 0. From floating to integer: truncation."""
    value, target = Lanes(w, source, x), np.dtype(dtype)
    if value.dtype == target:
        return x
    if target == BOOL:
        return value.differs(0).name
    opcode = _conversion(value.dtype, target)
    return value.convert(opcode, target).name if opcode else x


def _conversion(source: np.dtype, target: np.dtype) -> str:
    """The instruction that casts; "" between int32 and uint32, which are one type."""
    kinds = source.kind + target.kind
    if kinds in ("fi", "fu"):
        return "fptosi.sat" if target.kind == "i" else "fptoui.sat"
    if target.kind == "f" and source.kind != "f":
        return "sitofp" if source.kind == "i" else "uitofp"
    if source.itemsize == target.itemsize:
        return ""
    if target.itemsize < source.itemsize:
        return "fptrunc" if kinds == "ff" else "trunc"
    return {"f": "fpext", "i": "sext"}.get(source.kind, "zext")


EMIT: Mapping[str, Callable[..., str]] = {
    **{name: _row(name, formulas) for name, formulas in FORMULAS.items()},
    "where": _where,
    "cast": _cast,
}
"""What writes each elementwise primitive."""
