"""L and L̂ as means of squares in traces of matrix words; see `derive.matrices.objective`.

Questions about Γ are tried out on small matrices and a few random samples. On Γ, Σ = a Hᵏ for the
noise that is covered.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import sympy as sp

from ..deductions.deductions import Standing
from ..deductions.hypotheses import rank_support
from ..errors import NotCoveredError, ProblemError
from ..files.limit_file import known_in, known_of, restored_of, stated
from ..laws.law import Quantity
from ..manifold.discovery.find_manifold import find_manifold, manifold_of
from ..manifold.discovery.finite_sums import SampledManifold
from ..manifold.manifold import Manifold
from ..matrices.entries import (
    entries_of,
    exact_entries,
    mean_in_entries,
    random_matrix,
    shape_of,
    sizes_of,
    small_sizes,
)
from ..matrices.objective import (
    ADDED,
    NO_NOISE,
    MatrixNoise,
    TraceObjective,
    consistent_sample,
    in_words,
    read_traces,
    residual_law,
    shared_noise,
    without_matrices,
)
from ..model.problem import NoisyGradientDescent, Objective
from ..model.statement import Fields, read_law
from ..noise.classification import Classification, Outcome, classify
from ..noise.moments import NoiseMoments, moments_of, noise_moments
from ..reading import holds_matrices, read_expression, read_matrices, refuse_overlap, refuse_stray
from ..symbolic.effort import WRITTEN_OUT
from ..symbolic.means import MatrixSamples, gathered
from ..symbolic.zero_tests import Verdict, proved
from .means import classified_on_few, holds_mean, known_of_samples, over_the_same_samples

SAMPLES = 2
"""Random samples on which the questions are tried out, where the weights leave room for them."""


class Traces(Objective):
    """A mean of squares of a model in traces, with matrices for weights."""

    name = "matrices for weights"
    is_pointwise = False
    is_polynomial = True
    is_entire = True
    noiseless = proved("read off the noise model")

    @classmethod
    def is_stated(cls, given: Any) -> bool:
        """Where weights are matrices."""
        return holds_matrices(given.weights)

    @classmethod
    def fields(cls, given: Any) -> Fields:
        """The fields of a problem with matrices for weights."""
        beyond = ("constraints", "chart", "near", "noise_matrix")
        more = [name for name in beyond if getattr(given, name) is not None]
        more += [name for name in ("parameters", "penalty") if getattr(given, name)]
        if more or given.noisy_loss is None:
            raise NotCoveredError(
                f"{', '.join(more) or 'noisy_loss'}: a problem with matrices for weights is "
                "stated by loss, noisy_loss, weights, noise and law; write others in entries"
            )
        weights, noise = (
            read_matrices(name, getattr(given, name)) for name in ("weights", "noise")
        )
        refuse_overlap(weights=weights, noise=noise)
        loss, noisy = (gathered(read_expression("loss", x)) for x in (given.loss, given.noisy_loss))
        if holds_mean(loss) or holds_mean(noisy):
            loss, noisy = over_the_same_samples(loss, noisy)
        unsized = [v for v in weights if v.has(sp.Symbol)]
        if unsized and not holds_mean(loss):
            raise ProblemError(
                f"weights: {unsized[0]} has the symbolic shape {unsized[0].shape}, and no data "
                "fix it; expected numbers of rows and columns, a Mean over data, or to derive for "
                "any number of them with general_limit"
            )
        law = read_law(given.law, noise)
        if not law.has_independent_coordinates or not law.shrinks:
            raise NotCoveredError(
                "law: with matrices for weights, noise of one law with independent coordinates "
                f"that shrinks with σ is covered, got {law}"
            )
        return {"loss": loss, "noisy_loss": noisy, "weights": weights, "noise": noise, "law": law}

    def check(self) -> None:
        """Refuse a loss that is no mean of one square, stray symbols, and L̂(w, 0) ≠ L(w)."""
        _ = self.words
        noisy, noise = self.problem.noisy_loss, self.problem.noise
        assert noisy is not None
        allowed = {*self.problem.weights, *noise, *self.samples.symbols}
        refuse_stray("noisy_loss", noisy, allowed)
        silent = dict.fromkeys((e for e in noise if isinstance(e, sp.Symbol)), sp.S.Zero)
        still = without_matrices(self._noisy, noise).xreplace(silent)
        if in_words(still - self.samples.one(self.problem.loss)) != 0:
            raise ProblemError(
                f"noisy_loss: L̂(w, 0) must equal L(w); one sample of L̂(w, 0) is {still}"
            )

    @cached_property
    def words(self) -> TraceObjective:
        """The loss of one sample in words."""
        return read_traces(self.problem.loss, self.problem.weights)

    @property
    def samples(self) -> MatrixSamples:
        """The data."""
        found: MatrixSamples = self.problem.loss.samples
        return found

    @property
    def _noisy(self) -> sp.Expr:
        """L̂ of one sample."""
        return self.samples.one(self.problem.noisy_loss)

    @cached_property
    def sizes(self) -> Mapping[sp.Expr, sp.Expr]:
        """Values of the dimensions that the data matrices fix."""
        data, samples = self.words.data, self.samples
        return sizes_of(data, samples.arrays[samples.symbols.index(data)].shape[1:])

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes of the weight matrices."""
        return tuple(shape_of(v, self.sizes) for v in self.problem.weights)

    @cached_property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        """The entries of the weight matrices, one after the other, row by row."""
        return tuple(x for v in self.problem.weights for x in entries_of(v, self.sizes))

    @property
    def dimension(self) -> int:
        """Number N of entries."""
        return sum(map(math.prod, self.shapes))

    @property
    def one_sample(self) -> NoisyGradientDescent:
        """Not covered."""
        raise NotCoveredError(
            "problem: not derived for matrices for weights; write it in entries, with "
            "problem.written_out()"
        )

    def written_out(self, rows: Sequence[int] | None = None) -> NoisyGradientDescent:
        """The problem in entries, for all samples or some of them."""
        pairs = list(zip(self.samples.symbols, self.samples.arrays, strict=True))
        chosen = range(len(self.samples)) if rows is None else rows
        data = [{symbol: exact_entries(array[i]) for symbol, array in pairs} for i in chosen]
        return self.of_entries(data, self.sizes)

    def of_entries(
        self,
        data: Sequence[Mapping[Any, Any]],
        sizes: Mapping[sp.Expr, sp.Expr],
        near: Sequence[sp.Expr] | None = None,
    ) -> NoisyGradientDescent:
        """The problem with its matrices written in entries, for some data and dimensions."""
        problem, samples = self.problem, self.samples
        matrices = {
            m: entries_of(m, sizes)
            for m in (*problem.weights, *problem.noise)
            if isinstance(m, sp.MatrixSymbol)
        }
        noise = [e for m in problem.noise if m in matrices for e in matrices[m]]
        noise += [e for e in problem.noise if e not in matrices and e not in samples.independent]
        copies = [samples.noise_of(i) for i in range(len(data))]
        noise += [e for own in copies for e in own.values()]
        given = [{**sample, **own} for sample, own in zip(data, copies, strict=True)]
        loss, noisy = (
            mean_in_entries(summand, matrices, given)
            for summand in (samples.one(problem.loss), self._noisy)
        )
        weights = tuple(x for v in problem.weights for x in matrices[v])
        around = None if near is None else tuple(near)
        return NoisyGradientDescent(loss, noisy, weights, tuple(noise), problem.law, near=around)

    @cached_property
    def noise(self) -> MatrixNoise:
        """What the noise does on Γ; refused where `derive.matrices.objective` does not list it."""
        noise, law = self.problem.noise, self.problem.law
        matrices = [e for e in noise if isinstance(e, sp.MatrixSymbol)]
        if not matrices and set(noise) == set(self.samples.independent):
            return self._noise_of_residuals
        if len(matrices) == len(noise):
            found = shared_noise(self._noisy, self.words, noise)
            if found and (found.power == ADDED or not law.levy_pair(1).jumps):
                return found
        raise NotCoveredError(
            "noisy_loss: with matrices for weights, noise is covered that each sample has for "
            "itself and that meets its residual alone, that is added as Trace(E.T*W), or that is "
            "added to the weights, W + E, one noise matrix per weight; others are written in "
            f"entries, where samples times entries are at most {WRITTEN_OUT}"
        )

    @property
    def _noise_of_residuals(self) -> MatrixNoise:
        """Scalar noise of each sample, from its problem in the one unknown r = h − y."""
        r, law = residual_law(self._noisy, self.words)
        loss, problem = self.words.weight * r**2 / 2, self.problem
        moments = noise_moments(NoisyGradientDescent(loss, law, r, problem.noise, problem.law))
        at_zero = {r: sp.S.Zero}
        variance = sum((x.xreplace(at_zero) ** 2 for x in moments.columns), sp.S.Zero)
        multiple = sp.cancel(variance / (self.words.weight * len(self.samples)))
        return MatrixNoise(moments.regularizer.xreplace(at_zero), sp.S.Zero, multiple, 1)

    @property
    def covered(self) -> NoisyGradientDescent:
        """The problem, or that in entries, if they are few, where its noise is not covered."""
        try:
            _ = self.noise
        except NotCoveredError:
            if len(self.samples) * self.dimension > WRITTEN_OUT:
                raise
            return self.written_out()
        return self.problem

    def gradient(self, expression: sp.Expr) -> tuple[sp.Expr, ...]:
        """Derivatives of Reg by the weights, and of what does not depend on them."""
        words, weights = self.words, self.problem.weights
        if not expression.has(*weights):
            return tuple(sp.ZeroMatrix(*v.shape) for v in weights)
        if sp.expand(expression - self.noise.slope * words.mean_squared_gradient).has(*weights):
            raise self.refused("gradient")
        return tuple(
            sp.MatMul(self.noise.slope, slope).doit(deep=False)
            for slope in words.mean_squared_gradient_slopes
        )

    @property
    def quantities(self) -> Iterator[Quantity]:
        """Derivatives of the model, and of its mean squared gradient."""
        first, second = self.words.model_gradients, self.words.mean_squared_gradient_slopes
        for v, slope, bend in zip(self.problem.weights, first, second, strict=True):
            name = sp.latex(v)
            yield f"∂h/∂{v}", rf"\partial h/\partial {name}", slope
            yield (
                f"∇_{v} ⟨|∂h|²⟩",
                rf"\nabla_{{{name}}} \langle\lVert\partial h\rVert^2\rangle",
                bend,
            )


