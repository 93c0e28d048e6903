"""x to the power y over 16 lanes, from IEEE-exact operations only; see `vectormath`.

|x|^y = exp(y log |x|), where the logarithm needs more digits than the result
has: float32 takes it in float64, float64 as a sum of two numbers.
"""

from __future__ import annotations

from .floats import FORMATS
from .lanes import FLOAT32, FLOAT64, Lanes, absolute, at_least, at_most, fma, polynomial, where
from .vectormath import INFINITY, exp, exponent_and_significand, log, reduce

# (log((1 + q) / (1 - q)) - 2 q - 2/3 q^3) / q^5 in q^2, for q^2 <= 0.0295; relative error 2^-64.
TAIL = (
    0.4,
    0.28571428571428564,
    0.22222222222228524,
    0.18181818179630355,
    0.1538461576486006,
    0.1333329625658622,
    0.11766824694795729,
    0.10456076567348019,
    0.10764627794217085,
)
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
LN2 = (0.6931471805598903, 5.497923018708371e-14)
"""The first part times a whole exponent is exact."""


def _sum(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """a + b for |a| >= |b|, rounded, and what the rounding lost."""
    total = a + b
    return total, b - (total - a)


def _product(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """a * b, rounded, and what the rounding lost."""
    product = a * b
    return product, fma(a, b, -product)


def _long_log(a: Lanes) -> tuple[Lanes, Lanes]:
    """log a for a positive finite a as the sum of two numbers, to about 64 bits."""
    k, m = exponent_and_significand(a, FORMATS[FLOAT64])
    # q = (m - 1) / (m + 1)
    top, bottom = m - 1.0, m + 1.0
    bottom_low = top - (bottom - 2.0)
    inverse = 1.0 / bottom
    q = top * inverse
    q_low = (fma(-q, bottom, top) - q * bottom_low) * inverse
    # log m = 2 q + q z c, with z = q^2 and c = 2/3 + z tail(z)
    z, z_low = _product(q, q)
    z_low = fma(q + q, q_low, z_low)
    c, c_low = _sum(z.like(TWO_THIRDS[0]), z * polynomial(z, TAIL))
    c_low = c_low + TWO_THIRDS[1]
    cube, cube_low = _product(q, z)
    cube_low = fma(q, z_low, fma(q_low, z, cube_low))
    term, term_low = _product(cube, c)
    term_low = fma(cube, c_low, fma(cube_low, c, term_low))
    high, low = _sum(q + q, term)
    low = low + (term_low + (q_low + q_low))
    # and k ln 2; for k = 0 nothing is larger than 2 q
    large, lost = _sum(k * LN2[0], high)
    k_is_zero = k.equals(0.0)
    large = where(k_is_zero, high, large)
    low = where(k_is_zero, low, lost + fma(k, LN2[1], low))
    return _sum(large, low)


def _power64(a: Lanes, y: Lanes) -> Lanes:
    """a^y for a >= 0: e^(y log a), scaled in two steps that are each within the format."""
    f = FORMATS[FLOAT64]
    high, low = _long_log(a)
    high = where(a < INFINITY, where(a.equals(0.0), -INFINITY, high), a)
    product, lost = _product(y, high)
    lost = where(absolute(product) < 800.0, fma(y, low, lost), 0.0)
    shifted, r = reduce(at_most(at_least(product, -800.0), 800.0), f)
    result = polynomial(r + lost, (1.0, 1.0, *f.exp))
    n = shifted.bits() - shifted.like(f.shifter).bits()
    half = n >> 1
    for part in (half, n - half):
        result = result * ((part + f.bias) << f.mantissa).bits()
    return result


def _power32(a: Lanes, y: Lanes) -> Lanes:
    """a^y for a >= 0."""
    logarithm = log(a.convert("fpext", FLOAT64))
    return exp(logarithm * y.convert("fpext", FLOAT64)).convert("fptrunc", FLOAT32)


def power(x: Lanes, y: Lanes) -> Lanes:
    """x to the power y, with the special cases of C99."""
    a = absolute(x)
    result = _power32(a, y) if x.dtype == FLOAT32 else _power64(a, y)
    result = where(a.equals(1.0) & y.equals(y), 1.0, result)  # also for infinite y
    y_whole = y.intrinsic("floor").equals(y)
    half = y * 0.5
    y_odd = y_whole & half.intrinsic("floor").differs(half)
    result = where((x.bits() < 0) & y_odd, -result, result)
    undefined = (x < 0.0) & (a < INFINITY) & ~y_whole
    result = where(undefined, float("nan"), result)
    return where(y.equals(0.0) | x.equals(1.0), 1.0, result)  # also beside a NaN
