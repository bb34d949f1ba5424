"""The recursion of a noise model under its optimizer, as an update rule; samples in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp

from ..errors import NotCoveredError
from ..laws.independent import Independent, groups_of
from ..laws.minibatch import Minibatch
from ..optimizers.assembly import Assembly
from ..optimizers.optimizer import Draw, GradientDescent, Optimizer, Vector
from ..optimizers.sharpness import NormalizedSharpnessAware
from ..symbolic.calculus import Substitution, gradient
from ..symbolic.zero_tests import vanishes_identically
from .problem import NoisyGradientDescent
from .update_rule import UpdateRule

WRITTEN_OUT = 12
"""Samples, and weights, up to which a mean over samples is written out."""


@dataclass(frozen=True)
class BuiltRule:
    """An update rule whose steps another optimizer puts together.

    Attributes
    ----------
    rule : UpdateRule
        Of the innermost optimizer.
    optimizer : Optimizer
        What is built of its steps.
    """

    rule: UpdateRule
    optimizer: Optimizer

    @cached_property
    def assembly(self) -> Assembly:
        """Its recursion."""
        return self.assembled(self.rule.update)

    def assembled(self, update: Sequence[sp.Expr]) -> Assembly:
        """Its recursion, where the inner steps are those of another map of the same state."""
        rule = self.rule
        at_rest = (*rule.weights, *(rule.rest or ()))
        innermost = Assembly(
            rule.weights,
            rule.weights,
            rule.state,
            dict(zip(rule.state, at_rest, strict=True)),
            groups_of(rule.law, rule.noise) if rule.noise else (),
            dict(zip(rule.state, update, strict=True)),
        )
        return self.optimizer.assembled(innermost)


def rule_of(problem: NoisyGradientDescent) -> UpdateRule:
    """One step of the optimizer of a problem; of its innermost one, where it is built of others.

    Raises
    ------
    NotCoveredError
        For means over many samples, and where the optimizer needs a noisy loss that is not given.
    """
    problem = _written_out(problem)
    optimizer = (problem.optimizer or GradientDescent()).innermost
    weights = problem.weights
    taken = {str(s) for s in (*weights, *problem.noise, *problem.parameters)}
    memory = tuple(_free(s, taken) for s in optimizer.memory(weights))
    own = optimizer.randomness(weights)
    drawn = tuple(s for symbols, _ in own for s in symbols)

    def displaced(expressions: Vector) -> Callable[[Vector], list[sp.Expr]]:
        def at(place: Vector) -> list[sp.Expr]:
            put = Substitution(dict(zip(weights, place, strict=True)))
            return [put(e) for e in expressions]

        return at

    def loss(place: Vector) -> list[sp.Expr]:
        if problem.noisy_loss is None:
            raise NotCoveredError("optimizer: it needs L̂(w, η); a model of gradient noise has none")
        return displaced([problem.noisy_loss + problem.penalty])(place)

    draw = Draw(displaced(problem.stochastic_gradient), loss, drawn)
    moved, remembered = optimizer.update(weights, memory, draw)
    law = problem.law
    if own:
        before = law.groups if isinstance(law, Independent) else ((problem.noise, law),)
        law = Independent((*(before if problem.noise else ()), *own))
    return UpdateRule(
        (*moved, *remembered),
        weights,
        (*problem.noise, *drawn),
        memory,
        law,
        loss=problem.loss,
        constraints=problem.constraints,
        near=problem.near,
        parameters=problem.parameters,
    )


def _free(symbol: sp.Symbol, taken: set[str]) -> sp.Symbol:
    """A symbol of the same kind with a name that is not taken."""
    name = str(symbol)
    while name in taken:
        name += "_"
    return symbol if name == str(symbol) else sp.Symbol(name, **symbol.assumptions0)


def _written_out(problem: NoisyGradientDescent) -> NoisyGradientDescent:
    """A mean over a few samples as one expression."""
    if problem.samples is None:
        return problem
    size = max(len(problem.samples), problem.dimension)
    if size > WRITTEN_OUT:
        raise NotCoveredError(
            f"optimizer: update rules are derived of expressions, and means over samples are "
            f"written out up to {WRITTEN_OUT} samples and weights, got {size}; for momentum take "
            "limit.at_step(step, momentum=...) of plain descent"
        )
    return replace(problem.written_out(), optimizer=problem.optimizer)


def batches_of(problem: NoisyGradientDescent) -> Minibatch | None:
    """How the samples of an optimizer that cycles are drawn; None where all are in each batch.

    Raises
    ------
    NotCoveredError
        With noise that is not that of minibatches, or under an optimizer that takes none.
    """
    name = type(problem.optimizer).__name__
    if problem.samples is not None:
        raise NotCoveredError(
            f"optimizer: {name} is not derived for means over samples; write the losses of the "
            "samples as one expression"
        )
    if not problem.noise:
        return None
    law = problem.law
    sharp = isinstance(problem.optimizer, NormalizedSharpnessAware)
    known = isinstance(law, Minibatch) and law.batch_size.is_Integer
    if not isinstance(law, Minibatch) or not (known and sharp and problem.noisy_loss is not None):
        raise NotCoveredError(
            f"optimizer: {name} is derived without noise (noise=()), sharpness-aware steps with "
            "the weights of minibatches too; other noise does not vanish on Γ, and a gradient "
            "that is normalised there has the direction of the noise"
        )
    whole = law.batch_size == len(problem.noise) and not law.replacement
    return None if whole else law


def sample_losses(problem: NoisyGradientDescent) -> tuple[sp.Expr, ...]:
    """ℓ_i of L̂ = (1/n)Σ(1 + ζ_i)ℓ_i.

    Raises
    ------
    NotCoveredError
        If L̂ is not of that form.
    """
    n, noisy = len(problem.noise), problem.noisy_loss
    assert noisy is not None
    losses = tuple(n * x for x in gradient(noisy, problem.noise))
    silent = Substitution(dict.fromkeys(problem.noise, sp.S.Zero))
    whole = sp.Add(
        *((1 + z) * e / n for z, e in zip(problem.noise, map(silent, losses), strict=True))
    )
    if not vanishes_identically(whole - noisy):
        raise NotCoveredError(
            "noisy_loss: with the weights ζ of a minibatch expected L̂ = (1/n) Σ (1 + ζ_i) ℓ_i"
        )
    return tuple(map(silent, losses))
