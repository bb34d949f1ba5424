"""The recursion of a mean over samples, whose step sums over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from derive.objectives.means import Means
from derive.symbolic.means import Samples
from derive.symbols import ScaleSymbol

from ...codegen.finite_sums import SampledRecursion
from ...codegen.functions import content_of
from ...random.draws import SCRATCH_ROWS
from ...random.samplers import NoiseSampler, sampler_for
from .compiled_descent import CompiledDescent, descent_by


@descent_by.register(Means)
def _descent(objective: Means) -> SampledDescent:
    return SampledDescent(objective.problem)


@dataclass(frozen=True)
class SampledDescent(CompiledDescent):
    """The recursion of a mean over samples, compiled when it first runs."""

    @property
    def samples(self) -> Samples:
        """The data."""
        assert self.problem.samples is not None
        return self.problem.samples

    @cached_property
    def sampler(self) -> NoiseSampler:
        """Draws of the noise, that of each sample in order."""
        problem, samples = self.problem, self.samples
        # The sum over the samples needs the rows before those of the draws.
        first = SCRATCH_ROWS + problem.dimension + len(problem.noise)
        own, copies = samples.independent, len(samples)
        return sampler_for(problem.law, problem.noise, own=own, copies=copies, first_row=first)

    def _recursion(
        self, state: tuple[Any, ...], constants: tuple[Any, ...], update: Callable[[], list[Any]]
    ) -> SampledRecursion:
        one, samples = self.problem.one_sample, self.samples
        # The code is the same for other data of as many samples.
        kind = samples.symbols, samples.independent, len(samples)
        return SampledRecursion(
            name="sampled_descent",
            state=state,
            noise=one.noise,
            constants=constants,
            sampler=self.sampler,
            recorded=one.dimension,
            update=update,
            content=content_of(one, *kind),
            data=samples.symbols,
            values=np.array(samples.table, dtype=np.float64),
            own=samples.independent,
            sums=self._sums,
            summand=lambda: one.stochastic_gradient,
        )

    @property
    def _sums(self) -> tuple[Any, ...]:
        """Sums over the samples, as the step calls them."""
        return tuple(ScaleSymbol(f"sum{i}", real=True) for i in range(self.problem.dimension))

    @property
    def _slope(self) -> Sequence[Any]:
        return [total / len(self.samples) for total in self._sums]
