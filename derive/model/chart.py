"""Charts of the manifold, as the user states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from ..errors import ProblemError
from ..reading import read_point, read_symbols, refuse_overlap, refuse_stray


@dataclass(frozen=True)
class Chart:
    """A local parametrisation γ: U ⊂ R^M → Γ.

    Attributes
    ----------
    coordinates : tuple of Symbol
        Intrinsic coordinates θ.
    embedding : tuple of Expr
        The weights as functions of the coordinates, in the order of the weights.
    """

    coordinates: tuple[sp.Symbol, ...]
    embedding: tuple[sp.Expr, ...]

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Chart:
        """Bind parameters of the embedding."""
        return replace(self, embedding=tuple(x.subs(values) for x in self.embedding))


def read_chart(
    given: Any, weights: tuple[sp.Symbol, ...], parameters: tuple[sp.Symbol, ...]
) -> Chart:
    """A chart, or what can be read as one."""
    if isinstance(given, Chart):
        coordinates, embedding = given.coordinates, given.embedding
    elif isinstance(given, Mapping):
        embedding = read_point("chart", given, weights)
        free = set().union(*(e.free_symbols for e in embedding)) - set(parameters)
        coordinates = tuple(sorted(free, key=str))
    else:
        try:
            coordinates, embedding = given
        except (TypeError, ValueError) as error:
            raise ProblemError(
                f"chart: expected a pair (coordinates, embedding), got {given!r}"
            ) from error
    coordinates = read_symbols("chart", coordinates)
    embedding = read_point("chart", embedding, weights)
    refuse_overlap(weights=weights, chart=coordinates)
    for entry in embedding:
        refuse_stray("chart", entry, {*coordinates, *parameters})
    return Chart(coordinates, embedding)
