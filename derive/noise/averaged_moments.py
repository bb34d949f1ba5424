"""Reg and Σ of a mean over samples, kept as those of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import sympy as sp

from ..model.problem import NoisyGradientDescent
from ..symbolic.means import Samples
from .moments import NoiseMoments

NOTHING = NoiseMoments(sp.Integer(0), partial(sp.ImmutableMatrix, 0, 0, []))
"""Moments of no noise."""


@dataclass(frozen=True, eq=False)
class AveragedMoments(NoiseMoments):
    """Σ = S Sᵀ + (1/n²) Σ_i S_i S_iᵀ, of noise that all samples share and of noise of their own.

    Attributes
    ----------
    samples : Samples
        The data.
    shared : NoiseMoments
        Of one sample, from the noise that all share; S is the mean of its factor.
    own : NoiseMoments
        Of one sample, from its own noise; its factor is S_i.
    """

    samples: Samples = Samples((), ())  # noqa: RUF009 (immutable)
    shared: NoiseMoments = NOTHING
    own: NoiseMoments = NOTHING

    @property
    def _stated(self) -> tuple[Any, ...]:
        return (*super()._stated, self.samples, self.shared, self.own)

    def subs(self, values: Mapping[sp.Symbol, Any]) -> AveragedMoments:
        """Bind parameters to numbers."""
        return replace(
            self,
            regularizer=self.regularizer.subs(values),
            penalty=self.penalty.subs(values),
            shared=self.shared.subs(values),
            own=self.own.subs(values),
        )

    @cached_property
    def factor(self) -> sp.ImmutableMatrix | None:
        """S where no sample has noise of its own, else None: S_i would be n matrices."""
        if self.own.columns.cols or self.shared.factor is None:
            return None
        return sp.ImmutableMatrix(self.shared.factor.applyfunc(self.samples.of))

    @cached_property
    def covariance(self) -> sp.Matrix:
        """Σ(w), shape (N, N), with means over the samples."""
        mean, own = self._mean, sp.Matrix(self.own.columns)
        shared = mean if self.shared.factor is None else mean * mean.T
        return shared + (own * own.T).applyfunc(self.samples.of) / len(self.samples)

    @cached_property
    def columns(self) -> sp.Matrix:
        """Columns that vanish, or are normal to Γ, where Σ does; those of one sample for each."""
        return self._mean.row_join(self.own.columns)

    @property
    def _mean(self) -> sp.Matrix:
        return sp.Matrix(self.shared.columns.applyfunc(self.samples.of))


def averaged(problem: NoisyGradientDescent, moments: Any) -> AveragedMoments:
    """The moments of a mean over samples from those of one sample under part of its noise."""
    samples, one = problem.samples, problem.one_sample
    assert samples is not None
    none = NoiseMoments(sp.Integer(0), partial(sp.ImmutableMatrix, problem.dimension, 0, []))
    own = [e for e in problem.noise if e in samples.independent]
    shared = [e for e in problem.noise if e not in own]
    is_stated = problem.noisy_loss is None and not problem.noise
    found = {
        "own": moments(replace(one.with_noise(own), penalty=sp.S.Zero)) if own else none,
        "shared": moments(replace(one.with_noise(shared), penalty=sp.S.Zero))
        if shared or is_stated
        else none,
    }
    reg = sum((part.regularizer for part in found.values()), sp.Integer(0))
    penalties = problem.penalties
    return AveragedMoments(
        samples.of(reg + penalties.noise),
        none.find_factor,
        None,
        penalties.step,
        samples,
        **found,
    )
