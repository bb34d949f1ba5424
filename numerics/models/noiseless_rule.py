"""Where an update rule leads without its small noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from derive.optimizers.assembly import Assembly
from derive.symbols import alpha as ALPHA

from ..codegen.functions import CompiledFunction, compile_function
from ..geometry.small_matrices import Array

LONGEST = 10**6
"""Steps after which a rule that has not come to rest is given up."""

SETTLED = 1e-15
"""Relative change in a step at which a rule has come to rest."""


@dataclass(frozen=True)
class NoiselessRule:
    """The recursion of a rule, what keeps its size averaged over in each step.

    Attributes
    ----------
    assembly : Assembly
        Steps of the mean of T₀, and what joins them.
    """

    assembly: Assembly

    def end(self, points: Array, step: float) -> Array:
        """Weights at the end, shape (P, N), from there with the memory at rest; NaN if there is
        none.
        """
        state = self._rest(points)
        steps = np.full(len(points), step)
        for _ in range(LONGEST):
            moved = self._whole_step(state, steps)
            still = np.abs(moved - state).max(axis=1) <= SETTLED * (1 + np.abs(state).max(axis=1))
            state = moved
            if (still | ~np.isfinite(moved).all(axis=1)).all():
                break
        else:
            state[~still] = np.nan
        return state[:, self._shown]

    def _whole_step(self, state: Array, steps: Array) -> Array:
        for k in range(1, self.assembly.period + 1):
            state = self._step(np.column_stack([state, steps]))
            for join, happens in zip(self.assembly.joins, self._joins, strict=True):
                if (k - join.first) % join.every == 0:
                    state = happens(np.column_stack([state, steps]))
        return state

    @property
    def _shown(self) -> list[int]:
        return [self.assembly.state.index(s) for s in self.assembly.shown]

    @cached_property
    def _step(self) -> CompiledFunction:
        built = self.assembly
        return compile_function(
            (*built.state, ALPHA), [built.update[s] for s in built.state], "mean_map"
        )

    @cached_property
    def _joins(self) -> list[CompiledFunction]:
        built = self.assembly
        return [
            compile_function(
                (*built.state, ALPHA), [join.update.get(s, s) for s in built.state], "join"
            )
            for join in built.joins
        ]

    @cached_property
    def _rest(self) -> CompiledFunction:
        built = self.assembly
        return compile_function(built.weights, built.at_rest(built.state), "rest")
