"""Reg and Σ of matrix models, and their outcome; Σ = a Hᵏ on Γ for the noise that is covered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import sympy as sp

from ..errors import NotCoveredError
from ..manifold.discovery.traces import TraceManifold
from ..matrices.objective import MatrixNoise, TraceObjective, in_words, residual_law
from ..model.problem import NoisyGradientDescent
from ..symbolic.effort import WRITTEN_OUT
from ..symbolic.zero_tests import Verdict, proved
from .classification import Classification, Evidence, Outcome, Step, classify
from .moments import NoiseMoments, noise_moments

NO_NOISE = MatrixNoise(sp.S.Zero, sp.S.Zero, sp.S.Zero, 1)

SHIFTED, ADDED = 2, 0
"""Powers of H in the covariance of noise of the weights, and of additive noise."""


@dataclass(frozen=True, eq=False)
class TraceMoments(NoiseMoments):
    """Moments of a matrix model; Reg up to what vanishes with the residuals.

    Attributes
    ----------
    noise : MatrixNoise
        What they are on Γ.
    objective : TraceObjective
        The loss in words.
    """

    noise: MatrixNoise = NO_NOISE
    objective: TraceObjective | None = None

    @property
    def is_silent(self) -> bool:
        """Whether there is no gradient noise."""
        return bool(self.noise.multiple == 0)

    def slope_of(self, potential: sp.Expr) -> tuple[sp.MatrixExpr, ...]:
        """The gradient of a potential that is Reg or does not depend on the weights."""
        assert self.objective is not None
        if not potential.has(*self.objective.weights):
            return tuple(sp.ZeroMatrix(*v.shape) for v in self.objective.weights)
        return tuple(
            sp.MatMul(self.noise.slope, slope).doit(deep=False)
            for slope in self.objective.mean_squared_gradient_slopes
        )


def trace_moments(problem: NoisyGradientDescent) -> TraceMoments:
    """Reg and Σ of a problem with matrices for weights.

    Raises
    ------
    NotCoveredError
        If the noise is none of those that `derive.matrices.objective` lists.
    """
    objective = problem.traces
    assert objective is not None
    return moments_of(_matrix_noise(problem, objective), objective)


def moments_of(noise: MatrixNoise, objective: TraceObjective) -> TraceMoments:
    """Reg and Σ of what the noise does on Γ."""
    reg = noise.constant + noise.slope * objective.mean_squared_gradient
    empty = partial(sp.ImmutableMatrix, 0, 0, [])
    return TraceMoments(reg, empty, noise=noise, objective=objective)


def covered_form(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    """The problem as it stands, or in entries where its noise is not covered in words.

    Raises
    ------
    NotCoveredError
        If it is not covered in words, and has too many entries to be written out.
    """
    if problem.traces is None or problem.samples is None:
        return problem
    try:
        trace_moments(problem)
    except NotCoveredError:
        if len(problem.samples) * problem.dimension > WRITTEN_OUT:
            raise
        return problem.written_out()
    return problem


def _matrix_noise(problem: NoisyGradientDescent, objective: TraceObjective) -> MatrixNoise:
    samples, noise = problem.samples, problem.noise
    assert samples is not None
    noisy = samples.one(problem.noisy_loss)
    matrices = [e for e in noise if isinstance(e, sp.MatrixSymbol)]
    if not matrices and set(noise) == set(samples.independent):
        return _of_residuals(problem, objective)
    shapes = [e.shape for e in matrices]
    if len(matrices) == len(noise) and shapes == [v.shape for v in problem.weights]:
        pairs = list(zip(problem.weights, matrices, strict=True))
        moved = objective.value.xreplace({v: v + e for v, e in pairs})
        shifted = objective.weight * (moved - objective.target) ** 2 / 2
        if not problem.law.levy_pair(1).jumps and in_words(noisy - shifted) == 0:
            return MatrixNoise(sp.S.Zero, objective.weight / 2, sp.S.One, SHIFTED)
        size = sp.Dummy(real=True)
        added = size * sp.Add(*(sp.Trace(e.T * v) for v, e in pairs))
        excess = in_words(noisy - samples.one(problem.loss) - added)
        found = sp.solve(excess, size)
        if found and found[0].is_number and sp.expand(excess.subs(size, found[0])) == 0:
            return MatrixNoise(sp.S.Zero, sp.S.Zero, found[0] ** 2, ADDED, found[0])
    raise NotCoveredError(
        "noisy_loss: with matrices for weights, noise is covered that each sample has for itself "
        "and that meets its residual alone, that is added as Trace(E.T*W), or that is added to "
        "the weights, W + E, one noise matrix per weight; others are written in entries, where "
        f"samples times entries are at most {WRITTEN_OUT}"
    )


def _of_residuals(problem: NoisyGradientDescent, objective: TraceObjective) -> MatrixNoise:
    """Scalar noise of each sample, from its problem in the one unknown r = h − y."""
    samples = problem.samples
    assert samples is not None
    r, law = residual_law(samples.one(problem.noisy_loss), objective)
    alone = NoisyGradientDescent(objective.weight * r**2 / 2, law, r, problem.noise, problem.law)
    moments = noise_moments(alone)
    at_zero = {r: sp.S.Zero}
    variance = sum((x.xreplace(at_zero) ** 2 for x in moments.columns), sp.S.Zero)
    multiple = sp.cancel(variance / (objective.weight * len(samples)))
    return MatrixNoise(moments.regularizer.xreplace(at_zero), sp.S.Zero, multiple, 1)


def classify_traces(
    manifold: TraceManifold, moments: TraceMoments, assume: Outcome | None = None
) -> Classification:
    """The outcome on small matrices, with proofs that hold for all where there are any.

    Raises
    ------
    UndecidedError
        As `classify`.
    """
    found = classify(manifold.few, noise_moments(manifold.few.problem), assume)
    noise = moments.noise
    proofs = {
        0: noise.slope == 0 and "Reg is constant where the residuals vanish",
        1: noise.power > 0 and "each column of G is a combination of the gradients of the model",
    }
    steps = []
    for k, step in enumerate(found.evidence.steps):
        verdict: Verdict = step.verdict
        proof = proofs.get(k) if verdict.value else None
        steps.append(Step(step.question, proved(proof) if proof else manifold.noted(verdict)))
    multiple = noise.multiple if noise.power == 1 and noise.multiple != 0 else None
    return replace(found, evidence=Evidence(tuple(steps)), hessian_multiple=multiple)
