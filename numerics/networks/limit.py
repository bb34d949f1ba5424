"""The limit of a network: what kind it is, on which time scale, and its coefficients at a point."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from derive import DeriveWarning, Limit, NotCoveredError, Outcome, alpha, derive_limit, sigma
from derive.deductions.deductions import Explanation
from derive.display.mathml import statements_table
from derive.display.notation import Notation
from derive.display.statements import as_array, lines
from derive.documents.articles.article import Article
from derive.documents.articles.descent import article
from derive.noise.classification import Evidence
from derive.symbolic.zero_tests import Verdict

from ..arguments import number, positive
from ..errors import ArgumentError
from ..models.compiled_limit import CompiledLimit, compile_limit
from ..simulation.descent.compiled_descent import CompiledDescent, compile_descent
from .mechanisms import Tree
from .network import Network
from .normal_space.classification import Questions, classified, decided
from .normal_space.fluctuations import across, slope
from .normal_space.geometry import Geometry, Surface
from .normal_space.manifold import geometry, neighbours, on_manifold, retract
from .normal_space.moments import Covariance, Moments
from .programs import Doubles
from .refusals import refuses
from .statements import explanation, statements

POINTS = 2
"""Points of Γ beside the given one at which the classification is decided."""
DISTANCE = 0.05
"""Their distance, relative to the norm of the weights."""


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


@refuses(Limit)
@dataclass(frozen=True, repr=False)
class NetworkLimit:
    """Limiting equation dW = b(W) dt + s(W) dB of a network along Γ, with the evidence for it.

    Parameters of the network are pytrees, or the weights of shape (N,) that they are made of.

    Attributes
    ----------
    problem : Network
        What was asked, at a point of Γ.
    origin : Surface
        Γ at that point.
    outcome : Outcome
        Which of the five kinds of limit this is.
    evidence : Evidence
        The questions that led to it.
    equation : Weights
        Which terms act.
    """

    problem: Network
    origin: Surface
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

    def at(self, params: Tree) -> Surface:
        """Γ at parameters on it."""
        w = self.problem.flattened(params)
        return geometry(self.problem, w, keep=True)

    def regularizer(self, params: Tree) -> float:
        """Reg on Γ."""
        return self.moments.regularizer(self.at(params))

    def trace(self, params: Tree) -> float:
        """Tr H on Γ, which label noise lowers where all c_i are equal."""
        return self.at(params).trace

    def spectrum(self, params: Tree) -> Doubles:
        """Positive eigenvalues of H on Γ, increasing; with probes, the first and the last."""
        return self.at(params).values

    def drift(self, params: Tree) -> Tree:
        """Drift along Γ in slow time, a pytree like the parameters.

        The normal part that a diffusion has besides, ½ II[s sᵀ], is that which keeps it on Γ.
        """
        return self.problem.unflattened(self.velocity(self.at(params)))

    def velocity(self, here: Surface) -> Doubles:
        """The drift as a vector of shape (N,), at a point of Γ."""
        return self._velocity(here, self.covariance(here) if self.equation.ito else None)

    def _velocity(self, here: Surface, covariance: Covariance | None) -> Doubles:
        equation = self.equation
        total = np.zeros(self.problem.dimension)
        if equation.regularizer:
            total -= equation.regularizer * here.raised(self.moments.gradient(here))
        if covariance is not None:
            total -= 2 * equation.ito * slope(here, covariance, equation.step)
        return here.project(total)

    def probed(self, seed: int) -> NetworkLimit:
        """The same limit, estimated with other probes."""
        return replace(self, problem=self.problem.probed(seed))

    def covariance(self, here: Surface) -> Covariance:
        """Σ at a point of Γ."""
        return self.moments.covariance(here)

    def diffusion(self, params: Tree) -> Callable[[Doubles], Tree] | None:
        """The map ξ ↦ s ξ at parameters on Γ, ξ of shape (d,); None where nothing diffuses."""
        if self.deterministic:
            return None
        here = self.at(params)
        covariance = self.covariance(here)
        return lambda xi: self.problem.unflattened(self._kick(here, covariance, xi))

    @property
    def deterministic(self) -> bool:
        """Whether the limit is a flow."""
        return self.equation.noise == 0.0 or self.moments.normal

    def increment(self, here: Surface, span: float, xi: Doubles) -> Doubles:
        """The step b Δt + s √Δt ξ at a point of Γ, shape (N,), of ξ of shape (d,)."""
        covariance = self.covariance(here)
        drift = self._velocity(here, covariance if self.equation.ito else None)
        return drift * span + np.sqrt(span) * self._kick(here, covariance, xi)

    def _kick(self, here: Surface, covariance: Covariance, xi: Doubles) -> Doubles:
        along = covariance.along
        if along is None:
            return self.equation.noise * here.project(here.raised(xi))
        total, first = np.zeros(self.problem.dimension), 0
        for block in along:
            part = np.asarray(block, dtype=np.float64)
            total += xi[first : first + len(part)] @ part
            first += len(part)
        return self.equation.noise * total

    def projector(self, params: Tree) -> Callable[[Tree], Tree]:
        """The tangent projector P at parameters on Γ, a map of pytrees."""
        here, network = self.at(params), self.problem
        return lambda v: network.unflattened(here.project(network.flattened(v)))

    def retract(self, params: Tree) -> Tree:
        """A point of Γ near parameters, by Gauss–Newton steps."""
        network = self.problem
        w = network.flattened(params)
        return network.unflattened(retract(geometry(network, w), w)[0])

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
            For batches so small that they keep Γ from attracting.

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
                f"{values[-1]:.4g}, and the fastest mode across Γ grows by {radius:.3g} in each "
                f"step; expected less than {optimizer.bound(values[-1]):.4g}"
            )
        if not isinstance(self.origin, Geometry):
            self._require_estimates()
        elif self.problem.batch_size is not None:
            across(self.origin, np.eye(self.origin.rank), size)
        equation = replace(self.equation, step=size)
        if self.outcome is Outcome.NON_DEGENERATE:
            effective = optimizer.effective(size)
            equation = replace(equation, ito=effective / 2, noise=float(np.sqrt(effective)))
        return replace(self, equation=equation)

    def _require_estimates(self) -> None:
        if self.outcome is Outcome.NON_DEGENERATE or self.problem.batch_size is not None:
            raise NotCoveredError(
                "step: with probes the limit at a step is that of label noise on all samples, "
                "whose fluctuations are a function of H; derive_limit(network) without probes has "
                "that of any other noise"
            )

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

    def check(self, drift: Callable[[Tree], Tree]) -> Verdict:
        """Whether a drift derived by hand is the same at points of Γ.

        Parameters
        ----------
        drift : callable
            From parameters to a pytree like them, per unit of slow time.
        """
        if not callable(drift):
            raise ArgumentError(
                "drift: expected a function from the parameters to a pytree like them, got "
                f"{drift!r}"
            )
        network = self.problem

        def size(here: Surface) -> float:
            found = self.velocity(here)
            given = network.flattened(drift(network.unflattened(here.point)))
            scale = max(np.linalg.norm(found), np.linalg.norm(given))
            return float(np.linalg.norm(given - found) / scale) if scale else 0.0

        return decided(size, (self.origin, *_neighbours(self.origin)))

    def latex(self) -> str:
        """What the limit says as LaTeX, for mathematics mode."""
        return as_array(statements(self), Notation())

    def explain(self) -> Explanation:
        """The derivation step by step, with each hypothesis and the number found for it."""
        return explanation(self)

    def _repr_html_(self) -> str:
        return statements_table(statements(self))

    def __repr__(self) -> str:
        return f"NetworkLimit({self.problem!r}, {self.outcome.value})"

    def __str__(self) -> str:
        return lines(statements(self))


def _neighbours(here: Surface) -> list[Surface]:
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
    origin = origin.of(found)
    questions = Questions(found, (origin, *_neighbours(origin)))
    outcome, evidence = classified(questions, assumed)
    equation = {
        Outcome.NON_DEGENERATE: Weights(regularizer=1.0),
        Outcome.DIFFUSIVE: Weights(ito=0.5, noise=1.0),
        Outcome.DETERMINISTIC: Weights(ito=0.5),
    }.get(outcome, Weights())
    return NetworkLimit(found, origin, outcome, evidence, equation)


derive_limit.register(Network, derive_network_limit)  # type: ignore[arg-type]


@compile_limit.register(NetworkLimit)
def _compiled(limit: NetworkLimit) -> CompiledLimit:  # type: ignore[misc]
    raise NotCoveredError(
        "limit: that of a network is compiled by JAX as it is; its drift, diffusion, projector and "
        "regularizer are functions of the parameters, and simulate_limit, simulate_descent and "
        "validate take it"
    )


@compile_descent.register(Network)
def _compiled_descent(problem: Network) -> CompiledDescent:  # type: ignore[misc]
    raise NotCoveredError(
        "problem: the training of a network is compiled by JAX; simulate_descent and validate take "
        "it, one step size and noise scale at a time"
    )


@article.register(NetworkLimit)
def _article(limit: NetworkLimit) -> Article:
    raise NotCoveredError(
        "limit: a document states formulas, and a network is a program without them; "
        "limit.explain() and limit.latex() say what was found, with its numbers"
    )
