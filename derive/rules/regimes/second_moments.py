"""Adaptive optimizers as update rules of the general theorem, a different one in each window.

The mean of v over the noise alone, S(w) = E q(∇L̂(w, η))/σ² less what ∇L makes of it, takes the
place of the second moment where that forgets no slower than the weights relax. Where it forgets
slower it is *held*: a constant of the step, differentiated by nobody, whose value is the solution
of v = E q/σ² = S(W) + ½D²q[X(v)], with X the fluctuation that the theorem finds at that v.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp
from mpmath import mp

from ...errors import NotCoveredError
from ...manifold.manifold import LocalGeometry, Manifold
from ...model.optimized import rule_of
from ...model.problem import NoisyGradientDescent
from ...model.update_rule import UpdateRule
from ...optimizers.adaptive import Adaptive
from ...symbolic.calculus import Substitution, WithoutCaches
from ...symbolic.numbers.roots import Point, evaluator
from ...symbols import alpha
from ...theory.limit_map import SlowMotion
from ..expansion import RuleExpansion, expand_rule, has_rare_jumps
from ..motion import RuleMotion

ROUNDS = 400
"""Rounds in which the second moments of a finite step settle."""


@dataclass(frozen=True)
class SecondMomentRules(WithoutCaches):
    """A problem under an adaptive optimizer, as the update rules that its windows are limits of.

    Attributes
    ----------
    problem : NoisyGradientDescent
        Whose optimizer is adaptive.
    """

    problem: NoisyGradientDescent

    @property
    def optimizer(self) -> Adaptive:
        """The optimizer."""
        found = self.problem.optimizer
        if not isinstance(found, Adaptive):
            raise TypeError(f"expected an adaptive optimizer, got {found!r}")
        return found

    @cached_property
    def recursion(self) -> UpdateRule:
        """What is run, its second moments at S where it starts."""
        rule = rule_of(self.problem)
        if has_rare_jumps(rule):
            raise NotCoveredError(
                "optimizer: noise that jumps rarely makes second moments jump by δ/σ², far from "
                "any mean; adaptive optimizers are covered for noise without rare jumps"
            )
        rest = (sp.S.Zero,) * len(self.momentum) + self.noise_alone
        return replace(rule, rest=rest)

    @cached_property
    def averaged(self) -> UpdateRule:
        """The second moment a memory of S(w): δ comparable with αμ."""
        rate = self.optimizer.delta
        moments = [v + rate * (s - v) for v, s in zip(self.moments, self.noise_alone, strict=True)]
        weights, momentum = self._moved(moments)
        rest = (sp.S.Zero,) * len(self.momentum) + self.noise_alone
        return replace(self._bare, update=(*weights, *momentum, *moments), rest=rest)

    @cached_property
    def instant(self) -> UpdateRule:
        """The second moment S(w) itself: δ much larger than αμ."""
        weights, momentum = self._moved(self.noise_alone)
        rest = (sp.S.Zero,) * len(self.momentum)
        update = (*weights, *momentum)
        return replace(self._bare, update=update, memory=self.momentum, rest=rest)

    @cached_property
    def held(self) -> UpdateRule:
        """The second moment a parameter: δ much smaller than αμ."""
        weights, momentum = self._moved(self.moments)
        return replace(
            self._bare,
            update=(*weights, *momentum),
            memory=self.momentum,
            rest=(sp.S.Zero,) * len(self.momentum),
            parameters=(*self.problem.parameters, *self.moments),
        )

    def drifting(self, near: Point) -> UpdateRule:
        """The second moment as a weight: δ as small as the drift along Γ × {v}.

        Parameters
        ----------
        near : Point
            A point of Γ and second moments there.
        """
        moments = self.optimizer.averaged(self.moments, self.problem.stochastic_gradient)
        weights, momentum = self._moved(moments)
        return replace(
            self._bare,
            update=(*weights, *moments, *momentum),
            weights=(*self.problem.weights, *self.moments),
            memory=self.momentum,
            rest=(sp.S.Zero,) * len(self.momentum),
            near=tuple(sp.Rational(str(mpmath.nstr(x, 20))) for x in near),
        )

    @cached_property
    def squares(self) -> RuleExpansion:
        """q(∇L̂(w, η)), expanded: the last entries of a step that leaves the weights alone."""
        q = self.optimizer.squares(self.problem.stochastic_gradient)
        return expand_rule(
            replace(
                self._bare,
                update=(*self.problem.weights, *q),
                memory=self.moments,
                rest=(sp.S.Zero,) * len(q),
            )
        )

    @cached_property
    def noise_alone(self) -> tuple[sp.Expr, ...]:
        """S(w)."""
        return tuple(self.squares.bias[self.problem.dimension :])

    @property
    def moments(self) -> tuple[sp.Symbol, ...]:
        """V."""
        return self._bare.memory[self._momenta :]

    @property
    def momentum(self) -> tuple[sp.Symbol, ...]:
        """M."""
        return self._bare.memory[: self._momenta]

    @property
    def _momenta(self) -> int:
        return int(self.optimizer.copies) * self.problem.dimension

    @cached_property
    def _bare(self) -> UpdateRule:
        return rule_of(self.problem)

    def _moved(self, moments: Any) -> tuple[list[sp.Expr], list[sp.Expr]]:
        gradient = self.problem.stochastic_gradient
        return self.optimizer.move(self.problem.weights, self.momentum, moments, gradient)


def recursion_of(problem: NoisyGradientDescent) -> UpdateRule:
    """One step of the adaptive optimizer of a problem, its memory at rest where it starts."""
    return SecondMomentRules(problem).recursion


@dataclass(frozen=True)
class HeldExpansion(RuleExpansion):
    """The expansion of a rule with held second moments, at the values they have as α → 0.

    Attributes
    ----------
    values : tuple of (Symbol, Expr)
        Second moments and S(w), put in after all differentiation.
    """

    values: tuple[tuple[sp.Symbol, sp.Expr], ...] = ()

    @cached_property
    def at_rest(self) -> Substitution:
        """Puts the memory at rest, and the second moments at their values."""
        rest = dict(zip(self.rule.memory, self.rule.rest or (), strict=True))
        return Substitution({**rest, **dict(self.values)})


@dataclass(frozen=True)
class HeldMotion(RuleMotion):
    """The theorem at the second moments that solve v = S(W) + ½D²q[X(v)].

    Attributes
    ----------
    rules : SecondMomentRules
        The second moments and what they average.
    """

    rules: SecondMomentRules = field(kw_only=True)

    @classmethod
    def of(cls, rules: SecondMomentRules, manifold: Manifold) -> HeldMotion:
        """Of a problem and its Γ."""
        return cls(expand_rule(rules.held), manifold, rules=rules)

    @cached_property
    def closed(self) -> RuleExpansion:
        """The expansion with S(w) for v."""
        e = self.expansion
        values = tuple(zip(self.rules.moments, self.rules.noise_alone, strict=True))
        return HeldExpansion(e.rule, e.randomness, e.still, e.kicks, e.mean_kick, e.second, values)

    @property
    def symbols(self) -> tuple[sp.Symbol, ...]:
        """What a point, second moments and a step size give values to."""
        return (*self.manifold.symbols, *self.rules.moments, alpha)

    def at(self, g: LocalGeometry, step: Any) -> SlowMotion:
        """The theorem at a point of Γ, in mpmath's working precision."""
        return self.settled(g, step)[1]

    def settled(self, g: LocalGeometry, step: Any) -> tuple[list[Any], SlowMotion]:
        """The second moments at a point of Γ and the motion at them.

        Raises
        ------
        NotCoveredError
            If they do not settle, as beyond the largest step size that is stable.
        """
        point, slopes = self.sharpened(g)
        numbers = iter(self._squares(point))
        alone = [next(numbers) for _ in self.rules.moments]
        bend = [(k, i, j, next(numbers)) for k, i, j, _ in self.bend]
        moments, normals = alone, self.normals(point, slopes)
        for _ in range(ROUNDS):
            motion = SlowMotion(self.jet((*point, *moments, step)), normals)
            found = list(alone)
            for k, i, j, value in bend:
                found[k] += value * motion.covariance[i, j] / (2 if i == j else 1)
            gap = max(abs(a - b) for a, b in zip(found, moments, strict=True))
            moments = found
            if gap <= mp.eps * 16 * max(map(abs, moments)):
                return moments, motion
        raise NotCoveredError(
            f"update: the second moments do not settle at α = {mpmath.nstr(step, 6)}: they and the "
            "fluctuation across Γ have no common fixed point there; take a smaller step"
        )

    @cached_property
    def bend(self) -> list[tuple[int, int, int, sp.Expr]]:
        """Entries (k, i, j, value), i ≤ j, of D²q_k on 𝓜 that are not zero."""
        n = self.rules.problem.dimension
        return [(k - n, i, j, x) for k, i, j, x in self.rules.squares.bend if k >= n]

    @cached_property
    def _squares(self) -> Any:
        values = [*self.rules.noise_alone, *(x for *_, x in self.bend)]
        return evaluator(self.manifold.symbols, values)
