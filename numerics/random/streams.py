"""Random streams keyed by (seed, path index), and the draws made from them.

Every path owns a xoshiro256+ generator, so its noise does not depend on what runs beside it. Of
each 64-bit output only high bits are used, the low ones of this generator being weak. Blocks of
`LANES` paths advance together: entry [·, b] of an array belongs to path b of the block.

`plain_streams` draws the same numbers with NumPy.

Sources: Blackman, Vigna, "Scrambled linear pseudorandom number generators" (2021); Box, Muller
(1958).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .elementary_functions import (
    EXACT,
    LN2,
    from_bits,
    to_bits,
)

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SIGN = np.uint64(0x8000000000000000)
ONE = np.uint64(0x3FF0000000000000)
MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
SQRT_HALF = np.uint64(0x3FE6A09E667F3BCD)
INTEGER = np.uint64(0x4330000000000000)
"""Bits of 2⁵²: the low bits of such a double count units."""

ARTANH = (
    4.0,
    1.3333333333317499,
    0.800000001042702,
    0.5714283430283427,
    0.4444674042195297,
    0.36247376165712714,
    0.3363859654631158,
)
"""4 artanh(s)/s in powers of s², for |s| ≤ (√2 − 1)/(√2 + 1)."""

SINE = (
    1.5707963267948966,
    -0.6459640975062443,
    0.07969262624603957,
    -0.004681754132282454,
    0.00016044115029189453,
    -3.5986417551299964e-06,
    5.633721075556274e-08,
)
"""sin(πy/2)/y in powers of y², for |y| ≤ ½."""

COSINE = (
    1.0,
    -1.2337005501361553,
    0.2536695078999594,
    -0.020863480735867912,
    0.0009192599541507146,
    -2.5200143066818604e-05,
    4.655337318867282e-07,
)
"""cos(πy/2) in powers of y², for |y| ≤ ½; like the two before of least largest relative error,
which is below 2·10⁻¹⁶ (Remez' algorithm)."""

U1, U2, U3, U12, U17, U19, U45, U52 = (np.uint64(n) for n in (1, 2, 3, 12, 17, 19, 45, 52))

Seed: TypeAlias = int | Sequence[int]
Bits: TypeAlias = NDArray[np.uint64]
Doubles: TypeAlias = NDArray[np.float64]
Word: TypeAlias = np.uint64


def initial_states(seed: Seed, first: int, count: int) -> Bits:
    """States of the generators of paths `first`, …, `first + count − 1`.

    Word k of path p is the p-th output of a splitmix64 sequence that starts at word k of the
    expanded seed, so paths and seeds give unrelated states.

    Parameters
    ----------
    seed : int or sequence of int
        Non-negative, of any size.
    first, count : int
        Path indices.

    Returns
    -------
    ndarray of uint64, shape (4, count)
    """
    start = np.random.SeedSequence(seed).generate_state(4, np.uint64)
    path = np.arange(first, first + count, dtype=np.uint64)
    z = start[:, None] + (path + U1) * GOLDEN
    z = (z ^ (z >> np.uint64(30))) * MIX[0]
    z = (z ^ (z >> np.uint64(27))) * MIX[1]
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


@njit(forceinline=True, fastmath=EXACT)
def next_bits(s0: Word, s1: Word, s2: Word, s3: Word) -> tuple[Word, Word, Word, Word, Word]:
    """One step of xoshiro256+: its output and the new state."""
    bits = s0 + s3
    t = s1 << U17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = (s3 << U45) | (s3 >> U19)
    return bits, s0, s1, s2, s3


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def unit(bits: Word) -> float:
    """Uniform in [0, 1), from the 52 high bits."""
    return from_bits((bits >> U12) | ONE) - 1.0


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def gaussian_radius(bits: Word) -> float:
    """√(−2 log u) for u uniform in (0, 1]."""
    u = to_bits(2.0 - from_bits((bits >> U12) | ONE)) + (ONE - SQRT_HALF)
    # u = 2^−e m with m in [√½, √2); log m = 2 artanh s.
    m = from_bits((u & MANTISSA) + SQRT_HALF)
    e = (4503599627370496.0 + 1023.0) - from_bits((u >> U52) | INTEGER)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    c = ARTANH
    low = (c[0] + z * c[1]) + (z * z) * (c[2] + z * c[3])
    high = (c[4] + z * c[5]) + (z * z) * c[6]
    return math.sqrt(e * (2.0 * LN2) - s * (low + (z * z) * (z * z) * high))


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def circle_point(bits: Word) -> tuple[float, float]:
    """Uniform point of the unit circle: an angle in [−π/4, π/4), mirrored by three more bits."""
    y = from_bits(((bits << U3) >> U12) | ONE) - 1.5
    z = y * y
    c = SINE
    sine = y * (c[0] + z * (c[1] + z * (c[2] + z * (c[3] + z * (c[4] + z * (c[5] + z * c[6]))))))
    c = COSINE
    cosine = 1.0 + z * (c[1] + z * (c[2] + z * (c[3] + z * (c[4] + z * (c[5] + z * c[6])))))
    swap = (bits & SIGN) != np.uint64(0)
    first = sine if swap else cosine
    second = cosine if swap else sine
    first = from_bits(to_bits(first) ^ ((bits << U1) & SIGN))
    second = from_bits(to_bits(second) ^ ((bits << U2) & SIGN))
    return first, second


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def uniform(s0: Word, s1: Word, s2: Word, s3: Word) -> tuple[float, Word, Word, Word, Word]:
    """Draw from [0, 1); the new state follows."""
    bits, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    return unit(bits), s0, s1, s2, s3


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def normal_pair(
    scale: float, s0: Word, s1: Word, s2: Word, s3: Word
) -> tuple[float, float, Word, Word, Word, Word]:
    """Draw two independent normals of standard deviation `scale`; the new state follows."""
    u, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    v, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    radius = scale * gaussian_radius(u)
    first, second = circle_point(v)
    return radius * first, radius * second, s0, s1, s2, s3


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def raw(s0: Word, s1: Word, s2: Word, s3: Word) -> tuple[float, Word, Word, Word, Word]:
    """64 random bits kept as a double (of no meaning as a number); the new state follows."""
    bits, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    return from_bits(bits), s0, s1, s2, s3


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def signed(magnitude: float, bits: float, index: int) -> float:
    """±`magnitude`, the sign being bit 63 − `index` of a word kept as a double."""
    return from_bits(to_bits(magnitude) ^ ((to_bits(bits) << np.uint64(index)) & SIGN))