@dataclass(frozen=True)
class TraceManifold(SampledManifold):
    """Γ of a matrix model, whose rank is the number of samples where they are independent.

    `probe`, `base` and `search` are those of random samples of small matrices.
    """

    @property
    def words(self) -> TraceObjective:
        """The loss in words."""
        assert isinstance(self.whole.objective, Traces)
        return self.whole.objective.words

    @property
    def constraints(self) -> tuple[sp.Expr, ...]:
        """The residual of one sample, which vanishes for all."""
        return (self.words.value - self.words.target,)

    @property
    def laplacian(self) -> sp.Expr:
        """ΔL on Γ."""
        return self.words.weight * self.words.mean_squared_gradient

    def shortest(self, expression: sp.Expr) -> sp.Expr:
        """The expression itself."""
        return expression

    def vanishes(self, expressions: Sequence[sp.Expr], free: Sequence[sp.Symbol] = ()) -> Verdict:
        """Not covered beyond the classification."""
        raise NotCoveredError(
            "limit: with matrices for weights this question is not answered; ask it of the limit "
            "of problem.written_out()"
        )

    def vanishes_along(self, slope: Sequence[sp.Expr]) -> Verdict:
        """Not covered beyond the classification."""
        return self.vanishes(slope)

    @property
    def tried_on(self) -> str:
        """What questions are decided on."""
        return f"on {len(self.rows)} random samples of small matrices"


