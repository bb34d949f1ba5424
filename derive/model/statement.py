"""What a user states of a noise model or an update rule, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import sympy as sp

from ..errors import NotCoveredError, ProblemError
from ..laws.independent import Independent, split
from ..laws.law import Law
from ..optimizers.optimizer import GradientDescent, Optimizer
from ..reading import (
    names,
    read_expression,
    read_expressions,
    read_matrices,
    read_matrix,
    read_point,
    read_symbols,
    refuse_overlap,
)
from ..symbolic.calculus import Substitution, semidefinite_factor
from ..symbolic.effort import TooLong
from ..symbolic.means import Mean, Samples, gathered, joined
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
    found: Fields = {**roles, "law": _read_law(stated.law, noise)}
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
        noisy = gathered(read_expression("noisy_loss", stated.noisy_loss))
        found["loss"], found["noisy_loss"] = _over_the_same_samples(found["loss"], noisy)
    if stated.chart is not None:
        found["chart"] = read_chart(stated.chart, found["weights"], found["parameters"])
    found = _with_losses(found)
    return _with_samples(found) if isinstance(found["loss"], Mean) else found


def matrix_fields(stated: Any) -> Fields:
    """The fields of a noise model with matrices for weights."""
    beyond = ("constraints", "chart", "near", "noise_matrix")
    given = [name for name in beyond if getattr(stated, name) is not None]
    given += [name for name in ("parameters", "penalty") if getattr(stated, name)]
    if given or stated.noisy_loss is None:
        raise NotCoveredError(
            f"{', '.join(given) or 'noisy_loss'}: a problem with matrices for weights is "
            "stated by loss, noisy_loss, weights, noise and law; write others in entries"
        )
    weights, noise = read_matrices("weights", stated.weights), read_matrices("noise", stated.noise)
    refuse_overlap(weights=weights, noise=noise)
    losses = (gathered(read_expression("loss", x)) for x in (stated.loss, stated.noisy_loss))
    loss, noisy = _over_the_same_samples(*losses)
    unsized = [v for v in weights if v.has(sp.Symbol)]
    if unsized and not isinstance(loss, Mean):
        raise ProblemError(
            f"weights: {unsized[0]} has the symbolic shape {unsized[0].shape}, and no data "
            "fix it; expected numbers of rows and columns, a Mean over data, or to derive for "
            "any number of them with general_limit"
        )
    law = _read_law(stated.law, noise)
    if not law.has_independent_coordinates or not law.shrinks:
        raise NotCoveredError(
            "law: with matrices for weights, noise of one law with independent coordinates that "
            f"shrinks with σ is covered, got {law}"
        )
    return {"loss": loss, "noisy_loss": noisy, "weights": weights, "noise": noise, "law": law}


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


def _read_law(law: Any, noise: tuple[sp.Symbol, ...]) -> Law:
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


def _over_the_same_samples(loss: sp.Expr, noisy: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Loss and noisy loss as means over the same data with the same noise, where they are means."""
    if not isinstance(loss, Mean) and not isinstance(noisy, Mean):
        return loss, noisy
    if not isinstance(loss, Mean) or not isinstance(noisy, Mean):
        other = "noisy_loss" if isinstance(loss, Mean) else "loss"
        raise ProblemError(f"{other}: expected a Mean over the samples, as the other one is")
    samples = joined((loss.samples, noisy.samples))
    return Mean(loss.summand, samples), Mean(noisy.summand, samples)


def _with_samples(found: Fields) -> Fields:
    """The fields of a mean over samples, with the noise of a sample apart from that of all."""
    samples, noise = found["loss"].samples, found["noise"]
    for given in ("constraints", "chart"):
        if given in found:
            raise NotCoveredError(
                f"{given}: Γ of a mean over samples is where each sample is fitted; leave it out, "
                "or write the samples out with problem.written_out()"
            )
    refuse_overlap(
        weights=found["weights"],
        noise=noise,
        parameters=found["parameters"],
        data=samples.symbols,
    )
    stray = set(samples.independent) - set(noise)
    if stray:
        raise ProblemError(f"independent: {names(stray)} is not among the noise")
    return found | {"law": _split_law(found["law"], noise, samples)}


def _split_law(law: Law, noise: tuple[sp.Symbol, ...], samples: Samples) -> Law:
    """The law with the noise of a sample apart from the noise that all samples share."""
    own = tuple(e for e in noise if e in samples.independent)
    shared = tuple(e for e in noise if e not in own)
    parts = split(law, own, shared)
    for symbols, part in parts:
        if set(symbols) & set(own) and not part.shrinks:
            raise ProblemError(
                f"law: {part} keeps its size and is drawn once for all samples; expected a law of "
                "the noise of one sample, or noise that is not among `independent`"
            )
    return law if not own or not shared else Independent(parts)


def _hint_of_floats(difference: sp.Expr) -> str:
    """What to write for 1/3, if a number looks like a rounded one."""
    long = any(number.q >= 10**12 for number in difference.atoms(sp.Rational))
    return "; floats are read as the decimals typed: write sp.Rational(1, 3) for 1/3" * long
