"""exp, log and their kin over 16 lanes, from IEEE-exact operations only.

Sums, products, fma, division, comparisons, selections and integer operations
give the same bits on every processor, and so do these formulas: polynomials of
our own, no branch, no call, nothing fused but where `fma` says so. Each is
written once for float32 and float64; what differs stands in `Format`.
Sine and cosine are in `vectortrig`, powers in `vectorpower`.

Notation: an argument is cut into a whole number and a remainder r that is
small enough for a polynomial; s is a power of two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .lanes import (
    FLOAT32,
    FLOAT64,
    INT32,
    INT64,
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


@dataclass(frozen=True)
class Format:
    """What the formulas need to know of a floating-point format."""

    integer: np.dtype
    mantissa: int
    """Bits of the significand that are stored."""
    bias: int
    """Stored exponent of 1."""
    shifter: float
    """1.5 * 2^mantissa. Added to a small number it leaves the nearest whole number, and that
    number in the low bits of the sum."""
    smallest: float
    """The least normal number."""
    ln2: tuple[float, float]
    """ln 2 in two parts, both positive; the first times a whole exponent is exact."""
    exp_range: tuple[float, float]
    """Below the first exp is 0; above the second it is infinite."""
    exp_gradual: float
    """Below it exp is scaled in two steps, as its result may be subnormal."""
    exp: tuple[float, ...]
    """(e^r - 1 - r) / r^2 for |r| <= 0.347."""
    flat: tuple[float, float, float]
    """Where, to the last bit, expm1 has come to -1, tanh to 1 and erf to 1."""
    log: tuple[float, ...]
    """float32: (log(1 + f) - f) / f^2 for |f| <= 1/3;
    float64: (log((1 + q) / (1 - q)) - 2 q) / q^3 in q^2 for 0 <= q^2 <= 0.0295."""
    log_from: int
    """Bits of the number from which significands are taken: [it, twice it)."""
    erf_split: float
    erf_small: tuple[float, ...]
    """erf(x) / x - 1 in x^2, up to the split."""
    erf_large: tuple[float, ...]
    """-log(1 - erf(x)) in x, from the split on."""


FORMATS = {
    FLOAT32: Format(
        integer=INT32,
        mantissa=23,
        bias=127,
        shifter=1.5 * 2.0**23,
        smallest=2.0**-126,
        ln2=(0.693145751953125, 1.4286067653302e-06),
        exp_range=(-104.0, 88.72283172607422),
        exp_gradual=-60.0,
        exp=(
            0.4999999403953552,
            0.16666516661643982,
            0.041668105870485306,
            0.008369136601686478,
            0.0013836609432473779,
        ),
        flat=(-17.5, 9.1, 3.93),
        log=(
            -0.5,
            0.33333179354667664,
            -0.24999970197677612,
            0.20012487471103668,
            -0.16671490669250488,
            0.13973265886306763,
            -0.12320692837238312,
            0.1414095014333725,
            -0.12268353998661041,
        ),
        log_from=0x3F2AAAAB,
        erf_split=0.9,
        erf_small=(
            0.12837916612625122,
            -0.3761262893676758,
            0.11283624172210693,
            -0.026855576783418655,
            0.005191848147660494,
            -0.0008041247492656112,
            7.950163126224652e-05,
        ),
        erf_large=(
            0.00016374494589399546,
            1.1278070211410522,
            0.6369619965553284,
            0.10412395000457764,
            -0.022319167852401733,
            0.003066237084567547,
            -0.0001982712565222755,
        ),
    ),
    FLOAT64: Format(
        integer=INT64,
        mantissa=52,
        bias=1023,
        shifter=1.5 * 2.0**52,
        smallest=2.0**-1022,
        ln2=(0.6931471803691238, 1.9082149292705877e-10),
        exp_range=(-746.0, 709.782712893384),
        exp_gradual=-600.0,
        exp=(
            0.5000000000000011,
            0.1666666666666641,
            0.04166666666652919,
            0.008333333333495632,
            0.0013888888943922083,
            0.00019841269504756754,
            2.480149276321348e-05,
            2.7557587345656863e-06,
            2.763037849805327e-07,
            2.4999964828185012e-08,
        ),
        flat=(-38.0, 19.1, 5.95),
        log=(
            0.6666666666666666,
            0.4000000000000628,
            0.28571428569074425,
            0.22222222648573128,
            0.18181775520446994,
            0.15387097200106134,
            0.13249971002392613,
            0.13252681580764314,
        ),
        log_from=0x3FE6A09E667F3BCD,
        erf_split=1.0,
        erf_small=(
            0.1283791670955126,
            -0.3761263890318375,
            0.11283791670954885,
            -0.026866170645077864,
            0.005223977624828349,
            -0.0008548326981421817,
            0.00012055331132849885,
            -1.4925595770247523e-05,
            1.646100845516724e-06,
            -1.6350396058774938e-07,
            1.4660328055228716e-08,
            -1.1374954596774621e-09,
            5.96068549377771e-11,
        ),
        erf_large=(
            -2.6968939605530075e-08,
            1.1283795107372565,
            0.636617701368632,
            0.10278045735059771,
            -0.019149482071896356,
            -0.0001668759921831019,
            0.0016298143177140795,
            -0.0005069305792151274,
            -5.865734965677348e-05,
            0.0001347190670966359,
            -7.748427101156446e-05,
            2.979411008171702e-05,
            -8.728779451121109e-06,
            2.024786259612234e-06,
            -3.75120511040153e-07,
            5.511679057375352e-08,
            -6.296787614667903e-09,
            5.399562138303192e-10,
            -3.2709946411587376e-11,
            1.2479864905391129e-12,
            -2.2543478886932563e-14,
        ),
    ),
}


# -- the exponential family -----------------------------------------------------------------------


def _reduce(x: Lanes, f: Format) -> tuple[Lanes, Lanes]:
    """x = n ln 2 + r: shifter + n, whose low bits are n, and r with |r| <= 0.347."""
    shifted = fma(x, LOG2_E, f.shifter)
    n = shifted - f.shifter
    r = fma(n, -f.ln2[0], x)
    return shifted, fma(n, -f.ln2[1], r)


def _power_of_two(shifted: Lanes, f: Format, more: int = 0) -> Lanes:
    """2^(n + more), from shifter + n."""
    return ((shifted.bits() << f.mantissa) + ((f.bias + more) << f.mantissa)).bits()


def _expm1_near_zero(r: Lanes, f: Format) -> Lanes:
    """e^r - 1 for the remainder r: r + r^2 h(r)."""
    return fma(r * r, polynomial(r, f.exp), r)


def exp(x: Lanes) -> Lanes:
    """e^x = 2^n e^r. The exponent n is added to the bits of e^r."""
    f = FORMATS[x.dtype]
    low, high = f.exp_range
    step = 1 << (f.mantissa.bit_length() + 1)  # 64: room below for what is not yet subnormal
    y = at_least(x, low)
    shifted, r = _reduce(y, f)
    result = polynomial(r, (1.0, 1.0, *f.exp)).bits() + (shifted.bits() << f.mantissa)
    gradual = y < f.exp_gradual
    result = where(gradual, result + (step << f.mantissa), result).bits()
    result = where(gradual, result * 2.0**-step, result)
    return where(x <= high, result, x + INFINITY)  # NaN stays, too


def expm1(x: Lanes) -> Lanes:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1), at half the size so that 2^1024 is not needed."""
    f = FORMATS[x.dtype]
    y = at_most(at_least(x, f.flat[0]), f.exp_range[1] + 0.1)
    shifted, r = _reduce(y, f)
    half = _power_of_two(shifted, f, -1)
    result = fma(half, _expm1_near_zero(r, f), half - 0.5) * 2.0
    return where(absolute(x) < 2.0 ** (-f.mantissa - 2), x, result)  # subnormals, and -0


