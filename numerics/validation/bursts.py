"""Short runs from points of Γ: local drift and spread, exponents, and the fast phase.

Nothing here uses a predicted equation: what is measured could contradict any.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..models.compiled_limit import CompiledLimit
from ..simulation.descent import CompiledDescent, simulate_descent
from .comparison import iterations_per_time
from .statistics import Estimate, PowerLaw, extrapolated, mean, power_law

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Burst:
    """Many short runs of the recursion from one point of Γ.

    Attributes
    ----------
    point : ndarray, shape (N,)
        Where they start.
    alpha, sigma : float
        Step size and noise scale.
    steps : int
        Iterations.
    time : float
        The same in slow time.
    displacements : ndarray, shape (paths, N)
        Φ_α(w_steps) − point.
    """

    point: Array
    alpha: float
    sigma: float
    steps: int
    time: float
    displacements: Array

    @property
    def significance(self) -> float:
        """Mean displacement in standard errors."""
        moved = mean(self.displacements)
        error = float(np.linalg.norm(moved.error))
        return float(np.linalg.norm(moved.value)) / error if error else 0.0


def burst(
    descent: CompiledDescent,
    compiled: CompiledLimit,
    point: Array,
    *,
    alpha: float,
    sigma: float,
    steps: int,
    paths: int,
    seed: tuple[int, ...],
) -> Burst:
    """Measure the motion along Γ near one of its points, without using any predicted equation.

    Since Φ_α takes the same value before and after a noiseless step, its mean change is that of
    the slow motion from the first iteration on: no relaxation has to be waited for.
    """
    run = simulate_descent(
        descent,
        point,
        alpha=alpha,
        sigma=sigma,
        steps=steps,
        paths=paths,
        seed=seed,
        record=[steps],
    )
    ends = compiled.descent_limit(run.weights[run.ok, -1], alpha)
    time = steps / iterations_per_time(compiled.limit, alpha, sigma)
    return Burst(point, alpha, sigma, steps, time, ends - point)


@dataclass(frozen=True)
class Scaling:
    """How fast the slow motion at one point of Γ is, over a grid of (α, σ).

    Attributes
    ----------
    point : ndarray, shape (N,)
        The point.
    alphas, sigmas : ndarray, shape (K,)
        The grid, flattened.
    rates : Estimate, shape (K,)
        Per iteration: speed of the mean displacement, or growth of the variance along Γ.
    law : PowerLaw
        Exponents of α and σ.
    """

    point: Array
    alphas: Array
    sigmas: Array
    rates: Estimate
    law: PowerLaw


def measure_scaling(
    descent: CompiledDescent,
    compiled: CompiledLimit,
    point: Array,
    *,
    alpha: float,
    sigma: float,
    diffusive: bool,
    relaxations: float,
    paths: int,
    seed: tuple[int, ...],
    correction: tuple[int, int] = (0, 2),
) -> Scaling:
    """Measure the exponents of α and σ in the speed along Γ, from bursts at (α/2^i, σ/√2^j).

    Parameters
    ----------
    point : ndarray, shape (N,)
        A point of Γ at which something moves.
    alpha, sigma : float
        The coarsest grid point.
    diffusive : bool
        Whether to follow the growth of the variance, or the speed of the mean.
    relaxations : float
        Length of the bursts in units of 1/α iterations.
    paths : int
        Number of bursts at each grid point.
    seed : tuple of int
        Seed of the experiment.
    correction : tuple of int
        Powers of α and σ in the relative correction that the fit removes beside that in α.

    Raises
    ------
    ArgumentError
        If nothing moves.
    """
    grid = [(alpha / 2**i, sigma / 2 ** (j / 2)) for i in range(3) for j in range(3)]
    bursts = [
        burst(
            descent,
            compiled,
            point,
            alpha=a,
            sigma=s,
            steps=max(1, round(relaxations / a)),
            paths=paths,
            seed=(*seed, index),
        )
        for index, (a, s) in enumerate(grid)
    ]
    along = compiled.projector(point)
    direction = along @ bursts[0].displacements.mean(axis=0)
    direction /= np.linalg.norm(direction) or 1.0

    def rate(b: Burst) -> Estimate:
        moved = b.displacements
        if diffusive:
            return mean(np.sum((moved - moved.mean(axis=0)) @ along * moved, axis=1))
        return mean(moved @ direction)

    rates = [rate(b).scaled(1 / b.steps) for b in bursts]
    estimate = Estimate(
        np.array([float(r.value) for r in rates]), np.array([float(r.error) for r in rates])
    )
    alphas, sigmas = np.array(grid).T
    law = power_law(alphas, sigmas, estimate, correction)
    return Scaling(point, alphas, sigmas, estimate, law)


@dataclass(frozen=True)
class FastPhase:
    """Decay of a small displacement across Γ, along the flattest normal direction.

    Attributes
    ----------
    point, direction : ndarray, shape (N,)
        A point of Γ, and the eigenvector of H with the smallest non-zero eigenvalue.
    alpha : float
        Step size.
    eigenvalue : float
        That eigenvalue λ.
    steps : ndarray, shape (T,)
        Iterations.
    distance : Estimate, shape (T,)
        Mean distance along `direction`, relative to the first.
    rate : Estimate
        Measured rate per iteration, extrapolated to an infinitesimal displacement.
    """

    point: Array
    direction: Array
    alpha: float
    eigenvalue: float
    steps: Array
    distance: Estimate
    rate: Estimate

    @property
    def expected(self) -> float:
        """−log|1 − αλ|, which is αλ as α → 0."""
        return float(-np.log(np.abs(1 - self.alpha * self.eigenvalue)))


DISPLACEMENT = 1e-4
"""Size of the displacement that relaxes, relative to the weights."""


def measure_fast_phase(
    descent: CompiledDescent,
    compiled: CompiledLimit,
    point: Array,
    *,
    alpha: float,
    sigma: float,
    paths: int,
    seed: tuple[int, ...],
) -> FastPhase:
    """Measure the rate of the exponential approach to Γ.

    Two runs, from a displacement and from half of it, remove the first order of the curvature.
    The noise is scaled down with the displacement, so that what decays stays visible.

    References
    ----------
    Shalova, Schlichting, Peletier, arXiv 2404.12293, Proposition 3.9 (the spectral gap).
    """
    eigenvalue = float(compiled.spectrum(point)[0])
    direction = flattest_direction(compiled, point, eigenvalue)
    decay = max(-np.log(abs(1 - alpha * eigenvalue) + 1e-300), 1e-12)
    marks: Array = np.unique(np.round(np.linspace(0.0, max(2.0, 3 / decay), 25)))
    ratios = []
    for i, size in enumerate((DISPLACEMENT, DISPLACEMENT / 2)):
        run = simulate_descent(
            descent,
            point + size * (1 + np.linalg.norm(point)) * direction,
            alpha=alpha,
            sigma=size * sigma,
            steps=int(marks[-1]),
            paths=paths,
            seed=(*seed, i),
            record=marks,
        )
        across = (run.weights - compiled.descent_limit(run.weights, alpha)) @ direction
        ratios.append(mean(across / across[:, :1].mean()))
    rates = [
        Estimate(-np.log(np.abs(r.value[-1])), r.error[-1] / np.abs(r.value[-1])).scaled(
            1 / marks[-1]
        )
        for r in ratios
    ]
    rate = extrapolated(rates[0], rates[1], 2.0)
    return FastPhase(point, direction, alpha, eigenvalue, marks, ratios[1], rate)


def flattest_direction(compiled: CompiledLimit, point: Array, eigenvalue: float) -> Array:
    """Unit eigenvector of H to one of its eigenvalues; H by central differences of ∇L."""
    n, h = len(point), 1e-5
    shifts = h * np.eye(n)
    slopes = compiled.loss_gradient(point + shifts) - compiled.loss_gradient(point - shifts)
    values, vectors = np.linalg.eigh((slopes + slopes.T) / (4 * h))
    return np.asarray(vectors[:, np.argmin(np.abs(values - eigenvalue))])
