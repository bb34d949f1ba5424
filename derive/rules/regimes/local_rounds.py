"""Local steps whose number grows as the step size falls, as descent with other noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import mpmath
import sympy as sp

from ...errors import NotCoveredError
from ...manifold.manifold import LocalGeometry, Manifold
from ...model.problem import NoisyGradientDescent
from ...noise.moments import NoiseMoments
from ...optimizers.local_rounds import LocalRounds
from ...optimizers.optimizer import Optimizer
from ...theory.katzenberger import NormalFrame
from ...theory.limit_map import SlowMotion
from ...theory.local_steps import effective_covariance, share
from ..expansion import RuleExpansion
from ..motion import RuleMotion


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
        Where H has several eigenvalues across Γ, or P is not written in closed form.
    """
    rounds, projector = problem.optimizer, manifold.projector
    assert isinstance(rounds, LocalRounds)
    if manifold.codimension != 1 or projector is None:
        raise NotCoveredError(
            "optimizer: with T/α local steps a limit is written where Γ has codimension one, so "
            "that H has one eigenvalue; elsewhere it is evaluated at points"
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


@dataclass(frozen=True)
class RoundsMotion(RuleMotion):
    """Descent with Σ' in place of Σ, at points of Γ, where H has several eigenvalues.

    Its `optimizer` is `LocalRounds`, its expansion that of a step of descent without memory.
    """

    @property
    def rounds(self) -> LocalRounds:
        """The optimizer.

        Raises
        ------
        NotCoveredError
            If T is a symbol.
        """
        found = self.optimizer
        if not isinstance(found, LocalRounds):
            raise TypeError(f"expected LocalRounds, got {found!r}")
        if not found.time.is_number:
            raise NotCoveredError(
                "optimizer: beyond codimension one the limit of LocalRounds is evaluated in "
                f"numbers, and its time is {found.time}; bind it to a number"
            )
        return found

    def at(self, g: LocalGeometry, step: Any) -> SlowMotion:
        """The theorem at a point of Γ, in mpmath's working precision."""
        point, slopes = self.sharpened(g)
        jet, rounds = self.jet((*point, step)), self.rounds
        time = mpmath.mpmathify(sp.N(rounds.time, mpmath.mp.dps))
        frame = _eigenframe((mpmath.eye(jet.mean.rows) - jet.mean) / step, slopes)
        noise = effective_covariance(frame, jet.noise, time, rounds.workers, mpmath.exp)
        return SlowMotion(replace(jet, noise=noise), slopes)


def _eigenframe(hessian: Any, slopes: Any) -> NormalFrame:
    """Eigenvectors of H on the span of the rows of `slopes`, to mpmath's working precision."""
    basis = mpmath.qr(slopes.T, mode="skinny")[0]
    values, vectors = mpmath.eigsy(basis.T * hessian * basis)
    rows, inverse = (basis * vectors).T, mpmath.diag([1 / x for x in values])
    return NormalFrame(rows, rows.T, mpmath.diag(list(values)), inverse, mpmath.eye(rows.rows))


def motion_of(
    expansion: RuleExpansion, manifold: Manifold, optimizer: Optimizer | None
) -> RuleMotion:
    """A rule, and what is built of its steps, at points of Γ."""
    kind = RoundsMotion if isinstance(optimizer, LocalRounds) else RuleMotion
    return kind(expansion, manifold, optimizer)
