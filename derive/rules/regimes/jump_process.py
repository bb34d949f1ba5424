"""Rare jumps at a fixed step size: as σ → 0 descent on Γ becomes a jump process.

In time t = kσ² a jump z_m of the noise comes at the rate ν_m. It throws W to T(W, z_m), from where
descent leads back to Γ before the next one comes; what remains of the noise between jumps is its
mean. With Φ_α the end of descent without noise the generator is

    f ↦ Σ_m ν_m [ f(Φ_α(T(W, z_m))) − f(W) − Df P ∂_ηT(W, 0) z_m ].

As α → 0 this becomes the flow of the non-local Reg of `noise_moments`.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from ...errors import NotCoveredError
from ...manifold.manifold import Manifold
from ...model.problem import NoisyGradientDescent
from ...symbolic.calculus import Substitution
from ...symbols import sigma


@dataclass(frozen=True)
class JumpProcess:
    """Limit σ → 0, at a fixed step size, of descent whose noise jumps rarely.

    Attributes
    ----------
    problem : NoisyGradientDescent
        Whose limit this is.
    manifold : Manifold
        Γ.
    step : Expr
        α.
    rates : tuple of Expr
        ν_m, per unit of time t = kσ².
    landings : tuple of Matrix, shape (N, 1)
        T(W, z_m), from where descent with step α leads back to Γ.
    compensator : Matrix, shape (N, 1)
        −Σ_m ν_m ∂_ηT(W, 0) z_m, whose tangential part is the drift between jumps.

    References
    ----------
    Differentiate f∘Φ_α along the recursion; as α → 0, Shalova, Schlichting, Peletier,
    arXiv 2404.12293, Example 1.3.
    """

    problem: NoisyGradientDescent
    manifold: Manifold
    step: sp.Expr
    rates: tuple[sp.Expr, ...]
    landings: tuple[sp.Matrix, ...]
    compensator: sp.Matrix

    @property
    def time_scale(self) -> sp.Expr:
        """Iterations per unit of time, in `derive.sigma`."""
        return 1 / sigma**2

    @property
    def drift(self) -> sp.Matrix | None:
        """Drift between jumps on Γ, shape (N, 1); None where P is too long to read."""
        projector = self.manifold.projector
        if not any(self.compensator):
            return self.compensator
        if projector is None:
            return None
        return (projector * self.compensator).applyfunc(self.manifold.shortest)


def jump_process(problem: NoisyGradientDescent, manifold: Manifold, step: sp.Expr) -> JumpProcess:
    """The jump process of a problem whose noise has rare jumps and nothing else.

    Raises
    ------
    NotCoveredError
        If some of the noise does not jump, keeps its size, or L̂ is not given.
    """
    pair = problem.levy_pair
    if not pair.jumps or any(pair.covariance) or not problem.law.shrinks:
        raise NotCoveredError(
            "jump_process: the noise must jump rarely and do nothing else, as that of Bernoulli() "
            "or of CustomLaw with covariance 0 does; at_step covers laws that shrink"
        )
    if problem.noisy_loss is None:
        raise NotCoveredError("jump_process: a gradient noise alone does not say where it jumps to")
    weights, slope = sp.Matrix(problem.weights), sp.Matrix(problem.stochastic_gradient)
    at_rest = dict.fromkeys(problem.noise, sp.S.Zero)
    quiet = Substitution(at_rest)
    sensitivity = slope.jacobian(problem.noise).applyfunc(quiet)  # −∂_ηT/α
    landings, compensator = [], sp.zeros(len(weights), 1)
    for jump in pair.jumps:
        moved = Substitution(at_rest | dict(zip(problem.noise, jump.displacement, strict=True)))
        landings.append(weights - step * slope.applyfunc(moved))
        compensator += step * jump.rate * sensitivity * sp.Matrix(jump.displacement)
    rates = tuple(jump.rate for jump in pair.jumps)
    if manifold.vanishes_along(list(compensator)):
        compensator = sp.zeros(len(weights), 1)
    return JumpProcess(problem, manifold, step, rates, tuple(landings), compensator)
