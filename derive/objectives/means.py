"""L and L̂ as means over samples, which are not written out, however many they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy as sp

from ..deductions.deductions import Standing
from ..deductions.hypotheses import rank_support
from ..equation.limiting_equation import LimitingEquation
from ..errors import NotCoveredError, ProblemError
from ..files.limit_file import known_in, known_of, moments_in, restored_of, stated
from ..laws.independent import Independent, repeated, split
from ..laws.law import Law
from ..manifold.discovery.find_manifold import manifold_of
from ..manifold.discovery.finite_sums import SampledManifold, sampled_manifold
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent, Objective
from ..model.statement import Fields, problem_fields
from ..noise.averaged_moments import AveragedMoments, averaged
from ..noise.classification import Classification, Evidence, Outcome, Step, classify
from ..noise.moments import NoiseMoments, moments_of, noise_moments
from ..reading import names, refuse_overlap
from ..symbolic.calculus import gradient
from ..symbolic.means import Mean, Samples, joined
from ..symbolic.zero_tests import proved


class Means(Objective):
    """Means over samples of expressions in numbers."""

    name = "means over samples"

    @classmethod
    def is_stated(cls, stated: Any) -> bool:
        """Where one of the losses holds a `Mean`."""
        return holds_mean(stated.loss) or holds_mean(stated.noisy_loss)

    @classmethod
    def fields(cls, stated: Any) -> Fields:
        """The fields, with the noise of a sample apart from that of all."""
        found = problem_fields(stated)
        if stated.noisy_loss is not None:
            losses = found["loss"], found["noisy_loss"]
            found["loss"], found["noisy_loss"] = over_the_same_samples(*losses)
        return _with_samples(found)

    def check(self) -> None:
        """Refuse stray symbols, and what a problem of one sample refuses: it holds for the mean."""
        self.problem.check_symbols()
        _ = self.one_sample

    @property
    def samples(self) -> Samples:
        """The data."""
        found: Samples = self.problem.loss.samples
        return found

    @cached_property
    def one_sample(self) -> NoisyGradientDescent:
        """The problem of one sample, with its data among the parameters."""
        problem, samples = self.problem, self.samples
        noisy = None if problem.noisy_loss is None else samples.one(problem.noisy_loss)
        return replace(
            problem,
            loss=samples.one(problem.loss),
            noisy_loss=noisy,
            parameters=(*problem.parameters, *samples.symbols),
        )

    @property
    def is_polynomial(self) -> bool:
        """Whether L̂ of a sample is a polynomial in the noise."""
        return self.one_sample.objective.is_polynomial

    def written_out(self, rows: Sequence[int] | None = None) -> NoisyGradientDescent:
        """The problem with the mean over all samples, or over some of them, written out."""
        problem, samples = self.problem, self.samples
        chosen = range(len(samples)) if rows is None else rows
        noisy = problem.noisy_loss
        copies = [samples.noise_of(i) for i in chosen]
        own = tuple(copy[e] for copy in copies for e in samples.independent)
        shared = tuple(e for e in problem.noise if e not in samples.independent)
        return replace(
            problem,
            loss=samples.written(problem.loss, chosen)[0],
            noisy_loss=None if noisy is None else samples.written(noisy, chosen)[0],
            noise=shared + own,
            law=repeated(problem.law, problem.noise, samples.independent, copies),
        )


def holds_mean(given: Any) -> bool:
    """Whether an expression holds a mean over samples."""
    return isinstance(given, sp.Basic) and given.has(Mean)


def over_the_same_samples(loss: sp.Expr, noisy: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Loss and noisy loss as means over the same data with the same noise."""
    if not isinstance(loss, Mean) or not isinstance(noisy, Mean):
        other = "noisy_loss" if isinstance(loss, Mean) else "loss"
        raise ProblemError(f"{other}: expected a Mean over the samples, as the other one is")
    samples = joined((loss.samples, noisy.samples))
    return Mean(loss.summand, samples), Mean(noisy.summand, samples)


