"""The theorem in floating point against the same theorem in 50 digits, on random maps."""

import mpmath
import numpy as np
import pytest

from derive.symbolic.numbers.matrices import Matrix
from derive.theory.limit_map import SlowMotion as Exact
from derive.theory.map_jets import MapJet
from numerics.geometry.slow_motion import Mixture, SlowMotion

D, K, POINTS, PARTS = 5, 3, 4, 2


def random_motion(rng: np.random.Generator) -> SlowMotion:
    """Maps of R⁵ that fix a surface: DT₀ = I + C_a J, two of them at random, and noise."""
    normals = rng.normal(size=(POINTS, K, D))
    gram = normals @ np.swapaxes(normals, 1, 2)
    inverse = np.swapaxes(np.linalg.solve(gram, normals), 1, 2)
    matrices = np.stack(
        [np.eye(D) + (-0.5 * inverse + 0.1 * rng.normal(size=(POINTS, D, K))) @ normals]
        + [0.2 * rng.normal(size=(POINTS, D, K)) @ normals for _ in range(PARTS - 1)],
        axis=1,
    )
    means = np.tile([1.0, 0.0], (POINTS, 1))
    products = np.tile([1.0, 0.7], (POINTS, 1))
    first = Mixture(matrices, means, np.array([[0, 0], [1, 1]]), products)
    bend = np.array([(k, i, j) for k in range(D) for i in range(D) for j in range(i, D)])
    root = rng.normal(size=(POINTS, D, D))
    return SlowMotion(
        first,
        bend,
        rng.normal(size=(POINTS, len(bend))),
        rng.normal(size=(POINTS, D)),
        root @ np.swapaxes(root, 1, 2),
        normals,
    )


def exact(motion: SlowMotion, p: int) -> Exact:
    """The same map at one point, in 50 digits."""
    matrices = [mpmath.matrix(m.tolist()) for m in motion.first.matrices[p]]

    def pair(x: Matrix) -> Matrix:
        weights = zip(motion.first.pairs, motion.first.products[p], strict=True)
        return sum(
            (mpmath.mpf(w) * matrices[a] * x * matrices[b].T for (a, b), w in weights),
            mpmath.zeros(D),
        )

    def second(x: Matrix) -> Matrix:
        out = mpmath.zeros(D, 1)
        for (k, i, j), value in zip(motion.bend.tolist(), motion.bends[p], strict=True):
            out[k] += mpmath.mpf(value) * x[i, j] * (1 if i == j else 2)
        return out

    column = mpmath.matrix(motion.bias[p].tolist())
    noise = mpmath.matrix(motion.noise[p].tolist())
    return Exact(
        MapJet(matrices[0], pair, second, column, noise), mpmath.matrix(motion.normals[p].tolist())
    )


@pytest.mark.parametrize("name", ["projector", "fluctuation", "covariance", "spread", "drift"])
def test_floats_follow_fifty_digits(name) -> None:
    motion = random_motion(np.random.default_rng(0))
    for p in range(POINTS):
        with mpmath.workdps(50):
            expected = np.array(getattr(exact(motion, p), name).tolist(), dtype=float)
        value = getattr(motion, name)[p].reshape(expected.shape)
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-10 * abs(expected).max())
