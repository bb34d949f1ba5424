"""How far recursion and limit are from each other, and at which order they approach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .comparison import Comparison
from .statistics import difference, mean

STANDS_OUT = 3.0
"""Standard errors that a distance must have to say something of its order."""


@dataclass(frozen=True)
class Gap:
    """How far the recursion is from its limits at one (α, σ), relative to the motion.

    Attributes
    ----------
    alpha, sigma : float
        Step size and noise scale.
    at_step : float
        Largest distance of the mean from that of the limit at this α: falls as σ².
    asymptotic : float
        The same from the limit α → 0, the theorem's: the distance still to go.
    error : float
        Standard error of both.
    """

    alpha: float
    sigma: float
    at_step: float
    asymptotic: float
    error: float


def gap(comparison: Comparison, index: int, sigma: float) -> Gap:
    """Largest distances between means, relative to the motion of the limit if there is any."""
    unit = comparison.motion or 1.0
    paths = comparison.projected[index]
    differences = [
        difference(mean(paths), mean(limit))
        for limit in (comparison.expected, comparison.asymptotic)
    ]
    at_step, asymptotic = (float(np.linalg.norm(d.value, axis=1).max()) for d in differences)
    # The projection on the difference has no larger error than the whole vector.
    error = max(float(np.linalg.norm(d.error, axis=1).max()) for d in differences)
    return Gap(comparison.alpha, sigma, at_step / unit, asymptotic / unit, error / unit)


@dataclass(frozen=True)
class Order:
    """Exponent fitted to distances of means, with its standard error.

    Attributes
    ----------
    name : str
        Of what, in which variable, and where the other one stands.
    value, error : float
        The exponent: about 2 in σ for the distance from the limit at α (1 where the noise is
        skew), about 1 in α for that from the limit α → 0.
    """

    name: str
    value: float
    error: float


def orders(gaps: Iterable[Gap]) -> tuple[Order, ...]:
    """The orders of convergence of all ladders of which two rungs stand out of the noise."""
    gaps = tuple(gaps)
    found = []
    for alpha in sorted({g.alpha for g in gaps}, reverse=True):
        here = [g for g in gaps if g.alpha == alpha]
        name = f"from the limit at α = {alpha:g}, in σ"
        found.append(_fitted(name, here, [g.sigma for g in here], [g.at_step for g in here]))
    smallest = [min((g for g in gaps if g.alpha == a), key=_sigma) for a in {g.alpha for g in gaps}]
    name = "from the limit α → 0, in α"
    found.append(
        _fitted(name, smallest, [g.alpha for g in smallest], [g.asymptotic for g in smallest])
    )
    return tuple(order for order in found if order is not None)


def _sigma(gap: Gap) -> float:
    return gap.sigma


def _fitted(
    name: str, gaps: Sequence[Gap], scales: Sequence[float], distances: Sequence[float]
) -> Order | None:
    """Weighted least squares for log distance = order · log scale + constant."""
    seen = [
        (np.log(scale), np.log(distance), (distance / gap.error) ** 2 if gap.error else 1e16)
        for gap, scale, distance in zip(gaps, scales, distances, strict=True)
        if distance > STANDS_OUT * gap.error and distance > 0
    ]
    if len({x for x, _, _ in seen}) < 2:
        return None
    x, y, weight = np.array(seen).T
    centred = x - np.average(x, weights=weight)
    information = (weight * centred**2).sum()
    return Order(name, float((weight * centred * y).sum() / information), float(information**-0.5))
