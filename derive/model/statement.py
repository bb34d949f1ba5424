"""What a user states of a noise model or an update rule, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..laws.independent import Independent
from ..laws.law import Law
from ..optimizers.optimizer import GradientDescent, Optimizer
from ..reading import (
    names,
    read_expression,
    read_expressions,
    read_matrix,
    read_point,
    read_symbols,
    refuse_overlap,
)
from ..symbolic.calculus import Substitution, semidefinite_factor
from ..symbolic.effort import TooLong
from ..symbolic.means import gathered
from ..symbolic.unknown_functions import as_losses, loss_names
from ..symbolic.zero_tests import vanishes_identically
from .chart import read_chart

Fields = dict[str, Any]


def common_fields(
    stated: Any, *, noiseless: bool = False, **roles: tuple[sp.Symbol, ...]
) -> Fields:
    """What noise models and update rules have in common.

    Parameters
    ----------
    stated : NoisyGradientDescent or UpdateRule
        As the user typed it.
    noiseless : bool
        Whether there may be no noise symbols.
    **roles : tuple of Symbol
        Symbols that have been read already, by what they are.
    """
    weights = read_symbols("weights", stated.weights)
    noise = read_symbols("noise", stated.noise, may_be_empty=noiseless)
    parameters = read_symbols("parameters", stated.parameters, may_be_empty=True)
    roles = {"weights": weights, **roles, "noise": noise, "parameters": parameters}
    refuse_overlap(**roles)
    found: Fields = {**roles, "law": read_law(stated.law, noise)}
    if stated.constraints is not None:
        found["constraints"] = read_expressions("constraints", stated.constraints)
    if stated.near is not None:
        found["near"] = read_point("near", stated.near, weights)
    return found


def problem_fields(stated: Any) -> Fields:
    """The fields of a noise model whose weights are numbers."""
    if (stated.noisy_loss is None) == (stated.noise_matrix is None):
        raise ProblemError(
            "noisy_loss: expected L̂(w, η); a model without L̂ is stated by its gradient "
            "noise, with NoisyGradientDescent.from_gradient_noise"
        )
    quiet = stated.noise_matrix is not None or stated.optimizer is not None
    found = common_fields(stated, noiseless=quiet)
    found["loss"] = gathered(read_expression("loss", stated.loss))
    found["penalty"] = read_expression("penalty", stated.penalty)
    found["optimizer"] = _read_optimizer(stated.optimizer)
    if stated.noisy_loss is not None:
        found["noisy_loss"] = gathered(read_expression("noisy_loss", stated.noisy_loss))
    if stated.chart is not None:
        found["chart"] = read_chart(stated.chart, found["weights"], found["parameters"])
    return _with_losses(found)


def bound(stated: Any, values: Any, unknowns: Sequence[str] = ()) -> Any:
    """The problem with parameters, and unknown functions of these names, bound.

    Raises
    ------
    ProblemError
        If a key is neither, or a value is not fit for it.
    """
    if not isinstance(values, Mapping):
        raise ProblemError(f"subs: expected {{parameter: number, ...}}, got {values!r}")
    functions = {f for f in values if str(f) in unknowns}
    stray = set(values) - set(stated.parameters) - functions
    if stray:
        raise ProblemError(
            f"subs: {names(stray)} not among the parameters "
            f"({names(stated.parameters) or 'there are none'})"
        )
    given = {
        key: _read_function(key, value)
        if key in functions
        else read_expression(f"subs: {key}", value)
        for key, value in values.items()
    }

    def bind(item: Any) -> Any:
        if isinstance(item, tuple):
            return tuple(map(bind, item))
        return None if item is None else item.subs(given)

    found = {field.name: bind(getattr(stated, field.name)) for field in fields(stated)}
    found["parameters"] = tuple(p for p in stated.parameters if p not in given)
    return replace(stated, **found)


def read_gradient_noise(given: Any, weights: Any, noise: Any) -> sp.ImmutableMatrix:
    """G(w), shape (N, d), or where there are no noise symbols a covariance Σ(w), shape (N, N)."""
    matrix = read_matrix("noise_matrix", given)
    n = len(read_symbols("weights", weights))
    d = len(read_symbols("noise", noise, may_be_empty=True))
    if matrix.shape != (n, d or n):
        raise ProblemError(
            f"noise_matrix: expected shape {(n, d or n)} (weights × noise symbols, or weights × "
            f"weights for a covariance without noise symbols), got {matrix.shape}"
        )
    if d == 0 and _is_indefinite(matrix):
        raise ProblemError(
            "noise_matrix: the covariance Σ(w) is not symmetric positive semi-definite; "
            "a factor G(w) is given together with its noise symbols"
        )
    return matrix


def _is_indefinite(covariance: sp.ImmutableMatrix) -> bool:
    """Whether a covariance is seen not to be semi-definite; long ones are looked at on Γ only."""
    try:
        return semidefinite_factor(covariance) is None
    except TooLong:
        return False


def require_rest(loss: sp.Expr, noisy_loss: sp.Expr, noise: Sequence[sp.Symbol]) -> None:
    """Refuse a noisy loss that is not the loss where there is no noise."""
    noiseless = Substitution(dict.fromkeys(noise, sp.S.Zero))(noisy_loss)
    if noiseless.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        raise ProblemError("noisy_loss: L̂(w, 0) must equal L(w), but it is not finite")
    difference = noiseless - loss
    verdict = vanishes_identically(difference)
    if not verdict:
        raise ProblemError(
            f"noisy_loss: L̂(w, 0) must equal L(w); the difference L̂(w, 0) − L(w) is "
            f"{sp.sstr(sp.expand(difference))}"
            + ("" if verdict.value is False else " and could not be shown to vanish")
            + _hint_of_floats(difference)
        )


def read_law(law: Any, noise: tuple[sp.Symbol, ...]) -> Law:
    """The law of the noise, or a `ProblemError` where it is none of these symbols."""
    if not isinstance(law, Law):
        raise ProblemError(f"law: expected a Law such as Gaussian(), got {law!r}")
    if isinstance(law, Independent) and set(law.symbols) != set(noise):
        raise ProblemError(
            f"law: the groups hold {names(law.symbols)}, the noise is {names(noise)}; "
            "every noise symbol belongs to exactly one group"
        )
    return law


def _read_optimizer(given: Any) -> Optimizer | None:
    if given is not None and not isinstance(given, Optimizer):
        raise ProblemError(
            f"optimizer: expected one of derive.optimizers, such as HeavyBall(0.9), got {given!r}"
        )
    return None if given == GradientDescent() else given


def _read_function(key: Any, value: Any) -> sp.Lambda:
    if not isinstance(value, sp.Lambda):
        raise ProblemError(f"subs: {key}: expected sp.Lambda((x, …), body), got {value!r}")
    return value


def _with_losses(found: Fields) -> Fields:
    """Unknown functions that are terms of the loss as they stand are taken to be losses, ≥ 0."""
    losses = loss_names(found["loss"])

    def known(item: Any) -> Any:
        if isinstance(item, tuple):
            return tuple(known(entry) for entry in item)
        return as_losses(item, losses) if isinstance(item, sp.Basic) else item

    return {name: known(value) for name, value in found.items()} if losses else found


def _hint_of_floats(difference: sp.Expr) -> str:
    """What to write for 1/3, if a number looks like a rounded one."""
    long = any(number.q >= 10**12 for number in difference.atoms(sp.Rational))
    return "; floats are read as the decimals typed: write sp.Rational(1, 3) for 1/3" * long
