"""What a file holds of the limit of an update rule, and of an adaptive optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from ..manifold.discovery.find_manifold import known_manifold
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..model.update_rule import UpdateRule
from ..noise.classification import Classification
from ..optimizers.adaptive import Window
from ..optimizers.optimizer import Optimizer, known_optimizers
from ..rules.derivation import RuleDerivation
from ..rules.equation import RuleEquation
from ..rules.expansion import expand_rule
from ..rules.regimes.local_rounds import motion_of
from ..rules.regimes.potentials import Potential
from ..rules.regimes.second_moments import SecondMomentRules

RESULTS = ("projector", "drift", "diffusion")
"""Closed forms that are kept with a limit."""


def rule_types() -> dict[str, Any]:
    """Dataclasses that may occur beside those of noise models."""
    kinds = (UpdateRule, RuleEquation, Window, Potential)
    return {kind.__name__: kind for kind in kinds} | known_optimizers()


def rule_content(limit: Any) -> dict[str, Any]:
    """The parts of a limit beside its rule."""
    return {
        **_found(limit.manifold),
        "optimizer": limit.motion.optimizer,
        "classification": limit.classification,
        "equation": limit.equation,
        **{name: getattr(limit, name) for name in RESULTS},
    }


def rule_parts(rule: UpdateRule, given: Mapping[str, Any]) -> dict[str, Any]:
    """The rule, what is derived of it, and under "results" its closed forms."""
    _check_types(given, optimizer=(Optimizer, type(None)))
    motion = motion_of(expand_rule(rule), _manifold(rule, given), given["optimizer"])
    results = {name: given[name] and sp.Matrix(given[name]) for name in RESULTS}
    return {
        "problem": rule,
        "derivation": RuleDerivation(motion, given["classification"], given["equation"]),
        "results": results,
    }


def adaptive_content(limit: Any) -> dict[str, Any]:
    """The parts of the limit of an adaptive optimizer beside its problem."""
    drifts = limit.manifold is not limit.on_gamma.manifold
    return {
        **_found(limit.on_gamma.manifold),
        "drifting": {"rule": limit.problem, **_found(limit.manifold)} if drifts else None,
        "classification": limit.classification,
        "equation": limit.equation,
        "skewness": limit.skewness,
        "potential": limit.potential,
    }


def adaptive_parts(problem: NoisyGradientDescent, given: Mapping[str, Any]) -> dict[str, Any]:
    """The second moments of the problem, and what is derived of them.

    Under "drifting" are the recursion of weights and second moments, and their Γ, if they are one.
    """
    _check_types(given, potential=(Potential, type(None)), skewness=(float,))
    rules, drifting = SecondMomentRules(problem), given["drifting"]
    return {
        "problem": rules,
        "manifold": _manifold(rules.recursion, given),
        "drifting": drifting and (drifting["rule"], _manifold(drifting["rule"], drifting)),
        **{n: given[n] for n in ("classification", "equation", "skewness", "potential")},
    }


def _found(manifold: Manifold) -> dict[str, Any]:
    """What was found out about Γ."""
    return {
        "squares": manifold.probe.squares,
        "constraints": manifold.constraints,
        "base": manifold.base,
    }


def _manifold(rule: UpdateRule, given: Mapping[str, Any]) -> Manifold:
    return known_manifold(rule.landscape, given["squares"], given["constraints"], given["base"])


def _check_types(given: Mapping[str, Any], **others: tuple[type, ...]) -> None:
    """Refuse parts of other types than they were written with."""
    kinds = {"classification": (Classification,), "equation": (RuleEquation,), **others}
    for name, allowed in kinds.items():
        if not isinstance(given[name], allowed):
            raise TypeError(f"expected {name} to be of the type {allowed[0].__name__}")
