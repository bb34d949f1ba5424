"""What the end states of a limit say, as labelled statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import mpmath
import sympy as sp

from ..analysis.end_states import FinalStates
from ..analysis.longtime import Equilibrium
from .mathml import statements_table
from .notation import Equality, Formula, Notation, Words
from .statements import SHOWN_COORDINATES, Statement, as_array, lines, text_of

DIGITS = 6
ROUND_OFF = 1e-20


class EndStates(FinalStates):
    """End states as users meet them: as text, LaTeX or a notebook's table.

    What they hold is said in `FinalStates`.
    """

    def latex(self, names: Mapping[sp.Symbol, str] | None = None) -> str:
        """Equilibria and conserved quantities as LaTeX; `names` as for `Limit.latex`."""
        return as_array(end_statements(self), Notation(names or {}))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        return statements_table(end_statements(self))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def __str__(self) -> str:
        return lines(end_statements(self))


def end_statements(states: FinalStates) -> list[Statement]:
    """Each equilibrium with its stability and rate, and what the flow conserves."""
    if not states.equilibria:
        words = "none was found from the points of Γ that were tried"
        return [Statement("end states", words, (Words(words),)), *_conserved(states)]
    return [*(_equilibrium(states, e) for e in states.equilibria), *_conserved(states)]


def _equilibrium(states: FinalStates, e: Equilibrium) -> Statement:
    weights = states.limit.problem.weights
    shown = [(w, _short(e.point[w])) for w in weights[:SHOWN_COORDINATES]]
    more = ", …" if len(weights) > SHOWN_COORDINATES else ""
    place = ", ".join(f"{w} = {x}" for w, x in shown) + more
    tex = r",\; ".join(f"{sp.latex(w)} = {x}" for w, x in shown) + (r",\; \ldots" if more else "")
    rate = mpmath.nstr(abs(e.rate), DIGITS)
    how = {
        True: f"the slowest direction returns at the rate {rate}",
        False: f"the fastest direction leaves at the rate {rate}",
        None: "an eigenvalue of the linearisation is zero",
    }[e.stable]
    words = f"{how} per unit of slow time" if e.stable is not None else how
    return Statement(e.kind, f"{place}: {words}", (Formula((tex,)), Words(words)))


def _short(x: Any) -> str:
    return str(mpmath.nstr(mpmath.chop(x, ROUND_OFF), DIGITS))


def _conserved(states: FinalStates) -> Iterator[Statement]:
    for quantity in states.conserved:
        text = f"{text_of(quantity.expression)}: {quantity.verdict}"
        parts = (Equality("", quantity.expression), Words(str(quantity.verdict)))
        yield Statement("conserved", text, parts)
