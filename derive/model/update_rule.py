"""Any update rule, as the user states it: one step of a random map of weights and memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..laws.law import Law
from ..laws.shrinking import Gaussian
from ..reading import read_expression, read_expressions, read_symbols, refuse_stray
from ..symbolic.calculus import WithoutCaches
from ..symbols import alpha, sigma
from .problem import NoisyGradientDescent
from .statement import bound, common_fields


@dataclass(frozen=True)
class UpdateRule(WithoutCaches):
    """One step z ← T(z, ξ; σ) of a recursion whose noiseless version rests on a manifold.

    Parameters
    ----------
    update : sequence of Expr
        Next value of every weight, then of every memory variable, as expressions in weights,
        memory, noise, parameters and `derive.alpha`; `derive.sigma` stands for the small scale
        where the rule itself uses it (a perturbation radius, a weight decay of that size).
    weights : sequence of Symbol
        w, declared real.
    noise : sequence of Symbol
        What is drawn anew in each step.
    memory : sequence of Symbol
        What the optimizer remembers: momenta, averages.
    law : Law
        Law of the noise: laws that shrink with σ, and laws that keep their size (`Choice`,
        `Minibatch`), put together by `Independent`.
    loss : Expr, optional
        L(w), whose zero set Γ is what the weights are drawn to.
    constraints : sequence of Expr, optional
        Expressions whose common zero set is Γ; needed where no loss is given.
    rest : sequence of Expr, optional
        The memory at rest on Γ, in the weights; zeros if not given.
    near : mapping or sequence, optional
        A point that picks the component of Γ.
    parameters : sequence of Symbol
        Symbols that stay symbolic until bound by `subs`.

    Raises
    ------
    ProblemError
        If the symbols are not as declared, or the numbers of expressions do not fit.

    Examples
    --------
    Heavy ball with noise η in the gradient: ``UpdateRule((w - alpha*(b*m + g), b*m + g),
    weights=(w,), noise=(eta,), memory=(m,), loss=L)`` with g = ∂L̂/∂w.
    """

    update: tuple[sp.Expr, ...]
    weights: tuple[sp.Symbol, ...]
    noise: tuple[sp.Symbol, ...]
    memory: tuple[sp.Symbol, ...] = ()
    law: Law = field(default_factory=Gaussian)
    loss: sp.Expr | None = None
    constraints: tuple[sp.Expr, ...] | None = None
    rest: tuple[sp.Expr, ...] | None = None
    near: tuple[sp.Expr, ...] | None = None
    parameters: tuple[sp.Symbol, ...] = ()

    def __post_init__(self) -> None:
        memory = read_symbols("memory", self.memory, may_be_empty=True)
        normal = common_fields(self, noiseless=True, memory=memory)
        normal["update"] = read_expressions("update", self.update)
        given = (0,) * len(memory) if self.rest is None else self.rest
        normal["rest"] = read_expressions("rest", given)
        if self.loss is None and self.constraints is None:
            raise ProblemError("loss: expected L(w), or the constraints of Γ, where it rests")
        if self.loss is not None:
            normal["loss"] = read_expression("loss", self.loss)
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        self._check_counts()
        self._check_symbols()

    @property
    def dimension(self) -> int:
        """Number N of weights."""
        return len(self.weights)

    @property
    def coordinates(self) -> tuple[sp.Symbol, ...]:
        """The weights: a rule has no matrices for weights."""
        return self.weights

    @property
    def samples(self) -> None:
        """None: a rule is not a mean over samples."""

    @property
    def chart(self) -> None:
        """None: a rule is stated without a chart."""

    @property
    def state(self) -> tuple[sp.Symbol, ...]:
        """Weights, then memory."""
        return self.weights + self.memory

    def require_known(self) -> None:
        """Refuse unknown functions where numbers are asked for."""
        self.landscape.require_known()

    @cached_property
    def landscape(self) -> NoisyGradientDescent:
        """The loss, or half the sum of squares of the constraints, that says what Γ is."""
        loss = self.loss
        if loss is None:
            loss = sp.Add(*(c**2 for c in self.constraints or ())) / 2
        return NoisyGradientDescent.from_gradient_noise(
            loss,
            sp.zeros(self.dimension),
            self.weights,
            constraints=self.constraints,
            near=self.near,
            parameters=self.parameters,
        )

    def subs(self, values: Mapping[sp.Symbol, Any]) -> UpdateRule:
        """Bind parameters to numbers.

        Parameters
        ----------
        values : mapping of Symbol to number
            Values of some or all parameters.

        Raises
        ------
        ProblemError
            If a key is not a parameter of this rule.
        """
        return bound(self, values)

    def _check_counts(self) -> None:
        if len(self.update) != len(self.state):
            raise ProblemError(
                f"update: expected {len(self.state)} expressions, the next value of each of "
                f"{', '.join(map(str, self.state))}; got {len(self.update)}"
            )
        if len(self.rest or ()) != len(self.memory):
            raise ProblemError(
                f"rest: expected the value at rest of each of the {len(self.memory)} memory "
                f"variables, got {len(self.rest or ())}"
            )

    def _check_symbols(self) -> None:
        known = {*self.weights, *self.parameters}
        for entry in self.update:
            refuse_stray("update", entry, known | {*self.memory, *self.noise, alpha, sigma})
        for name in ("rest", "constraints", "near"):
            for entry in getattr(self, name) or ():
                refuse_stray(name, entry, known)
        if self.loss is not None:
            refuse_stray("loss", self.loss, known)
