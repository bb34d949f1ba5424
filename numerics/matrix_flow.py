"""Matrix models under label noise: the recursion, and its limit with P applied by J Jᵀ solves.

Neither P (N × N) nor J (n × N) is formed along the flow: J Jᵀ λ = J v is solved by conjugate
gradients on Jacobian-vector products, started from the multipliers λ of the step before, which
change slowly.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Theorem 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .matrix_kernels import CompiledMatrixLimit
from .paths import Paths, Status

Array = NDArray[np.float64]

SOLVE_TOLERANCE = 1e-8
"""Relative residual at which conjugate gradients stop."""
RETRACTION_TOLERANCE = 1e-9
"""Residuals h − y on Γ, relative to the size of the targets."""
RETRACTION_STEPS = 8
SAFETY = 0.9


@dataclass(frozen=True)
class Curvature:
    """Extreme positive eigenvalues of H = (2/n) JᵀJ.

    Attributes
    ----------
    largest : float
        A step α is stable below 2 / largest.
    smallest : float
        The rate of relaxation to Γ; where it collapses the rank of J falls and the limit ends.
    """

    largest: float
    smallest: float


def curvature(model: CompiledMatrixLimit, w: Array, rank: int | None = None) -> Curvature:
    """Extreme eigenvalues of H, from the n × n matrix J Jᵀ.

    Parameters
    ----------
    model : CompiledMatrixLimit
    w : ndarray, shape (N,)
        A point of Γ.
    rank : int, optional
        Rank of J on the regular part of Γ; n by default.
    """
    values = np.linalg.eigvalsh(model.gram(w))[::-1] * 2 / model.samples
    return Curvature(float(values[0]), float(max(values[(rank or model.samples) - 1], 0.0)))


def multipliers(
    model: CompiledMatrixLimit, w: Array, right: Array, guess: Array | None = None
) -> Array:
    """Solve J Jᵀ λ = right by conjugate gradients.

    Parameters
    ----------
    model : CompiledMatrixLimit
    w : ndarray, shape (N,)
    right : ndarray, shape (n,)
        In the range of J (its other part is not seen).
    guess : ndarray, shape (n,), optional
        Where to start.

    Returns
    -------
    ndarray, shape (n,)
    """
    x = np.zeros_like(right) if guess is None else guess.copy()

    def gram(c: Array) -> Array:
        return model.jvp(w, model.vjp(w, c))

    r = right - gram(x) if guess is not None else right.copy()
    p, square = r.copy(), float(r @ r)
    goal = SOLVE_TOLERANCE**2 * float(right @ right)
    for _ in range(4 * len(right)):
        if square <= goal:
            break
        moved = gram(p)
        length = square / float(p @ moved)
        x += length * p
        r -= length * moved
        before, square = square, float(r @ r)
        p = r + (square / before) * p
    return x


def retract(model: CompiledMatrixLimit, w: Array) -> Array:
    """A point of Γ near w, by Gauss–Newton steps of least norm; as far as they reach."""
    goal = RETRACTION_TOLERANCE * np.linalg.norm(model.targets)
    for _ in range(RETRACTION_STEPS):
        r = model.residuals(w)
        if np.linalg.norm(r) <= goal:
            break
        w = w - model.vjp(w, multipliers(model, w, r))
    return w


def limit_drift(
    model: CompiledMatrixLimit, w: Array, guess: Array | None = None, alpha: float = 0.0
) -> tuple[Array, Array]:
    """Drift of the limit, and the multipliers that project it.

    Parameters
    ----------
    model : CompiledMatrixLimit
    w : ndarray, shape (N,)
        A point of Γ.
    guess : ndarray, shape (n,), optional
        Multipliers at a point close by.
    alpha : float
        Step size of the recursion. At α > 0 the drift is that of the finite-step limit,
        −P∇V with V = −(1/nα) log det(1 − (α/n) J Jᵀ), which needs J Jᵀ; V → reg/n as α → 0.

    Returns
    -------
    drift : ndarray, shape (N,)
    multipliers : ndarray, shape (n,)
    """
    mixing = None
    if alpha > 0:
        n = model.samples
        mixing = np.asarray(np.linalg.inv(np.eye(n) - alpha / n * model.gram(w)), dtype=float)
    slope = model.regularizer_gradient(w, mixing) / model.samples
    found = multipliers(model, w, model.jvp(w, slope), guess)
    return model.vjp(w, found) - slope, found


def simulate_matrix_limit(
    model: CompiledMatrixLimit,
    start: ArrayLike,
    times: ArrayLike,
    *,
    alpha: float = 0.0,
    tolerance: float = 1e-3,
    progress: Callable[[float], None] | None = None,
) -> Paths:
    """Follow the limit along Γ by Heun steps of adapted length, each retracted.

    Parameters
    ----------
    model : CompiledMatrixLimit
    start : array_like, shape (N,)
        A point of Γ (it is retracted).
    times : array_like, shape (T,)
        Slow times t = kα²σ² to record, increasing.
    alpha : float
        Step size of the finite-step limit; 0 for the limit α → 0.
    tolerance : float
        Error of a step, relative to the norm of the weights.
    progress : callable, optional
        Called with the slow time after every step.

    Returns
    -------
    Paths
        One path in slow time; LEFT_NEIGHBOURHOOD where no step, however short, stays on Γ.
    """
    moments = np.asarray(times, dtype=float)
    w = retract(model, np.array(start, dtype=float))
    size = tolerance * float(np.linalg.norm(w))
    slope, found = limit_drift(model, w, None, alpha)
    step, t, steps = size / float(np.linalg.norm(slope)), 0.0, 0
    goal = 10 * RETRACTION_TOLERANCE * float(np.linalg.norm(model.targets))
    recorded = np.full((len(moments), len(w)), np.nan)
    for row, end in enumerate(moments):
        while end - t > 1e-12 * end:
            h = min(step, end - t)
            ahead, there = limit_drift(model, w + h * slope, found, alpha)
            error = h / 2 * float(np.linalg.norm(ahead - slope))
            factor = SAFETY * np.sqrt(size / max(error, 1e-30))
            moved = retract(model, w + h / 2 * (slope + ahead)) if error <= size else w
            if error <= size and np.linalg.norm(model.residuals(moved)) <= goal:
                w, t, steps = moved, t + h, steps + 1
                slope, found = limit_drift(model, w, there, alpha)
                if progress is not None:
                    progress(t)
            else:
                factor = min(factor, 0.5)
            step = h * float(np.clip(factor, 0.2, 2.0)) if h == step or factor < 1 else step
            if step < 1e-10 * moments[-1]:
                return _paths(moments, recorded, Status.LEFT_NEIGHBOURHOOD, steps)
        recorded[row] = w
    return _paths(moments, recorded, Status.OK, -1)


def simulate_matrix_descent(
    model: CompiledMatrixLimit,
    start: ArrayLike,
    iterations: ArrayLike,
    *,
    alpha: float,
    sigma: float = 0.0,
    seed: int = 0,
) -> Paths:
    """Gradient descent on (1/n) Σ (h_i − y_i − ση_i)² with fresh Gaussian η at each iteration.

    Parameters
    ----------
    model : CompiledMatrixLimit
    start : array_like, shape (N,)
    iterations : array_like of int, shape (T,)
        Iterations after which to record, increasing.
    alpha, sigma : float
        Step size and noise scale.
    seed : int
        Seed of the noise.

    Returns
    -------
    Paths
        One path in iterations; DIVERGED if the weights leave the range of numbers.
    """
    numbers = np.asarray(iterations, dtype=np.int64)
    rng = np.random.default_rng(seed)
    w = np.array(start, dtype=float)
    recorded = np.full((len(numbers), len(w)), np.nan)
    k, rate = 0, 2 * alpha / model.samples
    for row, end in enumerate(numbers):
        with np.errstate(over="ignore", invalid="ignore"):
            while k < end:
                r = model.residuals(w)
                if sigma > 0:
                    r -= sigma * rng.standard_normal(len(r))
                w = w - rate * model.vjp(w, r)
                k += 1
        if not np.isfinite(w).all():
            return _paths(numbers, recorded, Status.DIVERGED, k)
        recorded[row] = w
    return _paths(numbers, recorded, Status.OK, -1)


def _paths(times: Array | NDArray[np.int64], weights: Array, status: Status, stopped: int) -> Paths:
    unit = "iterations" if times.dtype.kind == "i" else "slow time"
    return Paths(
        times.astype(float),
        weights[None],
        unit,  # type: ignore[arg-type]
        np.array([status], dtype=object),
        np.array([stopped]),
    )
