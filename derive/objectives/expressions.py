"""L and L̂ as expressions in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..equation.limiting_equation import LimitingEquation
from ..files.limit_file import known_in, known_of, moments_in, restored_of, stated
from ..manifold.discovery.find_manifold import find_manifold, manifold_of
from ..manifold.manifold import Manifold
from ..model.problem import Objective
from ..noise.moments import NoiseMoments, moments_of, noise_moments


class Expressions(Objective):
    """Expressions in numbers; what the answers of `Objective` hold for."""

    @classmethod
    def is_stated(cls, stated: Any) -> bool:
        """Whatever is of no other kind."""
        return True


@manifold_of.register
def _manifold(objective: Expressions) -> Manifold:
    return find_manifold(objective.problem)


@moments_of.register
def _moments(objective: Expressions) -> NoiseMoments:
    return noise_moments(objective.problem)


@known_of.register
def _known(objective: Expressions, limit: LimitingEquation) -> dict[str, Any]:
    return {"samples": None, "moments": stated(limit.moments)}


@restored_of.register
def _restored(objective: Expressions, given: Mapping[str, Any]) -> tuple[Manifold, NoiseMoments]:
    return known_in(given, objective.problem), moments_in(given["moments"])