def tanh(x: Lanes) -> Lanes:
    """With e = expm1(2 |x|): e / (e + 2) up to 1/2, 1 - 2 / (e + 2) from there; x's sign."""
    f = FORMATS[x.dtype]
    a = at_most(absolute(x), f.flat[1])
    shifted, r = _reduce(a + a, f)
    s = _power_of_two(shifted, f)
    q = _expm1_near_zero(r, f)
    small = a < 0.55
    ratio = where(small, fma(s, q, s - 1.0), 2.0) / fma(s, q, s + 1.0)
    return copysign(where(small, ratio, 1.0 - ratio), x)


def sigmoid(x: Lanes) -> Lanes:
    """With e = e^-|x| and w = e / (1 + e): 1 - w for x >= 0 and e - e w below."""
    f = FORMATS[x.dtype]
    step = f.mantissa + 41  # e may be subnormal, 2^step e is not
    shifted, r = _reduce(at_least(-absolute(x), f.exp_range[0]), f)
    s = _power_of_two(shifted, f, step)
    scaled = fma(s, _expm1_near_zero(r, f), s)
    e = scaled * 2.0**-step
    w = e / (e + 1.0)
    top = where(x < 0.0, scaled, 2.0**step)
    return fma(-top, w, top) * 2.0**-step


