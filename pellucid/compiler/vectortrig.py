"""Sine and cosine over 16 lanes, from IEEE-exact operations only; see `vectormath`.

The argument is reduced in float64, also for float32: x = n pi/2 + r, where
pi/2 stands in three parts of 53 bits, so that r is right to the last bit for
|x| up to 2^30. Up to 2^50 precision falls slowly; beyond, the result means
nothing, but stays within [-1, 1].
"""

from __future__ import annotations

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
# pi/2 = the sum of the three, all positive so that the reduction keeps -0.
HALF_PI = (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32)
SHIFTER = 1.5 * 2.0**52

# (sin r - r) / r^3 and (cos r - 1 + r^2 / 2) / r^4 in r^2, for |r| <= pi/4.
SIN = {
    FLOAT32: (
        -0.16666655242443085,
        0.008332190103828907,
        -0.00019518405315466225,
    ),
    FLOAT64: (
        -0.16666666666666666,
        0.008333333333333323,
        -0.0001984126984125499,
        2.755731921414881e-06,
        -2.5052104900525846e-08,
        1.6058365191235426e-10,
        -7.578625393016716e-13,
    ),
}
COS = {
    FLOAT32: (
        0.04166664555668831,
        -0.00138873013202101,
        2.4430661142105237e-05,
    ),
    FLOAT64: (
        0.041666666666666664,
        -0.0013888888888888874,
        2.4801587301571384e-05,
        -2.7557319215326517e-07,
        2.0876754354838246e-09,
        -1.1470291958648035e-11,
        4.7380490644231976e-14,
    ),
}


def _reduce(x: Lanes) -> tuple[Lanes, Lanes]:
    """The quadrant n, as an integer of the width of x of which the low bits count, and r."""
    wide = x.convert("fpext", FLOAT64) if x.dtype == FLOAT32 else x
    shifted = fma(wide, TWO_OVER_PI, SHIFTER)
    n = shifted - SHIFTER
    r = wide
    for part in HALF_PI:
        r = fma(n, -part, r)
    r = at_least(at_most(r, 1.0), -1.0)
    quadrant = shifted.bits()
    if x.dtype == FLOAT32:
        return quadrant.convert("trunc", INT32), r.convert("fptrunc", FLOAT32)
    return quadrant, r


def _wave(x: Lanes, ahead: int) -> Lanes:
    """sin(x + ahead pi/2)."""
    quadrant, r = _reduce(x)
    quadrant = quadrant + ahead
    z = r * r
    sine = copysign(fma(r * z, polynomial(z, SIN[x.dtype]), r), r)
    cosine = fma(z * z, polynomial(z, COS[x.dtype]), fma(z, -0.5, 1.0))
    value = where((quadrant & 1).equals(0), sine, cosine)
    sign = (quadrant & 2) << (x.dtype.itemsize * 8 - 2)
    return (value.bits() ^ sign).bits()


def sin(x: Lanes) -> Lanes:
    """The sine of x, in radians."""
    return _wave(x, 0)


def cos(x: Lanes) -> Lanes:
    """The cosine of x, in radians."""
    return _wave(x, 1)
