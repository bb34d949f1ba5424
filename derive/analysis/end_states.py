"""Where a deterministic limit ends: its equilibria on Γ, their stability, what it conserves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..equation.limiting_equation import LimitingEquation
from .conserved import ConservedQuantity, conserved_quantities
from .longtime import Equilibrium, equilibria


@dataclass(frozen=True)
class FinalStates:
    """The equilibria of the slow flow that were found, and its conserved quantities.

    Attributes
    ----------
    limit : LimitingEquation
        The limit whose flow it is.
    equilibria : tuple of Equilibrium
        Stable ones first; those of a flow that descends Reg are its critical points on Γ, the
        stable ones minimisers.
    conserved : tuple of ConservedQuantity
        Of degree one and two.

    References
    ----------
    Blanc, Gupta, Valiant, Valiant, COLT 2020, Theorem 1 (stable and strongly repelling points).
    """

    limit: LimitingEquation
    equilibria: tuple[Equilibrium, ...]
    conserved: tuple[ConservedQuantity, ...]


def end_states(
    limit: LimitingEquation, starts: Iterable[Sequence[Any]] | None = None
) -> FinalStates:
    """Equilibria and conserved quantities of a deterministic limit."""
    limit = limit.written_out()
    order = {True: 0, None: 1, False: 2}
    found = sorted(equilibria(limit, starts), key=lambda e: (order[e.stable], -e.rate))
    return FinalStates(limit, tuple(found), conserved_quantities(limit))
