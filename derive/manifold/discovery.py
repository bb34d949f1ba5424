"""Finding Γ: reading its constraints, a base point, further points, and refusing what is not Γ."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import mpmath
import sympy as sp

from ..errors import DeriveWarning, ManifoldError
from ..model.problem import NoisyGradientDescent
from ..symbolic.calculus import WithoutCaches
from ..symbolic.programs import Program
from ..symbolic.roots import WORKING_DIGITS, Point, System, evaluator
from .admissible import admissible_values
from .compositions import read_composition
from .constraints import Square, localise, read_squares
from .local_geometry import LocalGeometry, Probe
from .manifold import Manifold

POINTS = 20
"""Points of Γ on which numerical evidence rests (theory, section 5)."""

TRIES = 60

LOW_TRIES = 12
"""Starts after which the lowest of the minima that were found is taken."""

LARGEST_DENOMINATOR = 10**6
"""Of a fraction that a minimum is taken to be; that it is one is shown by what it leaves."""

FAR = 0.5
"""Distance from the given point, relative to 1 and its own size, from which on a word is said."""

TINY = mpmath.mpf(10) ** -40
LOOSE = mpmath.mpf(10) ** -12


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
    survey = _Survey(search, search.probe_at(base))
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
    return Manifold(probe, base, _Survey(search, probe).further_points)


def _searches(problem: NoisyGradientDescent) -> Iterator[_Search]:
    """Ways to read Γ off the loss, the first of which that leads to a point of it is taken.

    Where L is a sum of squares they may vanish together; what a loss of few quantities says of its
    minimum may hold; ∇L = 0, whose Jacobian on Γ is H, holds always.
    """
    weights = frozenset(problem.weights)

    def search(squares: tuple[Square, ...] | None, equations: Sequence[sp.Expr]) -> _Search:
        return _Search(problem, squares, tuple(problem.constraints or equations))

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


def _first_point(problem: NoisyGradientDescent) -> tuple[_Search, Point]:
    """A point of Γ, and the search that has found it; refuses when there is none."""
    attempts = []
    for search in _searches(problem):
        attempt = search.attempt()
        if attempt.found is not None:
            return search.lowered(attempt.found), attempt.found
        attempts.append((search, attempt))
    raise _refusal(problem, attempts)


def _refusal(
    problem: NoisyGradientDescent, attempts: Sequence[tuple[_Search, _Attempt]]
) -> ManifoldError:
    """What to say where no search has found a point of Γ."""
    for search, attempt in attempts:
        if attempt.other is not None and problem.constraints is not None:
            return ManifoldError(
                f"constraints: they vanish at {search.show(attempt.other)}, where |∇L| = "
                f"{_short(search.slope(attempt.other))}; Γ is made of minimisers of L, where ∇L = 0"
            )
        if attempt.approached is not None and search.slope(attempt.approached) < LOOSE:
            return ManifoldError(
                f"loss: L is smallest at about {search.show(attempt.approached)}, but H = ∇²L "
                "loses rank there (a crossing or a quartic valley); the theory needs H positive on "
                "the normal space of Γ"
            )
    for search, attempt in attempts:
        if attempt.other is not None:
            _Survey(search, search.probe_at(attempt.other)).inspect_point(attempt.other)
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


@dataclass(frozen=True)
class _Search(WithoutCaches):
    """Looks for a first point of Γ, where some equations hold.

    Attributes
    ----------
    problem : NoisyGradientDescent
        Whose Γ is sought.
    squares : tuple of (c, r), or None
        Terms of L = ½ Σ c r² + constant near Γ, up to the third order.
    equations : tuple of Expr
        What holds on Γ.
    """

    problem: NoisyGradientDescent
    squares: tuple[Square, ...] | None
    equations: tuple[sp.Expr, ...]

    @cached_property
    def system(self) -> System:
        """The equations, to be solved."""
        return System(self.problem.weights, self.problem.parameters, self.equations)

    def probe_at(self, base: Point) -> Probe:
        """The loss and the constraints of Γ near a point of it."""
        p, vanishes = self.problem, self.vanishing_at(base)
        squares = self.squares and localise(self.squares, vanishes)
        equations = self.equations
        if p.constraints is None and squares is not None:
            equations = tuple(r for _, r in squares)
        elif p.constraints is None:
            equations = self._inner_equations(vanishes, base) or equations
        system = self.system
        if equations != system.equations:
            system = System(p.weights, p.parameters, equations)
        return Probe(p, squares, system)

    def _inner_equations(
        self, vanishes: Callable[[sp.Expr], bool], base: Point
    ) -> tuple[sp.Expr, ...]:
        """Sums inside L that vanish at the base point, as g in 1 − cos g, if they describe Γ."""
        p = self.problem
        inner = {
            e
            for e in sp.preorder_traversal(p.loss)
            if e.is_Add and e != p.loss and e.free_symbols & set(p.weights) and vanishes(e)
        }
        equations = tuple(sorted(inner, key=sp.default_sort_key))
        probe = Probe(p, None, System(p.weights, p.parameters, equations))
        return equations if equations and probe.geometry(base).is_regular else ()

    def vanishing_at(self, point: Point) -> Callable[[sp.Expr], bool]:
        """Whether an expression is zero at a point."""
        symbols = self.system.weights + self.system.parameters

        def vanishes(factor: sp.Expr) -> bool:
            with mpmath.workdps(WORKING_DIGITS):
                return bool(abs(evaluator(symbols, [factor])(point)[0]) < TINY)

        return vanishes

    def starts(self) -> Iterator[Point]:
        """Starting points: near the given point, or random."""
        p, rng = self.problem, random.Random(1)
        for k in range(TRIES):
            parameters = admissible_values(p, rng)
            if p.near is None:
                width = 1 + k / TRIES
                weights = [mpmath.mpf(rng.uniform(-width, width)) for _ in p.weights]
                weights = [
                    abs(x) if w.is_nonnegative else -abs(x) if w.is_nonpositive else x
                    for w, x in zip(p.weights, weights, strict=True)
                ]
            else:
                if k > 3:
                    return
                weights = _numbers(p.near, p.parameters, parameters)
                weights = [x + (k and mpmath.mpf(rng.gauss(0, 1e-3))) for x in weights]
            yield (*weights, *parameters)

    def attempt(self) -> _Attempt:
        """A point of Γ, or what was found instead.

        Squares are zero together or not at all; of other stationary points, which a random start
        leads to, the lowest minimum is taken.
        """
        lowest: tuple[Any, Point] | None = None
        other = approached = None
        for k, start in enumerate(self.starts()):
            near = self.system.search(start)
            point = near and self.system.polish(near)
            if point is None or not respects_signs(self.problem, point):
                approached = approached or near
            elif not self._is_stationary(point):
                other = point
            elif self.squares is not None or self.problem.near is not None:
                return _Attempt(point)
            else:
                height = self.height(point)
                if lowest is None or height < lowest[0] - TINY:
                    if self.probe_at(point).geometry(point).is_regular:
                        lowest = height, point
                    else:
                        other = point
            if lowest is not None and (abs(lowest[0]) < TINY or k >= LOW_TRIES):
                break
        return _Attempt(None if lowest is None else lowest[1], other, approached)

    def lowered(self, point: Point) -> _Search:
        """The search for squares that are left of L when its minimum, a fraction, is subtracted."""
        p = self.problem
        if self.squares is not None or p.constraints is not None or p.parameters:
            return self
        height = self.height(point)
        minimum = sp.Rational(str(height)).limit_denominator(LARGEST_DENOMINATOR)
        if minimum == 0 or abs(height - mpmath.mpf(minimum.p) / minimum.q) > TINY:
            return self
        squares = read_squares(p.loss - minimum, frozenset(p.weights))
        return self if squares is None else _Search(p, squares, tuple(r for _, r in squares))

    def _is_stationary(self, point: Point) -> bool:
        """Whether ∇L = 0 where the equations hold, and the squares vanish."""
        vanishes = self.vanishing_at(point)
        residuals = () if self.problem.constraints is None else self.squares or ()
        return self.slope(point) < TINY and all(vanishes(r) for _, r in residuals)

    def height(self, point: Point) -> Any:
        """L at a point."""
        with mpmath.workdps(WORKING_DIGITS):
            return self._loss.value(point)[0]

    def slope(self, point: Point) -> Any:
        """|∇L| at a point."""
        with mpmath.workdps(WORKING_DIGITS):
            return mpmath.norm(self._loss.gradient(point, self.problem.dimension))

    @cached_property
    def _loss(self) -> Program:
        return Program(self.problem.weights + self.problem.parameters, [self.problem.loss])

    def show(self, point: Point) -> str:
        """A point in words."""
        return show_point(self.problem, point)


@dataclass(frozen=True)
class _Attempt:
    """What a search comes to.

    Attributes
    ----------
    found : Point or None
        A point of Γ.
    other : Point or None
        A solution of the equations that is none.
    approached : Point or None
        Where the search went without arriving.
    """

    found: Point | None
    other: Point | None = None
    approached: Point | None = None


@dataclass(frozen=True)
class _Survey(WithoutCaches):
    """Inspects Γ at points of it and walks along it."""

    search: _Search
    probe: Probe

    @property
    def problem(self) -> NoisyGradientDescent:
        return self.probe.problem

    def inspect_point(self, point: Point) -> None:
        """Refuse a point where Γ is not what the theory assumes."""
        self.inspect(self.probe.geometry(point))

    def inspect(self, geometry: LocalGeometry) -> None:
        """Refuse a base point where Γ is not what the theory assumes."""
        rank, n = geometry.rank, self.problem.dimension
        at = show_point(self.problem, geometry.point)
        if rank == 0:
            raise ManifoldError(
                f"loss: H = ∇²L vanishes at {at}; Γ is singular there (a crossing) or L grows "
                "slower than quadratically (a quartic valley). Pick a regular point in near="
            )
        regular = self.probe.is_regular(geometry)
        smallest = mpmath.mpf(0) if regular else min(geometry.curvatures)
        if smallest < 0 and abs(smallest) > TINY:
            raise ManifoldError(
                f"loss: ∇L vanishes at {at}, but H has the eigenvalue {_short(smallest)} there: a "
                "saddle or a maximum; Γ is made of minimisers, give one in near= (where L is "
                "smallest at infinity only, as for separable classes, smooth the labels)"
            )
        if rank == n:
            raise ManifoldError(
                f"loss: {at} is an isolated minimiser (M = 0): H has full rank {n}; the theory "
                "needs a manifold of them, more weights than independent constraints"
            )
        if not regular:
            raise ManifoldError(
                f"loss: H = ∇²L is not positive of rank {rank} on the normal space at {at}, "
                "though the constraints have that rank; L grows slower than quadratically there "
                "or the constraints do not describe all of Γ"
            )
        self._refuse_false_dimension(geometry)

    def _refuse_false_dimension(self, geometry: LocalGeometry) -> None:
        """Γ must follow its tangent space: the retraction of a tangent step is of second order."""
        step = mpmath.mpf(10) ** -4
        start = self._tangent_step(geometry, random.Random(2), step)
        landed = self.probe.system.solve(start)
        n = self.problem.dimension
        gap = landed and mpmath.norm([x - y for x, y in zip(landed[:n], start[:n], strict=True)])
        if gap is None or gap > step ** mpmath.mpf("1.5"):
            raise ManifoldError(
                f"loss: Γ is not a manifold of dimension N − rank H = "
                f"{n - geometry.rank} at {show_point(self.problem, geometry.point)}:"
                " a zero direction of H is no direction of Γ (a crossing or a quartic valley)"
            )

    def further_points(self, base: LocalGeometry) -> Iterator[LocalGeometry]:
        """Further points: of the component of a given point, or of all that random starts find."""
        found = 1
        if self.problem.near is None:
            for start in self.search.starts():
                point = self._accept(self.search.system.solve(start), base)
                if point is not None:
                    found += 1
                    yield point
                if found == POINTS:
                    return
        rng, here = random.Random(3), base
        for _ in range(10 * POINTS):
            if found == POINTS:
                return
            start = self._tangent_step(here, rng, mpmath.mpf(rng.uniform(0.05, 0.5)))
            parameters = tuple(admissible_values(self.problem, rng))
            start = (*start[: self.problem.dimension], *parameters)
            point = self._accept(self.probe.system.solve(start), base)
            if point is not None:
                found, here = found + 1, point
                yield point
        raise ManifoldError(
            f"loss: only {found} regular points of Γ were found around "
            f"{show_point(self.problem, base.point)}, {POINTS} are needed; give another point in "
            "near="
        )

    def _accept(self, point: Point | None, base: LocalGeometry) -> LocalGeometry | None:
        if point is None or not respects_signs(self.problem, point):
            return None
        geometry = self.probe.geometry(point)
        alike = geometry.rank == base.rank and self.probe.is_regular(geometry)
        return geometry if alike else None

    def _tangent_step(self, geometry: LocalGeometry, rng: random.Random, length: Any) -> Point:
        n = self.problem.dimension
        with mpmath.workdps(WORKING_DIGITS):
            along = geometry.tangential([mpmath.mpf(rng.gauss(0, 1)) for _ in range(n)])
            step = length / mpmath.norm(along)
            moved = [x + step * a for x, a in zip(geometry.point[:n], along, strict=True)]
        return (*moved, *geometry.point[n:])


def respects_signs(problem: NoisyGradientDescent, point: Point) -> bool:
    """Whether a point satisfies the sign assumptions of the weights."""
    return not any(
        (w.is_positive and x <= 0)
        or (w.is_negative and x >= 0)
        or (w.is_nonnegative and x < 0)
        or (w.is_nonpositive and x > 0)
        for w, x in zip(problem.weights, point, strict=False)
    )


def show_point(problem: NoisyGradientDescent, point: Point) -> str:
    """A point as "w1 = 0.6, w2 = 0.8"."""
    symbols = problem.weights + problem.parameters
    shown = [f"{s} = {_short(v)}" for s, v in zip(symbols, point, strict=True)]
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")


def _numbers(near: Any, parameters: Any, values: list[Any]) -> list[Any]:
    bound = dict(zip(parameters, values, strict=True))
    with mpmath.workdps(WORKING_DIGITS):
        return [mpmath.mpmathify(sp.N(x.subs(bound), WORKING_DIGITS)) for x in near]


def _short(value: Any) -> str:
    return mpmath.nstr(value, 6)
