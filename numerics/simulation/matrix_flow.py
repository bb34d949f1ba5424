"""Matrix models under label noise: the recursion, and its limit with P applied by J Jᵀ solves.

P (N × N) is never formed: J Jᵀ λ = J v is solved by conjugate gradients on Jacobian-vector
products, started from the multipliers λ of the step before and preconditioned by a Cholesky factor
of J Jᵀ (n × n) at an earlier point of the path, renewed when it no longer serves.

References
----------
Blanc, Gupta, Valiant, Valiant, COLT 2020, Theorem 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ..codegen.matrices import CompiledMatrixLimit
from .paths import Paths, Status

Array = NDArray[np.float64]

SOLVE_TOLERANCE = 1e-6
"""Relative residual at which conjugate gradients stop; retraction removes what it leaves."""
PATIENCE = 12
"""Iterations after which the preconditioner is renewed."""
RIDGE = 1e-12
"""Added to J Jᵀ relative to its trace: its rank falls at a collapse or by redundant samples."""
RETRACTION_TOLERANCE = 1e-8
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


class GramSolver:
    """Solves J Jᵀ λ = right along a path.

    Parameters
    ----------
    model : CompiledMatrixLimit
    """

    def __init__(self, model: CompiledMatrixLimit) -> None:
        self.model = model
        self._factor: tuple[Array, bool] | None = None

    def solve(self, w: Array, right: Array, guess: Array | None = None) -> Array:
        """Multipliers λ, shape (n,), at the weights w, shape (N,).

        Parameters
        ----------
        w : ndarray, shape (N,)
        right : ndarray, shape (n,)
            In the range of J (its other part is not seen).
        guess : ndarray, shape (n,), optional
            Where to start.
        """
        x = np.zeros_like(right) if guess is None else guess
        goal = SOLVE_TOLERANCE * float(np.linalg.norm(right))
        if self._factor is None:
            self._renew(w)
        x, missing = self._iterate(w, right, x, goal)
        if missing > goal:
            self._renew(w)
            x, missing = self._iterate(w, right, x, goal)
        return x

    def _renew(self, w: Array) -> None:
        gram = self.model.gram(w)
        gram[np.diag_indices_from(gram)] += RIDGE * np.trace(gram)
        self._factor = scipy.linalg.cho_factor(
            gram, lower=True, overwrite_a=True, check_finite=False
        )

    def _iterate(self, w: Array, right: Array, x: Array, goal: float) -> tuple[Array, float]:
        """At most PATIENCE preconditioned conjugate gradient steps; the residual that is left."""
        r = right - self._gram(w, x)
        z = scipy.linalg.cho_solve(self._factor, r, check_finite=False)
        p, product = z, float(r @ z)
        for _ in range(PATIENCE):
            if np.linalg.norm(r) <= goal:
                break
            moved = self._gram(w, p)
            length = product / float(p @ moved)
            x = x + length * p
            r = r - length * moved
            z = scipy.linalg.cho_solve(self._factor, r, check_finite=False)
            before, product = product, float(r @ z)
            p = z + (product / before) * p
        return x, float(np.linalg.norm(r))

    def _gram(self, w: Array, c: Array) -> Array:
        return self.model.jvp(w, self.model.vjp(w, c))


def retract(solver: GramSolver, w: Array) -> Array:
    """A point of Γ near w, by Gauss–Newton steps of least norm; as far as they reach."""
    model = solver.model
    goal = RETRACTION_TOLERANCE * np.linalg.norm(model.targets)
    for _ in range(RETRACTION_STEPS):
        r = model.residuals(w)
        if np.linalg.norm(r) <= goal:
            break
        w = w - model.vjp(w, solver.solve(w, r))
    return w


def limit_drift(
    solver: GramSolver, w: Array, guess: Array | None = None, alpha: float = 0.0
) -> tuple[Array, Array]:
    """Drift of the limit, and the multipliers that project it.

    Parameters
    ----------
    solver : GramSolver
        For the model.
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
    model, mixing = solver.model, None
    if alpha > 0:
        n = model.samples
        mixing = np.asarray(np.linalg.inv(np.eye(n) - alpha / n * model.gram(w)), dtype=float)
    slope = model.regularizer_gradient(w, mixing) / model.samples
    found = solver.solve(w, model.jvp(w, slope), guess)
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
    ends = np.asarray(times, dtype=float)
    solver = GramSolver(model)
    w = retract(solver, np.array(start, dtype=float))
    size = tolerance * float(np.linalg.norm(w))
    slope, found = limit_drift(solver, w, None, alpha)
    step, t, steps = size / float(np.linalg.norm(slope)), 0.0, 0
    goal = 10 * RETRACTION_TOLERANCE * float(np.linalg.norm(model.targets))
    recorded = np.full((len(ends), len(w)), np.nan)
    for row, end in enumerate(ends):
        while end - t > 1e-12 * end:
            h = min(step, end - t)
            ahead, there = limit_drift(solver, w + h * slope, found, alpha)
            error = h / 2 * float(np.linalg.norm(ahead - slope))
            factor = SAFETY * np.sqrt(size / max(error, 1e-30))
            moved = retract(solver, w + h / 2 * (slope + ahead)) if error <= size else w
            if error <= size and np.linalg.norm(model.residuals(moved)) <= goal:
                w, t, steps = moved, t + h, steps + 1
                slope, found = limit_drift(solver, w, there, alpha)
                if progress is not None:
                    progress(t)
            else:
                factor = min(factor, 0.5)
            if h == step or factor < 1:  # a step cut short by a recorded time says nothing more
                step = h * float(np.clip(factor, 0.2, 2.0))
            if step < 1e-10 * ends[-1]:
                return _paths(ends, recorded, Status.LEFT_NEIGHBOURHOOD, steps)
        recorded[row] = w
    return _paths(ends, recorded, Status.OK, -1)


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
