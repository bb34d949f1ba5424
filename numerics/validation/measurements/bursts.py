"""Short runs from points of Γ: local drift and spread, exponents, and the fast phase.

Nothing here uses a predicted equation: what is measured could contradict any.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derive import Outcome

from .comparison import iterations_per_time
from .experiment import Experiment, largest_norm, resolution
from .statistics import Estimate, PowerLaw, difference, extrapolated, mean, power_law

Array = NDArray[np.float64]

SETTLING = 12.0
"""Relaxation times 1/(αλ_min) that are waited for where Φ_α is not constant along descent."""

SHORT, LONG = 20.0, 160.0
LENGTHS = {
    Outcome.NON_DEGENERATE: SHORT,
    Outcome.DIFFUSIVE: SHORT,
    Outcome.DETERMINISTIC: LONG,
    Outcome.TRIVIAL: LONG,
    Outcome.FROZEN: LONG,
}
"""Length of a burst in units of 1/(αλ_max) iterations: short where it already moves far."""


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
        Φ_α(w_steps) − Φ_α(w_0), with w_0 the point, or an iterate after relaxation.
    resolution : float
        Length that Φ_α and round-off leave unknown.
    longer : ndarray, shape (paths, N), optional
        Displacements after twice the steps, where there is no Φ_α.
    """

    point: Array
    alpha: float
    sigma: float
    steps: int
    time: float
    displacements: Array
    resolution: float
    longer: Array | None = None

    def growth(self, form: Callable[[Array], Array]) -> Estimate:
        """Mean growth, in `steps` iterations, of a quadratic form of the centred displacements.

        Points next to iterates differ from a slow coordinate by a stationary fluctuation, which
        drops out of the difference of two lengths.
        """
        values = form(_centred(self.displacements))
        if self.longer is not None:
            values = form(_centred(self.longer)) - values
        return mean(values).scaled(len(values) / max(1, len(values) - 1))

    @property
    def significance(self) -> float:
        """Mean displacement, as far as it can be resolved, in standard errors."""
        moved = mean(self.displacements)
        length, error = (float(np.linalg.norm(x)) for x in (moved.value, moved.error))
        seen = max(0.0, length - self.resolution)
        return seen / error if error else 0.0


def _centred(moved: Array) -> Array:
    """Deviations from the mean, of however many paths are left."""
    return moved - moved.mean(axis=0) if len(moved) else moved


def burst(experiment: Experiment, point: Array, *, alpha: float, sigma: float, steps: int) -> Burst:
    """Measure the motion along Γ near one of its points, without using any predicted equation.

    Where Φ_α takes the same value before and after a noiseless step, its mean change is that of
    the slow motion from the first iteration on; else what is measured begins after relaxation.
    """
    compiled = experiment.compiled
    slowest, _ = compiled.rates(point, alpha)
    first = 0 if compiled.is_projected else math.ceil(SETTLING / slowest)
    marks = [first, first + steps]
    if not compiled.is_projected:
        marks.append(first + 2 * steps)
    ends = experiment.run(point, alpha=alpha, sigma=sigma, record=marks)[1]
    return Burst(
        point,
        alpha,
        sigma,
        steps,
        steps / iterations_per_time(compiled.limit, alpha, sigma),
        ends[:, 1] - ends[:, 0],
        float(resolution(largest_norm(ends[:, 1]), steps)),
        None if compiled.is_projected else ends[:, 2] - ends[:, 0],
    )


def relaxations(experiment: Experiment, point: Array, alpha: float, count: float) -> int:
    """Iterations in so many times 1/(αλ_max), at least one."""
    return max(1, round(count / experiment.compiled.rates(point, alpha)[1]))


GRID = 3
"""Step sizes and noise scales over which exponents are fitted, of each as many."""


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
    experiment: Experiment,
    point: Array,
    *,
    alpha: float,
    sigma: float,
    diffusive: bool,
    length: float,
    correction: tuple[int, int] = (0, 2),
) -> Scaling:
    """Measure the exponents of α and σ in the speed along Γ, from bursts at (α/2^i, σ/√2^j).

    Parameters
    ----------
    experiment : Experiment
        With the number of bursts at each grid point.
    point : ndarray, shape (N,)
        A point of Γ at which something moves.
    alpha, sigma : float
        The coarsest grid point.
    diffusive : bool
        Whether to follow the growth of the variance, or the speed of the mean.
    length : float
        Length of the bursts in units of 1/(αλ_max) iterations.
    correction : tuple of int
        Powers of α and σ in the relative correction that the fit removes beside that in α.

    Raises
    ------
    ArgumentError
        If nothing moves.
    """
    grid = [(alpha / 2**i, sigma / 2 ** (j / 2)) for i in range(GRID) for j in range(GRID)]
    bursts = [
        burst(
            experiment.keyed(index),
            point,
            alpha=a,
            sigma=s,
            steps=relaxations(experiment, point, a, length),
        )
        for index, (a, s) in enumerate(grid)
    ]
    rate = _speed(experiment, bursts[0], diffusive)
    rates = [rate(b) for b in bursts]
    estimate = Estimate(
        np.array([float(r.value) for r in rates]), np.array([float(r.error) for r in rates])
    )
    alphas, sigmas = np.array(grid).T
    law = power_law(alphas, sigmas, estimate, correction)
    return Scaling(point, alphas, sigmas, estimate, law)


