"""Functions of float64 arrays whose bits are the same on every machine.

Only +, -, *, / and square roots, each rounded correctly by IEEE 754: the
logarithm of the C library, and so NumPy's, may differ in its last bit from one
machine to the next. For constants and initial values, not for speed.
"""

from __future__ import annotations

import numpy as np

_LN2_HIGH = 0.6931471803691238  # ends in zero bits: its product with an exponent is exact
_LN2_LOW = 1.9082149292705877e-10
_SQRT_HALF = 0.7071067811865476

# Coefficients of Wichura's PPND16, highest power first: numerator, denominator.
_CENTER = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_MIDDLE = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


def log(x: float | np.ndarray) -> np.ndarray:
    """Natural logarithm of positive finite numbers, within two units of the last place.

    With x = m 2^e, m in [0.707, 1.414), and s = (m - 1) / (m + 1):
    ln x = e ln 2 + 2 (s + s^3 / 3 + s^5 / 5 + ...).

    Args:
        x: positive numbers, taken as float64.

    Returns:
        float64 array of x's shape.
    """
    m, e = np.frexp(np.asarray(x, np.float64))
    low = m < _SQRT_HALF
    m = np.where(low, 2.0 * m, m)
    exponent = np.where(low, e - 1, e).astype(np.float64)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = np.zeros_like(s)
    for n in range(25, 1, -2):
        series = (series + 1.0 / n) * square
    return exponent * _LN2_HIGH + (exponent * _LN2_LOW + (2.0 * s * series + 2.0 * s))


def normal_quantile(p: np.ndarray) -> np.ndarray:
    """The number below which a standard normal variable falls with probability p.

    Args:
        p: probabilities strictly between 0 and 1, taken as float64.

    Returns:
        float64 array of p's shape.

    Source: M. J. Wichura, Algorithm AS 241: The percentage points of the normal
    distribution, Applied Statistics 37 (1988), PPND16.
    """
    p = np.asarray(p, np.float64)
    q = p - 0.5
    center = _ratio(_CENTER, 0.180625 - q * q) * q
    r = np.sqrt(-log(np.where(q <= 0.0, p, 1.0 - p)))
    far = np.where(r <= 5.0, _ratio(_MIDDLE, r - 1.6), _ratio(_TAIL, r - 5.0))
    return np.where(np.abs(q) <= 0.425, center, np.where(q < 0.0, -far, far))


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: np.ndarray) -> np.ndarray:
    above, below = (np.full_like(r, c[0]) for c in coefficients)
    for a, b in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        above = above * r + a
        below = below * r + b
    return above / below
