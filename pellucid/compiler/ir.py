"""Writing LLVM IR as text: types, constants, and a writer of straight lines and loops.

Nothing here knows what is computed. A vector has 16 lanes (`LANES`), or fewer where
no row is longer (`fitting`); LLVM splits it for narrower processors.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.core.storage import LANES

ELEMENT = {
    "bool": "i1",
    "int8": "i8",
    "uint8": "i8",
    "int16": "i16",
    "uint16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint32": "i32",
    "float32": "float",
    "float64": "double",
}
"""The LLVM type of one element in a register; a boolean takes one byte in memory."""


@functools.cache
def element(dtype: np.dtype) -> str:
    """LLVM type of an element."""
    return ELEMENT[np.dtype(dtype).name]


@functools.cache
def vector(dtype: np.dtype, lanes: int = LANES) -> str:
    """LLVM type of a vector of elements."""
    return f"<{lanes} x {element(dtype)}>"


def fitting(length: int) -> int:
    """Lanes of vectors that hold rows of such a length: no more than they need."""
    return next((n for n in (LANES // 4, LANES // 2) if length <= n), LANES)


def literal(dtype: np.dtype, value: object) -> str:
    """A scalar constant, exact to the bit."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        rounded = float(np.asarray(value).astype(dtype))
        return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
    if dtype.kind == "b":
        return "true" if value else "false"
    return str(int(value))  # type: ignore[call-overload]


def splat(dtype: np.dtype, value: object) -> str:
    """A vector constant (without its type) with the value in every lane."""
    return f"splat ({element(dtype)} {literal(dtype, value)})"


class Writer:
    """Collects the lines of one function; hands out fresh names.

    Attributes:
        lanes: of the vectors.
    """

    def __init__(self) -> None:
        self.lanes = LANES
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self._names = 0
        self.block = "entry"

    def fresh(self, hint: str = "v") -> str:
        """A name not used before."""
        self._names += 1
        return f"%{hint}{self._names}"

    def line(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append("  " + text)

    def let(self, text: str) -> str:
        """An instruction with a result; returns the result's name."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def label(self, name: str) -> None:
        """Start a block; `name` has no leading percent sign."""
        self.lines.append(f"{name}:")
        self.block = name

    def declare(self, text: str) -> None:
        """State once, outside all kernels, a function from elsewhere or one that they share."""
        self.declarations.add(text)

    # -- vectors ------------------------------------------------------------

    def vector(self, dtype: np.dtype) -> str:
        """LLVM type of a vector of elements."""
        return vector(dtype, self.lanes)

    def op(self, opcode: str, dtype: np.dtype, a: str, b: str) -> str:
        """A binary vector instruction such as fadd, mul, xor."""
        return self.let(f"{opcode} {self.vector(dtype)} {a}, {b}")

    def compare(self, opcode: str, dtype: np.dtype, a: str, b: str) -> str:
        """`fcmp olt`, `icmp slt`, ...: a vector of i1."""
        return self.let(f"{opcode} {self.vector(dtype)} {a}, {b}")

    @contextlib.contextmanager
    def as_lanes(self, lanes: int) -> Iterator[None]:
        """Within it vectors have so many lanes."""
        before, self.lanes = self.lanes, lanes
        try:
            yield
        finally:
            self.lanes = before

    def select(self, dtype: np.dtype, condition: str, a: str, b: str) -> str:
        """a where the condition holds, else b."""
        t = self.vector(dtype)
        return self.let(f"select <{self.lanes} x i1> {condition}, {t} {a}, {t} {b}")

    def convert(self, opcode: str, source: np.dtype, target: np.dtype, a: str) -> str:
        """`fptosi`, `bitcast`, `zext`, ... from one vector type to another."""
        return self.let(f"{opcode} {self.vector(source)} {a} to {self.vector(target)}")

    def intrinsic(self, name: str, dtype: np.dtype, *operands: str) -> str:
        """An LLVM intrinsic whose operands and result have one vector type."""
        t = self.vector(dtype)
        kind = {"float": "f32", "double": "f64"}.get(element(dtype), element(dtype))
        suffix = f"v{self.lanes}{kind}"
        function = f"@llvm.{name}.{suffix}"
        self.declare(f"declare {t} {function}({', '.join([t] * len(operands))})")
        return self.let(f"call {t} {function}({', '.join(f'{t} {o}' for o in operands)})")

    def fma(self, dtype: np.dtype, a: str, b: str, c: str) -> str:
        """a * b + c, rounded once."""
        return self.intrinsic("fma", dtype, a, b, c)

    # -- loops and branches ---------------------------------------------------

    @contextlib.contextmanager
    def loop(
        self, start: str, stop: str, step: int = 1, carried: Sequence[tuple[str, str]] = ()
    ) -> Iterator[Loop]:
        """Counts an i64 from start while below stop.

        `carried` gives type and first value of what one turn hands to the next;
        the body reads `loop.values`, sets `loop.following`, and after the loop
        `loop.values` are the last ones.
        """
        tag = self.fresh("l")[1:]
        i = f"%i.{tag}"
        values = [f"%c{n}.{tag}" for n in range(len(carried))]
        found = Loop(i, values, list(values))
        self.line(f"br label %head.{tag}")
        before = self.block
        self.label(f"head.{tag}")
        at = len(self.lines)
        more = self.let(f"icmp slt i64 {i}, {stop}")
        self.line(f"br i1 {more}, label %body.{tag}, label %exit.{tag}")
        self.label(f"body.{tag}")
        yield found
        following = self.let(f"add i64 {i}, {step}")
        phis = [f"  {i} = phi i64 [{start}, %{before}], [{following}, %{self.block}]"]
        phis += [
            f"  {value} = phi {kind} [{first}, %{before}], [{new}, %{self.block}]"
            for value, (kind, first), new in zip(values, carried, found.following, strict=True)
        ]
        self.line(f"br label %head.{tag}")
        self.lines[at:at] = phis
        self.label(f"exit.{tag}")

    @contextlib.contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """What is written inside runs only if the condition (an i1) holds."""
        tag = self.fresh("w")[1:]
        self.line(f"br i1 {condition}, label %then.{tag}, label %after.{tag}")
        self.label(f"then.{tag}")
        yield
        self.line(f"br label %after.{tag}")
        self.label(f"after.{tag}")


@dataclass
class Loop:
    """A loop that is being written: its counter and what it carries from turn to turn."""

    index: str
    values: list[str]
    following: list[str]
