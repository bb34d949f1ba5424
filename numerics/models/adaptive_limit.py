"""The limit of an adaptive optimizer as fast functions of many points of Γ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from derive.adaptive_limit import AdaptiveLimit
from derive.errors import NotCoveredError
from derive.optimizers import Window
from derive.rules.regimes.second_moments import HeldMotion
from derive.symbolic.bundles import flattened
from derive.symbols import alpha as ALPHA

from ..codegen.functions import CompiledFunction, compile_function
from ..errors import ArgumentError
from ..geometry.slow_motion import Indices, SlowMotion, second_derivative
from ..geometry.small_matrices import Array
from .compiled_limit import compile_limit
from .rule_limit import LARGEST_STEP, CompiledRuleLimit, require_numbers

ON_MANIFOLD = 1e-7
"""Distance from Γ, relative to the weights, of a start that counts as one of Γ."""

ROUNDS = 400
"""Rounds in which the second moments of a finite step settle."""

SETTLED = 1e-11
"""Relative change of the second moments in a round at which they have; round-off divided by αμ."""


@dataclass(frozen=True)
class CompiledAdaptiveLimit(CompiledRuleLimit):
    """The limiting equation of an adaptive optimizer as functions of points.

    Attributes
    ----------
    limit : AdaptiveLimit
        What is compiled.
    """

    limit: AdaptiveLimit

    def beginnings(self, w: ArrayLike) -> Array:
        """The points themselves, which must be on Γ.

        Far from Γ the second moments, in units of σ², are as large as |∇L|²/σ²: which point of Γ
        is reached depends on σ.
        """
        points = self._points(w)
        ends = self.retract(points)
        gap = np.linalg.norm(ends - points, axis=-1)
        if not (gap <= ON_MANIFOLD * (1 + np.linalg.norm(points, axis=-1))).all():
            raise ArgumentError(
                "start: expected points of Γ, for where an adaptive optimizer reaches it depends "
                f"on σ; the nearest point of Γ is {np.round(ends, 9).tolist()}"
            )
        return ends

    def descent_limit(
        self, w: ArrayLike, alpha: float, momentum: float = 0.0, velocity: ArrayLike | None = None
    ) -> Array:
        """The point of Γ that w is drawn to, to first order, shape (..., N).

        Obliquely: the nearest point moves with the fluctuation across Γ, which is along ΩH.
        """
        near = self.retract(w)
        along = self.projector(near) @ (self._points(w) - near)[..., None]
        return self.retract(near + along[..., 0])

    def rates(self, w: Array, alpha: float) -> tuple[float, float]:
        """Slowest and fastest αμ, at the base point of Γ."""
        slowest, fastest = self._rates
        return alpha * slowest, alpha * fastest

    @cached_property
    def _rates(self) -> tuple[float, float]:
        gamma = self.limit.on_gamma
        return gamma.rates(next(gamma.manifold.local()))

    @cached_property
    def _largest_step(self) -> float:
        step = LARGEST_STEP / self._rates[1]
        delta = self.limit.rules.optimizer.delta
        if self.limit.window is Window.COMPARABLE and delta.is_number:
            step *= min(1.0, float(delta))
        return step


@dataclass(frozen=True)
class CompiledHeldLimit(CompiledAdaptiveLimit):
    """The same where the second moments are constant while the weights relax."""

    def second_moments(self, w: ArrayLike) -> Array:
        """v*(W) at the step of the limit, shape (..., p)."""
        points = self._points(w)
        flat = points.reshape(-1, self.dimension)
        step = float(self.limit.equation.step)
        moments = self._alone(flat)[0] if step == 0 else self._settled(flat, step)[0]
        return moments.reshape(*points.shape[:-1], -1)

    @cached_property
    def values(self) -> CompiledFunction:
        """The jet of the rule at points (w, v, α), packed as `_motion` unpacks it."""
        e, weights = self.limit.motion.expansion, self.limit.problem.weights
        scalars = flattened(e.parts)
        scalars += [r.diff(w) for r in e.rule.rest or () for w in weights]
        return compile_function((*weights, *self.limit.rules.moments, ALPHA), scalars, "rule")

    def _motion(self, points: Array, step: float) -> SlowMotion:
        return self._settled(points, step)[1]

    def _settled(self, points: Array, step: float) -> tuple[Array, SlowMotion]:
        """The second moments that solve v = S + ½D²q[X(v)], and the motion at them."""
        alone, bends = self._alone(points)
        moments, steps = alone, np.full(len(points), step)
        for _ in range(ROUNDS):
            motion = self._motion_at(np.column_stack([points, moments, steps]))
            curved = second_derivative(self._curved, bends, motion.covariance, alone.shape)
            found = np.asarray(alone + 0.5 * curved)
            gap = np.abs(found - moments).max(initial=0.0)
            moments = found
            if not gap > SETTLED * np.abs(moments).max(initial=0.0):
                return moments, motion
        raise NotCoveredError(
            f"limit: the second moments do not settle at α = {step:g}; take a smaller step"
        )

    @cached_property
    def _curved(self) -> Indices:
        motion = self.limit.motion
        entries = motion.bend if isinstance(motion, HeldMotion) else []
        return np.array([(k, i, j) for k, i, j, _ in entries], dtype=np.int64).reshape(-1, 3)

    def _alone(self, points: Array) -> tuple[Array, Array]:
        """S and the second derivatives of q, shapes (P, p) and (P, ·)."""
        count = len(self.limit.rules.moments)
        found = self._squares(points)
        return found[:, :count], found[:, count:]

    @cached_property
    def _squares(self) -> CompiledFunction:
        rules, motion = self.limit.rules, self.limit.motion
        entries = [x for *_, x in motion.bend] if isinstance(motion, HeldMotion) else []
        return compile_function(rules.problem.weights, [*rules.noise_alone, *entries], "squares")


@compile_limit.register
def _(limit: AdaptiveLimit) -> CompiledAdaptiveLimit:
    require_numbers(limit)
    held = isinstance(limit.motion, HeldMotion)
    return (CompiledHeldLimit if held else CompiledAdaptiveLimit)(limit)
