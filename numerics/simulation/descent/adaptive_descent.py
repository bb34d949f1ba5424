"""The recursion beside a limit: second moments that have settled, steps that are made shorter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derive.adaptive_limit import AdaptiveLimit
from derive.cycle_limit import CycleLimit
from derive.rule_limit import RuleLimit

from ...models.adaptive_limit import CompiledHeldLimit
from ...models.compiled_limit import CompiledLimit
from .compiled_descent import CompiledDescent, compile_descent
from .rule_descent import CompiledRule

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class SettledRule(CompiledRule):
    """The recursion, its second moments at v*(W) where it starts.

    They take 1/δ steps to settle, longer than the weights take to relax.

    Attributes
    ----------
    limit : CompiledHeldLimit
        What knows v*.
    """

    limit: CompiledHeldLimit

    def state(self, points: Doubles, momentum: float) -> Doubles:
        """Weights, momentum at rest, and second moments, shape (paths, D)."""
        found = super().state(points, momentum)
        distinct, which = np.unique(points, axis=0, return_inverse=True)
        moments = self.limit.second_moments(self.limit.retract(distinct))
        found[:, -moments.shape[1] :] = moments[which.ravel()]
        return found

    def __reduce__(self) -> tuple[type[SettledRule], tuple[object, ...]]:
        return SettledRule, (self.problem, self.limit)


def recursion_beside(compiled: CompiledLimit) -> CompiledDescent:
    """The recursion that a limit is compared with."""
    if isinstance(compiled, CompiledHeldLimit):
        return SettledRule(compiled.limit.problem, compiled)
    limit = compiled.limit
    if isinstance(limit, CycleLimit):
        return compile_descent(limit.rule)  # type: ignore[arg-type]
    built = isinstance(limit, RuleLimit) and not isinstance(limit, AdaptiveLimit)
    return compile_descent(limit.built if built else limit.problem)  # type: ignore[attr-defined]
