"""Writes claims into the document of a certificate, each once the checker has accepted it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import flint
import mpmath
import sympy as sp

from ..certify.checker import Claim
from ..manifold.manifold import Manifold
from ..noise.classification import Step
from ..symbolic.zero_tests import Basis
from .boxes import PRECISION, enclosure
from .findings import Finding
from .identities import Identities
from .tables import ExpressionTable
from .witnesses import Witness

FORMAT = "singular-limit certificate 1"

FEWER_DIGITS = (10, 4, 2, 1, 0.1)
"""Digits of a value enclosed less sharply: Γ is nearly singular, or parameters have a range."""

REFUSALS = (ValueError, ArithmeticError, LookupError, TypeError)
"""What the checker, and the search for what it needs, raise where something cannot be shown."""

REAL = "weights and all other symbols are real, and in the domains of the functions that occur"


class Writer:
    """Writes what is claimed of Γ.

    Parameters
    ----------
    manifold : Manifold
        Γ.
    ranges : mapping of Symbol to (middle, half of the width)
        Intervals of parameters.
    statement, hypotheses : sequence of str
        What is given, and what is taken for granted, in words.
    """

    def __init__(
        self,
        manifold: Manifold,
        ranges: Mapping[sp.Symbol, tuple[Any, Any]],
        statement: Sequence[str],
        hypotheses: Sequence[str],
    ) -> None:
        self._manifold, self._ranges = manifold, ranges
        self._table = ExpressionTable()
        self._points: dict[tuple[Any, ...], int] = {}
        self.document: dict[str, Any] = {
            "format": FORMAT,
            "statement": list(statement),
            "hypotheses": list(hypotheses),
            "precision": PRECISION,
            "expressions": self._table.entries,
            "weights": self._table.places(manifold.problem.weights),
            "constraints": [],
            "squares": [],
            "points": [],
            "claims": [],
        }

    def _finding(self, step: Step, prove: Callable[[Step], str]) -> Finding:
        """The verdict with the proof that one of the makers of claims finds."""
        verdict, kept = step.verdict, len(self.document["claims"])
        try:
            self._write_model()
            said = prove(step)
        except REFUSALS as refusal:
            del self.document["claims"][kept:]
            return Finding(step, str(refusal) or type(refusal).__name__)
        for symbol, (middle, width) in self._ranges.items():
            said += f", for all {symbol} within {mpmath.nstr(width, 6)} of {mpmath.nstr(middle, 6)}"
        basis = Basis.PROOF if verdict.value else Basis.PROVED_NOT
        return Finding(replace(step, verdict=replace(verdict, basis=basis, how=said)))

    def _write_model(self) -> None:
        """Constraints and squares; not before they are needed, for they may have no words."""
        probe, place = self._manifold.probe, self._table.places
        self.document["constraints"] = place(self._manifold.constraints)
        self.document["squares"] = [place(pair) for pair in probe.squares or ()]

    @property
    def _base(self) -> dict[sp.Symbol, Any]:
        return self._manifold.named(self._manifold.base)

    def _at(self, found: Mapping[sp.Symbol, Any]) -> Witness:
        return Witness(self._table, self._manifold, found, self._ranges)

    def _sought(self, functions: Sequence[sp.Expr]) -> Identities:
        return Identities(self._table, self._manifold, functions)

    def _accept_identity(self, question: str, claim: dict[str, Any]) -> None:
        """Enter an identity, with any values of the symbols that are free in it."""
        base = self._base
        symbols = claim.pop("symbols") - set(base)
        found = base | {s: generic(k) for k, s in enumerate(sorted(symbols, key=str))}
        self._accept(question, claim, found, self._at(found).point)

    def _accept(
        self,
        question: str,
        claim: dict[str, Any],
        found: Mapping[sp.Symbol, Any],
        point: Callable[[], dict[str, Any]],
    ) -> None:
        """Enter a claim that the checker accepts."""
        key = tuple(found.items())
        if key not in self._points:
            self._points[key] = len(self.document["points"])
            self.document["points"].append(point())
        claim |= {"says": question, "point": self._points[key]}
        self.document["claims"].append(self._accepted(claim))

    def _accepted(self, claim: dict[str, Any]) -> dict[str, Any]:
        """The claim as the checker accepts it, its value with as many digits as it sees."""
        for digits in FEWER_DIGITS if "value" in claim else ():
            with suppress(*REFUSALS):
                return self._checked(claim)
            claim = claim | {"value": enclosure(mpmath.mpf(claim["value"][0]), digits)}
        return self._checked(claim)

    def _checked(self, claim: dict[str, Any]) -> dict[str, Any]:
        with flint.ctx.workprec(PRECISION):
            Claim(self.document, claim)
        return claim


def generic(k: int) -> Any:
    """A number that stands for "any value" of a symbol that is free."""
    return mpmath.mpf(round(float(mpmath.sqrt(sp.prime(k + 1))) * 2**20)) / 2**21
