"""Random streams: the integers everywhere the same, the normals normal, the paths independent."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from scipy import stats
from scipy.special import ndtr

from derive import NoisyGradientDescent
from numerics import compile_descent, simulate_descent
from numerics.random.plain_streams import PathStreams
from numerics.random.streams import circle_point, gaussian_radius, initial_states

MASK = 2**64 - 1


def fresh_noise() -> NoisyGradientDescent:
    """A model whose weight after a step of size one is minus the noise of that step."""
    w, eta = sp.symbols("w eta", real=True)
    return NoisyGradientDescent(w**2 / 2, w**2 / 2 + eta * w, w, eta)


def normals(
    paths: int, steps: int, seed: int = 0, first_path: int = 0, sigma: float = 1.0
) -> np.ndarray:
    """Draws of the fused kernel, shape (paths, steps)."""
    run = simulate_descent(
        compile_descent(fresh_noise()),
        (0.0,),
        alpha=1.0,
        sigma=sigma,
        steps=steps,
        paths=paths,
        seed=seed,
        record=np.arange(1, steps + 1),
        first_path=first_path,
    )
    return -run.weights[:, :, 0]


def xoshiro(state: list[int]) -> int:
    """One step of xoshiro256+ in Python integers, as its authors write it."""
    result = (state[0] + state[3]) & MASK
    t = (state[1] << 17) & MASK
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= t
    state[3] = ((state[3] << 45) | (state[3] >> 19)) & MASK
    return result


def splitmix(state: int) -> int:
    """The output of splitmix64 at a state."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_integer_streams_are_those_of_their_authors() -> None:
    seed, path = 2024, 7
    words = [int(k) for k in np.random.SeedSequence(seed).generate_state(4, np.uint64)]
    state = [splitmix(word + (path + 1) * 0x9E3779B97F4A7C15) for word in words]
    streams = PathStreams(seed, paths=3, first=6)
    for _ in range(100):
        assert int(streams.bits()[1]) == xoshiro(state)


PINNED = [
    ["0xb8163cf40e778b91", "0xbbec4c84c329169d"],
    ["0xc002982fe5bffb49", "0x41c62cc52dacabbe"],
]


def test_integer_streams_are_the_same_everywhere() -> None:
    streams = PathStreams(1, paths=2)
    drawn = [[hex(b) for b in streams.bits()] for _ in range(2)]
    assert drawn == PINNED


def test_streams_are_keyed_by_seed_and_path() -> None:
    states = initial_states(5, 0, 1000)
    np.testing.assert_array_equal(initial_states(5, 100, 20), states[:, 100:120])
    assert len({tuple(s) for s in states.T}) == 1000
    assert not np.isin(initial_states(6, 0, 1000), states).any()
    assert not np.array_equal(initial_states((5, 0), 0, 1), initial_states((5, 1), 0, 1))


def test_the_fused_kernel_draws_from_these_streams() -> None:
    """Bits, pairs and σ are those of plain NumPy, to 16 roundings of numbers of order one."""
    streams = PathStreams(3, paths=40, first=5)
    pairs = np.concatenate([streams.normal_pair() for _ in range(4)])
    drawn = normals(paths=40, steps=8, seed=3, first_path=5, sigma=0.3)
    np.testing.assert_allclose(drawn, 0.3 * pairs.T, rtol=0, atol=16 * float(np.finfo(float).eps))


def angles_and_radii() -> list[int]:
    """Words that give the ends of both ranges, both signs of each kind, and a thousand others."""
    ends = [0, MASK, 1 << 12, MASK << 12 & MASK, 1 << 63, 1 << 62, 1 << 61, MASK >> 3, MASK << 9]
    drawn = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
    return [word & MASK for word in ends] + [int(word) for word in drawn]


def test_normals_are_made_to_round_off() -> None:
    """Four units in the last place: the polynomials err by less than one, each rounding by half."""
    bound = 4 * float(np.finfo(float).eps)
    with mp.workdps(40):
        for word in angles_and_radii():
            exact = mp.sqrt(-2 * mp.log(1 - mp.mpf(word >> 12) / 2**52))
            assert abs(gaussian_radius(np.uint64(word)) - exact) <= bound * exact, hex(word)
            y = mp.mpf((word << 3 & MASK) >> 12) / 2**52 - mp.mpf(1) / 2
            point = [mp.cospi(y / 2), mp.sinpi(y / 2)][:: -1 if word >> 63 else 1]
            signs = [1 - 2 * (word >> 62 & 1), 1 - 2 * (word >> 61 & 1)]
            for found, sign, size in zip(circle_point(np.uint64(word)), signs, point, strict=True):
                assert abs(found - sign * size) <= bound * abs(size), hex(word)


@pytest.mark.slow
def test_ten_million_normals() -> None:
    """Moments within 4 standard errors, and the distribution within the 99.9 % Kolmogorov bound."""
    draws = normals(paths=100_000, steps=100)
    z = draws.ravel()
    n = z.size
    for power, mean, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)]:
        assert abs((z**power).mean() - mean) < 4 * np.sqrt(variance / n), power
    # Between neighbouring steps (the two of a pair among them), paths, and their squares.
    for a, b in [
        (draws[:, 1:], draws[:, :-1]),
        (draws[:, 2:], draws[:, :-2]),
        (draws[1:], draws[:-1]),
        (draws[32:], draws[:-32]),
    ]:
        assert abs((a * b).mean()) < 4 / np.sqrt(a.size)
        assert abs(((a**2 - 1) * (b**2 - 1)).mean()) < 4 * 2 / np.sqrt(a.size)
    z.sort()
    distance = np.abs(ndtr(z) - (np.arange(n) + 0.5) / n).max()
    assert distance * np.sqrt(n) < stats.kstwobign.isf(1e-3)


def test_seeds_give_independent_paths() -> None:
    a, b = normals(20_000, 10, seed=1), normals(20_000, 10, seed=2)
    assert abs((a * b).mean()) < 4 / np.sqrt(a.size)


@pytest.mark.slow
def test_tails_of_a_billion_normals() -> None:
    """Counts beyond 2σ … 5σ on either side within 4 standard deviations of their Poisson law."""
    limits = np.array([2.0, 3.0, 4.0, 4.5, 5.0])
    counts = np.zeros((2, len(limits)))
    repeats, paths, steps = 100, 100_000, 100
    for i in range(repeats):
        z = normals(paths, steps, seed=3, first_path=i * paths).ravel()
        counts[0] += [np.count_nonzero(z > x) for x in limits]
        counts[1] += [np.count_nonzero(z < -x) for x in limits]
    expected = repeats * paths * steps * stats.norm.sf(limits)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected)).all()
