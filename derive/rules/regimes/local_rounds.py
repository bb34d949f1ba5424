"""Local steps whose number grows as the step size falls, as descent with other noise."""

from __future__ import annotations

import sympy as sp

from ...errors import NotCoveredError
from ...manifold.manifold import Manifold
from ...model.problem import NoisyGradientDescent
from ...noise.moments import NoiseMoments, persistent_noise
from ...optimizers.local_rounds import LocalRounds
from ...theory.local_steps import share


def effective_problem(
    problem: NoisyGradientDescent, manifold: Manifold, moments: NoiseMoments
) -> NoisyGradientDescent:
    """Descent with the gradient noise Σ' whose limit is that of the local steps.

    Parameters
    ----------
    problem : NoisyGradientDescent
        With `LocalRounds` for its optimizer.
    manifold, moments : Manifold, NoiseMoments
        Γ and the noise of one worker.

    Raises
    ------
    NotCoveredError
        Where H has several eigenvalues across Γ, P is not written in closed form, or noise keeps
        its size.
    """
    rounds, projector = problem.optimizer, manifold.projector
    assert isinstance(rounds, LocalRounds)
    if manifold.codimension != 1 or projector is None or persistent_noise(problem):
        raise NotCoveredError(
            "optimizer: with T/α local steps a limit is written where Γ has codimension one, so "
            "that H has one eigenvalue, and all noise shrinks with σ; take LocalSteps(n, workers) "
            "and limit.at_step(alpha)"
        )
    rate, p = rounds.time * manifold.shortest(manifold.laplacian), sp.Integer(rounds.workers)
    alone, mixed = (share(x, p, sp.exp) for x in (2 * rate, rate))
    factor, across = moments.factor, sp.eye(problem.dimension) - projector
    if factor is not None and manifold.vanishes(list(projector * factor)):
        noise = tuple(sp.Symbol(f"kick{i}", real=True) for i in range(factor.cols))
        return _with_noise(problem, sp.sqrt(alone) * factor, noise)
    sigma = moments.covariance
    half = across * sigma * projector
    along = projector * sigma * projector / p
    return _with_noise(problem, alone * across * sigma * across + mixed * (half + half.T) + along)


def _with_noise(
    problem: NoisyGradientDescent, matrix: sp.Matrix, noise: tuple[sp.Symbol, ...] = ()
) -> NoisyGradientDescent:
    """The loss with a factor, or a covariance, of its gradient noise."""
    return NoisyGradientDescent.from_gradient_noise(
        problem.loss,
        matrix,
        problem.weights,
        noise,
        constraints=problem.constraints,
        chart=problem.chart,
        near=problem.near,
        parameters=problem.parameters,
    )
