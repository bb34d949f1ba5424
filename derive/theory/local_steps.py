"""Local steps: workers that descend by themselves for a time and then share the mean of weights.

With H = T/α local steps on each of p workers between two means, T fixed as α → 0, the slow motion
in time kα²σ² of local steps k is that of descent whose gradient noise has, in an eigenbasis of H
with eigenvalues λ_a (0 along Γ), the covariance

    Σ'_ab = Σ_ab f(T(λ_a + λ_b)),  f(x) = 1/p + (1 − 1/p) (1 − (1 − e^{−x})/x),  f(0) = 1/p.

For s after the last mean the fluctuation of a worker has the covariance X(s) with the entries
e^{−(λ_a+λ_b)s} X(0) + (1 − e^{−(λ_a+λ_b)s}) αΣ_ab/(λ_a + λ_b), and X(0) is 1/p of the last
fraction; the mean over 0 < s < T is f of it. The bracket is ψ of Gu et al.

References
----------
Gu, Lyu, Huang, Arora, arXiv 2303.01215.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .katzenberger import Matrix, NormalFrame


def share(x: Any, workers: Any, exp: Callable[[Any], Any]) -> Any:
    """f(x): how much of the noise of one worker acts on a pair of modes; x = T(λ_a + λ_b).

    Parameters
    ----------
    x : scalar
        Not zero.
    workers : scalar
        p.
    exp : callable
        The exponential function of that kind of scalar.
    """
    alone = 1 - (1 - exp(-x)) / x
    return 1 / workers + (1 - 1 / workers) * alone


def effective_covariance(
    frame: NormalFrame, covariance: Matrix, time: Any, workers: Any, exp: Callable[[Any], Any]
) -> Matrix:
    """Σ', shape (N, N), from Σ.

    Parameters
    ----------
    frame : NormalFrame
        Orthonormal eigenvectors of H across Γ at a point, with their eigenvalues.
    covariance : matrix, shape (N, N)
        Σ of one worker.
    time, workers, exp
        T, p and the exponential function, as for `share`.
    """
    rates = [time * frame.curvature[a, a] for a in range(frame.jacobian.rows)]
    normals = [frame.jacobian[a, :] for a in range(frame.jacobian.rows)]
    tangent = frame.projector
    total = tangent * covariance * tangent / workers
    for x, n in zip(rates, normals, strict=True):
        mixed = n.T * (n * covariance * tangent)
        total += share(x, workers, exp) * (mixed + mixed.T)
        for y, m in zip(rates, normals, strict=True):
            total += share(x + y, workers, exp) * (n.T * (n * covariance * m.T) * m)
    return total
