"""Sine and cosine over 16 lanes, from IEEE-exact operations only; see `vectormath`.

The argument is reduced in float64, also for float32: x = n pi/2 + r, where
pi/2 stands in three parts of 53 bits, so that r is right to the last bit for
|x| up to 2^30. Up to 2^50 precision falls slowly; beyond, the result says
nothing of the sine, but stays within [-1, 1].
"""

from __future__ import annotations

from .floats import FORMATS
from .lanes import (
    FLOAT32,
    FLOAT64,
    INT32,
    Lanes,
    at_least,
    at_most,
    copysign,
    fma,
    polynomial,
    where,
)

TWO_OVER_PI = 0.6366197723675814
HALF_PI = (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32)
"""The sum of the three."""


def _reduce(x: Lanes) -> tuple[Lanes, Lanes]:
    """x = n pi/2 + r: an integer of the width of x whose low bits are those of n, and r."""
    shifter = FORMATS[FLOAT64].shifter
    wide = x.convert("fpext", FLOAT64) if x.dtype == FLOAT32 else x
    shifted = fma(wide, TWO_OVER_PI, shifter)
    n = shifted - shifter
    r = wide
    for part in HALF_PI:
        r = fma(n, -part, r)
    r = at_least(at_most(r, 1.0), -1.0)  # without effect below 2^50
    if x.dtype == FLOAT32:
        return shifted.bits().convert("trunc", INT32), r.convert("fptrunc", FLOAT32)
    return shifted.bits(), r


def _wave(x: Lanes, ahead: int) -> Lanes:
    """sin(x + ahead pi/2)."""
    f = FORMATS[x.dtype]
    quadrant, r = _reduce(x)
    quadrant = quadrant + ahead
    z = r * r
    sine = copysign(fma(r * z, polynomial(z, f.sin), r), r)  # -0 stays
    cosine = fma(z * z, polynomial(z, f.cos), fma(z, -0.5, 1.0))
    value = where((quadrant & 1).equals(0), sine, cosine)
    sign = (quadrant & 2) << (x.dtype.itemsize * 8 - 2)
    return (value.bits() ^ sign).bits()


def sin(x: Lanes) -> Lanes:
    """The sine of x, in radians."""
    return _wave(x, 0)


def cos(x: Lanes) -> Lanes:
    """The cosine of x, in radians."""
    return _wave(x, 1)
