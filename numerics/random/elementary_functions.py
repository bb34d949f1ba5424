"""Elementary functions that compilers turn into vector code.

The C library's functions are calls, and a loop with a call in it runs one path at a time. These
are branch-free polynomials on reduced arguments, with errors of a few units in the last place
(held against the C library in the tests). They allow fused multiply-adds and nothing else: with
reassociation, rounding by a magic number and compensated reductions would be optimised away.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

EXACT = {"contract"}
"""Floating-point freedom of these helpers."""

ROUNDER = 6755399441055744.0
"""1.5·2⁵²: adding it and taking it away rounds to the nearest integer, kept in the low bits."""

LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453
LN2_HIGH = 6.93147180369123816490e-01
LN2_LOW = 1.90821492927058770002e-10
TWO_OVER_PI = 0.6366197723675814
HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
"""π/2 in three parts; multiples of the first up to 2²⁰ are exact."""

INVERSE_FACTORIALS = tuple(1.0 / math.factorial(k) for k in range(19))
F = INVERSE_FACTORIALS


@njit(forceinline=True, fastmath=EXACT)
def to_bits(x: float) -> np.uint64:
    """Reinterpret a double as its 64 bits."""
    return np.float64(x).view(np.uint64)


@njit(forceinline=True, fastmath=EXACT)
def from_bits(bits: np.uint64) -> float:
    """Reinterpret 64 bits as a double."""
    return np.uint64(bits).view(np.float64)


@njit(forceinline=True, fastmath=EXACT)
def _power_of_two(exponent: float) -> float:
    """2^exponent for an integral double in [−1022, 1023]."""
    return from_bits(to_bits(exponent + (ROUNDER + 1023.0)) << np.uint64(52))


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def _reduced_expm1(r: float) -> float:
    """e^r − 1 for |r| ≤ ½ log 2."""
    high = F[10] + r * (F[11] + r * (F[12] + r * F[13]))
    low = F[3] + r * (
        F[4] + r * (F[5] + r * (F[6] + r * (F[7] + r * (F[8] + r * (F[9] + r * high)))))
    )
    return r + r * r * (0.5 + r * low)


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def exp(x: float) -> float:
    """e^x; 0 below −745.2, infinite above 709.8."""
    bounded = min(max(x, -746.0), 710.0)
    k = (bounded * LOG2_E + ROUNDER) - ROUNDER
    r = (bounded - k * LN2_HIGH) - k * LN2_LOW
    half = ((0.5 * k) + ROUNDER) - ROUNDER
    value = (1.0 + _reduced_expm1(r)) * _power_of_two(half) * _power_of_two(k - half)
    return x if math.isnan(x) else value


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def tanh(x: float) -> float:
    """Hyperbolic tangent, from e^{2|x|} − 1."""
    y = min(2.0 * abs(x), 44.0)
    k = (y * LOG2_E + ROUNDER) - ROUNDER
    r = (y - k * LN2_HIGH) - k * LN2_LOW
    scale = _power_of_two(k)
    t = scale * _reduced_expm1(r) + (scale - 1.0)
    value = math.copysign(t / (t + 2.0), x)
    return x if math.isnan(x) else value


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def sinh(x: float) -> float:
    """Hyperbolic sine, from e^{|x|} − 1."""
    y = abs(x)
    half = exp(0.5 * y)
    bounded = min(y, 44.0)
    k = (bounded * LOG2_E + ROUNDER) - ROUNDER
    r = (bounded - k * LN2_HIGH) - k * LN2_LOW
    scale = _power_of_two(k)
    t = scale * _reduced_expm1(r) + (scale - 1.0)
    near = 0.5 * (t + t / (t + 1.0))
    far = 0.5 * half * half
    return math.copysign(near if y < 20.0 else far, x)


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def cosh(x: float) -> float:
    """Hyperbolic cosine."""
    half = exp(0.5 * abs(x))
    return 0.5 * half * half + 0.5 / (half * half)


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def log(x: float) -> float:
    """Natural logarithm; −∞ at 0, NaN below."""
    tiny = x < 2.2250738585072014e-308
    bits = to_bits(x * 18014398509481984.0 if tiny else x)
    # The exponent that leaves a mantissa in [√½, √2).
    exponent = (bits - np.uint64(0x3FE6A09E667F3BCD)) >> np.uint64(52)
    m = from_bits(bits - (exponent << np.uint64(52)))
    e = from_bits((exponent & np.uint64(0xFFF)) | np.uint64(0x4330000000000000))
    e = e - 4503599627370496.0
    e = (e - 4096.0 if e > 2048.0 else e) - (54.0 if tiny else 0.0)
    value = e * LN2_HIGH + (log_of_mantissa(m) + e * LN2_LOW)
    value = x if x == np.inf else value
    value = -np.inf if x == 0.0 else value
    return value if x >= 0.0 else np.nan


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def log_of_mantissa(m: float) -> float:
    """Logarithm of m for m in [√½, √2), as 2 artanh((m − 1)/(m + 1))."""
    f = m - 1.0
    s = f / (m + 1.0)
    z = s * s
    high = 1 / 13 + z * (1 / 15 + z * (1 / 17 + z * (1 / 19 + z * (1 / 21))))
    series = z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * high)))))
    # 2s = f − s f, with the rounding error of the quotient kept out of the leading term.
    return f - s * (f - 2.0 * series)


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def sine_series(x: float) -> float:
    """Sine for |x| ≤ π/4."""
    z = x * x
    high = F[9] - z * (F[11] - z * (F[13] - z * F[15]))
    return x - x * z * (F[3] - z * (F[5] - z * (F[7] - z * high)))


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def cosine_series(x: float) -> float:
    """Cosine for |x| ≤ π/4."""
    z = x * x
    high = F[8] - z * (F[10] - z * (F[12] - z * (F[14] - z * F[16])))
    return 1.0 - z * (0.5 - z * (F[4] - z * (F[6] - z * high)))


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def _quadrant(x: float, shift: int) -> float:
    """Sine of x + shift·π/2, from the nearest multiple of π/2."""
    rounded = x * TWO_OVER_PI + ROUNDER
    k = rounded - ROUNDER
    r = ((x - k * HALF_PI[0]) - k * HALF_PI[1]) - k * HALF_PI[2]
    q = to_bits(rounded) + np.uint64(shift)
    value = cosine_series(r) if q & np.uint64(1) else sine_series(r)
    return from_bits(to_bits(value) ^ ((q & np.uint64(2)) << np.uint64(62)))


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def sin(x: float) -> float:
    """Sine; the absolute error stays below 10⁻¹⁵ for |x| up to 10⁶."""
    return _quadrant(x, 0)


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def cos(x: float) -> float:
    """Cosine; the absolute error stays below 10⁻¹⁵ for |x| up to 10⁶."""
    return _quadrant(x, 1)


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def tan(x: float) -> float:
    """Tangent, as the quotient of sine and cosine."""
    return sin(x) / cos(x)
