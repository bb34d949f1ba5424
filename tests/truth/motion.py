"""Runs of the recursion against their limits, along the predicted displacement.

A run starts on Γ; its end is projected by Φ_α, and its displacement along the predicted one is
compared with that, within four standard errors. A limit with a lost factor ½ is the right one at
half the time: it has to be rejected, each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from derive import Limit, NoisyGradientDescent, alpha, derive_limit, sigma
from derive.laws.law import Law
from numerics import CompiledLimit, compile_limit, simulate_descent, simulate_limit

ERRORS = 4
"""Standard errors within which measured and predicted displacement agree."""


@dataclass(frozen=True)
class Prediction:
    """The equation for a run at (α, σ), and how its error falls where σ² is halved.

    Attributes
    ----------
    equation : callable
        Of a limit and a row.
    in_alpha : bool
        Whether α has to be halved too.
    gain : int
        Factor by which the error falls.
    """

    equation: Callable[[Limit, Row], Limit]
    in_alpha: bool
    gain: int


NEXT_ORDER = Prediction(
    lambda limit, r: limit.effective(r.alpha, r.sigma, r.momentum), in_alpha=True, gain=4
)
AT_STEP = Prediction(lambda limit, r: limit.at_step(r.alpha, r.momentum), in_alpha=False, gain=2)
THIRD_SCALE = Prediction(
    lambda limit, r: limit.scales()[0].at_step(r.alpha, r.momentum), in_alpha=False, gain=2
)
THEOREM = Prediction(lambda limit, r: limit, in_alpha=True, gain=2)


@dataclass(frozen=True)
class Row:
    """A run of a model of the catalogue.

    Attributes
    ----------
    start : tuple of float
        Beginning, taken to Γ by Φ_α.
    alpha, sigma, time : float
        Step size, noise scale, and slow time on the scale of the prediction.
    paths : int
        Number of paths.
    prediction : Prediction
        What it is held to.
    law : Law, optional
        Another law than the model's.
    momentum : float
        Heavy-ball β.
    """

    start: tuple[float, ...]
    alpha: float
    sigma: float
    time: float
    paths: int
    prediction: Prediction = NEXT_ORDER
    law: Law | None = None
    momentum: float = 0.0

    def smaller(self, halvings: int, more: int) -> Row:
        """σ² halved, and α where the prediction needs it, with `more` times the paths."""
        factor = 2.0**-halvings
        return replace(
            self,
            alpha=self.alpha * factor if self.prediction.in_alpha else self.alpha,
            sigma=self.sigma * np.sqrt(factor),
            paths=more * self.paths,
        )


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error."""

    value: float
    error: float

    @classmethod
    def of(cls, values: np.ndarray) -> Mean:
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        return cls(float(values.mean()), float(error))

    def __sub__(self, other: Mean) -> Mean:
        return Mean(self.value - other.value, float(np.hypot(self.error, other.error)))

    def __rmul__(self, factor: float) -> Mean:
        return Mean(factor * self.value, abs(factor) * self.error)

    @property
    def z(self) -> float:
        return self.value / self.error


@dataclass(frozen=True)
class Motion:
    """A run and its prediction."""

    problem: NoisyGradientDescent
    row: Row
    seed: Sequence[int]

    @cached_property
    def equation(self) -> Limit:
        limit = self.row.prediction.equation(derive_limit(self.problem), self.row)
        return replace(limit, equation=limit.equation.subs({sigma: self.row.sigma}))

    @cached_property
    def fast(self) -> CompiledLimit:
        return compile_limit(self.equation)

    @cached_property
    def start(self) -> np.ndarray:
        return self.projected(self.row.start)

    def projected(self, points: ArrayLike) -> np.ndarray:
        """Φ_α."""
        return self.fast.descent_limit(points, self.row.alpha, self.row.momentum)

    @property
    def rate(self) -> float:
        """Iterations per unit of slow time."""
        return float(self.equation.time_scale.subs({alpha: self.row.alpha, sigma: self.row.sigma}))

    @cached_property
    def steps(self) -> int:
        return 2 * round(self.row.time * self.rate / 2)

    @cached_property
    def measured(self) -> np.ndarray:
        """Displacement of the projected iterate on each path."""
        return self.projected(self.run(self.start, self.steps)) - self.start

    def run(self, start: Sequence[float], steps: int) -> np.ndarray:
        """Last iterates of the recursion."""
        same = ("alpha", "sigma", "momentum", "paths")
        settings = {name: getattr(self.row, name) for name in same}
        run = simulate_descent(
            self.problem, start, **settings, steps=steps, seed=self.seed, record=[steps]
        )
        return run.weights[:, 0]

    @cached_property
    def predicted(self) -> np.ndarray:
        """Displacement on each path of the limit, after half the time and in the end."""
        return self.of_limit(self.fast)

    def of_limit(self, fast: CompiledLimit) -> np.ndarray:
        """The same for any limit on this time scale, shape (paths, 2, N)."""
        end, paths = self.steps / self.rate, 4 * self.row.paths
        if np.abs(fast.diffusion(self.start)).max(initial=0.0) < 1e-12:
            # Noise with values in the normal space of Γ: a flow, which one accurate path shows.
            still = replace(fast.limit.equation, noise_weight=0 * alpha)
            fast, paths = compile_limit(replace(fast.limit, equation=still)), 1
        run = simulate_limit(
            fast, self.start, time=end, paths=paths, seed=self.seed, record=[end / 2, end]
        )
        return run.weights - self.start

    @cached_property
    def direction(self) -> np.ndarray:
        """Unit vector of the predicted mean displacement."""
        mean = self.predicted[:, 1].mean(axis=0)
        return mean / np.linalg.norm(mean)

    def along(self, displacements: np.ndarray) -> Mean:
        return Mean.of(displacements @ self.direction)

    @property
    def gap(self) -> Mean:
        """Measured minus predicted displacement."""
        return self.along(self.measured) - self.along(self.predicted[:, 1])

    @property
    def gap_to_half(self) -> Mean:
        """Measured minus the displacement of a limit with a lost factor ½."""
        return self.along(self.measured) - self.along(self.predicted[:, 0])


def confirm(name: str, found: Motion, gap: Mean, gap_to_half: Mean) -> None:
    """Agreement; a displacement well above the error; and the lost factor ½ seen."""
    expected = found.along(found.predicted[:, 1]).value
    print(
        f"{name}: displacement {expected:.4g} ± {gap.error:.2g}, z = {gap.z:.2f}, "
        f"with a lost factor {gap_to_half.z:.0f}"
    )
    assert expected > 10 * gap.error
    assert abs(gap.z) < ERRORS
    assert gap_to_half.z > 2 * ERRORS


def confirm_directly(name: str, found: Motion) -> None:
    """With nothing taken out."""
    confirm(name, found, found.gap, found.gap_to_half)


def confirm_extrapolated(name: str, coarse: Motion, fine: Motion) -> None:
    """With the leading error of the prediction taken out by a run at half the σ²."""
    gain = fine.row.prediction.gain

    def combined(quantity: str) -> Mean:
        first, second = getattr(coarse, quantity), getattr(fine, quantity)
        return (1 / (gain - 1)) * (gain * second - first)

    confirm(name, fine, combined("gap"), combined("gap_to_half"))
