"""What a file holds of the limit of an update rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp

from ..manifold.discovery.find_manifold import known_manifold
from ..model.update_rule import UpdateRule
from ..noise.classification import Classification
from ..optimizers.optimizer import Optimizer, known_optimizers
from ..rules.derivation import RuleDerivation
from ..rules.equation import RuleEquation
from ..rules.expansion import expand_rule
from ..rules.motion import RuleMotion

RESULTS = ("projector", "drift", "diffusion")
"""Closed forms that are kept with a limit."""


def rule_types() -> dict[str, Any]:
    """Dataclasses that may occur beside those of noise models."""
    return {kind.__name__: kind for kind in (UpdateRule, RuleEquation)} | known_optimizers()


def rule_content(limit: Any) -> dict[str, Any]:
    """The parts of a limit beside its rule."""
    return {
        "squares": limit.manifold.probe.squares,
        "constraints": limit.manifold.constraints,
        "base": limit.manifold.base,
        "optimizer": limit.motion.optimizer,
        "classification": limit.classification,
        "equation": limit.equation,
        **{name: getattr(limit, name) for name in RESULTS},
    }


def rule_parts(rule: UpdateRule, given: Mapping[str, Any]) -> dict[str, Any]:
    """The rule, what is derived of it, and under "results" its closed forms."""
    manifold = known_manifold(rule.landscape, given["squares"], given["constraints"], given["base"])
    kinds = {"optimizer": Optimizer, "classification": Classification, "equation": RuleEquation}
    for name, kind in kinds.items():
        if not isinstance(given[name], kind) and not (name == "optimizer" and given[name] is None):
            raise TypeError(f"expected {name} to be of the type {kind.__name__}")
    motion = RuleMotion(expand_rule(rule), manifold, given["optimizer"])
    results = {name: given[name] and sp.Matrix(given[name]) for name in RESULTS}
    return {
        "problem": rule,
        "derivation": RuleDerivation(motion, given["classification"], given["equation"]),
        "results": results,
    }
