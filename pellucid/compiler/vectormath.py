"""exp, log and their kin over 16 lanes, from IEEE-exact operations only.

Sums, products, fma, division, comparisons, selections and integer operations
give the same bits on every processor, and so do these formulas: polynomials of
our own, no branch, no call, nothing fused but where `fma` says so. Each is
written once for float32 and float64; what differs stands in `floats`. Sine and
cosine are in `vectortrig`, powers in `vectorpower`.

The largest errors found are 1.7 units in the last place (exp and log: 0.9), and
2.04 for expm1 in float64. How it goes: an argument is cut into a whole number n
and a remainder r small enough for a polynomial; n goes into the exponent, by
integer operations.
"""

from __future__ import annotations

import numpy as np

from .floats import FORMATS, Format
from .lanes import (
    FLOAT32,
    Lanes,
    absolute,
    at_least,
    at_most,
    copysign,
    fma,
    polynomial,
    where,
)

INFINITY = float("inf")
LOG2_E = 1.4426950408889634


# -- the exponential family -----------------------------------------------------------------------


def reduce(x: Lanes, f: Format) -> tuple[Lanes, Lanes]:
    """x = n ln 2 + r: shifter + n, and r with |r| <= 0.347."""
    shifted = fma(x, LOG2_E, f.shifter)
    n = shifted - f.shifter
    r = fma(n, -f.ln2[0], x)
    return shifted, fma(n, -f.ln2[1], r)


def _times_power(x: Lanes, shifted: Lanes, f: Format) -> Lanes:
    """x 2^n, for a result within the normal range; the shifter leaves no trace in the exponent."""
    return (x.bits() + (shifted.bits() << f.mantissa)).bits()


def _power_of_two(shifted: Lanes, f: Format, more: int = 0) -> Lanes:
    """2^(n + more)."""
    return ((shifted.bits() << f.mantissa) + ((f.bias + more) << f.mantissa)).bits()


def _expm1_of_remainder(r: Lanes, f: Format) -> Lanes:
    return fma(r * r, polynomial(r, f.exp), r)


def exp(x: Lanes) -> Lanes:
    """e^x = 2^n e^r."""
    f = FORMATS[x.dtype]
    low, high = f.exp_range
    y = at_least(x, low)
    shifted, r = reduce(y, f)
    result = _times_power(polynomial(r, (1.0, 1.0, *f.exp)), shifted, f)
    gradual = y < f.exp_gradual
    lifted = (result.bits() + (f.lift << f.mantissa)).bits()
    result = where(gradual, lifted * 2.0**-f.lift, result)
    return where(x <= high, result, x + INFINITY)  # NaN stays, too


