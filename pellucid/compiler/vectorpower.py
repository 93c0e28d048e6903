"""x to the power y over 16 lanes, from IEEE-exact operations only; see `vectormath`.

|x|^y = exp(y log |x|), where the logarithm needs more digits than the result
has: float32 takes it in float64, float64 as a sum of two numbers.
"""

from __future__ import annotations

from .lanes import FLOAT32, FLOAT64, Lanes, absolute, at_least, at_most, fma, polynomial, where
from .vectormath import FORMATS, INFINITY, _reduce, _significand, _whole, exp, log

# (log((1 + q) / (1 - q)) - 2 q - 2/3 q^3) / q^5 in q^2, for 0 <= q^2 <= 0.0295.
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


def _two_sum(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """a + b for |a| >= |b|, rounded, and what the rounding lost."""
    total = a + b
    return total, b - (total - a)


def _product(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """a * b, rounded, and what the rounding lost."""
    product = a * b
    return product, fma(a, b, -product)


def _log(a: Lanes) -> tuple[Lanes, Lanes]:
    """log a for positive finite a, as the sum of two numbers: about 66 bits."""
    f = FORMATS[FLOAT64]
    subnormal = a < f.smallest
    k, m = _significand(where(subnormal, a * 2.0**54, a), f)
    whole = _whole(k, f)
    whole = where(subnormal, whole - 54.0, whole)
    # q = (m - 1) / (m + 1)
    near_one = m - 1.0
    below = m + 1.0
    below_lost = near_one - (below - 2.0)
    inverse = 1.0 / below
    q = near_one * inverse
    q_low = (fma(-q, below, near_one) - q * below_lost) * inverse
    # z = q^2, c = 2/3 + z tail(z), log m = 2 q + q z c
    z, z_low = _product(q, q)
    z_low = fma(q + q, q_low, z_low)
    c, c_low = _two_sum(z.like(TWO_THIRDS[0]), z * polynomial(z, TAIL))
    c_low = c_low + TWO_THIRDS[1]
    cube, cube_low = _product(q, z)
    cube_low = fma(q, z_low, fma(q_low, z, cube_low))
    term, term_low = _product(cube, c)
    term_low = fma(cube, c_low, fma(cube_low, c, term_low))
    high, low = _two_sum(q + q, term)
    low = low + (term_low + (q_low + q_low))
    # k ln 2: the product with the first part is exact
    total, lost = _two_sum(whole * LN2[0], high)
    zero = whole.equals(0.0)
    total = where(zero, high, total)
    lost = where(zero, low, lost + fma(whole, LN2[1], low))
    return _two_sum(total, lost)


def _magnitude64(a: Lanes, y: Lanes) -> Lanes:
    """a^y for a >= 0."""
    f = FORMATS[FLOAT64]
    high, low = _log(a)
    product, product_low = _product(y, high)
    product_low = fma(y, low, product_low)
    # Where the product is out of exp's range, or the logarithm infinite, one number will do.
    plain = (a > 0.0) & (a < INFINITY) & (absolute(product) < 800.0)
    product = where(plain, product, y * log_limit(a))
    clamped = at_most(at_least(product, -800.0), 800.0)
    shifted, r = _reduce(clamped, f)
    r = where(plain, r + product_low, r)
    growth = polynomial(r, (1.0, 1.0, *f.exp))
    # 2^n in two steps, each within the format
    n = (shifted.bits() << 12) >> 12
    half = n >> 1
    first = ((half + f.bias) << f.mantissa).bits()
    second = ((n - half + f.bias) << f.mantissa).bits()
    return growth * first * second


def log_limit(a: Lanes) -> Lanes:
    """A logarithm good enough where only its sign and size count."""
    return log(a)


def power(x: Lanes, y: Lanes) -> Lanes:
    """x to the power y, with the special cases of C99."""
    a = absolute(x)
    if x.dtype == FLOAT32:
        wide = log(a.convert("fpext", FLOAT64)) * y.convert("fpext", FLOAT64)
        result = exp(wide).convert("fptrunc", FLOAT32)
    else:
        result = _magnitude64(a, y)
    result = where(a.equals(1.0) & y.equals(y), 1.0, result)  # 1^inf
    whole = y.intrinsic("floor").equals(y)
    half = y * 0.5
    odd = whole & half.intrinsic("floor").differs(half)
    negative = x.bits() < 0
    result = where(negative & odd, -result, result)
    undefined = (x < 0.0) & (a < INFINITY) & ~whole
    result = where(undefined, float("nan"), result)
    return where(y.equals(0.0) | x.equals(1.0), 1.0, result)