@dataclass(frozen=True, eq=False)
class TraceMoments(NoiseMoments):
    """Moments of a matrix model; Reg up to what vanishes with the residuals."""

    noise: MatrixNoise = NO_NOISE
    """What they are on Γ."""

    @property
    def is_silent(self) -> bool:
        """Whether there is no gradient noise."""
        return bool(self.noise.multiple == 0)

    @property
    def isotropic(self) -> sp.Expr | None:
        """b² of additive noise."""
        return self.noise.multiple if self.noise.power == ADDED else None


def _moments_by(noise: MatrixNoise, words: TraceObjective) -> TraceMoments:
    reg = noise.constant + noise.slope * words.mean_squared_gradient
    return TraceMoments(reg, partial(sp.ImmutableMatrix, 0, 0, []), noise=noise)


@moments_of.register
def _moments(objective: Traces) -> TraceMoments:
    return _moments_by(objective.noise, objective.words)


@manifold_of.register
def _manifold(objective: Traces) -> TraceManifold:
    small, rows = _small_problem(objective)
    return TraceManifold.of(find_manifold(small), objective.problem, rows, len(objective.samples))


def _small_problem(objective: Traces) -> tuple[NoisyGradientDescent, tuple[int, ...]]:
    """Some random samples of small matrices, always the same, in entries; and their numbers."""
    words = objective.words
    rng = random.Random(0)
    sizes = small_sizes([*words.weights, words.data])
    weights = {v: random_matrix(shape_of(v, sizes), rng) for v in words.weights}
    near = [x for matrix in weights.values() for x in matrix]
    count = min(SAMPLES, len(near) - 1)
    data = [consistent_sample(words, weights, sizes, rng) for _ in range(count)]
    return objective.of_entries(data, sizes, near), tuple(range(count))


@classify.register
def _classified(
    manifold: TraceManifold,
    moments: TraceMoments,
    assume: Outcome | None = None,
    find: Callable[[NoisyGradientDescent], NoiseMoments] = noise_moments,
) -> Classification:
    """The outcome on small matrices, with proofs that hold for all where there are any."""
    noise = moments.noise
    flat, normal = (
        "Reg is constant where the residuals vanish",
        "each column of G is a combination of the gradients of the model",
    )
    proofs = {0: lambda: noise.slope == 0 and flat, 1: lambda: noise.power > 0 and normal}
    multiple = noise.multiple if noise.power == 1 and noise.multiple != 0 else None
    found = classified_on_few(manifold, proofs, assume, find)
    return replace(found, hessian_multiple=multiple)


@rank_support.register
def _rank(manifold: TraceManifold, *_: Any) -> tuple[str, Standing]:
    why = "the samples are taken to be independent; tried out on a few of small matrices"
    return why, Standing.ASSUMED


known_of.register(Traces)(known_of_samples)


@stated.register
def _stated(moments: TraceMoments) -> dict[str, Any]:
    return {"regularizer": moments.regularizer, "penalty": moments.penalty, "noise": moments.noise}


@restored_of.register
def _restored(objective: Traces, given: Mapping[str, Any]) -> tuple[Manifold, NoiseMoments]:
    few = known_in(given, _small_problem(objective)[0])
    manifold = TraceManifold.of(few, objective.problem, *given["samples"])
    return manifold, _moments_by(given["moments"]["noise"], objective.words)
