"""What an entry of the atlas is: a published limit on a model, and our derivation of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import sympy as sp

from derive import Limit, NoisyGradientDescent, Outcome, alpha, sigma
from derive.symbolic.zero_tests import Verdict

PER_STEP = 1 / (alpha * sigma**2)
PER_SQUARE = 1 / (alpha**2 * sigma**2)
"""The time scales of Theorems A and B."""


class Read(Enum):
    """How the published statement is known."""

    TEXT = "the statement was read"
    ABSTRACT = "only the abstract, or a summary of it, was read"
    MEMORY = "the statement was written from memory, not looked up"
    OWN = "not published: a statement of this project"


@dataclass(frozen=True)
class Source:
    """Where a limit is published."""

    authors: str
    where: str
    read: Read


@dataclass(frozen=True)
class Printed:
    """A limit as print has it, evaluated on the entry's model.

    Attributes
    ----------
    scale : Expr or None
        Steps per unit of slow time; None where nothing moves.
    drift : sequence of Expr
        Itô drift of the weights on Γ.
    diffusion : matrix of Expr, optional
        Diffusion, if there is one.
    """

    scale: sp.Expr | None
    drift: Any
    diffusion: Any = None

    def holds(self, limit: Limit) -> Verdict | bool:
        """Whether a limit is this one."""
        if limit.time_scale != self.scale:
            return False
        if self.scale is None:
            return limit.outcome in (Outcome.TRIVIAL, Outcome.FROZEN)
        return limit.check(self.drift, self.diffusion)


@dataclass(frozen=True)
class Course:
    """How the motion is measured: along Γ from a point, at some step sizes and noise scales.

    Attributes
    ----------
    start : sequence of float
        A point near Γ.
    alphas, sigmas : sequence of float
        The others are measured at the first of each.
    distance : float
        How far a run goes.
    paths : int
        Runs that are averaged.
    recursion : callable, optional
        What is run at a step size, where it is not what the limit was derived of.
    wait : int
        Steps before the motion is measured, where a memory needs more than the weights.
    """

    start: Sequence[float]
    alphas: Sequence[float]
    sigmas: Sequence[float]
    distance: float = 0.02
    paths: int = 1000
    recursion: Callable[[float], NoisyGradientDescent] | None = None
    wait: int = 0


@dataclass(frozen=True)
class Entry:
    """A published limit.

    Attributes
    ----------
    name : str
        For links.
    title : str
        What it is about.
    source : Source
        Where it is from.
    statement : tuple of str
        What print says: words, and formulas in LaTeX between dollars.
    derive : callable
        Our derivation.
    printed : Printed
        The published limit on that model.
    corrected : Printed, optional
        What we find, where it is not what is printed.
    remark : str
        What else there is to know.
    course : Course, optional
        How the motion is measured.
    is_short : bool
        Whether our derivation has a closed form that is written out at once; where it has not, the
        page shows that it is the printed one.
    """

    name: str
    title: str
    source: Source
    statement: tuple[str, ...]
    derive: Callable[[], Limit]
    printed: Printed
    corrected: Printed | None = None
    remark: str = ""
    course: Course | None = None
    is_short: bool = True


@dataclass(frozen=True)
class Judgement:
    """What became of an entry.

    Attributes
    ----------
    entry : Entry
        The entry.
    limit : Limit
        Our derivation.
    verdict : Verdict or bool
        Whether it is what is printed, with a witness where it is not.
    confirmed : bool
        Whether it is what the atlas says it is: the printed limit, or the corrected one.
    """

    entry: Entry
    limit: Limit
    verdict: Verdict | bool
    confirmed: bool


def judge(entry: Entry) -> Judgement:
    """Derive an entry anew and compare it with print."""
    limit = entry.derive()
    verdict = entry.printed.holds(limit)
    expected = entry.corrected
    confirmed = bool(verdict) if expected is None else not verdict and bool(expected.holds(limit))
    return Judgement(entry, limit, verdict, confirmed)


@dataclass(frozen=True)
class Along:
    """Flows on Γ, written out independently of the derivation: P = I − Jᵀ(J Jᵀ)⁻¹J.

    Attributes
    ----------
    weights : sequence of Symbol
        w.
    constraints : sequence of Expr
        Independent expressions whose common zero set is Γ.
    """

    weights: Sequence[sp.Symbol]
    constraints: Sequence[sp.Expr]

    @property
    def projector(self) -> sp.Matrix:
        """P."""
        j = sp.Matrix(self.constraints).jacobian(list(self.weights))
        return sp.eye(len(self.weights)) - j.T * (j * j.T).inv() * j

    def descent(self, potential: sp.Expr) -> sp.Matrix:
        """−P∇V."""
        return -self.projector * sp.Matrix([potential.diff(w) for w in self.weights])


def laplacian(function: sp.Expr, weights: Sequence[sp.Symbol]) -> sp.Expr:
    """ΔL."""
    return sp.Add(*(function.diff(w, 2) for w in weights))
