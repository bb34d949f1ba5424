"""Finding Γ: reading its constraints, a base point, further points, and refusing what is not Γ."""

from __future__ import annotations

import itertools
import math
import random
import warnings
from collections.abc import Callable, Iterator
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
from .constraints import Square, localise, read_squares
from .local_geometry import LocalGeometry, Probe
from .manifold import Manifold

POINTS = 20
"""Points of Γ on which numerical evidence rests (theory, section 5)."""

TRIES = 60

FAR = 0.5
"""Distance from the given point, relative to 1 and its own size, from which on a word is said."""

TINY = mpmath.mpf(10) ** -40
LOOSE = mpmath.mpf(10) ** -12


def find_manifold(problem: NoisyGradientDescent) -> Manifold:
    """Γ near `problem.near`, or near a point found from the loss.

    Raises
    ------
    ManifoldError
        If there is no zero-loss set, or it is not a manifold of dimension 1 ≤ M < N on which H is
        positive on the normal space; the message names the point.
    """
    if problem.loss == 0:
        raise ManifoldError("loss: L vanishes everywhere (M = N); nothing drives w to a manifold")
    search = _Search(problem)
    base = search.base_point()
    survey = _Survey(search, search.probe_at(base))
    manifold = Manifold(survey.probe, base, survey.further_points)
    survey.inspect(next(manifold.local()))
    if problem.near is None:
        _warn_of_dropped_signs(problem)
    else:
        _warn_of_distance(problem, base)
    return manifold


def other_components(manifold: Manifold) -> tuple[tuple[sp.Expr, ...], ...]:
    """Constraints of other components of the zero-loss set, of those that random starts find.

    Where L has a square of a product, each factor has a zero set of its own, and the limit may be
    of another kind there.
    """
    search = _Search(replace(manifold.problem, near=None))
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
    return Manifold(probe, base, _Survey(_Search(problem), probe).further_points)


def _equations(
    problem: NoisyGradientDescent, squares: tuple[Square, ...] | None
) -> tuple[sp.Expr, ...]:
    """The residuals, or, where L is not a sum of squares, ∇L = 0, whose Jacobian on Γ is H."""
    return problem.loss_gradient if squares is None else tuple(r for _, r in squares)


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
    """Looks for a first point of Γ."""

    problem: NoisyGradientDescent

    @cached_property
    def squares(self) -> tuple[Square, ...] | None:
        return read_squares(self.problem.loss, frozenset(self.problem.weights))

    @cached_property
    def system(self) -> System:
        p = self.problem
        equations = p.constraints or _equations(p, self.squares)
        return System(p.weights, p.parameters, tuple(equations))

    def probe_at(self, base: Point) -> Probe:
        """The loss and the constraints of Γ near a point of it."""
        p, vanishes = self.problem, self.vanishing_at(base)
        squares = self.squares and localise(self.squares, vanishes)
        equations = p.constraints or _equations(p, squares)
        if squares is None and p.constraints is None:
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

    @cached_property
    def _loss(self) -> Program:
        return Program(self.problem.weights + self.problem.parameters, [self.problem.loss])

    def loss_and_slope(self, point: Point) -> tuple[Any, Any]:
        """L and |∇L| at a point."""
        with mpmath.workdps(WORKING_DIGITS):
            (slope,) = self._loss.jacobian(point, self.problem.dimension)
            return self._loss.value(point)[0], mpmath.norm(slope)

    def vanishing_at(self, point: Point) -> Callable[[sp.Expr], bool]:
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

    def base_point(self) -> Point:
        """A point of Γ; refuses when none is found or the given one shows what is wrong."""
        negative = approached = None
        for start in self.starts():
            if self.problem.near is not None and self.squares is None:
                self._refuse_sign_change(start)
            near = self.system.search(start)
            point = near and self.system.polish(near)
            if point is None or not respects_signs(self.problem, point):
                approached = approached or near
                continue
            if self.squares is not None and self.problem.constraints is None:
                return point  # L = ½ Σ c r² and ∇L vanish with the residuals
            loss, slope = self.loss_and_slope(point)
            if abs(loss) < TINY and slope < TINY:
                return point
            negative = point
        if self.problem.constraints is not None and negative is not None:
            loss, slope = self.loss_and_slope(negative)
            self._refuse_minimum(negative)
            raise ManifoldError(
                f"constraints: they vanish at {self.show(negative)}, where L = {_short(loss)} and "
                f"|∇L| = {_short(slope)}; the zero-loss set needs L = 0 and ∇L = 0 there"
            )
        if approached is not None and abs(self.loss_and_slope(approached)[0]) < LOOSE:
            raise ManifoldError(
                f"loss: L reaches zero at about {self.show(approached)}, but H = ∇²L loses rank "
                "there (a crossing or a quartic valley); the theory needs H positive on the "
                "normal space of Γ"
            )
        if negative is not None:
            self._refuse_minimum(negative)
        self._refuse_negative_loss()
        where = "" if self.problem.near is None else f" near {self.problem.near}"
        raise ManifoldError(
            f"loss: no zero-loss set was found{where} (Levenberg-Marquardt from "
            f"{TRIES if self.problem.near is None else 4} starts); give a point of it in near=, "
            "and check that L reaches zero"
        )

    def _refuse_minimum(self, point: Point) -> None:
        """Where ∇L = 0 but L is not, a constant is to be subtracted."""
        loss, slope = self.loss_and_slope(point)
        if slope < TINY and abs(loss) > LOOSE:
            raise ManifoldError(
                f"loss: ∇L vanishes at {self.show(point)}, where L = {_short(loss)}; the zero-loss "
                f"set needs L = 0. If that is its minimum, subtract it ({mpmath.nstr(loss, 15)}), "
                "as an exact expression, from the loss and the noisy loss"
            )

    def _refuse_sign_change(self, point: Point) -> None:
        loss, slope = self.loss_and_slope(point)
        if abs(loss) < TINY and slope > mpmath.mpf(10) ** -20:
            raise ManifoldError(
                f"loss: L is negative near {self.show(point)}, where L = 0 but |∇L| = "
                f"{_short(slope)}; a loss must be non-negative near its zero set"
            )

    def _refuse_negative_loss(self) -> None:
        """Where L = 0 can be reached but ∇L ≠ 0 there, say that L changes sign."""
        p = self.problem
        zero = System(p.weights, p.parameters, (p.loss,))
        for start in self.starts():
            point = zero.solve(start)
            if point is not None:
                self._refuse_sign_change(point)

    def show(self, point: Point) -> str:
        """A point in words."""
        return show_point(self.problem, point)


@dataclass(frozen=True)
class _Survey(WithoutCaches):
    """Inspects Γ at points of it and walks along it."""

    search: _Search
    probe: Probe

    @property
    def problem(self) -> NoisyGradientDescent:
        return self.probe.problem

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
                f"loss: L is negative near {at}: H has the eigenvalue {_short(smallest)} "
                "there; a loss must be non-negative near its zero set"
            )
        if rank == n:
            raise ManifoldError(
                f"loss: {at} is an isolated zero (M = 0): H has full rank {n}; the theory needs a "
                "manifold of zeros, more weights than independent constraints"
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
