"""An update rule near the states that it leaves at rest, as expressions: all that the limit needs.

With the small noise η = σFζ and what keeps its size in ξ, T = T₀(z, ξ) + σT₁ + σ²T₂ + …; on 𝓜, the
weights on Γ with their memory at rest, the derivatives of T₀ and the moments of T₁ and T₂ matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from ..errors import NotCoveredError
from ..laws.choice import Choice
from ..laws.independent import Groups, groups_of
from ..laws.law import Law
from ..laws.minibatch import Minibatch
from ..laws.shrinking import UnitLaw
from ..model.update_rule import UpdateRule
from ..noise.moments import square_root
from ..reading import parts
from ..symbolic.calculus import (
    INFINITE,
    Differentiator,
    Substitution,
    WithoutCaches,
    is_zero,
    jacobian,
    symmetric_derivatives,
)
from ..symbols import sigma
from .randomness import BatchGroup, FiniteGroup, Group, Mixture, Randomness, UnitGroup

Column = tuple[sp.Expr, ...]
"""One entry for each coordinate of the state."""


Curved = tuple[tuple[int, int, int, sp.Expr], ...]
"""Entries (k, i, j, value), i ≤ j, of second derivatives that are not zero."""


@dataclass(frozen=True)
class RuleExpansion(WithoutCaches):
    """A rule expanded in its small noise.

    Attributes
    ----------
    rule : UpdateRule
        The rule.
    randomness : Randomness
        What keeps its size.
    still : Column
        T₀(z, ξ).
    kicks : tuple of Column
        Coefficients of uncorrelated, centred unit noise in T₁, and T₁ itself where ξ makes it.
    mean_kick : Column
        The part of T₁ that only the average over ξ makes vanish.
    second : Column
        T₂, averaged over the noise that shrinks.
    """

    rule: UpdateRule
    randomness: Randomness
    still: Column
    kicks: tuple[Column, ...]
    mean_kick: Column
    second: Column

    @cached_property
    def at_rest(self) -> Substitution:
        """Puts the memory at rest."""
        return Substitution(dict(zip(self.rule.memory, self.rule.rest or (), strict=True)))

    @cached_property
    def moved(self) -> list[sp.Expr]:
        """T₀(z, ξ) − z on 𝓜, which must vanish for all ξ."""
        return [self.at_rest(t - z) for t, z in zip(self.still, self.rule.state, strict=True)]

    @property
    def parts(self) -> tuple[Mixture, Curved, list[sp.Expr], tuple[Mixture, ...]]:
        """All that the theorem asks for at a point: D T₀, E D²T₀, E T₂ and T₁."""
        return self.first, self.bend, self.bias, self.noise

    @property
    def mean_map(self) -> list[sp.Expr]:
        """E T₀(z, ξ), off 𝓜 too."""
        return list(self.randomness.mean(sp.Matrix(self.still)))

    @cached_property
    def first(self) -> Mixture:
        """D T₀ on 𝓜, shape (D, D)."""
        rows = jacobian(self.still, self.rule.state)
        return self.randomness.mixture(self._on_rest(sp.Matrix(rows)))

    @cached_property
    def bend(self) -> Curved:
        """Entries (k, i, j, value), i ≤ j, of E D²T₀ on 𝓜 that are not zero."""
        mean = self.randomness.mean(sp.Matrix(self.still))
        slopes = jacobian(list(mean), self.rule.state)
        return tuple(
            (k, i, j, self.at_rest(value))
            for k, row in enumerate(slopes)
            for i, j, value in symmetric_derivatives(row, self.rule.state)
        )

    @cached_property
    def bias(self) -> list[sp.Expr]:
        """E T₂ on 𝓜."""
        return list(self._on_rest(self.randomness.mean(sp.Matrix(self.second))))

    @cached_property
    def mean_of_kick(self) -> list[sp.Expr]:
        """E T₁ on 𝓜, which must vanish."""
        return list(self._on_rest(self.randomness.mean(sp.Matrix(self.mean_kick))))

    @cached_property
    def noise(self) -> tuple[Mixture, ...]:
        """Columns with E T₁T₁ᵀ as the sum of the expectations of their squares, on 𝓜."""
        columns = (self._on_rest(sp.Matrix(kick)) for kick in (*self.kicks, self.mean_kick))
        return tuple(self.randomness.mixture(column) for column in columns if any(column))

    def _on_rest(self, matrix: sp.Matrix) -> sp.Matrix:
        return matrix.applyfunc(self.at_rest)


def expand_rule(rule: UpdateRule) -> RuleExpansion:
    """Expand a rule in its small noise.

    Raises
    ------
    NotCoveredError
        If it is not smooth in the small noise, or too singular in σ.
    """
    quiet = Substitution({**dict.fromkeys(rule.noise, sp.S.Zero), sigma: sp.S.Zero})
    if all(parts(quiet(entry)).isdisjoint(INFINITE) for entry in rule.update):
        return _regular_expansion(rule)
    return _singular_expansion(rule)


def _regular_expansion(rule: UpdateRule) -> RuleExpansion:
    """By derivatives in the noise and in σ."""
    small = [s for symbols, law in groups(rule) if law.shrinks for s in symbols]
    quiet = Substitution({**dict.fromkeys(small, sp.S.Zero), sigma: sp.S.Zero})
    slopes = Differentiator([*small, sigma])
    first = [slopes.slopes(t) for t in rule.update]
    kicks: list[Column] = []
    by_sigma = [f.get(sigma, sp.S.Zero) for f in first]
    second = [[quiet(slopes.slopes(f).get(sigma, sp.S.Zero)) / 2] for f in by_sigma]
    for symbols, law in groups(rule):
        if not law.shrinks:
            continue
        pair = law.levy_pair(len(symbols))
        root = square_root(pair.covariance) if any(pair.covariance) else sp.zeros(len(symbols), 0)
        for m in range(root.cols):
            direction = dict(zip(symbols, root[:, m], strict=True))
            kicks.append(tuple(quiet(_along(direction, f)) for f in first))
        for i, s in enumerate(symbols):
            row = dict(zip(symbols, pair.covariance[i, :], strict=True))
            for terms, f in zip(second, first, strict=True):
                if s in f:
                    terms.append(quiet(_along(row, slopes.slopes(f[s]))) / 2)
        for jump in pair.jumps:
            place = dict(zip(symbols, jump.displacement, strict=True))
            leap = [quiet.instead(place)(t) - quiet(t) for t in rule.update]
            kicks.append(tuple(sp.sqrt(jump.rate) * x for x in leap))
            for terms, x, f in zip(second, leap, first, strict=True):
                terms.append(jump.rate * (x - quiet(_along(place, f))))
    return RuleExpansion(
        rule,
        Randomness(tuple(_fixed_group(*group) for group in groups(rule) if not group[1].shrinks)),
        tuple(map(quiet, rule.update)),
        tuple(kicks),
        tuple(map(quiet, by_sigma)),
        tuple(sp.Add(*terms) for terms in second),
    )


def _singular_expansion(rule: UpdateRule) -> RuleExpansion:
    """Of a rule that divides by σ, as finite differences do: small noise over σ keeps its size."""
    fixed: list[Group] = []
    scaled: dict[sp.Symbol, sp.Expr] = {}
    for symbols, law in groups(rule):
        if not law.shrinks:
            fixed.append(_fixed_group(symbols, law))
            continue
        if not isinstance(law, UnitLaw):
            raise NotCoveredError(
                f"update: divides by sigma, which is not covered beside {type(law).__name__} noise"
            )
        root = square_root(law.levy_pair(len(symbols)).covariance)
        unit = [sp.Dummy(f"zeta{m}", real=True) for m in range(root.cols)]
        scaled |= dict(zip(symbols, list(sigma * root * sp.Matrix(unit)), strict=True))
        fixed.append(UnitGroup(tuple(unit), law))
    put = Substitution(scaled)
    series = [_series(put(entry)) for entry in rule.update]
    still, kick, second = (tuple(row[k] for row in series) for k in range(3))
    return RuleExpansion(rule, Randomness(tuple(fixed)), still, (), kick, second)


def _series(entry: sp.Expr) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
    """Coefficients of 1, σ and σ² of a sum of powers of σ times regular functions."""
    found: list[list[sp.Expr]] = [[], [], []]
    quiet = Substitution({sigma: sp.S.Zero})
    poles: dict[int, list[sp.Expr]] = {}
    for term in sp.Add.make_args(entry):
        power = term.as_powers_dict().get(sigma, sp.S.Zero)
        order = int(power) if power.is_Integer and power < 0 else 0
        derivative = term * sigma**-order
        for k in range(order, 3):
            value = quiet(derivative) / sp.factorial(k - order)
            if not parts(value).isdisjoint(INFINITE):
                raise NotCoveredError(
                    f"update: {sp.sstr(term)} has no expansion in sigma; write it as a power of "
                    "sigma times an expression that is smooth at sigma = 0"
                )
            (found[k] if k >= 0 else poles.setdefault(k, [])).append(value)
            derivative = derivative.diff(sigma)
    for order, values in poles.items():
        if not is_zero(sp.expand(sp.Add(*values))):
            raise NotCoveredError(
                f"update: it grows like sigma^{order} as sigma → 0, with the coefficient "
                f"{sp.sstr(sp.Add(*values))}; the map must stay finite"
            )
    constant, linear, quadratic = (sp.Add(*values) for values in found)
    return constant, linear, quadratic


def groups(rule: UpdateRule) -> Groups:
    """Noise symbols that are drawn together, with their laws."""
    return groups_of(rule.law, rule.noise) if rule.noise else ()


def has_rare_jumps(rule: UpdateRule) -> bool:
    """Whether some noise jumps rarely by a fixed amount."""
    return any(law.shrinks and law.levy_pair(len(s)).jumps for s, law in groups(rule))


def _fixed_group(symbols: tuple[sp.Symbol, ...], law: Law) -> Group:
    match law:
        case Choice():
            if law.dimension != len(symbols):
                law.levy_pair(len(symbols))  # says what is wrong
            return FiniteGroup(symbols, law)
        case Minibatch():
            law.levy_pair(len(symbols))
            return BatchGroup(symbols, law)
    raise NotCoveredError(f"law: {type(law).__name__} keeps its size; its moments are not known")


def _along(direction: Mapping[sp.Symbol, sp.Expr], slopes: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Derivative along a direction, from the derivatives that are not zero."""
    return sp.Add(*(c * slopes[s] for s, c in direction.items() if c != 0 and s in slopes))
