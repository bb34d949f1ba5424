"""The outcome of a mean over samples: decided on a few, proved for all where one proves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp

from ..manifold.discovery.finite_sums import SampledManifold
from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import gradient
from ..symbolic.zero_tests import proved
from .averaged_moments import AveragedMoments
from .classification import Classification, Evidence, Outcome, Step, classify
from .moments import NoiseMoments, noise_moments


@classify.register
def _classified(
    manifold: SampledManifold,
    moments: AveragedMoments,
    assume: Outcome | None = None,
    find: Callable[[NoisyGradientDescent], NoiseMoments] = noise_moments,
) -> Classification:
    found = classify(manifold.few, find(manifold.few.problem), assume)
    sample = _SampleProofs(manifold, moments)
    attempts = {0: sample.flat_regularizer, 1: sample.no_diffusion}
    steps = []
    for k, step in enumerate(found.evidence.steps):
        verdict = step.verdict
        if verdict.value and k in attempts and attempts[k]():
            verdict = proved("for each sample, modulo its residual")
        else:
            verdict = manifold.noted(verdict)
        steps.append(Step(step.question, verdict))
    moves = found.outcome is Outcome.NON_DEGENERATE
    multiple = None if moves else sample.hessian_multiple()
    return replace(found, evidence=Evidence(tuple(steps)), hessian_multiple=multiple)


@dataclass(frozen=True)
class _SampleProofs:
    """What follows for every n from r = 0 in one sample."""

    manifold: SampledManifold
    moments: AveragedMoments

    @cached_property
    def normal(self) -> list[sp.Expr]:
        """∇r."""
        return gradient(self.manifold.square[1], self.manifold.whole.weights)

    @cached_property
    def pivot(self) -> int:
        return next(k for k, x in enumerate(self.normal) if x != 0)

    def flat_regularizer(self) -> bool:
        reg = self.manifold.samples.one(self.moments.regularizer)
        return self.is_normal(gradient(reg, self.manifold.whole.weights))

    def no_diffusion(self) -> bool:
        columns = [m.columns[:, a] for m in self.parts for a in range(m.columns.cols)]
        return all(self.is_normal(list(column)) for column in columns)

    @property
    def parts(self) -> tuple[NoiseMoments, NoiseMoments]:
        return self.moments.own, self.moments.shared

    def is_normal(self, field: Sequence[sp.Expr]) -> bool:
        """Whether a vector field is a multiple of ∇r wherever r = 0."""
        first = self.normal[self.pivot]
        return all(
            self.manifold.ideal.contains(x * first - field[self.pivot] * slope)
            for x, slope in zip(field, self.normal, strict=True)
        )

    def hessian_multiple(self) -> sp.Expr | None:
        """The c with Σ = cH: independent noise along ∇r of variance proportional to the weight."""
        columns = self.moments.own.columns
        if not columns.cols or self.moments.shared.columns.cols or not self.no_diffusion():
            return None
        c, _ = self.manifold.square
        variance = sum(x**2 for x in columns[self.pivot, :]) / self.normal[self.pivot] ** 2
        ratio = self.manifold.ideal.shortest(sp.cancel(variance / c))
        samples = self.manifold.samples
        varying = {*self.manifold.whole.weights, *samples.symbols}
        return None if ratio.free_symbols & varying or ratio == 0 else ratio / len(samples)
