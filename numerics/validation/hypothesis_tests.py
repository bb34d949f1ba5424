"""What is asked of a limit: each question turns measurements into a finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..models.compiled_limit import CompiledLimit
from .checks import Finding, compared
from .measurements.bursts import DISPLACEMENT, Burst, FastPhase, Scaling
from .measurements.clouds import Cloud
from .measurements.comparison import Comparison, expansion_order
from .measurements.statistics import (
    Estimate,
    covariance,
    difference,
    extrapolated,
    first_order_squared,
    kolmogorov_distance,
    mean,
    p_value,
    remainder,
    variance,
)

Array = NDArray[np.float64]
Observables = Mapping[str, Callable[[Array], Array]]

CHECKED = 4
"""Number of equally spaced times at which paths are compared."""


def survival(comparison: Comparison) -> Finding:
    """Whether every path reached the end: a limit holds up to the time when paths leave."""
    lost = sum(int(np.sum(~d.ok)) for d in comparison.descents)
    lost += sum(
        int(np.sum(np.isnan(paths).any(axis=(1, 2))))
        for paths in (*comparison.projected, comparison.expected)
    )
    name = f"paths lost at α = {comparison.alpha:g}"
    return Finding(name, lost, 0.0, 0.0, 0.0, 0.0 if lost else 1.0)


def path_mean(comparison: Comparison, name: str, observable: Callable[[Array], Array]) -> Finding:
    """Mean of an observable along the path."""
    return _moment(comparison, f"mean of {name}", observable, mean, 1)


def path_variance(
    comparison: Comparison, name: str, observable: Callable[[Array], Array]
) -> Finding:
    """Variance of an observable along the path."""
    return _moment(comparison, f"variance of {name}", observable, variance, 2)


def _moment(
    comparison: Comparison,
    name: str,
    observable: Callable[[Array], Array],
    moment: Callable[[Array], Estimate],
    degree: int,
) -> Finding:
    index = checked_times(comparison)
    coarse, fine = (moment(observable(x)) for x in comparison.projected[-2:])
    paths = observable(comparison.expected)
    motion = np.sqrt(np.mean((paths - paths[:, :1]) ** 2, axis=0)) ** degree
    origin = paths[0, 0] if degree == 1 else 0.0
    ratio = comparison.ratio
    own = remainder(
        first_order_squared(coarse, fine, ratio),
        ratio,
        np.maximum(motion, np.abs(coarse.value - origin)),
    )
    blur = _blur(comparison, observable)
    if degree == 2:  # of a square with a spread of √variance
        blur = blur * (2 * np.sqrt(np.abs(coarse.value)) + blur)
    # What was left at a time is carried on to later ones.
    series = np.maximum.accumulate(own + _carried(comparison) * motion.max())
    return compared(
        name,
        [f"at t = {comparison.times[i]:.3g}, α = {comparison.alpha:g}" for i in index],
        extrapolated(coarse, fine, ratio)[index],
        moment(paths)[index],
        (series + _amplified(blur, ratio))[index],
    )


def _blur(comparison: Comparison, observable: Callable[[Array], Array]) -> Array:
    """What integration and round-off may change of an observable along the limit, shape (T,)."""
    points = comparison.expected.mean(axis=0)
    shifts = comparison.resolution[:, None, None] * np.eye(points.shape[1])
    moved = observable(points[:, None] + shifts) - observable(points)[:, None]
    return np.asarray(np.abs(moved).sum(axis=1))


def _amplified(error: ArrayLike, ratio: float) -> Array:
    """The error of an extrapolated value, from that of each of the two it is made of."""
    return np.asarray(error) * (ratio + 1) / (ratio - 1)


def _carried(comparison: Comparison) -> Array:
    """Relative remainder of all weights, which every observable inherits, shape (T,)."""
    coarse, fine = (mean(x) for x in comparison.projected[-2:])
    squares = first_order_squared(coarse, fine, comparison.ratio).sum(axis=1)
    return remainder(squares, comparison.ratio, comparison.motion**2)


def distribution(
    comparison: Comparison, name: str, observable: Callable[[Array], Array]
) -> Finding:
    """Distribution function of an observable at the end (two-sample Kolmogorov-Smirnov)."""
    coarse, fine = (observable(x[:, -1]) for x in comparison.projected[-2:])
    expected = observable(comparison.expected[:, -1])
    distance, unit, p = kolmogorov_distance(coarse, fine, expected, comparison.ratio)
    title = f"distribution of {name} at t = {comparison.times[-1]:.3g}, α = {comparison.alpha:g}"
    return Finding(title, distance, 0.0, unit, 0.0, p)


def checked_times(comparison: Comparison) -> NDArray[np.int64]:
    """Indices of the times at which moments are compared; the start is none of them."""
    return np.linspace(0, len(comparison.times) - 1, CHECKED + 1).astype(int)[1:]


def local_drift(compiled: CompiledLimit, bursts: Sequence[tuple[Burst, Burst]]) -> Finding:
    """Drift b at points of Γ, from pairs of bursts at a coarse and a fine σ."""
    order = expansion_order(compiled.limit)

    def compare_at(coarse: Burst, fine: Burst, basis: Array) -> _Local:
        means = [mean(b.displacements @ basis).scaled(1 / b.time) for b in (coarse, fine)]
        blur = fine.resolution / fine.time
        return _local(coarse, fine, order, means, compiled.drift(coarse.point) @ basis, blur=blur)

    return _joined("drift", [compare_at(*pair, _basis(compiled, pair)) for pair in bursts])


def local_covariance(compiled: CompiledLimit, bursts: Sequence[tuple[Burst, Burst]]) -> Finding:
    """Diffusion s sᵀ at points of Γ, all its entries, from pairs of bursts."""
    order = expansion_order(compiled.limit)

    def compare_at(coarse: Burst, fine: Burst, basis: Array) -> _Local:
        upper = np.triu_indices(len(basis))

        def products(moved: Array) -> Array:
            along = moved @ basis
            return along[:, upper[0]] * along[:, upper[1]]

        spreads = [b.growth(products).scaled(1 / b.time) for b in (coarse, fine)]
        s = basis.T @ compiled.diffusion(coarse.point)
        spread = np.sqrt(np.mean(np.sum(fine.displacements**2, axis=1)))
        blur = fine.resolution * (2 * spread + fine.resolution) / fine.time
        return _local(coarse, fine, order, spreads, (s @ s.T)[upper], blur=blur)

    return _joined("covariance", [compare_at(*pair, _basis(compiled, pair)) for pair in bursts])


def fluctuations(predicted: CompiledLimit, clouds: tuple[Cloud, Cloud]) -> Finding:
    """Stationary covariance across Γ, all its entries, from clouds at a coarse and a fine σ."""
    coarse, fine = clouds
    basis, expected = predicted.across(coarse.point)
    upper = np.triu_indices(len(basis))
    values = [covariance(c.deviations @ basis.T)[upper].scaled(1 / c.unit) for c in (coarse, fine)]
    spread = np.sqrt(np.mean(np.sum(fine.deviations**2, axis=1)))
    blur = fine.resolution * (2 * spread + fine.resolution) / fine.unit
    order = expansion_order(predicted.limit)
    return _joined(
        "fluctuations", [_local(coarse, fine, order, values, expected[upper], blur=blur)]
    )


@dataclass(frozen=True)
class _Local:
    """Measured and expected values at one point."""

    place: str
    measured: Estimate
    expected: Array
    allowance: Array


def _basis(compiled: CompiledLimit, pair: tuple[Burst, Burst]) -> Array:
    """Orthonormal basis, columns, of the normal and then the tangent directions.

    What happens across Γ is of higher order and more precise than what happens along it.
    """
    return np.asarray(np.linalg.eigh(compiled.projector(pair[0].point))[1])


def _local(
    coarse: Burst | Cloud,
    fine: Burst | Cloud,
    order: int,
    values: list[Estimate],
    expected: Array,
    *,
    blur: float,
) -> _Local:
    """One point; `blur` is what integration and round-off may change of the fine value."""
    ratio = (coarse.sigma / fine.sigma) ** order
    squares = first_order_squared(values[0], values[1], ratio)
    size = np.maximum(np.abs(expected), np.abs(values[0].value))
    # A component inherits from the others, so it is allowed its own remainder and theirs.
    series = remainder(squares, ratio, size) + remainder(
        np.full_like(size, squares.sum()), ratio, np.linalg.norm(size)
    )
    place = ", ".join(f"{x:.3g}" for x in coarse.point)
    return _Local(
        f"at ({place}), α = {coarse.alpha:g}",
        extrapolated(values[0], values[1], ratio),
        expected,
        series + _amplified(blur, ratio),
    )


def _joined(name: str, parts: Sequence[_Local]) -> Finding:
    places = [p.place for p in parts for _ in p.expected]
    measured = Estimate(
        np.concatenate([p.measured.value for p in parts]),
        np.concatenate([p.measured.error for p in parts]),
    )
    expected = np.concatenate([p.expected for p in parts])
    exact = Estimate(expected, np.zeros_like(expected))
    return compared(name, places, measured, exact, np.concatenate([p.allowance for p in parts]))


def exponents(scaling: Scaling, expected: tuple[float, float]) -> list[Finding]:
    """Exponents of α and σ in the speed along Γ."""
    measured = scaling.law.exponents
    exact = Estimate(np.array(expected, dtype=np.float64), np.zeros(2))
    p = p_value(difference(measured, exact), scaling.law.allowance)
    return [
        Finding(
            f"exponent of {letter} in the speed",
            float(measured.value[i]),
            float(expected[i]),
            float(measured.error[i]),
            float(scaling.law.allowance[i]),
            float(p[i]),
        )
        for i, letter in enumerate("ασ")
    ]


def fast_phase(phase: FastPhase) -> Finding:
    """Rate of the approach to Γ against the spectral gap (Proposition 3.9 of 2404.12293)."""
    rate = Estimate(np.atleast_1d(phase.rate.value), np.atleast_1d(phase.rate.error))
    expected = Estimate(np.array([phase.expected]), np.zeros(1))
    # Two displacements leave a relative error of second order in their size.
    allowance = np.array([DISPLACEMENT**2 * phase.expected])
    return compared(
        "rate of the approach to Γ", [f"at α = {phase.alpha:g}"], rate, expected, allowance
    )
