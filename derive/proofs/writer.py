"""Writes claims into the document of a certificate, each once the checker has accepted it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import flint
import mpmath
import sympy as sp

from ..certify.checker import Claim
from ..manifold.local_geometry import Probe
from ..manifold.manifold import Manifold
from ..model.problem import NoisyGradientDescent
from ..noise.classification import Step
from ..symbolic.numbers.roots import System, random_values
from ..symbolic.zero_tests import Basis
from .boxes import PRECISION, enclosure
from .findings import Finding
from .identities import ChartIdentities, Identities
from .tables import ExpressionTable, NotCertifiedError
from .witnesses import Witness

FORMAT = "singular-limit certificate 1"

FEWER_DIGITS = (10, 4, 2, 1, 0.1)
"""Digits of a value enclosed less sharply: Γ is nearly singular, or parameters have a range."""

REFUSALS = (ValueError, ArithmeticError, LookupError, TypeError)
"""What the checker, and the search for what it needs, raise where something cannot be shown."""

REAL = "weights and all other symbols are real, and in the domains of the functions that occur"

MOST_NORMALS = 3
"""Gradients of constraints, or coordinates of a chart, up to which determinants are written."""

CHART_TRIES = 10
"""Places from which that of the base point in a chart is sought."""

NO_NEIGHBOURHOOD = "det(DφᵀDφ) det(JJᵀ) = 0 where the chart φ meets the base point"
"""What a chart of Γ is proved not to have; it maps a neighbourhood onto one in Γ."""

# What looks for cofactors of some functions, on Γ or on the graph of its chart.
Search = Callable[[Sequence[sp.Expr]], Identities]


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
    table : ExpressionTable, optional
        Where another writer of the same document writes its expressions.
    """

    def __init__(
        self,
        manifold: Manifold,
        ranges: Mapping[sp.Symbol, tuple[Any, Any]],
        statement: Sequence[str],
        hypotheses: Sequence[str],
        table: ExpressionTable | None = None,
    ) -> None:
        self._manifold, self._ranges = manifold, ranges
        self._table = ExpressionTable() if table is None else table
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


class ChartWriter(Writer):
    """Writes what is claimed of the image of the chart φ of Γ, as claims of its graph w = φ(θ).

    That the constraints of Γ vanish on it, and that Dφ and their gradients have the ranks that make
    it all of Γ near the base point, is claimed first.

    Parameters
    ----------
    gamma : Manifold
        Γ, of a problem with a chart.
    ranges : mapping of Symbol to (middle, half of the width)
        Intervals of parameters.
    table : ExpressionTable
        Where the claims of Γ write their expressions.

    Raises
    ------
    NotCertifiedError
        If the chart is not found to lie in Γ or to reach its base point, or has many dimensions
        along or across it.
    """

    def __init__(
        self,
        gamma: Manifold,
        ranges: Mapping[sp.Symbol, tuple[Any, Any]],
        table: ExpressionTable,
    ) -> None:
        super().__init__(graph_of_chart(gamma), ranges, (), (), table)
        self._gamma = gamma
        self._write_model()
        self._accept_identity("the chart maps into Γ", self._sought(gamma.constraints).zero())
        self._inside = self.document["claims"].pop()
        at = self._at(self._base)
        self._accept(NO_NEIGHBOURHOOD, at.values([_regular(gamma)]), self._base, at.point)

    @property
    def part(self) -> dict[str, Any]:
        """What stands in a certificate."""
        kept = ("weights", "constraints", "squares", "points", "claims")
        return {key: self.document[key] for key in kept} | {"inside": self._inside}

    def enter(self, identities: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Enter the identities that make the answer to a question yes."""
        for question, claim in list(identities):
            self._accept_identity(f"{question}, on the image of the chart", claim)

    def sought(self, functions: Sequence[sp.Expr]) -> ChartIdentities:
        """What looks for cofactors of some functions on the graph."""
        return ChartIdentities(self._table, self._manifold, functions, self._gamma.problem.weights)

    def _write_model(self) -> None:
        self.document["constraints"] = self._table.places(self._manifold.constraints)


def graph_of_chart(gamma: Manifold) -> Manifold:
    """{w = φ(θ)} in the weights and the coordinates of the chart of Γ, at the base point of Γ."""
    problem = gamma.problem
    assert problem.chart is not None
    theta, embedding = problem.chart.coordinates, problem.chart.embedding
    gaps = tuple(w - x for w, x in zip(problem.weights, embedding, strict=True))
    graph = NoisyGradientDescent.from_gradient_noise(
        sp.Add(*(g**2 for g in gaps)) / 2,
        sp.zeros(len(gaps) + len(theta)),
        (*problem.weights, *theta),
        constraints=gaps,
        parameters=problem.parameters,
    )
    system = System(theta, gamma.symbols, gaps)
    rng = random.Random(0)
    for _ in range(CHART_TRIES):
        found = system.solve((*random_values(theta, rng), *gamma.base))
        if found is not None:
            n, m = problem.dimension, len(theta)
            base = (*gamma.base[:n], *found[:m], *gamma.base[n:])
            probe = Probe(graph, None, System(graph.weights, graph.parameters, gaps))
            return Manifold(probe, base, lambda _: iter(()))
    raise NotCertifiedError("the chart was not found to reach the base point of Γ")


def _regular(gamma: Manifold) -> sp.Expr:
    """det(DφᵀDφ) det(JJᵀ).

    Where it is not 0, and r = 0 on the image of φ, that is all of Γ near by: it has as many
    dimensions as Γ, N less the number of rows of J.
    """
    chart = gamma.problem.chart
    assert chart is not None
    if max(gamma.codimension, gamma.dimension) > MOST_NORMALS:
        raise NotCertifiedError(f"a chart of more than {MOST_NORMALS} coordinates, or across them")
    j = sp.Matrix([gamma.probe.system.rows[i] for i in gamma.independent])
    slopes = sp.Matrix(chart.embedding).jacobian(chart.coordinates)
    return sp.sympify((slopes.T * slopes).det() * (j * j.T).det())


def generic(k: int) -> Any:
    """A number that stands for "any value" of a symbol that is free."""
    return mpmath.mpf(round(float(mpmath.sqrt(sp.prime(k + 1))) * 2**20)) / 2**21