# -- logarithms -----------------------------------------------------------------------------------


def _significand(x: Lanes, f: Format) -> tuple[Lanes, Lanes]:
    """x = 2^k m for a positive normal x: k as an integer, m from `log_from` to twice that."""
    offset = x.bits() - f.log_from
    m = (offset & ((1 << f.mantissa) - 1)) + f.log_from
    return offset >> f.mantissa, m.bits()


def _whole(k: Lanes, f: Format) -> Lanes:
    """A small integer as a floating number, without a conversion (float64 has none on AVX2)."""
    shifter_bits = int(np.array(f.shifter, {INT32: "f4", INT64: "f8"}[k.dtype]).view(k.dtype))
    return (k + shifter_bits).bits() - f.shifter


def _log_of(near_one: Lanes, k: Lanes, f: Format) -> Lanes:
    """log(2^k (1 + near_one))."""
    if near_one.dtype == FLOAT32:
        low = fma(k, f.ln2[1], near_one)
        low = fma(near_one * near_one, polynomial(near_one, f.log), low)
        return fma(k, f.ln2[0], low)
    half_square = near_one * near_one * 0.5
    q = near_one / (near_one + 2.0)
    z = q * q
    tail = fma(q, fma(z, polynomial(z, f.log), half_square), k * f.ln2[1])
    return fma(k, f.ln2[0], near_one - (half_square - tail))


def _log_limits(x: Lanes, result: Lanes) -> Lanes:
    """The result where x is positive and finite; -inf at 0, NaN below, x itself beyond."""
    result = where(x < INFINITY, result, x)
    return where(x > 0.0, result, where(x.equals(0.0), -INFINITY, x.like(float("nan"))))


def log(x: Lanes) -> Lanes:
    """log x = k ln 2 + log m."""
    f = FORMATS[x.dtype]
    subnormal = x < f.smallest
    k, m = _significand(where(subnormal, x * 2.0 ** (f.mantissa + 2), x), f)
    whole = _whole(k, f)
    whole = where(subnormal, whole - (f.mantissa + 2.0), whole)
    return _log_limits(x, _log_of(m - 1.0, whole, f))


def log1p(x: Lanes) -> Lanes:
    """log(1 + x) = k ln 2 + log(m), m with what the sum 1 + x lost put back."""
    f = FORMATS[x.dtype]
    u = x + 1.0
    lost = x - (u - 1.0)
    k, m = _significand(u, f)
    scale = ((f.bias << f.mantissa) - (k << f.mantissa)).bits()
    near_one = where(lost.equals(0.0), m - 1.0, fma(lost, scale, m - 1.0))
    result = _log_limits(u, _log_of(near_one, _whole(k, f), f))
    return where(absolute(x) < 2.0 ** (-f.mantissa - 2), x, result)  # subnormals, and -0


# -- the error function ---------------------------------------------------------------------------


def erf(x: Lanes) -> Lanes:
    """x + x E(x^2) up to the split, 1 - e^-T(x) from there."""
    f = FORMATS[x.dtype]
    a = at_most(absolute(x), f.flat[2])
    near = fma(x, polynomial(x * x, f.erf_small), x)
    shifted, r = _reduce(-polynomial(a, f.erf_large), f)
    s = _power_of_two(shifted, f)
    far = copysign(fma(-s, _expm1_near_zero(r, f), 1.0 - s), x)
    return where(a < f.erf_split, near, far)
