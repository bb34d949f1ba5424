"""The random streams in plain NumPy: the numbers of `streams`, for arrays of paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .streams import SIGN, U3, U12, U17, U19, U45, Bits, Doubles, Seed, initial_states


def next_bits(s0: Bits, s1: Bits, s2: Bits, s3: Bits) -> tuple[Bits, Bits, Bits, Bits, Bits]:
    """One step of xoshiro256+: its output and the new state."""
    bits, t = s0 + s3, s1 << U17
    s2, s3 = s2 ^ s0, s3 ^ s1
    return bits, s0 ^ s3, s1 ^ s2, s2 ^ t, (s3 << U45) | (s3 >> U19)


def uniform(s0: Bits, s1: Bits, s2: Bits, s3: Bits) -> tuple[Doubles, Bits, Bits, Bits, Bits]:
    """Draw from [0, 1); the new state follows."""
    bits, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    return np.asarray((bits >> U12) * 2.0**-52, dtype=np.float64), s0, s1, s2, s3


def normal_pair(
    scale: float, s0: Bits, s1: Bits, s2: Bits, s3: Bits
) -> tuple[Doubles, Doubles, Bits, Bits, Bits, Bits]:
    """Draw two independent normals of standard deviation `scale`; the new state follows."""
    u, s0, s1, s2, s3 = uniform(s0, s1, s2, s3)
    bits, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    radius = scale * np.sqrt(-2.0 * np.log(1.0 - u))
    angle = (((bits << U3) >> U12) * 2.0**-52 - 0.5) * (0.5 * np.pi)
    cosine, sine, swap = radius * np.cos(angle), radius * np.sin(angle), (bits & SIGN) != 0
    first = _flipped(np.where(swap, sine, cosine), bits, 1)
    return first, _flipped(np.where(swap, cosine, sine), bits, 2), s0, s1, s2, s3


def raw(s0: Bits, s1: Bits, s2: Bits, s3: Bits) -> tuple[Doubles, Bits, Bits, Bits, Bits]:
    """64 random bits kept as doubles (of no meaning as numbers); the new state follows."""
    bits, s0, s1, s2, s3 = next_bits(s0, s1, s2, s3)
    return bits.view(np.float64), s0, s1, s2, s3


def signed(magnitude: float, bits: Doubles, index: int) -> Doubles:
    """±`magnitude`, the sign being bit 63 − `index` of words kept as doubles."""
    return _flipped(magnitude, bits.view(np.uint64), index)


def _flipped(values: ArrayLike, bits: Bits, index: int) -> Doubles:
    """The values, with the other sign where bit 63 − `index` is set."""
    flip = (bits << np.uint64(index)) & SIGN
    return (np.asarray(values, dtype=np.float64).view(np.uint64) ^ flip).view(np.float64)


class PathStreams:
    """The generators of some paths.

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
        self._state: list[Bits] = list(initial_states(seed, first, paths))

    def bits(self) -> Bits:
        """Next 64 bits of every path, shape (paths,)."""
        bits, *self._state = next_bits(*self._state)
        return bits

    def uniform(self) -> Doubles:
        """Uniform in [0, 1), shape (paths,)."""
        drawn, *self._state = uniform(*self._state)
        return drawn

    def normal_pair(self) -> Doubles:
        """Two independent standard normals per path, shape (2, paths)."""
        first, second, *self._state = normal_pair(1.0, *self._state)
        return np.stack([first, second])
