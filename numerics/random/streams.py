"""Random streams keyed by (seed, path index), and the draws made from them.

Every path owns a xoshiro256+ generator, so its noise does not depend on what runs beside it. Of
each 64-bit output only high bits are used, the low ones of this generator being weak. Blocks of
`LANES` paths advance together: entry [·, b] of an array belongs to path b of the block.

The compiled functions fill rows of a block; `PathStreams` draws the same numbers with NumPy, for
reading and for tests.

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
    cosine_series,
    from_bits,
    sine_series,
    to_bits,
)

LANES = 32
"""Paths in a block."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SIGN = np.uint64(0x8000000000000000)
ONE = np.uint64(0x3FF0000000000000)
MANTISSA = np.uint64(0x000FFFFFFFFFFFFF)
SQRT_HALF = np.uint64(0x3FE6A09E667F3BCD)
INTEGER = np.uint64(0x4330000000000000)
"""Bits of 2⁵²: the low bits of such a double count units."""

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
    z2 = z * z
    z4 = z2 * z2
    low = (4.0 + z * (4 / 3)) + z2 * (4 / 5 + z * (4 / 7))
    high = (4 / 9 + z * (4 / 11)) + z2 * (4 / 13 + z * (4 / 15)) + z4 * (4 / 17 + z * (4 / 19))
    return math.sqrt(e * (2.0 * LN2) - s * (low + z4 * high))


@njit(forceinline=True, fastmath=EXACT, error_model="numpy")
def circle_point(bits: Word) -> tuple[float, float]:
    """Uniform point of the unit circle: an angle in [−π/4, π/4), mirrored by three more bits."""
    x = (from_bits(((bits << U3) >> U12) | ONE) - 1.5) * (0.5 * math.pi)
    sine, cosine = sine_series(x), cosine_series(x)
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
    s0: Word, s1: Word, s2: Word, s3: Word
) -> tuple[float, float, Word, Word, Word, Word]:
    """Draw two independent standard normals; the new state follows."""
    u, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    v, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    radius = gaussian_radius(u)
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


class PathStreams:
    """The generators of some paths, drawn from with plain NumPy.

    Parameters
    ----------
    seed : int or sequence of int
        Seed of the run.
    paths : int
        Number of paths.
    first : int
        Index of the first one.
    """

    def __init__(self, seed: Seed, paths: int, first: int = 0) -> None:
        self._state = list(initial_states(seed, first, paths))

    def bits(self) -> Bits:
        """Next 64 bits of every path, shape (paths,)."""
        s0, s1, s2, s3 = self._state
        bits = s0 + s3
        t = s1 << U17
        s2 = s2 ^ s0
        s3 = s3 ^ s1
        self._state = [s0 ^ s3, s1 ^ s2, s2 ^ t, (s3 << U45) | (s3 >> U19)]
        return bits

    def uniform(self) -> Doubles:
        """Uniform in [0, 1), shape (paths,)."""
        return np.asarray((self.bits() >> U12) * 2.0**-52, dtype=np.float64)

    def normal_pair(self) -> Doubles:
        """Two independent standard normals a path, shape (2, paths)."""
        radius = np.sqrt(-2.0 * np.log(1.0 - self.uniform()))
        bits = self.bits()
        angle = (((bits << U3) >> U12) * 2.0**-52 - 0.5) * (0.5 * np.pi)
        point = np.stack([np.cos(angle), np.sin(angle)])
        point = np.where(bits & SIGN, point[::-1], point)
        signs = 1.0 - 2.0 * np.stack([(bits >> np.uint64(62)) & U1, (bits >> np.uint64(61)) & U1])
        return np.asarray(radius * signs * point)
