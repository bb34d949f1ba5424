"""The phase diagram in (α, σ): which term of the motion along Γ rules where, and a cut measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from derive import Limit
from derive.analysis.phases import Term

from ..errors import ArgumentError
from ..models.compiled_limit import compile_limit
from .measurements.bursts import burst
from .measurements.comparison import iterations_per_time
from .measurements.experiment import Experiment
from .measurements.statistics import Estimate, mean

Array = NDArray[np.float64]

GRID = 200
"""Points along each axis of a diagram."""


@dataclass(frozen=True)
class Border:
    """Where two terms are equally fast, and no other is faster: α^i σ^j = value.

    Attributes
    ----------
    alpha_power, sigma_power : int
        i and j, without common divisor.
    value : float
        The right-hand side.
    alphas, sigmas : ndarray, shape (K,)
        The part inside the diagram, in order; a straight line in logarithms.
    """

    alpha_power: int
    sigma_power: int
    value: float
    alphas: Array
    sigmas: Array


@dataclass(frozen=True)
class PhaseDiagram:
    """The fastest term over a rectangle of (α, σ).

    Attributes
    ----------
    terms : tuple of Term
        All terms that were compared.
    alphas, sigmas : ndarray, shape (K,)
        Logarithmic grid.
    ruling : ndarray of int, shape (K, K)
        Index of the fastest term; rows are values of σ.
    borders : tuple of Border
        Between the regions.
    """

    terms: tuple[Term, ...]
    alphas: Array
    sigmas: Array
    ruling: NDArray[np.int64]
    borders: tuple[Border, ...]


def phase_diagram(
    terms: Sequence[Term], alphas: tuple[float, float], sigmas: tuple[float, float]
) -> PhaseDiagram:
    """Compare the speeds of terms over a rectangle.

    Parameters
    ----------
    terms : sequence of Term
        As `derive.analysis.phases.terms` finds them, at least one.
    alphas, sigmas : pair of float
        Ends of the axes, positive and ascending.

    Raises
    ------
    ArgumentError
        If there is no term, or an axis is not positive and ascending.
    """
    if not terms:
        raise ArgumentError(
            "terms: expected at least one; nothing moves on a scale that is covered"
        )
    for name, (low, high) in (("alphas", alphas), ("sigmas", sigmas)):
        if not 0 < low < high:
            raise ArgumentError(f"{name}: expected 0 < low < high, got {low:g}, {high:g}")
    across, along = np.geomspace(*alphas, GRID), np.geomspace(*sigmas, GRID)
    speeds = _speeds(terms, across[None, :], along[:, None])
    found = (_border(terms, pair, across, along) for pair in itertools.combinations(terms, 2))
    borders = tuple(border for border in found if border is not None)
    return PhaseDiagram(tuple(terms), across, along, speeds.argmax(axis=0), borders)


def _speeds(terms: Sequence[Term], alphas: Array, sigmas: Array) -> Array:
    return np.stack(np.broadcast_arrays(*(term.speed(alphas, sigmas) for term in terms)))


def _border(
    terms: Sequence[Term], pair: tuple[Term, Term], alphas: Array, sigmas: Array
) -> Border | None:
    first, second = pair
    i = first.alpha_power - second.alpha_power
    j = first.sigma_power - second.sigma_power
    divisor = math.gcd(i, j)
    if divisor == 0:
        return None
    if (j, i) < (0, 0):
        divisor = -divisor
    i, j = i // divisor, j // divisor
    value = (second.coefficient / first.coefficient) ** (1 / divisor)
    if j:
        a, s = alphas, (value / alphas**i) ** (1 / j)
    else:
        a, s = np.full_like(sigmas, value ** (1 / i)), sigmas
    speeds = _speeds(terms, a, s)
    shown = (first.speed(a, s) >= (1 - 1e-9) * speeds.max(axis=0)) & (s >= sigmas[0])
    shown &= (s <= sigmas[-1]) & (a >= alphas[0]) & (a <= alphas[-1])
    return Border(i, j, float(value), a[shown], s[shown]) if shown.any() else None


@dataclass(frozen=True)
class Cut:
    """Speeds along Γ on a line α = const through the diagram, per iteration.

    Attributes
    ----------
    alpha : float
        Step size.
    sigmas : ndarray, shape (K,)
        Noise scales.
    measured : Estimate, shape (K,)
        Length of the mean displacement of Φ_α(w_k).
    predicted : ndarray, shape (K,)
        Length of the drift of the next-order equation, which holds all terms at once.
    """

    alpha: float
    sigmas: Array
    measured: Estimate
    predicted: Array


def measure_cut(
    limit: Limit,
    point: ArrayLike,
    *,
    alpha: float,
    sigmas: Sequence[float],
    steps: int,
    paths: int,
    seed: int,
) -> Cut:
    """Measure the speed along Γ over σ at one step size, from bursts at a point of Γ.

    Parameters
    ----------
    limit : Limit
        Any limit of the problem.
    point : array-like, shape (N,)
        A point of Γ.
    alpha : float
        Step size.
    sigmas : sequence of float
        Noise scales.
    steps : int
        Iterations of a burst.
    paths : int
        Bursts at each noise scale.
    seed : int
        Seed of the experiment.

    Raises
    ------
    NotCoveredError
        If the law's higher moments are not known.
    """
    experiment = Experiment(compile_limit(limit), paths, (seed,))
    start = np.asarray(point, dtype=np.float64)
    speeds, errors, predicted = [], [], []
    for i, sigma in enumerate(sigmas):
        run = burst(experiment.keyed(i), start, alpha=alpha, sigma=sigma, steps=steps)
        moved = mean(run.displacements).scaled(1 / steps)
        speeds.append(np.linalg.norm(moved.value))
        errors.append(np.linalg.norm(moved.value * moved.error) / speeds[-1])
        effective = compile_limit(limit.effective(alpha, sigma))
        per_iteration = iterations_per_time(effective.limit, alpha, sigma)
        predicted.append(np.linalg.norm(effective.drift(start)) / per_iteration)
    measured = Estimate(np.array(speeds), np.array(errors))
    return Cut(alpha, np.asarray(sigmas, dtype=np.float64), measured, np.array(predicted))
