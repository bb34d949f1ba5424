"""Which kind of limit a network has, from values at points of Γ, within rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from derive import Outcome, UndecidedError
from derive.noise.classification import Evidence, Step
from derive.symbolic.zero_tests import Basis, Verdict, proved

from ..network import Network
from ..programs import Doubles
from .fluctuations import across, slope
from .geometry import Geometry, Surface, rounding_of
from .moments import Moments
from .probes import label_noise_slope, probes_of

ZERO, CLEAR = 100.0, 100.0
"""A value below ZERO roundings of the projector is zero; one CLEAR times as large, and above √ε,
is clearly not; between the two nothing is decided."""

CONFIDENT = 5.0
"""Standard errors at which what probes estimate is clearly not zero."""

LETTER = {"float64": "double precision", "float32": "single precision"}


@dataclass(frozen=True)
class Questions:
    """The zero tests of the classification, at points of Γ."""

    network: Network
    points: tuple[Surface, ...]

    @property
    def moments(self) -> Moments:
        """Reg and Σ."""
        return self.network.once(Moments)

    def flat_regularizer(self) -> Verdict:
        """P∇Reg = 0."""
        if self.moments.vanishes and not self.network.optimizer.rho:
            return proved("Reg = 0 on Γ by its definition")
        if self.network.probes is not None:
            return estimated(self.moments.probed_gradient, self.points)

        def size(here: Surface) -> float:
            found = here.raised(self.moments.gradient(here))
            scale = abs(self.moments.regularizer(here)) / _length(here)
            return _relative(here, found, scale)

        return decided(size, self.points)

    def no_diffusion(self) -> Verdict:
        """PΣP = 0."""
        if self.moments.normal:
            return proved("the noise enters through the residuals, its gradients are normal to Γ")

        def size(here: Surface) -> float:
            covariance = self.moments.covariance(here)
            if covariance.along is None:
                return 1.0
            along = sum(float(np.sum(np.asarray(b, dtype=float) ** 2)) for b in covariance.along)
            total = along + float(np.trace(covariance.across))
            return float(np.sqrt(along / total)) if total > _gradient_rounding(here) ** 2 else 0.0

        return decided(size, self.points)

    def no_drift(self) -> Verdict:
        """½ P D²Φ[Σ] = 0."""
        if self.network.probes is not None:
            return estimated(
                lambda here, u: label_noise_slope(here.network, here.point, u, 0.0), self.points
            )

        def size(here: Surface) -> float:
            assert isinstance(here, Geometry)
            covariance = self.moments.covariance(here)
            if np.trace(covariance.across) <= _gradient_rounding(here) ** 2:
                return 0.0
            x = across(here, covariance.across, 0.0)
            scale = float(here.values @ np.diag(x)) / _length(here)
            return _relative(here, slope(here, covariance, 0.0), scale)

        return decided(size, self.points)

    def frozen(self) -> Verdict:
        """∇_wL̂(w, η) = 0 for all η, batches drawn or not."""
        network = self.network
        if network.noise is None:
            return proved("every residual vanishes, whichever samples are drawn")

        def size(here: Surface) -> float:
            eta = np.random.default_rng(0).uniform(0.2, 0.8, network.noise_size)
            found = here.raised(self.moments.stochastic_gradient(here.point, eta))
            return float(np.linalg.norm(found)) / (here.trace * _length(here))

        return decided(size, self.points)


def classified(questions: Questions, assumed: Outcome | None = None) -> tuple[Outcome, Evidence]:
    """The outcome, question by question.

    Raises
    ------
    UndecidedError
        If one is undecided and no outcome is assumed.
    """
    steps: list[Step] = []
    uphill = questions.network.optimizer.rho
    mean = "P E∇L̂(w + ρ∇L̂, η) = 0 at order σ² on Γ" if uphill else "P∇Reg = 0 on Γ"
    decisions = (
        (mean, questions.flat_regularizer, Outcome.NON_DEGENERATE),
        ("PΣP = 0 on Γ", questions.no_diffusion, Outcome.DIFFUSIVE),
        ("½ P D²Φ[Σ] = 0 on Γ", questions.no_drift, Outcome.DETERMINISTIC),
        ("∇_wL̂(w, η) = 0 on Γ for all η", questions.frozen, Outcome.TRIVIAL),
    )
    for question, answer, outcome in decisions:
        verdict = answer()
        steps.append(Step(question, verdict))
        if verdict.value is None:
            if assumed is None:
                raise UndecidedError(
                    f"{question}: undecided; {verdict.how}. Take precision='float64', move the "
                    f"parameters further from where it nearly holds, or give assume= one of "
                    f"{', '.join(repr(o.value) for o in Outcome)} if you know the answer"
                )
            steps.append(Step(question, Verdict(None, Basis.ASSUMED, assumed.value)))
            return assumed, Evidence(tuple(steps))
        if not verdict.value:
            return outcome, Evidence(tuple(steps))
    return Outcome.FROZEN, Evidence(tuple(steps))


def _relative(here: Surface, vector: Doubles, scale: float) -> float:
    """|P v| relative to |v|, or to what v is a sum of."""
    largest = max(float(np.linalg.norm(vector)), scale)
    return float(np.linalg.norm(here.project(vector))) / largest if largest else 0.0


def _gradient_rounding(here: Surface) -> float:
    """Size below which a gradient of L̂ is zero: that of ∇L at a rounding's distance from Γ."""
    return ZERO * rounding_of(here.network) * float(here.values[-1]) * _length(here)


