"""Finding Γ: reading its constraints, a base point, further points."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import singledispatch

import mpmath
import sympy as sp

from ...errors import DeriveWarning, ManifoldError
from ...model.problem import NoisyGradientDescent, Objective
from ...symbolic.numbers.roots import Point, System
from ..constraints import Square, read_squares
from ..local_geometry import Probe
from ..manifold import Manifold
from ..points import respects_signs, short, show_point
from .compositions import read_composition
from .search import TRIES, Attempt, Search
from .survey import POINTS, Survey

FAR = 0.5
"""Distance from the given point, relative to 1 and its own size, from which on a word is said."""

LOOSE = mpmath.mpf(10) ** -12


@singledispatch
def manifold_of(objective: Objective) -> Manifold:
    """Γ of a problem, found as the kind of its objective asks.

    Raises
    ------
    ManifoldError
        As `find_manifold`; or if no weights fit all samples.
    """
    raise objective.refused("Γ")


def find_manifold(problem: NoisyGradientDescent) -> Manifold:
    """Γ near `problem.near`, or near a point found from the loss.

    Raises
    ------
    ManifoldError
        If there are no minimisers, or they are not a manifold of dimension 1 ≤ M < N on which H is
        positive on the normal space; the message names the point.
    """
    if not problem.loss.free_symbols & {*problem.weights}:
        raise ManifoldError("loss: L is constant (M = N); nothing drives w to a manifold")
    search, base = _first_point(problem)
    survey = Survey(search, search.probe_at(base))
    manifold = Manifold(survey.probe, base, survey.further_points)
    survey.inspect(next(manifold.local()))
    if problem.near is None:
        _warn_of_dropped_signs(problem)
    else:
        _warn_of_distance(problem, base)
    return manifold


def other_components(manifold: Manifold) -> tuple[tuple[sp.Expr, ...], ...]:
    """Constraints of other components of the minimisers, of those that random starts find.

    Where L has a square of a product, each factor has a zero set of its own, and the limit may be
    of another kind there.
    """
    if manifold.probe.squares is None:
        return ()
    search = next(_searches(replace(manifold.problem, near=None)))
    here = manifold.probe.system.equations
    if search.squares is None or search.system.equations == here:
        return ()
    found: dict[tuple[sp.Expr, ...], None] = {}
    for start in itertools.islice(search.starts(), POINTS):
        point = search.system.solve(start)
        if point is not None and respects_signs(manifold.problem, point):
            found[search.probe_at(point).system.equations] = None
    return tuple(sorted(set(found) - {here}, key=str))


def _warn_of_distance(problem: NoisyGradientDescent, base: Point) -> None:
    if problem.parameters:
        return
    given = [float(sp.N(x)) for x in problem.near or ()]
    distance = math.dist(given, [float(x) for x in base])
    if distance > FAR * (1 + math.hypot(*given)):
        warnings.warn(
            f"near: the point of Γ that was found is {show_point(problem, base)}, at a distance "
            f"{distance:.3g} from the one given; it may lie on another component",
            DeriveWarning,
            stacklevel=5,
        )


def known_manifold(
    problem: NoisyGradientDescent,
    squares: tuple[Square, ...] | None,
    equations: tuple[sp.Expr, ...],
    base: Point,
) -> Manifold:
    """Γ as an earlier search has found it: L = ½ Σ c r² there, its constraints, a point of it."""
    probe = Probe(problem, squares, System(problem.weights, problem.parameters, equations))
    alike = [s for s in _searches(problem) if (s.squares is None) == (squares is None)]
    search = next((s for s in alike if s.equations == equations), alike[0])
    return Manifold(probe, base, Survey(search, probe).further_points)


def _searches(problem: NoisyGradientDescent) -> Iterator[Search]:
    """Ways to read Γ off the loss, the first of which that leads to a point of it is taken.

    Where L is a sum of squares they may vanish together; what a loss of few quantities says of its
    minimum may hold; ∇L = 0, whose Jacobian on Γ is H, holds always.
    """
    weights = frozenset(problem.weights)

    def search(squares: tuple[Square, ...] | None, equations: Sequence[sp.Expr]) -> Search:
        return Search(problem, squares, tuple(problem.constraints or equations))

    squares = read_squares(problem.loss, weights)
    if squares is not None:
        yield search(squares, [r for _, r in squares])
    composition = read_composition(problem.loss, weights)
    if composition is not None:
        inner = composition.squares
        if inner is not None:
            yield search(inner, [r for _, r in inner])
        elif problem.constraints is None:
            yield search(None, composition.equations)
    yield search(None, problem.loss_gradient)


def _first_point(problem: NoisyGradientDescent) -> tuple[Search, Point]:
    """A point of Γ, and the search that has found it; refuses when there is none."""
    attempts = []
    for search in _searches(problem):
        attempt = search.attempt()
        if attempt.found is not None:
            return search.lowered(attempt.found), attempt.found
        attempts.append((search, attempt))
    raise _refusal(problem, attempts)


def _refusal(
    problem: NoisyGradientDescent, attempts: Sequence[tuple[Search, Attempt]]
) -> ManifoldError:
    """What to say where no search has found a point of Γ."""
    for search, attempt in attempts:
        if attempt.other is not None and problem.constraints is not None:
            return ManifoldError(
                f"constraints: they vanish at {search.show(attempt.other)}, where |∇L| = "
                f"{short(search.slope(attempt.other))}; Γ is made of minimisers of L, where ∇L = 0"
            )
        if attempt.approached is not None and search.slope(attempt.approached) < LOOSE:
            return ManifoldError(
                f"loss: L is smallest at about {search.show(attempt.approached)}, but H = ∇²L "
                "loses rank there (a crossing or a quartic valley); the theory needs H positive on "
                "the normal space of Γ"
            )
    for search, attempt in attempts:
        if attempt.other is not None:
            Survey(search, search.probe_at(attempt.other)).inspect_point(attempt.other)
    where = "" if problem.near is None else f" near {problem.near}"
    return ManifoldError(
        f"loss: no minimisers were found{where} (Levenberg-Marquardt from "
        f"{TRIES if problem.near is None else 4} starts); give a point of Γ in near=. A minimum "
        "at infinity, as that of the cross-entropy of separable classes, has no Γ: smooth the "
        "labels, or add a penalty that is part of L"
    )


def _warn_of_dropped_signs(problem: NoisyGradientDescent) -> None:
    signed = [str(w) for w in problem.weights if w.is_nonnegative or w.is_nonpositive]
    if signed:
        warnings.warn(
            f"weights: {', '.join(signed)} carry a sign assumption, which drops the components of "
            "Γ on the other side; declare them real=True only, or pass near=",
            DeriveWarning,
            stacklevel=4,
        )
