"""The limit of a network: what kind it is, on which time scale, and its coefficients at a point."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from derive import (
    DeriveWarning,
    NotCoveredError,
    Outcome,
    UndecidedError,
    alpha,
    derive_limit,
    sigma,
)
from derive.derivation.classification import Evidence, Step
from derive.symbolic.zero_tests import Basis, Verdict, proved

from ..arguments import number, positive
from ..errors import ArgumentError
from .fluctuations import across, slope
from .geometry import Geometry, geometry, neighbours, on_manifold, retract, rounding_of
from .mechanisms import Tree
from .moments import Covariance, Moments
from .network import Network
from .programs import Doubles

POINTS = 2
"""Points of Γ beside the given one at which the classification is decided."""
DISTANCE = 0.05
"""Their distance, relative to the norm of the weights."""

ZERO, CLEAR = 100.0, 100.0
"""A value below ZERO roundings of the projector is zero; one CLEAR times as large, and above √ε,
is clearly not; between the two nothing is decided."""

LETTER = {"float64": "double precision", "float32": "single precision"}


@dataclass(frozen=True)
class Weights:
    """Weights of dW = [−a P∇Reg + q D²Φ_α[Σ]] dt + c P S dB, and the step size α.

    Attributes
    ----------
    regularizer, ito, noise : float
        a, q and c.
    step : float
        α; 0 for the limit α → 0.
    """

    regularizer: float = 0.0
    ito: float = 0.0
    noise: float = 0.0
    step: float = 0.0


@dataclass(frozen=True)
class NetworkLimit:
    """Limiting equation dW = b(W) dt + s(W) dB of a network along Γ, with the evidence for it.

    Parameters of the network are pytrees, or the weights of shape (N,) that they are made of.

    Attributes
    ----------
    problem : Network
        What was asked, at a point of Γ.
    origin : Geometry
        Γ at that point.
    outcome : Outcome
        Which of the five kinds of limit this is.
    evidence : Evidence
        The questions that led to it.
    equation : Weights
        Which terms act.
    """

    problem: Network
    origin: Geometry
    outcome: Outcome
    evidence: Evidence
    equation: Weights

    @property
    def time_scale(self) -> Any:
        """Iterations per unit of slow time, in `derive.alpha` and `derive.sigma`; None at rest."""
        if self.outcome in (Outcome.TRIVIAL, Outcome.FROZEN):
            return None
        power = 2 if self.outcome.is_degenerate else 1
        beta = self.problem.optimizer.beta
        effective = alpha / (1 - beta) if beta else alpha
        return 1 / (effective**power * sigma**2)

    def iterations(self, time: float, alpha: float, sigma: float) -> float:
        """Iterations that a slow time takes at a step size and a noise scale."""
        power = 2 if self.outcome.is_degenerate else 1
        return time / (self.problem.optimizer.effective(alpha) ** power * sigma**2)

    @property
    def moments(self) -> Moments:
        """Reg and Σ."""
        return self.problem.once(Moments)

    def at(self, params: Tree) -> Geometry:
        """Γ at parameters on it."""
        w = self.problem.flattened(params)
        return geometry(self.problem, w, keep=True)

    def regularizer(self, params: Tree) -> float:
        """Reg on Γ."""
        return self.moments.regularizer(self.problem.flattened(params))

    def trace(self, params: Tree) -> float:
        """Tr H on Γ, which label noise lowers where all c_i are equal."""
        return float(self.at(params).values.sum())

    def spectrum(self, params: Tree) -> Doubles:
        """Positive eigenvalues of H on Γ, increasing."""
        return self.at(params).values

    def drift(self, params: Tree) -> Tree:
        """Drift along Γ in slow time, a pytree like the parameters.

        The normal part that a diffusion has besides, ½ II[s sᵀ], is that which keeps it on Γ.
        """
        return self.problem.parameters(self.velocity(self.at(params)))

    def velocity(self, here: Geometry) -> Doubles:
        """The drift as a vector of shape (N,), at a point of Γ."""
        return self._velocity(here, self.covariance(here) if self.equation.ito else None)

    def _velocity(self, here: Geometry, covariance: Covariance | None) -> Doubles:
        equation = self.equation
        total = np.zeros(self.problem.dimension)
        if equation.regularizer:
            total -= equation.regularizer * self.moments.gradient(here.point)
        if covariance is not None:
            total -= 2 * equation.ito * slope(here, covariance, equation.step)
        return here.project(total)

    def covariance(self, here: Geometry) -> Covariance:
        """Σ at a point of Γ."""
        return self.moments.covariance(here)

    def diffusion(self, params: Tree) -> Callable[[Doubles], Tree] | None:
        """The map ξ ↦ s ξ at parameters on Γ, ξ of shape (d,); None where nothing diffuses."""
        if self.deterministic:
            return None
        here = self.at(params)
        covariance = self.covariance(here)
        return lambda xi: self.problem.parameters(self._kick(here, covariance, xi))

    @property
    def deterministic(self) -> bool:
        """Whether the limit is a flow."""
        return self.equation.noise == 0.0 or self.moments.normal

    def increment(self, here: Geometry, span: float, xi: Doubles) -> Doubles:
        """The step b Δt + s √Δt ξ at a point of Γ, shape (N,), of ξ of shape (d,)."""
        covariance = self.covariance(here)
        drift = self._velocity(here, covariance if self.equation.ito else None)
        return drift * span + np.sqrt(span) * self._kick(here, covariance, xi)

    def _kick(self, here: Geometry, covariance: Covariance, xi: Doubles) -> Doubles:
        along = covariance.along
        if along is None:
            return self.equation.noise * here.project(xi)
        total, first = np.zeros(self.problem.dimension), 0
        for block in along:
            part = np.asarray(block, dtype=np.float64)
            total += xi[first : first + len(part)] @ part
            first += len(part)
        return self.equation.noise * total

    def projector(self, params: Tree) -> Callable[[Tree], Tree]:
        """The tangent projector P at parameters on Γ, a map of pytrees."""
        here, network = self.at(params), self.problem
        return lambda v: network.parameters(here.project(network.flattened(v)))

    def retract(self, params: Tree) -> Tree:
        """A point of Γ near parameters, by Gauss–Newton steps."""
        network = self.problem
        w = network.flattened(params)
        return network.parameters(retract(geometry(network, w), w)[0])

    def at_step(self, step: float) -> NetworkLimit:
        """The limit σ → 0 at a fixed step size, exact for a run at that α.

        Parameters
        ----------
        step : float
            α > 0.

        Raises
        ------
        ArgumentError
            If Γ does not attract at that step size.
        NotCoveredError
            For batches beside momentum, or so small that they keep Γ from attracting.

        Notes
        -----
        For a law of rare jumps (Bernoulli) this is the next order in α, as at `Limit.at_step`.
        """
        size = number("step", step, positive)
        optimizer, values = self.problem.optimizer, self.origin.values
        radius = optimizer.spectral_radius(size, values)
        if radius >= 1.0:
            raise ArgumentError(
                f"step: {size:g} is unstable, αλ_max = {size * values[-1]:.3g} with λ_max = "
                f"{values[-1]:.4g}, and the slowest mode across Γ grows by {radius:.3g} a step; "
                f"without momentum expected less than {2 / values[-1]:.3g}"
            )
        if self.problem.batch_size is not None:
            across(self.origin, np.eye(self.origin.rank), size)
        equation = replace(self.equation, step=size)
        if self.outcome is Outcome.NON_DEGENERATE:
            effective = optimizer.effective(size)
            equation = replace(equation, ito=effective / 2, noise=float(np.sqrt(effective)))
        return replace(self, equation=equation)

    def rounding(self) -> float:
        """What single precision changes the drift by, relative to it, at the network's parameters.

        Zero in double precision, with which it is compared.
        """
        if self.problem.precision == "float64":
            return 0.0
        exact = replace(self.problem, precision="float64")
        here = geometry(exact, self.origin.point)
        reference = replace(self, problem=exact, origin=here).velocity(here)
        length = float(np.linalg.norm(reference))
        error = float(np.linalg.norm(self.velocity(self.origin) - reference))
        return error / length if length else error

    def scales(self) -> tuple[NetworkLimit, ...]:
        """The slower scales, which need third and higher derivatives of the network."""
        raise NotCoveredError(
            "scales: slower scales are derived for formulas only; state a small model of the same "
            "kind in sympy and ask derive_limit for its scales()"
        )

    def check(self, drift: Callable[[Tree], Tree]) -> Verdict:
        """Whether a drift derived by hand is the same at points of Γ.

        Parameters
        ----------
        drift : callable
            From parameters to a pytree like them, per unit of slow time.
        """
        network = self.problem

        def size(here: Geometry) -> float:
            found = self.velocity(here)
            given = network.flattened(drift(network.parameters(here.point)))
            scale = max(np.linalg.norm(found), np.linalg.norm(given))
            return float(np.linalg.norm(given - found) / scale) if scale else 0.0

        return _decided(size, (self.origin, *_neighbours(self.origin)))

    def __str__(self) -> str:
        network, values = self.problem, self.origin.values
        noise = "none" if network.noise is None else f"{network.noise.name}, {network.noise.law}"
        batch = "" if network.batch_size is None else f", batches of {network.batch_size}"
        lines = [
            ("network", f"{network.dimension} weights, {network.count} residuals"),
            ("noise", noise + batch),
            ("rule", str(network.optimizer)),
            ("Γ", f"dimension {network.dimension - len(values)} in R^{network.dimension}"),
            ("H", f"positive eigenvalues {values[0]:.4g} … {values[-1]:.4g}"),
            ("outcome", self.outcome.value),
            *(("", f"{s.question}: {s.verdict}") for s in self.evidence.steps),
        ]
        if self.problem.precision == "float32":
            lines.append(
                ("precision", f"float32, which changes the drift by {self.rounding():.1e}")
            )
        if self.time_scale is not None:
            lines.append(("time scale", f"one unit of slow time is {self.time_scale} iterations"))
        return "\n".join(f"{name:<12}{text}" for name, text in lines)


def _neighbours(here: Geometry) -> list[Geometry]:
    return neighbours(here, POINTS, DISTANCE)


def derive_network_limit(problem: Network, *, assume: Outcome | str | None = None) -> NetworkLimit:
    """Derive the limit of a network; see `derive.derive_limit`.

    Parameters
    ----------
    problem : Network
        At a point of Γ, or so close that moving it there changes nothing.
    assume : Outcome or str, optional
        Outcome to take where a question is undecided; it is recorded and printed.

    Raises
    ------
    ManifoldError
        If the network does not interpolate at its parameters, or Γ is singular there.
    UndecidedError
        If a question is undecided within rounding and nothing is assumed.

    Warns
    -----
    DeriveWarning
        If the residuals may have kinks (ReLU): the limit holds inside a cell.
    """
    assumed = None if assume is None else Outcome.read(assume)
    kinks = problem.kinks()
    if kinks:
        warnings.warn(
            f"residuals: {', '.join(kinks)} may have kinks; the limit holds as long as no sample "
            "crosses one, inside the cell of the given parameters. Smooth activations (tanh, "
            "softplus, gelu) have none",
            DeriveWarning,
            stacklevel=3,
        )
    origin = on_manifold(problem)
    found = problem.at(origin.point)
    origin = replace(origin, network=found)
    questions = _Questions(found, (origin, *_neighbours(origin)))
    outcome, evidence = classified(questions, assumed)
    equation = {
        Outcome.NON_DEGENERATE: Weights(regularizer=1.0),
        Outcome.DIFFUSIVE: Weights(ito=0.5, noise=1.0),
        Outcome.DETERMINISTIC: Weights(ito=0.5),
    }.get(outcome, Weights())
    return NetworkLimit(found, origin, outcome, evidence, equation)


derive_limit.register(Network, derive_network_limit)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Questions:
    """The zero tests of the classification, at points of Γ."""

    network: Network
    points: tuple[Geometry, ...]

    @property
    def moments(self) -> Moments:
        return self.network.once(Moments)

    def flat_regularizer(self) -> Verdict:
        """P∇Reg = 0."""
        if self.moments.vanishes:
            return proved("Reg = 0 on Γ by its definition")

        def size(here: Geometry) -> float:
            found = self.moments.gradient(here.point)
            scale = abs(self.moments.regularizer(here.point)) / _length(here)
            return _relative(here, found, scale)

        return _decided(size, self.points)

    def no_diffusion(self) -> Verdict:
        """PΣP = 0."""
        if self.moments.normal:
            return proved("the noise enters through the residuals, its gradients are normal to Γ")

        def size(here: Geometry) -> float:
            covariance = self.moments.covariance(here)
            if covariance.along is None:
                return 1.0
            along = sum(float(np.sum(np.asarray(b, dtype=float) ** 2)) for b in covariance.along)
            total = along + float(np.trace(covariance.across))
            return float(np.sqrt(along / total)) if total > _gradient_rounding(here) ** 2 else 0.0

        return _decided(size, self.points)

    def no_drift(self) -> Verdict:
        """½ P D²Φ[Σ] = 0."""

        def size(here: Geometry) -> float:
            covariance = self.moments.covariance(here)
            if np.trace(covariance.across) <= _gradient_rounding(here) ** 2:
                return 0.0
            x = across(here, covariance.across, 0.0)
            scale = float(here.values @ np.diag(x)) / _length(here)
            return _relative(here, slope(here, covariance, 0.0), scale)

        return _decided(size, self.points)

    def frozen(self) -> Verdict:
        """∇_wL̂(w, η) = 0 for all η, batches drawn or not."""
        network = self.network
        if network.noise is None:
            return proved("every residual vanishes, whichever samples are drawn")

        def size(here: Geometry) -> float:
            eta = np.random.default_rng(0).uniform(0.2, 0.8, network.noise_size)
            found = float(np.linalg.norm(self.moments.stochastic_gradient(here.point, eta)))
            return found / (float(here.values.sum()) * _length(here))

        return _decided(size, self.points)


def classified(questions: _Questions, assumed: Outcome | None = None) -> tuple[Outcome, Evidence]:
    """The outcome, question by question.

    Raises
    ------
    UndecidedError
        If one is undecided and no outcome is assumed.
    """
    steps: list[Step] = []
    decisions: Iterator[tuple[str, Callable[[], Verdict], Outcome]] = iter(
        (
            ("P∇Reg = 0 on Γ", questions.flat_regularizer, Outcome.NON_DEGENERATE),
            ("PΣP = 0 on Γ", questions.no_diffusion, Outcome.DIFFUSIVE),
            ("½ P D²Φ[Σ] = 0 on Γ", questions.no_drift, Outcome.DETERMINISTIC),
            ("∇_wL̂(w, η) = 0 on Γ for all η", questions.frozen, Outcome.TRIVIAL),
        )
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


def _relative(here: Geometry, vector: Doubles, scale: float) -> float:
    """|P v| relative to |v|, or to what v is a sum of."""
    largest = max(float(np.linalg.norm(vector)), scale)
    return float(np.linalg.norm(here.project(vector))) / largest if largest else 0.0


def _gradient_rounding(here: Geometry) -> float:
    """Size below which a gradient of L̂ is zero: that of ∇L at a rounding's distance from Γ."""
    return ZERO * rounding_of(here.network) * float(here.values[-1]) * _length(here)


def _length(here: Geometry) -> float:
    return float(np.linalg.norm(here.point))


def _decided(size: Callable[[Geometry], float], points: tuple[Geometry, ...]) -> Verdict:
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