def _speed(experiment: Experiment, first: Burst, diffusive: bool) -> Callable[[Burst], Estimate]:
    """Speed per iteration along the mean motion of a burst, or growth of the variance along Γ."""
    along = experiment.compiled.projector(first.point)
    direction = along @ first.displacements.mean(axis=0)
    direction /= np.linalg.norm(direction) or 1.0

    def speed(b: Burst) -> Estimate:
        if diffusive:
            rate = b.growth(lambda moved: np.sum(moved @ along * moved, axis=1))
        else:
            rate = mean(b.displacements @ direction)
        return rate.scaled(1 / b.steps)

    return speed


def first_correction(
    experiment: Experiment, coarse: Burst, fine: Burst, order: int, diffusive: bool
) -> float:
    """Size of the term of order σ^order in the speed at the coarse σ, relative to the limit's.

    Twice its standard error is added, so that it is seldom taken for too small.
    """
    speed = _speed(experiment, coarse, diffusive)
    ratio = (coarse.sigma / fine.sigma) ** order
    step = difference(speed(coarse), speed(fine))
    visible = (abs(float(step.value)) + 2 * float(step.error)) * ratio / (ratio - 1)
    limit = abs(float(extrapolated(speed(coarse), speed(fine), ratio).value))
    return visible / limit if limit else np.inf


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
    momentum : float
        Heavy-ball β.
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
    momentum: float
    steps: Array
    distance: Estimate
    rate: Estimate

    @property
    def expected(self) -> float:
        """−log|d_k/d_0|/k at the last step k; without momentum −log|1 − αλ|, αλ as α → 0."""
        last = int(self.steps[-1])
        left = noiseless_decay(self.alpha * self.eigenvalue, self.momentum, last)
        return float(-np.log(np.abs(left[-1])) / last)


DISPLACEMENT = 1e-4
"""Size of the displacement that relaxes, relative to the weights."""

DECAY = 3.0
"""Logarithm of the factor by which a displacement is to shrink."""


def noiseless_decay(stiffness: float, momentum: float, steps: int) -> Array:
    """d_k of d_{k+1} = d_k − αλ d_k + β (d_k − d_{k−1}) from d_0 = 1 at rest, k = 0 … steps."""
    distances, velocity = [1.0], 0.0
    for _ in range(steps):
        velocity = momentum * velocity - stiffness * distances[-1]
        distances.append(distances[-1] + velocity)
    return np.array(distances)


def _watched(stiffness: float, momentum: float) -> int:
    """Iterations of the fast phase: where it oscillates, up to one of its last turning points."""
    roots = np.roots([1.0, stiffness - 1.0 - momentum, momentum])
    decay = max(-float(np.log(np.abs(roots).max() + 1e-300)), 1e-12)
    end = round(max(2.0, DECAY / decay))
    if np.isreal(roots).all():
        return end
    late = np.arange(end // 2, end + 1)
    scaled = noiseless_decay(stiffness, momentum, end)[late] * np.exp(decay * late)
    return int(late[np.argmax(np.abs(scaled))])


def measure_fast_phase(
    experiment: Experiment, point: Array, *, alpha: float, sigma: float, size: float
) -> FastPhase:
    """Measure the rate of the exponential approach to Γ.

    Two runs, from a displacement and from half of it, remove the first order of the curvature.
    The noise is scaled down with the displacement, so that what decays stays visible.

    Parameters
    ----------
    experiment : Experiment
        With the number of paths.
    point : ndarray, shape (N,)
        A point of Γ.
    alpha, sigma : float
        Step size and noise scale.
    size : float
        Size of the weights, of which the displacement is a small part.

    References
    ----------
    Shalova, Schlichting, Peletier, arXiv 2404.12293, Proposition 3.9 (the spectral gap).
    """
    value, direction = experiment.compiled.flattest(point)
    eigenvalue = float(value)
    last = _watched(alpha * eigenvalue, experiment.momentum)
    marks: Array = np.unique(np.round(np.linspace(0.0, last, 25)))
    ratios = []
    for i, part in enumerate((DISPLACEMENT, DISPLACEMENT / 2)):
        run, ends = experiment.keyed(i).run(
            point + part * size * direction, alpha=alpha, sigma=part * sigma, record=marks
        )
        across = (run.weights[run.ok] - ends) @ direction
        ratios.append(mean(across / across[:, :1].mean()))
    rates = [
        Estimate(-np.log(np.abs(r.value[-1])), r.error[-1] / np.abs(r.value[-1])).scaled(
            1 / marks[-1]
        )
        for r in ratios
    ]
    return FastPhase(
        point,
        direction,
        alpha,
        eigenvalue,
        experiment.momentum,
        marks,
        ratios[1],
        extrapolated(rates[0], rates[1], 2.0),
    )
