"""Formulas over vectors: what `Writer` emits, written with Python's operators.

`Lanes` is a name of a vector together with its dtype; an operation on it writes
one instruction. Python numbers stand for the same number in every lane. Nothing
here is fused or reordered: `fma` is the only place where a product and a sum
are rounded once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .ir import Writer, element, splat

BOOL = np.dtype(bool)
INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)

_SAME_WIDTH: dict[np.dtype, np.dtype] = {
    FLOAT32: INT32,
    FLOAT64: INT64,
    INT32: FLOAT32,
    INT64: FLOAT64,
}


class Lanes:
    """The lanes of a vector of one dtype, in the function that a writer is at.

    Args:
        w: the writer.
        dtype: NumPy dtype of the elements.
        name: the SSA name or constant.
    """

    __slots__ = ("dtype", "name", "w")

    def __init__(self, w: Writer, dtype: np.dtype, name: str) -> None:
        self.w = w
        self.dtype = np.dtype(dtype)
        self.name = name

    def like(self, value: Lanes | float) -> Lanes:
        """The value itself, or a number in every lane."""
        if isinstance(value, Lanes):
            return value
        return Lanes(self.w, self.dtype, splat(self.dtype, value))

    def _binary(self, floating: str, signed: str, unsigned: str, other: Lanes | float) -> Lanes:
        opcode = {"f": floating, "u": unsigned}.get(self.dtype.kind, signed)
        if not opcode:
            raise TypeError(f"no such instruction for lanes of {self.dtype}")
        name = self.w.op(opcode, self.dtype, self.name, self.like(other).name)
        return Lanes(self.w, self.dtype, name)

    def __add__(self, other: Lanes | float) -> Lanes:
        return self._binary("fadd", "add", "add", other)

    def __sub__(self, other: Lanes | float) -> Lanes:
        return self._binary("fsub", "sub", "sub", other)

    def __rsub__(self, other: float) -> Lanes:
        return self.like(other) - self

    def __mul__(self, other: Lanes | float) -> Lanes:
        return self._binary("fmul", "mul", "mul", other)

    def __truediv__(self, other: Lanes | float) -> Lanes:
        return self._binary("fdiv", "", "", other)

    def __rtruediv__(self, other: float) -> Lanes:
        return self.like(other) / self

    def __and__(self, other: Lanes | int) -> Lanes:
        return self._binary("", "and", "and", other)

    def __or__(self, other: Lanes | int) -> Lanes:
        return self._binary("", "or", "or", other)

    def __xor__(self, other: Lanes | int) -> Lanes:
        return self._binary("", "xor", "xor", other)

    def __invert__(self) -> Lanes:
        return self ^ (1 if self.dtype == BOOL else -1)

    def __lshift__(self, count: Lanes | int) -> Lanes:
        return self._binary("", "shl", "shl", count)

    def __rshift__(self, count: Lanes | int) -> Lanes:
        return self._binary("", "ashr", "lshr", count)

    def __neg__(self) -> Lanes:
        if self.dtype.kind != "f":
            return 0 - self
        return Lanes(
            self.w, self.dtype, self.w.let(f"fneg {self.w.vector(self.dtype)} {self.name}")
        )

    def _compare(self, floating: str, signed: str, unsigned: str, other: Lanes | float) -> Lanes:
        kind = self.dtype.kind
        opcode = (
            f"fcmp {floating}" if kind == "f" else f"icmp {signed if kind == 'i' else unsigned}"
        )
        name = self.w.compare(opcode, self.dtype, self.name, self.like(other).name)
        return Lanes(self.w, BOOL, name)

    def __lt__(self, other: Lanes | float) -> Lanes:
        return self._compare("olt", "slt", "ult", other)

    def __le__(self, other: Lanes | float) -> Lanes:
        return self._compare("ole", "sle", "ule", other)

    def __gt__(self, other: Lanes | float) -> Lanes:
        return self._compare("ogt", "sgt", "ugt", other)

    def __ge__(self, other: Lanes | float) -> Lanes:
        return self._compare("oge", "sge", "uge", other)

    def equals(self, other: Lanes | float) -> Lanes:
        """Where both are equal; false beside a NaN."""
        return self._compare("oeq", "eq", "eq", other)

    def differs(self, other: Lanes | float) -> Lanes:
        """Where they are not equal; true beside a NaN."""
        return self._compare("une", "ne", "ne", other)

    def is_nan(self) -> Lanes:
        """Where the lane is not a number."""
        return self._compare("uno", "", "", self)

    def bits(self) -> Lanes:
        """Floating lanes read as integers of the same width, or the reverse."""
        target = _SAME_WIDTH[self.dtype]
        return Lanes(self.w, target, self.w.convert("bitcast", self.dtype, target, self.name))

    def convert(self, opcode: str, target: np.dtype) -> Lanes:
        """The conversion instruction `fpext`, `sitofp`, ..., or the intrinsic `fptosi.sat`.

        Out of range `fptosi` is undefined, `fptosi.sat` the nearest bound, and 0 for NaN.
        """
        if opcode.endswith(".sat"):
            kinds = {"float": "f32", "double": "f64"}
            into, of = element(target), kinds[element(self.dtype)]
            function = f"@llvm.{opcode}.v{self.w.lanes}{into}.v{self.w.lanes}{of}"
            signature = f"{self.w.vector(target)} {function}({self.w.vector(self.dtype)}"
            self.w.declare(f"declare {signature})")
            return Lanes(self.w, target, self.w.let(f"call {signature} {self.name})"))
        return Lanes(self.w, target, self.w.convert(opcode, self.dtype, target, self.name))

    def intrinsic(self, name: str, *others: Lanes | float) -> Lanes:
        """An LLVM intrinsic over vectors of one type, such as `floor`, `sqrt`, `smax`."""
        names = [self.like(other).name for other in others]
        return Lanes(self.w, self.dtype, self.w.intrinsic(name, self.dtype, self.name, *names))


def fma(a: Lanes, b: Lanes | float, c: Lanes | float) -> Lanes:
    """a * b + c, rounded once."""
    return a.intrinsic("fma", b, c)


def where(condition: Lanes, a: Lanes | float, b: Lanes | float) -> Lanes:
    """a where the condition holds, else b; one of the two is not a plain number."""
    model = a if isinstance(a, Lanes) else b
    assert isinstance(model, Lanes)
    name = model.w.select(model.dtype, condition.name, model.like(a).name, model.like(b).name)
    return Lanes(model.w, model.dtype, name)


def polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """c0 + c1 x + c2 x^2 + ... by Horner's rule, one fma a degree."""
    value: Lanes | float = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        value = fma(x, value, coefficient)
    return x.like(value)


def absolute(x: Lanes) -> Lanes:
    """|x|, by its sign bit."""
    return x.intrinsic("fabs")


def copysign(magnitude: Lanes, sign: Lanes) -> Lanes:
    """The magnitude with the sign bit of the other."""
    return magnitude.intrinsic("copysign", sign)


def at_least(x: Lanes, bound: Lanes | float) -> Lanes:
    """The larger; NaN in x stays. One instruction on x86."""
    return where(x.like(bound) > x, bound, x)


def at_most(x: Lanes, bound: Lanes | float) -> Lanes:
    """The smaller; NaN in x stays. One instruction on x86."""
    return where(x.like(bound) < x, bound, x)
