"""Γ of a mean over samples: where every sample is fitted.

Its rank is found in floats, on all samples at once. Zero tests, which need 50 digits, are answered
on a few of the samples, written out; what is shown for one sample modulo its residual holds for
all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import sympy as sp

from ...errors import ManifoldError, NotCoveredError
from ...model.problem import NoisyGradientDescent
from ...symbolic.calculus import gradient
from ...symbolic.ideals import Ideal
from ...symbolic.means import Samples
from ...symbolic.numbers.fitting import Array, Fit, starting_weights
from ...symbolic.numbers.linear import are_clearly_independent
from ...symbolic.numbers.roots import random_values
from ...symbolic.zero_tests import Verdict
from ...theory.katzenberger import Splitting
from ..constraints import Square, read_squares
from ..manifold import Manifold
from .compositions import read_composition
from .find_manifold import find_manifold

FEW = 3
"""Samples on which the questions are decided that one sample alone cannot answer."""

STARTS = 8
"""Points from which Γ is searched for where none is given."""


@dataclass(frozen=True)
class SampledManifold(Manifold):
    """Γ of a mean over samples.

    `probe`, `base` and `search` are those of a few of the samples, and so are its points.

    Attributes
    ----------
    whole : NoisyGradientDescent
        The problem of all samples.
    rows : tuple of int
        The few samples.
    rank : int
        Rank K of H on Γ.
    """

    whole: NoisyGradientDescent
    rows: tuple[int, ...]
    rank: int

    @classmethod
    def of(
        cls, few: Manifold, whole: NoisyGradientDescent, rows: tuple[int, ...], rank: int
    ) -> Self:
        """Γ of all samples, given that of a few of them."""
        return cls(few.probe, few.base, few.search, whole, rows, rank)

    @property
    def codimension(self) -> int:
        """Rank K of H on Γ."""
        return self.rank

    @property
    def problem(self) -> NoisyGradientDescent:
        """The problem whose Γ this is."""
        return self.whole

    @property
    def samples(self) -> Samples:
        """The data."""
        assert self.whole.samples is not None
        return self.whole.samples

    @cached_property
    def few(self) -> Manifold:
        """Γ of a few of the samples."""
        return Manifold(self.probe, self.base, self.search)

    @cached_property
    def square(self) -> Square:
        """(c, r) of the loss ½ c r² of one sample."""
        return one_square(self.whole)

    @property
    def constraints(self) -> tuple[sp.Expr, ...]:
        """The residual of one sample, which vanishes for all."""
        return (self.square[1],)

    @property
    def independent(self) -> tuple[int, ...]:
        """The one constraint that is shown."""
        return (0,)

    @property
    def splitting(self) -> Splitting | None:
        """None: the normal space of n samples is not worth writing."""
        return None

    @cached_property
    def laplacian(self) -> sp.Expr:
        """ΔL on Γ."""
        c, r = self.square
        slope = gradient(r, self.whole.weights)
        return self.samples.of(sp.Add(*(c * x**2 for x in slope)))

    @cached_property
    def ideal(self) -> Ideal:
        """The ideal of the residual of one sample."""
        return Ideal(self.constraints, self.whole.weights)

    def shortest(self, expression: sp.Expr) -> sp.Expr:
        """The expression in the shortest form found that is equal to it on Γ."""
        return self.samples.of(self.ideal.shortest(self.samples.one(expression)))

    def vanishes(self, expressions: Sequence[sp.Expr], free: Sequence[sp.Symbol] = ()) -> Verdict:
        """Whether all expressions vanish on Γ, those of a sample for each of them."""
        own = set(self.samples.independent)
        written = [w for e in expressions for w in self._written(e)]
        copies = [s for i in self.rows for s in self.samples.noise_of(i).values()]
        everything = [*(s for s in free if s not in own), *(copies if own & set(free) else ())]
        return self.noted(self.few.vanishes(written, everything))

    def vanishes_along(self, slope: Sequence[sp.Expr]) -> Verdict:
        """Whether the tangential part of a vector field vanishes on Γ."""
        written = [self._written(e)[0] for e in slope]
        return self.noted(self.few.vanishes_along(written))

    def written(self, expression: sp.Expr) -> sp.Expr:
        """An expression with its means over the few samples."""
        return self._written(expression)[0]

    def _written(self, expression: sp.Expr) -> list[sp.Expr]:
        return self.samples.written(expression, self.rows)

    def noted(self, verdict: Verdict) -> Verdict:
        """A verdict on a few of the samples, which says so."""
        return replace(verdict, how=f"{verdict.how}; {self.tried_on}", witness=None)

    @property
    def tried_on(self) -> str:
        """What questions are decided on."""
        return f"on {len(self.rows)} of {len(self.samples)} samples"


def one_square(problem: NoisyGradientDescent) -> Square:
    """(c, r) of the loss ½ c r² of one sample.

    Raises
    ------
    NotCoveredError
        If it is of another form.
    """
    loss, weights = problem.one_sample.loss, frozenset(problem.weights)
    squares = read_squares(loss, weights)
    if squares is None:
        composition = read_composition(loss, weights)
        squares = None if composition is None else composition.squares
    if squares is None or len(squares) != 1:
        raise NotCoveredError(
            f"loss: expected one square ½ c r² per sample, or a loss of one output of a model with "
            f"a minimum that is solved for, got {loss}; write it as (h(w, x) − y)**2, or write the "
            "samples out with problem.written_out()"
        )
    return squares[0]


def sampled_manifold(problem: NoisyGradientDescent) -> SampledManifold:
    """Γ of a mean over samples.

    Raises
    ------
    ManifoldError
        As `find_manifold`; or if no weights fit all samples.
    """
    assert problem.samples is not None
    generic = dict(
        zip(
            problem.parameters,
            map(sp.Float, random_values(problem.parameters, random.Random(0))),
            strict=True,
        )
    )
    residual = one_square(problem)[1].xreplace(generic)
    fit = Fit(residual, problem.weights, problem.samples)
    if problem.near is None:
        starts = starting_weights(STARTS, problem.dimension)
    else:
        starts = [[float(x.xreplace(generic)) for x in problem.near]]
    point = _fitting_weights(fit, starts)
    rank = fit.rank(point)
    if rank == problem.dimension:
        raise ManifoldError(
            f"loss: {len(problem.samples)} samples leave {problem.dimension} weights no direction "
            "to move in (M = 0); the theory needs more weights than independent samples"
        )
    rows = _independent_rows(fit, point)
    few = find_manifold(problem.written_out(rows))
    return SampledManifold.of(few, problem, rows, rank)


def _fitting_weights(fit: Fit, starts: Sequence[Sequence[float]]) -> Array:
    left = []
    for start in starts:
        point, size = fit.search(start)
        if fit.fits(point, start):
            return point
        left.append(size)
    raise ManifoldError(
        "near: no point where every residual vanishes was found, so there is no Γ to move on: "
        f"{len(fit.samples)} samples leave {len(fit.weights)} weights with a root mean square of "
        f"{min(left):.2g}; give a point closer to Γ, or a model that can fit all samples (more "
        "weights than independent samples)"
    )


def _independent_rows(fit: Fit, point: Any) -> tuple[int, ...]:
    """Samples that constrain the weights independently, and leave them a way to move."""
    slopes = fit.at(point)[1].tolist()
    chosen: list[int] = []
    for i in range(len(slopes)):
        if len(chosen) == min(FEW, len(fit.weights) - 1):
            break
        if are_clearly_independent([slopes[k] for k in (*chosen, i)]):
            chosen.append(i)
    return tuple(chosen)
