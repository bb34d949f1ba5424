"""Estimators with standard errors, and the tests that a verdict is made of.

A simulation at (α, σ) differs from the limit σ → 0 at the same α by a series in ε = σ², or ε = σ
where the noise is skew. Two runs, at ε and at a smaller ε, remove its first term (Richardson); what
is left is O(ε²) and is allowed for explicitly. No estimate here uses the predicted equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from ...errors import ArgumentError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Values with their standard errors, arrays of one shape."""

    value: Array
    error: Array

    def __getitem__(self, index: Any) -> Estimate:
        return Estimate(np.asarray(self.value[index]), np.asarray(self.error[index]))

    def scaled(self, factor: float) -> Estimate:
        """The estimate of `factor` times the quantity."""
        return Estimate(self.value * factor, self.error * abs(factor))


def mean(samples: Array) -> Estimate:
    """Mean over the first axis, n independent samples.

    A single sample is taken as exact; of no samples it is NaN.
    """
    n = len(samples)
    if not n:
        nothing = np.full(samples.shape[1:], np.nan)
        return Estimate(nothing, nothing)
    spread = samples.std(axis=0, ddof=1) if n > 1 else np.zeros(samples.shape[1:])
    return Estimate(samples.mean(axis=0), spread / np.sqrt(n))


def variance(samples: Array) -> Estimate:
    """Variance over the first axis, its error from the fourth moment."""
    n = len(samples)
    squares = mean((samples - mean(samples).value) ** 2)
    return squares.scaled(n / max(1, n - 1))


def covariance(samples: Array) -> Estimate:
    """Covariance matrix, shape (N, N), of samples of shape (n, N)."""
    n = len(samples)
    centred = samples - mean(samples).value
    products = mean(centred[:, :, None] * centred[:, None, :])
    return products.scaled(n / max(1, n - 1))


def difference(first: Estimate, second: Estimate) -> Estimate:
    """Estimate of first − second, from independent samples."""
    return Estimate(first.value - second.value, np.hypot(first.error, second.error))


def extrapolated(coarse: Estimate, fine: Estimate, ratio: float) -> Estimate:
    """The value at ε = 0 of a quantity known at ε (`coarse`) and ε / ratio (`fine`), to O(ε²)."""
    a, b = ratio / (ratio - 1), 1 / (ratio - 1)
    return Estimate(a * fine.value - b * coarse.value, np.hypot(a * fine.error, b * coarse.error))


def first_order_squared(coarse: Estimate, fine: Estimate, ratio: float) -> Array:
    """Square of the first term of the series, as far as it stands out of twice the noise."""
    step = difference(coarse, fine)
    visible = np.maximum(step.value**2 - (2 * step.error) ** 2, 0.0)
    return np.asarray(visible * (ratio / (ratio - 1)) ** 2)


def remainder(first_squared: Array, ratio: float, scale: ArrayLike) -> Array:
    """What extrapolation may leave, if the series in ε falls at least geometrically.

    With m(ε) = m₀ + c₁ε + c₂ε² the extrapolated value is m₀ − c₂ε²/ratio; (c₁ε)² is measured by
    the two runs, and |c₂ε²| ≤ (c₁ε)² / scale, where `scale` is the size of the quantity. An error
    that does not fall with ε gets no allowance.
    """
    size = np.broadcast_to(np.asarray(scale, dtype=np.float64), np.shape(first_squared))
    bound = np.divide(first_squared, size, out=np.zeros(np.shape(first_squared)), where=size > 0)
    return np.asarray(bound / ratio)


