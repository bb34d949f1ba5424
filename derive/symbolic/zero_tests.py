"""Three-valued verdicts: true, false and unknown, each with what it rests on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import mpmath
import sympy as sp

from .effort import EXPANDED, SIMPLIFIED, expanded_terms, within
from .kinks import KINKED
from .unknown_functions import at_instance

DIGITS = 50
"""Decimal digits of numerical evidence (theory, section 5)."""

ZERO_DIGITS = 40
"""A value below 10^-40 of its summands counts as zero (theory, section 5)."""

CLEAR_DIGITS = 20
"""A value above 10^-20 of its summands is clearly not zero; between the two nothing is decided."""

PLAIN = 1e-6
"""A witness above this size is preferred; one below it may come from a point of near symmetry."""


class Basis(Enum):
    """What a verdict rests on."""

    PROOF = "proof"
    PROVED_NOT = "proved not"
    WITNESS = "witness"
    NUMERICAL = "numerical certificate"
    ASSUMED = "assumed by the user"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Verdict:
    """Answer to a yes-or-no question about expressions on Γ.

    Attributes
    ----------
    value : bool or None
        The answer; None when it could not be decided.
    basis : Basis
        Whether it is proved (a "no" too), shown by a witness, or a numerical certificate.
    how : str
        The argument in a few words.
    witness : mapping of Symbol to number, or None
        A point where a "not zero" shows.
    """

    value: bool | None
    basis: Basis
    how: str
    witness: Mapping[sp.Symbol, Any] | None = None

    def __bool__(self) -> bool:
        return self.value is True

    def __str__(self) -> str:
        return self._said(self.basis.value)

    @property
    def standing(self) -> str:
        """What it rests on, in the words of a derivation: an answer by a witness was sampled."""
        words = {Basis.PROOF: "proved", Basis.WITNESS: "sampled", Basis.ASSUMED: "assumed"}
        return words.get(self.basis, self.basis.value)

    @property
    def told(self) -> str:
        """The answer as a derivation tells it."""
        return self._said(self.standing)

    def _said(self, standing: str) -> str:
        answer = {True: "yes", False: "no", None: "undecided"}[self.value]
        at = "" if self.witness is None else _at(self.witness)
        return f"{answer} ({standing}: {self.how}{at})"


def _at(point: Mapping[sp.Symbol, Any]) -> str:
    return " at " + ", ".join(f"{s} = {mpmath.nstr(v, 6)}" for s, v in point.items())


def proved(how: str, value: bool = True) -> Verdict:
    """A verdict that rests on an exact argument."""
    return Verdict(value, Basis.PROOF, how)


def vanishes_identically(expression: sp.Expr, tries: int = 4) -> Verdict:
    """Whether an expression vanishes on all of R^N, where no constraint holds.

    Expansion proves it for most expressions; otherwise values at random points decide, to 50
    digits, where sympy's `simplify` does not prove a short one. An analytic function that is zero
    there is zero; one in pieces may be zero on one of them only.
    """
    # Expanded, for a product hides what cancels inside its factors from the relative size.
    small = expanded_terms(expression) <= EXPANDED
    expanded = sp.expand(expression) if small else expression
    if expanded == 0:
        return proved("expansion")
    symbols = sorted(expanded.free_symbols, key=str)
    terms = sp.Add.make_args(at_instance(expanded))
    value = sp.lambdify([symbols], terms, modules="mpmath")
    rng = random.Random(0)
    sizes: list[Any] = []
    with mpmath.workdps(DIGITS):
        for _ in range(tries):
            point = [mpmath.mpf(rng.uniform(0.2, 1.7)) * rng.choice((-1, 1)) for _ in symbols]
            if any(s.is_positive for s in symbols):
                point = [
                    abs(x) if s.is_positive else x for s, x in zip(symbols, point, strict=True)
                ]
            try:
                summands = value(point)
            except (ValueError, ZeroDivisionError, TypeError, NameError):
                continue
            sizes.append(relative_size(mpmath.fsum(summands), summands))
            if sizes[-1] > mpmath.mpf(10) ** -CLEAR_DIGITS:
                return Verdict(
                    False, Basis.WITNESS, "value", dict(zip(symbols, point, strict=True))
                )
    if within(SIMPLIFIED, expression) and sp.simplify(expression) == 0:
        return proved("simplification")
    if not expression.has(*KINKED) and sizes and max(sizes) < mpmath.mpf(10) ** -ZERO_DIGITS:
        how = f"below 1e-{ZERO_DIGITS} at {len(sizes)} random points"
        return Verdict(True, Basis.NUMERICAL, how)
    return Verdict(None, Basis.UNDECIDED, "expansion, random points and simplification")


Proof = tuple[str, Callable[[], bool]]
"""What a proof argues, and the attempt."""


def decide_zero(
    points: Iterable[tuple[Mapping[sp.Symbol, Any], Callable[[], Any]]], proofs: Sequence[Proof]
) -> Verdict:
    """Whether a quantity vanishes on Γ.

    Parameters
    ----------
    points : iterable of (point, size)
        Points of Γ, each with a function that evaluates the size of the quantity there, relative
        to its summands.
    proofs : sequence of Proof
        Exact arguments, tried in turn when the quantity is zero at all points.

    Returns
    -------
    Verdict
        False with a witness, or true by proof or numerical certificate, or undecided; that also
        where the quantity has no value at a point.
    """
    count, largest, witness = 0, mpmath.mpf(0), None
    for point, size in points:
        try:
            value = size()
        except (ZeroDivisionError, ValueError, OverflowError) as failure:
            how = f"a value{_at(point)}, where the model has none: {failure}"
            return Verdict(None, Basis.UNDECIDED, how)
        count += 1
        if value > largest:
            largest, witness = value, point
        if largest > PLAIN:
            break
    if largest > mpmath.mpf(10) ** -CLEAR_DIGITS:
        return Verdict(False, Basis.WITNESS, f"relative size {mpmath.nstr(largest, 3)}", witness)
    tried = f"largest relative size {mpmath.nstr(largest, 2)} at {count} points of Γ"
    if largest > mpmath.mpf(10) ** -ZERO_DIGITS:
        return Verdict(None, Basis.UNDECIDED, tried)
    for how, attempt in proofs:
        if attempt():
            return proved(how)
    return Verdict(True, Basis.NUMERICAL, f"{count} points of Γ, {ZERO_DIGITS} digits")


def relative_size(value: Any, summands: Any) -> Any:
    """|value| relative to the summands it is made of (0 for an empty sum)."""
    scale = max((abs(s) for s in summands), default=0)
    return abs(value) / scale if scale else mpmath.mpf(0)