def expm1(x: Lanes) -> Lanes:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1), at half the size, as 2^n may be just too large."""
    f = FORMATS[x.dtype]
    y = at_most(at_least(x, f.expm1_flat), f.exp_range[1] + 0.1)
    shifted, r = reduce(y, f)
    half = _power_of_two(shifted, f, -1)
    result = fma(half, _expm1_of_remainder(r, f), half - 0.5) * 2.0
    return where(absolute(x) < f.tiny, x, result)  # subnormals, and -0


def tanh(x: Lanes) -> Lanes:
    """For |x|: x + x^3 T(x^2) up to the split, 1 - 2 / (e^2x + 1) from there."""
    f = FORMATS[x.dtype]
    a = at_most(absolute(x), f.tanh_flat)
    square = a * a
    near = fma(a * square, polynomial(square, f.tanh), a)
    shifted = fma(a, 2 * LOG2_E, f.shifter)
    r = fma(a, 2 * LOG2_E, f.shifter - shifted)
    far = 1.0 - 2.0 / (_times_power(polynomial(r, f.exp2), shifted, f) + 1.0)
    return copysign(where(a > f.tanh_split, far, near), x)


def sigmoid(x: Lanes) -> Lanes:
    """With e = e^-|x| and w = e / (1 + e): 1 - w for x >= 0, e - e w below."""
    f = FORMATS[x.dtype]
    shifted, r = reduce(at_least(-absolute(x), f.exp_range[0]), f)
    power = _power_of_two(shifted, f, f.lift)
    lifted = fma(power, _expm1_of_remainder(r, f), power)  # e may be subnormal, this is not
    e = lifted * 2.0**-f.lift
    w = e / (e + 1.0)
    top = where(x < 0.0, lifted, 2.0**f.lift)
    return fma(-top, w, top) * 2.0**-f.lift


# -- logarithms -----------------------------------------------------------------------------------


def significand(x: Lanes, f: Format) -> tuple[Lanes, Lanes]:
    """x = 2^k m for a positive normal x: k as an integer, and m."""
    offset = x.bits() - f.log_from
    m = (offset & ((1 << f.mantissa) - 1)) + f.log_from
    return offset >> f.mantissa, m.bits()


def exponent_and_significand(x: Lanes, f: Format) -> tuple[Lanes, Lanes]:
    """x = 2^k m for a positive x, also a subnormal one: k as a floating number, and m."""
    subnormal = x < f.smallest
    raised = f.mantissa + 2
    k, m = significand(where(subnormal, x * 2.0**raised, x), f)
    k = whole(k, f)
    return where(subnormal, k - raised, k), m


def whole(k: Lanes, f: Format) -> Lanes:
    """A small integer as a floating number; AVX2 has no conversion of 64 bits."""
    shifter_bits = int(np.array(f.shifter, f"f{f.integer.itemsize}").view(f.integer))
    return (k + shifter_bits).bits() - f.shifter


def _log_of(near_one: Lanes, k: Lanes, f: Format) -> Lanes:
    """log(2^k (1 + near_one)), summed from the smallest part up."""
    if near_one.dtype == FLOAT32:
        low = fma(k, f.ln2[1], near_one)
        low = fma(near_one * near_one, polynomial(near_one, f.log), low)
        return fma(k, f.ln2[0], low)
    half_square = near_one * near_one * 0.5
    q = near_one / (near_one + 2.0)
    z = q * q
    low = fma(q, fma(z, polynomial(z, f.log), half_square), k * f.ln2[1])
    return fma(k, f.ln2[0], near_one - (half_square - low))


def _at_the_limits(x: Lanes, result: Lanes) -> Lanes:
    """A logarithm where x is positive and finite; -inf at 0, NaN below, x itself beyond."""
    result = where(x < INFINITY, result, x)
    return where(x > 0.0, result, where(x.equals(0.0), -INFINITY, x.like(float("nan"))))


def log(x: Lanes) -> Lanes:
    """log x = k ln 2 + log m."""
    f = FORMATS[x.dtype]
    k, m = exponent_and_significand(x, f)
    return _at_the_limits(x, _log_of(m - 1.0, k, f))


def log1p(x: Lanes) -> Lanes:
    """log(1 + x) = k ln 2 + log m, with what the sum 1 + x lost put back into m."""
    f = FORMATS[x.dtype]
    u = x + 1.0
    lost = x - (u - 1.0)
    k, m = significand(u, f)
    scale = ((f.bias << f.mantissa) - (k << f.mantissa)).bits()  # 2^-k; not for the largest x,
    near_one = where(lost.equals(0.0), m - 1.0, fma(lost, scale, m - 1.0))  # where nothing is lost
    result = _at_the_limits(u, _log_of(near_one, whole(k, f), f))
    return where(absolute(x) < f.tiny, x, result)  # subnormals, and -0


# -- the error function ---------------------------------------------------------------------------


def erf(x: Lanes) -> Lanes:
    """For |x|: x + x E(x^2) up to the split, 1 - 2^L(x) from there."""
    f = FORMATS[x.dtype]
    a = at_most(absolute(x), f.erf_flat)
    near = fma(a, polynomial(a * a, f.erf_near), a)
    exponent = polynomial(a, f.erf_far)
    shifted = exponent + f.shifter
    r = exponent - (shifted - f.shifter)
    far = 1.0 - _times_power(polynomial(r, f.exp2), shifted, f)
    return copysign(where(a > f.erf_split, far, near), x)