def p_value(gap: Estimate, allowance: ArrayLike = 0.0) -> Array:
    """Two-sided normal p-value of the part of a difference that exceeds the allowance.

    It is 0 where the difference is NaN.
    """
    excess = np.maximum(np.abs(gap.value) - allowance, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(excess > 0, excess / gap.error, 0.0)
    return np.where(np.isnan(gap.value), 0.0, 2 * scipy.special.ndtr(-z))


def kolmogorov_distance(
    coarse: Array, fine: Array, expected: Array, ratio: float
) -> tuple[float, float, float]:
    """Distance of an extrapolated distribution function from the expected one.

    T = sup |a F_fine − b F_coarse − F_expected|, a = ratio/(ratio − 1), b = 1/(ratio − 1). Where
    the three distributions agree, T is asymptotically √(a²/n + b²/n' + 1/m) times the supremum of
    a Brownian bridge.

    Parameters
    ----------
    coarse, fine, expected : ndarray, shapes (n',), (n,), (m,)
        Independent samples.
    ratio : float
        ε of the coarse sample over ε of the fine one.

    Returns
    -------
    distance, unit, p_value : float
        T, the factor in front of the bridge, and the p-value.
    """
    a, b = ratio / (ratio - 1), 1 / (ratio - 1)
    grid = np.concatenate([coarse, fine, expected])
    steps = [np.searchsorted(np.sort(s), grid, side="right") / len(s) for s in (coarse, fine)]
    target = np.searchsorted(np.sort(expected), grid, side="right") / len(expected)
    distance = float(np.max(np.abs(a * steps[1] - b * steps[0] - target)))
    unit = float(np.sqrt(a**2 / len(fine) + b**2 / len(coarse) + 1 / len(expected)))
    return distance, unit, float(scipy.special.kolmogorov(distance / unit))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses survive Holm's step-down test at a family-wise level.

    References
    ----------
    Holm, Scand. J. Statist. 6 (1979), 65-70.
    """
    order = np.argsort(p_values)
    survives = [True] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] * (len(p_values) - rank) > level:
            break
        survives[index] = False
    return survives


@dataclass(frozen=True)
class PowerLaw:
    """Fit of log rate = c + p log α + q log σ + (corrections that vanish with α and σ).

    Attributes
    ----------
    exponents : Estimate, shape (2,)
        p and q.
    coefficients : ndarray
        c, p, q, then the corrections, by α and by α^i σ^j.
    correction : tuple of int
        i and j.
    allowance : ndarray, shape (2,)
        The next order, left out: what each correction changes p or q by, times what both do.
    misfit : float
        p-value of the fit (χ² of the residuals).
    """

    exponents: Estimate
    coefficients: Array
    correction: tuple[int, int]
    allowance: Array
    misfit: float

    def rate(self, alpha: Array, sigma: Array) -> Array:
        """The fitted rate."""
        return np.asarray(np.exp(_design(alpha, sigma, self.correction) @ self.coefficients))


def power_law(
    alpha: Array, sigma: Array, rate: Estimate, correction: tuple[int, int] = (0, 2)
) -> PowerLaw:
    """Exponents of a positive rate over a grid of (α, σ), freed of its first corrections.

    Parameters
    ----------
    alpha, sigma : ndarray, shape (K,)
        The grid, with at least three values of each.
    rate : Estimate, shape (K,)
        Measured rates, independent of each other.
    correction : tuple of int
        Powers of α and σ in the relative correction that comes beside that in α.

    Raises
    ------
    ArgumentError
        If a rate is not positive.
    """
    if np.any(rate.value <= 0):
        raise ArgumentError(
            "rate: expected positive rates; there is no motion to fit an exponent to"
        )
    design = _design(alpha, sigma, correction)
    weight = rate.value / rate.error
    inverse = np.linalg.pinv(design * weight[:, None])
    coefficients = inverse @ (weight * np.log(rate.value))
    errors = np.sqrt(np.diag(inverse @ inverse.T))
    residuals = weight * (np.log(rate.value) - design @ coefficients)
    freedom = len(alpha) - design.shape[1]
    misfit = float(scipy.special.chdtrc(freedom, float(residuals @ residuals)))
    plain = np.linalg.lstsq(design[:, :3] * weight[:, None], weight * np.log(rate.value))[0]
    exponents = Estimate(coefficients[1:3], errors[1:3])
    changed = np.abs(plain[1:] - coefficients[1:3])
    return PowerLaw(exponents, coefficients, correction, changed * changed.sum(), misfit)


def _design(alpha: Array, sigma: Array, correction: tuple[int, int]) -> Array:
    i, j = correction
    columns = [
        np.ones_like(alpha),
        np.log(alpha),
        np.log(sigma),
        alpha,
        alpha ** float(i) * sigma ** float(j),
    ]
    return np.stack(columns, axis=1)