def _length(here: Surface) -> float:
    return float(np.linalg.norm(here.point))


def decided(size: Callable[[Surface], float], points: tuple[Surface, ...]) -> Verdict:
    """Three-valued verdict on whether a quantity is zero, from its relative size at points of Γ."""
    network = points[0].network
    unit = rounding_of(network)
    worst, largest = 0.0, 0.0
    for here in points:
        rounding = ZERO * unit * float(np.sqrt(here.values[-1] / here.values[0]))
        value = size(here)
        if value > max(CLEAR * rounding, np.sqrt(unit)):
            return Verdict(False, Basis.WITNESS, f"relative size {value:.3g} at a point of Γ")
        worst, largest = max(worst, rounding), max(largest, value)
    tried = f"{len(points)} points of Γ in {LETTER[network.precision]}"
    if largest <= worst <= np.sqrt(unit):
        return Verdict(True, Basis.NUMERICAL, f"below {worst:.2g} at {tried}")
    return Verdict(
        None, Basis.UNDECIDED, f"relative size {largest:.2g}, rounding {worst:.2g} at {tried}"
    )


def estimated(slope: Callable[[Surface, Doubles], Doubles], points: tuple[Surface, ...]) -> Verdict:
    """Three-valued verdict on whether the tangential part of a mean over probes is zero.

    By the products of different probes, which have the mean |P v|²: clearly not zero where that is
    above five of its standard errors, zero where every probe is within rounding.

    Parameters
    ----------
    slope : callable
        The vector v of some probes at a point of Γ.
    points : tuple of Surface
    """
    furthest, largest, rounding = 0.0, 0.0, 0.0
    for here in points:
        network = here.network
        found = [here.raised(slope(here, u[None])) for u in probes_of(network)]
        tangential = np.array([here.project(v) for v in found])
        scale = max(float(np.linalg.norm(v)) for v in found)
        if not scale:
            continue
        products = np.triu(tangential @ tangential.T, 1)
        count = len(found) * (len(found) - 1) / 2
        spread = float(np.sqrt(np.sum(products**2))) / count
        value, unit = float(products.sum()) / count, rounding_of(network)
        rounding = max(rounding, ZERO * unit * float(np.sqrt(here.values[-1] / here.values[0])))
        largest = max(largest, float(np.linalg.norm(tangential, axis=1).max()) / scale)
        clear = largest > max(CLEAR * rounding, np.sqrt(unit))
        if clear and value > CONFIDENT * spread:
            size = np.sqrt(value) / scale
            return Verdict(
                False,
                Basis.WITNESS,
                f"relative size {size:.3g} at a point of Γ, its square {value / spread:.3g} "
                f"standard errors from zero by {len(found)} probes",
            )
        furthest = max(furthest, value / spread if spread else 0.0)
    tried = f"{len(points)} points of Γ by {points[0].network.probes} probes"
    if largest <= rounding:
        return Verdict(True, Basis.NUMERICAL, f"every probe below {rounding:.2g} at {tried}")
    return Verdict(
        None,
        Basis.UNDECIDED,
        f"its square {furthest:.2g} standard errors from zero at {tried}; take more of them",
    )
