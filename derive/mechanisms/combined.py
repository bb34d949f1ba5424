"""Two noise mechanisms at once."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp

from ..errors import ProblemError
from ..laws.independent import Independent
from ..laws.law import Law
from ..model.problem import NoisyGradientDescent
from ..symbolic.zero_tests import vanishes_identically
from .samples import fresh_symbols


def combine(first: NoisyGradientDescent, second: NoisyGradientDescent) -> NoisyGradientDescent:
    """Two independent mechanisms on the same loss: L̂ = L̂₁ + L̂₂ − L, Reg and Σ add up.

    Noise symbols of the second that the first uses too are renamed. What the first says of Γ
    (`constraints`, `chart`, `near`) is taken, and where it says nothing what the second says.

    Raises
    ------
    ProblemError
        If the two have different losses or weights, or one of them has no L̂.
    """
    for problem in (first, second):
        if not isinstance(problem, NoisyGradientDescent):
            raise ProblemError(f"combine: expected two NoisyGradientDescent, got {problem!r}")
    if first.weights != second.weights:
        raise ProblemError(
            f"combine: expected the same weights, got {first.weights} and {second.weights}"
        )
    if first.noisy_loss is None or second.noisy_loss is None:
        raise ProblemError(
            "combine: expected two models with L̂(w, η); one is given by its gradient noise only"
        )
    if not vanishes_identically(first.loss - second.loss):
        raise ProblemError(
            "combine: expected the same loss L(w) in both; check the data and `half`"
        )
    parameters = dict.fromkeys((*first.parameters, *second.parameters))
    taken = {s.name for s in (*first.weights, *first.noise, *second.noise, *parameters)}
    clash = [s for s in second.noise if s in set(first.noise)]
    renamed = dict(zip(clash, fresh_symbols(len(clash), taken), strict=True))
    noise = tuple(renamed.get(s, s) for s in second.noise)
    return NoisyGradientDescent(
        first.loss,
        first.noisy_loss + second.noisy_loss.xreplace(renamed) - first.loss,
        first.weights,
        (*first.noise, *noise),
        Independent((*_groups(first, {}), *_groups(second, renamed))),
        constraints=second.constraints if first.constraints is None else first.constraints,
        chart=second.chart if first.chart is None else first.chart,
        near=second.near if first.near is None else first.near,
        parameters=tuple(parameters),
    )


def _groups(
    problem: NoisyGradientDescent, renamed: Mapping[sp.Symbol, sp.Symbol]
) -> tuple[tuple[tuple[sp.Symbol, ...], Law], ...]:
    law = problem.law
    groups = law.groups if isinstance(law, Independent) else ((problem.noise, law),)
    return tuple((tuple(renamed.get(s, s) for s in symbols), part) for symbols, part in groups)
