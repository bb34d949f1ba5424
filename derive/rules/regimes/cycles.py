"""Optimizers that cycle across Γ: their flow along it, at points of Γ and in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, ClassVar

import mpmath
import sympy as sp

from ...errors import NotCoveredError, UndecidedError
from ...laws.minibatch import Minibatch
from ...manifold.discovery.find_manifold import find_manifold
from ...manifold.manifold import LocalGeometry, Manifold
from ...model.optimized import batches_of, sample_losses
from ...model.problem import NoisyGradientDescent
from ...noise.classification import Classification, Evidence, Outcome, Step
from ...optimizers.sharpness import CyclingOptimizer
from ...symbolic.calculus import WithoutCaches, gradient
from ...symbolic.effort import BUILT, TooLong, within
from ...symbolic.numbers.roots import WORKING_DIGITS, Point, evaluator
from ...symbolic.zero_tests import Verdict, proved
from ...symbols import GENERIC, ScaleSymbol, alpha, sigma
from ...theory.cycles import sharpness


@dataclass(frozen=True)
class CycleEquation:
    """Scale and step size of the limit of an optimizer that cycles.

    Attributes
    ----------
    scale : Expr or None
        Steps per unit of slow time; None where nothing moves.
    step : Expr
        α, or 0 for the limit α → 0.
    shortened : bool
        Whether the steps are multiplied by σ, so that α need not be small.
    """

    scale: sp.Expr | None
    step: sp.Expr = sp.S.Zero
    shortened: bool = False

    momentum: ClassVar[sp.Expr] = sp.S.Zero
    name: ClassVar[str] = "cycles across Γ"

    @property
    def time_scale(self) -> sp.Expr | None:
        """Steps per unit of slow time."""
        return self.scale

    @property
    def effective_time_scale(self) -> sp.Expr | None:
        """The same."""
        return self.scale

    def subs(self, values: Mapping[sp.Symbol, Any]) -> CycleEquation:
        """Bind parameters to numbers."""
        return replace(self, step=self.step.subs(values))


@dataclass(frozen=True)
class Cycles(WithoutCaches):
    """An optimizer that cycles across Γ.

    Attributes
    ----------
    problem : NoisyGradientDescent
        With that optimizer; no noise, or the weights of minibatches.
    manifold : Manifold
        Γ.
    batches : Minibatch or None
        How samples are drawn; None where all are in each batch.
    """

    problem: NoisyGradientDescent
    manifold: Manifold
    batches: Minibatch | None

    @property
    def optimizer(self) -> CyclingOptimizer:
        """What makes the steps."""
        assert isinstance(self.problem.optimizer, CyclingOptimizer)
        return self.problem.optimizer

    @property
    def batch_size(self) -> int | None:
        """Samples in a batch; None where all are in each."""
        return None if self.batches is None else int(self.batches.batch_size)

    def is_simulated(self, step: sp.Expr) -> bool:
        """Whether the stationary law across Γ is known by simulation only.

        As α → 0, with one sample in a batch and ∇²ℓ_i of rank one, the gradients point along those
        of the residuals, whatever the law. At any other step or batch the law counts.
        """
        alone = self.batch_size == 1 and step == 0 and bool(self.rank_one)
        return not (self.batches is None or alone)

    @cached_property
    def losses(self) -> tuple[sp.Expr, ...]:
        """The losses of the samples; L alone where all are in each batch."""
        return (self.problem.loss,) if self.batches is None else sample_losses(self.problem)

    @cached_property
    def directions(self) -> tuple[sp.Symbol, ...]:
        """Symbols for a direction v in the space of the weights."""
        return tuple(ScaleSymbol(f"v{i}", real=True) for i in range(self.problem.dimension))

    @cached_property
    def hessians(self) -> list[list[list[sp.Expr]]]:
        """∇²ℓ_i, one matrix per loss."""
        weights = self.problem.weights
        return [[gradient(x, weights) for x in gradient(e, weights)] for e in self.losses]

    @cached_property
    def slopes(self) -> list[list[sp.Expr]]:
        """∇_w vᵀ∇²ℓ_i v = D³ℓ_i[v vᵀ], one vector per loss."""
        v = self.directions
        return [
            gradient(
                sp.Add(*(x * v[i] * v[j] for i, row in enumerate(h) for j, x in enumerate(row))),
                self.problem.weights,
            )
            for h in self.hessians
        ]

    def regularizer_at(self, step: sp.Expr) -> sp.Expr:
        """Reg as a function of λ₁ alone."""
        return self.optimizer.regularizer.subs(alpha, step)

    def closed_regularizer(self, step: sp.Expr) -> sp.Expr | None:
        """Reg where the Hessians have rank one on Γ, so that λ₁ = Δℓ_i there; None elsewhere."""
        if self.is_simulated(step) or not self.rank_one:
            return None
        traces = [sp.Add(*(h[i][i] for i in range(len(h)))) for h in self.hessians]
        of = self.regularizer_at(step)
        return sp.Add(*(of.subs(sharpness, trace) for trace in traces)) / len(traces)

    @cached_property
    def rank_one(self) -> Verdict:
        """Whether each ∇²ℓ_i has but one eigenvalue that is not zero on Γ."""
        if self.manifold.codimension == 1:
            return proved("Γ has codimension one")
        return self.manifold.decide(lambda g: self._second(g, lambda first, second: second / first))

    @cached_property
    def crossing(self) -> Verdict:
        """Whether λ₁ is a double eigenvalue everywhere on Γ."""
        if self.rank_one:
            return proved("no other eigenvalue", value=False)
        return self.manifold.decide(self.gap)

    def gap(self, g: LocalGeometry) -> Any:
        """(λ₁ − λ₂)/λ₁ at a point of Γ."""
        return self._second(g, lambda first, second: (first - second) / first)

    def _second(self, g: LocalGeometry, of: Callable[[Any, Any], Any]) -> Any:
        """The largest value, over the losses, of a function of the first two eigenvalues."""
        return max(of(values[-1], values[-2]) for values, _ in self.leading(g))

    def leading(self, g: LocalGeometry) -> list[tuple[list[Any], list[Any]]]:
        """Eigenvalues of each ∇²ℓ_i, ascending, and the unit eigenvector of the last."""
        found = []
        for hessian in self._hessian_values(g.point):
            values, vectors = mpmath.eigsy(hessian)
            found.append((list(values), list(vectors[:, vectors.cols - 1])))
        return found

    def slope(self, g: LocalGeometry, step: sp.Expr) -> list[Any]:
        """∇Reg at a point of Γ, shape (N,), up to what is normal to Γ.

        Raises
        ------
        NotCoveredError
            Where the chain across Γ is random, and its stationary law is not known.
        """
        self.require_closed(step)
        n, of = self.problem.dimension, self.regularizer_at(step).diff(sharpness)
        total = [mpmath.mpf(0)] * n
        for values, bend in zip(self.leading(g), self._slope_values, strict=True):
            (*_, largest), direction = values
            weight = mpmath.mpmathify(of.subs(sharpness, sp.Float(largest, mpmath.mp.dps)))
            parts = bend((*g.point, *direction))
            total = [t + weight * x / len(self.losses) for t, x in zip(total, parts, strict=True)]
        return total

    def require_closed(self, step: sp.Expr) -> None:
        """Refuse where the stationary law of the chain across Γ is known by simulation only."""
        if self.is_simulated(step):
            raise NotCoveredError(
                "limit: the gradients of batches turn at random, and do not average in closed "
                "form; numerics.compile_limit simulates them"
            )

    def bending(self, g: LocalGeometry) -> Any:
        """Relative size of P D³ℓ_i[x xᵀ] over the losses and all x across Γ."""
        sums = [[a + b for a, b in zip(m, n, strict=True)] for m, n in combinations(g.basis, 2)]
        places = [(*g.point, *x) for x in (*g.basis, *sums)]
        slopes = [bend(place) for bend in self._slope_values for place in places]
        whole = max(abs(x) for slope in slopes for x in slope)
        along = max(abs(x) for slope in slopes for x in g.tangential(slope))
        return along / whole if whole else whole

    @cached_property
    def _hessian_values(self) -> Callable[[Point], list[Any]]:
        return evaluator(self.manifold.symbols, list(map(sp.Matrix, self.hessians)))

    @cached_property
    def _slope_values(self) -> list[Callable[[Point], list[Any]]]:
        symbols = (*self.manifold.symbols, *self.directions)
        return [evaluator(symbols, slope) for slope in self.slopes]


@dataclass(frozen=True)
class CycleField:
    """Drift of an optimizer that cycles at points of Γ, in mpmath's precision.

    Attributes
    ----------
    cycles : Cycles
        The optimizer on its Γ.
    step : Expr
        α, a number; 0 for the limit α → 0.
    """

    cycles: Cycles
    step: sp.Expr

    def drift(self, g: LocalGeometry) -> Any:
        """−P∇Reg, shape (N, 1), per unit of slow time."""
        return -mpmath.matrix(g.tangential(self.cycles.slope(g, self.step)))

    def spread(self, g: LocalGeometry) -> Any:
        """Zero, shape (N, N): nothing diffuses along Γ at this order."""
        return mpmath.zeros(self.cycles.problem.dimension)


@dataclass(frozen=True)
class CycleDerivation:
    """What is derived of an optimizer that cycles."""

    cycles: Cycles
    classification: Classification
    equation: CycleEquation


def derive_cycles(problem: NoisyGradientDescent) -> CycleDerivation:
    """Derive the limit of an optimizer that cycles across Γ, as its small scale tends to 0.

    Raises
    ------
    ManifoldError
        If the zero set of the loss is not a manifold of the assumed kind.
    NotCoveredError
        With noise beside minibatches, or where λ₁ is a multiple eigenvalue.
    """
    cycles = Cycles(problem, find_manifold(without_noise(problem)), batches_of(problem))
    steps = list(_questions(cycles))
    still = steps[-1].verdict
    if still.value is None:
        raise UndecidedError(f"{steps[-1].question}: {still}")
    scale, outcome = cycles.optimizer.time_scale, Outcome.NON_DEGENERATE
    if still:
        scale, outcome = None, Outcome.TRIVIAL
    classification = Classification(outcome, Evidence(tuple(steps)))
    return CycleDerivation(cycles, classification, CycleEquation(scale))


def at_fixed_step(derivation: CycleDerivation, step: sp.Expr) -> CycleDerivation:
    """The limit σ → 0 at a fixed step size.

    Raises
    ------
    NotCoveredError
        If descent on the loss of a batch is unstable at that step, or the step size is itself the
        small scale.
    """
    cycles = derivation.cycles
    at_step = replace(derivation, equation=replace(derivation.equation, step=step))
    if derivation.equation.shortened:
        return at_step
    if not cycles.optimizer.time_scale.has(sigma):
        raise NotCoveredError(
            "step: the step size is itself the small scale of this optimizer; there is no limit "
            "at a fixed one"
        )
    with mpmath.workdps(WORKING_DIGITS):
        g = next(iter(cycles.manifold.local()))
        largest = max(values[-1] for values, _ in cycles.leading(g))
        bound = mpmath.mpmathify(sp.N(step.subs(GENERIC), WORKING_DIGITS)) * largest
    if bound >= 2:
        raise NotCoveredError(
            f"step: αλ₁ = {mpmath.nstr(bound, 3)} where Γ was found, and the cycle attracts below "
            f"2; expected a step size below {mpmath.nstr(2 / largest, 3)}"
        )
    return at_step


def closed_drift(cycles: Cycles, equation: CycleEquation) -> sp.Matrix | None:
    """−P∇Reg on Γ, shape (N, 1); None where it is too long to read."""
    n, manifold = cycles.problem.dimension, cycles.manifold
    if equation.scale is None:
        return sp.zeros(n, 1)
    reg = cycles.closed_regularizer(equation.step)
    if reg is None or manifold.projector is None:
        return None
    drift = -manifold.projector * sp.Matrix(
        gradient(manifold.shortest(reg), cycles.problem.weights)
    )
    try:
        return manifold.ideal.shortest_entries(drift) if within(BUILT, drift) else None
    except TooLong:
        return None


def without_noise(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    """The loss alone, that says what Γ is."""
    return NoisyGradientDescent.from_gradient_noise(
        problem.loss,
        sp.zeros(problem.dimension),
        problem.weights,
        constraints=problem.constraints,
        near=problem.near,
        parameters=problem.parameters,
    )


def _questions(cycles: Cycles) -> Iterator[Step]:
    """What is asked; the answer to the last says whether anything moves."""
    if cycles.is_simulated(sp.S.Zero):
        still = cycles.manifold.decide(cycles.bending)
        yield Step("P D³ℓᵢ[x xᵀ] = 0 on Γ for all x across it", still)
        return
    yield Step("λ₁ = λ₂ on Γ", cycles.crossing)
    if cycles.crossing.value is not False:
        raise NotCoveredError(
            f"problem: the cycle lies along the eigenvector of the largest eigenvalue λ₁ of the "
            f"Hessian, which must be simple on Γ; λ₁ = λ₂ there: {cycles.crossing}"
        )
    yield Step("P∇Reg = 0 on Γ", _is_still(cycles))


def _is_still(cycles: Cycles) -> Verdict:
    reg = cycles.closed_regularizer(sp.S.Zero)
    if reg is not None:
        return cycles.manifold.constant_along(reg)

    def size(g: LocalGeometry) -> Any:
        slope = cycles.slope(g, sp.S.Zero)
        scale = max(map(abs, slope))
        return mpmath.norm(mpmath.matrix(g.tangential(slope))) / scale if scale else scale

    return cycles.manifold.decide(size)
