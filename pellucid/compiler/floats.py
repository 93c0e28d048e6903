"""What the formulas of `vectormath` need to know of float32 and of float64.

The polynomials are minimax fits, made in 50 digits; those of float32 have
coefficients rounded one after the other, each time fitting the rest again. The
error stated is the largest relative error of the function for exact arithmetic,
for float32 and for float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .lanes import FLOAT32, FLOAT64, INT32, INT64

Coefficients = tuple[float, ...]
"""Lowest power first."""


@dataclass(frozen=True)
class Format:
    """A floating-point format: its layout, the bounds of the functions, and their polynomials."""

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
    tiny: float
    """Below it expm1(x) and log1p(x) are x."""

    ln2: tuple[float, float]
    """ln 2 in two parts, both positive; the first times a whole exponent is exact."""
    exp_range: tuple[float, float]
    """Below the first exp is 0; above the second it is infinite."""
    exp_gradual: float
    """Below it exp is scaled in two steps, as its result may be subnormal."""
    lift: int
    """2^lift times any result of exp is normal."""
    exp: Coefficients
    """(e^r - 1 - r) / r^2 for |r| <= 0.3470; 2^-28, 2^-57."""
    expm1_flat: float
    """Below it expm1 is -1."""

    exp2: Coefficients
    """2^r for |r| <= 0.5002; 2^-26, 2^-58: for sums in which it is the smaller part."""
    tanh_split: float
    tanh: Coefficients
    """(tanh x - x) / x^3 in x^2, for x <= 0.551; 2^-29, 2^-60."""
    tanh_flat: float
    """From it on tanh is 1."""

    log: Coefficients
    """float32: (log(1 + t) - t) / t^2 for |t| <= 1/3; 2^-26.
    float64: (log((1 + q) / (1 - q)) - 2 q) / q^3 in q^2, for q^2 <= 0.0295; 2^-66."""
    log_from: int
    """Bits of the number from which significands are taken, up to twice that number."""

    erf_split: float
    erf_near: Coefficients
    """erf(x) / x - 1 in x^2, up to the split; 2^-28, 2^-62."""
    erf_far: Coefficients
    """log2(1 - erf x) in x, from the split on; 2^-28, 2^-63 of erf."""
    erf_flat: float
    """From it on erf is 1."""

    sin: Coefficients
    """(sin r - r) / r^3 in r^2, for |r| <= 0.786; 2^-28, 2^-68."""
    cos: Coefficients
    """(cos r - 1 + r^2 / 2) / r^4 in r^2, for |r| <= 0.786; 2^-33, 2^-75."""


FORMATS = {
    FLOAT32: Format(
        integer=INT32,
        mantissa=23,
        bias=127,
        shifter=1.5 * 2.0**23,
        smallest=2.0**-126,
        tiny=2.0**-25,
        ln2=(0.693145751953125, 1.4286067653302e-06),
        exp_range=(-104.0, 88.72283172607422),
        exp_gradual=-60.0,
        lift=64,
        exp=(
            0.4999999403953552,
            0.16666516661643982,
            0.041668105870485306,
            0.008369136601686478,
            0.0013836609432473779,
        ),
        expm1_flat=-17.5,
        exp2=(
            1.0,
            0.6931471824645996,
            0.24022594094276428,
            0.055503662675619125,
            0.009625446051359177,
            0.0013387923827394843,
            0.00013332439993973821,
        ),
        tanh_split=0.55,
        tanh=(
            -0.33333316445350647,
            0.133325457572937,
            -0.05384787917137146,
            0.021052980795502663,
            -0.006247739307582378,
        ),
        tanh_flat=9.1,
        log=(
            -0.5,
            0.33333179354667664,
            -0.24999971687793732,
            0.20012520253658295,
            -0.1667127013206482,
            0.13971340656280518,
            -0.12327598035335541,
            0.1415524184703827,
            -0.12216981500387192,
        ),
        log_from=0x3F2AAAAB,  # 2/3
        erf_split=0.8,
        erf_near=(
            0.12837916612625122,
            -0.37612611055374146,
            0.11283207684755325,
            -0.026824433356523514,
            0.0050910538993775845,
            -0.0006569928955286741,
        ),
        erf_far=(
            -9.422831499250606e-05,
            -1.6276944875717163,
            -0.9178667068481445,
            -0.15119951963424683,
            0.032689418643713,
            -0.00455057667568326,
            0.0002993810339830816,
        ),
        erf_flat=3.93,
        sin=(
            -0.16666655242443085,
            0.008332190103828907,
            -0.00019518405315466225,
        ),
        cos=(
            0.04166664555668831,
            -0.00138873013202101,
            2.4430661142105237e-05,
        ),
    ),
    FLOAT64: Format(
        integer=INT64,
        mantissa=52,
        bias=1023,
        shifter=1.5 * 2.0**52,
        smallest=2.0**-1022,
        tiny=2.0**-54,
        ln2=(0.6931471803691238, 1.9082149292705877e-10),
        exp_range=(-746.0, 709.782712893384),
        exp_gradual=-600.0,
        lift=128,
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
        expm1_flat=-38.0,
        exp2=(
            1.0,
            0.6931471805599453,
            0.24022650695910155,
            0.05550410866481992,
            0.009618129107588169,
            0.0013333558146791167,
            0.0001540353046272781,
            1.5252733489200173e-05,
            1.3215432979728193e-06,
            1.017819819317847e-07,
            7.074125187759905e-09,
            4.4352791018660214e-10,
        ),
        tanh_split=0.55,
        tanh=(
            -0.333333333333333,
            0.13333333333326366,
            -0.053968253963609575,
            0.021869488381427948,
            -0.008863232527183894,
            0.00359209126316372,
            -0.0014555377950062555,
            0.0005884232545044549,
            -0.00023332640160185267,
            8.323575679861455e-05,
            -1.944387918314021e-05,
        ),
        tanh_flat=19.1,
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
        log_from=0x3FE6A09E667F3BCD,  # sqrt(1/2)
        erf_split=0.85,
        erf_near=(
            0.1283791670955126,
            -0.3761263890318375,
            0.11283791670954689,
            -0.026866170645017954,
            0.005223977623923708,
            -0.0008548326903283068,
            0.0001205532694599668,
            -1.4925450398997207e-05,
            1.6457680743031349e-06,
            -1.6300530825999991e-07,
            1.4189735033173666e-08,
            -8.837455353471939e-10,
        ),
        erf_far=(
            2.8252855182151003e-08,
            -1.627907402655501,
            -0.9184458521158266,
            -0.14827868529493976,
            0.027621811181889236,
            0.0002494755197701687,
            -0.0023629261003556695,
            0.0007435074083695636,
            7.44186282931319e-05,
            -0.00018743430486780753,
            0.00010796795399212094,
            -4.126957894966016e-05,
            1.19674606564173e-05,
            -2.7366579084956686e-06,
            4.976284100874431e-07,
            -7.141207864523078e-08,
            7.923554986808784e-09,
            -6.556509433643455e-10,
            3.804280423451133e-11,
            -1.3781921284904199e-12,
            2.3397691251524528e-14,
        ),
        erf_flat=5.95,
        sin=(
            -0.16666666666666666,
            0.008333333333333323,
            -0.0001984126984125499,
            2.755731921414881e-06,
            -2.5052104900525846e-08,
            1.6058365191235426e-10,
            -7.578625393016716e-13,
        ),
        cos=(
            0.041666666666666664,
            -0.0013888888888888874,
            2.4801587301571384e-05,
            -2.7557319215326517e-07,
            2.0876754354838246e-09,
            -1.1470291958648035e-11,
            4.7380490644231976e-14,
        ),
    ),
}