def _with_samples(found: Fields) -> Fields:
    samples, noise = found["loss"].samples, found["noise"]
    for given in ("constraints", "chart"):
        if given in found:
            raise NotCoveredError(
                f"{given}: Γ of a mean over samples is where each sample is fitted; leave it out, "
                "or write the samples out with problem.written_out()"
            )
    refuse_overlap(
        weights=found["weights"],
        noise=noise,
        parameters=found["parameters"],
        data=samples.symbols,
    )
    stray = set(samples.independent) - set(noise)
    if stray:
        raise ProblemError(f"independent: {names(stray)} is not among the noise")
    return found | {"law": _split_law(found["law"], noise, samples)}


def _split_law(law: Law, noise: tuple[sp.Symbol, ...], samples: Samples) -> Law:
    """The law with the noise of a sample apart from the noise that all samples share."""
    own = tuple(e for e in noise if e in samples.independent)
    shared = tuple(e for e in noise if e not in own)
    parts = split(law, own, shared)
    for symbols, part in parts:
        if set(symbols) & set(own) and not part.shrinks:
            raise ProblemError(
                f"law: {part} keeps its size and is drawn once for all samples; expected a law of "
                "the noise of one sample, or noise that is not among `independent`"
            )
    return law if not own or not shared else Independent(parts)


@manifold_of.register
def _manifold(objective: Means) -> SampledManifold:
    return sampled_manifold(objective.problem)


@moments_of.register
def _moments(objective: Means) -> AveragedMoments:
    return averaged(objective.problem, noise_moments)


@classify.register
def _classified(
    manifold: SampledManifold,
    moments: AveragedMoments,
    assume: Outcome | None = None,
    find: Callable[[NoisyGradientDescent], NoiseMoments] = noise_moments,
) -> Classification:
    sample = _SampleProofs(manifold, moments)
    why = "for each sample, modulo its residual"
    proofs = {
        0: lambda: sample.flat_regularizer() and why,
        1: lambda: sample.no_diffusion() and why,
    }
    found = classified_on_few(manifold, proofs, assume, find)
    moves = found.outcome is Outcome.NON_DEGENERATE
    return replace(found, hessian_multiple=None if moves else sample.hessian_multiple())


def classified_on_few(
    manifold: SampledManifold,
    proofs: Mapping[int, Callable[[], str | bool]],
    assume: Outcome | None,
    find: Callable[[NoisyGradientDescent], NoiseMoments],
) -> Classification:
    """The outcome on a few samples, with proofs for all of them, by question, where there are."""
    found = classify(manifold.few, find(manifold.few.problem), assume)
    steps = []
    for k, step in enumerate(found.evidence.steps):
        proof = proofs[k]() if step.verdict.value and k in proofs else ""
        verdict = proved(str(proof)) if proof else manifold.noted(step.verdict)
        steps.append(Step(step.question, verdict))
    return replace(found, evidence=Evidence(tuple(steps)))


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


@rank_support.register
def _rank(manifold: SampledManifold, *_: Any) -> tuple[str, Standing]:
    why = "the rank is that at weights, found in floats, that fit all samples"
    return why, Standing.SAMPLED


@known_of.register(Means)
def known_of_samples(objective: Objective, limit: LimitingEquation) -> dict[str, Any]:
    """The few samples, the rank of H, Reg and Σ."""
    manifold = limit.manifold
    assert isinstance(manifold, SampledManifold)
    return {"samples": (manifold.rows, manifold.rank), "moments": stated(limit.moments)}


@stated.register
def _stated(moments: AveragedMoments) -> dict[str, Any]:
    parts = {"shared": stated(moments.shared), "own": stated(moments.own)}
    return {"regularizer": moments.regularizer, "penalty": moments.penalty, **parts}


@restored_of.register
def _restored(objective: Means, given: Mapping[str, Any]) -> tuple[Manifold, NoiseMoments]:
    rows, rank = given["samples"]
    few = known_in(given, objective.written_out(rows))
    moments = moments_in(given["moments"])
    if "own" in given["moments"]:
        parts = {name: moments_in(given["moments"][name]) for name in ("shared", "own")}
        moments = AveragedMoments(**vars(moments), samples=objective.samples, **parts)  # type: ignore[arg-type]
    return SampledManifold.of(few, objective.problem, rows, rank), moments
